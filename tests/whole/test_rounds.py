"""A real job over several rounds: who was confirmed finds others, and all of them are in the film and its evidence."""

from __future__ import annotations

from collections import Counter

from tests.whole.deployment import Theatre
from tests.whole.test_films import evidence_of
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import VERDICT_VALID


def test_a_job_of_several_rounds_films_whom_all_of_them_confirmed(theatre: Theatre, undisturbed_job: pb.Job) -> None:
    cameras = ", ".join(sorted({each.track.camera for each in undisturbed_job.candidates}))
    topology = f"overlaps: [[{cameras}, nowhere]]"
    job = theatre.finished(
        theatre.submit("rounds", undisturbed_job.footage_uri, max_rounds=10, max_candidates=2, topology_yaml=topology)
    )
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    rounds = Counter(each.round for each in job.candidates)
    assert job.round == max(rounds) > 1
    assert max(rounds.values()) <= 2
    assert len({each.pair_id for each in job.candidates}) == len(job.candidates)
    confirmed = [each for each in job.candidates if each.verdict == VERDICT_VALID]
    assert {each.round for each in confirmed} >= set(range(1, job.round)), (
        "each round that was followed confirmed somebody"
    )
    evidence = evidence_of(theatre, job)
    assert {pair.pair_id: pair.round for pair in evidence.pairs} == {
        each.pair_id: each.round for each in job.candidates
    }
    assert {pair.pair_id for pair in evidence.pairs if pair.shown} == {each.pair_id for each in confirmed}
    assert theatre.effects(job).pairs_at_tier == len(job.candidates)
    assert theatre.effects(job).alerts == 1
    assert "nowhere" in next(each.message for each in job.incidents if each.code == "topology_camera_unknown")
