"""One deployment for all tests here, and one undisturbed job, with which they compare."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.whole.deployment import Effects, Outcome, Theatre, staged
from throughline.v1 import orchestrator_pb2 as pb


@pytest.fixture(scope="package")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """Every service as a process of its own, over SQLite and the disk."""
    with staged(tmp_path_factory.mktemp("whole")) as theatre:
        yield theatre


@pytest.fixture(scope="package")
def undisturbed_job(theatre: Theatre) -> pb.Job:
    """A job over the whole store, at its end. Others over its footage find reels and tracks ready."""
    return theatre.finished(theatre.submit("undisturbed"))


@pytest.fixture(scope="package")
def undisturbed(theatre: Theatre, undisturbed_job: pb.Job) -> tuple[Outcome, Effects]:
    """What a job comes to when nothing is killed."""
    return theatre.outcome(undisturbed_job), theatre.effects(undisturbed_job)
