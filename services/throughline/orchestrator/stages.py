"""Calls of the stage services: requests in, answers out, steps and signs of life on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from throughline.domain.errors import DependencyUnavailable
from throughline.orchestrator.inflight import Errand
from throughline.orchestrator.progress import Meter
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.v1.common_pb2 import Incident
from throughline.v1.ingest_pb2 import CollateRequest, CollateResult, ListFootageRequest, ListFootageResponse
from throughline.v1.ingest_pb2_grpc import IngestStub
from throughline.v1.renderer_pb2 import PairClip, RenderPairsRequest, RenderTimelineRequest, RenderTimelineResult
from throughline.v1.renderer_pb2_grpc import RendererStub
from throughline.v1.tracker_pb2 import (
    LocateQueryRequest,
    LocateQueryResponse,
    MeasureClocksRequest,
    MeasureClocksResponse,
    PinModelsRequest,
    PinModelsResponse,
    RankCandidatesRequest,
    RankCandidatesResponse,
    TrackRequest,
    TrackResult,
)
from throughline.v1.tracker_pb2_grpc import TrackerStub
from throughline.wire.client import connect, translated_errors


def call(errand: Errand, name: str, method: Callable[..., Any], request: Message, seconds: float) -> Any:
    """The answer of a unary call; cancelled when the errand is stopped. Raises ThroughlineError."""
    future = method.future(request, timeout=seconds)  # type: ignore[attr-defined]
    with errand.calling(name, future.cancel), translated_errors(name):
        return future.result()


def _events(errand: Errand, name: str, method: Callable[..., Any], request: Message) -> Iterator[Any]:
    """The messages of a streaming call; cancelled when the errand is stopped. Raises ThroughlineError."""
    stream: Any = method(request)
    with errand.calling(name, stream.cancel), translated_errors(name):
        for message in stream:
            errand.heard()
            if message.WhichOneof("event") == "progress":
                errand.reach(message.progress.unit, message.progress.done)
            yield message


class Stages:
    """The three stage services. Safe to use from several threads; close it at the end."""

    def __init__(self, settings: OrchestratorSettings) -> None:
        self._seconds = settings.silence_seconds
        targets = {
            "ingest": settings.ingest_target,
            "tracker": settings.tracker_target,
            "renderer": settings.renderer_target,
        }
        self._names = {service: f"{service} at {target}" for service, target in targets.items()}
        self._channels: dict[str, grpc.Channel] = {
            service: connect(target, settings) for service, target in targets.items()
        }
        self._ingest = IngestStub(self._channels["ingest"])
        self._tracker = TrackerStub(self._channels["tracker"])
        self._renderer = RendererStub(self._channels["renderer"])

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()

    def list_footage(self, errand: Errand, request: ListFootageRequest) -> ListFootageResponse:
        return call(errand, self._names["ingest"], self._ingest.ListFootage, request, self._seconds)

    def collate(self, errand: Errand, request: CollateRequest, meter: Meter) -> CollateResult:
        return self._result(_events(errand, self._names["ingest"], self._ingest.Collate, request), "ingest", meter)

    def pin_models(self, errand: Errand, request: PinModelsRequest, seconds: float | None = None) -> PinModelsResponse:
        """The job's models, pinned now unless they were; `seconds`: how long that may take, by default as long as any call."""
        return call(errand, self._names["tracker"], self._tracker.PinModels, request, seconds or self._seconds)

    def track(self, errand: Errand, request: TrackRequest, meter: Meter) -> TrackResult:
        return self._result(_events(errand, self._names["tracker"], self._tracker.Track, request), "tracker", meter)

    def locate_query(self, errand: Errand, request: LocateQueryRequest) -> LocateQueryResponse:
        return call(errand, self._names["tracker"], self._tracker.LocateQuery, request, self._seconds)

    def rank_candidates(self, errand: Errand, request: RankCandidatesRequest) -> RankCandidatesResponse:
        return call(errand, self._names["tracker"], self._tracker.RankCandidates, request, self._seconds)

    def measure_clocks(self, errand: Errand, request: MeasureClocksRequest) -> MeasureClocksResponse:
        return call(errand, self._names["tracker"], self._tracker.MeasureClocks, request, self._seconds)

    def render_pairs(self, errand: Errand, request: RenderPairsRequest) -> Iterator[PairClip | Incident]:
        """Each clip as it is done, and an incident for each pair that could not be rendered."""
        for message in _events(errand, self._names["renderer"], self._renderer.RenderPairs, request):
            event = message.WhichOneof("event")
            if event in ("clip", "incident"):
                yield getattr(message, event)

    def render_timeline(self, errand: Errand, request: RenderTimelineRequest, meter: Meter) -> RenderTimelineResult:
        events = _events(errand, self._names["renderer"], self._renderer.RenderTimeline, request)
        return self._result(events, "renderer", meter)

    def _result(self, events: Iterator[Any], service: str, meter: Meter) -> Any:
        """The last message's result; the progress before it goes to the meter."""
        result = None
        for message in events:
            if message.WhichOneof("event") == "progress":
                meter.update(message.progress.done, message.progress.total, message.progress.unit)
            else:
                result = message.result
        meter.finish()
        if result is None:
            raise DependencyUnavailable(f"{self._names[service]} ended its answer without a result; it is asked again")
        return result
