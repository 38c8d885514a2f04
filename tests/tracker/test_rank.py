"""Everyone is compared with the query, and each is a candidate or it is said why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.tracker.scenes import SECOND, START, Camera, Walk, open_workspace, reference
from throughline.domain.calibration import Calibration
from throughline.domain.correction import Correction
from throughline.domain.errors import Conflict, CorruptArtifact, FailedPrecondition, InvalidInput
from throughline.domain.likeness import SETS, Matching
from throughline.domain.pairs import Candidate, TrackSpan, pair_id
from throughline.domain.time import ClockMap, Interval
from throughline.domain.tracks import TrackEmbeddings
from throughline.perception.triton.client import REID, InferenceClient
from throughline.storage import documents
from throughline.storage.pictures import PICTURES_FILE
from throughline.storage.workspace import Workspace
from throughline.tracker.artifacts import CameraTracks
from throughline.tracker.locate import LocatedQuery
from throughline.tracker.match import best_crop_pair, confirmed_person, person_of
from throughline.tracker.pair_pictures import PairPictures
from throughline.tracker.rank import RANKING_FILE, SCORES_FILE, Calibrations, Ranking, RankRules, Scale, rank
from throughline.tracker.rank_stage import SCOUTS, RankStage, read_ranking
from throughline.tracker.space import Known

DEFAULT = RankRules()
CALIBRATION = Calibration((-1.0, 0.6, 1.0), (0.0, 0.5, 1.0), "a straight line on each side of 0.6", 100, 100)


CORRECTION = Correction(-1.2, 0.8, 40, 200, 8)


def towards(cosine: float) -> tuple[float, float, float]:
    """A descriptor of this cosine with (1, 0, 0)."""
    return (cosine, float(np.sqrt(1 - cosine**2)), 0.0)


QUERY = Walk(3, 20, 30)
FRAGMENT = Walk(4, 32, 40, vector=towards(0.9))
CAM1 = Camera(
    "cam1",
    (
        Walk(1, 0, 10, vector=towards(0.95)),  # before the query, in its own camera
        Walk(2, 25, 45, vector=towards(0.99)),  # beside the query
        QUERY,
        FRAGMENT,
        Walk(5, 39.8, 50, vector=towards(0.7)),  # takes over where the fragment ends
        Walk(6, 60, 70, vector=(0.0, 0.0, 0.0)),  # without crops
    ),
)
CAM2 = Camera("cam2", (Walk(1, 22, 28, vector=towards(0.8)), Walk(2, 100, 110, vector=towards(0.2))))
CAM3 = Camera("cam3", (Walk(1, 45, 50, vector=towards(0.8)),), clock=ClockMap(offset_ns=-7 * SECOND))


def located(*tracks: TrackSpan, agreed: tuple[Interval, ...] = ()) -> LocatedQuery:
    """A query that was found in these tracks of the first camera."""
    return LocatedQuery("cam1", "", tracks, 1.0, agreed, 10, QUERY.span(), (), "asked")


@dataclass
class Store:
    """Three cameras and what is asked about them."""

    workspace: Workspace
    cameras: list[CameraTracks]

    def ranked(self, place: Path, rules: RankRules = DEFAULT, calibration: Calibration | None = CALIBRATION) -> Ranking:
        place.mkdir()
        query = located(reference(self.cameras[0], QUERY), reference(self.cameras[0], FRAGMENT))
        return rank(query, self.cameras, rules, Calibrations(calibration), PairPictures(place))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    workspace = open_workspace(tmp_path)
    return Store(workspace, [camera.publish(workspace) for camera in (CAM1, CAM2, CAM3)])


def names(ranking: Ranking) -> list[tuple[str, int]]:
    return [(each.track.track.camera, each.track.track.number) for each in ranking.candidates]


def test_candidates_stand_in_decreasing_order_and_ties_by_camera_and_track(store: Store, tmp_path: Path) -> None:
    ranking = store.ranked(tmp_path / "scores")
    assert names(ranking) == [("cam1", 1), ("cam2", 1), ("cam3", 1), ("cam1", 5)]
    assert (ranking.compared, ranking.impossible) == (5, 1)
    similarities = [each.similarity for each in ranking.candidates]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[1] == similarities[2]


def test_every_track_has_a_row_that_says_what_became_of_it(store: Store, tmp_path: Path) -> None:
    store.ranked(tmp_path / "scores")
    rows = pq.read_table(tmp_path / "scores" / "scores.parquet").to_pylist()
    outcomes = {(row["camera"], row["track_id"]): (row["outcome"], row["rank"]) for row in rows}
    assert outcomes == {
        ("cam1", 1): ("candidate", 1),
        ("cam1", 2): ("same_time", 0),
        ("cam1", 3): ("query", 0),
        ("cam1", 4): ("query", 0),
        ("cam1", 5): ("candidate", 4),
        ("cam1", 6): ("no_crops", 0),
        ("cam2", 1): ("candidate", 2),
        ("cam2", 2): ("below_threshold", 0),
        ("cam3", 1): ("candidate", 3),
    }
    assert [row["cosine"] for row in rows[:-1]] == sorted((row["cosine"] for row in rows[:-1]), reverse=True)
    assert all(0 <= row["similarity"] <= 1 for row in rows[:-1])
    assert np.isnan(rows[-1]["cosine"])


def test_the_evidence_of_a_candidate(store: Store, tmp_path: Path) -> None:
    first, second, third, _ = store.ranked(tmp_path / "scores").candidates
    query = reference(store.cameras[0], QUERY)
    assert first.pair_id == pair_id(query.track, first.track.track)
    descriptor = np.array([1.0, 0, 0]) + np.array(towards(0.9))
    expected = float(np.dot(descriptor / np.linalg.norm(descriptor), towards(0.95)))
    assert first.cosine == pytest.approx(expected, abs=1e-5)
    assert first.similarity == pytest.approx(float(CALIBRATION.apply(np.array(expected))), abs=1e-5)
    assert first.crop_cosine == pytest.approx(float(np.dot(towards(0.9), towards(0.95))), abs=1e-5), (
        "the fragment's crop"
    )
    assert first.query_crop_uri.startswith("crops/cam1/000004-")
    assert first.candidate_crop_uri.startswith("crops/cam1/000001-")
    assert (tmp_path / "scores" / first.candidate_crop_uri).read_bytes() == b"\xff\xd8a picture\xff\xd9"
    assert first.time_gap_ns == 10 * SECOND
    assert second.time_gap_ns == 0
    assert third.time_gap_ns == 0, "38 to 43 s by UTC touches the fragment, 45 to 50 s by its own clock does not"
    assert third.track.span == Interval(
        *(moment + -7 * SECOND for moment in (CAM3.walks[0].span().start, CAM3.walks[0].span().end))
    )


def test_the_threshold_may_be_a_cosine(store: Store, tmp_path: Path) -> None:
    assert names(store.ranked(tmp_path / "a", RankRules(0.96, Scale.COSINE))) == [("cam1", 1)]
    assert names(store.ranked(tmp_path / "b", RankRules(0.0, Scale.COSINE)))[-1] == ("cam2", 2)
    assert names(store.ranked(tmp_path / "c", RankRules(0.999))) == []


def test_of_too_many_the_likeliest_are_given(store: Store, tmp_path: Path) -> None:
    ranking = store.ranked(tmp_path / "scores", RankRules(max_candidates=2))
    assert names(ranking) == [("cam1", 1), ("cam2", 1)]
    assert "candidates_cut" in [incident.code for incident in ranking.incidents]
    assert "2 more tracks" in ranking.incidents[0].message
    outcomes = pq.read_table(tmp_path / "scores" / "scores.parquet")["outcome"].to_pylist()
    assert outcomes.count("over_limit") == 2


def test_a_correction_moves_similarities_and_leaves_the_models_own_beside_them(store: Store, tmp_path: Path) -> None:
    plain, place = store.ranked(tmp_path / "plain"), tmp_path / "corrected"
    place.mkdir()
    query = located(reference(store.cameras[0], QUERY), reference(store.cameras[0], FRAGMENT))
    known = Known(correction=CORRECTION)
    ranking = rank(query, store.cameras, DEFAULT, Calibrations(CALIBRATION), PairPictures(place), known)
    assert ranking.correction == CORRECTION
    assert names(ranking) == names(plain)[:3], "the last one is less likely than not here"
    for one, other in zip(ranking.candidates, plain.candidates, strict=False):
        assert (one.appearance, one.cosine) == (other.appearance, other.cosine) == (other.similarity, other.cosine)
        assert one.similarity == pytest.approx(float(CORRECTION.apply(one.appearance)), abs=1e-6)
    for row in pq.read_table(place / "scores.parquet").to_pylist()[:-1]:
        assert row["appearance"] == pytest.approx(float(CALIBRATION.apply(np.array(row["likeness"]))), abs=1e-6)
        assert row["similarity"] == pytest.approx(float(CORRECTION.apply(row["appearance"])), abs=1e-6)


def test_without_calibration_only_the_cosine_scale_can_be_used(store: Store, tmp_path: Path) -> None:
    ranking = store.ranked(tmp_path / "a", RankRules(0.6, Scale.COSINE), calibration=None)
    assert names(ranking)[0] == ("cam1", 1)
    assert [incident.code for incident in ranking.incidents] == ["not_calibrated"]


def test_tracks_are_compared_by_sets_of_crops_where_the_model_is_calibrated_for_them(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "sets").mkdir()
    query = located(reference(store.cameras[0], QUERY))
    line = Calibration((-1.0, 1.0), (0.0, 1.0), "a straight line", 100, 100)
    matching = Matching(SETS, (0.5, 0.5, 0.1), line)
    ranking = rank(query, store.cameras, DEFAULT, Calibrations(CALIBRATION, matching), PairPictures(tmp_path / "sets"))
    assert (ranking.likeness, ranking.calibration, ranking.incidents) == (SETS, line, ())
    rows = [
        row for row in pq.read_table(tmp_path / "sets" / "scores.parquet").to_pylist() if row["outcome"] != "no_crops"
    ]
    assert [row["likeness"] for row in rows] == sorted((row["likeness"] for row in rows), reverse=True)
    for row in rows:
        assert row["similarity"] == pytest.approx((row["likeness"] + 1) / 2, abs=1e-5)
    assert {round(row["cosine"], 3) for row in rows} == {1.0, 0.99, 0.95, 0.9, 0.8, 0.7, 0.2}, "as without sets"


@pytest.mark.parametrize("likeness", [None, "sets 0"])
def test_a_calibration_for_another_likeness_is_not_used_and_that_is_said(
    store: Store, tmp_path: Path, likeness: str | None
) -> None:
    (tmp_path / "old").mkdir()
    old = None if likeness is None else Matching(likeness, (0.5, 0.5, 0.1), CALIBRATION)
    query = located(reference(store.cameras[0], QUERY))
    ranking = rank(query, store.cameras, DEFAULT, Calibrations(CALIBRATION, old), PairPictures(tmp_path / "old"))
    assert (ranking.likeness, ranking.calibration) == ("cosine", CALIBRATION)
    (incident,) = ranking.incidents
    assert incident.code == "calibrated_for_cosines"
    assert "run `throughline models calibrate` again" in incident.message


def test_on_the_cosine_scale_the_order_is_by_cosine(store: Store, tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    query = located(reference(store.cameras[0], QUERY))
    matching = Matching(SETS, (0.9, 0.0, 0.4), CALIBRATION)
    ranking = rank(
        query,
        store.cameras,
        RankRules(0.1, Scale.COSINE),
        Calibrations(CALIBRATION, matching),
        PairPictures(tmp_path / "scores"),
    )
    cosines = [each.cosine for each in ranking.candidates]
    assert cosines == sorted(cosines, reverse=True)


def test_vectors_that_are_not_finite_are_told_and_never_compared(store: Store, tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    spoilt = Camera("cam5", (Walk(1, 5, 9, vector=(float("nan"), 1.0, 0.0)),)).publish(store.workspace)
    with pytest.raises(CorruptArtifact, match="not finite; delete its artifact and track camera cam5 again"):
        rank(
            located(reference(store.cameras[0], QUERY)),
            [*store.cameras, spoilt],
            DEFAULT,
            Calibrations(CALIBRATION),
            PairPictures(tmp_path / "scores"),
        )


def test_a_query_without_crops_cannot_be_ranked(store: Store, tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    query = located(reference(store.cameras[0], CAM1.walks[5]))
    with pytest.raises(FailedPrecondition, match="track 6 of camera cam1 has no crops"):
        rank(query, store.cameras, RankRules(), Calibrations(CALIBRATION), PairPictures(tmp_path / "scores"))


def test_the_querys_camera_must_be_among_those_ranked(store: Store, tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    query = located(reference(store.cameras[0], QUERY))
    with pytest.raises(InvalidInput, match="query's camera cam1 are not among"):
        rank(query, store.cameras[1:], RankRules(), Calibrations(CALIBRATION), PairPictures(tmp_path / "scores"))


def test_a_camera_without_tracks_is_no_hindrance(store: Store, tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    empty = Camera("cam4", ()).publish(store.workspace)
    query = located(reference(store.cameras[0], QUERY), reference(store.cameras[0], FRAGMENT))
    assert (
        len(
            rank(
                query,
                [*store.cameras, empty],
                RankRules(),
                Calibrations(CALIBRATION),
                PairPictures(tmp_path / "scores"),
            ).candidates
        )
        == 4
    )


@pytest.mark.parametrize(("threshold", "most"), [(-0.1, 5), (1.1, 5), (float("nan"), 5), (0.5, 0), (0.5, 10_001)])
def test_rules_out_of_range_are_refused(threshold: float, most: int) -> None:
    with pytest.raises(InvalidInput, match=r"give 0 to 1|give 1 to 10000"):
        RankRules(threshold, Scale.CALIBRATED, most)


def stage_of(store: Store, client: InferenceClient) -> tuple[RankStage, LocatedQuery]:
    return RankStage(store.workspace, client), located(reference(store.cameras[0], QUERY))


def staged(workspace: Workspace, client: InferenceClient) -> tuple[list[CameraTracks], RankStage, LocatedQuery]:
    """Two cameras that the client's model has embedded, with the stage and the query."""
    digest = client.model(REID).digest
    cameras = [replace(camera, reid_digest=digest).publish(workspace) for camera in (CAM1, CAM2)]
    return cameras, *stage_of(Store(workspace, cameras), client)


