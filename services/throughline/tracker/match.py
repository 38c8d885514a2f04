"""How alike every track is to the query: descriptors, cosines, and why a track cannot be the same person. Nothing is read but
tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from throughline.domain.calibration import Calibration
from throughline.domain.errors import FailedPrecondition
from throughline.domain.likeness import SAME_LOOKS, Matching, likenesses, mean_look, without
from throughline.domain.pairs import TrackId, TrackSpan
from throughline.domain.time import Instant, Interval
from throughline.domain.topology import HANDOVER_NS
from throughline.domain.tracks import TrackEmbeddings, concatenated
from throughline.storage.pictures import StoredPicture
from throughline.tracker.artifacts import CameraTracks
from throughline.tracker.locate import LocatedQuery
from throughline.tracker.pair_pictures import TrackPicture

EVEN_ODDS = 0.5


class Outcome(StrEnum):
    """What became of a track in a ranking."""

    CANDIDATE = "candidate"
    BELOW_THRESHOLD = "below_threshold"
    OVER_LIMIT = "over_limit"
    """Above the threshold, but after the most candidates that were asked for."""
    QUERY = "query"
    ASKED = "asked"
    """People were asked about it in an earlier round."""
    SAME_TIME = "same_time"
    """At the person's time in their camera, or in one whose view does not overlap: impossible."""
    TOO_SOON = "too_soon"
    """Nobody comes from the person's camera to this one, or back, in so short a time: impossible."""
    NO_CROPS = "no_crops"
    """None of its frames could be decoded again, so it has no embedding."""


@dataclass(frozen=True)
class Compared:
    """One track compared with the query. `row`: its camera's place among those compared; cosine and likeness (what is calibrated)
    are NaN where it has no crops."""

    row: int
    track: TrackSpan
    box_count: int
    cosine: float
    likeness: float
    time_gap_ns: int
    outcome: Outcome | None
    """None: it may be the same person, by the threshold."""


@dataclass(frozen=True)
class Person:
    """The query's tracks and those that were confirmed. crops: those of the query's tracks as track 0, of each confirmed one as a
    track of its own; cameras: of each of these; pictures: one a crop."""

    tracks: tuple[TrackSpan, ...]
    crops: TrackEmbeddings
    pictures: tuple[TrackPicture, ...]
    cameras: tuple[str, ...]

    @property
    def descriptor(self) -> NDArray[np.float32]:
        """(d,) unit vector; each of the tracks' descriptors counts as much as any other."""
        total = self.crops.descriptors()[1].sum(axis=0)
        return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9), np.float32)

    def together_with(self, others: Sequence[Person]) -> Person:
        """One person of all their tracks."""
        every = (self, *others)
        numbered = [
            replace(each.crops, track_ids=np.full(len(each.crops.track_ids), number, np.int64))
            for number, each in enumerate(every)
        ]
        return Person(
            tuple(track for each in every for track in each.tracks),
            concatenated(numbered),
            tuple(picture for each in every for picture in each.pictures),
            tuple(camera for each in every for camera in each.cameras),
        )


def confirmed_person(track: TrackSpan, camera: CameraTracks, embeddings: TrackEmbeddings) -> Person:
    """Whom a confirmed track shows; without crops, who is where and when."""
    rows = np.flatnonzero(embeddings.track_ids == track.track.number)
    return Person((track,), embeddings.only(track.track.number), _pictures(camera, embeddings, rows), (camera.camera,))


def _pictures(camera: CameraTracks, embeddings: TrackEmbeddings, rows: NDArray[np.int64]) -> tuple[TrackPicture, ...]:
    return tuple(_picture(camera, embeddings, row) for row in rows.tolist())


def _picture(camera: CameraTracks, embeddings: TrackEmbeddings, row: int) -> TrackPicture:
    stored = StoredPicture(camera.artifact, embeddings.crops[row])
    return TrackPicture(stored, int(embeddings.track_ids[row]), int(embeddings.times_ns[row]))


def person_of(
    query: LocatedQuery, camera: CameraTracks, embeddings: TrackEmbeddings, calibration: Calibration | None
) -> Person:
    """The query's person: the crops of their tracks.

    A track may go over to somebody else. Where there are presentable crops from moments at which it stands with the query, only crops
    from such moments count, and those that by at least even odds show the same person as these.
    """
    rows = np.flatnonzero(np.isin(embeddings.track_ids, [each.track.number for each in query.tracks]))
    if not len(rows):
        numbers = ", ".join(str(each.track.number) for each in query.tracks)
        raise FailedPrecondition(
            f"track {numbers} of camera {camera.camera} has no crops, since its frames did not decode; give a query of another moment"
        )
    sure = np.array([any(Instant(at) in each for each in query.agreed) for at in embeddings.times_ns[rows].tolist()])
    best = rows[sure & embeddings.presentable[rows]]
    if len(best):
        rows = rows[sure | _like(embeddings.vectors[rows], embeddings.vectors[best], calibration)]
    as_one = replace(embeddings.at(rows), track_ids=np.zeros(len(rows), np.int64))
    return Person(query.tracks, as_one, _pictures(camera, embeddings, rows), (camera.camera,))


