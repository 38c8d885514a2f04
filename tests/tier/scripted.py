"""An orchestrator for the tier to call back, on a real port: it records answers, and can be away or refuse."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import grpc

from throughline.domain.errors import ThroughlineError
from throughline.v1.orchestrator_pb2 import AnnotationResultRequest, AnnotationResultResponse
from throughline.v1.orchestrator_pb2_grpc import OrchestratorServicer, add_OrchestratorServicer_to_server
from throughline.v1.tier_pb2 import ReviewPair, ReviewPairsRequest
from throughline.wire.service import Service, serve
from throughline.wire.settings import ServiceSettings


class ScriptedOrchestrator(OrchestratorServicer):
    """Answers AnnotationResult with what `errors` holds, one by one, then takes everything."""

    def __init__(self, *errors: ThroughlineError) -> None:
        self.errors = list(errors)
        self.heard: list[AnnotationResultRequest] = []
        self.address = ""
        self._news = threading.Condition()

    def AnnotationResult(  # noqa: N802 - gRPC's name
        self, request: AnnotationResultRequest, context: grpc.ServicerContext
    ) -> AnnotationResultResponse:
        with self._news:
            if self.errors:
                raise self.errors.pop(0)
            self.heard.append(request)
            self._news.notify_all()
        return AnnotationResultResponse(accepted=len(request.annotations))

    def wait_for(self, condition: Callable[[], bool], seconds: float = 15.0) -> None:
        with self._news:
            assert self._news.wait_for(condition, seconds), f"it has heard {self.heard}"

    @contextmanager
    def serving(self, listen: str = "127.0.0.1:0") -> Iterator[ScriptedOrchestrator]:
        add = partial(add_OrchestratorServicer_to_server, self)
        service = Service("orchestrator", ("throughline.v1.Orchestrator",), add)
        server = serve([service], ServiceSettings(listen=listen))
        self.address = server.address
        try:
            yield self
        finally:
            server.stop()


def scripted(*errors: ThroughlineError) -> ScriptedOrchestrator:
    """An orchestrator that first answers with `errors`; its other methods are not there."""
    return ScriptedOrchestrator(*errors)  # type: ignore[abstract]


def review_request(target: str, *pair_ids: str, request_id: str = "r-1", **fields: object) -> ReviewPairsRequest:
    """ReviewPairs of job-1 whose pairs are ranked in their order."""
    pairs = [
        ReviewPair(pair_id=pair_id, clip_uri=f"file:///clips/{pair_id}.mp4", similarity=1 - rank / 10, rank=rank)
        for rank, pair_id in enumerate(pair_ids, start=1)
    ]
    values = {"job_id": "job-1", "round": 1, "callback_token": "secret", "deadline_ns": 5, **fields}
    return ReviewPairsRequest(request_id=request_id, callback_target=target, pairs=pairs, **values)  # type: ignore[arg-type]