def test_a_ranking_is_kept_with_its_job_and_another_is_refused(
    tmp_path: Path, workspace: Workspace, tiny_client: InferenceClient
) -> None:
    cameras, stage, query = staged(workspace, tiny_client)
    rules = RankRules(0.5, Scale.COSINE)
    artifact, ranking = stage.run(("job", 1), query, cameras, rules)
    crops = {uri for each in ranking.candidates for uri in (each.query_crop_uri, each.candidate_crop_uri)}
    assert {artifact.uri_of(name) for name in artifact.names()} == crops | {
        artifact.uri_of(name) for name in (RANKING_FILE, SCORES_FILE)
    }
    assert artifact.uri.endswith("jobs/job/scores/1/")
    assert ranking.reid_digest == tiny_client.model(REID).digest
    assert stage.run(("job", 1), query, list(reversed(cameras)), rules)[1] == ranking
    with pytest.raises(Conflict, match="round 1 of job job was ranked from other"):
        stage.run(("job", 1), query, cameras, RankRules(0.6, Scale.COSINE))
    assert stage.run(("job", 2), query, cameras, RankRules(0.6, Scale.COSINE))[1].rules.threshold == 0.6


def test_a_ranking_of_an_older_release_names_crops_that_lie_with_their_tracks(
    tmp_path: Path, workspace: Workspace, store: Store
) -> None:
    ranking = store.ranked(tmp_path / "scores")
    uri = "file:///workspace/tracks/k/crops/000001-7.jpg"
    older = replace(ranking.candidates[0], query_crop_uri=uri, candidate_crop_uri=uri)
    with workspace.create("jobs/job/scores/1") as place:
        (place / RANKING_FILE).write_bytes(documents.dump(replace(ranking, candidates=(older,))))
    assert read_ranking(workspace.get("jobs/job/scores/1")).candidates == (older,)


