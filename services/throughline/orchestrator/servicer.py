"""The Orchestrator service over the wire."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc

from throughline.orchestrator.orchestrator import Orchestrator
from throughline.v1 import orchestrator_pb2 as pb
from throughline.v1.orchestrator_pb2_grpc import OrchestratorServicer


class Servicer(OrchestratorServicer):
    """Unwraps, calls, wraps."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    def SubmitJob(self, request: pb.SubmitJobRequest, context: grpc.ServicerContext) -> pb.SubmitJobResponse:
        return self._orchestrator.submit(request)

    def GetJob(self, request: pb.GetJobRequest, context: grpc.ServicerContext) -> pb.GetJobResponse:
        return pb.GetJobResponse(job=self._orchestrator.job(request.job_id))

    def ListJobs(self, request: pb.ListJobsRequest, context: grpc.ServicerContext) -> pb.ListJobsResponse:
        return self._orchestrator.page(request)

    def WatchJob(self, request: pb.WatchJobRequest, context: grpc.ServicerContext) -> Iterator[pb.WatchJobResponse]:
        gone = threading.Event()
        context.add_callback(gone.set)
        return (pb.WatchJobResponse(job=job) for job in self._orchestrator.watch(request.job_id, gone))

    def CancelJob(self, request: pb.CancelJobRequest, context: grpc.ServicerContext) -> pb.CancelJobResponse:
        return self._orchestrator.cancel(request)

    def AnnotationResult(
        self, request: pb.AnnotationResultRequest, context: grpc.ServicerContext
    ) -> pb.AnnotationResultResponse:
        return self._orchestrator.take_answers(request)

    def RebuildTimeline(
        self, request: pb.RebuildTimelineRequest, context: grpc.ServicerContext
    ) -> pb.RebuildTimelineResponse:
        return self._orchestrator.rebuild(request)
