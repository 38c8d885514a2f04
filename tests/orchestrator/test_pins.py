"""Jobs are pinned to models when they are submitted, or as soon as the models can be reached."""

from __future__ import annotations

from tests.orchestrator.bench import Client
from tests.orchestrator.scripted import Script, wait_until
from throughline.domain.errors import DependencyUnavailable
from throughline.v1 import orchestrator_pb2 as pb

FIRST, SECOND = "a" * 64, "b" * 64


def pinned(job: pb.Job) -> dict[str, str]:
    return {pin.name: pin.digest for pin in job.models}


def both(digest: str) -> dict[str, str]:
    return {"detector": digest, "reid": digest}


def test_a_job_has_the_models_of_its_submission(client: Client, script: Script) -> None:
    script.hold("ListFootage")
    job_id = client.submit()
    assert pinned(client.job(job_id)) == both(FIRST)
    script.models = SECOND
    script.release()
    assert pinned(client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)) == both(FIRST)
    assert script.count("PinModels") == 1


def test_a_job_whose_models_were_away_is_pinned_when_it_is_tracked(client: Client, script: Script) -> None:
    script.fail("PinModels", DependencyUnavailable("Triton is on its way up"))
    script.hold("ListFootage")
    job_id = client.submit()
    assert not client.job(job_id).models
    script.hold("Track")
    script.release("ListFootage")
    script.await_request("Track")
    assert pinned(client.job(job_id)) == both(FIRST)
    script.release()
    client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)


def test_a_submission_is_not_held_up_by_models_that_do_not_answer(client: Client, script: Script) -> None:
    script.hold("PinModels", "ListFootage")
    job_id = client.submit()
    assert not client.job(job_id).models
    wait_until(lambda: "PinModels" in script.stopped, what="the call goes on")
    script.release()
    assert pinned(client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)) == both(FIRST)
