"""The Dockerfile builds from what is there, pinned and locked, and runs as nobody in particular."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.deployment.dockerfile import ROOT, Stage, read_dockerfile
from throughline.cli.main import _COMMANDS

STAGES = read_dockerfile()
RUN_STAGES = ("throughline", "triton", "models-tensorrt")


@pytest.fixture(params=RUN_STAGES)
def stage(request: pytest.FixtureRequest) -> Stage:
    return STAGES[request.param]


def ignored() -> list[str]:
    return [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def test_base_images_are_pinned_to_a_version() -> None:
    for stage in STAGES.values():
        if stage.base not in STAGES:
            assert re.search(r":\d+\.\d+", stage.base), stage.base


def test_triton_and_tensorrt_are_of_one_release() -> None:
    assert STAGES["triton"].base.partition(":")[2] == STAGES["models-tensorrt"].base.partition(":")[2]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = {line.removeprefix("!") for line in ignored() if line.startswith("!")}
    for stage in STAGES.values():
        for text in stage.all("COPY"):
            *sources, _ = shlex.split(text)
            if sources[0].startswith("--from="):
                assert sources[0].removeprefix("--from=") in STAGES
                continue
            for source in sources:
                assert (ROOT / source).exists(), source
                assert any(Path(source).is_relative_to(folder) for folder in kept), f"{source} is in .dockerignore"


def test_nothing_is_sent_to_the_builder_but_what_is_named() -> None:
    assert ignored()[0] == "*"


def test_packages_come_from_the_lock_file_alone() -> None:
    for name in ("locked", "models-tensorrt"):
        synced = [text for text in STAGES[name].all("RUN") if text.startswith("uv sync")]
        assert synced
        for text in synced:
            assert {"--frozen", "--no-dev"} <= set(text.split())


def test_processes_run_as_a_user_without_rights(stage: Stage) -> None:
    user, _, group = stage.all("USER")[-1].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert stage.instructions.index(("USER", f"{user}:{group}")) > max(
        index for index, (keyword, _) in enumerate(stage.instructions) if keyword in ("RUN", "COPY")
    )


def test_images_say_what_they_are_and_hold_no_secrets(stage: Stage) -> None:
    labels = " ".join(stage.all("LABEL"))
    for label in ("title", "description", "licenses"):
        assert f"org.opencontainers.image.{label}=" in labels
    assert not [name for name in stage.environment if re.search("TOKEN$|SECRET$|PASSWORD|KEY", name)]


def test_servers_are_checked_by_a_command_that_exists() -> None:
    for name in ("throughline", "triton"):
        (text,) = STAGES[name].all("HEALTHCHECK")
        assert "CMD [" in text
    assert '"throughline", "healthy"' in STAGES["throughline"].all("HEALTHCHECK")[0]
    assert "healthy" in _COMMANDS
    assert STAGES["throughline"].command("ENTRYPOINT") == ["throughline"]


def test_it_listens_on_the_ports_that_it_exposes() -> None:
    environment = STAGES["throughline"].environment
    listening = {int(environment[name].rpartition(":")[2]) for name in environment if name.endswith("LISTEN")}
    assert listening == STAGES["throughline"].ports


def test_tritons_backend_gets_all_pinned_packages_but_the_server_that_it_has() -> None:
    (install,) = (text for text in STAGES["triton"].all("RUN") if "pip install" in text)
    assert "grep -v '^nvidia-pytriton=='" in install
    pins = (ROOT / "services/throughline/perception/triton/requirements.txt").read_text()
    assert re.search("^nvidia-pytriton==", pins, re.MULTILINE)
    assert re.search("^onnxruntime==", pins, re.MULTILINE)


def test_the_python_of_the_image_is_one_that_the_package_takes() -> None:
    version = re.search(r"python:(\d+)\.(\d+)", STAGES["throughline"].base)
    assert version is not None
    assert (3, 11) <= (int(version[1]), int(version[2])) < (3, 14)
