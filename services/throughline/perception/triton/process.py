"""A child process that can't outlive its launcher, nor go on without its own children. What it serves is server.py's matter."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from throughline.domain.errors import FailedPrecondition
from throughline.perception.triton import tether

_CHECK_SECONDS = 0.5
_PROCESSES = Path("/proc")
_log = logging.getLogger(__name__)


class TetheredProcess:
    """Runs `command` in a process group of its own, from construction on."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], log: Path | None) -> None:
        """Without `log` its output goes to standard error. Raises FailedPrecondition when it cannot be launched."""
        self._command = [sys.executable, "-I", tether.__file__, str(os.getpid()), *command]
        self._variables = variables
        self._log_path = log
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._launched, self._ended = threading.Event(), threading.Event()
        self._children: tuple[int, ...] = ()
        self._unawaited: set[int] = set()
        threading.Thread(target=self._keep, name="tethered-process", daemon=True).start()
        self._launched.wait()
        if self._failure:
            raise FailedPrecondition(f"{command[0]} could not be launched: {self._failure}") from self._failure

    @property
    def pid(self) -> int:
        return self._running().pid

    def guard_children(self) -> None:
        """From now on, end it when one of its children is lost: ended, and not awaited. Those that it lets go, and awaits, may go."""
        self._children = tuple(_children(self.pid))

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """Wait for its end; its exit status, None when it still runs at the timeout."""
        return self._running().returncode if self._ended.wait(timeout_seconds) else None

    def stop(self, timeout_seconds: float) -> None:
        """Ask it to end, kill it when it has not after `timeout_seconds`, and with it the rest of its group."""
        process = self._running()
        self._children = ()
        if process.poll() is None:
            process.terminate()
            if not self._ended.wait(timeout_seconds):
                _log.warning("%s did not end within %g s; killing it", process.args, timeout_seconds)
        self._kill_group()
        self._ended.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None  # noqa: S101 - the constructor waits for it
        return self._process

    def _keep(self) -> None:
        """Forks, and stays until the child ends: the kernel stops the child when this very thread ends."""
        try:
            with self._open_log() as log:
                self._process = subprocess.Popen(
                    self._command,
                    env=self._variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as failure:
            self._failure = failure
            return
        finally:
            self._launched.set()
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_CHECK_SECONDS)
                break
            if lost := self._lost_children():
                _log.error(
                    "process %d lost its child %d, which it does not replace; killing it", self._process.pid, min(lost)
                )
                self._kill_group()
        self._ended.set()

    def _lost_children(self) -> set[int]:
        """Those that nobody has awaited since the look before."""
        states = {child: _status(child) for child in self._children}
        unawaited = {child for child, status in states.items() if status is not None and status[0] == "Z"}
        lost, self._unawaited = unawaited & self._unawaited, unawaited
        if None in states.values() and self._children:
            self._children = tuple(_children(self._running().pid))
        return lost

    def _open_log(self) -> contextlib.AbstractContextManager[IO[bytes] | int]:
        if self._log_path is None:
            return contextlib.nullcontext(2)
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        return self._log_path.open("wb")

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._running().pid, signal.SIGKILL)


def _children(parent: int) -> list[int]:
    numbers = (int(entry.name) for entry in _PROCESSES.iterdir() if entry.name.isdecimal())
    return [pid for pid in numbers if (status := _status(pid)) is not None and status[1] == parent]


def _status(pid: int) -> tuple[str, int] | None:
    """State and parent of a process; None when there is none."""
    try:
        state, parent = (_PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return state, int(parent)
