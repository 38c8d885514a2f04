"""A job's cameras in the records: what was made of each, and which parts of the job that run side by side have ended."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from throughline.orchestrator.jobs import locked
from throughline.storage.records import Records
from throughline.storage.records.models import JobCamera, JobTask
from throughline.v1.common_pb2 import ArtifactRef, ClockMap
from throughline.v1.tracker_pb2 import CameraTracks


class Cameras:
    """Reels and tracks by camera."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def save_listing(self, job_id: str, cameras: Iterable[str]) -> None:
        """Keep which cameras there are, each as a part of the job that has yet to run."""
        with self._records.write() as session:
            locked(session, job_id)
            for camera in cameras:
                session.merge(JobCamera(job_id=job_id, camera=camera))
                if session.get(JobTask, (job_id, task_name(camera))) is None:
                    session.add(JobTask(job_id=job_id, name=task_name(camera)))

    def names(self, job_id: str) -> list[str]:
        """Every camera of the footage, in order."""
        with self._records.read() as session:
            query = select(JobCamera.camera).filter_by(job_id=job_id).order_by(JobCamera.camera)
            return list(session.scalars(query))

    def save_reel(self, job_id: str, camera: str, reel: ArtifactRef) -> None:
        with self._records.write() as session:
            row = session.get_one(JobCamera, (job_id, camera))
            row.reel_uri, row.reel_key = reel.uri, reel.key

    def save_tracks(self, job_id: str, camera: str, tracks: ArtifactRef) -> None:
        with self._records.write() as session:
            row = session.get_one(JobCamera, (job_id, camera))
            row.tracks_uri, row.tracks_key = tracks.uri, tracks.key

    def reel(self, job_id: str, camera: str) -> ArtifactRef:
        with self._records.read() as session:
            row = session.get_one(JobCamera, (job_id, camera))
        return ArtifactRef(uri=row.reel_uri, key=row.reel_key)

    def tracked(self, job_id: str, clock_maps: Iterable[ClockMap]) -> list[CameraTracks]:
        """Every camera that has tracks, in order of name, with its clock."""
        clocks = {clock.camera: clock for clock in clock_maps}
        with self._records.read() as session:
            rows = session.scalars(select(JobCamera).filter_by(job_id=job_id).order_by(JobCamera.camera)).all()
        return [
            CameraTracks(
                camera=row.camera,
                tracks=ArtifactRef(uri=row.tracks_uri, key=row.tracks_key),
                clock_map=clocks.get(row.camera, ClockMap(camera=row.camera)),
                reel=ArtifactRef(uri=row.reel_uri, key=row.reel_key),
            )
            for row in rows
            if row.tracks_uri
        ]


def task_name(camera: str) -> str:
    """The name of the part of a job that deals with one camera."""
    return f"camera/{camera}"


def closer_name(camera: str) -> str:
    """The name of the part of a job that looks at one camera again, closer."""
    return f"closer/{camera}"


class Tasks:
    """Parts of a job that run side by side."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def add(self, job_id: str, names: Iterable[str]) -> None:
        """Keep parts that have yet to run; those that are known stay as they are."""
        with self._records.write() as session:
            locked(session, job_id)
            for name in names:
                if session.get(JobTask, (job_id, name)) is None:
                    session.add(JobTask(job_id=job_id, name=name))

    def finish(self, job_id: str, name: str, error: str = "") -> None:
        """A part has ended, well or with an error."""
        with self._records.write() as session:
            task = session.get_one(JobTask, (job_id, name))
            task.outcome, task.error = ("failed" if error else "done"), error

    def outcomes(self, job_id: str, prefix: str) -> dict[str, str | None]:
        """Parts whose name starts so: None while one runs, else its error, empty where it ended well."""
        with self._records.read() as session:
            rows = _tasks(session, job_id)
        return {row.name: row.error if row.outcome else None for row in rows if row.name.startswith(prefix)}


def _tasks(session: Session, job_id: str) -> list[JobTask]:
    return list(session.scalars(select(JobTask).filter_by(job_id=job_id).order_by(JobTask.name)))
