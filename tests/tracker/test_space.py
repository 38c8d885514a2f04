"""Space and time in a ranking: who cannot be is left out, who is unlikely stands lower, and each candidate says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.tracker.scenes import SECOND, Camera, Walk, open_workspace, reference
from tests.tracker.test_rank import CALIBRATION, located, names, towards
from throughline.domain.pairs import pair_id
from throughline.domain.time import ClockMap
from throughline.domain.transits import LearnedTransit
from throughline.tracker.artifacts import CameraTracks
from throughline.tracker.pair_pictures import PairPictures
from throughline.tracker.rank import NOTHING, Calibrations, Ranking, RankRules, rank
from throughline.tracker.space import Known, weighed

QUERY = Walk(1, 20, 30)
CAMERAS = (
    Camera("door", (QUERY,)),
    Camera("till", (Walk(1, 22, 28, vector=towards(0.95)), Walk(2, 60, 70, vector=towards(0.8)))),
    Camera("yard", (Walk(1, 33, 40, vector=towards(0.9)), Walk(2, 100, 110, vector=towards(0.85)))),
)
SITE = """
transits:
  - {between: [door, till], least: 5, median: 30, spread: 1.4}
  - {from: door, to: yard, least: 10, most: 60}
"""


@pytest.fixture
def cameras(tmp_path: Path) -> list[CameraTracks]:
    workspace = open_workspace(tmp_path)
    return [camera.publish(workspace) for camera in CAMERAS]


def ranked(cameras: list[CameraTracks], place: Path, known: Known = NOTHING) -> Ranking:
    place.mkdir()
    return rank(
        located_at_the_door(cameras), cameras, RankRules(), Calibrations(CALIBRATION), PairPictures(place), known
    )


def located_at_the_door(cameras: list[CameraTracks]):  # type: ignore[no-untyped-def]
    return located(reference(cameras[0], QUERY))


def test_without_a_topology_people_may_be_anywhere(cameras: list[CameraTracks], tmp_path: Path) -> None:
    ranking = ranked(cameras, tmp_path / "scores")
    assert names(ranking) == [("till", 1), ("yard", 1), ("yard", 2), ("till", 2)]
    assert all(each.space_time == "" and each.appearance == each.similarity for each in ranking.candidates)


def test_impossible_ones_are_left_out_and_unlikely_ones_stand_lower(
    cameras: list[CameraTracks], tmp_path: Path
) -> None:
    before = {each.pair_id: each for each in ranked(cameras, tmp_path / "before").candidates}
    ranking = ranked(cameras, tmp_path / "scores", Known(topology_yaml=SITE))
    assert names(ranking)[0] == ("till", 2), "as long after the query as people take"
    assert (ranking.compared, ranking.impossible) == (2, 2)
    usual = ranking.candidates[0]
    assert usual.similarity > usual.appearance == before[usual.pair_id].similarity
    assert usual.cosine == before[usual.pair_id].cosine
    assert usual.space_time == "30.0 s from door to till; 30.0 s is usual"
    rows = {
        (row["camera"], row["track_id"]): row
        for row in pq.read_table(tmp_path / "scores" / "scores.parquet").to_pylist()
    }
    assert rows["till", 1]["outcome"] == "same_time"
    assert rows["yard", 1]["outcome"] == "too_soon"
    assert rows["yard", 1]["space_time"] == "3.0 s from door to yard; it takes 10.0 s at least"
    late = rows["yard", 2]
    assert (late["outcome"], late["ratio"]) == ("below_threshold", 0.2)
    assert late["similarity"] == pytest.approx(weighed(late["appearance"], 0.2), abs=1e-6)


def test_an_uncertain_clock_makes_less_impossible(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    unsure = [Camera(each.name, each.walks, ClockMap(uncertainty_ns=3 * SECOND)) for each in CAMERAS]
    ranking = ranked([camera.publish(workspace) for camera in unsure], tmp_path / "scores", Known(topology_yaml=SITE))
    assert ranking.impossible == 0


def test_learned_transits_only_weigh(cameras: list[CameraTracks], tmp_path: Path) -> None:
    learned = (LearnedTransit("door", "till", 30 * SECOND, 1.4, 20),)
    ranking = ranked(cameras, tmp_path / "scores", Known(learned=learned))
    assert ranking.impossible == 0
    raised = next(each for each in ranking.candidates if each.space_time)
    assert (raised.track.track.number, raised.space_time) == (2, "30.0 s from door to till; 30.0 s is usual")
    assert raised.similarity > raised.appearance
    assert ranking.learned == learned


def test_confirmed_tracks_search_too_and_nobody_is_asked_again(cameras: list[CameraTracks], tmp_path: Path) -> None:
    first = ranked(cameras, tmp_path / "first")
    confirmed = next(each.track for each in first.candidates if each.track.track.camera == "yard")
    asked = tuple(each.track.track for each in first.candidates if each.track.track.camera == "yard")
    second = ranked(cameras, tmp_path / "second", Known((confirmed,), asked))
    assert names(second) == [("till", 1), ("till", 2)]
    assert second.confirmed == (confirmed,)
    both = np.array([1.0, 0, 0]) + np.array(towards(0.9))
    assert second.candidates[0].cosine == pytest.approx(float(both @ towards(0.95) / np.linalg.norm(both)), abs=1e-5)
    assert second.candidates[0].pair_id == pair_id(reference(cameras[0], QUERY).track, second.candidates[0].track.track)
    rows = pq.read_table(tmp_path / "second" / "scores.parquet").to_pylist()
    outcomes = {(row["camera"], row["track_id"]): row["outcome"] for row in rows}
    assert (outcomes["yard", 1], outcomes["yard", 2]) == ("query", "asked")


def test_whoever_is_beside_a_confirmed_track_is_somebody_else(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    yard = Camera("yard", (*CAMERAS[2].walks, Walk(3, 34, 39, vector=towards(0.9))))
    cameras = [camera.publish(workspace) for camera in (*CAMERAS[:2], yard)]
    confirmed = reference(cameras[2], yard.walks[0])
    second = ranked(cameras, tmp_path / "scores", Known((confirmed,), (confirmed.track,)))
    assert ("yard", 3) not in names(second)
    assert second.impossible == 1


def test_evidence_moves_odds_and_leaves_what_is_unknown() -> None:
    assert weighed(0.5, 3.0) == pytest.approx(0.75)
    assert weighed(0.75, 1 / 3) == pytest.approx(0.5)
    assert weighed(0.3, 1.0) == 0.3
    assert np.isnan(weighed(float("nan"), 2.0))
