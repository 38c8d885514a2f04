"""What the answers of a site's jobs taught, pinned by each job when it first ranks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from throughline.domain.pairs import TrackSpan
from throughline.domain.transits import learn, transits_of
from throughline.orchestrator.jobs import locked
from throughline.orchestrator.ranking import track_ref
from throughline.storage.records import Records
from throughline.storage.records.models import Answer, CandidateTrack, Job, QueryTrack, Search
from throughline.v1.common_pb2 import ArtifactRef
from throughline.v1.tracker_pb2 import LearnedTransit
from throughline.wire.convert import track_from_proto

_JOBS_AT_MOST = 500
"""The newest ones of a site teach; stores are moved around."""


@dataclass(frozen=True, slots=True)
class PinnedSearch:
    """What all rounds of a job search with."""

    query: ArtifactRef
    learned: tuple[LearnedTransit, ...]


class Learning:
    """Reads what people confirmed in earlier jobs. `enabled`: whether jobs that begin now make use of it."""

    def __init__(self, records: Records, enabled: bool) -> None:
        self._records = records
        self._enabled = enabled

    def pin(self, job_id: str, query: ArtifactRef) -> PinnedSearch:
        """Fix what the job's rounds search with, unless that was done."""
        with self._records.write() as session:
            job, pinned = locked(session, job_id), session.get(Search, job_id)
            if pinned is None:
                learned = learn(transits_of(_people(session, job.site, job_id))) if self._enabled else ()
                rows = [[each.start, each.end, each.median_ns, each.spread, each.pairs] for each in learned]
                session.add(Search(job_id=job_id, query_uri=query.uri, query_key=query.key, learned=rows))
        return self.pinned(job_id)

    def pinned(self, job_id: str) -> PinnedSearch:
        """What the job's first round has fixed."""
        with self._records.read() as session:
            row = session.get_one(Search, job_id)
        fields = ("from_camera", "to_camera", "median_ns", "spread", "pairs")
        learned = tuple(LearnedTransit(**dict(zip(fields, each, strict=True))) for each in row.learned)
        return PinnedSearch(ArtifactRef(uri=row.query_uri, key=row.query_key), learned)


def _people(session: Session, site: str, but: str) -> Iterator[list[TrackSpan]]:
    """The tracks of each person whom other jobs of a site looked for: the query's, and those that stand confirmed."""
    newest = select(Job.job_id).where(Job.site == site, Job.job_id != but)
    newest = newest.order_by(Job.created_ns.desc()).limit(_JOBS_AT_MOST)
    jobs = list(session.scalars(newest))
    verdicts: dict[tuple[str, str], str] = {}
    answers = select(Answer.job_id, Answer.pair_id, Answer.verdict).where(Answer.job_id.in_(jobs))
    for job_id, pair_id, verdict in session.execute(answers.order_by(Answer.annotated_ns, Answer.id)):
        verdicts[job_id, pair_id] = verdict
    tracks: dict[str, list[TrackSpan]] = defaultdict(list)
    for candidate in session.scalars(select(CandidateTrack).where(CandidateTrack.job_id.in_(jobs))):
        if verdicts.get((candidate.job_id, candidate.pair_id)) == "valid":
            tracks[candidate.job_id].append(track_from_proto(track_ref(candidate)))
    for query in session.scalars(select(QueryTrack).where(QueryTrack.job_id.in_(list(tracks)))):
        tracks[query.job_id].append(track_from_proto(track_ref(query)))
    yield from tracks.values()
