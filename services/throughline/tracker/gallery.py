"""Crops of all tracks, saved and embedded: cut as frames were decoded for the detector, or in a sparse pass over the reel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import FailedPrecondition
from throughline.domain.time import Instant, Interval, seconds_to_ns
from throughline.domain.work import Work
from throughline.media.frame import Frame, Picture
from throughline.media.reader import ReelReader
from throughline.perception.associate import Cut
from throughline.perception.crops import Crop, Moment, crop_quality
from throughline.perception.embed import Embedder
from throughline.perception.triton.client import REID, InferenceClient
from throughline.storage.pictures import PictureWriter
from throughline.storage.tables import CropRow, EmbeddingWriter

_SEEK_SECONDS = 2.0
"""Between moments further apart than this the reel is sought, not decoded through."""
_ROUNDING = 0.02
"""FP16 and INT8 included."""
_JPEG_QUALITY = 92


def is_unit(vector: NDArray[np.float32]) -> bool:
    """Whether a descriptor can be compared: finite, and of length 1 but for rounding."""
    return bool(abs(float(np.linalg.norm(vector)) - 1) < _ROUNDING)


class Gallery:
    """Saves and embeds crops into a folder as they come: crops.mjpeg, embeddings.npy and .parquet. A context manager.

    About `limit` crops are with the ReID model at once. count: those that it has described; undescribed: those for which it gave
    something else than a unit vector, which are left out.
    """

    def __init__(self, folder: Path, client: InferenceClient, limit: int, work: Work) -> None:
        self.count = self.undescribed = 0
        self._work = work
        self._pictures = PictureWriter(folder)
        self._writer = EmbeddingWriter(folder, client.model(REID).embedding_dim or 0)
        self._embedder = Embedder[tuple[CropRow, bytes]](client, limit, self._write, work.check)

    def take(self, track_id: int, moment: Moment, crop: Cut) -> None:
        """Add a moment of a track whose crop is at hand."""
        at = moment.sighting
        self._add(CropRow(track_id, at.time_ns, at.quality, "", moment.clear), crop())

    def _add(self, row: CropRow, crop: Picture) -> None:
        """`row` has its sighting's quality; the crop's is known now, its name once it is described."""
        self._embedder.add((row._replace(quality=crop_quality(row.quality, crop)), _coded(crop)), crop)

    def fetch(self, reader: ReelReader, chosen: NDArray[np.void]) -> None:
        """Cut the moments of `chosen` (CHOSEN, in order of time) from the reel; those whose frames do not decode are left out."""
        total = self.count + len(chosen)
        by_time: dict[int, list[int]] = defaultdict(list)
        for row, time in enumerate(chosen["time_ns"].tolist()):
            by_time[time].append(row)
        for frame in frames_at(reader, sorted(by_time)):
            for row in by_time[frame.time.ns]:
                track_id, time_ns, box, quality, clear = chosen[row].item()
                crop = Crop(frame, tuple(box.tolist()))
                self._add(CropRow(track_id, time_ns, quality, "", clear), crop())
            self._work.report(self.count, total, "crops")

    def finish(self) -> int:
        """Wait for the last crops; return how many there are in all. Raises FailedPrecondition where the model described none."""
        self._embedder.finish()
        if self.undescribed and not self.count:
            raise FailedPrecondition(
                f"the ReID model describes none of {self.undescribed} crops: its vectors are not finite or have no length; build it "
                "anew with `throughline models build`, and see to --reid-input"
            )
        self._work.report(self.count, self.count, "crops")
        return self.count

    def _write(self, taken: tuple[CropRow, bytes], vector: NDArray[np.float32]) -> None:
        if not is_unit(vector):
            self.undescribed += 1
            return
        row, jpeg = taken
        self._writer.add(row._replace(crop=self._pictures.add(jpeg)), vector)
        self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._embedder.cancel()
        try:
            self._pictures.__exit__(kind, error, trace)
        finally:
            self._writer.__exit__(kind, error, trace)


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


def _coded(crop: Picture) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    return cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), options)[1].tobytes()
