"""What the answers of a site's jobs taught, pinned by each job when it first ranks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import and_, exists, select
from sqlalchemy.orm import Session

from throughline.domain.clocks import MeasuredClock, measure_clocks
from throughline.domain.correction import Correction
from throughline.domain.pairs import TrackSpan
from throughline.domain.shared_views import Offset
from throughline.domain.time import NS_PER_SECOND, ClockMap, Instant
from throughline.domain.topology import Way
from throughline.domain.transits import gaps_of, learn
from throughline.domain.work import Incident
from throughline.orchestrator.jobs import locked
from throughline.orchestrator.ranking import track_ref
from throughline.orchestrator.refitting import from_record, site_correction, to_record
from throughline.storage.records import Records
from throughline.storage.records.models import (
    Answer,
    CandidateTrack,
    ClockReading,
    Job,
    JobIncident,
    JobRequest,
    QueryTrack,
    RankedRound,
    Search,
)
from throughline.v1.common_pb2 import ArtifactRef
from throughline.v1.orchestrator_pb2 import SubmitJobRequest
from throughline.v1.tracker_pb2 import LearnedTransit, RankCandidatesResponse
from throughline.wire.convert import clock_map_from_proto, clock_map_to_proto, track_from_proto

_JOBS_AT_MOST = 500
"""The newest ones of a site teach; stores are moved around."""


@dataclass(frozen=True, slots=True)
class PinnedSearch:
    """What all rounds of a job search with."""

    query: ArtifactRef
    learned: tuple[LearnedTransit, ...]
    correction: Correction | None


class Learning:
    """Reads what people answered in earlier jobs. `enabled`: whether jobs that begin now make use of the transits that were confirmed;
    `corrects`: whether those that name their site have the calibration corrected."""

    def __init__(self, records: Records, enabled: bool, corrects: bool = True) -> None:
        self._records = records
        self._enabled = enabled
        self._corrects = corrects

    def pin(self, job_id: str, query: ArtifactRef) -> PinnedSearch:
        """Fix what the job's rounds search with, unless that was done."""
        with self._records.read() as session:
            row = session.get(Search, job_id)
            if row is not None:
                return _pinned(row)
            learned = learn(_gaps(session, job_id)) if self._enabled else ()
            site = session.get_one(Job, job_id).site if self._corrects else ""
            correction = site_correction(session, site, job_id, _JOBS_AT_MOST) if site else None
        with self._records.write() as session:
            locked(session, job_id)
            if session.get(Search, job_id) is None:
                rows = [[each.start, each.end, each.median_ns, each.spread, each.pairs] for each in learned]
                stored = to_record(correction)
                session.add(
                    Search(job_id=job_id, query_uri=query.uri, query_key=query.key, learned=rows, correction=stored)
                )
        return self.pinned(job_id)

    def keep_ranked(self, job_id: str, number: int, ranked: RankCandidatesResponse) -> None:
        """A round was ranked: what its answers will teach of."""
        with self._records.write() as session:
            locked(session, job_id)
            session.merge(
                RankedRound(
                    job_id=job_id,
                    round=number,
                    calibrated_by=ranked.calibrated_by,
                    compared=ranked.compared,
                    candidates=len(ranked.candidates),
                )
            )

    def pinned(self, job_id: str) -> PinnedSearch:
        """What the job's first round has fixed."""
        with self._records.read() as session:
            return _pinned(session.get_one(Search, job_id))

    def clocks(self, job_id: str) -> list[MeasuredClock]:
        """Clocks that are off, by what people confirmed in other jobs, beside what this job knows of them."""
        with self._records.read() as session:
            request = _request(session, job_id)
            readings = session.scalars(select(ClockReading).filter_by(job_id=job_id)).all()
            measured = measure_clocks(_gaps(session, job_id), at_once=_offsets(readings, request))
        return [each for each in measured if each.is_sure]

    def corrected(self, request: SubmitJobRequest) -> tuple[SubmitJobRequest, tuple[Incident, ...]]:
        """A new job's request with measured clocks for the cameras whose clock it does not give, where it asks for that."""
        options = request.options
        if not options.apply_measured_clocks:
            return request, ()
        given = {clock.camera for clock in options.clock_maps}
        with self._records.read() as session:
            readings = _latest_readings(session, request)
            measured = measure_clocks(gaps_of(people_of(session, request)), given, _offsets(readings, request))
        used = [each for each in measured if each.is_sure and (not options.cameras or each.camera in options.cameras)]
        changed = SubmitJobRequest.FromString(request.SerializeToString())
        changed.options.clock_maps.extend(
            clock_map_to_proto(each.camera, ClockMap(-each.offset_ns, uncertainty_ns=each.uncertainty_ns))
            for each in used
        )
        return changed, tuple(
            Incident("clock_offset_applied", each.camera, f"{_told(each)}; it is corrected by that", each.camera)
            for each in used
        )

    def drop_idle(self, job_id: str, cameras: Collection[str]) -> bool:
        """Take measured clocks back out of a job's request that are of none of its cameras; return whether there were any."""
        with self._records.write() as session:
            locked(session, job_id)
            applied = session.scalars(select(JobIncident).filter_by(job_id=job_id, code="clock_offset_applied"))
            idle = [incident for incident in applied if incident.camera not in cameras]
            for incident in idle:
                session.delete(incident)
            if idle:
                row, names = session.get_one(JobRequest, job_id), {incident.camera for incident in idle}
                request = SubmitJobRequest.FromString(row.request)
                kept = [clock for clock in request.options.clock_maps if clock.camera not in names]
                del request.options.clock_maps[:]
                request.options.clock_maps.extend(kept)
                row.request = request.SerializeToString()
        return bool(idle)


