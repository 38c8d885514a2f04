"""One orchestrator and one set of scripted services for a module; the script is fresh for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.orchestrator.bench import Client, settings_for
from tests.orchestrator.scripted import Script, serve_script
from throughline.orchestrator.__main__ import build
from throughline.wire.service import RunningServer, serve

WEBHOOK_SECRET = "a secret between two"


@pytest.fixture(scope="session")
def running_script() -> Iterator[tuple[Script, RunningServer]]:
    script = Script()
    server = serve_script(script)
    yield script, server
    script.release()
    server.stop()


@pytest.fixture
def script(running_script: tuple[Script, RunningServer]) -> Iterator[Script]:
    script, _ = running_script
    script.reset()
    yield script
    script.release()


@pytest.fixture
def services(running_script: tuple[Script, RunningServer]) -> str:
    """Where the scripted services are."""
    return running_script[1].address


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("orchestrator")


@pytest.fixture(scope="module")
def orchestrator(home: Path, running_script: tuple[Script, RunningServer]) -> Iterator[RunningServer]:
    settings = settings_for(
        home,
        running_script[1].address,
        reminder_seconds=0.6,
        silence_seconds=1.2,
        stage_patience_seconds=2.5,
        webhook_secret=WEBHOOK_SECRET,
        token="own-token",
        outside_token="for-others",
        allowed_targets=("127.0.0.1", "localhost", "hooks.example.com", "tier.example.com:7000"),
    )
    server = serve([build(settings)], settings)
    yield server
    running_script[0].release()
    server.stop()


@pytest.fixture
def client(orchestrator: RunningServer, script: Script) -> Iterator[Client]:
    client = Client(orchestrator.address)
    yield client
    client.close()
