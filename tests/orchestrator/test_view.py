"""Jobs as callers see them: one, and many in pages."""

from __future__ import annotations

import base64

import pytest

from tests.orchestrator.bench import Client
from tests.orchestrator.scripted import Script
from throughline.domain.errors import InvalidInput, NotFound
from throughline.v1 import orchestrator_pb2 as pb


def page(client: Client, **fields: object) -> pb.ListJobsResponse:
    return client.call("ListJobs", pb.ListJobsRequest(**fields))  # type: ignore[arg-type]


def test_jobs_are_listed_newest_first_in_pages(client: Client, script: Script) -> None:
    script.hold("ListFootage")
    jobs = [client.submit(options=pb.JobOptions(labels={"n": str(index)})) for index in range(5)]
    script.await_request("ListFootage", 5)
    seen: list[pb.Job] = []
    token = ""
    while len(seen) < 5:
        answer = page(client, page_size=2, page_token=token, state=pb.JOB_STATE_RUNNING)
        assert len(answer.jobs) <= 2
        seen.extend(answer.jobs)
        token = answer.next_page_token
        if not token:
            break
    assert [job.job_id for job in seen] == jobs[::-1]
    assert [job.labels["n"] for job in seen] == ["4", "3", "2", "1", "0"]
    assert token == ""
    assert page(client, page_size=1).next_page_token
    client.cancel(jobs[2])
    assert jobs[2] not in [job.job_id for job in page(client, state=pb.JOB_STATE_RUNNING).jobs]
    assert jobs[2] in [job.job_id for job in page(client, state=pb.JOB_STATE_CANCELLED).jobs]


def test_lists_leave_out_what_is_long(client: Client, script: Script) -> None:
    job_id = client.submit()
    client.until(job_id, pb.JOB_STATE_WAITING_FOR_REVIEW)
    listed = page(client, page_size=1).jobs[0]
    assert listed.job_id == job_id
    assert (len(listed.candidates), len(listed.progress), len(listed.timings)) == (0, 0, 0)
    assert len(client.job(job_id).candidates) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"page_size": 1001},
        {"page_size": -1},
        {"page_token": "nonsense"},
        {"page_token": base64.urlsafe_b64encode(b"x:y").decode()},
        {"page_token": "é"},
        {"state": 99},
    ],
)
def test_a_page_that_cannot_be_is_refused(client: Client, fields: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        page(client, **fields)


def test_unknown_jobs_are_not_found(client: Client) -> None:
    with pytest.raises(NotFound, match="nobody"):
        client.job("nobody")
