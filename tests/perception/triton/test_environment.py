from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from throughline.domain.errors import FailedPrecondition
from throughline.perception.triton.environment import ensure_environment

_COMMAND = [sys.executable, "-m", "throughline.perception.triton.environment"]


def test_two_processes_at_once_make_one_environment_also_after_a_killed_install(tmp_path: Path) -> None:
    variables = {**os.environ, "THROUGHLINE_TRITON_HOME": str(tmp_path)}
    root = Path(ensure_environment().root.name)
    half_done = tmp_path / root / "lib" / "rubbish"
    half_done.mkdir(parents=True)
    both = [
        subprocess.Popen(_COMMAND, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in "ab"
    ]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert [printed.strip() for printed, _ in said] == [str(tmp_path / root)] * 2
    assert not half_done.exists()
    made = (tmp_path / root / "ready.json").stat().st_mtime_ns
    environment = ensure_environment(tmp_path)
    assert (environment.root / "ready.json").stat().st_mtime_ns == made
    assert environment.server.is_file()
    assert (environment.backends / "python" / "triton_python_backend_stub").is_file()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('{"version": "3.10", "folders": ["/usr/lib"]}', "no stub for Python 3.10"),
        ('{"version": "3.11", "folders": ["/nowhere"]}', "no shared libpython3.11"),
    ],
)
def test_a_python_that_cannot_carry_triton_is_refused_with_a_way_out(tmp_path: Path, answer: str, message: str) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\necho '{answer}'\n")
    interpreter.chmod(0o755)
    with pytest.raises(FailedPrecondition, match=message) as refusal:
        ensure_environment(tmp_path, interpreter)
    assert "THROUGHLINE_TRITON_PYTHON" in str(refusal.value)
