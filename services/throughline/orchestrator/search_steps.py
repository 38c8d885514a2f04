"""Steps from tracks to pair clips: locate the query, rank everyone else, render the pairs."""

from __future__ import annotations

import time
from dataclasses import dataclass

from throughline.domain.errors import FailedPrecondition
from throughline.orchestrator.inflight import Errand
from throughline.orchestrator.ledger import Ledger
from throughline.orchestrator.ranking import ROUND
from throughline.orchestrator.stages import Stages
from throughline.v1.common_pb2 import ArtifactRef, Incident
from throughline.v1.renderer_pb2 import PairClip, RenderPairsRequest
from throughline.v1.tracker_pb2 import CameraTracks, LocateQueryRequest, RankCandidatesRequest

DEFAULT_CANDIDATES = 500
_DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class SearchSteps:
    """Each method is the body of one step."""

    ledger: Ledger
    stages: Stages
    pairs_per_call: int
    poll_seconds: float

    def locate_query(self, errand: Errand) -> tuple[str, str]:
        """Find the query's tracks; return where the located query lies, and its key."""
        job_id, started_ns = errand.job_id, time.time_ns()
        assignment = self.ledger.jobs.assignment(job_id)
        cameras = self._cameras(job_id)
        own = next(tracks for tracks in cameras if tracks.camera == assignment.camera)
        request = LocateQueryRequest(job_id=job_id, query_json=assignment.query_json, camera_tracks=own)
        answer = self.stages.locate_query(errand, request)
        if not answer.tracks:
            raise FailedPrecondition(f"the tracker located the query of job {job_id} in no track; see its log")
        self.ledger.jobs.add_run(job_id, "locate", "", started_ns, runs=1)
        self.ledger.jobs.add_incidents(job_id, "locate", answer.incidents)
        self.ledger.ranking.save_query(job_id, answer.tracks, answer.iou)
        return answer.query.uri, answer.query.key

    def rank_candidates(self, errand: Errand, query: tuple[str, str]) -> int:
        """Rank everyone else; return the number of calls that render their clips."""
        job_id, started_ns = errand.job_id, time.time_ns()
        options = self.ledger.jobs.assignment(job_id).request.options
        has_threshold = options.HasField("similarity_threshold")
        request = RankCandidatesRequest(
            job_id=job_id,
            query=ArtifactRef(uri=query[0], key=query[1]),
            cameras=self._cameras(job_id),
            similarity_threshold=options.similarity_threshold if has_threshold else _DEFAULT_THRESHOLD,
            threshold_scale=options.threshold_scale,
            max_candidates=options.max_candidates or DEFAULT_CANDIDATES,
            round=ROUND,
        )
        answer = self.stages.rank_candidates(errand, request)
        self.ledger.jobs.add_run(job_id, "rank", "", started_ns, runs=1)
        self.ledger.jobs.add_incidents(job_id, "rank", answer.incidents)
        count = self.ledger.ranking.save_candidates(job_id, answer.candidates)
        calls = -(-count // self.pairs_per_call)
        self.ledger.tasks.add(job_id, (_task_name(number) for number in range(calls)))
        return calls

    def render_pairs(self, errand: Errand, number: int) -> None:
        """Render one call's share of the clips; those that are there are not asked for again."""
        job_id, started_ns = errand.job_id, time.time_ns()
        pairs = self.ledger.ranking.pairs_without_clip(job_id, number * self.pairs_per_call, self.pairs_per_call)
        if pairs:
            request = RenderPairsRequest(
                job_id=job_id,
                query_tracks=self.ledger.ranking.query_tracks(job_id),
                cameras=self._cameras(job_id),
                pairs=pairs,
                redaction=self.ledger.jobs.assignment(job_id).request.options.redaction,
            )
            meter = self.ledger.meter(job_id, "render_pairs")
            for event in self.stages.render_pairs(errand, request):
                if isinstance(event, PairClip):
                    self.ledger.jobs.add_run(job_id, "render_pairs", event.pair_id, started_ns, int(not event.reused))
                    done, total = self.ledger.ranking.save_clip(job_id, event.pair_id, event.clip_uri)
                    errand.reach("pairs", done)
                    meter.update(done, total, "pairs")
                else:
                    self.ledger.jobs.add_incidents(job_id, "render_pairs", [event])
            meter.finish()
        self.ledger.tasks.finish(job_id, _task_name(number))

    def lose_pairs(self, job_id: str, number: int, error: str) -> None:
        """A call for clips failed; the job goes on with the others."""
        incident = Incident(
            code="pairs_failed", subject=str(number), message=f"{error}; the job goes on without these pairs"
        )
        self.ledger.jobs.add_incidents(job_id, "render_pairs", [incident])
        self.ledger.tasks.finish(job_id, _task_name(number), error)

    def await_pairs(self, errand: Errand, calls: int) -> int:
        """Wait until every call for clips has ended; return how many pairs can be looked at, and say so where none can."""
        job_id = errand.job_id
        while True:
            outcomes = self.ledger.tasks.outcomes(job_id, _task_name(""))
            if sum(outcome is not None for outcome in outcomes.values()) >= calls:
                break
            errand.sleep(self.poll_seconds)
        clips = self.ledger.ranking.clip_count(job_id)
        if not calls:
            self._tell(job_id, "no_candidates", "nobody is similar enough to the query; the film shows the query alone")
        elif not clips:
            self._tell(job_id, "no_clips", "no pair could be rendered for review; the film shows the query alone")
        return clips

    def _tell(self, job_id: str, code: str, message: str) -> None:
        stage = "rank" if code == "no_candidates" else "render_pairs"
        self.ledger.jobs.add_incidents(job_id, stage, [Incident(code=code, subject=job_id, message=message)])

    def _cameras(self, job_id: str) -> list[CameraTracks]:
        return self.ledger.cameras.tracked(job_id, self.ledger.jobs.assignment(job_id).request.options.clock_maps)


def _task_name(number: int | str) -> str:
    return f"pairs/{number}"
