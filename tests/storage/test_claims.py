"""The sole right to make an artifact, on the local disk and in S3."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.storage.places import Place, Workshop
from throughline.domain.errors import Cancelled
from throughline.storage.claims import file_claim, lease
from throughline.storage.object_store import go_on

FOLDER = "tracks/0123abcd"


def test_of_many_who_claim_at_once_one_works_and_all_have_its_artifact(workshop: Workshop) -> None:
    made: list[int] = []
    together = threading.Barrier(4)

    def ask(number: int) -> str:
        together.wait()
        with workshop.workspace.claim(FOLDER, go_on) as ready:
            if ready is None:
                made.append(number)
                with workshop.workspace.create(FOLDER) as stage:
                    (stage / "file").write_text(str(number))
        return workshop.workspace.get(FOLDER).path("file").read_text()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert len(made) == 1
    assert answers == [str(made[0])] * 4


def test_who_waits_is_asked_all_the_time_and_may_leave(workshop: Workshop) -> None:
    def leave() -> None:
        raise Cancelled("no longer wanted")

    with workshop.workspace.claim(FOLDER, go_on) as ready:
        assert ready is None
        with pytest.raises(Cancelled), workshop.workspace.claim(FOLDER, leave):
            pytest.fail("two hold one claim")


def test_after_a_failure_the_next_one_works(workshop: Workshop) -> None:
    with pytest.raises(ZeroDivisionError), workshop.workspace.claim(FOLDER, go_on):
        raise ZeroDivisionError
    with workshop.workspace.claim(FOLDER, go_on) as ready:
        assert ready is None


def test_what_is_there_is_given_without_waiting(workshop: Workshop) -> None:
    with workshop.workspace.create(FOLDER) as stage:
        (stage / "file").write_text("there")
    with workshop.workspace.claim(FOLDER, go_on) as first, workshop.workspace.claim(FOLDER, go_on) as second:
        assert first is not None
        assert second is not None


@contextmanager
def another_holder(command: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a claim until it is killed."""
    code = f"import sys, time\n{command}\n    print('held', flush=True)\n    time.sleep(600)\n"
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_lock_of_a_process_that_is_killed_is_free_at_once(tmp_path: Path) -> None:
    path = tmp_path / ".reel.claim"
    command = (
        "from pathlib import Path\nfrom throughline.storage.claims import file_claim\n"
        "with file_claim(Path(sys.argv[1]), lambda: None):"
    )
    with another_holder(command, str(path)) as process, file_claim(path, process.kill):
        assert process.wait() == -9
    assert list(tmp_path.iterdir()) == []


def test_the_lease_of_a_process_that_is_killed_runs_out(place: Place) -> None:
    if not place.is_s3:
        pytest.skip("leases are for S3")
    first, second = threading.Event(), threading.Event()

    def dying() -> None:
        with lease(place.objects, f"{place.uri}/claims/reel", go_on, seconds=1.5):
            first.set()
            second.wait()

    holder = threading.Thread(target=dying)
    holder.start()
    first.wait()
    waits: list[int] = []
    with ThreadPoolExecutor(1) as pool:

        def next_one() -> None:
            with lease(place.objects, f"{place.uri}/claims/reel", lambda: waits.append(1), seconds=1.5):
                assert second.is_set(), "a lease that is renewed was taken"

        coming = pool.submit(next_one)
        while len(waits) < 12:  # more than the 1.5 s of a lease
            second.wait(0.05)
        second.set()
        coming.result(60)
    holder.join()
    abandoned = f"{place.uri}/claims/reel/000002"
    place.objects.write(abandoned, b"of somebody who died")
    with lease(place.objects, f"{place.uri}/claims/reel", go_on, seconds=1.5):
        newest = [info.uri for info in place.objects.list(f"{place.uri}/claims/reel")][-1]
    assert newest == f"{place.uri}/claims/reel/000003"
