"""How well tracks of one camera are told apart by how they are described, by the truth: our crops against every box of a plain loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.bench.measure import Measure
from throughline.domain.geometry import Size, iou_matrix
from throughline.domain.time import NS_PER_SECOND
from throughline.domain.tracks import TrackEmbeddings, TrackTable
from throughline.domain.truth import NOBODY, CameraTruth, label_boxes
from throughline.perception.associate import Association, Sighting
from throughline.simulation.scoring import auc
from throughline.tracker.settings import TrackerSettings

_LEAST_IOU, _LEAST_BOXES, _LEAST_SHARE = 0.5, 10, 0.7
_SAME_FRAME_NS, _SAME_BOX_IOU = NS_PER_SECOND // 60, 0.8

Track = tuple[NDArray[np.int64], NDArray[np.float32]]
"""(n,) times of the camera and (n, 4) boxes."""
Vectors = Mapping[int, NDArray[np.float32]]
"""A unit vector that describes each track, by its number."""


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
    name: str, truth: CameraTruth, ours: tuple[TrackTable, TrackEmbeddings], plain: LoopBoxes, how: tuple[Size, float]
) -> Iterator[Measure]:
    """On the same tracks, ours, by the means with which they are compared and by every box's vector; and the plain loop's on the tracks
    that its own boxes give, which are other tracks with other pairs. how: size of the frames, and analysed frames a second."""
    table, embeddings = ours
    tracks: dict[int, Track] = {track.track_id: (track.times_ns, track.boxes) for track in table.tracks()}
    numbers, vectors = embeddings.means()
    described = dict(zip(numbers.tolist(), vectors, strict=True))
    means = {number: mean for number in described if (mean := _mean(tracks[number], plain)) is not None}
    own, pairs = pairs_auc(truth, tracks, {number: described[number] for number in means})
    every, _ = pairs_auc(truth, tracks, means)
    loop, others = pairs_auc(truth, *_associated(plain, *how))
    yield Measure(f"{name}: AUC of pairs of tracks, {pairs} of one person", own, "", round(every, 4), "higher")
    yield Measure(f"{name}: the same tracks by the mean of every box", every, "")
    yield Measure(f"{name}: the plain loop's own tracks, {others} pairs of one person", loop, "")


def pairs_auc(truth: CameraTruth, tracks: Mapping[int, Track], vectors: Vectors) -> tuple[float, int]:
    """How often two tracks of one person are more alike than two of different people, and how many pairs are of one person."""
    owners = {number: _owner(truth, *tracks[number]) for number in vectors}
    known = [number for number, owner in owners.items() if owner is not None]
    same: list[float] = []
    other: list[float] = []
    for at, one in enumerate(known):
        for two in known[at + 1 :]:
            (same if owners[one] == owners[two] else other).append(float(vectors[one] @ vectors[two]))
    return auc(same, other), len(same)


def _owner(truth: CameraTruth, times_ns: NDArray[np.int64], boxes: NDArray[np.float32]) -> int | None:
    """Whose most of a track's boxes are; None for short tracks and mixed ones."""
    persons = label_boxes(times_ns, boxes, truth, _LEAST_IOU, 0.0)
    people, counts = np.unique(persons[persons != NOBODY], return_counts=True)
    if len(times_ns) < _LEAST_BOXES or not len(people) or counts.max() < _LEAST_SHARE * len(times_ns):
        return None
    return int(people[counts.argmax()])


def _mean(track: Track, plain: LoopBoxes) -> NDArray[np.float32] | None:
    """The mean vector of the plain loop's boxes where the track's are; None where it has none."""
    found = []
    for time, box in zip(track[0].tolist(), track[1], strict=True):
        first, after = np.searchsorted(plain.times_ns, [time - _SAME_FRAME_NS, time + _SAME_FRAME_NS])
        if first < after:
            overlap = iou_matrix(box[None], plain.boxes[first:after])[0]
            if overlap.max() >= _SAME_BOX_IOU:
                found.append(plain.vectors[first + overlap.argmax()])
    return _unit(np.sum(found, axis=0)) if found else None


def _associated(plain: LoopBoxes, size: Size, rate: float) -> tuple[dict[int, Track], Vectors]:
    """The plain loop's boxes as our association joins them, each track described by the mean of all its vectors."""
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
    tracks = {number: (plain.times_ns[own], plain.boxes[own]) for number, own in of_track.items()}
    return tracks, {number: _unit(plain.vectors[own].sum(axis=0)) for number, own in of_track.items()}


def _unit(vector: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)
