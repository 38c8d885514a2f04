"""What happens to a process whose children end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.conditions import eventually
from throughline.perception.triton.process import TetheredProcess

_PARENT = """
import signal, subprocess, sys
def begin():
    return subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
children = [begin()]
def replace(*_):
    old, children[0] = children[0], begin()
    old.kill()
    old.wait()
    print("replaced", flush=True)
signal.signal(signal.SIGUSR1, replace)
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[TetheredProcess]:
    """Has one child, for which it takes another at SIGUSR1."""
    process = TetheredProcess([sys.executable, "-c", _PARENT], os.environ, tmp_path / "log")
    eventually(lambda: "ready" in (tmp_path / "log").read_text())
    process.guard_children()
    yield process
    process.stop(5)


def test_a_child_that_crashes_takes_its_parent_along(parent: TetheredProcess) -> None:
    (child,) = psutil.Process(parent.pid).children()
    child.kill()
    assert parent.wait(30) == -signal.SIGKILL


def test_a_child_that_is_let_go_does_not_but_the_one_after_it_does(parent: TetheredProcess, tmp_path: Path) -> None:
    os.kill(parent.pid, signal.SIGUSR1)
    eventually(lambda: "replaced" in (tmp_path / "log").read_text())
    assert parent.wait(2) is None
    (child,) = psutil.Process(parent.pid).children()
    child.kill()
    assert parent.wait(30) == -signal.SIGKILL
