"""Steps from the footage to tracks: list, then collate and track each camera on its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf import json_format

from throughline.domain.errors import FailedPrecondition, NotFound, NoUsableFootage
from throughline.domain.names import known
from throughline.orchestrator.cameras import closer_name, task_name
from throughline.orchestrator.documents import JobDocuments
from throughline.orchestrator.inflight import Errand
from throughline.orchestrator.jobs import Assignment
from throughline.orchestrator.ledger import Ledger
from throughline.orchestrator.pins import pin_models
from throughline.orchestrator.scouting import SCOUTING_RATE, analysis_rate, is_fast
from throughline.orchestrator.stages import Stages
from throughline.orchestrator.window import camera_window
from throughline.v1.common_pb2 import Incident, Interval
from throughline.v1.ingest_pb2 import CollateRequest, CollateResult, ListFootageRequest
from throughline.v1.tracker_pb2 import TrackRequest
from throughline.wire.convert import interval_from_proto, interval_to_proto, size_from_proto
from throughline.wire.query_document import check_times, deformation, parse_query


@dataclass(frozen=True)
class FootageSteps:
    """Each method is the body of one step."""

    ledger: Ledger
    stages: Stages
    documents: JobDocuments
    poll_seconds: float

    def list_footage(self, errand: Errand) -> tuple[str, str, list[str]]:
        """Pin the footage, and keep the request beside it; return the listing's URI and key, and the cameras."""
        job_id, started_ns = errand.job_id, time.time_ns()
        assignment = self._keep_request(job_id)
        request = assignment.request
        asked = ListFootageRequest(job_id=job_id, footage_uri=request.footage_uri, cameras=request.options.cameras)
        listing = self.stages.list_footage(errand, asked)
        cameras = [camera.camera for camera in listing.cameras]
        if self.ledger.learning.drop_idle(job_id, cameras):
            assignment = self._keep_request(job_id)
        self.ledger.jobs.add_run(job_id, "list", "", started_ns, runs=1)
        self.ledger.jobs.add_incidents(job_id, "list", [*listing.incidents, *_idle_clocks(assignment, cameras)])
        if assignment.camera not in cameras:
            raise NotFound(
                f"query camera: {assignment.camera!r} has no footage below {request.footage_uri}; "
                f"{known(assignment.camera, cameras)}"
            )
        self.ledger.cameras.save_listing(job_id, cameras)
        return listing.footage.uri, listing.footage.key, cameras

    def _keep_request(self, job_id: str) -> Assignment:
        assignment = self.ledger.jobs.assignment(job_id)
        text = json_format.MessageToJson(assignment.request, preserving_proto_field_name=True)
        self.documents.write(job_id, "request.json", text)
        return assignment

    def collate(self, errand: Errand, camera: str, footage: tuple[str, str]) -> bool:
        """Make the camera's reel; return whether anything was usable.

        Raises InvalidQuery where the query has times outside of it: nobody should wait for tracks to learn that.
        """
        job_id, started_ns = errand.job_id, time.time_ns()
        assignment = self.ledger.jobs.assignment(job_id)
        request = CollateRequest(
            job_id=job_id,
            camera=camera,
            file_name_time_zone=assignment.request.options.file_name_time_zone,
            camera_window=_window(assignment, camera),
        )
        request.footage.uri, request.footage.key = footage
        result = self.stages.collate(errand, request, self.ledger.meter(job_id, "ingest", camera))
        self.ledger.jobs.add_run(job_id, "ingest", camera, started_ns, runs=int(not result.reused))
        self.ledger.jobs.add_incidents(job_id, "ingest", result.incidents)
        if camera == assignment.camera:
            self._check_query(job_id, assignment, result)
        if result.part_count:
            self.ledger.cameras.save_reel(job_id, camera, result.reel)
        return bool(result.part_count)

    def _check_query(self, job_id: str, assignment: Assignment, result: CollateResult) -> None:
        query, camera = parse_query(assignment.query_json), assignment.camera
        if result.HasField("camera_span"):
            check_times(query, interval_from_proto(result.camera_span), f"the footage of camera {camera}")
        message = deformation(query, [size_from_proto(size) for size in result.frame_sizes])
        if message:
            incident = Incident(code="query_frame_deformed", subject=camera, message=message, camera=camera)
            self.ledger.jobs.add_incidents(job_id, "ingest", [incident])

    def track(self, errand: Errand, camera: str, spans: Sequence[tuple[int, int]] = ()) -> None:
        """Find everyone in the camera's reel: a fast search first has a cursory look at all of it, unless it is the query's, and
        then looks at `spans` (camera time, nanoseconds) closely."""
        job_id, started_ns = errand.job_id, time.time_ns()
        if not self.ledger.pins.are_known(job_id):
            pin_models(self.ledger.pins, self.stages, errand)
        assignment = self.ledger.jobs.assignment(job_id)
        options = assignment.request.options
        rate = analysis_rate(options)
        scouts = is_fast(options) and camera != assignment.camera and not spans
        request = TrackRequest(
            job_id=job_id,
            reel=self.ledger.cameras.reel(job_id, camera),
            camera=camera,
            analysis_rate=SCOUTING_RATE if scouts else rate,
            camera_window=_window(assignment, camera),
            spans=[Interval(start_ns=start, end_ns=end) for start, end in spans],
        )
        result = self.stages.track(errand, request, self.ledger.meter(job_id, "track", camera))
        self.ledger.jobs.add_run(job_id, "track", camera, started_ns, runs=int(not result.reused))
        self.ledger.jobs.add_incidents(job_id, "track", result.incidents)
        self.ledger.cameras.save_tracks(job_id, camera, result.tracks)

    def end_camera(self, job_id: str, camera: str, usable: bool) -> None:
        """The camera is through."""
        if not usable:
            message = f"camera {camera} has no usable footage in the time asked for; the job goes on without it"
            incident = Incident(code="camera_without_footage", subject=camera, message=message, camera=camera)
            self.ledger.jobs.add_incidents(job_id, "ingest", [incident])
        self.ledger.tasks.finish(job_id, task_name(camera))

    def look_closer(self, errand: Errand, camera: str, spans: Sequence[tuple[int, int]]) -> None:
        """Track the spans of a camera in which the first pass of a fast search saw somebody who may be the person."""
        self.track(errand, camera, spans)
        self.ledger.tasks.finish(errand.job_id, closer_name(camera))

    def lose_closer(self, job_id: str, camera: str, error: str) -> None:
        """The closer look failed: the job goes on with what the first pass saw of the camera."""
        message = f"{error}; the job goes on with what {SCOUTING_RATE:g} frames a second showed of camera {camera}"
        incident = Incident(code="camera_failed", subject=camera, message=message, camera=camera)
        self.ledger.jobs.add_incidents(job_id, "track", [incident])
        self.ledger.tasks.finish(job_id, closer_name(camera), error)

    def await_closer(self, errand: Errand) -> None:
        """Wait until every closer look has ended."""
        while any(outcome is None for outcome in self.ledger.tasks.outcomes(errand.job_id, closer_name("")).values()):
            errand.sleep(self.poll_seconds)

    def lose_camera(self, job_id: str, camera: str, error: str) -> None:
        """The camera failed; unless it is the query's, the job goes on without it."""
        message = f"{error}; the job goes on without camera {camera}"
        if camera != self.ledger.jobs.assignment(job_id).camera:
            incident = Incident(code="camera_failed", subject=camera, message=message, camera=camera)
            self.ledger.jobs.add_incidents(job_id, "track", [incident])
        self.ledger.tasks.finish(job_id, task_name(camera), error)

    def await_cameras(self, errand: Errand) -> None:
        """Wait until every camera is through; raise as soon as the query's is lost."""
        job_id = errand.job_id
        camera = self.ledger.jobs.assignment(job_id).camera
        while True:
            outcomes = self.ledger.tasks.outcomes(job_id, task_name(""))
            error = outcomes[task_name(camera)]
            if error:
                raise FailedPrecondition(f"camera {camera}, which the query is in: {error}")
            if all(outcome is not None for outcome in outcomes.values()):
                break
            errand.sleep(self.poll_seconds)
        if not any(tracks.camera == camera for tracks in self.ledger.cameras.tracked(job_id, ())):
            raise NoUsableFootage(
                f"camera {camera}, which the query is in, has no usable footage; see the job's incidents, "
                "and check the time window and the time zone of file names"
            )


def _window(assignment: Assignment, camera: str) -> Interval | None:
    window = camera_window(assignment.request.options, camera)
    return None if window is None else interval_to_proto(window)


def _idle_clocks(assignment: Assignment, cameras: list[str]) -> list[Incident]:
    """Clock maps of cameras that take no part: a slip in a name would else go unnoticed."""
    return [
        Incident(
            code="clock_map_unused",
            subject=clock.camera,
            message=f"the clock map of camera {clock.camera} changes nothing: no footage of such a camera takes part",
            camera=clock.camera,
        )
        for clock in assignment.request.options.clock_maps
        if clock.camera not in cameras
    ]
