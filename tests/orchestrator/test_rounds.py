"""Rounds of review after the first: who was confirmed searches again, and only those nobody was asked about go to the tier."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.orchestrator.bench import Client
from tests.orchestrator.scripted import Script, wait_until
from throughline.domain.errors import InvalidInput
from throughline.orchestrator.films import FilmId
from throughline.orchestrator.ranking import Ranking
from throughline.orchestrator.rounds import RoundId
from throughline.orchestrator.search_steps import PairsPart
from throughline.orchestrator.testimony import testimony as sworn_to
from throughline.storage.records import Records
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import VERDICT_INVALID, VERDICT_UNSPECIFIED, VERDICT_UNSURE, VERDICT_VALID, Verdict
from throughline.v1.tier_pb2 import ReviewPairsRequest


def review(script: Script, job_id: str, number: int) -> ReviewPairsRequest:
    return next(each for each in script.reviews if (each.job_id, each.round) == (job_id, number))


def answer(client: Client, script: Script, job_id: str, number: int, verdict: Verdict.ValueType) -> None:
    asked = review(script, job_id, number)
    client.answer(asked, {pair.pair_id: verdict for pair in asked.pairs})


def test_confirmed_tracks_search_again_until_nobody_new_appears(client: Client, script: Script, home: Path) -> None:
    script.later = (2, 1)
    job_id = client.submit(options=pb.JobOptions(max_rounds=10))
    for number in (1, 2, 3):
        assert client.await_round(job_id, number).review_deadline_ns > 0
        answer(client, script, job_id, number, VERDICT_VALID)
    job = client.until(job_id)
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    assert job.round == 3
    assert [each.round for each in job.candidates] == [1, 1, 1, 2, 2, 3]
    assert [each.rank for each in job.candidates] == [1, 2, 3, 1, 2, 1]
    second, fourth = script.rankings(2)[0], script.rankings(4)[0]
    assert [track.track_id for track in second.confirmed] == [track.track_id for track in second.asked] == [10, 11, 12]
    assert len(fourth.asked) == 6, "nobody new appeared, which ended it"
    assert (job.timeline.partial, job.timeline.query_only) == (False, False)
    assert len(script.films[-1].tracks) == 7
    assert "no_candidates" not in {incident.code for incident in job.incidents}
    records = Records.open(f"sqlite:///{home}/orchestrator.db")
    sworn = sworn_to(records, FilmId(job_id, 1))
    assert [(pair.round, pair.rank, pair.shown) for pair in sworn.pairs] == [
        (number, rank, True) for number, count in ((1, 3), (2, 2), (3, 1)) for rank in range(1, count + 1)
    ]
    records.close()
    for number in (1, 2, 3):
        document = json.loads((home / f"workspace/jobs/{job_id}/rounds/{number}.json").read_text())
        assert (document["round"], document["outcome"]) == (number, "complete")


def test_whoever_had_no_clip_is_asked_about_in_the_next_round_and_counts_once(
    client: Client, script: Script, home: Path
) -> None:
    script.unrenderable = {"pair1"}
    job_id = client.submit(options=pb.JobOptions(max_rounds=2))
    client.await_round(job_id, 1)
    script.unrenderable = set()
    unknown = client.answer(review(script, job_id, 1), {"pair1": VERDICT_VALID})
    assert (unknown.accepted, list(unknown.unknown_pair_ids)) == (0, ["pair1"])
    answer(client, script, job_id, 1, VERDICT_VALID)
    client.await_round(job_id, 2)
    assert [pair.pair_id for pair in review(script, job_id, 2).pairs] == ["pair1"]
    assert [track.track_id for track in script.rankings(2)[0].asked] == [10, 12]
    answer(client, script, job_id, 2, VERDICT_VALID)
    job = client.until(job_id)
    assert [(each.round, each.pair_id, each.verdict) for each in job.candidates] == [
        (1, "pair0", VERDICT_VALID),
        (1, "pair1", VERDICT_UNSPECIFIED),
        (1, "pair2", VERDICT_VALID),
        (2, "pair1", VERDICT_VALID),
    ]
    assert sorted(track.track_id for track in script.films[-1].tracks) == [1, 10, 11, 12]
    assert len(script.alerts[-1].appearances) == 4
    records = Records.open(f"sqlite:///{home}/orchestrator.db")
    sworn = sworn_to(records, FilmId(job_id, 1))
    assert [(pair.round, pair.pair_id) for pair in sworn.pairs] == [(1, "pair0"), (1, "pair2"), (2, "pair1")]
    assert [track.track_id for track in Ranking(records).confirmed(job_id, 3)] == [10, 12, 11]
    records.close()


def test_by_default_there_is_one_round(client: Client, script: Script) -> None:
    script.later = (2,)
    job_id = client.submit()
    client.await_round(job_id, 1)
    answer(client, script, job_id, 1, VERDICT_VALID)
    assert client.until(job_id).round == 1


def test_no_more_rounds_than_asked_for(client: Client, script: Script) -> None:
    script.later = (1, 1, 1)
    job_id = client.submit(options=pb.JobOptions(max_rounds=2))
    for number in (1, 2):
        client.await_round(job_id, number)
        answer(client, script, job_id, number, VERDICT_VALID)
    assert client.until(job_id).round == 2
    assert not script.rankings(3)


@pytest.mark.parametrize("verdict", [VERDICT_INVALID, VERDICT_UNSURE])
def test_where_nobody_was_confirmed_nobody_searches(client: Client, script: Script, verdict: Verdict.ValueType) -> None:
    script.later = (2,)
    job_id = client.submit(options=pb.JobOptions(max_rounds=3))
    client.await_round(job_id, 1)
    answer(client, script, job_id, 1, verdict)
    assert client.until(job_id).timeline.query_only
    assert not script.rankings(2)


def test_a_deadline_in_a_later_round_ends_all_with_what_is_confirmed(client: Client, script: Script) -> None:
    script.later = (2, 2)
    job_id = client.submit(options=pb.JobOptions(max_rounds=5, review_deadline_seconds=4))
    client.await_round(job_id, 1)
    answer(client, script, job_id, 1, VERDICT_VALID)
    client.await_round(job_id, 2)
    client.answer(review(script, job_id, 2), {"round2-pair0": VERDICT_VALID})
    job = client.until(job_id)
    assert job.timeline.partial
    assert len(script.films[-1].tracks) == 5
    assert not script.rankings(3)


def test_late_answers_of_every_round_change_a_rebuilt_film(client: Client, script: Script) -> None:
    script.later = (1,)
    job_id = client.submit(options=pb.JobOptions(max_rounds=2))
    for number in (1, 2):
        client.await_round(job_id, number)
        answer(client, script, job_id, number, VERDICT_VALID)
    client.until(job_id)
    client.answer(review(script, job_id, 1), {"pair0": VERDICT_INVALID})
    client.answer(review(script, job_id, 2), {"round2-pair0": VERDICT_INVALID})
    client.rebuild(job_id)
    wait_until(lambda: client.job(job_id).timeline.revision == 2, seconds=60)
    assert sorted(track.track_id for track in script.films[-1].tracks) == [1, 11, 12]


def test_a_later_round_that_fails_leaves_the_film_of_the_ones_before(client: Client, script: Script) -> None:
    job_id = client.submit(options=pb.JobOptions(max_rounds=3))
    client.await_round(job_id, 1)
    script.fail("RankCandidates", InvalidInput("these tracks are gone"))
    answer(client, script, job_id, 1, VERDICT_VALID)
    job = client.until(job_id)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert len(script.films[-1].tracks) == 4
    failed = next(incident for incident in job.incidents if incident.code == "round_failed")
    assert "these tracks are gone" in failed.message


def test_a_later_round_that_the_tier_refuses_is_closed(client: Client, script: Script) -> None:
    script.later = (2,)
    job_id = client.submit(options=pb.JobOptions(max_rounds=3))
    client.await_round(job_id, 1)
    script.fail("ReviewPairs", InvalidInput("one round is enough"))
    answer(client, script, job_id, 1, VERDICT_VALID)
    job = client.until(job_id)
    assert (job.state, job.review_deadline_ns, job.timeline.partial) == (pb.JOB_STATE_SUCCEEDED, 0, True)
    assert len(script.films[-1].tracks) == 4


def test_cancelling_in_a_later_round_stops_it(client: Client, script: Script) -> None:
    script.later = (1,)
    script.hold("TimelineReady")
    job_id = client.submit(options=pb.JobOptions(max_rounds=3))
    client.await_round(job_id, 1)
    script.hold("RankCandidates")
    answer(client, script, job_id, 1, VERDICT_VALID)
    script.await_request("RankCandidates", 2)
    client.cancel(job_id)
    wait_until(lambda: "RankCandidates" in script.stopped, seconds=60)
    assert client.until(job_id).state == pb.JOB_STATE_CANCELLED


def test_a_topology_goes_to_every_ranking_and_unknown_cameras_are_told(client: Client, script: Script) -> None:
    script.later = (1,)
    text = "transits: [{between: [cam1, cam22], least: 3}]"
    job_id = client.submit(options=pb.JobOptions(max_rounds=2, topology_yaml=text))
    client.await_round(job_id, 1)
    answer(client, script, job_id, 1, VERDICT_VALID)
    job = client.await_round(job_id, 2)
    assert {each.topology_yaml for number in (1, 2) for each in script.rankings(number)} == {text}
    told = [incident.message for incident in job.incidents if incident.code == "topology_camera_unknown"]
    assert told == ["the topology names cameras without footage: 'cam22' (did you mean 'cam2'?)"]


def test_a_topology_that_is_none_is_refused_at_once(client: Client) -> None:
    with pytest.raises(InvalidInput, match=r"options.topology_yaml: topology transits\[0\].least: is '-1'"):
        client.submit(options=pb.JobOptions(topology_yaml="transits: [{from: a, to: b, least: -1}]"))


def test_steps_of_two_rounds_wait_apart_and_those_of_the_first_are_called_as_ever() -> None:
    first, second = RoundId("job", 1), RoundId("job", 2)
    assert [first.step_number(number) for number in (0, 1, 9_999)] == [0, 1, 9_999]
    assert not {first.step_number(number) for number in range(10_000)} & {
        second.step_number(number) for number in range(10_000)
    }
    assert (PairsPart(first, 3).task, PairsPart(second, 3).task) == ("pairs/3", "round-2/pairs/3")


def test_calls_for_clips_that_fail_in_two_rounds_are_told_of_twice(client: Client, script: Script) -> None:
    script.later = (1,)
    script.fail("RenderPairs/1", InvalidInput("no such codec"))
    job_id = client.submit(options=pb.JobOptions(max_rounds=2))
    client.await_round(job_id, 1)
    script.fail("RenderPairs/2", InvalidInput("no such codec"))
    answer(client, script, job_id, 1, VERDICT_VALID)
    job = client.await_round(job_id, 2)
    failed = [each.subject for each in job.incidents if each.code == "pairs_failed"]
    assert failed == ["1", "round-2/0"]