def _but_crops(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Each round keeps the crops of its pairs itself."""
    return [replace(each, query_crop_uri="", candidate_crop_uri="") for each in candidates]


def test_a_correction_is_used_for_the_calibration_that_was_answered_and_for_no_other(
    tmp_path: Path, workspace: Workspace, tiny_client: InferenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_client.model(REID).model_copy(update={"calibration": CALIBRATION})
    monkeypatch.setattr(tiny_client, "model", lambda name: model)
    cameras = [replace(camera, reid_digest=model.digest).publish(workspace) for camera in (CAM1, CAM2)]
    stage, query = stage_of(Store(workspace, cameras), tiny_client)
    _, plain = stage.run(("job", 1), query, cameras, DEFAULT)
    assert plain.calibrated_by
    assert (plain.correction, [each.code for each in plain.incidents]) == (None, ["calibrated_for_cosines"])

    ours = Known(correction=replace(CORRECTION, calibrated_by=plain.calibrated_by))
    _, corrected = stage.run(("job", 2), query, cameras, DEFAULT, ours)
    assert corrected.correction == ours.correction
    incident = corrected.incidents[-1]
    assert incident.code == "calibration_corrected"
    assert (
        "40 pairs confirmed and 200 rejected in 8 jobs: even odds by the model's calibration are 0.23"
        in incident.message
    )
    with pytest.raises(Conflict):
        stage.run(("job", 2), query, cameras, DEFAULT)

    _, other = stage.run(("job", 3), query, cameras, DEFAULT, Known(correction=CORRECTION))
    assert other.correction is None
    assert _but_crops(other.candidates) == _but_crops(plain.candidates)
    assert other.incidents[-1].code == "correction_not_used"
    assert stage.run(("job", 3), query, cameras, DEFAULT, Known(correction=CORRECTION))[1] == other


def test_a_candidate_whose_crop_is_lost_is_shown_without_it(
    tmp_path: Path, workspace: Workspace, tiny_client: InferenceClient
) -> None:
    cameras, stage, query = staged(workspace, tiny_client)
    pictures = cameras[1].artifact.path(PICTURES_FILE)
    pictures.write_bytes(bytes(pictures.stat().st_size))
    artifact, ranking = stage.run(("job", 1), query, cameras, RankRules(0.5, Scale.COSINE))
    lost = [each for each in ranking.candidates if each.track.track.camera == "cam2"]
    assert lost
    assert {each.candidate_crop_uri for each in lost} == {""}
    assert all(artifact.uri in each.query_crop_uri for each in ranking.candidates)
    (incident,) = (each for each in ranking.incidents if each.code == "crops_not_shown")
    assert incident.message.startswith(f"{len(lost)} crops of pairs cannot be shown")
    assert "is no JPEG" in incident.message


def test_scouts_keep_no_crops(tmp_path: Path, workspace: Workspace, tiny_client: InferenceClient) -> None:
    cameras, stage, query = staged(workspace, tiny_client)
    artifact, ranking = stage.run(("job", SCOUTS), query, cameras, RankRules(0.5, Scale.COSINE))
    assert sorted(artifact.names()) == [RANKING_FILE, SCORES_FILE]
    assert {each.candidate_crop_uri for each in ranking.candidates} == {""}


def test_a_ranking_in_another_order_is_another_one(
    tmp_path: Path, workspace: Workspace, tiny_client: InferenceClient
) -> None:
    cameras = [replace(CAM1, reid_digest=tiny_client.model(REID).digest).publish(workspace)]
    stage, query = stage_of(Store(workspace, cameras), tiny_client)
    stage.run(("job", 1), query, cameras, RankRules(0.5, Scale.COSINE))
    with pytest.raises(Conflict):
        stage.run(("job", 1), query, cameras, RankRules(0.5, Scale.COSINE, rerank=True))


def test_embeddings_of_another_model_are_not_compared(store: Store, tiny_client: InferenceClient) -> None:
    stage, query = stage_of(store, tiny_client)
    with pytest.raises(FailedPrecondition, match="camera cam1 were embedded by ReID model reid, and"):
        stage.run(("job", 1), query, store.cameras, RankRules(0.5, Scale.COSINE))


def test_without_a_calibration_the_calibrated_scale_is_refused(store: Store, tiny_client: InferenceClient) -> None:
    stage, query = stage_of(store, tiny_client)
    with pytest.raises(FailedPrecondition, match="has no calibration; run `throughline models calibrate`"):
        stage.run(("job", 1), query, store.cameras, RankRules())


def test_crops_of_somebody_else_to_whom_the_track_went_over_do_not_count(tmp_path: Path) -> None:
    # Two crops stand with the query, one after it shows the same person, the last somebody else.
    times = np.array([START.ns + second * SECOND for second in range(4)], np.int64)
    vectors = np.array([[1, 0], [1, 0], [0.8, 0.6], [0, 1]], np.float32)
    camera = CAM1.publish(open_workspace(tmp_path))
    numbers = np.full(4, QUERY.number, np.int64)
    embeddings = TrackEmbeddings(
        vectors, numbers, times, np.ones(4, np.float32), np.ones(4, bool), camera.embeddings().crops[:4]
    )

    def rows(agreed: Interval, calibration: Calibration | None) -> int:
        query = located(reference(camera, QUERY), agreed=(agreed,))
        return len(person_of(query, camera, embeddings, calibration).crops.vectors)

    first_two = Interval(START, START + 2 * SECOND)
    assert rows(first_two, CALIBRATION) == 3
    assert rows(first_two, None) == 2
    assert rows(Interval(START, START), CALIBRATION) == 4  # nothing stands with the query: all that there is


def test_a_poor_crop_alone_does_not_say_who_the_person_is(tmp_path: Path) -> None:
    # The only crop that stands with the query is poor, and shows whoever passes before them.
    times = np.array([START.ns + second * SECOND for second in range(4)], np.int64)
    vectors = np.array([[0, 1], [1, 0], [1, 0], [1, 0]], np.float32)
    camera = CAM1.publish(open_workspace(tmp_path))
    numbers, clear = np.full(4, QUERY.number, np.int64), np.array([False, True, True, True])
    embeddings = TrackEmbeddings(vectors, numbers, times, np.ones(4, np.float32), clear, camera.embeddings().crops[:4])
    query = located(reference(camera, QUERY), agreed=(Interval(START, START + SECOND),))
    person = person_of(query, camera, embeddings, CALIBRATION)
    assert len(person.crops.vectors) == 4
    np.testing.assert_allclose(person.descriptor, [1, 0], atol=1e-6)


def test_the_pair_of_crops_that_people_are_shown_is_of_clear_ones(tmp_path: Path) -> None:
    # A poor crop of the other track shows the person themselves, who passes before whom it follows.
    camera = Camera("cam1", (Walk(1, 0, 10), Walk(2, 20, 30, vector=towards(0.8))), crops_each=3).publish(
        open_workspace(tmp_path)
    )
    embeddings = camera.embeddings()
    vectors = embeddings.vectors.copy()
    vectors[4] = vectors[0]
    clear = np.array([True, False, True, True, False, True])
    mixed = replace(embeddings, vectors=vectors, clear=clear)
    person = confirmed_person(camera.span(1, START.ns, START.ns + SECOND), camera, mixed)
    pair = best_crop_pair(person, 2, camera, mixed)
    assert pair.cosine == pytest.approx(0.8, abs=1e-6)
    assert pair.candidate.stored.name != embeddings.crops[4]
    poor = replace(mixed, clear=np.zeros(6, bool))
    nowhere_clear = confirmed_person(camera.span(1, START.ns, START.ns + SECOND), camera, poor)
    assert best_crop_pair(nowhere_clear, 2, camera, poor).cosine == 1