def _pinned(row: Search) -> PinnedSearch:
    fields = ("from_camera", "to_camera", "median_ns", "spread", "pairs")
    learned = tuple(LearnedTransit(**dict(zip(fields, each, strict=True))) for each in row.learned)
    query = ArtifactRef(uri=row.query_uri, key=row.query_key)
    return PinnedSearch(query, learned, from_record(row.correction))


def clock_incident(clock: MeasuredClock) -> Incident:
    """What to tell of a clock that is off."""
    message = (
        f"{_told(clock)}; submit with apply_measured_clocks, or with the clock map camera {clock.camera!r}, "
        f"offset_ns {-clock.offset_ns}, uncertainty_ns {clock.uncertainty_ns} added to what is known of it"
    )
    return Incident("clock_offset_measured", clock.camera, message, clock.camera)


def _told(clock: MeasuredClock) -> str:
    others = "those that the job gives" if clock.held else "those of most others"
    way = "ahead of" if clock.offset_ns > 0 else "behind"
    seconds, uncertain = abs(clock.offset_ns) / NS_PER_SECOND, clock.uncertainty_ns / NS_PER_SECOND
    return (
        f"the clock of camera {clock.camera} is {seconds:.2f} s (±{uncertain:.2f} s) {way} {others}, "
        f"by {clock.pairs} confirmed pairs of tracks"
    )


def _gaps(session: Session, job_id: str) -> dict[Way, list[int]]:
    return gaps_of(people_of(session, _request(session, job_id), job_id))


def _request(session: Session, job_id: str) -> SubmitJobRequest:
    return SubmitJobRequest.FromString(session.get_one(JobRequest, job_id).request)


def _latest_readings(session: Session, request: SubmitJobRequest) -> list[ClockReading]:
    """Those of the newest job of a request's site that asked for any, so that what was true once does not stay."""
    jobs = site_jobs(session, request)
    readings = session.scalars(select(ClockReading).where(ClockReading.job_id.in_(jobs))).all()
    newest = next((job_id for job_id in jobs if any(each.job_id == job_id for each in readings)), "")
    return [each for each in readings if each.job_id == newest]


def _offsets(readings: Iterable[ClockReading], request: SubmitJobRequest) -> dict[Way, Offset]:
    """By pair of cameras what readings say beside a request's clocks."""
    clocks, found = _clock_maps(request), {}
    for each in (each for each in readings if each.pairs):
        one = clocks.get(each.one, ClockMap()).to_utc(Instant(each.one_ns))
        other = clocks.get(each.other, ClockMap()).to_utc(Instant(each.other_ns))
        found[each.one, each.other] = Offset(other - one, each.uncertainty_ns, one, each.pairs)
    return found


def _clock_maps(request: SubmitJobRequest) -> dict[str, ClockMap]:
    return dict(clock_map_from_proto(clock) for clock in request.options.clock_maps)


def site_jobs(session: Session, request: SubmitJobRequest, but: str = "") -> list[str]:
    """The newest jobs of a request's site. Where it names none, jobs over the same footage are of the same."""
    newest = select(Job.job_id).where(Job.site == request.options.site, Job.job_id != but)
    if not request.options.site:
        newest = newest.where(Job.footage_uri == request.footage_uri)
    return list(session.scalars(newest.order_by(Job.created_ns.desc()).limit(_JOBS_AT_MOST)))


def people_of(session: Session, request: SubmitJobRequest, but: str = "") -> Iterator[list[TrackSpan]]:
    """The tracks of each person whom other jobs of a request's site looked for, the newest job's last: the query's, and those that
    stand confirmed, in UTC by the request's clocks."""
    clocks, jobs = _clock_maps(request), site_jobs(session, request, but)
    standing: dict[tuple[str, int, str], str] = {}
    answers = select(Answer.job_id, Answer.round, Answer.pair_id, Answer.verdict).where(Answer.job_id.in_(jobs))
    for job_id, number, pair_id, verdict in session.execute(answers.order_by(Answer.annotated_ns, Answer.id)):
        standing[job_id, number, pair_id] = verdict
    answered = and_(
        *(getattr(Answer, name) == getattr(CandidateTrack, name) for name in ("job_id", "round", "pair_id"))
    )
    candidates = select(CandidateTrack).where(exists().where(answered, Answer.verdict == "valid"))
    tracks: dict[str, list[TrackSpan]] = defaultdict(list)
    for candidate in session.scalars(candidates.where(CandidateTrack.job_id.in_(jobs))):
        if standing.get((candidate.job_id, candidate.round, candidate.pair_id)) == "valid":
            tracks[candidate.job_id].append(track_from_proto(track_ref(candidate)))
    for query in session.scalars(select(QueryTrack).where(QueryTrack.job_id.in_(list(tracks)))):
        tracks[query.job_id].append(track_from_proto(track_ref(query)))
    requests = select(JobRequest.job_id, JobRequest.request).join(Job, Job.job_id == JobRequest.job_id)
    requests = requests.where(JobRequest.job_id.in_(list(tracks))).order_by(Job.created_ns, Job.job_id)
    for job_id, asked in session.execute(requests):
        theirs = _clock_maps(SubmitJobRequest.FromString(asked))
        yield [_by_clocks(track, theirs, clocks) for track in tracks[job_id]]


def _by_clocks(track: TrackSpan, theirs: Mapping[str, ClockMap], ours: Mapping[str, ClockMap]) -> TrackSpan:
    """A track whose UTC came by one clock map, by another."""
    camera, exact = track.track.camera, ClockMap()
    own_time = theirs.get(camera, exact).interval_to_camera(track.span)
    return TrackSpan(track.track, ours.get(camera, exact).interval_to_utc(own_time))
