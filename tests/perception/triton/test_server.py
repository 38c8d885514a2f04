from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from throughline.domain.errors import DependencyUnavailable, FailedPrecondition
from throughline.models.repository import CPU_INSTANCES
from throughline.perception.triton.server import TritonServer, TritonSettings

_FAMILY = 1 + 2 * CPU_INSTANCES
"""Triton, and a process for each instance of two models."""


def _eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _regions(launcher: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"throughline_triton_{launcher}_*"))


def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _launch(repository: Path, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """The module as a process of its own, and what it says once it is ready."""
    command = [
        sys.executable,
        "-m",
        "throughline.perception.triton.server",
        "--model-repository",
        str(repository),
        *arguments,
    ]
    launcher = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert launcher.stderr is not None
    said = next(line for line in launcher.stderr if line.startswith("triton ready"))
    return launcher, said


def test_it_serves_on_free_ports_and_leaves_nothing_behind(tiny_repository: Path, tmp_path: Path) -> None:
    before = set(_regions(os.getpid()))
    with TritonServer(TritonSettings(model_repository=tiny_repository, log=tmp_path / "log")) as server:
        family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        assert len(family) == _FAMILY
        connection = http.client.HTTPConnection(server.metrics_address)
        connection.request("GET", "/metrics")
        assert b"nv_inference_count" in connection.getresponse().read()
        connection.close()
    assert not any(_alive(process) for process in family)
    assert set(_regions(os.getpid())) == before


def test_nothing_of_it_survives_its_launcher(tiny_repository: Path, tmp_path: Path) -> None:
    launcher, _ = _launch(tiny_repository, "--log", str(tmp_path / "log"))
    family = psutil.Process(launcher.pid).children(recursive=True)
    assert len(family) == _FAMILY
    assert _regions(launcher.pid)
    launcher.kill()
    launcher.wait()
    assert _eventually(lambda: not any(_alive(process) for process in family))
    with TritonServer(TritonSettings(model_repository=tiny_repository, log=tmp_path / "log")):
        assert not _regions(launcher.pid)


def test_it_ends_well_when_it_is_told_to(tiny_repository: Path, tmp_path: Path) -> None:
    launcher, said = _launch(tiny_repository, "--log", str(tmp_path / "log"))
    assert "grpc 127.0.0.1:" in said
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(timeout=30) == 0


def test_a_server_that_dies_ends_its_launcher_with_an_error(tiny_repository: Path, tmp_path: Path) -> None:
    launcher, _ = _launch(tiny_repository, "--log", str(tmp_path / "log"))
    (server,) = psutil.Process(launcher.pid).children()
    server.kill()
    assert launcher.wait(timeout=30) != 0


def test_a_model_that_cannot_load_is_told_with_the_end_of_the_log(tiny_repository: Path, tmp_path: Path) -> None:
    broken = tmp_path / "models"
    (broken / "reid" / "1").mkdir(parents=True)
    (broken / "reid" / "configs").mkdir()
    for name in ("configs/cpu.pbtxt", "1/model.py"):
        (broken / "reid" / name).write_bytes((tiny_repository / "reid" / name).read_bytes())
    (broken / "reid" / "1" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(DependencyUnavailable, match=r"(?s)ended with status 1 while starting.*failed to load 'reid'"):
        TritonServer(TritonSettings(model_repository=broken, log=tmp_path / "log")).start()


def test_models_that_take_too_long_are_not_waited_for(tiny_repository: Path, tmp_path: Path) -> None:
    settings = TritonSettings(model_repository=tiny_repository, log=tmp_path / "log", start_timeout_seconds=0.001)
    with pytest.raises(DependencyUnavailable, match="not ready within"):
        TritonServer(settings).start()


def test_a_repository_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="throughline models build"):
        TritonServer(TritonSettings(model_repository=tmp_path / "none")).start()
