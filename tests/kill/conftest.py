"""One deployment and one undisturbed job, which all tests here compare with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.kill.deployment import Effects, Outcome, Theatre
from throughline.cli.stack import StackSettings
from throughline.cli.up import running
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate

SMALL_STORE = SimulationSettings(
    seed=7, cameras=3, people=6, seconds=16, width=640, height=360, rate=10, chunk_seconds=4
)


@pytest.fixture(scope="package")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """Every service as a process of its own, over SQLite and the disk."""
    folder: Path = tmp_path_factory.mktemp("kill")
    store = simulate(SMALL_STORE, folder / "store")
    footage = folder / "footage"
    footage.mkdir()
    settings = StackSettings(
        home=folder / "home", port=0, allowed_roots=(footage,), truth=folder / "store" / "truth" / "truth.parquet"
    )
    with running(settings, Console(stderr=True)) as (deployment, supervisor):
        yield Theatre(deployment, supervisor, store, footage)


@pytest.fixture(scope="package")
def undisturbed(theatre: Theatre) -> tuple[Outcome, Effects]:
    """What a job comes to when nothing is killed."""
    job = theatre.finished(theatre.submit("undisturbed"))
    return theatre.outcome(job), theatre.effects(job)
