"""A Triton for commands that need models: the one that was named, or one of their own for as long as they run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from throughline.cli.stack import default_models
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.tracker.settings import TrackerSettings

TARGET_VARIABLE = "THROUGHLINE_TRITON_TARGET"

Triton = Annotated[
    str,
    typer.Option(
        envvar=TARGET_VARIABLE, help="HOST:PORT of a Triton's gRPC. Default: one is started for this command."
    ),
]
Models = Annotated[
    Path | None, typer.Option(help="Model repository of the Triton that is started; default: as `up` has it.")
]


@contextmanager
def inference(target: str, models: Path | None) -> Iterator[InferenceClient]:
    """A client of the Triton at `target`, else of a new one. TLS is set as for trackers: THROUGHLINE_TRITON_TLS_CA, and so on."""
    if target:
        settings = TrackerSettings()
        with InferenceClient(
            target,
            max_in_flight=settings.triton_in_flight,
            patience_seconds=settings.triton_patience_seconds,
            tls=settings.triton_tls,
            sharing=settings.triton_sharing,
        ) as client:
            yield client
        return
    variable = os.environ.get("THROUGHLINE_TRITON_MODEL_REPOSITORY")
    repository = models or (Path(variable) if variable else default_models())
    with tempfile.TemporaryDirectory() as folder:
        server_settings = TritonSettings(model_repository=repository, log=Path(folder, "triton.log"))
        with TritonServer(server_settings) as server, InferenceClient(server.grpc_address, max_in_flight=32) as client:
            yield client
