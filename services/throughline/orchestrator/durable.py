"""DBOS as the orchestrator uses it: workflows by name, queues, steps, and what has to be told apart when a process ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID, error
from dbos._utils import INTERNAL_QUEUE_NAME

from throughline.orchestrator.settings import OrchestratorSettings
from throughline.storage.database import IDLE_SECONDS
from throughline.storage.records import normal_url

R = TypeVar("R")
UnexpectedStep = error.DBOSUnexpectedStepError
"""A workflow was recorded by a release whose steps were others."""

WORKFLOW_VERSION = "1"
"""Changes only when steps are added, removed or reordered: work that waits under another version is not picked up."""

JOBS, CAMERAS, PAIRS = "throughline-jobs", "throughline-cameras", "throughline-pairs"


class Durable:
    """The one DBOS of this process. Workflows are registered before `start`, put on queues after it."""

    def __init__(self, settings: OrchestratorSettings, life: str) -> None:
        """`life` names this process, and never named another."""
        self._settings = settings
        config: DBOSConfig = {
            "name": "throughline",
            "system_database_url": normal_url(settings.database_url),
            "application_version": WORKFLOW_VERSION,
            "executor_id": life,
            "log_level": "WARNING",
            "enable_otlp": False,
            "sys_db_idle_transaction_timeout_sec": IDLE_SECONDS,
            "scheduler_polling_interval_sec": 3600.0,  # nothing is scheduled: the sweeper looks for what is due
        }
        self._life = life
        self._dbos = DBOS(config=config)
        self._workflows: dict[str, Callable[..., Any]] = {}

    def register(self, name: str, function: Callable[..., None]) -> None:
        """Make a workflow known. Its arguments and what its steps return must be plain values: they are kept for ever."""

        def run(*args: Any) -> None:
            function(*args)

        self._workflows[name] = DBOS.workflow(name=name, max_recovery_attempts=None)(run)

    def start(self) -> None:
        """Open the queues."""
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

    def enqueue(self, queue: str, workflow_id: str, name: str, *args: Any, place: int = 0) -> None:
        """Put a workflow on a queue; one with the same id is there only once.

        The `place`-th of several counts as if it came so many minutes later: so jobs take turns at the queue, a job with many
        parts can't keep others waiting, and no part waits for ever behind those of newer jobs.
        """
        with SetWorkflowID(workflow_id), SetEnqueueOptions(priority=int(time.time() // 60) + place):
            DBOS.enqueue_workflow(queue, self._workflows[name], *args)

    def step(self, name: str, function: Callable[[], R]) -> R:
        """Within a workflow: run the function, or return what it returned when it ended before."""
        return DBOS.run_step({"name": name}, function)

    def cancel(self, workflow_ids: list[str]) -> None:
        """Take workflows and those that they started off the queues; what runs of them ends at its next step."""
        DBOS.cancel_workflows(workflow_ids, cancel_children=True)

    def running(self) -> dict[str, str]:
        """The workflows that were taken off the queues and have not ended, each with the life that took it."""
        workflows = DBOS.list_workflows(
            status="PENDING", app_version=WORKFLOW_VERSION, load_input=False, load_output=False
        )
        return {workflow.workflow_id: workflow.executor_id or "" for workflow in workflows}

    def attended(self) -> set[str]:
        """The workflows that this process runs."""
        return set(self._dbos._active_workflows_set.activeList())

    def hand_over(self, lives: Iterable[str]) -> None:
        """Put on their queues again, for anybody, workflows that run under lives that have ended; done twice is done once.

        A process that still runs one of them, because it was frozen and not dead, can record nothing of it any more.
        """
        dead = sorted(filter(None, lives))
        if dead:
            DBOS._recover_pending_workflows(dead)

    def put_back(self, workflow_id: str) -> None:
        """Put one on its queue again that this life took and does not run; if it does, that run can record nothing more."""
        self._dbos._sys_db.reenqueue_for_recovery(workflow_id, [self._life], INTERNAL_QUEUE_NAME)

    def stop(self) -> None:
        """Let go of the database. Workflows that run are gone on with when they are handed over."""
        DBOS.destroy(destroy_registry=True)
