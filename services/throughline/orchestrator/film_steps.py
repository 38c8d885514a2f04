"""Steps from the answers to the end: film the person's way, tell whoever waits for it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from throughline.domain.errors import ThroughlineError
from throughline.orchestrator.alerting import Herald
from throughline.orchestrator.documents import JobDocuments
from throughline.orchestrator.films import FIRST, FilmId
from throughline.orchestrator.inflight import Errand
from throughline.orchestrator.ledger import Ledger
from throughline.orchestrator.notary import Notary
from throughline.orchestrator.requests import film_request_id
from throughline.orchestrator.stages import Stages
from throughline.v1.alert_pb2 import Appearance, TimelineReadyRequest
from throughline.v1.common_pb2 import Incident
from throughline.v1.renderer_pb2 import RenderTimelineRequest, RenderTimelineResult

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilmSteps:
    """Each method is the body of one step. `on_planned` is called when a film was asked for."""

    ledger: Ledger
    stages: Stages
    herald: Herald
    documents: JobDocuments
    notary: Notary
    alert_target: str
    on_planned: Callable[[], None]

    def plan_film(self, errand: Errand) -> None:
        """Nobody has to be asked any more: want the film of the query and of whom earlier rounds confirmed."""
        self.plan(errand.job_id)

    def plan(self, job_id: str) -> None:
        """Want the film that ends a job."""
        self.ledger.films.plan_first(job_id)
        self.on_planned()

    def keep_rounds(self, errand: Errand) -> None:
        """Write down what was asked and answered in each round that there was."""
        for number, document in self.ledger.rounds.documents(errand.job_id).items():
            text = json.dumps(document, indent=2, ensure_ascii=False)
            self.documents.write(errand.job_id, f"rounds/{number}.json", text)

    def render_timeline(self, errand: Errand, film: FilmId) -> None:
        """Film the query and everyone who was confirmed, and write down what the film rests on."""
        job_id, started_ns = film.job_id, time.time_ns()
        options = self.ledger.jobs.assignment(job_id).request.options
        request = RenderTimelineRequest(
            job_id=job_id,
            revision=film.revision,
            tracks=self.ledger.films.tracks(film),
            cameras=self.ledger.cameras.tracked(job_id, options.clock_maps),
            redaction=options.redaction,
            film=options.film,
        )
        meter = self.ledger.meter(job_id, "render_timeline")
        result = self.stages.render_timeline(errand, request, meter)
        self.ledger.jobs.add_run(job_id, "render_timeline", str(film.revision), started_ns, runs=int(not result.reused))
        self.ledger.jobs.add_incidents(job_id, "render_timeline", result.incidents)
        self.ledger.films.save(film, result, self._evidence(film, request, result))

    def _evidence(self, film: FilmId, request: RenderTimelineRequest, result: RenderTimelineResult) -> str:
        """Where the film's evidence lies; empty where it can't be written, and the job says so: the film is good without it."""
        try:
            return self.notary.attest(film, result.artifact.uri, request.cameras)
        except ThroughlineError as error:
            if error.retryable:
                raise
            message = f"the film has no evidence: {error}"
            _log.warning("job %s: %s", film.job_id, message)
            incident = Incident(code="evidence_missing", subject=str(film.revision), message=message)
            self.ledger.jobs.add_incidents(film.job_id, "render_timeline", [incident])
            return ""

    def alert(self, errand: Errand, film: FilmId) -> None:
        """Say that the film is ready."""
        job_id, started_ns = film.job_id, time.time_ns()
        assignment = self.ledger.jobs.assignment(job_id)
        request = TimelineReadyRequest(
            request_id=film_request_id(film),
            job_id=job_id,
            timeline=self.ledger.films.result(film),
            appearances=[
                Appearance(camera=track.camera, span=track.span, track=track)
                for track in self.ledger.films.tracks(film)
            ],
            query_label=assignment.label,
            labels=assignment.request.options.labels,
        )
        self.herald.tell(errand, assignment.request.options.alert_target or self.alert_target, request)
        self.ledger.jobs.add_run(job_id, "alert", str(film.revision), started_ns, runs=1)

    def succeed(self, film: FilmId) -> None:
        """The first film ends the job; later ones change nothing of its state."""
        if film.revision == FIRST:
            self.ledger.jobs.end(film.job_id, "succeeded")

    def lose_film(self, film: FilmId, error: str) -> None:
        """The film, or saying that it is ready, failed."""
        self.ledger.films.fail(film)
        if film.revision == FIRST:
            self.ledger.jobs.end(film.job_id, "failed", error)
        else:
            incident = Incident(code="rebuild_failed", subject=str(film.revision), message=error)
            self.ledger.jobs.add_incidents(film.job_id, "render_timeline", [incident])
