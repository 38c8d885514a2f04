"""Candidates may be put in order with other tracks as context; how alike they are stays what it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.tracker.scenes import Camera, Walk, open_workspace, reference
from throughline.domain.calibration import Calibration
from throughline.domain.likeness import SETS, Matching
from throughline.domain.rerank import reranked
from throughline.tracker import context
from throughline.tracker.artifacts import CameraTracks
from throughline.tracker.locate import LocatedQuery
from throughline.tracker.pair_pictures import PairPictures
from throughline.tracker.rank import Calibrations, Ranking, RankRules, rank

LINE = Calibration((-1.0, 1.0), (0.0, 1.0), "a straight line", 100, 100)
SETS_TOO = Calibrations(LINE, Matching(SETS, (0.1, 0.1, 0.1), LINE))


def turned(degrees: float) -> tuple[float, float, float]:
    angle = np.radians(degrees)
    return (float(np.cos(angle)), float(np.sin(angle)), 0.0)


QUERY = Walk(1, 0, 5, vector=turned(0))
# One person turns from 0 to 64 degrees, seen on the way by all; somebody else looks like the query from the other side.
PERSON = {2: 16, 3: 32, 4: 48, 5: 64}
OTHERS = {6: -60, 7: -76, 8: -92}
HOME = Camera("cam1", (QUERY,))
AWAY = Camera(
    "cam2",
    tuple(
        Walk(number, 10 * number, 10 * number + 5, vector=turned(angle)) for number, angle in (PERSON | OTHERS).items()
    ),
)


class Gallery:
    """Two cameras and what is asked about them."""

    def __init__(self, folder: Path) -> None:
        workspace = open_workspace(folder)
        self.folder = folder
        self.cameras: list[CameraTracks] = [HOME.publish(workspace), AWAY.publish(workspace)]
        track = reference(self.cameras[0], QUERY)
        self.query = LocatedQuery("cam1", "", (track,), 1.0, (), 10, QUERY.span(), (), "asked")

    def ranked(self, name: str, rules: RankRules, calibrations: Calibrations = Calibrations(LINE)) -> Ranking:  # noqa: B008
        (self.folder / name).mkdir()
        return rank(self.query, self.cameras, rules, calibrations, PairPictures(self.folder / name))


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gallery:
    monkeypatch.setattr(context, "reranked", lambda alike, first: reranked(alike, nearest=3, expanded=2, first=first))
    return Gallery(tmp_path)


def numbers(ranking: Ranking) -> list[int]:
    return [each.track.track.number for each in ranking.candidates]


def test_who_has_the_same_neighbours_comes_first_and_similarities_stay(gallery: Gallery) -> None:
    plain, context_too = gallery.ranked("plain", RankRules()), gallery.ranked("context", RankRules(rerank=True))
    assert numbers(plain) == [2, 3, 4, 6, 5, 7]
    assert numbers(context_too) == [2, 3, 4, 5, 6, 7]
    assert {each.pair_id: each for each in plain.candidates} == {each.pair_id: each for each in context_too.candidates}


def test_the_cut_follows_the_new_order(gallery: Gallery) -> None:
    assert 5 not in numbers(gallery.ranked("plain", RankRules(max_candidates=4)))
    ranking = gallery.ranked("context", RankRules(max_candidates=4, rerank=True))
    assert numbers(ranking) == [2, 3, 4, 5]
    rows = pq.read_table(gallery.folder / "context" / "scores.parquet").to_pylist()
    assert [(row["track_id"], row["rank"]) for row in rows if row["rank"]] == [(2, 1), (3, 2), (4, 3), (5, 4)]
    assert {row["track_id"] for row in rows if row["outcome"] == "over_limit"} == {6, 7}


@pytest.mark.parametrize("calibrations", [Calibrations(LINE), SETS_TOO])
def test_the_order_is_the_same_each_time(gallery: Gallery, calibrations: Calibrations) -> None:
    rules = RankRules(0.0, rerank=True)
    once, again = (gallery.ranked(name, rules, calibrations) for name in ("once", "again"))
    assert once == again
    assert len(once.candidates) == len(AWAY.walks)


def test_whoever_is_not_among_the_most_alike_comes_after_them(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "MOST_TRACKS", 3)
    assert numbers(gallery.ranked("few", RankRules(0.0, rerank=True))) == [2, 3, 4, 6, 5, 7, 8]


def test_nobody_to_compare_with_is_no_hindrance(tmp_path: Path) -> None:
    alone = Gallery(tmp_path)
    alone.cameras = alone.cameras[:1]
    assert alone.ranked("alone", RankRules(rerank=True)).candidates == ()
