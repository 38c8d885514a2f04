"""One deployment for all tests here, and one undisturbed job, with which they compare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.otlp import collecting
from tests.whole.deployment import Effects, Outcome, Theatre
from throughline.cli.stack import StackSettings
from throughline.cli.up import running
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.v1 import orchestrator_pb2 as pb

SMALL_STORE = SimulationSettings(
    seed=7, cameras=3, people=6, seconds=16, width=640, height=360, rate=10, chunk_seconds=4
)


@pytest.fixture(scope="package")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """Every service as a process of its own, over SQLite and the disk."""
    folder: Path = tmp_path_factory.mktemp("whole")
    store = simulate(SMALL_STORE, folder / "store")
    footage = folder / "footage"
    footage.mkdir()
    settings = StackSettings(
        home=folder / "home", port=0, allowed_roots=(footage,), truth=folder / "store" / "truth" / "truth.parquet"
    )
    with collecting() as collector, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{collector.address}")
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")  # milliseconds
        with running(settings, Console(stderr=True)) as (deployment, supervisor):
            yield Theatre(deployment, supervisor, store, footage, collector)


@pytest.fixture(scope="package")
def undisturbed_job(theatre: Theatre) -> pb.Job:
    """A job over the whole store, at its end. Others over its footage find reels and tracks ready."""
    return theatre.finished(theatre.submit("undisturbed"))


@pytest.fixture(scope="package")
def undisturbed(theatre: Theatre, undisturbed_job: pb.Job) -> tuple[Outcome, Effects]:
    """What a job comes to when nothing is killed."""
    return theatre.outcome(undisturbed_job), theatre.effects(undisturbed_job)
