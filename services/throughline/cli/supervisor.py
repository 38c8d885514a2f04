"""Keeps child processes alive: starts them, waits for their health, restarts what dies, stops all. Which ones is stack.py's.

Children end with this process, however that ends: each is tied to the thread that launched it (see tether.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from throughline.domain.errors import DependencyUnavailable
from throughline.perception.triton import tether
from throughline.wire.logs import readable

_BACKOFF_FIRST_SECONDS = 0.5
_BACKOFF_MOST_SECONDS = 30.0
_LIVED_WELL_SECONDS = 5.0
"""A child that lived this long is restarted without the delay that earlier deaths added up to."""
_FAILED_STARTS = 3
"""So many deaths before the first sign of health are a mistake in the set-up, not bad luck."""
_PROBE_EVERY_SECONDS = 0.1
_LOG_KEPT_BYTES = 20_000_000
_LOG_TAIL_LINES = 25


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start a child, and how to ask whether it serves.

    `environment` is its whole environment; `loses` says what is lost when it dies, for those children that lose something.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    is_ready: Callable[[], bool]
    loses: str = ""


class Child:
    """One child process, started again whenever it ends by itself."""

    def __init__(self, spec: ChildSpec, on_event: Callable[[str], None]) -> None:
        self.spec = spec
        self.deaths = 0
        self._on_event = on_event
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep_alive, name=f"keep-{spec.name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the present process; None between a death and the next start."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        """SIGTERM; it is not started again."""
        with self._lock:
            self._stopping.set()
            self._signal(signal.SIGTERM)

    def join(self, timeout_seconds: float) -> None:
        """Wait until it has ended, and kill it with all that it started when it takes too long."""
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            self._on_event(f"{self.spec.name} did not stop within {timeout_seconds:g} s; killing it")
            self._signal(signal.SIGKILL)
            self._thread.join()

    def log_tail(self) -> str:
        """The last lines that it wrote."""
        with contextlib.suppress(OSError):
            lines = self.spec.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
            return "\n".join(readable(line) for line in lines)
        return ""

    def _signal(self, number: signal.Signals) -> None:
        if (pid := self.pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if number == signal.SIGKILL else os.kill)(pid, number)

    def _keep_alive(self) -> None:
        delay = _BACKOFF_FIRST_SECONDS
        while True:
            born = time.monotonic()
            with self._lock:
                if self._stopping.is_set():
                    return
                self._process = process = self._launch()
            process.wait()
            with contextlib.suppress(ProcessLookupError):  # whatever it started and left behind
                os.killpg(process.pid, signal.SIGKILL)
            if self._stopping.is_set():
                return
            self.deaths += 1
            if time.monotonic() - born > _LIVED_WELL_SECONDS:
                delay = _BACKOFF_FIRST_SECONDS
            lost = f"; {self.spec.loses}" if self.spec.loses else ""
            self._on_event(f"{self.spec.name} {_ending(process.returncode)}; starting it again in {delay:g} s{lost}")
            if self._stopping.wait(delay):
                return
            delay = min(delay * 2, _BACKOFF_MOST_SECONDS)

    def _launch(self) -> subprocess.Popen[bytes]:
        """Called on the thread that stays for as long as the child: the kernel ends the child with it."""
        log = self.spec.log
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > _LOG_KEPT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        tied = [sys.executable, "-I", tether.__file__, str(os.getpid()), *self.spec.command]
        with log.open("ab") as output:
            return subprocess.Popen(
                tied,
                env=dict(self.spec.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )


class Supervisor:
    """A set of children. A context manager: all started when entered, all gone when left."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        on_event: Callable[[str], None] = lambda _: None,
        stop_timeout_seconds: float = 20.0,
    ) -> None:
        self.children = tuple(Child(spec, on_event) for spec in specs)
        self._stop_timeout_seconds = stop_timeout_seconds

    def start(self) -> None:
        for child in self.children:
            child.start()

    def wait_ready(self, timeout_seconds: float) -> None:
        """Return when every child serves; raise DependencyUnavailable with the end of the log of one that does not."""
        deadline = time.monotonic() + timeout_seconds
        for child in self.children:
            while not (child.pid is not None and child.spec.is_ready()):
                if child.deaths >= _FAILED_STARTS:
                    raise self._not_ready(child, f"ended {child.deaths} times while starting")
                if time.monotonic() > deadline:
                    raise self._not_ready(child, f"did not serve within {timeout_seconds:g} s")
                time.sleep(_PROBE_EVERY_SECONDS)

    def stop(self) -> None:
        """Ask all at once; kill those that are still there when the time is over."""
        for child in self.children:
            child.ask_to_stop()
        deadline = time.monotonic() + self._stop_timeout_seconds
        for child in self.children:
            child.join(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @staticmethod
    def _not_ready(child: Child, what: str) -> DependencyUnavailable:
        return DependencyUnavailable(
            f"{child.spec.name} {what}; the end of its log, {child.spec.log}:\n{child.log_tail()}"
        )


def _ending(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"
