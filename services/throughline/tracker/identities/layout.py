"""ROOT/<video>/{analysis.mp4,tracks.csv,summary.json}: what is read of it, and where everything that is written goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.media.stills import frame_times
from throughline.tracker.identities.table import BoxRows, read_rows
from throughline.tracker.identities.tracks import Video

TRACKS_FILE, SUMMARY_FILE, ANALYSIS_FILE = "tracks.csv", "summary.json", "analysis.mp4"
EMBEDDINGS_FOLDER, GALLERIES_FOLDER = "embeddings", "galleries"
MAP_FILE, MERGED_FILE = "global_id_map.csv", "merged_analytics.json"
FLOWS_CSV, FLOWS_JSON = "flows.csv", "flows.json"
REPORT_FILE, HISTORY_FILE = "report.html", "identity_history.json"
TRACKS_GLOBAL_FILE, SUMMARY_GLOBAL_FILE = "tracks_global.csv", "summary_global.json"

_SOURCE_KEYS = ("source", "source_video", "video_path", "input", "input_video", "video")
_START_KEYS = ("start", "start_time", "recorded_at")
_RATE_KEYS = ("fps", "frame_rate", "frames_per_second")
_LARGEST_SUMMARY = 2**24


@dataclass(frozen=True)
class VideoFolder:
    """One video of the layout. `source`: the video itself, as it was before boxes were drawn; `start`: of its first frame, UTC."""

    folder: Path
    video: Video
    start: Instant | None
    rate: Fraction | None
    source: Path | None
    class_names: tuple[str, ...]
    corners: bool = False
    """Boxes of a table without a header are left,top,right,bottom."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def tracks_csv(self) -> Path:
        return self.folder / TRACKS_FILE

    def picture_source(self) -> Path | None:
        """The video that crops are cut from: the source, else the one with boxes drawn into it; None where neither is there."""
        analysis = self.folder / ANALYSIS_FILE
        return next((path for path in (self.source, analysis) if path is not None and path.is_file()), None)


@dataclass(frozen=True)
class Footage:
    """The rows of one video's tracks.csv with the times of their boxes.

    times_ns: (n,) int64; UTC where the video's start is known, else since its own start.
    """

    rows: BoxRows
    times_ns: NDArray[np.int64]


def find_videos(root: Path) -> list[VideoFolder]:
    """Every folder below `root` with a tracks.csv, in order of name. Raise NotFound where there is none."""
    if not root.is_dir():
        raise NotFound(f"{root} is no folder; give one that holds <video>/{TRACKS_FILE}")
    folders = sorted(path.parent for path in root.glob(f"*/{TRACKS_FILE}") if not path.parent.name.startswith("."))
    if not folders:
        raise NotFound(
            f"no <video>/{TRACKS_FILE} lies below {root}; make them with `throughline analyze VIDEO --out {root}/<video>`"
        )
    return [_video(folder) for folder in folders]


def read_footage(video: VideoFolder) -> Footage:
    """The boxes of a video with their times: those of the file, else those that its frames have in the video, else by its rate."""
    rows = read_rows(video.tracks_csv, video.class_names, corners=video.corners)
    start_ns = 0 if video.start is None else video.start.ns
    if not len(rows.frames):
        return Footage(rows, np.zeros(0, np.int64))
    if rows.times_ns is not None:
        times = rows.times_ns
        return Footage(rows, times if _is_utc(times) else times + start_ns)
    if video.rate is not None:
        return Footage(rows, start_ns + rows.frames * NS_PER_SECOND * video.rate.denominator // video.rate.numerator)
    source = video.picture_source()
    if source is None:
        raise InvalidInput(
            f"{video.tracks_csv} has no column of times, {video.folder / SUMMARY_FILE} no fps, "
            f"and there is no {ANALYSIS_FILE}; give one of them"
        )
    known = frame_times(source)
    last = int(rows.frames.max())
    if last >= len(known):
        raise InvalidInput(
            f"{video.tracks_csv} has boxes in frame {last}, and {source} only {len(known)} frames; is it of another video?"
        )
    return Footage(rows, start_ns + known[rows.frames])


_FIRST_UTC_NS = Instant.parse("1990-01-01T00:00:00Z").ns


def _is_utc(times_ns: NDArray[np.int64]) -> bool:
    return bool(len(times_ns)) and int(times_ns.min()) >= _FIRST_UTC_NS


def _video(folder: Path) -> VideoFolder:
    path = folder / SUMMARY_FILE
    summary = _summary(path)
    source = _text(summary, _SOURCE_KEYS)
    names = summary.get("class_names", ())
    start = _start(path, summary)
    return VideoFolder(
        folder=folder,
        video=Video(folder.name, str(summary.get("camera") or folder.name), start is not None),
        start=start,
        rate=_number(path, summary, _RATE_KEYS),
        source=folder / source if source else None,
        class_names=_class_names(names),
        corners=_has_corners(path, summary),
    )


def _summary(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    if path.stat().st_size > _LARGEST_SUMMARY:
        raise InvalidInput(f"{path} is larger than {_LARGEST_SUMMARY} bytes; is it a summary?")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidInput(f"{path} is no JSON: {error}; correct it, or remove it") from error
    if not isinstance(content, dict):
        raise InvalidInput(f"{path} holds no JSON object; correct it, or remove it")
    return content


def _has_corners(path: Path, summary: Mapping[str, Any]) -> bool:
    given = summary.get("box_format", "xywh")
    if given not in ("xywh", "xyxy"):
        raise InvalidInput(f"{path}: box_format: {given!r}; expected xywh or xyxy")
    return bool(given == "xyxy")


def _text(summary: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((value for key in keys if isinstance(value := summary.get(key), str) and value), "")


def _start(path: Path, summary: Mapping[str, Any]) -> Instant | None:
    if isinstance(ns := summary.get("start_ns"), int):
        return Instant(ns)
    text = _text(summary, _START_KEYS)
    try:
        return Instant.parse(text) if text else None
    except ValueError as error:
        raise InvalidInput(f"{path}: start: {error}") from error


def _number(path: Path, summary: Mapping[str, Any], keys: tuple[str, ...]) -> Fraction | None:
    value = next((summary[key] for key in keys if key in summary), None)
    if value is None:
        return None
    try:
        rate = Fraction(str(value)).limit_denominator(1_000_000)
    except (ValueError, ZeroDivisionError) as error:
        raise InvalidInput(f"{path}: fps: {value!r} is not a number of frames per second") from error
    if not 0 < rate <= 1_000:
        raise InvalidInput(f"{path}: fps: {value!r}; expected more than 0 and up to 1000")
    return rate


def _class_names(names: object) -> tuple[str, ...]:
    if isinstance(names, dict):  # {"0": "person", ...}, as some tools write them
        size = max((int(key) for key in names if str(key).isdecimal()), default=-1) + 1
        return tuple(
            str(names.get(str(number), names.get(number, f"class {number}"))) for number in range(min(size, 10_000))
        )
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def meta_file(video: str) -> str:
    """Below ROOT: what is known of each track whose crops were described."""
    return f"{EMBEDDINGS_FOLDER}/{video}_track_meta.csv"


def embeds_file(video: str) -> str:
    """Below ROOT: the descriptors."""
    return f"{EMBEDDINGS_FOLDER}/{video}_track_embeds.npz"


def gallery_folder(number: int) -> str:
    """Below ROOT: the pictures of one identity."""
    return f"{GALLERIES_FOLDER}/global_{number:06d}"
