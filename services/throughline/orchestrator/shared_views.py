"""What people confirmed of overlapping views: whom both cameras saw is asked of the tracker, and what their clocks showed is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select

from throughline.domain.pairs import TrackSpan
from throughline.domain.shared_views import LEAST_PEOPLE
from throughline.domain.topology import Way
from throughline.orchestrator.jobs import locked
from throughline.orchestrator.learning import people_of, site_jobs
from throughline.storage.records import Records
from throughline.storage.records.models import ClockReading, JobCamera, JobRequest
from throughline.v1 import tracker_pb2
from throughline.v1.common_pb2 import ArtifactRef, ClockMap
from throughline.v1.orchestrator_pb2 import SubmitJobRequest
from throughline.v1.tracker_pb2 import (
    CameraPair,
    CameraTracks,
    ConfirmedPerson,
    MeasureClocksRequest,
    MeasureClocksResponse,
)
from throughline.wire.convert import track_to_proto
from throughline.wire.topology_document import parse_topology

_PEOPLE_AT_MOST = 60
"""More make it slower and hardly surer."""


class SharedViews:
    """Questions about clocks, and their answers, by the job that asks."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def question(self, job_id: str) -> MeasureClocksRequest | None:
        """What a job asks of the people whom other jobs of its site confirmed; None where too few were in overlapping views, or its
        topology tells of none."""
        with self._records.read() as session:
            row = session.get_one(JobRequest, job_id)
            overlaps = parse_topology(row.topology_yaml).overlaps if row.topology_yaml else frozenset()
            request = SubmitJobRequest.FromString(row.request)
            people = _apart(people_of(session, request, job_id)) if overlaps else []
            by_way = {way: _seen_by(people, way) for way in sorted(overlaps)}
            asked = {way: seen for way, seen in by_way.items() if len(seen) >= LEAST_PEOPLE}
            if not asked:
                return None
            wanted = {number: people[number] for seen in asked.values() for number in seen}.values()
            keys = {track.track.tracks_key for person in wanted for track in person}
            of_site = JobCamera.job_id.in_(site_jobs(session, request, job_id))
            cameras = session.scalars(select(JobCamera).where(of_site)).all()
        clocks = {clock.camera: clock for clock in request.options.clock_maps}
        return MeasureClocksRequest(
            tracks={
                each.tracks_key: CameraTracks(
                    camera=each.camera,
                    tracks=ArtifactRef(uri=each.tracks_uri, key=each.tracks_key),
                    clock_map=clocks.get(each.camera, ClockMap(camera=each.camera)),
                )
                for each in cameras
                if each.tracks_key in keys
            }.values(),
            people=[ConfirmedPerson(tracks=map(track_to_proto, person)) for person in wanted],
            overlaps=[CameraPair(one=one, other=other) for one, other in asked],
        )

    def save(self, job_id: str, question: MeasureClocksRequest, answer: MeasureClocksResponse) -> None:
        """Keep what a job was answered, and where nothing was sure, that it asked: what was true once does not stay."""
        readings = {(each.cameras.one, each.cameras.other): each for each in answer.readings}
        with self._records.write() as session:
            locked(session, job_id)
            session.execute(delete(ClockReading).filter_by(job_id=job_id))
            session.add_all(
                _record(job_id, way, readings.get((way.one, way.other), tracker_pb2.ClockReading()))
                for way in question.overlaps
            )


def _record(job_id: str, way: CameraPair, reading: tracker_pb2.ClockReading) -> ClockReading:
    return ClockReading(
        job_id=job_id,
        one=way.one,
        other=way.other,
        one_ns=reading.one_time_ns,
        other_ns=reading.other_time_ns,
        uncertainty_ns=reading.uncertainty_ns,
        pairs=reading.pairs,
    )


def _apart(people: Iterable[Sequence[TrackSpan]]) -> list[set[TrackSpan]]:
    """Those of whom two jobs confirmed the same track are one person."""
    found: list[set[TrackSpan]] = []
    for tracks in people:
        person = set(tracks)
        ids = {each.track for each in person}
        same = [other for other in found if ids & {each.track for each in other}]
        found = [other for other in found if other not in same] + [person.union(*same)]
    return found


def _seen_by(people: Sequence[set[TrackSpan]], way: Way) -> list[int]:
    """Places of the newest people whom both cameras of a way saw."""
    seen = [number for number, person in enumerate(people) if set(way) <= {each.track.camera for each in person}]
    return seen[-_PEOPLE_AT_MOST:]
