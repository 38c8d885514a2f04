"""`throughline watch`: a job as it happens, with a bar for each stage and camera."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from throughline.cli import options, words
from throughline.cli.connection import orchestrator
from throughline.domain.errors import DependencyUnavailable
from throughline.domain.time import Instant
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import STAGE_LIST, STAGE_TRACK, Incident
from throughline.v1.common_pb2 import Progress as ProgressMessage

ENDED = (pb.JOB_STATE_SUCCEEDED, pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELLED)
_AWAY_SECONDS = 120.0
_PAUSE_SECONDS = 1.0
_TELL_ATTEMPTS = 3


class JobView:
    """Shows what changed since it was last told. A context manager; without a terminal it writes one line per finished stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=36),
            TextColumn("{task.fields[count]:>22}"),
            TextColumn("{task.fields[speed]}"),
            console=console,
        )
        self._tasks: dict[tuple[int, str], TaskID] = {}
        self._incidents: set[tuple[str, str, str]] = set()
        self._waits: set[tuple[str, str, int]] = set()
        self._timed: set[int] = set()
        self._state = pb.JOB_STATE_UNSPECIFIED

    def __enter__(self) -> JobView:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, job: pb.Job) -> None:
        """Bring the picture up to date."""
        for incident in job.incidents:
            self._warn(incident)
        for waiting in job.waiting:
            self._tell_of(waiting)
        for timing in job.timings:
            if timing.stage not in self._timed and _is_over(timing.stage, job):
                self._timed.add(timing.stage)
                self._finish(timing)
        for progress in job.progress:
            if progress.stage not in self._timed:
                self._advance(progress)
        if job.state != self._state:
            self._state = job.state
            self._console.print(f"[bold]{words.state(job.state)}[/]", highlight=False)
            if job.state == pb.JOB_STATE_WAITING_FOR_REVIEW:
                self._console.print(f"answer the pairs with `throughline review {job.job_id}`", highlight=False)

    def _warn(self, incident: Incident) -> None:
        key = (incident.code, incident.subject, incident.message)
        if key not in self._incidents:
            self._incidents.add(key)
            self._console.print(f"[yellow]{incident.code}[/] {escape(incident.message)}", highlight=False)

    def _tell_of(self, waiting: pb.Waiting) -> None:
        """Once for each wait, when it is more than a hiccup."""
        key = (waiting.step, waiting.camera, waiting.since_ns)
        if waiting.attempts >= _TELL_ATTEMPTS and key not in self._waits:
            self._waits.add(key)
            since, next_one = Instant(waiting.since_ns), Instant(waiting.next_attempt_ns)
            text = f"{waiting.step} {waiting.camera}".strip() + f" since {since}, next at {next_one}: {waiting.reason}"
            self._console.print(f"[yellow]waiting[/] {escape(text)}", highlight=False)

    def _advance(self, progress: ProgressMessage) -> None:
        key = (progress.stage, progress.camera)
        if key not in self._tasks:
            name = f"{words.stage(progress.stage)} {progress.camera}".strip()
            self._tasks[key] = self._bars.add_task(escape(name), total=None, count="", speed="")
        self._bars.update(
            self._tasks[key],
            total=progress.total or None,
            completed=progress.done,
            count=f"{progress.done}/{progress.total or '?'} {progress.unit}",
            speed=_speed(progress),
        )

    def _finish(self, timing: pb.StageTiming) -> None:
        for (stage, _), task in self._tasks.items():
            if stage == timing.stage:
                self._bars.remove_task(task)
        self._tasks = {key: task for key, task in self._tasks.items() if key[0] != timing.stage}
        self._console.print(f"{words.stage(timing.stage):<16} {timing.seconds:6.1f} s", highlight=False)


def _is_over(stage: int, job: pb.Job) -> bool:
    """Whether a stage has ended for every camera; ingest and tracking run side by side."""
    if job.state in ENDED:
        return True
    return stage < job.stage and (stage > STAGE_TRACK or job.stage > STAGE_TRACK or stage == STAGE_LIST)


def _speed(progress: ProgressMessage) -> str:
    rate = f"{progress.rate:.1f}/s" if progress.rate > 0 else ""
    left = f"{progress.seconds_left:.0f} s left" if progress.seconds_left > 0 else ""
    return f"{rate} {left}".strip()


def follow(home: Path | None, job_id: str, console: Console, until: tuple[int, ...] = ENDED) -> pb.Job:
    """Show a job until it is in one of the states `until` or has ended; return it. Waits for an orchestrator that is restarted."""
    away_since: float | None = None
    with JobView(console) as view:
        while True:
            try:
                with orchestrator(home) as stub:
                    for response in stub.WatchJob(pb.WatchJobRequest(job_id=job_id)):
                        away_since = None
                        view.show(response.job)
                        if response.job.state in (*until, *ENDED):
                            return response.job
            except DependencyUnavailable:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > _AWAY_SECONDS:
                    raise
            time.sleep(_PAUSE_SECONDS)


def watch(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Id that `submit` printed.")], home: options.Home = None
) -> None:
    """Show a job's progress until it has ended; status 1 where it failed or was cancelled."""
    console = Console()
    job = follow(home, job_id, console)
    if job.timeline.film_uri:
        console.print(f"film           {job.timeline.film_uri}", soft_wrap=True, highlight=False)
        console.print(f"contact sheet  {job.timeline.contact_sheet_uri}", soft_wrap=True, highlight=False)
        console.print(f"evidence       {job.timeline.evidence_uri}", soft_wrap=True, highlight=False)
    if job.state != pb.JOB_STATE_SUCCEEDED:
        console.print(job.error, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)
