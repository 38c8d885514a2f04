"""Renderer over gRPC: unwrap, call, wrap."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc

from throughline.domain.work import Incident, Step, Work
from throughline.renderer import pairs, requests, timelines
from throughline.renderer.settings import RendererSettings
from throughline.storage.workspace import Workspace
from throughline.v1 import common_pb2, renderer_pb2, renderer_pb2_grpc
from throughline.wire.convert import artifact_to_proto, incident_to_proto, step_to_proto
from throughline.wire.streaming import stream, stream_events


class RendererServicer(renderer_pb2_grpc.RendererServicer):
    """Serves throughline.v1.Renderer from one workspace."""

    def __init__(self, workspace: Workspace, settings: RendererSettings) -> None:
        self._workspace = workspace
        self._settings = settings

    def RenderPairs(
        self, request: renderer_pb2.RenderPairsRequest, context: grpc.ServicerContext
    ) -> Iterator[renderer_pb2.RenderPairsResponse]:
        """Render a clip for each pair."""
        order = requests.pairs_order(request)

        def task(work: Work, emit: Callable[[pairs.RenderedPair | Incident], None]) -> None:
            pairs.render_pairs(self._workspace, order, self._settings.clips, emit, work)

        return (_pair_event(event) for event in stream_events(context, task))

    def RenderTimeline(
        self, request: renderer_pb2.RenderTimelineRequest, context: grpc.ServicerContext
    ) -> Iterator[renderer_pb2.RenderTimelineResponse]:
        """Render the film of a person's way."""
        order = requests.timeline_order(request)

        def task(work: Work) -> timelines.RenderedTimeline:
            return timelines.render_timeline(self._workspace, order, self._settings.film, work)

        return (_timeline_event(event) for event in stream(context, task))


def _pair_event(event: pairs.RenderedPair | Incident | Step) -> renderer_pb2.RenderPairsResponse:
    if isinstance(event, Step):
        return renderer_pb2.RenderPairsResponse(progress=step_to_proto(event, common_pb2.STAGE_RENDER_PAIRS))
    if isinstance(event, Incident):
        return renderer_pb2.RenderPairsResponse(incident=incident_to_proto(event, common_pb2.STAGE_RENDER_PAIRS))
    clip = renderer_pb2.PairClip(
        pair_id=event.pair_id,
        artifact=artifact_to_proto(event.artifact),
        clip_uri=event.artifact.uri_of(pairs.CLIP),
        duration_ns=event.duration_ns,
        reused=event.reused,
    )
    return renderer_pb2.RenderPairsResponse(clip=clip)


def _timeline_event(event: timelines.RenderedTimeline | Step) -> renderer_pb2.RenderTimelineResponse:
    if isinstance(event, Step):
        return renderer_pb2.RenderTimelineResponse(progress=step_to_proto(event, common_pb2.STAGE_RENDER_TIMELINE))
    result = renderer_pb2.RenderTimelineResult(
        artifact=artifact_to_proto(event.artifact),
        film_uri=event.artifact.uri_of(timelines.FILM),
        timeline_json_uri=event.artifact.uri_of(timelines.DOCUMENT),
        contact_sheet_uri=event.artifact.uri_of(timelines.SHEET),
        duration_ns=event.duration_ns,
        incidents=[incident_to_proto(incident, common_pb2.STAGE_RENDER_TIMELINE) for incident in event.incidents],
        reused=event.reused,
    )
    return renderer_pb2.RenderTimelineResponse(result=result)
