"""Starts the orchestrator: `python -m throughline.orchestrator`."""

from __future__ import annotations

from functools import partial

from throughline.orchestrator.orchestrator import Orchestrator
from throughline.orchestrator.servicer import Servicer
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.v1.orchestrator_pb2_grpc import add_OrchestratorServicer_to_server
from throughline.wire.service import Service, run


def build(settings: OrchestratorSettings | None = None) -> Service:
    """The service, its workflows going on."""
    orchestrator = Orchestrator(settings or OrchestratorSettings())
    return Service(
        name="orchestrator",
        proto_names=("throughline.v1.Orchestrator",),
        add_to_server=partial(add_OrchestratorServicer_to_server, Servicer(orchestrator)),
        close=orchestrator.close,
        collectors=(orchestrator.counts,),
    )


if __name__ == "__main__":
    run(build, name="orchestrator")
