"""Gives a ReID model its calibrations, from labelled tracks or from cosines that were measured already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.domain import calibration
from throughline.domain.calibration import Calibration
from throughline.domain.errors import FailedPrecondition, InvalidInput
from throughline.domain.likeness import SAME_LOOKS, SETS, Matching, all_likenesses
from throughline.domain.tracks import TrackEmbeddings
from throughline.models import repository
from throughline.perception.triton.card import ModelCard

Pairs = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""(n,) what was measured of each pair of tracks, and (n,) whether it is of one person."""


@dataclass(frozen=True)
class LabelledCamera:
    """All tracks of one camera, and whom those show that are labelled, by track number: whatever compares."""

    embeddings: TrackEmbeddings
    people: Mapping[int, object]


Place = Sequence[LabelledCamera]
"""Cameras among which people are the same: one store, at one time."""


def calibrate(
    model_dir: Path, places: Sequence[Place], fitted_on: str, cosines: Calibration | None = None
) -> ModelCard:
    """Fit to all pairs of labelled tracks on different cameras of one place and write the calibrations, of cosines of descriptors and
    of sets of crops, into the model's card and configurations.

    Tracks without a label count in their camera's mean look. `fitted_on` names the data; `cosines`: keep this calibration of cosines.
    A running server gives the new card from its next start on. Raises InvalidInput when the labels don't allow a fit.
    """
    card = _reid(model_dir)
    if cosines is None:
        cosines = calibration.fit(*joined(map(cosine_pairs, places)), fitted_on)
    known = np.mean(
        [
            each.embeddings.descriptors()[1].mean(axis=0)
            for place in places
            for each in place
            if len(each.embeddings.track_ids)
        ],
        axis=0,
    )
    same = cosines.inverse(SAME_LOOKS)
    pairs = joined(set_pairs(place, known, same) for place in places)
    look = tuple(round(float(value), 5) for value in known)
    matching = Matching(SETS, look, calibration.fit(*pairs, fitted_on))
    card = card.model_copy(update={"calibration": cosines, "matching": matching})
    repository.write_card(model_dir, card)
    return card


def calibrate_on_pairs(
    model_dir: Path, cosines: NDArray[np.floating], same: NDArray[np.bool_], fitted_on: str
) -> ModelCard:
    """Calibrate cosines alone, from (n,) cosines of pairs and (n,) whether each is of one person."""
    card = _reid(model_dir).model_copy(
        update={"calibration": calibration.fit(cosines, same, fitted_on), "matching": None}
    )
    repository.write_card(model_dir, card)
    return card


def kept_cosines(model_dir: Path) -> Calibration:
    """The calibration of cosines that a model has."""
    card = _reid(model_dir)
    if card.calibration is None:
        raise FailedPrecondition(f"{model_dir} has no calibration of cosines that could be kept; fit both")
    return card.calibration


def _reid(model_dir: Path) -> ModelCard:
    card = ModelCard.read(model_dir)
    if card.kind != "reid":
        raise InvalidInput(f"{model_dir} is a {card.kind}; only ReID models are calibrated")
    return card


def joined(pairs: Iterable[Pairs]) -> Pairs:
    """The pairs of several places, one after the other."""
    measured, same = zip(*pairs, strict=True)
    return np.concatenate(measured), np.concatenate(same)


def cosine_pairs(place: Place) -> Pairs:
    """Cosines of the descriptors of labelled tracks on different cameras, each pair once."""
    descriptors = np.concatenate([each.embeddings.descriptors()[1] for each in place]).astype(np.float64)
    return _pairs(place, descriptors @ descriptors.T)


def set_pairs(place: Place, known: NDArray[np.floating], same_cosine: float) -> Pairs:
    """Likenesses of the sets of crops of labelled tracks on different cameras, each pair once. See domain.likeness."""
    cameras = [each.embeddings for each in place]
    return _pairs(place, all_likenesses(cameras, np.asarray(known, np.float32), same_cosine))


def _pairs(place: Place, measured: NDArray[np.float64]) -> Pairs:
    """Of (t, t) values of all tracks, by camera and rising id, those that count."""
    cameras, people = [], []
    for camera, each in enumerate(place):
        for number in np.unique(each.embeddings.track_ids).tolist():
            cameras.append(camera)
            people.append(each.people.get(number))
    rows = [row for row, person in enumerate(people) if person is not None]
    pairs = [(one, other) for one, other in combinations(rows, 2) if cameras[one] != cameras[other]]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    same = [people[one] == people[other] for one, other in pairs]
    return measured[first, second], np.array(same, bool)
