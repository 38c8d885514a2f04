"""Answers of people: in any order, repeated, in part, late, for others' pairs; deadlines and reminders; films made anew."""

from __future__ import annotations

import time

import pytest

from tests.orchestrator.bench import Client
from tests.orchestrator.scripted import Script, wait_until
from throughline.domain.errors import Conflict, FailedPrecondition, InvalidInput, NotFound, PermissionDenied
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1 import tier_pb2
from throughline.v1.common_pb2 import VERDICT_INVALID, VERDICT_UNSURE, VERDICT_VALID


def review_of(client: Client, script: Script, **options: object) -> tier_pb2.ReviewPairsRequest:
    """A job that waits for answers, and what its tier was sent."""
    job_id = client.submit(options=pb.JobOptions(**options))  # type: ignore[arg-type]
    client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
    return next(review for review in script.reviews if review.job_id == job_id)


def film_pairs(script: Script, job_id: str, revision: int = 1) -> set[int]:
    """Track numbers that a film shows besides the query's; pair 0 is track 10 and so on."""
    film = next(film for film in script.films if film.job_id == job_id and film.revision == revision)
    return {track.track_id for track in film.tracks} - {1}


def test_answers_in_parts_and_any_order_count_until_the_last(client: Client, script: Script) -> None:
    review = review_of(client, script)
    first = client.answer(review, {"pair2": VERDICT_VALID})
    assert (first.accepted, first.outstanding, first.late) == (1, 2, 0)
    second = client.answer(review, {"pair0": VERDICT_INVALID})
    assert second.outstanding == 1
    assert client.job(review.job_id).state == pb.JOB_STATE_WAITING_FOR_REVIEW
    assert client.answer(review, {"pair1": VERDICT_UNSURE}).outstanding == 0
    assert client.until(review.job_id).state == pb.JOB_STATE_SUCCEEDED
    assert film_pairs(script, review.job_id) == {12}


def test_the_same_request_again_has_one_effect_and_other_content_is_refused(client: Client, script: Script) -> None:
    review = review_of(client, script)
    first = client.answer(review, {"pair0": VERDICT_VALID}, request_id="answers-1")
    again = client.answer(review, {"pair0": VERDICT_VALID}, request_id="answers-1")
    assert first == again
    with pytest.raises(Conflict):
        client.answer(review, {"pair0": VERDICT_INVALID}, request_id="answers-1")


def test_of_two_answers_the_one_given_later_wins_in_whatever_order_they_come(client: Client, script: Script) -> None:
    review = review_of(client, script)
    now = client.job(review.job_id).created_ns

    def annotation(pair_id: str, verdict: int, at: int) -> pb.Annotation:
        return pb.Annotation(pair_id=pair_id, verdict=verdict, annotated_ns=at)  # type: ignore[arg-type]

    client.answer(
        review, {}, annotations=[annotation("pair0", VERDICT_VALID, now - 5), annotation("pair1", VERDICT_VALID, now)]
    )
    client.answer(
        review,
        {},
        annotations=[annotation("pair0", VERDICT_INVALID, now - 9), annotation("pair1", VERDICT_INVALID, now)],
    )
    # A clock that runs ahead counts as now, so that a later answer can still replace it.
    client.answer(review, {}, annotations=[annotation("pair0", VERDICT_UNSURE, now + 10**15)])
    client.answer(review, {"pair0": VERDICT_VALID})
    client.answer(review, {"pair2": VERDICT_INVALID})
    job = client.until(review.job_id)
    assert [candidate.verdict for candidate in job.candidates] == [VERDICT_VALID, VERDICT_INVALID, VERDICT_INVALID]
    assert film_pairs(script, review.job_id) == {10}


def test_unknown_pairs_are_listed_and_the_rest_is_taken(client: Client, script: Script) -> None:
    review = review_of(client, script)
    response = client.answer(review, {"pair0": VERDICT_VALID, "nobody": VERDICT_VALID, "else": VERDICT_INVALID})
    assert list(response.unknown_pair_ids) == ["else", "nobody"]
    assert (response.accepted, response.outstanding) == (1, 2)


def test_a_wrong_token_another_jobs_token_and_an_unknown_job_or_round_are_refused(
    client: Client, script: Script
) -> None:
    review, other = review_of(client, script), review_of(client, script)
    for token in ("", "wrong", other.callback_token, review.callback_token + "x", "é"):
        with pytest.raises(PermissionDenied):
            client.answer(review, {"pair0": VERDICT_VALID}, callback_token=token)
    with pytest.raises(PermissionDenied):
        client.answer(review, {"pair0": VERDICT_VALID}, job_id=other.job_id)
    with pytest.raises(NotFound):
        client.answer(review, {"pair0": VERDICT_VALID}, job_id="nobody")
    with pytest.raises(NotFound):
        client.answer(review, {"pair0": VERDICT_VALID}, round=2)
    assert client.job(review.job_id).candidates[0].verdict == 0


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (pb.Annotation(pair_id="", verdict=VERDICT_VALID), "annotations[0].pair_id"),
        (pb.Annotation(pair_id="pair0"), "annotations[0].verdict"),
        (pb.Annotation(pair_id="pair0", verdict=9), "annotations[0].verdict"),  # type: ignore[arg-type]
        (pb.Annotation(pair_id="pair0", verdict=VERDICT_VALID, annotator="a" * 201), "annotations[0].annotator"),
        (pb.Annotation(pair_id="pair0", verdict=VERDICT_VALID, comment="a" * 4001), "annotations[0].comment"),
        (pb.Annotation(pair_id="pair0", verdict=VERDICT_VALID, annotated_ns=-1), "annotations[0].annotated_ns"),
    ],
)
def test_a_mistake_in_an_answer_is_named(client: Client, script: Script, annotation: pb.Annotation, words: str) -> None:
    review = tier_pb2.ReviewPairsRequest(job_id="any", round=1)
    with pytest.raises(InvalidInput, match=words.replace("[", r"\[").replace("]", r"\]")):
        client.answer(review, {}, annotations=[annotation])
    with pytest.raises(InvalidInput, match="1 to 10000"):
        client.answer(review, {})
    with pytest.raises(InvalidInput, match="request_id"):
        client.answer(review, {"pair0": VERDICT_VALID}, request_id="with space")


