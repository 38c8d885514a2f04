"""MOT-format detections to MOT-format tracks with the product's own tracker, as associated and as refined by motion alone."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND
from throughline.perception.associate import Association, AssociationSettings, Sighting, Tracked
from throughline.perception.camera_motion import CameraPath
from throughline.tracker.ends import TrackEnds
from throughline.tracker.join import JoinSettings, chains, joins

Rows = NDArray[np.float64]
"""(n, 7) a box each: frame from 1, track from 1, left, top, right, bottom, score; a score of 0 marks a box that was interpolated."""

_COLUMNS = 7
_GHOST_SECONDS = 2.0
"""Shorter tracks are ghosts where their boxes' mean score is below what the association calls high."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """One sequence of a benchmark. `detections`: Rows, of which the tracks mean nothing."""

    name: str
    rate: float
    frame_count: int
    size: Size
    detections: Rows


@dataclass(frozen=True, slots=True)
class MotTracks:
    """The tracks of a sequence as they were associated, and once they are refined."""

    plain: Rows
    refined: Rows


def read_sequences(truth: Path, detections: Path) -> list[Sequence]:
    """Every sequence below `truth` (<sequence>/gt/gt.txt and seqinfo.ini) with its detections (<sequence>.txt).

    Raise NotFound where a folder or file is missing, InvalidInput where one cannot be read.
    """
    for what, folder in (("truth", truth), ("detections", detections)):
        if not folder.is_dir():
            raise NotFound(f"{what} {folder} is no folder; give one")
    names = sorted(path.parent.name for path in truth.glob("*/seqinfo.ini"))
    if not names:
        raise NotFound(f"no <sequence>/seqinfo.ini below {truth}; give the folder that holds the sequences")
    return [_read_sequence(truth / name, detections / f"{name}.txt") for name in names]


def track_sequence(sequence: Sequence, settings: AssociationSettings) -> MotTracks:
    """Track one sequence."""
    association = Association(sequence.rate, settings)
    frame_of = {_time_ns(sequence, frame): frame for frame in range(1, sequence.frame_count + 1)}
    of_frame: dict[int, list[Sighting]] = {frame: [] for frame in frame_of.values()}
    for frame, _, left, top, right, bottom, score in sequence.detections.tolist():
        of_frame[int(frame)].append(Sighting(_time_ns(sequence, int(frame)), (left, top, right, bottom), score, 1.0))
    news: list[Tracked] = []
    for time_ns, frame in frame_of.items():
        news += association.update(sequence.size, time_ns, of_frame[frame])
    news += association.finish()
    found = sorted(
        (frame_of[each.time_ns], one.track_id, *each.box, each.score) for one in news for each in one.sightings
    )
    plain = np.array(found, np.float64).reshape(-1, _COLUMNS)
    return MotTracks(plain, _refined(plain, sequence, settings, association.camera))


