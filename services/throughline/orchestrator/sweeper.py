"""Looks for what is due: workflows that wait to be put on a queue, rounds whose time is up, reminders.

All of it stands in the records, so that nothing is forgotten when a process dies, and several processes may look at once.
"""

from __future__ import annotations

import logging
import threading

from sqlalchemy.exc import OperationalError

from throughline.orchestrator.ledger import Ledger
from throughline.orchestrator.workflow import Workflow

_log = logging.getLogger(__name__)


class Sweeper:
    """A thread that looks every few seconds, and at once when it is woken."""

    def __init__(self, ledger: Ledger, pause_seconds: float) -> None:
        self._ledger = ledger
        self._pause_seconds = pause_seconds
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, workflow: Workflow) -> None:
        self._thread = threading.Thread(target=self._run, args=(workflow,), name="sweeper", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something was written down that should not have to wait."""
        self._woken.set()

    def stop(self) -> None:
        self._ending.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, workflow: Workflow) -> None:
        while not self._ending.is_set():
            try:
                self.sweep(workflow)
            except OperationalError as error:
                _log.warning(
                    "the database does not answer: %s; looking again in %.0f s", error.orig, self._pause_seconds
                )
            except Exception:
                _log.exception("a bug; please report it. Looking again in %.0f s", self._pause_seconds)
            self._woken.wait(self._pause_seconds)
            self._woken.clear()

    def sweep(self, workflow: Workflow) -> None:
        """Look once. Each thing is put on its queue before that is written down: twice on the queue is once."""
        self._ledger.rounds.expire()
        for reminder in self._ledger.rounds.due_reminders():
            workflow.enqueue_reminder(reminder)
            self._ledger.rounds.mark_reminded(reminder)
        for job_id in self._ledger.jobs.not_enqueued():
            workflow.enqueue_find(job_id)
            self._ledger.jobs.mark_enqueued(job_id)
        for round_id in self._ledger.rounds.not_enqueued():
            workflow.enqueue_round(round_id)
            self._ledger.rounds.mark_enqueued(round_id)
        for film in self._ledger.films.not_enqueued():
            workflow.enqueue_film(film)
            self._ledger.films.mark_enqueued(film)
