"""Steps from tracks to pair clips: locate the query, rank everyone else, render the pairs."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from throughline.domain.errors import DeadlineExceeded, FailedPrecondition, ThroughlineError
from throughline.orchestrator.cameras import closer_name
from throughline.orchestrator.inflight import Errand
from throughline.orchestrator.learning import PinnedSearch, clock_incident
from throughline.orchestrator.ledger import Ledger
from throughline.orchestrator.ranking import FIRST_ROUND
from throughline.orchestrator.rounds import RoundId
from throughline.orchestrator.scouting import around, is_fast, lowered
from throughline.orchestrator.stages import Stages
from throughline.orchestrator.submission import CANDIDATES_AT_MOST
from throughline.v1.common_pb2 import SIMILARITY_SCALE_COSINE, ArtifactRef, Incident, SimilarityScale, TrackRef
from throughline.v1.orchestrator_pb2 import JobOptions
from throughline.v1.renderer_pb2 import PairClip, RenderPairsRequest
from throughline.v1.tracker_pb2 import CameraTracks, LocateQueryRequest, RankCandidatesRequest, SiteCorrection
from throughline.wire.convert import clock_map_from_proto, correction_to_proto, incident_to_proto
from throughline.wire.topology_document import parse_topology, unknown_cameras

_log = logging.getLogger(__name__)
DEFAULT_CANDIDATES = 500
_DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class PairsPart:
    """One call for clips of a round, counted from 0."""

    round: RoundId
    number: int

    @property
    def task(self) -> str:
        """Its name among the parts of the job."""
        return f"{self.round.prefix}pairs/{self.number}"


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

    def is_fast(self, job_id: str) -> bool:
        """Whether cameras are looked at cursorily first, at a lower rate than the job asks for."""
        return is_fast(self.ledger.jobs.assignment(job_id).request.options)

    def scout(self, errand: Errand, query: tuple[str, str]) -> list[tuple[str, list[tuple[int, int]]]]:
        """Where a closer look may show the person, by camera, in its own time (nanoseconds)."""
        job_id, started_ns = errand.job_id, time.time_ns()
        assignment = self.ledger.jobs.assignment(job_id)
        pinned = self.ledger.learning.pin(job_id, ArtifactRef(uri=query[0], key=query[1]))
        threshold, scale = _threshold(assignment.request.options)
        request = RankCandidatesRequest(
            job_id=job_id,
            query=pinned.query,
            cameras=self._cameras(job_id),
            similarity_threshold=lowered(threshold, scale),
            threshold_scale=scale,
            max_candidates=CANDIDATES_AT_MOST,
            scouts=True,
            correction=_correction(pinned),
        )
        answer = self.stages.rank_candidates(errand, request)
        self.ledger.jobs.add_run(job_id, "rank", "scouting", started_ns, runs=1)
        self.ledger.jobs.add_incidents(job_id, "rank", answer.incidents)
        clocks = dict(clock_map_from_proto(each.clock_map) for each in request.cameras)
        seen = (each.track for each in answer.candidates if each.track.camera != assignment.camera)
        found = [(camera, [(span.start.ns, span.end.ns) for span in spans]) for camera, spans in around(seen, clocks)]
        self.ledger.tasks.add(job_id, (closer_name(camera) for camera, _ in found))
        return found

    def rank_candidates(self, errand: Errand, query: tuple[str, str]) -> int:
        """Rank everyone else for the first round; return the number of calls that render their clips."""
        self.ledger.learning.pin(errand.job_id, ArtifactRef(uri=query[0], key=query[1]))
        self._tell_of_topology(errand.job_id)
        self._measure_clocks(errand)
        clocks = self.ledger.learning.clocks(errand.job_id)
        incidents = [incident_to_proto(clock_incident(clock)) for clock in clocks]
        self.ledger.jobs.add_incidents(errand.job_id, "rank", incidents)
        return self._rank(errand, FIRST_ROUND, [])

    def search_again(self, errand: Errand, number: int) -> int:
        """Rank those whom nobody was asked about, by the query and all who were confirmed, for a later round; return as above."""
        return self._rank(errand, number, self.ledger.ranking.confirmed(errand.job_id, number))

    def _rank(self, errand: Errand, number: int, confirmed: list[TrackRef]) -> int:
        job_id, started_ns = errand.job_id, time.time_ns()
        assignment, pinned = self.ledger.jobs.assignment(job_id), self.ledger.learning.pinned(job_id)
        options = assignment.request.options
        threshold, scale = _threshold(options)
        request = RankCandidatesRequest(
            job_id=job_id,
            query=pinned.query,
            cameras=self._cameras(job_id),
            similarity_threshold=threshold,
            threshold_scale=scale,
            max_candidates=options.max_candidates or DEFAULT_CANDIDATES,
            round=number,
            confirmed=confirmed,
            asked=self.ledger.ranking.earlier(job_id, number),
            topology_yaml=assignment.topology_yaml,
            learned_transits=pinned.learned,
            correction=_correction(pinned),
            rerank=options.rerank,
        )
        answer = self.stages.rank_candidates(errand, request)
        # Where pairs are chosen by more than their similarity, their answers would teach wrong.
        was_cut = request.rerank and len(answer.candidates) >= request.max_candidates
        if answer.calibrated_by and scale != SIMILARITY_SCALE_COSINE and not was_cut:
            self.ledger.learning.keep_ranked(job_id, number, answer)
        self.ledger.jobs.add_run(job_id, "rank", "", started_ns, runs=1)
        self.ledger.jobs.add_incidents(job_id, "rank", answer.incidents)
        count = self.ledger.ranking.save_candidates(job_id, number, answer.candidates)
        calls = -(-count // self.pairs_per_call)
        parts = (PairsPart(RoundId(job_id, number), call) for call in range(calls))
        self.ledger.tasks.add(job_id, (part.task for part in parts))
        return calls

    def lose_round(self, round_id: RoundId, error: str) -> bool:
        """A later round failed; return whether the job ends with what the ones before it gave: not where it was answered all the
        same."""
        if not self.ledger.rounds.abandon(round_id):
            return False
        message = f"{error}; the film is made of what the rounds before it confirmed"
        incident = Incident(code="round_failed", subject=str(round_id.number), message=message)
        self.ledger.jobs.add_incidents(round_id.job_id, "review", [incident])
        return True

    def render_pairs(self, errand: Errand, part: PairsPart) -> None:
        """Render one call's share of the clips; those that are there are not asked for again."""
        job_id, number, started_ns = part.round.job_id, part.round.number, time.time_ns()
        first = part.number * self.pairs_per_call
        pairs = self.ledger.ranking.pairs_without_clip(job_id, number, first, self.pairs_per_call)
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
                    done, total = self.ledger.ranking.save_clip(job_id, number, event.pair_id, event.clip_uri)
                    errand.reach("pairs", done)
                    meter.update(done, total, "pairs")
                else:
                    self.ledger.jobs.add_incidents(job_id, "render_pairs", [event])
            meter.finish()
        self.ledger.tasks.finish(job_id, part.task)

    def lose_pairs(self, part: PairsPart, error: str) -> None:
        """A call for clips failed; the job goes on with the others."""
        subject, message = f"{part.round.prefix}{part.number}", f"{error}; the job goes on without these pairs"
        incident = Incident(code="pairs_failed", subject=subject, message=message)
        self.ledger.jobs.add_incidents(part.round.job_id, "render_pairs", [incident])
        self.ledger.tasks.finish(part.round.job_id, part.task, error)

    def await_pairs(self, errand: Errand, number: int, calls: int) -> int:
        """Wait until every call for clips of a round has ended; return how many of its pairs can be looked at, and say so where the
        first round has none."""
        job_id = errand.job_id
        parts = [PairsPart(RoundId(job_id, number), call).task for call in range(calls)]
        while True:
            outcomes = self.ledger.tasks.outcomes(job_id, "")
            if all(outcomes[part] is not None for part in parts):
                break
            errand.sleep(self.poll_seconds)
        clips = self.ledger.ranking.clip_count(job_id, number)
        if not calls and number == FIRST_ROUND:
            self._tell(job_id, "no_candidates", "nobody is similar enough to the query; the film shows the query alone")
        elif calls and not clips:
            rest = (
                "the film shows the query alone"
                if number == FIRST_ROUND
                else "the film shows whom earlier rounds confirmed"
            )
            self._tell(job_id, "no_clips", f"no pair of round {number} could be rendered for review; {rest}")
        return clips

    def _tell(self, job_id: str, code: str, message: str) -> None:
        stage = "rank" if code == "no_candidates" else "render_pairs"
        self.ledger.jobs.add_incidents(job_id, stage, [Incident(code=code, subject=job_id, message=message)])

    def _tell_of_topology(self, job_id: str) -> None:
        """Say which cameras of the topology the footage lacks; a job over a choice of cameras lacks some by its own wish."""
        assignment = self.ledger.jobs.assignment(job_id)
        if assignment.topology_yaml and not assignment.request.options.cameras:
            message = unknown_cameras(parse_topology(assignment.topology_yaml), self.ledger.cameras.names(job_id))
            if message:
                incident = Incident(code="topology_camera_unknown", subject="topology", message=message)
                self.ledger.jobs.add_incidents(job_id, "rank", [incident])

    def _measure_clocks(self, errand: Errand) -> None:
        """Have clocks measured where views overlap; the job goes on without that where it can't be done."""
        question = self.ledger.shared_views.question(errand.job_id)
        if question is None:
            return
        try:
            answer = self.stages.measure_clocks(errand, question)
        except ThroughlineError as error:
            if error.retryable and not isinstance(error, DeadlineExceeded):
                raise
            _log.warning("job %s: clocks are not measured from overlapping views: %s", errand.job_id, error)
        else:
            self.ledger.shared_views.save(errand.job_id, question, answer)

    def _cameras(self, job_id: str) -> list[CameraTracks]:
        return self.ledger.cameras.tracked(job_id, self.ledger.jobs.assignment(job_id).request.options.clock_maps)


def _threshold(options: JobOptions) -> tuple[float, SimilarityScale.ValueType]:
    """The least similarity that the job asks for, and its scale."""
    has_threshold = options.HasField("similarity_threshold")
    return options.similarity_threshold if has_threshold else _DEFAULT_THRESHOLD, options.threshold_scale


def _correction(pinned: PinnedSearch) -> SiteCorrection | None:
    return None if pinned.correction is None else correction_to_proto(pinned.correction)
