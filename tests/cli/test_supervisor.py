"""Children that are kept alive: real processes, really killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.cli.conditions import eventually, is_gone
from throughline.cli.supervisor import ChildSpec, Supervisor
from throughline.domain.errors import DependencyUnavailable

SLEEPER = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
STUBBORN = (
    "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
)
FAILING = "import sys; print('no such model'); sys.exit(3)"


def _spec(folder: Path, name: str, program: str) -> ChildSpec:
    mark = folder / f"{name}.ready"
    return ChildSpec(
        name, (sys.executable, "-c", program, str(mark)), dict(os.environ), folder / "logs" / f"{name}.log", mark.exists
    )


def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    events: list[str] = []
    with Supervisor([_spec(tmp_path, "a", SLEEPER), _spec(tmp_path, "b", SLEEPER)], events.append) as supervisor:
        supervisor.wait_ready(20)
        first, other = (child.pid for child in supervisor.children)
        assert first
        (tmp_path / "a.ready").unlink()
        os.kill(first, signal.SIGKILL)
        eventually((tmp_path / "a.ready").exists)
        assert supervisor.children[0].pid not in (None, first)
        assert supervisor.children[1].pid == other
    assert events == ["a was killed by SIGKILL; starting it again in 0.5 s"]


def test_stopping_ends_every_child_even_one_that_will_not(tmp_path: Path) -> None:
    supervisor = Supervisor([_spec(tmp_path, "a", SLEEPER), _spec(tmp_path, "b", STUBBORN)], stop_timeout_seconds=0.5)
    with supervisor:
        supervisor.wait_ready(20)
        pids = [child.pid for child in supervisor.children]
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)


def test_a_child_that_keeps_dying_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with (
        Supervisor([_spec(tmp_path, "bad", FAILING)]) as supervisor,
        pytest.raises(DependencyUnavailable, match=r"bad ended 3 times while starting(.|\n)*no such model"),
    ):
        supervisor.wait_ready(20)


def test_children_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    child_of_child = os.fork()
    if child_of_child == 0:  # the supervisor to be killed
        with Supervisor([_spec(tmp_path, "a", SLEEPER)]) as supervisor:
            supervisor.wait_ready(20)
            (tmp_path / "pid").write_text(str(supervisor.children[0].pid))
            threading.Event().wait()
    eventually(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()))
    pid = int((tmp_path / "pid").read_text())
    assert psutil.pid_exists(pid)
    os.kill(child_of_child, signal.SIGKILL)
    os.waitpid(child_of_child, 0)
    eventually(lambda: is_gone(pid))