def test_answers_that_come_before_the_tier_has_said_that_it_took_the_pairs_count(
    client: Client, script: Script
) -> None:
    script.hold("ReviewPairs")
    job_id = client.submit()
    script.await_request("ReviewPairs")
    review = next(message for message in script.messages if isinstance(message, tier_pb2.ReviewPairsRequest))
    client.answer(review, {f"pair{index}": VERDICT_VALID for index in range(3)})
    job = client.until(job_id)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert film_pairs(script, job_id) == {10, 11, 12}


def test_late_answers_are_kept_and_change_only_a_film_that_is_made_anew(client: Client, script: Script) -> None:
    review = review_of(client, script)
    client.answer(review, {f"pair{index}": VERDICT_INVALID for index in range(3)})
    client.until(review.job_id)
    late = client.answer(review, {"pair1": VERDICT_VALID})
    assert (late.accepted, late.late) == (0, 1)
    job = client.job(review.job_id)
    assert job.candidates[1].verdict == VERDICT_INVALID
    assert job.timeline.query_only

    assert client.rebuild(review.job_id, "again") == 2
    assert client.rebuild(review.job_id, "again") == 2
    wait_until(lambda: client.job(review.job_id).timeline.revision == 2)
    job = client.job(review.job_id)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert not job.timeline.query_only
    assert film_pairs(script, review.job_id, 2) == {11}
    wait_until(lambda: [alert.timeline.revision for alert in script.alerts] == [1, 2])
    assert client.rebuild(review.job_id, "once-more") == 3


def test_a_film_cannot_be_made_anew_before_there_is_one(client: Client, script: Script) -> None:
    review = review_of(client, script)
    with pytest.raises(FailedPrecondition):
        client.rebuild(review.job_id)
    with pytest.raises(NotFound):
        client.rebuild("nobody")
    with pytest.raises(InvalidInput):
        client.rebuild(review.job_id, "with space")


def test_a_film_that_fails_to_be_made_anew_leaves_the_job_as_it_is(client: Client, script: Script) -> None:
    script.candidates = 0
    job_id = client.submit()
    client.until(job_id)
    script.fail("RenderTimeline", FailedPrecondition("the reel is gone"))
    client.rebuild(job_id)
    wait_until(lambda: bool([i for i in client.job(job_id).incidents if i.code == "rebuild_failed"]))
    job = client.job(job_id)
    assert (job.state, job.timeline.revision) == (pb.JOB_STATE_SUCCEEDED, 1)


def test_at_the_deadline_the_film_is_made_of_what_is_confirmed(client: Client, script: Script) -> None:
    review = review_of(client, script, review_deadline_seconds=1)
    client.answer(review, {"pair1": VERDICT_VALID})
    job = client.until(review.job_id)
    assert job.state == pb.JOB_STATE_SUCCEEDED
    assert job.timeline.partial
    assert film_pairs(script, review.job_id) == {11}
    assert client.answer(review, {"pair2": VERDICT_VALID}).late == 1
    client.rebuild(review.job_id)
    wait_until(lambda: client.job(review.job_id).timeline.revision == 2)
    assert client.job(review.job_id).timeline.partial
    assert film_pairs(script, review.job_id, 2) == {11, 12}


def test_the_tier_is_reminded_of_open_pairs_again_and_again(client: Client, script: Script) -> None:
    review = review_of(client, script, review_deadline_seconds=60)
    client.answer(review, {"pair1": VERDICT_VALID})
    wait_until(lambda: len(script.reviews) >= 3)
    assert [sent.reminder for sent in script.reviews[:3]] == [0, 1, 2]
    assert [pair.pair_id for pair in script.reviews[1].pairs] == ["pair0", "pair2"]
    assert script.reviews[1].request_id == f"{review.job_id}.review-1.1"
    assert script.reviews[1].callback_token == review.callback_token
    client.answer(review, {"pair0": VERDICT_VALID, "pair2": VERDICT_VALID})
    client.until(review.job_id)
    assert set(script.effects.values()) == {1}


def test_the_time_of_a_round_runs_from_when_the_tier_has_the_pairs(client: Client, script: Script) -> None:
    script.hold("ReviewPairs")
    job_id = client.submit(options=pb.JobOptions(review_deadline_seconds=1))
    script.await_request("ReviewPairs")
    deadline = client.job(job_id).review_deadline_ns
    wait_until(lambda: client.job(job_id).state != pb.JOB_STATE_RUNNING or time.time_ns() > deadline + 5 * 10**8)
    assert client.job(job_id).state == pb.JOB_STATE_RUNNING
    script.release()
    job = client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
    assert job.review_deadline_ns > deadline
    assert client.until(job_id).timeline.partial
