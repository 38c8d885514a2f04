"""`throughline up`: a whole deployment on one machine, with nothing but this package."""

from __future__ import annotations

import fcntl
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from throughline.cli import options
from throughline.cli.deployment import FILE_NAME, Deployment
from throughline.cli.keys import public_key_file
from throughline.cli.serve import Servable
from throughline.cli.stack import METRICS, StackSettings, plan
from throughline.cli.supervisor import Supervisor
from throughline.domain.errors import FailedPrecondition
from throughline.perception.triton.environment import ensure_environment

_START_SECONDS = 180.0


def up(
    home: options.Home = None,
    port: Annotated[
        int, typer.Option(min=0, max=65000, help="First of the ports, one for each listener; 0 takes free ones.")
    ] = 7400,
    allow: Annotated[
        list[Path] | None,
        typer.Option(help="Folder below which file:// footage may be read; may be given several times."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Ground truth of a simulated store; the tier then answers by itself.")
    ] = None,
    models: Annotated[Path | None, typer.Option(help="Model repository; default: the one that comes along.")] = None,
    auth: Annotated[bool, typer.Option(help="Ask every caller for a token.")] = True,
    objects: Annotated[bool, typer.Option(help="Start a local S3 server, which keeps its objects in memory.")] = True,
    only: Annotated[list[Servable] | None, typer.Option(help="Only this child; may be given several times.")] = None,
) -> None:
    """Start every service, Triton and a local object store, restart what dies, and stop all at Ctrl-C or SIGTERM."""
    console = Console()
    settings = StackSettings(
        home=options.home_of(home),
        port=port,
        with_auth=auth,
        children=tuple(name for name in only or Servable if objects or name is not Servable.OBJECTS),
        allowed_roots=tuple(folder.absolute() for folder in allow or ()),
        truth=truth.absolute() if truth else None,
        model_repository=models.absolute() if models else None,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), running(settings, console) as (deployment, supervisor):
        console.print(_table(deployment, supervisor))
        key = public_key_file(settings.home)
        console.print(
            f"Evidence of films is signed; its public key: {key}", soft_wrap=True, highlight=False, markup=False
        )
        console.print("Ready. Ctrl-C stops everything.")
        threading.Event().wait()


@contextmanager
def running(settings: StackSettings, console: Console) -> Iterator[tuple[Deployment, Supervisor]]:
    """A deployment that serves when entered and is gone when left. Raises FailedPrecondition where the home is in use."""
    with _locked(settings.home):
        stack = plan(settings)
        if Servable.TRITON in settings.children:
            with console.status("Triton's environment (the first time some 250 MB are downloaded)"):
                ensure_environment()
        supervisor = Supervisor(stack.children, on_event=lambda text: console.print(text, style="yellow", markup=False))
        try:
            with supervisor:
                with console.status(f"Starting {', '.join(child.name for child in stack.children)}"):
                    supervisor.wait_ready(_START_SECONDS)
                stack.deployment.save()
                yield stack.deployment, supervisor
        finally:
            (settings.home / FILE_NAME).unlink(missing_ok=True)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One deployment for a home; the kernel lets go when the holder dies."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)  # its databases hold the jobs' callback tokens
    with (home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FailedPrecondition(
                f"another `throughline up` uses {home}; stop it or choose another --home"
            ) from error
        yield


def _table(deployment: Deployment, supervisor: Supervisor) -> Table:
    columns = ("service", "address", "metrics", "pid", Column("log", overflow="fold"))
    table = Table(*columns, title=f"Throughline at {deployment.home}", title_justify="left")
    for child in supervisor.children:
        name, addresses = child.spec.name, deployment.addresses
        metrics = addresses.get(METRICS.get(name, ""), "")
        table.add_row(name, addresses[name], metrics, str(child.pid), str(child.spec.log))
    return table
