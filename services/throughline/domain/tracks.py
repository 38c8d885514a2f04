"""Tracks of one camera as columns, one row per box. All times are the camera's own, in int64 nanoseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Boxes
from throughline.domain.time import Instant, Interval

_LEAST_QUALITY = 1e-6
"""A crop without any quality must not leave its track without a descriptor."""
_QUALITY_COUNTS = 0.25
"""Power of the quality by which a crop counts in its set: quality guesses from the boxes who is hidden, and guesses wrong in crowds."""


@dataclass(frozen=True)
class Track:
    """One track, rows in order of time.

    times_ns: (n,) int64, strictly increasing; boxes: (n, 4) float32, xyxy, pixels of the upright source frame; scores: (n,) float32.
    """

    track_id: int
    times_ns: NDArray[np.int64]
    boxes: Boxes
    scores: NDArray[np.float32]

    @property
    def span(self) -> Interval:
        """First to last box."""
        return Interval(Instant(int(self.times_ns[0])), Instant(int(self.times_ns[-1])))

    def box_count(self, span: Interval) -> int:
        """How many of its boxes lie within a span."""
        first, after = np.searchsorted(self.times_ns, [span.start.ns, span.end.ns])
        return int(after - first)

    def box_at(self, time: Instant, max_gap_ns: int) -> Boxes | None:
        """The box of one moment, (4,), as `boxes_at`, several times as fast; None outside the track and within longer gaps."""
        after = int(self.times_ns.searchsorted(time.ns))
        if after < len(self.times_ns) and self.times_ns[after] == time.ns:
            return self.boxes[after]
        if after in (0, len(self.times_ns)):
            return None
        before_ns = int(self.times_ns[after - 1])
        gap_ns = int(self.times_ns[after]) - before_ns
        if gap_ns > max_gap_ns:
            return None
        weight = np.float32((time.ns - before_ns) / gap_ns)
        return self.boxes[after - 1] + (self.boxes[after] - self.boxes[after - 1]) * weight

    def boxes_at(self, times_ns: NDArray[np.int64], max_gap_ns: int) -> Boxes:
        """Boxes interpolated linearly at (m,) times: (m, 4) float32, NaN outside the track and within gaps over `max_gap_ns`."""
        after = np.searchsorted(self.times_ns, times_ns, side="left")
        exact = (after < len(self.times_ns)) & (self.times_ns[np.minimum(after, len(self.times_ns) - 1)] == times_ns)
        right = np.clip(after, 0, len(self.times_ns) - 1)
        left = np.where(exact, right, np.clip(after - 1, 0, len(self.times_ns) - 1))
        gap = self.times_ns[right] - self.times_ns[left]
        weight = np.divide(times_ns - self.times_ns[left], gap, out=np.zeros(len(times_ns)), where=gap > 0)
        result = self.boxes[left] + (self.boxes[right] - self.boxes[left]) * weight[:, None]
        outside = (times_ns < self.times_ns[0]) | (times_ns > self.times_ns[-1]) | (gap > max_gap_ns)
        result[outside] = np.nan
        return result.astype(np.float32, copy=False)


@dataclass(frozen=True)
class TrackTable:
    """All tracks of one camera, rows in order of (track_id, time).

    track_ids: (n,) int64, from 1; times_ns: (n,) int64; boxes: (n, 4) float32 xyxy, pixels of the upright source frame;
    scores: (n,) float32.
    """

    track_ids: NDArray[np.int64]
    times_ns: NDArray[np.int64]
    boxes: Boxes
    scores: NDArray[np.float32]

    @cached_property
    def _starts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids, starts = np.unique(self.track_ids, return_index=True)
        return ids, np.append(starts, len(self.track_ids))

    @property
    def ids(self) -> NDArray[np.int64]:
        """(t,) int64, the ids in order."""
        return self._starts[0]

    def __len__(self) -> int:
        return len(self.ids)

    def track(self, track_id: int) -> Track:
        """One track; raise KeyError where there is none of that id."""
        ids, starts = self._starts
        index = int(np.searchsorted(ids, track_id))
        if index == len(ids) or ids[index] != track_id:
            raise KeyError(track_id)
        rows = slice(int(starts[index]), int(starts[index + 1]))
        return Track(track_id, self.times_ns[rows], self.boxes[rows], self.scores[rows])

    def tracks(self) -> list[Track]:
        return [self.track(int(track_id)) for track_id in self.ids]


@dataclass(frozen=True)
class TrackEmbeddings:
    """Embeddings of some crops of each track, rows in order of (track_id, time).

    vectors: (m, d) float32, unit length; track_ids: (m,) int64; times_ns: (m,) int64; qualities: (m,) float32 in 0..1; clear: (m,)
    bool, False where a crop is poor and only there because nothing better shows its time; crops: the names of m
    pictures (storage/pictures.py).
    """

    vectors: NDArray[np.float32]
    track_ids: NDArray[np.int64]
    times_ns: NDArray[np.int64]
    qualities: NDArray[np.float32]
    clear: NDArray[np.bool_]
    crops: tuple[str, ...]

    @cached_property
    def presentable(self) -> NDArray[np.bool_]:
        """(m,) those that show the person for sure, as far as that can be told: clear crops, and all of a track without clear ones."""
        return np.asarray(self.clear | ~np.isin(self.track_ids, self.track_ids[self.clear]), bool)

    @property
    def weights(self) -> NDArray[np.float32]:
        """(m,) of each crop in its track's set: the better the more, poor ones not much less."""
        return np.asarray(np.maximum(self.qualities, _LEAST_QUALITY) ** _QUALITY_COUNTS, np.float32)

    def only(self, track_id: int) -> TrackEmbeddings:
        """The crops of one track, without their pictures; empty where there is none of that id."""
        return self.at(np.flatnonzero(self.track_ids == track_id))

    def at(self, rows: NDArray[np.int64]) -> TrackEmbeddings:
        """The crops of some rows, without their pictures."""
        return TrackEmbeddings(
            self.vectors[rows], self.track_ids[rows], self.times_ns[rows], self.qualities[rows], self.clear[rows], ()
        )

    def descriptors(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(t,) track ids and their (t, d) descriptors: unit-length means of the vectors of presentable crops, weighted by quality."""
        return self._descriptors

    def means(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(t,) track ids and (t, d) unit-length means of the vectors of all crops by their `weights`."""
        return self._means(self.weights)

    @cached_property
    def _descriptors(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        qualities = np.maximum(self.qualities, np.float32(_LEAST_QUALITY))
        return self._means(np.where(self.presentable, qualities, np.float32(0)))

    def _means(self, weights: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        ids, starts, counts = np.unique(self.track_ids, return_index=True, return_counts=True)
        weighted = np.asarray(self.vectors * weights[:, None], np.float32)
        sums = weighted[starts]
        for place in range(1, int(counts.max(initial=0))):  # several times as fast as np.add.reduceat along this axis
            longer = np.flatnonzero(counts > place)
            sums[longer] += weighted[starts[longer] + place]
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        return ids, np.divide(sums, norms, out=np.zeros_like(sums), where=norms > 0)


def concatenated(tables: Sequence[TrackEmbeddings]) -> TrackEmbeddings:
    """One or more tables, whose ids rise from each to the next, as one; without the crops' pictures."""
    return TrackEmbeddings(
        vectors=np.concatenate([each.vectors for each in tables]),
        track_ids=np.concatenate([each.track_ids for each in tables]),
        times_ns=np.concatenate([each.times_ns for each in tables]),
        qualities=np.concatenate([each.qualities for each in tables]),
        clear=np.concatenate([each.clear for each in tables]),
        crops=(),
    )
