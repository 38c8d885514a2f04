"""What this process has at work for its jobs right now, and how that is stopped: with its job, with the process, or for silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from throughline.domain.errors import DeadlineExceeded, ThroughlineError

_LOOK_SECONDS = 0.5


class JobEnded(Exception):
    """The job ended, by whatever hand, while this was at work for it: stop, and change nothing any more."""


class Interrupted(BaseException):
    """This process ends. Not an Exception, so that nothing records it as an outcome: whoever comes next does the work again."""


class Errand:
    """One step of one job at work. Its own thread calls `check`, `sleep`, `heard`, `reach` and `calling`; others stop it."""

    def __init__(self, job_id: str, bound: bool) -> None:
        self.job_id = job_id
        self.bound = bound
        """Whether it stops when the job ends."""
        self.heard_at = time.monotonic()
        self.reached: dict[str, int] = {}
        """How far the step ever came, by unit of progress."""
        self.has_advanced = False
        """Whether it came farther than before since this was last set to False."""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._reason: BaseException | None = None
        self._cancel: Callable[[], object] | None = None
        self._fell_silent = False

    def stop(self, reason: BaseException) -> None:
        """Have the step end with `reason` as soon as it looks; cancel the call that it waits for."""
        with self._lock:
            self._reason = self._reason or reason
            self._stopped.set()
            cancel = self._cancel
        if cancel is not None:
            cancel()

    def check(self) -> None:
        """Raise the reason if the step was stopped."""
        if self._reason is not None:
            raise self._reason

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the step is stopped."""
        self._stopped.wait(seconds)
        self.check()

    def heard(self) -> None:
        """Note that the call in progress said something."""
        self.heard_at = time.monotonic()

    def reach(self, unit: str, done: int) -> None:
        """Note how far the work is. What is only done again, or found ready again, is no progress."""
        if done > self.reached.get(unit, 0):
            self.reached[unit], self.has_advanced = done, True

    def give_up_if_silent(self, seconds: float) -> None:
        """Cancel the call in progress if it has said nothing for that long."""
        with self._lock:
            cancel = self._cancel if time.monotonic() - self.heard_at > seconds else None
            self._fell_silent = self._fell_silent or cancel is not None
        if cancel is not None:
            cancel()

    @contextmanager
    def calling(self, name: str, cancel: Callable[[], object]) -> Iterator[None]:
        """While the block waits for a call; `cancel` ends the call. Raise the reason of a stop instead of the call's own error."""
        self.heard()
        with self._lock:
            self._cancel, self._fell_silent = cancel, False
            is_late = self._reason is not None
        if is_late:  # the call began just before the stop, which had nothing to cancel yet
            cancel()
        try:
            self.check()
            yield
        except ThroughlineError as error:
            self.check()
            if self._fell_silent:
                raise DeadlineExceeded(
                    f"{name} said nothing for too long, so the call was given up; see its log"
                ) from error
            raise
        finally:
            with self._lock:
                self._cancel = None


class InFlight:
    """All errands of this process, and the thread that looks after them."""

    def __init__(self, ended: Callable[[set[str]], set[str]], silence_seconds: float) -> None:
        """`ended` says which of some jobs have ended, at whatever process that was noticed."""
        self._ended = ended
        self._silence_seconds = silence_seconds
        self._errands: set[Errand] = set()
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._look, name="in-flight", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @contextmanager
    def errand(self, job_id: str, bound: bool = True) -> Iterator[Errand]:
        """An errand while the block runs; `bound` ones end with their job."""
        errand = Errand(job_id, bound)
        with self._changed:
            self._errands.add(errand)
        if self._ending.is_set():
            errand.stop(Interrupted())
        try:
            errand.check()
            yield errand
        finally:
            with self._changed:
                self._errands.discard(errand)
                self._changed.notify_all()

    def stop_job(self, job_id: str) -> None:
        """Stop what is at work here for a job that has ended."""
        for errand in self._present():
            if errand.bound and errand.job_id == job_id:
                errand.stop(JobEnded(job_id))

    def stop(self, seconds: float) -> None:
        """Interrupt everything and wait until it has let go, at most `seconds`."""
        self._ending.set()
        for errand in self._present():
            errand.stop(Interrupted())
        with self._changed:
            self._changed.wait_for(lambda: not self._errands, seconds)
        self._thread.join(seconds)

    def _present(self) -> list[Errand]:
        with self._changed:
            return list(self._errands)

    def _look(self) -> None:
        while not self._ending.wait(_LOOK_SECONDS):
            errands = self._present()
            for errand in errands:
                errand.give_up_if_silent(self._silence_seconds)
            jobs = {errand.job_id for errand in errands if errand.bound}
            for job_id in self._ended(jobs) if jobs else ():
                self.stop_job(job_id)