def _like(
    vectors: NDArray[np.float32], sure: NDArray[np.float32], calibration: Calibration | None
) -> NDArray[np.bool_]:
    """(n,): which of (n, d) unit vectors are more likely than not of the person whom `sure` show; none without a calibration."""
    if calibration is None:
        return np.zeros(len(vectors), bool)
    middle = sure.mean(axis=0)
    return calibration.apply(vectors @ middle / max(float(np.linalg.norm(middle)), 1e-9)) >= EVEN_ODDS


@dataclass(frozen=True, slots=True)
class SetRule:
    """Compares tracks by the sets of their crops. `cosines` calibrates descriptors: it tells who is one person in a camera."""

    matching: Matching
    cosines: Calibration

    def likenesses(
        self, person: Person, cameras: Sequence[CameraTracks], embeddings: Sequence[TrackEmbeddings]
    ) -> list[Numbers]:
        """For each camera the likeness of its tracks with the person, by track number."""
        looks = self.looks(embeddings)
        by_camera = {camera.camera: look for camera, look in zip(cameras, looks, strict=True)}
        own = np.stack([by_camera[person.cameras[number]] for number in person.crops.track_ids.tolist()])
        crops = replace(person.crops, vectors=without(person.crops.vectors, own))
        found = []
        for each, look in zip(embeddings, looks, strict=True):
            rest = replace(each, vectors=without(each.vectors, look))
            found.append(_numbers(np.unique(each.track_ids), likenesses(crops, rest)))
        return found

    def looks(self, embeddings: Sequence[TrackEmbeddings]) -> list[NDArray[np.float32]]:
        """(d,) of each camera: what its tracks have in common."""
        known = np.array(self.matching.mean_look, np.float32)
        same = self.cosines.inverse(SAME_LOOKS)
        return [mean_look(each.descriptors()[1], known, same) for each in embeddings]


def compare(
    person: Person,
    cameras: Sequence[CameraTracks],
    embeddings: Sequence[TrackEmbeddings],
    rule: SetRule | None = None,
) -> list[Compared]:
    """All tracks of all cameras, the most alike first; those without crops last. Ties stand in order of camera and track.

    Without a rule the likeness is the cosine.
    """
    own = {each.track for each in person.tracks}
    compared: list[Compared] = []
    all_cosines = [_cosines(person, each) for each in embeddings]
    all_likenesses = all_cosines if rule is None else rule.likenesses(person, cameras, embeddings)
    for row, camera in enumerate(cameras):
        extents = camera.extents()
        columns = (extents.ids, extents.starts_ns, extents.ends_ns, extents.box_counts)
        for number, start, end, count in zip(*(column.tolist() for column in columns), strict=True):
            track = camera.span(number, start, end)
            cosine, likeness = (found[row].get(number, float("nan")) for found in (all_cosines, all_likenesses))
            outcome = _impossible(track, own, person.tracks) or (Outcome.NO_CROPS if np.isnan(cosine) else None)
            gap_ns = _gap_ns(track, person.tracks)
            compared.append(Compared(row, track, count, cosine, likeness, gap_ns, outcome))
    return sorted(compared, key=lambda each: (falling(each.likeness), each.track.track))


def falling(value: float) -> float:
    """Sorts numbers from the highest to the lowest, and those that are NaN behind all others."""
    return math.inf if math.isnan(value) else -value


Numbers = dict[int, float]
"""By track number; to six decimals, so that ties are ties."""


def _numbers(ids: NDArray[np.int64], values: NDArray[np.floating]) -> Numbers:
    return {number: round(value, 6) for number, value in zip(ids.tolist(), values.tolist(), strict=True)}


def _cosines(person: Person, embeddings: TrackEmbeddings) -> Numbers:
    """Cosine of each track's descriptor with the person's."""
    ids, descriptors = embeddings.descriptors()
    return _numbers(ids, descriptors @ person.descriptor) if len(ids) else {}


def _impossible(track: TrackSpan, own: set[TrackId], query: Sequence[TrackSpan]) -> Outcome | None:
    """Why this track cannot be a candidate. Within one camera both spans come from one clock, so its uncertainty doesn't matter."""
    if track.track in own:
        return Outcome.QUERY
    for each in query:
        if each.track.camera == track.track.camera and _shared_ns(each.span, track.span) > HANDOVER_NS:
            return Outcome.SAME_TIME
    return None


def _shared_ns(a: Interval, b: Interval) -> int:
    return min(a.end, b.end) - max(a.start, b.start)


def _gap_ns(track: TrackSpan, query: Sequence[TrackSpan]) -> int:
    return min(each.span.gap_ns(track.span) for each in query)


@dataclass(frozen=True, slots=True)
class CropPair:
    """The most alike crops of the query and of another track, and their cosine."""

    query: TrackPicture
    candidate: TrackPicture
    cosine: float


def best_crop_pair(person: Person, number: int, camera: CameraTracks, embeddings: TrackEmbeddings) -> CropPair:
    """The most alike presentable crops of the person and of track `number`, which has crops: a poor one of the other track may show
    the person themselves, as they pass before whom it follows."""
    ours = np.flatnonzero(person.crops.presentable)
    first, after = np.searchsorted(embeddings.track_ids, [number, number + 1])
    theirs = first + np.flatnonzero(embeddings.presentable[first:after])
    cosines = person.crops.vectors[ours] @ embeddings.vectors[theirs].T
    own, other = np.unravel_index(int(cosines.argmax()), cosines.shape)
    picture = _picture(camera, embeddings, int(theirs[other]))
    return CropPair(person.pictures[int(ours[own])], picture, round(float(cosines[own, other]), 6))
