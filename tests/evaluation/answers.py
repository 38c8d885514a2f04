"""What a site's answers make of a calibration that is off, or right: on drawn pairs, and on the tracks that the suites `stores` and
`corridor` left in build/evaluation. Who answers is wrong once in a hundred times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
_ENOUGH = 60
_DRAWS = 12
_WRONG = 0.01
_TEACHING = 0.6
"""Share of a site's people who are searched for before the others."""


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
            bar = 0.025 if jobs >= _ENOUGH else None
            yield Measure(f"{name} after {jobs} jobs", float(np.mean(errors)), "", bar)


def _stores(folder: Path) -> Iterator[Measure]:
    stores = sorted(each for each in folder.glob("store-*") if (each / "home/workspace/tracks").is_dir())
    if stores:
        card = ModelCard.read(TritonSettings().model_repository / "reid")
        places = [own_tracks(each / "home", read_truth(each / "store/truth/truth.parquet"))[0] for each in stores]
        yield from _sites(f"{len(places)} stores", card, places)


def _corridor(folder: Path) -> Iterator[Measure]:
    if (folder / "home/workspace/tracks").is_dir():
        place, _ = own_tracks(folder / "home", read_truth(folder / "truth.parquet"))
        yield from _sites("corridor", ModelCard.read(folder / "models" / "reid"), [place])


def _sites(name: str, card: ModelCard, places: Sequence[Place]) -> Iterator[Measure]:
    """Each place is a site, where one search for each of some people teaches, and all those for the others are measured."""
    sites = [list(_queries(card, place)) for place in places]
    for kind, offset in (("as it is", 0.0), ("with odds e times too high", 1.0)):
        claimed = Correction(offset, 1.0, 0, 0, 0)
        errors = np.array(
            [_errors(site, claimed, np.random.default_rng(draw)) for site in sites for draw in range(_DRAWS)]
        )
        before, after = errors.mean(axis=0).tolist()
        better = int((errors[:, 1] < errors[:, 0]).sum())
        yield Measure(f"answers, {name}, calibration {kind}: error", before, "")
        yield Measure(f"answers, {name}, calibration {kind}: after, less in {better} of {len(errors)}", after, "")


def _errors(site: Sequence[_Query], claimed: Correction, rng: np.random.Generator) -> tuple[float, float]:
    """The error as it was claimed, and as it is corrected."""
    people = rng.permutation(sorted({each.person for each in site})).tolist()
    teaching = set(people[: round(_TEACHING * len(people))])
    jobs = []
    for person in sorted(teaching):
        own = [each for each in site if each.person == person]
        jobs.append(_reviewed(claimed, own[int(rng.integers(len(own)))], rng))
    held = [each for each in site if each.person not in teaching]
    likely = claimed.apply(np.concatenate([each.likely for each in held]))
    same = np.concatenate([each.same for each in held])
    found = learn_correction(jobs)
    after = likely if found is None else found.apply(likely)
    return calibration_error(likely, same), calibration_error(after, same)


@dataclass(frozen=True)
class _Query:
    """One track and those of other cameras: P(same person) by the model, and whether it is."""

    person: str
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
            people.append(str(each.people.get(number, "")))
    where, who = np.array(cameras), np.array(people)
    for row in np.flatnonzero(who != "").tolist():
        others = (where != where[row]) & (who != "")
        yield _Query(people[row], card.matching.calibration.apply(alike[row, others]), who[others] == who[row])


def _reviewed(claimed: Correction, query: _Query, rng: np.random.Generator) -> Reviewed:
    """What people say of those that are as likely as not, or likelier."""
    likely = claimed.apply(query.likely)
    asked = likely >= 0.5
    valid = np.where(rng.random(len(likely)) < _WRONG, ~query.same, query.same).astype(np.float64)
    return Reviewed(len(likely), likely[asked], np.ones(int(asked.sum())), valid[asked])
