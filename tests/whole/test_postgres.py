"""Whole jobs on Postgres, with real services: two executors, of which one is killed for good in the middle, and one is frozen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import grpc
import pytest

from tests.deployment.compose import Compose, running
from tests.deployment.test_processes import SERVICES, bucket_client
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.simulation.truth import StoreTruth
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import STAGE_TRACK, ClockMap
from throughline.v1.orchestrator_pb2_grpc import OrchestratorStub
from throughline.wire.client import connect
from throughline.wire.settings import ServiceSettings

ENDED = (pb.JOB_STATE_SUCCEEDED, pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELLED)
ELSEWHERE = {"THROUGHLINE_LISTEN": "127.0.0.1:0", "THROUGHLINE_METRICS_LISTEN": ""}
"""For all but the first, which is where the others expect the orchestrator."""
TAKEOVER = {"THROUGHLINE_HEARTBEAT_SECONDS": "0.5", "THROUGHLINE_TAKEOVER_SECONDS": "5"}
PATIENCE_SECONDS = 240.0


class Cluster:
    """A deployment with as many orchestrators as a test starts, each of them with every job."""

    def __init__(self, compose: Compose, store: StoreTruth) -> None:
        self.compose, self.store = compose, store
        self.token = (compose.folder / "secrets" / "cli_token").read_text()

    def start(self, name: str, **changes: str) -> str:
        """One more orchestrator; its address."""
        file = self.compose.folder / f"{name}.address"
        own = {"THROUGHLINE_EXECUTOR_ID": name, "THROUGHLINE_ADDRESS_FILE": str(file)}
        self.compose.start("orchestrator", name, **own, **TAKEOVER, **changes)
        await_that(file.exists, f"{name} serves")
        return f"127.0.0.1:{file.read_text().rpartition(':')[2]}"

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.compose.processes[name].pid, number)

    def submit(self, address: str, name: str) -> str:
        """A job over footage of its own."""
        s3 = bucket_client(self.compose)
        for chunk in self.store.footage.rglob("*.mp4"):
            s3.upload_file(str(chunk), "footage", f"{name}/{chunk.relative_to(self.store.footage).as_posix()}")
        clocks = [ClockMap(camera=camera, offset_ns=clock.offset_ns) for camera, clock in self.store.clocks.items()]
        query = (self.store.folder / self.store.document.queries[0].file).read_text()
        request = pb.SubmitJobRequest(
            request_id=name,
            footage_uri=f"s3://footage/{name}/",
            query_json=query,
            options=pb.JobOptions(clock_maps=clocks),
        )
        with self._stub(address) as stub:
            return OrchestratorStub(stub).SubmitJob(request, timeout=60, wait_for_ready=True).job_id

    def job(self, address: str, job_id: str) -> pb.Job:
        with self._stub(address) as stub:
            return OrchestratorStub(stub).GetJob(pb.GetJobRequest(job_id=job_id), timeout=60, wait_for_ready=True).job

    def finished(self, address: str, job_id: str) -> pb.Job:
        await_that(lambda: self.job(address, job_id).state in ENDED, f"{job_id} has ended")
        return self.job(address, job_id)

    def _stub(self, address: str) -> grpc.Channel:
        return connect(address, ServiceSettings(token=self.token))


def await_that(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"it never came true that {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = SimulationSettings(
        seed=7, cameras=3, people=6, seconds=16, width=640, height=360, rate=10, chunk_seconds=4
    )
    store = simulate(settings, tmp_path_factory.mktemp("store"))
    answers = {"tier": {"THROUGHLINE_TIER_TRUTH": str(store.folder / "truth" / "truth.parquet")}}
    others = tuple(name for name in SERVICES if name != "orchestrator")
    with running(tmp_path_factory.mktemp("cluster"), answers, others) as compose:
        yield Cluster(compose, store)


def candidates(job: pb.Job) -> list[tuple[str, int, int, int]]:
    return [(each.track.camera, each.track.track_id, each.track.span.start_ns, each.verdict) for each in job.candidates]


def check_same(job: pb.Job, undisturbed: pb.Job) -> None:
    """It came to what a job without any disturbance comes to, and no finished piece of work was done again."""
    assert (job.state, job.error) == (pb.JOB_STATE_SUCCEEDED, "")
    assert candidates(job) == candidates(undisturbed)
    assert job.timeline.duration_ns == undisturbed.timeline.duration_ns
    usual = {timing.stage: timing.runs for timing in undisturbed.timings}
    # What was finished at the very moment of the kill is found ready, and so counted by nobody.
    assert all(timing.runs <= usual[timing.stage] for timing in job.timings), job.timings


def at_work(cluster: Cluster, address: str, job_id: str) -> bool:
    job = cluster.job(address, job_id)
    return job.stage >= STAGE_TRACK or job.state in ENDED


def test_all_jobs_end_when_one_of_two_executors_is_killed_for_good_or_frozen(cluster: Cluster) -> None:
    survivor, doomed = cluster.start("survivor"), cluster.start("doomed", **ELSEWHERE)
    undisturbed = cluster.finished(survivor, cluster.submit(survivor, "undisturbed"))
    assert undisturbed.state == pb.JOB_STATE_SUCCEEDED, undisturbed.error

    jobs = [cluster.submit(address, f"killed-{number}") for number, address in enumerate((survivor, doomed, doomed))]
    await_that(lambda: all(at_work(cluster, survivor, job_id) for job_id in jobs), "all jobs are at work")
    cluster.signal("doomed", signal.SIGKILL)
    for job_id in jobs:
        check_same(cluster.finished(survivor, job_id), undisturbed)

    frozen = cluster.start("frozen", **ELSEWHERE)
    jobs = [cluster.submit(frozen, f"frozen-{number}") for number in range(2)]
    await_that(lambda: all(at_work(cluster, survivor, job_id) for job_id in jobs), "all jobs are at work")
    cluster.signal("frozen", signal.SIGSTOP)
    ended = [cluster.finished(survivor, job_id) for job_id in jobs]
    cluster.signal("frozen", signal.SIGCONT)
    await_that(lambda: cluster.compose.processes["frozen"].wait(0) is not None, "the frozen executor has ended")
    for job_id, job in zip(jobs, ended, strict=True):
        check_same(job, undisturbed)
        assert cluster.job(survivor, job_id) == job
