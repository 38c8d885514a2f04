"""Replaces a model that a running Triton serves: the new version is loaded beside the old one, which goes on for work pinned to it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tritonclient.grpc import service_pb2

from throughline.domain.errors import ThroughlineError
from throughline.models.repository import add_version
from throughline.perception.triton.card import ModelCard
from throughline.perception.triton.rpc import PLAIN_TEXT, TritonRpc
from throughline.wire.tls import TlsFiles

_LOAD_SECONDS = 300.0


def swap(
    model_dir: Path, fresh: Path, address: str, patience_seconds: float = 10.0, tls: TlsFiles = PLAIN_TEXT
) -> tuple[str, ModelCard]:
    """Add the model of `fresh` to `model_dir`, have Triton at `address` load it, and give its version and card.

    Where Triton can't load it, `model_dir` is put back as it was and the old model goes on. Raises ThroughlineError.
    """
    kept = model_dir.with_name(f".{model_dir.name}.before")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(model_dir, kept)
    try:
        version, card = add_version(model_dir, fresh)
        _load(address, model_dir.name, patience_seconds, tls)
    except ThroughlineError:
        shutil.rmtree(model_dir)
        kept.rename(model_dir)
        raise
    shutil.rmtree(kept)
    return version, card


def _load(address: str, name: str, patience_seconds: float, tls: TlsFiles) -> None:
    rpc = TritonRpc(address, patience_seconds, request_timeout_seconds=_LOAD_SECONDS, tls=tls)
    try:
        rpc.call("RepositoryModelLoad", service_pb2.RepositoryModelLoadRequest(model_name=name))
    finally:
        rpc.close()
