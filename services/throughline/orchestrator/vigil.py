"""Gives this executor's signs of life, hands over the work of those that give none any more, and finds what nobody is doing.

An executor is given up when its sign of life stood still through so many looks; no clock is compared with another, so that a
clock that steps, or differs from its neighbour's, ends nobody.

A workflow is nobody's when, for as many looks, it is this executor's by the database though it runs nothing of it: the claim was
committed, and its answer lost with the connection.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from throughline.orchestrator.durable import Durable
from throughline.orchestrator.executors import Executors, require_life
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.storage.records import Records

_log = logging.getLogger(__name__)


class Silence:
    """Counts for how many looks in a row each life has given no sign."""

    def __init__(self, looks: int) -> None:
        self._looks = looks
        self._seen: dict[str, tuple[int, int]] = {}

    def silent(self, beats: Mapping[str, int]) -> dict[str, int]:
        """Those of the lives, with their last sign, that have been silent for so many looks; this is one look."""
        before, self._seen = self._seen, {}
        for life, beat in beats.items():
            last, looks = before.get(life, (beat, -1))
            self._seen[life] = (beat, looks + 1 if beat == last else 0)
        return {life: beat for life, (beat, looks) in self._seen.items() if looks >= self._looks}


class Vigil:
    """One life of this executor: it begins with this object, and beats and looks in a thread from `start` to `stop`."""

    def __init__(self, settings: OrchestratorSettings) -> None:
        # Connections of its own: a beat must not wait behind a thousand jobs.
        self._records = Records.open(settings.database_url)
        self._executors = Executors(self._records)
        self._pause_seconds = settings.heartbeat_seconds
        looks = math.ceil(settings.takeover_seconds / settings.heartbeat_seconds)
        self._silence, self._neglect = Silence(looks), Silence(looks)
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self.life = self._executors.join(settings.executor_id)

    def guard(self, session: Session) -> None:
        """Raise Interrupted in whatever still works for a life that has ended."""
        require_life(session, self.life)

    def start(self, durable: Durable, on_lost: Callable[[], None]) -> None:
        """`on_lost` is called, from the thread and once, when others have ended this life."""
        self._thread = threading.Thread(target=self._run, args=(durable, on_lost), name="vigil", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Neither beat nor look any more."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def leave(self) -> None:
        """End the life, so that others go on with its work at their next look."""
        try:
            self._executors.leave(self.life)
        except SQLAlchemyError as error:
            _log.warning("the database does not answer: %s; others take over when they notice the silence", error)
        self._records.close()

    def _run(self, durable: Durable, on_lost: Callable[[], None]) -> None:
        while not self._ending.is_set():
            try:
                if not self._executors.beat(self.life):
                    on_lost()
                    return
                self._look(durable)
            except SQLAlchemyError as error:
                _log.warning("the database does not answer: %s; looking again in %.0f s", error, self._pause_seconds)
            except Exception:
                _log.exception("a bug; please report it. Looking again in %.0f s", self._pause_seconds)
            self._ending.wait(self._pause_seconds)

    def _look(self, durable: Durable) -> None:
        for life, beat in self._silence.silent(self._executors.beats()).items():
            if self._executors.give_up(life, beat):
                _log.warning("executor %s gives no sign of life; its work goes to others", life)
        running = durable.running()
        alive = self._executors.beats()  # looked up after the workflows: who began in between is not taken for dead
        durable.hand_over({life for life in running.values() if life not in alive})
        own = {workflow for workflow, life in running.items() if life == self.life}
        for workflow in self._neglect.silent(dict.fromkeys(own - durable.attended(), 0)):
            _log.warning("workflow %s is this executor's and nothing runs it; it goes to its queue again", workflow)
            durable.put_back(workflow)
