"""The best crops of all tracks: cut from full frames in one sparse pass over the reel, saved, and embedded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.time import Instant, Interval, seconds_to_ns
from throughline.domain.work import Work
from throughline.media.frame import Frame, Picture
from throughline.media.reader import ReelReader
from throughline.perception.crops import cut, sharpness
from throughline.perception.embed import embed
from throughline.perception.triton.client import REID, InferenceClient
from throughline.storage.tables import EmbeddingWriter

CROPS_FOLDER = "crops"
_SEEK_SECONDS = 2.0
"""Between moments further apart than this the reel is sought, not decoded through."""
_LARGEST_HEIGHT_PX = 512
_JPEG_QUALITY = 92


class _Crop(NamedTuple):
    track_id: int
    time_ns: int
    quality: float
    file: str


def crop_file(track_id: int, time_ns: int) -> str:
    """Where a crop is kept, relative to the tracks' folder."""
    return f"{CROPS_FOLDER}/{track_id:06d}-{time_ns}.jpg"


def make_gallery(
    reader: ReelReader, chosen: NDArray[np.void], folder: Path, client: InferenceClient, limit: int, work: Work
) -> int:
    """Cut, save and embed the moments of `chosen` (CHOSEN, in order of time) into `folder`: crops/, embeddings.npy and .parquet; return how
    many there are. Moments whose frames do not decode are left out.

    Up to `limit` crops are with the ReID model at once.
    """
    (folder / CROPS_FOLDER).mkdir()
    count = 0
    with EmbeddingWriter(folder, client.model(REID).embedding_dim or 0) as writer:
        for crop, vector in embed(_crops(reader, chosen, folder), client, limit, work.check):
            writer.add(*crop, vector)
            count += 1
            work.report(count, len(chosen), "crops")
    return count


def _crops(reader: ReelReader, chosen: NDArray[np.void], folder: Path) -> Iterator[tuple[_Crop, Picture]]:
    by_time: dict[int, list[int]] = defaultdict(list)
    for row, time in enumerate(chosen["time_ns"].tolist()):
        by_time[time].append(row)
    for frame in frames_at(reader, sorted(by_time)):
        picture = frame.rgb()
        for row in by_time[frame.time.ns]:
            moment = chosen[row]
            pixels = cut(picture, tuple(moment["box"].tolist()))
            quality = float(moment["quality"]) * (0.5 + 0.5 * sharpness(pixels))
            file = crop_file(int(moment["track_id"]), frame.time.ns)
            _save(folder / file, pixels)
            yield _Crop(int(moment["track_id"]), frame.time.ns, quality, file), pixels


def frames_at(reader: ReelReader, times_ns: list[int]) -> Iterator[Frame]:
    """The frames that begin at these times, which are in order; nothing is decoded between those far from each other."""
    wanted = set(times_ns)
    for run in _runs(times_ns, seconds_to_ns(_SEEK_SECONDS)):
        for frame in reader.frames(run):
            if frame.time.ns in wanted:
                yield frame


def _runs(times_ns: list[int], gap_ns: int) -> Iterator[Interval]:
    edges = [0, *(np.flatnonzero(np.diff(np.array(times_ns, np.int64)) > gap_ns) + 1).tolist(), len(times_ns)]
    for first, after in pairwise(edges):
        if after > first:
            yield Interval(Instant(times_ns[first]), Instant(times_ns[after - 1] + 1))


def _save(path: Path, crop: Picture) -> None:
    height, width = crop.shape[:2]
    if height > _LARGEST_HEIGHT_PX:
        size = (max(1, round(width * _LARGEST_HEIGHT_PX / height)), _LARGEST_HEIGHT_PX)
        crop = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)
    coded = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    path.write_bytes(coded.tobytes())
