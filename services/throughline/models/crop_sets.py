"""Crops of labelled people from several cameras, to measure a ReID model on: read from a folder in one of two forms."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from throughline.domain.errors import InvalidInput, NotFound
from throughline.media.frame import Picture

LABELS_FILE = "silver_labels.json"
CROPS_EACH = 12
"""Of a tracklet, evenly over its labelled frames."""
_NOBODY = "?"


@dataclass(frozen=True)
class CropSet:
    """Crops of one person before one camera, in order: of all directions, or of one tracklet."""

    person: str
    camera: str
    crops: tuple[Picture, ...]


def read_pictures(folder: Path) -> list[CropSet]:
    """`<person>/<camera>_<direction>.png` at any depth; a set for each person and camera, by name.

    Raises NotFound where there are none, InvalidInput where a picture cannot be read.
    """
    files: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*.png")):
        camera, sign, _ = path.stem.partition("_")
        if sign:
            files[path.parent.name, camera].append(path)
    if len({camera for _, camera in files}) < 2:
        raise NotFound(
            f"{folder} holds neither {LABELS_FILE} nor pictures <person>/<camera>_<direction>.png of two cameras or more"
        )
    return [CropSet(*key, tuple(_picture(path) for path in paths)) for key, paths in sorted(files.items())]


def read_tracklets(folder: Path) -> list[CropSet]:
    """The tracklets of `silver_labels.json` that have a person, with crops cut from the videos beside it.

    Raises InvalidInput where the labels or a video cannot be read.
    """
    path = folder / LABELS_FILE
    try:
        tracklets = [each for each in json.loads(path.read_bytes())["tracklets"] if each["person"] != _NOBODY]
        by_video: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for each in tracklets:
            by_video[each["video"]].append(each)
        return [found for video in sorted(by_video) for found in _of_video(folder / video, by_video[video])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} cannot be read as labelled tracklets: {error!r}") from error


def _of_video(video: Path, tracklets: list[dict[str, Any]]) -> Iterator[CropSet]:
    boxes: dict[int, list[tuple[int, tuple[float, float, float, float]]]] = defaultdict(list)
    for row, tracklet in enumerate(tracklets):
        frames = tracklet["frames"]
        even = np.unique(np.linspace(0, len(frames) - 1, CROPS_EACH).round().astype(int))
        for frame in (frames[at] for at in even.tolist()):
            left, top, right, bottom = map(float, frame["box"])
            boxes[int(frame["f"])].append((row, (left, top, right, bottom)))
    crops: dict[int, list[Picture]] = defaultdict(list)
    for number, picture in _frames(video, boxes):
        for row, box in boxes[number]:
            crops[row].append(_cut(picture, box))
    for row, tracklet in enumerate(tracklets):
        yield CropSet(str(tracklet["person"]), video.stem, tuple(crops[row]))


def _cut(picture: Picture, box: tuple[float, float, float, float]) -> Picture:
    """What the box covers, at least one pixel each way."""
    height, width = picture.shape[:2]
    left, top = min(max(int(box[0]), 0), width - 1), min(max(int(box[1]), 0), height - 1)
    return picture[top : max(round(box[3]), top + 1), left : max(round(box[2]), left + 1)]


def _frames(video: Path, wanted: Mapping[int, object]) -> Iterator[tuple[int, Picture]]:
    """Frames by their number from 0, RGB."""
    capture = cv2.VideoCapture(str(video))
    try:
        for number in range(max(wanted) + 1):
            if not capture.grab():
                raise InvalidInput(f"{video} ends before frame {number}, which is labelled")
            if number in wanted:
                yield number, _rgb(capture.retrieve()[1])
    finally:
        capture.release()


def _picture(path: Path) -> Picture:
    picture = cv2.imread(str(path))
    if picture is None:
        raise InvalidInput(f"{path} is no picture that can be read")
    return _rgb(np.asarray(picture, np.uint8))


def _rgb(picture: Any) -> Picture:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
