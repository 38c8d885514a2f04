"""The boxes of a video with the time of each, whichever way the files give that."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.media.stills import frame_times
from throughline.tracker.identities.layout import ANALYSIS_FILE, LATEST, SUMMARY_FILE, VideoFolder, readable
from throughline.tracker.identities.table import BoxRows, read_rows

Times = NDArray[np.int64]

_FIRST_UTC = Instant.parse("1990-01-01T00:00:00Z")
_EARLIEST_NS = -24 * 3600 * NS_PER_SECOND
"""Some tools begin to count a little before the first frame."""


@dataclass(frozen=True)
class Footage:
    """The rows of one video's tracks.csv with the times of their boxes.

    times_ns: (n,) int64; UTC where `is_timed`, else since the video's own start.
    """

    rows: BoxRows
    times_ns: Times
    is_timed: bool


def read_footage(video: VideoFolder) -> Footage:
    """The boxes of a video with their times: those of the file, else those that its frames have in the video, else by its rate.

    Raise InvalidInput where a file cannot be read, or a time is out of all reason.
    """
    with readable(video.tracks_csv):
        rows = read_rows(video.tracks_csv, video.class_names, corners=video.corners)
    start_ns = 0 if video.start is None else video.start.ns
    is_timed = video.start is not None
    if not len(rows.frames):
        return Footage(rows, np.zeros(0, np.int64), is_timed)
    times = rows.times_ns if rows.times_ns is not None else _by_frame(video, rows.frames)
    if rows.times_ns is not None and int(times.min()) >= _FIRST_UTC.ns:
        start_ns, is_timed = 0, True
    if int(times.min()) < _EARLIEST_NS or start_ns + int(times.max()) >= LATEST.ns:
        raise InvalidInput(
            f"{video.tracks_csv}: its times go from {times.min()} to {times.max()} ns after {start_ns} ns since 1970, and not from 1970 "
            f"to {LATEST}; correct them, or start and fps in {SUMMARY_FILE}"
        )
    return Footage(rows, start_ns + times, is_timed)


def _by_frame(video: VideoFolder, frames: NDArray[np.int64]) -> Times:
    """(n,) since the video's start."""
    if video.rate is not None:
        return _by_rate(video.tracks_csv, frames, video.rate)
    source = video.picture_source()
    if source is None:
        raise InvalidInput(
            f"{video.tracks_csv} has no column of times, {video.folder / SUMMARY_FILE} no fps, "
            f"and there is no {ANALYSIS_FILE}; give one of them"
        )
    with readable(source):
        known = frame_times(source)
    last = int(frames.max())
    if last >= len(known):
        raise InvalidInput(
            f"{video.tracks_csv} has boxes in frame {last}, and {source} only {len(known)} frames; is it of another video?"
        )
    return known[frames]


def _by_rate(path: Path, frames: NDArray[np.int64], rate: Fraction) -> Times:
    """Exact, rounded down: whole seconds and the rest apart, so that nothing is larger than 64 bits hold."""
    last = int(frames.max())
    if last * NS_PER_SECOND >= LATEST.ns * rate:
        raise InvalidInput(f"{path} has boxes in frame {last}, which no video has at {float(rate):g} frames per second")
    seconds, rest = np.divmod(frames * rate.denominator, rate.numerator)
    return seconds * NS_PER_SECOND + rest * NS_PER_SECOND // rate.numerator
