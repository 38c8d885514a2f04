"""The tier as a server: pairs in over gRPC, answers out over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conditions import eventually
from tests.tier.scripted import review_request, scripted
from throughline.domain.errors import DependencyUnavailable, InvalidInput, PermissionDenied
from throughline.domain.pairs import Verdict
from throughline.domain.tracks import TrackTable
from throughline.storage.objects import open_objects
from throughline.storage.tables import write_tracks
from throughline.storage.workspace import Workspace
from throughline.tier.__main__ import build
from throughline.tier.callback import deliver
from throughline.tier.reviews import Judgement, Reviews
from throughline.tier.settings import TierSettings
from throughline.v1.common_pb2 import VERDICT_INVALID, VERDICT_UNSURE, VERDICT_VALID, TrackRef
from throughline.v1.tier_pb2 import ReviewPair, ReviewPairsRequest
from throughline.v1.tier_pb2_grpc import TierStub
from throughline.wire.client import connect, translated_errors
from throughline.wire.service import serve

FRAME_NS = 100_000_000


@pytest.fixture
def settings(tmp_path: Path) -> TierSettings:
    return TierSettings(
        tier_database_url=f"sqlite:///{tmp_path / 'tier.db'}",
        workspace_uri=f"file://{tmp_path / 'workspace'}/",
        allowed_roots=(tmp_path,),
        cache_dir=tmp_path / "cache",
        tier_retry_seconds=0.1,
    )


@contextmanager
def serving(settings: TierSettings) -> Iterator[TierStub]:
    server = serve([build(settings)], settings)
    try:
        with connect(server.address, settings) as channel:
            yield TierStub(channel)
    finally:
        server.stop()


def test_answers_of_people_reach_the_orchestrator_with_the_callback_token(settings: TierSettings) -> None:
    reviews = Reviews.open(settings.tier_database_url)
    with scripted().serving() as orchestrator, serving(settings) as tier:
        assert tier.ReviewPairs(review_request(orchestrator.address, "p1", "p2")).accepted == 2
        reviews.answer("job-1", [Judgement("p1", Verdict.VALID), Judgement("p2", Verdict.INVALID, "taller")], "ann")
        orchestrator.wait_for(lambda: bool(orchestrator.heard))
    (heard,) = orchestrator.heard
    assert (heard.job_id, heard.round, heard.callback_token) == ("job-1", 1, "secret")
    said = [(each.pair_id, each.verdict, each.annotator, each.comment) for each in heard.annotations]
    assert said == [("p1", VERDICT_VALID, "ann", ""), ("p2", VERDICT_INVALID, "ann", "taller")]
    assert all(each.annotated_ns > 0 for each in heard.annotations)
    reviews.close()


def test_answers_wait_for_an_orchestrator_that_is_away(settings: TierSettings) -> None:
    with scripted().serving() as earlier:
        target = earlier.address
    reviews = Reviews.open(settings.tier_database_url)
    reviews.take(review_request(target, "p1"))
    reviews.answer("job-1", [Judgement("p1", Verdict.UNSURE)], "ann")
    assert isinstance(deliver(reviews, settings)[0], DependencyUnavailable)
    with serving(settings), scripted().serving(target) as orchestrator:
        eventually(lambda: reviews.unsent() == [])
    assert orchestrator.heard[0].annotations[0].verdict == VERDICT_UNSURE
    reviews.close()


def test_an_answer_is_sent_again_under_the_same_id_until_it_is_taken(settings: TierSettings) -> None:
    failing = scripted(DependencyUnavailable("restarting"), DependencyUnavailable("restarting"))
    reviews = Reviews.open(settings.tier_database_url)
    with failing.serving() as orchestrator:
        reviews.take(review_request(orchestrator.address, "p1"))
        request_id = reviews.answer("job-1", [Judgement("p1", Verdict.VALID)], "ann")
        assert len(deliver(reviews, settings)) == 1
        assert len(deliver(reviews, settings)) == 1
        assert deliver(reviews, settings) == []
        assert deliver(reviews, settings) == []
    assert [heard.request_id for heard in orchestrator.heard] == [request_id]
    assert reviews.pairs("job-1")[0].sent
    reviews.close()


def test_what_the_orchestrator_refuses_is_not_sent_again(settings: TierSettings) -> None:
    reviews = Reviews.open(settings.tier_database_url)
    with scripted(PermissionDenied("wrong callback token")).serving() as orchestrator:
        reviews.take(review_request(orchestrator.address, "p1"))
        reviews.answer("job-1", [Judgement("p1", Verdict.VALID)], "ann")
        assert [str(error) for error in deliver(reviews, settings)] == ["wrong callback token"]
        assert deliver(reviews, settings) == []
    assert orchestrator.heard == []
    reviews.close()


def test_bad_pairs_and_foreign_callback_targets_are_refused(settings: TierSettings) -> None:
    strict = settings.model_copy(update={"tier_callback_targets": ("orchestrator:7400",)})
    refused = pytest.raises(PermissionDenied, match="allows orchestrator:7400")
    with serving(strict) as tier, refused, translated_errors("tier"):
        tier.ReviewPairs(review_request("evil:1", "p1"))
    with serving(settings) as tier, pytest.raises(InvalidInput, match="callback_target"), translated_errors("tier"):
        tier.ReviewPairs(review_request("", "p1"))


def _write_truth(path: Path) -> None:
    """Ada (left 0) before both cameras, Bob (left 300) before `a` only; ten frames."""
    rows = [
        (camera, frame * FRAME_NS, name, left)
        for frame in range(10)
        for camera, name, left in (("a", "ada", 0.0), ("a", "bob", 300.0), ("b", "ada", 0.0))
    ]
    columns = {
        "camera": [row[0] for row in rows],
        "camera_time_ns": [row[1] for row in rows],
        "name": [row[2] for row in rows],
        "kind": ["person"] * len(rows),
        "left": [row[3] for row in rows],
        "top": [0.0] * len(rows),
        "right": [row[3] + 50 for row in rows],
        "bottom": [100.0] * len(rows),
        "visibility": [1.0] * len(rows),
    }
    pq.write_table(pa.table(columns), path)


def _tracks(settings: TierSettings, key: str, lefts: list[float]) -> None:
    """A tracks artifact with one track of ten boxes for each left edge, numbered from 1."""
    ids = np.repeat(np.arange(1, len(lefts) + 1), 10)
    boxes = np.array([(left, 0, left + 50, 100) for left in lefts for _ in range(10)], np.float32)
    times = np.tile(np.arange(10, dtype=np.int64) * FRAME_NS, len(lefts))
    workspace = Workspace(settings.workspace_uri, open_objects(settings), settings.cache_dir)
    with workspace.create(f"tracks/{key}") as folder:
        write_tracks(folder / "tracks.parquet", TrackTable(ids, times, boxes, np.ones(len(ids), np.float32)))


def test_with_ground_truth_pairs_are_answered_without_people(settings: TierSettings, tmp_path: Path) -> None:
    _write_truth(tmp_path / "truth.parquet")
    _tracks(settings, "aaaa", [0, 300])
    _tracks(settings, "bbbb", [2, 600])
    query = TrackRef(camera="a", track_id=1, tracks_key="aaaa")
    candidates = {
        "ada": TrackRef(camera="b", track_id=1, tracks_key="bbbb"),
        "bob": TrackRef(camera="a", track_id=2, tracks_key="aaaa"),
        "nobody": TrackRef(camera="b", track_id=2, tracks_key="bbbb"),
    }
    pairs = [ReviewPair(pair_id=name, query=query, candidate=ref) for name, ref in candidates.items()]
    knowing = settings.model_copy(update={"tier_truth": tmp_path / "truth.parquet"})
    with scripted().serving() as orchestrator, serving(knowing) as tier:
        tier.ReviewPairs(
            ReviewPairsRequest(
                request_id="r", job_id="j", pairs=pairs, callback_target=orchestrator.address, callback_token="t"
            )
        )
        orchestrator.wait_for(lambda: bool(orchestrator.heard))
    said = {each.pair_id: each.verdict for each in orchestrator.heard[0].annotations}
    assert said == {"ada": VERDICT_VALID, "bob": VERDICT_INVALID, "nobody": VERDICT_INVALID}
    assert orchestrator.heard[0].annotations[0].annotator == "ground truth"
