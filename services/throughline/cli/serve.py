"""`throughline serve NAME...`: the entry point of every process of a deployment, on one machine and in a cluster."""

from __future__ import annotations

import importlib
import logging
import sys
from enum import StrEnum
from typing import Annotated

import typer


class Servable(StrEnum):
    """What can be served."""

    INGEST = "ingest"
    TRACKER = "tracker"
    RENDERER = "renderer"
    ORCHESTRATOR = "orchestrator"
    TIER = "tier"
    ALERT = "alert"
    TRITON = "triton"
    OBJECTS = "objects"


_ALONE = (Servable.TRITON, Servable.OBJECTS)


def serve(
    names: Annotated[list[Servable], typer.Argument(help="One service, or several for one process.")],
) -> None:
    """Run services in this process until it is told to end. Settings come from THROUGHLINE_* variables.

    `triton` (a real Triton server) and `objects` (a local S3 server that keeps its objects in memory) are served alone.
    """
    if len(names) > 1 and (alone := next((name for name in names if name in _ALONE), None)):
        raise typer.BadParameter(f"{alone} needs a process of its own: throughline serve {alone}")
    if names[0] is Servable.TRITON:
        raise typer.Exit(_serve_triton())
    if names[0] is Servable.OBJECTS:
        _serve_objects()
        return
    from throughline.wire.service import run  # each process loads only what it serves

    builds = (importlib.import_module(f"throughline.{name}.__main__").build for name in names)
    run(*builds, name="+".join(names))


def _serve_triton() -> int:
    from throughline.perception.triton.server import main

    sys.argv[1:] = []  # its settings come from the environment alone
    return main()


def _serve_objects() -> None:
    from throughline.cli.objectstore import LocalObjectStore
    from throughline.wire.ending import catch_ending
    from throughline.wire.settings import ServiceSettings

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for every request otherwise
    wait_for_end = catch_ending()
    with LocalObjectStore(ServiceSettings().listen) as store:
        typer.echo(f"objects ready: {store.url}")
        wait_for_end()
