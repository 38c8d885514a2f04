"""How well tracks are told apart by how they are described, by the truth: our crops against every box of a plain loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.bench.measure import Measure
from throughline.domain.calibration import Floats
from throughline.domain.geometry import iou_matrix
from throughline.domain.likeness import SAME_LOOKS, all_likenesses
from throughline.domain.time import NS_PER_SECOND
from throughline.domain.tracks import TrackEmbeddings, TrackTable
from throughline.domain.truth import NOBODY, CameraTruth, label_boxes
from throughline.perception.triton.card import ModelCard
from throughline.simulation.scoring import auc

_LEAST_IOU, _LEAST_BOXES, _LEAST_SHARE = 0.5, 10, 0.7
_SAME_FRAME_NS, _SAME_BOX_IOU = NS_PER_SECOND // 60, 0.8

Track = tuple[NDArray[np.int64], NDArray[np.float32]]
"""(n,) times of the camera and (n, 4) boxes."""


@dataclass(frozen=True, slots=True)
class LoopBoxes:
    """What a plain loop found: (n,) the camera's times, (n, 4) boxes and (n, d) vectors."""

    times_ns: NDArray[np.int64]
    boxes: NDArray[np.float32]
    vectors: NDArray[np.float32]

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.floating]], start_ns: int, source_rate: int) -> LoopBoxes:
        """As plain_loop.py writes them."""
        rows, vectors = arrays["rows"], np.asarray(arrays["vectors"], np.float32)
        times = start_ns + np.rint(rows[:, 0] * (NS_PER_SECOND / source_rate)).astype(np.int64)
        return cls(times, rows[:, 1:5].astype(np.float32), vectors)


@dataclass(frozen=True, slots=True)
class Described:
    """One camera: who is there, the tracks that we found, our crops of them, and what the plain loop found."""

    truth: CameraTruth
    table: TrackTable
    crops: TrackEmbeddings
    plain: LoopBoxes


@dataclass(frozen=True, slots=True)
class _Vectors:
    """Tracks of one camera by rising id: whose they are, and their vectors by our crops and by every box of the plain loop."""

    owners: list[int | None]
    ours: TrackEmbeddings
    every: TrackEmbeddings


def identities(name: str, cameras: Sequence[Described], card: ModelCard) -> Iterator[Measure]:
    """How well our crops tell our tracks apart, by the likeness that jobs use, and the same tracks by the mean of every box's vector,
    as the plain loop would: tracks of different cameras, and of one. For comparison our means, and every box by likeness. There is no
    bar: with real weights the corridor's evaluation has it."""
    found = [_vectors(each) for each in cameras]
    owners = [owner for each in found for owner in each.owners]
    camera = np.repeat(np.arange(len(found)), [len(each.owners) for each in found])
    ours, every = [each.ours for each in found], [each.every for each in found]
    kinds = {
        "the same tracks by the mean of every box": _cosines(every),
        "the same by the means of our crops": _cosines(ours),
        "the same by the likeness of every box": _likeness(every, card),
    }
    alike = _likeness(ours, card)
    for where, wanted in (
        ("different cameras", camera[:, None] != camera),
        ("one camera", camera[:, None] == camera),
    ):
        own, pairs = _pairs_auc(owners, alike, wanted)
        yield Measure(f"{name}: AUC of tracks of {where}, {pairs} pairs of one person", own, "")
        for kind, values in kinds.items():
            yield Measure(f"{name}, {where}: {kind}", _pairs_auc(owners, values, wanted)[0], "")
        above, error = _above(owners, alike, next(iter(kinds.values())), wanted)
        yield Measure(f"{name}, {where}: above the mean of every box", above, "")
        yield Measure(f"{name}, {where}: standard error of that", error, "")


