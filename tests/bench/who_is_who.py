"""How well tracks of one camera are told apart by how they are described, by the truth: our crops against every box of a plain loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.bench.measure import Measure
from throughline.domain.calibration import Floats
from throughline.domain.geometry import Size, iou_matrix
from throughline.domain.likeness import SAME_LOOKS, all_likenesses
from throughline.domain.time import NS_PER_SECOND
from throughline.domain.tracks import TrackEmbeddings, TrackTable
from throughline.domain.truth import NOBODY, CameraTruth, label_boxes
from throughline.perception.associate import Association, Sighting
from throughline.perception.triton.card import ModelCard
from throughline.simulation.scoring import auc
from throughline.tracker.settings import TrackerSettings

_LEAST_IOU, _LEAST_BOXES, _LEAST_SHARE = 0.5, 10, 0.7
_SAME_FRAME_NS, _SAME_BOX_IOU = NS_PER_SECOND // 60, 0.8

Track = tuple[NDArray[np.int64], NDArray[np.float32]]
"""(n,) times of the camera and (n, 4) boxes."""


@dataclass(frozen=True, slots=True)
class LoopBoxes:
    """What a plain loop found: (n,) the camera's times, (n, 4) boxes, (n,) scores and (n, d) vectors."""

    times_ns: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    vectors: NDArray[np.float32]

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.floating]], start_ns: int, source_rate: int) -> LoopBoxes:
        """As plain_loop.py writes them."""
        rows, vectors = arrays["rows"], np.asarray(arrays["vectors"], np.float32)
        times = start_ns + np.rint(rows[:, 0] * (NS_PER_SECOND / source_rate)).astype(np.int64)
        return cls(times, rows[:, 1:5].astype(np.float32), rows[:, 5].astype(np.float32), vectors)


def identities(
    name: str,
    truth: CameraTruth,
    ours: tuple[TrackTable, TrackEmbeddings],
    plain: LoopBoxes,
    card: ModelCard,
    how: tuple[Size, float],
) -> Iterator[Measure]:
    """On the same tracks: by the likeness of our crops, with which tracks are compared, and by the cosine of the means of every box's
    vectors, as the plain loop would. For comparison our means, every box by likeness, and the plain loop's on the tracks that
    its own boxes give, which are other tracks with other pairs. how: size of the frames, and analysed frames a second."""
    tracks: dict[int, Track] = {track.track_id: (track.times_ns, track.boxes) for track in ours[0].tracks()}
    every = _every_box(tracks, plain)
    own = ours[1].at(np.flatnonzero(np.isin(ours[1].track_ids, every.track_ids)))
    every = every.at(np.flatnonzero(np.isin(every.track_ids, own.track_ids)))
    owners = [_owner(truth, *tracks[number]) for number in np.unique(own.track_ids).tolist()]
    by_likeness, pairs = _pairs_auc(owners, _likeness(own, card))
    by_means, _ = _pairs_auc(owners, _cosines(every))
    of_loop, found = _associated(plain, *how)
    loop, others = _pairs_auc([_owner(truth, *each) for each in of_loop], _cosines(found))
    yield Measure(
        f"{name}: AUC of pairs of tracks, {pairs} of one person", by_likeness, "", round(by_means, 4), "higher"
    )
    yield Measure(f"{name}: the same tracks by the mean of every box", by_means, "")
    yield Measure(f"{name}: the same by the means of our crops", _pairs_auc(owners, _cosines(own))[0], "")
    yield Measure(f"{name}: the same by the likeness of every box", _pairs_auc(owners, _likeness(every, card))[0], "")
    yield Measure(f"{name}: the plain loop's own tracks, {others} pairs of one person", loop, "")


def _likeness(tracks: TrackEmbeddings, card: ModelCard) -> Floats:
    assert card.calibration is not None
    assert card.matching is not None
    look = np.array(card.matching.mean_look, np.float32)
    return all_likenesses([tracks], look, card.calibration.inverse(SAME_LOOKS))


def _cosines(tracks: TrackEmbeddings) -> Floats:
    means = tracks.means()[1]
    return np.asarray(means @ means.T, np.float64)


def _pairs_auc(owners: Sequence[int | None], alike: Floats) -> tuple[float, int]:
    """How often two tracks of one person are more alike than two of different people, and how many pairs are of one person."""
    known = [row for row, owner in enumerate(owners) if owner is not None]
    people = np.array([owners[row] for row in known])
    one, other = np.triu_indices(len(known), 1)
    same, values = people[one] == people[other], alike[np.ix_(known, known)][one, other]
    return auc(values[same], values[~same]), int(same.sum())


def _owner(truth: CameraTruth, times_ns: NDArray[np.int64], boxes: NDArray[np.float32]) -> int | None:
    """Whose most of a track's boxes are; None for short tracks and mixed ones."""
    persons = label_boxes(times_ns, boxes, truth, _LEAST_IOU, 0.0)
    people, counts = np.unique(persons[persons != NOBODY], return_counts=True)
    if len(times_ns) < _LEAST_BOXES or not len(people) or counts.max() < _LEAST_SHARE * len(times_ns):
        return None
    return int(people[counts.argmax()])


def _every_box(tracks: Mapping[int, Track], plain: LoopBoxes) -> TrackEmbeddings:
    """The plain loop's vectors at the tracks' boxes, for those tracks at which it has any."""
    ids, rows = [], []
    for number, (times_ns, boxes) in sorted(tracks.items()):
        for time, box in zip(times_ns.tolist(), boxes, strict=True):
            first, after = np.searchsorted(plain.times_ns, [time - _SAME_FRAME_NS, time + _SAME_FRAME_NS])
            if first < after:
                overlap = iou_matrix(box[None], plain.boxes[first:after])[0]
                if overlap.max() >= _SAME_BOX_IOU:
                    ids.append(number)
                    rows.append(int(first + overlap.argmax()))
    return _embeddings(ids, rows, plain)


def _associated(plain: LoopBoxes, size: Size, rate: float) -> tuple[list[Track], TrackEmbeddings]:
    """The plain loop's boxes as our association joins them, by rising id, each track with all of its vectors."""
    association = Association(rate, TrackerSettings().association)
    rows: dict[tuple[int, tuple[float, ...]], int] = {}
    news = []
    for time in np.unique(plain.times_ns).tolist():
        people = []
        for row in np.flatnonzero(plain.times_ns == time).tolist():
            left, top, right, bottom = plain.boxes[row].tolist()
            people.append(Sighting(time, (left, top, right, bottom), float(plain.scores[row]), 1.0))
            rows[time, people[-1].box] = row
        news += list(association.update(size, time, people))
    of_track: dict[int, list[int]] = {}
    for each in [*news, *association.finish()]:
        of_track.setdefault(each.track_id, []).extend(rows[seen.time_ns, seen.box] for seen in each.sightings)
    in_order = sorted(of_track.items())
    ids = [number for number, own in in_order for _ in own]
    vectors = _embeddings(ids, [row for _, own in in_order for row in own], plain)
    return [(plain.times_ns[own], plain.boxes[own]) for _, own in in_order], vectors


def _embeddings(ids: Sequence[int], rows: Sequence[int], plain: LoopBoxes) -> TrackEmbeddings:
    """The plain loop's boxes in `rows` as crops of tracks, all equally good."""
    numbers, n = np.array(ids, np.int64), len(ids)
    own = np.array(rows, np.int64)
    return TrackEmbeddings(
        plain.vectors[own], numbers, plain.times_ns[own], np.ones(n, np.float32), np.ones(n, bool), ()
    )
