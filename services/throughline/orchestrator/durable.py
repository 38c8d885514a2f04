"""DBOS as the orchestrator uses it: workflows by name, queues, steps, and what has to be told apart when a process ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dbos import DBOS, DBOSConfig, SetWorkflowID

from throughline.orchestrator.settings import OrchestratorSettings
from throughline.storage.records import normal_url

R = TypeVar("R")

WORKFLOW_VERSION = "1"
"""Changes only when steps are added, removed or reordered: work that waits under another version is not picked up."""

JOBS, CAMERAS, PAIRS = "throughline-jobs", "throughline-cameras", "throughline-pairs"


class Durable:
    """The one DBOS of this process. Workflows are registered before `start`, put on queues after it."""

    def __init__(self, settings: OrchestratorSettings) -> None:
        self._settings = settings
        config: DBOSConfig = {
            "name": "throughline",
            "system_database_url": normal_url(settings.database_url),
            "application_version": WORKFLOW_VERSION,
            "executor_id": settings.executor_id,
            "log_level": "WARNING",
            "enable_otlp": False,
            "scheduler_polling_interval_sec": 3600.0,  # nothing is scheduled: the sweeper looks for what is due
        }
        DBOS(config=config)
        self._workflows: dict[str, Callable[..., Any]] = {}

    def register(self, name: str, function: Callable[..., None]) -> None:
        """Make a workflow known. Its arguments and what its steps return must be plain values: they are kept for ever."""

        def run(*args: Any) -> None:
            function(*args)

        self._workflows[name] = DBOS.workflow(name=name, max_recovery_attempts=None)(run)

    def start(self) -> None:
        """Open the queues, and go on with whatever this executor was doing when it ended."""
        DBOS.launch()
        settings = self._settings
        for queue, concurrency in (
            (JOBS, settings.job_concurrency),
            (CAMERAS, settings.camera_concurrency),
            (PAIRS, settings.pairs_concurrency),
        ):
            DBOS.register_queue(
                queue,
                worker_concurrency=concurrency,
                polling_interval_sec=settings.poll_seconds,
                on_conflict="always_update",
            )

    def enqueue(self, queue: str, workflow_id: str, name: str, *args: Any) -> None:
        """Put a workflow on a queue; one with the same id is there only once."""
        with SetWorkflowID(workflow_id):
            DBOS.enqueue_workflow(queue, self._workflows[name], *args)

    def step(self, name: str, function: Callable[[], R]) -> R:
        """Within a workflow: run the function, or return what it returned when it ended before."""
        return DBOS.run_step({"name": name}, function)

    def cancel(self, workflow_ids: list[str]) -> None:
        """Take workflows and those that they started off the queues; what runs of them ends at its next step."""
        DBOS.cancel_workflows(workflow_ids, cancel_children=True)

    def stop(self) -> None:
        """Let go of the database. Workflows that run are gone on with by the next process of this executor id."""
        DBOS.destroy(destroy_registry=True)
