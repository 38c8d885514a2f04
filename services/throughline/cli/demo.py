"""`throughline demo`: the whole main job on a simulated store, from nothing to the film, and a check that all of it is right."""

from __future__ import annotations

import shutil
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from throughline.cli.connection import CALL_SECONDS, orchestrator
from throughline.cli.demo_report import checks, findings, report
from throughline.cli.deployment import Deployment
from throughline.cli.objectstore import local_s3
from throughline.cli.simulate import film
from throughline.cli.stack import StackSettings
from throughline.cli.up import running
from throughline.cli.watch import follow
from throughline.perception.triton.environment import ensure_environment
from throughline.simulation.settings import DEMO_SEED, SimulationSettings
from throughline.simulation.truth import StoreTruth
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.common_pb2 import ClockMap

_BUCKET, _PREFIX, _QUERY = "demo-store", "recordings", "queries/query.json"
_UPLOADS_AT_ONCE = 8
_OF_EARLIER_RUNS = ("store", "workspace", "cache", "logs")


@dataclass(slots=True)
class _Clock:
    """Seconds of each part of the demonstration."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = now - self._since
        self._since = now


def demo(
    home: Annotated[Path, typer.Option(help="Folder for everything; what earlier runs left there is removed.")] = Path(
        "build/demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Decides the store.")] = DEMO_SEED,
    people: Annotated[int, typer.Option(min=1, max=60)] = 10,
    seconds: Annotated[float, typer.Option(min=10, help="Length of the recording.")] = 120.0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end, until Ctrl-C.")] = False,
) -> None:
    """Simulate a store, start everything, find one of its people and film their way; status 0 only if all is right."""
    console, clock = Console(), _Clock()
    home = home.absolute()
    _clear(home)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with console.status("Triton's environment (the first time some 250 MB are downloaded)"):
        ensure_environment()
    clock.lap("environment")
    store = film(SimulationSettings(seed=seed, people=people, seconds=seconds), home / "store", console)
    clock.lap("simulate")
    settings = StackSettings(home=home, port=0, truth=home / "store" / "truth" / "truth.parquet")
    with running(settings, console) as (deployment, _):
        clock.lap("start")
        _upload(store, deployment.s3_endpoint_url)
        clock.lap("upload")
        job = follow(home, _submit(home, store), console)
        clock.lap("job")
        found = findings(deployment, job, store)
        results = checks(found)
        clock.lap("check")
        report(console, found, results, clock.seconds)
        if keep:
            _stay(console, deployment)
    if not all(check.passed for check in results):
        raise typer.Exit(1)


def _clear(home: Path) -> None:
    """Begin from nothing: everything that is shown has been computed in this run."""
    for name in _OF_EARLIER_RUNS:
        shutil.rmtree(home / name, ignore_errors=True)
    for database in home.glob("*.db*"):
        database.unlink()


def _upload(store: StoreTruth, endpoint_url: str) -> None:
    """Put footage and query into a new bucket."""
    s3 = local_s3(endpoint_url)
    s3.create_bucket(Bucket=_BUCKET)
    keys = {path: f"{_PREFIX}/{path.relative_to(store.footage)}" for path in sorted(store.footage.rglob("*.mp4"))}
    keys[store.folder / store.document.queries[0].file] = _QUERY
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        list(pool.map(lambda item: s3.upload_file(str(item[0]), _BUCKET, item[1]), keys.items()))


def _submit(home: Path, store: StoreTruth) -> str:
    """Ask for the first query's person, with what is known of the cameras' clocks."""
    clocks = [ClockMap(camera=camera, offset_ns=clock.offset_ns) for camera, clock in store.clocks.items()]
    request = pb.SubmitJobRequest(
        request_id=f"demo-{uuid.uuid4().hex}",
        footage_uri=f"s3://{_BUCKET}/{_PREFIX}/",
        query_uri=f"s3://{_BUCKET}/{_QUERY}",
        options=pb.JobOptions(clock_maps=clocks, labels={"store": f"simulated, seed {store.document.settings.seed}"}),
    )
    with orchestrator(home) as stub:
        return stub.SubmitJob(request, timeout=CALL_SECONDS).job_id


def _stay(console: Console, deployment: Deployment) -> None:
    console.print(f"Everything goes on running; use other commands with --home {deployment.home}. Ctrl-C ends it.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        return
