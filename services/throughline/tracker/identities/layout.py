"""ROOT/<video>/{analysis.mp4,tracks.csv,summary.json}: what is read of it, and where everything that is written goes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.time import Instant
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
_GALLERY = "global_"
_LARGEST_SUMMARY = 2**24
_LONGEST_NAME = 238
"""Bytes; with what is put after it, a file's name."""
LATEST = Instant.parse("2200-01-01T00:00:00Z")
"""No video is of a later time."""


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
        with readable(self.folder):
            return next((path for path in (self.source, analysis) if path is not None and path.is_file()), None)


def video_folders(root: Path) -> list[Path]:
    """Every folder below `root` with a tracks.csv, in order of name. Raise NotFound where there is none, and InvalidInput where one of
    them is a folder that outputs are put into."""
    if not root.is_dir():
        raise NotFound(f"{printable(root)} is no folder; give one that holds <video>/{TRACKS_FILE}")
    if not _is_text(str(root.absolute())):
        raise InvalidInput(f"the path {printable(root.absolute())} is no text in UTF-8; rename the folder")
    for name, what in ((GALLERIES_FOLDER, "pictures"), (EMBEDDINGS_FOLDER, "descriptors")):
        if (root / name / TRACKS_FILE).exists():
            raise InvalidInput(f"{root / name} is where {what} are put; give the folder of this video another name")
    folders = sorted(path.parent for path in root.glob(f"*/{TRACKS_FILE}") if not path.parent.name.startswith("."))
    if not folders:
        raise NotFound(
            f"no <video>/{TRACKS_FILE} lies below {root}; make them with `throughline analyze VIDEO --out {root}/<video>`"
        )
    return folders


def check_outputs(root: Path) -> None:
    """Raise InvalidInput where outputs cannot be put below `root`, or would replace somebody's own files."""
    check_writable(root)
    galleries = root / GALLERIES_FOLDER
    for folder in (galleries, root / EMBEDDINGS_FOLDER):
        if folder.is_dir():
            check_writable(folder)
        elif folder.exists() or folder.is_symlink():
            raise InvalidInput(f"{folder} is no folder, and outputs belong into one of this name; move it elsewhere")
    there = galleries.iterdir() if galleries.exists() else ()
    others = [path for path in there if not path.name.startswith((".", _GALLERY))]
    if others:
        raise InvalidInput(
            f"{galleries} holds {printable(others[0].name)}, and all in there is replaced by pictures of identities; move it elsewhere"
        )


def check_writable(folder: Path) -> None:
    """Raise InvalidInput where nothing can be put into a folder."""
    if not os.access(folder, os.W_OK):
        raise InvalidInput(f"{folder} cannot be written to, and outputs belong there; make it writable, or copy it")


def read_video(folder: Path) -> VideoFolder:
    """What a video's summary.json says; raise InvalidInput where that, or the folder's name, cannot be used."""
    if not _is_text(folder.name):
        raise InvalidInput("the folder's name is no text in UTF-8; rename it")
    if len(folder.name.encode()) > _LONGEST_NAME:
        raise InvalidInput(f"the folder's name has more than {_LONGEST_NAME} bytes; rename it")
    path = folder / SUMMARY_FILE
    with readable(path):
        summary = _summary(path)
        source = _text(summary, _SOURCE_KEYS)
        start = _start(path, summary)
        return VideoFolder(
            folder=folder,
            video=Video(folder.name, printable(summary.get("camera") or folder.name), start is not None),
            start=start,
            rate=_number(path, summary, _RATE_KEYS),
            source=folder / source if source else None,
            class_names=_class_names(summary.get("class_names", ())),
            corners=_has_corners(path, summary),
        )


def printable(name: object) -> str:
    """A path, or an error with one in it, as text that can be written anywhere, also where it is none in UTF-8."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def _is_text(name: str) -> bool:
    return printable(name) == name


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise InvalidInput where the operating system lets nobody read what the block reads."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}; put that right") from error


def _summary(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    if path.stat().st_size > _LARGEST_SUMMARY:
        raise InvalidInput(f"{path} is larger than {_LARGEST_SUMMARY} bytes; is it a summary?")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
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
    start = None
    if (ns := summary.get("start_ns")) is not None:
        if not isinstance(ns, int) or isinstance(ns, bool):
            raise InvalidInput(f"{path}: start_ns: {ns!r} is no whole number of nanoseconds since 1970")
        start = Instant(ns)
    else:
        given = next((summary[key] for key in _START_KEYS if summary.get(key)), None)
        try:
            start = None if given is None else Instant.parse(str(given))
        except (ValueError, OverflowError) as error:
            raise InvalidInput(f"{path}: start: {error}") from error
    if start is not None and not 0 <= start.ns < LATEST.ns:
        raise InvalidInput(f"{path}: the start, {start.ns} ns since 1970, is not from 1970 to {LATEST}; correct it")
    return start


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
        return tuple(printable(names.get(str(number), f"class {number}")) for number in range(min(size, 10_000)))
    return tuple(printable(name) for name in names) if isinstance(names, list) else ()


def meta_file(video: str) -> str:
    """Below ROOT: what is known of each track whose crops were described."""
    return f"{EMBEDDINGS_FOLDER}/{video}_track_meta.csv"


def embeds_file(video: str) -> str:
    """Below ROOT: the descriptors."""
    return f"{EMBEDDINGS_FOLDER}/{video}_track_embeds.npz"


def gallery_folder(number: int) -> str:
    """Below ROOT: the pictures of one identity."""
    return f"{GALLERIES_FOLDER}/{_GALLERY}{number:06d}"
