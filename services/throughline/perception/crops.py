"""Which moments of a track give the best crops, and the crops themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Boxes, Size, area, intersection
from throughline.domain.time import NS_PER_MS
from throughline.media.frame import Frame, Picture
from throughline.media.scaling import scaled
from throughline.perception.associate import Cut, Sighting

LARGEST_HEIGHT_PX = 512
"""Of crops; no ReID model looks more closely."""
_CLEAR_HEIGHT_PX = 160.0
_FRAME_EDGE_SHARE = 0.005
_CUT_BY_EDGE = 0.6
_HIDDEN_BEHIND, _HIDDEN_BEFORE = 1.0, 0.4
_SHARP = 60.0
_SHARPNESS_SIZE = Size(64, 128)
_FIRST_BUCKET_NS = 250 * NS_PER_MS
_CLEAR_APART_NS, _POOR_APART_NS = 180 * NS_PER_MS, 250 * NS_PER_MS
"""From a crop of a track to the others, at least: neighbours look alike, and cost as much as those that tell more."""
_CLEAR = 0.4
"""Of a track's best quality; poorer crops may show whoever stands before the person."""
_LEAST_WORTH = 1e-6
"""Of a sighting: those of no quality are spread over the time too."""


def qualities(boxes: Boxes, scores: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """(n,) in 0..1: how good a crop each person of one frame gives, by size, confidence, occlusion by others and the frame's edge.

    boxes: (n, 4) xyxy, pixels of the frame of `size`; scores: (n,). Who stands lower in the frame stands before the others, and hides
    them as surely as the detector sees somebody there: many weak boxes lie upon people who are in full view.
    """
    if not len(boxes):
        return np.zeros(0, np.float32)
    large = np.sqrt(np.minimum(1, (boxes[:, 3] - boxes[:, 1]) / _CLEAR_HEIGHT_PX))
    covered = intersection(boxes[:, None], boxes[None]) / np.maximum(area(boxes), 1)[:, None]
    np.fill_diagonal(covered, 0)
    behind = boxes[None, :, 3] >= boxes[:, None, 3]
    sure = np.clip(scores, 0, 1)
    hidden = (covered * np.where(behind, _HIDDEN_BEHIND, _HIDDEN_BEFORE) * sure).max(axis=1)
    margin = np.array([size.width, size.height]) * _FRAME_EDGE_SHARE
    cut = (boxes[:, :2] < margin).any(axis=1) | (boxes[:, 2:] > [size.width, size.height] - margin).any(axis=1)
    result = large * sure * (1 - np.minimum(hidden, 1)) ** 2 * np.where(cut, _CUT_BY_EDGE, 1)
    return result.astype(np.float32)


def sharpness(crop: Picture) -> float:
    """0..1: the more detail the more; from the variance of the Laplacian at one common size, so that large crops have no advantage."""
    grey = scaled(np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8), _SHARPNESS_SIZE)
    variance = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    return variance / (variance + _SHARP)


def crop_quality(quality: float, crop: Picture) -> float:
    """How good a crop is, 0..1: its sighting's `quality`, as much as halved where it shows little detail."""
    return quality * (0.5 + 0.5 * sharpness(crop))


class Crop:
    """The part of an upright frame that a box covers, at least one pixel each way, made smaller where it is taller than
    `LARGEST_HEIGHT_PX`. Call it for the picture. It holds on to its frame until it is told to `keep` its own part alone."""

    __slots__ = ("__weakref__", "_columns", "_held", "_rows")

    def __init__(self, frame: Frame, box: tuple[float, float, float, float]) -> None:
        width, height = frame.size.width, frame.size.height
        left, top = min(max(int(box[0]), 0), width - 1), min(max(int(box[1]), 0), height - 1)
        right, bottom = min(max(round(box[2]), left + 1), width), min(max(round(box[3]), top + 1), height)
        self._rows, self._columns = slice(top, bottom), slice(left, right)
        self._held: Frame | Cut = frame

    def keep(self) -> None:
        """Copy it out of its frame, and let go of that."""
        self._held = self._part()

    def __call__(self) -> Picture:
        pixels = self._part()()
        if pixels.shape[0] <= LARGEST_HEIGHT_PX:
            return pixels
        width = max(1, round(pixels.shape[1] * LARGEST_HEIGHT_PX / pixels.shape[0]))
        return scaled(pixels, Size(width, LARGEST_HEIGHT_PX))

    def _part(self) -> Cut:
        held = self._held
        return held.cutout(self._rows, self._columns) if isinstance(held, Frame) else held


class Moment(NamedTuple):
    """A sighting that is worth a crop, and whether it is clear: at least 0.4 times as good as its track's best."""

    sighting: Sighting
    clear: bool


@dataclass(slots=True)
class BestMoments:
    """The best sightings of one track, spread over its time: the best of each stretch of time. Keeps at most twice `count`,
    however long the track: the stretches grow with it."""

    count: int
    bucket_ns: int = _FIRST_BUCKET_NS
    best: dict[int, Sighting] = field(default_factory=dict)

    def offer(self, sighting: Sighting) -> None:
        """Consider one more sighting, later than those before."""
        self._keep(sighting)
        while len(self.best) > 2 * self.count:
            self.bucket_ns *= 2
            kept = list(self.best.values())
            self.best = {}
            for each in kept:
                self._keep(each)

    def _keep(self, sighting: Sighting) -> None:
        bucket = sighting.time_ns // self.bucket_ns
        held = self.best.get(bucket)
        if held is None or sighting.quality > held.quality:
            self.best[bucket] = sighting

    def chosen(self) -> list[Moment]:
        """At most `count`, in order of time: the best one, then whichever is good and far in time from those taken, clear ones first.

        Clear ones are a fifth of a second apart, or two frames at ten a second. Where there are not enough of them, poor ones follow
        that are a quarter of a second away from all others: a bad crop says little about the person, a look from another side much.
        """
        pool = sorted(self.best.values(), key=lambda each: each.time_ns)
        times = np.array([each.time_ns for each in pool], np.int64)
        quality = np.array([each.quality for each in pool], np.float64)
        spacing = max(1.0, float(times[-1] - times[0]) / self.count)
        nearness = np.ones(len(pool))
        worth, clear = np.maximum(quality, _LEAST_WORTH), quality >= _CLEAR * quality.max()
        left, nearest = np.ones(len(pool), bool), np.full(len(pool), np.iinfo(np.int64).max)
        while len(pool) - left.sum() < self.count:
            usable = left & clear & (nearest >= _CLEAR_APART_NS)
            if not usable.any():
                usable = left & ~clear & (nearest >= _POOR_APART_NS)
            if not usable.any():
                break
            pick = int(np.argmax(np.where(usable, worth * nearness, -1)))
            left[pick] = False
            away = np.abs(times - times[pick])
            nearest = np.minimum(nearest, away)
            nearness = np.minimum(nearness, np.minimum(1, away / spacing))
        return [Moment(pool[index], bool(clear[index])) for index in np.flatnonzero(~left)]
