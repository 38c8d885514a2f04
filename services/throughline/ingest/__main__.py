"""Starts the ingest service: `python -m throughline.ingest`."""

from __future__ import annotations

from functools import partial

from throughline.ingest.collate import Collator
from throughline.ingest.servicer import Ingest
from throughline.ingest.settings import IngestSettings
from throughline.storage.objects import open_objects
from throughline.storage.workspace import Workspace
from throughline.v1.ingest_pb2_grpc import add_IngestServicer_to_server
from throughline.wire.service import Service, run


def build(settings: IngestSettings | None = None) -> Service:
    """The service, ready to be served."""
    settings = settings or IngestSettings()
    objects = open_objects(settings)
    workspace = Workspace(settings.workspace_uri, objects, settings.cache_dir)
    collator = Collator(objects, workspace, settings.collate())
    servicer = Ingest(objects, workspace, collator, settings.ingest_extensions)
    return Service("ingest", ("throughline.v1.Ingest",), partial(add_IngestServicer_to_server, servicer))


if __name__ == "__main__":
    run(build, name="ingest")