def write_tracks(path: Path, rows: Rows) -> None:
    """Write tracks as MOT's `frame,id,left,top,width,height,score,-1,-1,-1`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes, unused = rows[:, 4:6] - rows[:, 2:4], np.full((len(rows), 3), -1)
    columns = np.concatenate([rows[:, :4], sizes, rows[:, 6:], unused], axis=1)
    np.savetxt(path, columns, delimiter=",", fmt=["%d", "%d", *["%.3f"] * 5, "%d", "%d", "%d"])


def _read_sequence(folder: Path, path: Path) -> Sequence:
    for needed in (folder / "gt" / "gt.txt", path):
        if not needed.is_file():
            raise NotFound(f"{needed} is missing; sequence {folder.name} needs it")
    info = configparser.ConfigParser()
    try:
        info.read(folder / "seqinfo.ini", encoding="utf-8")
        section = info["Sequence"]
        rate, frames = float(section["frameRate"]), int(section["seqLength"])
        size = Size(int(section["imWidth"]), int(section["imHeight"]))
    except (configparser.Error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise InvalidInput(
            f"{folder / 'seqinfo.ini'} needs [Sequence] with frameRate, seqLength, imWidth and imHeight: {error}"
        ) from error
    if rate <= 0 or frames < 1:
        raise InvalidInput(
            f"{folder / 'seqinfo.ini'} says {rate:g} frames/s and {frames} frames; both must be positive"
        )
    return Sequence(folder.name, rate, frames, size, _read_detections(path, frames))


def _read_detections(path: Path, frame_count: int) -> Rows:
    try:
        lines = [line.split(",")[:_COLUMNS] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        rows = np.array(lines, np.float64).reshape(-1, _COLUMNS)
    except (UnicodeDecodeError, ValueError) as error:
        raise InvalidInput(
            f"{path} is not of MOT's detections (frame,id,left,top,width,height,score,...): {error}"
        ) from error
    wrong = ~np.isfinite(rows).all(axis=1) | (rows[:, 0] < 1) | (rows[:, 0] > frame_count)
    if wrong.any():
        raise InvalidInput(
            f"{path}, box {int(wrong.argmax()) + 1}: frames must be 1 to {frame_count}, and all numbers finite"
        )
    rows[:, 4:6] += rows[:, 2:4]
    return rows


def _time_ns(sequence: Sequence, frame: int) -> int:
    return round(frame * NS_PER_SECOND / sequence.rate)


def _refined(plain: Rows, sequence: Sequence, settings: AssociationSettings, camera: CameraPath) -> Rows:
    """Join by motion, leave ghosts out, and fill gaps; all in the coordinates of the first frame."""
    if not len(plain):
        return plain

    def moved(rows: Rows, sign: int) -> Rows:
        times = np.array([_time_ns(sequence, int(frame)) for frame in rows[:, 0]], np.int64)
        result = rows.copy()
        result[:, 2:6] += sign * np.tile(camera.shifts(times), 2)
        return result

    laid = moved(plain, 1)
    ends = TrackEnds()
    times = np.array([_time_ns(sequence, int(frame)) for frame in laid[:, 0]], np.int64)
    ends.add(laid[:, 1].astype(np.int64), times, laid[:, 2:6].astype(np.float32))
    found = ends.ends()
    longest = JoinSettings(longest_seconds=settings.lost_seconds)
    joined = joins(found, longest, camera.breaks_ns)
    numbers = {part: number for number, chain in enumerate(chains(list(found), joined), 1) for part in chain}
    laid[:, 1] = [numbers[int(track)] for track in laid[:, 1]]
    tracks = [laid[laid[:, 1] == number] for number in np.unique(laid[:, 1])]
    kept = [rows for rows in tracks if not _is_ghost(rows, sequence.rate, settings)]
    filled = [_filled(rows, settings.lost_seconds * sequence.rate) for rows in kept]
    everything = np.concatenate([np.zeros((0, _COLUMNS)), *filled])
    return moved(everything[np.lexsort((everything[:, 1], everything[:, 0]))], -1)


def _is_ghost(rows: Rows, rate: float, settings: AssociationSettings) -> bool:
    short = rows[-1, 0] - rows[0, 0] < _GHOST_SECONDS * rate
    return bool(short and rows[:, 6].mean() < settings.high_score)


def _filled(rows: Rows, longest: float) -> Rows:
    """A track with straight lines across its gaps of up to `longest` frames."""
    frames = rows[:, 0]
    parts = [rows]
    for at in np.flatnonzero((np.diff(frames) > 1) & (np.diff(frames) <= longest)).tolist():
        between = np.arange(frames[at] + 1, frames[at + 1])
        boxes = [np.interp(between, frames[at : at + 2], rows[at : at + 2, column]) for column in range(2, 6)]
        same = np.full(len(between), rows[at, 1])
        parts.append(np.column_stack([between, same, *boxes, np.zeros(len(between))]))
    return np.concatenate(parts)