def _vectors(camera: Described) -> _Vectors:
    tracks: dict[int, Track] = {track.track_id: (track.times_ns, track.boxes) for track in camera.table.tracks()}
    every = every_box(tracks, camera.plain)
    ours = camera.crops.at(np.flatnonzero(np.isin(camera.crops.track_ids, every.track_ids)))
    every = every.at(np.flatnonzero(np.isin(every.track_ids, ours.track_ids)))
    return _Vectors(
        [_owner(camera.truth, *tracks[number]) for number in np.unique(ours.track_ids).tolist()], ours, every
    )


def _likeness(cameras: Sequence[TrackEmbeddings], card: ModelCard) -> Floats:
    assert card.calibration is not None
    assert card.matching is not None
    look = np.array(card.matching.mean_look, np.float32)
    return all_likenesses(cameras, look, card.calibration.inverse(SAME_LOOKS))


def _cosines(cameras: Sequence[TrackEmbeddings]) -> Floats:
    means = np.concatenate([each.means()[1] for each in cameras])
    return np.asarray(means @ means.T, np.float64)


def _above(owners: Sequence[int | None], one: Floats, other: Floats, wanted: NDArray[np.bool_]) -> tuple[float, float]:
    """The difference of two AUCs, and its standard error by leaving out one person after the other."""

    def difference(left_out: int | None) -> float:
        kept = [None if owner == left_out else owner for owner in owners]
        return _pairs_auc(kept, one, wanted)[0] - _pairs_auc(kept, other, wanted)[0]

    people = sorted({owner for owner in owners if owner is not None})
    without = np.array([difference(person) for person in people])
    spread = ((without - without.mean()) ** 2).sum()
    return difference(None), float(np.sqrt(spread * (len(people) - 1) / len(people)))


def _pairs_auc(owners: Sequence[int | None], alike: Floats, wanted: NDArray[np.bool_]) -> tuple[float, int]:
    """How often two tracks of one person are more alike than two of different people, of the `wanted` (t, t) pairs, and how many are
    of one person."""
    known = np.array([row for row, owner in enumerate(owners) if owner is not None], np.int64)
    people = np.array([owner for owner in owners if owner is not None], np.int64)
    one, other = np.triu_indices(len(known), 1)
    chosen = wanted[known[one], known[other]]
    one, other = one[chosen], other[chosen]
    same, values = people[one] == people[other], alike[known[one], known[other]]
    return auc(values[same], values[~same]), int(same.sum())


def _owner(truth: CameraTruth, times_ns: NDArray[np.int64], boxes: NDArray[np.float32]) -> int | None:
    """Whose most of a track's boxes are; None for short tracks and mixed ones."""
    persons = label_boxes(times_ns, boxes, truth, _LEAST_IOU, 0.0)
    people, counts = np.unique(persons[persons != NOBODY], return_counts=True)
    if len(times_ns) < _LEAST_BOXES or not len(people) or counts.max() < _LEAST_SHARE * len(times_ns):
        return None
    return int(people[counts.argmax()])


def every_box(tracks: Mapping[int, Track], plain: LoopBoxes) -> TrackEmbeddings:
    """The plain loop's vectors at the tracks' boxes, all equally good, for those tracks at which it has any."""
    ids, rows = [], []
    for number, (times_ns, boxes) in sorted(tracks.items()):
        for time, box in zip(times_ns.tolist(), boxes, strict=True):
            first, after = np.searchsorted(plain.times_ns, [time - _SAME_FRAME_NS, time + _SAME_FRAME_NS])
            if first < after:
                overlap = iou_matrix(box[None], plain.boxes[first:after])[0]
                if overlap.max() >= _SAME_BOX_IOU:
                    ids.append(number)
                    rows.append(int(first + overlap.argmax()))
    n = len(rows)
    own, even = np.array(rows, np.int64), np.ones(n, np.float32)
    return TrackEmbeddings(plain.vectors[own], np.array(ids, np.int64), plain.times_ns[own], even, np.ones(n, bool), ())
