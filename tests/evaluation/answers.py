"""What a site's answers make of a calibration that is off, or right: on drawn pairs, and on the tracks that the suites `stores` and
`corridor` left in build/evaluation. Who answers is wrong once in a hundred times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.bench.measure import Measure
from tests.domain.test_correction import error, review
from tests.evaluation.own_tracks import own_tracks
from tests.evaluation.reliability import calibration_error
from throughline.domain.calibration import Floats
from throughline.domain.correction import Correction, Reviewed, learn_correction
from throughline.domain.likeness import SAME_LOOKS, all_likenesses
from throughline.models.calibrate import Place
from throughline.perception.triton.card import ModelCard
from throughline.perception.triton.server import TritonSettings
from throughline.storage.truth import read_truth

SHIFTS = ((0.0, 1.0), (-1.0, 1.0), (1.0, 1.0), (0.0, 0.6), (0.0, 1.5), (-1.5, 0.7), (-0.5, 0.8), (0.4, 1.2))
"""Offset and slope that the log odds need to be right; the first are right already."""
JOBS = (5, 20, 60, 200)
_DRAWS = 6
_WRONG = 0.01
_SEED = 3


def run(folder: Path) -> list[Measure]:
    """Figures over all; those of tracks only where there are some."""
    return [*_drawn(), *_stores(folder.parent / "stores"), *_corridor(folder.parent / "corridor")]


def _drawn() -> Iterator[Measure]:
    for offset, slope in SHIFTS:
        name = f"answers, log odds need {slope:g} x {offset:+g}: error"
        yield Measure(f"{name} as they are", error(None, offset, slope), "")
        for jobs in JOBS:
            errors = []
            for draw in range(_DRAWS):
                rng = np.random.default_rng([draw, jobs])
                errors.append(error(learn_correction([review(rng, offset, slope) for _ in range(jobs)]), offset, slope))
            yield Measure(f"{name} after {jobs} jobs", float(np.mean(errors)), "", 0.05)


def _stores(folder: Path) -> Iterator[Measure]:
    """Some stores teach, the others are measured."""
    stores = sorted(each for each in folder.glob("store-*") if (each / "home/workspace/tracks").is_dir())
    if len(stores) > 1:
        card = ModelCard.read(TritonSettings().model_repository / "reid")
        places = [_place(each / "home", each / "store/truth/truth.parquet") for each in stores]
        yield from _figures("stores", card, places[::2], places[1::2])
        yield from _figures("stores, the other way", card, places[1::2], places[::2])


def _corridor(folder: Path) -> Iterator[Measure]:
    """Half of the people teach, the others are measured."""
    if (folder / "home/workspace/tracks").is_dir():
        card = ModelCard.read(folder / "models" / "reid")
        place = _place(folder / "home", folder / "truth.parquet")
        people = sorted({str(person) for each in place for person in each.people.values()})
        halves = [_only(place, set(people[start::2])) for start in (0, 1)]
        yield from _figures("corridor", card, halves[:1], halves[1:])
        yield from _figures("corridor, the other way", card, halves[1:], halves[:1])


def _place(home: Path, truth: Path) -> Place:
    return own_tracks(home, read_truth(truth))[0]


def _only(place: Place, people: set[str]) -> Place:
    """The same tracks, of which others are not labelled."""
    return [
        replace(each, people={number: who for number, who in each.people.items() if str(who) in people})
        for each in place
    ]


def _figures(name: str, card: ModelCard, teaching: Sequence[Place], measured: Sequence[Place]) -> Iterator[Measure]:
    """By the model's own calibration, and by the same with its log odds moved up by one."""
    rng = np.random.default_rng(_SEED)
    jobs = [job for place in teaching for job in _queries(card, place)]
    held = [job for place in measured for job in _queries(card, place)]
    likely, same = np.concatenate([each.likely for each in held]), np.concatenate([each.same for each in held])
    for kind, offset in (("as it is", 0.0), ("with odds e times too high", 1.0)):
        claimed = Correction(offset, 1.0, 0, 0, 0)
        found = learn_correction([_reviewed(claimed.apply(each.likely), each.same, rng) for each in jobs])
        before = claimed.apply(likely)
        after = before if found is None else found.apply(before)
        told = (
            "none"
            if found is None
            else f"{found.offset:+.2f}, slope {found.slope:.2f}, {found.valid} valid, {found.invalid} invalid"
        )
        yield Measure(f"answers, {name}, calibration {kind}: error", calibration_error(before, same), "")
        yield Measure(f"answers, {name}, calibration {kind}: error after {told}", calibration_error(after, same), "")


@dataclass(frozen=True)
class _Query:
    """One track and those of other cameras: P(same person) by the model, and whether it is."""

    likely: Floats
    same: NDArray[np.bool_]


def _queries(card: ModelCard, place: Place) -> Iterator[_Query]:
    """Every clear labelled track looks for those of other cameras."""
    assert card.calibration is not None
    assert card.matching is not None
    look = np.array(card.matching.mean_look, np.float32)
    alike = all_likenesses([each.embeddings for each in place], look, card.calibration.inverse(SAME_LOOKS))
    cameras, people = [], []
    for camera, each in enumerate(place):
        for number in np.unique(each.embeddings.track_ids).tolist():
            cameras.append(camera)
            people.append(str(each.people[number]) if number in each.people else "")
    where, who = np.array(cameras), np.array(people)
    for row in np.flatnonzero(who != "").tolist():
        others = (where != where[row]) & (who != "")
        yield _Query(card.matching.calibration.apply(alike[row, others]), who[others] == who[row])


def _reviewed(claimed: Floats, same: NDArray[np.bool_], rng: np.random.Generator) -> Reviewed:
    """What people say of those that are as likely as not, or likelier."""
    asked = claimed >= 0.5
    valid = np.where(rng.random(len(same)) < _WRONG, ~same, same).astype(np.float64)
    return Reviewed(len(same), claimed[asked], np.ones(int(asked.sum())), valid[asked])
