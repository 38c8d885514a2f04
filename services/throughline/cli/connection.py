"""How commands reach the orchestrator: where the environment says, else where `up` wrote it down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from throughline.cli.deployment import Deployment
from throughline.cli.options import home_of
from throughline.v1.orchestrator_pb2_grpc import OrchestratorStub
from throughline.wire.client import connect, translated_errors
from throughline.wire.settings import ServiceSettings

TARGET_VARIABLE = "THROUGHLINE_ORCHESTRATOR_TARGET"
CALL_SECONDS = 30.0


@contextmanager
def orchestrator(home: Path | None) -> Iterator[OrchestratorStub]:
    """A stub; what fails on the way is a ThroughlineError."""
    target, settings = _target(home)
    with connect(target, settings) as channel, translated_errors(f"orchestrator at {target}"):
        yield OrchestratorStub(channel)


def _target(home: Path | None) -> tuple[str, ServiceSettings]:
    if home is None and (target := os.environ.get(TARGET_VARIABLE)):
        return target, ServiceSettings()
    deployment = Deployment.load(home_of(home))
    return deployment.addresses["orchestrator"], ServiceSettings(token=deployment.token)
