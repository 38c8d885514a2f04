"""The orchestrator: jobs are taken, watched, answered and ended here. The stages' order is workflow.py's."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator

from throughline.domain.errors import InvalidInput, LimitExceeded, ThroughlineError
from throughline.orchestrator.alerting import Herald
from throughline.orchestrator.documents import JobDocuments
from throughline.orchestrator.durable import Durable
from throughline.orchestrator.film_steps import FilmSteps
from throughline.orchestrator.footage_steps import FootageSteps
from throughline.orchestrator.inflight import Errand, InFlight
from throughline.orchestrator.ledger import Ledger
from throughline.orchestrator.metrics import JobCounts
from throughline.orchestrator.notary import Notary
from throughline.orchestrator.patience import Patience
from throughline.orchestrator.pins import pin_models
from throughline.orchestrator.requests import check_request_id, digest_of
from throughline.orchestrator.review_steps import ReviewSteps
from throughline.orchestrator.running import Runner
from throughline.orchestrator.search_steps import SearchSteps
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.orchestrator.stages import Stages
from throughline.orchestrator.submission import check_submission
from throughline.orchestrator.sweeper import Sweeper
from throughline.orchestrator.vigil import Vigil
from throughline.orchestrator.words import ENDED, state_of
from throughline.orchestrator.workflow import Steps, Workflow
from throughline.storage.objects import open_objects
from throughline.storage.records import Records
from throughline.storage.workspace import Workspace
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import Incident
from throughline.wire import tracing

_log = logging.getLogger(__name__)
_LET_GO_SECONDS = 10.0
_PIN_SECONDS = 2.0
"""How long SubmitJob waits for the models, at most."""
_ENDED_STATES = frozenset(state_of(word) for word in ENDED)


class Orchestrator:
    """One executor. It goes on with what others were doing when they died; `close` lets go of everything."""

    def __init__(self, settings: OrchestratorSettings) -> None:
        if not settings.workspace_uri:
            raise InvalidInput(
                "THROUGHLINE_WORKSPACE_URI is not set; name the folder or bucket where artifacts are kept"
            )
        self._settings = settings
        self._ended = threading.Event()
        self._watchers = threading.BoundedSemaphore(max(1, settings.max_workers // 2))
        self._objects = open_objects(settings)
        self._vigil = Vigil(settings)
        self._records = Records.open(settings.database_url)
        self._ledger = Ledger.over(self._records, settings)
        workspace = Workspace(settings.workspace_uri, self._objects, settings.cache_dir)
        self._notary = Notary(self._records, workspace, settings.evidence_key_file)
        self._stages = Stages(settings)
        self._in_flight = InFlight(self._ledger.jobs.ended, settings.silence_seconds)
        self._sweeper = Sweeper(self._ledger, settings.sweep_seconds)
        self._durable = Durable(settings, self._vigil.life)
        self._workflow = self._build_workflow()
        self._in_flight.start()
        self._durable.start()
        self._vigil.start(self._durable, self._lost)
        self._sweeper.start(self._workflow)

    def _build_workflow(self) -> Workflow:
        settings, stages = self._settings, self._stages
        ledger = Ledger.over(self._records.guarded(self._vigil.guard), settings)
        documents = JobDocuments(self._objects, settings.workspace_uri)
        steps = Steps(
            footage=FootageSteps(ledger, stages, documents, settings.poll_seconds),
            search=SearchSteps(ledger, stages, settings.pairs_per_call, settings.poll_seconds),
            review=ReviewSteps(ledger, settings),
            film=FilmSteps(
                ledger, stages, Herald(settings), documents, self._notary, settings.alert_target, self._sweeper.wake
            ),
        )
        first, most = settings.retry_first_seconds, settings.retry_most_seconds
        near = Patience(first, most, settings.stage_patience_seconds, settings.unexplained_attempts)
        far = Patience(first, most, settings.outside_patience_seconds, settings.unexplained_attempts)
        runner = Runner(self._durable, self._in_flight, ledger.jobs, ledger.waits)
        return Workflow(self._durable, runner, steps, ledger.jobs, (near, far))

    @property
    def counts(self) -> JobCounts:
        """Its jobs and queues in numbers."""
        return JobCounts(self._ledger.records)

    def _lost(self) -> None:
        """Others go on with what this process was doing: let go of it, and end, to be started again with nothing in its hands."""
        _log.error(
            "executor %s was frozen for too long, or another process has its THROUGHLINE_EXECUTOR_ID; ending",
            self._settings.executor_id,
        )
        self._in_flight.stop(seconds=0)
        os.kill(os.getpid(), signal.SIGTERM)

    def close(self) -> None:
        """Stop everything at once. Nothing is lost: what was at work goes on in another executor, or in the next of this name."""
        self._ended.set()
        self._sweeper.stop()
        self._in_flight.stop(_LET_GO_SECONDS)
        self._vigil.stop()
        self._durable.stop()
        self._vigil.leave()
        self._stages.close()
        self._records.close()

    def submit(self, request: pb.SubmitJobRequest) -> pb.SubmitJobResponse:
        """Take a job. Raises InvalidInput (InvalidQuery), PermissionDenied, NotFound (query_uri), LimitExceeded, Conflict."""
        check_request_id(request.request_id)
        known = self._ledger.jobs.known(request.request_id, digest_of(request))
        if known is not None:
            return pb.SubmitJobResponse(job_id=known, existed=True)
        submission = check_submission(request, self._objects, self._settings, self._ledger.learning.corrected)
        job_id, existed = self._ledger.jobs.create(submission)
        tracing.link_job(job_id)
        self._sweeper.wake()
        if not existed:
            self._pin_models(job_id)
        return pb.SubmitJobResponse(job_id=job_id, existed=existed)

    def _pin_models(self, job_id: str) -> None:
        """Pin a new job to the models of this moment; where they are out of reach, it is pinned when its first camera is tracked."""
        try:
            pin_models(self._ledger.pins, self._stages, Errand(job_id, bound=False), _PIN_SECONDS)
        except ThroughlineError as error:
            _log.warning("job %s is not pinned to its models yet: %s", job_id, error)

    def job(self, job_id: str) -> pb.Job:
        """Everything about a job; raise NotFound where there is none."""
        return self._ledger.view.job(job_id)

    def page(self, request: pb.ListJobsRequest) -> pb.ListJobsResponse:
        return self._ledger.view.page(request)

    def watch(self, job_id: str, watched: threading.Event) -> Iterator[pb.Job]:
        """The job as it stands, then again after every change, until it has ended or `watched` is set.

        Raises NotFound, and LimitExceeded where so many watch that others could not be served any more.
        """
        if not self._watchers.acquire(blocking=False):
            raise LimitExceeded("too many watch jobs here at once; ask with GetJob every few seconds, or watch later")
        try:
            yield from self._changes(job_id, watched)
        finally:
            self._watchers.release()

    def _changes(self, job_id: str, watched: threading.Event) -> Iterator[pb.Job]:
        seen = -1
        while not (watched.is_set() or self._ended.is_set()):
            version = self._ledger.jobs.version(job_id)
            if version != seen:
                seen = version
                job = self._ledger.view.job(job_id, with_candidates=False)
                yield job
                if job.state in _ENDED_STATES:
                    return
            watched.wait(self._settings.poll_seconds)

    def cancel(self, request: pb.CancelJobRequest) -> pb.CancelJobResponse:
        """End the job unless it has ended, and stop what runs of it. Raises InvalidInput, NotFound."""
        if request.request_id:
            check_request_id(request.request_id)
        if len(request.reason) > 1000:
            raise InvalidInput(f"reason: has {len(request.reason)} characters; at most 1000")
        state = self._ledger.jobs.end(request.job_id, "cancelled")
        if state == "cancelled":
            if request.reason:
                reason = Incident(code="cancelled", subject=request.job_id, message=request.reason)
                self._ledger.jobs.add_incidents(request.job_id, "unspecified", [reason])
            self._in_flight.stop_job(request.job_id)
            self._workflow.cancel(request.job_id)
        return pb.CancelJobResponse(state=state_of(state))

    def take_answers(self, request: pb.AnnotationResultRequest) -> pb.AnnotationResultResponse:
        """Keep what people said. Raises InvalidInput, NotFound, PermissionDenied, Conflict."""
        response = self._ledger.answers.take(request)
        self._sweeper.wake()
        return response

    def rebuild(self, request: pb.RebuildTimelineRequest) -> pb.RebuildTimelineResponse:
        """Ask for a film of the answers as they stand now. Raises InvalidInput, NotFound, FailedPrecondition, Conflict."""
        check_request_id(request.request_id)
        revision = self._ledger.films.plan_again(request.job_id, request.request_id)
        self._sweeper.wake()
        return pb.RebuildTimelineResponse(revision=revision)
