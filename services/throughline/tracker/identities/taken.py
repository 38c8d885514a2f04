"""The crops of one video as they are cut and described: vectors of all of them, pictures of the best of each track."""

from __future__ import annotations

import bisect
from collections import defaultdict

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.media.frame import Picture
from throughline.tracker.identities.descriptors import Described
from throughline.tracker.identities.samples import Sample

THUMBS_PER_TRACK = 2
_JPEG_QUALITY = 85


class TakenCrops:
    """Takes crop after crop, each track's in order of frames; however many there are, `THUMBS_PER_TRACK` pictures of each track stay."""

    def __init__(self, thumbnail_px: int) -> None:
        """thumbnail_px: longer side of a picture."""
        self._side_px = thumbnail_px
        self._samples: list[tuple[Sample, float]] = []
        self._vectors: list[NDArray[np.float32]] = []
        self._pictures: defaultdict[int, list[tuple[float, int, bytes]]] = defaultdict(list)
        """Of each track: quality (negative), frame and JPEG of the best crops, the best first."""

    def __len__(self) -> int:
        return len(self._samples)

    def show(self, sample: Sample, quality: float, pixels: Picture) -> None:
        """Keep a picture of a crop while it is among the best of its track."""
        best = self._pictures[sample.track_id]
        if len(best) == THUMBS_PER_TRACK and -quality >= best[-1][0]:
            return
        bisect.insort(best, (-quality, sample.frame, _thumbnail(pixels, self._side_px)))
        del best[THUMBS_PER_TRACK:]

    def take(self, sample: Sample, quality: float, vector: NDArray[np.float32]) -> None:
        """vector: (d,) unit vector."""
        self._samples.append((sample, quality))
        self._vectors.append(vector)

    def described(self, made_of: str, dimension: int, dtype: str, lost_frames: list[int]) -> Described:
        """All that was taken, the vectors in the precision in which they are kept: so that they are the same when they are read again."""
        order = sorted(range(len(self)), key=lambda at: self._samples[at][0][:2])
        samples = [self._samples[at] for at in order]
        jpegs = {(track, frame): jpeg for track, best in self._pictures.items() for _, frame, jpeg in best}
        vectors = np.array([self._vectors[at] for at in order], np.float32).reshape(-1, dimension)
        return Described(
            made_of,
            np.array([sample.track_id for sample, _ in samples], np.int64),
            np.array([sample.frame for sample, _ in samples], np.int64),
            np.array([quality for _, quality in samples], np.float32),
            vectors.astype(dtype).astype(np.float32),
            tuple(jpegs.get(sample[:2], b"") for sample, _ in samples),
            np.array(lost_frames, np.int64),
        )


def _thumbnail(crop: Picture, side_px: int) -> bytes:
    scale = min(1.0, side_px / max(crop.shape[:2]))
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    coded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return coded.tobytes()
