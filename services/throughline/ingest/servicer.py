"""The Ingest service over the wire."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from throughline.domain.footage import Listing
from throughline.domain.work import Step
from throughline.ingest.collate import CollatedReel, CollateRequest, Collator
from throughline.ingest.pinning import pin_footage, read_footage
from throughline.storage.object_store import ObjectStore
from throughline.storage.workspace import Artifact, Workspace
from throughline.v1 import common_pb2, ingest_pb2
from throughline.v1.ingest_pb2_grpc import IngestServicer
from throughline.wire.convert import (
    artifact_from_proto,
    artifact_to_proto,
    incident_to_proto,
    interval_to_proto,
    optional_interval,
    size_to_proto,
    step_to_proto,
)
from throughline.wire.streaming import stream, work_for


class Ingest(IngestServicer):
    """Lists and collates."""

    def __init__(
        self, objects: ObjectStore, workspace: Workspace, collator: Collator, extensions: tuple[str, ...]
    ) -> None:
        self._objects = objects
        self._workspace = workspace
        self._collator = collator
        self._extensions = extensions

    def ListFootage(
        self, request: ingest_pb2.ListFootageRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.ListFootageResponse:
        artifact, listing = pin_footage(
            self._objects,
            self._workspace,
            request.job_id,
            request.footage_uri,
            request.cameras,
            self._extensions,
            check=work_for(context).check,
        )
        return _listed(artifact, listing)

    def Collate(
        self, request: ingest_pb2.CollateRequest, context: grpc.ServicerContext
    ) -> Iterator[ingest_pb2.CollateResponse]:
        footage = self._workspace.get(artifact_from_proto(request.footage).uri)
        wanted = CollateRequest(
            listing=read_footage(footage),
            camera=request.camera,
            time_zone=request.file_name_time_zone or "UTC",
            window=optional_interval(request, "camera_window"),
        )
        for event in stream(context, lambda work: self._collator.collate(wanted, work)):
            if isinstance(event, Step):
                progress = step_to_proto(event, common_pb2.STAGE_INGEST, request.camera)
                yield ingest_pb2.CollateResponse(progress=progress)
            else:
                yield ingest_pb2.CollateResponse(result=_collated(event))


def _listed(artifact: Artifact, listing: Listing) -> ingest_pb2.ListFootageResponse:
    return ingest_pb2.ListFootageResponse(
        footage=artifact_to_proto(artifact),
        cameras=[
            ingest_pb2.CameraFootage(
                camera=camera, chunk_count=len(chunks), bytes=sum(chunk.size_bytes for chunk in chunks)
            )
            for camera, chunks in listing.cameras.items()
        ],
        incidents=[incident_to_proto(incident, common_pb2.STAGE_LIST) for incident in listing.incidents],
    )


def _collated(collated: CollatedReel) -> ingest_pb2.CollateResult:
    span = collated.reel.span
    return ingest_pb2.CollateResult(
        reel=artifact_to_proto(collated.artifact),
        part_count=len(collated.reel.parts),
        camera_span=None if span is None else interval_to_proto(span),
        incidents=[incident_to_proto(incident, common_pb2.STAGE_INGEST) for incident in collated.reel.incidents],
        reused=collated.was_reused,
        frame_sizes=[size_to_proto(size) for size in dict.fromkeys(part.size for part in collated.reel.parts)],
    )
