"""Sends answers to the orchestrator's AnnotationResult, until each batch was taken or refused for good."""

from __future__ import annotations

import logging

from throughline.domain.errors import (
    Conflict,
    FailedPrecondition,
    InvalidInput,
    NotFound,
    PermissionDenied,
    ThroughlineError,
)
from throughline.domain.pairs import Verdict
from throughline.tier.reviews import Batch, Reviews
from throughline.v1.orchestrator_pb2 import Annotation, AnnotationResultRequest, AnnotationResultResponse
from throughline.v1.orchestrator_pb2_grpc import OrchestratorStub
from throughline.wire.client import connect, translated_errors
from throughline.wire.convert import verdict_to_proto
from throughline.wire.settings import ServiceSettings
from throughline.wire.subject import working_for
from throughline.wire.tracing import job_trace

_CALL_SECONDS = 20.0
_FOR_GOOD = (InvalidInput, NotFound, PermissionDenied, FailedPrecondition, Conflict)
_log = logging.getLogger(__name__)


def deliver(reviews: Reviews, settings: ServiceSettings) -> list[ThroughlineError]:
    """Send every batch that waits; return the errors of those that were not taken. The others are marked as sent.

    A batch that the orchestrator refuses for good is marked as such; one that it could not be reached for stays for the next time.
    """
    failures: list[ThroughlineError] = []
    for batch in reviews.unsent():
        with working_for(job=batch.job_id, request=batch.request_id), job_trace(batch.job_id):
            try:
                _deliver_one(batch, reviews, settings)
            except ThroughlineError as error:
                failures.append(error)
    return failures


def _deliver_one(batch: Batch, reviews: Reviews, settings: ServiceSettings) -> None:
    try:
        answer = _send(batch, settings)
    except _FOR_GOOD as error:
        _log.warning("answers %s of job %s were refused: %s", batch.request_id, batch.job_id, error)
        reviews.mark_refused(batch.request_id, str(error))
        raise
    reviews.mark_sent(batch.request_id)
    _log.info(
        "job %s round %d: %d answers counted, %d late, %d pairs open, unknown: %s",
        batch.job_id,
        batch.round,
        answer.accepted,
        answer.late,
        answer.outstanding,
        list(answer.unknown_pair_ids) or "none",
    )


def _send(batch: Batch, settings: ServiceSettings) -> AnnotationResultResponse:
    request = AnnotationResultRequest(
        request_id=batch.request_id,
        job_id=batch.job_id,
        callback_token=batch.callback_token,
        round=batch.round,
        annotations=[
            Annotation(
                pair_id=answer.pair_id,
                verdict=verdict_to_proto(Verdict(answer.verdict)),
                annotator=answer.annotator,
                annotated_ns=answer.annotated_ns,
                comment=answer.comment,
            )
            for answer in batch.answers
        ],
    )
    target = batch.callback_target
    with connect(target, settings) as channel, translated_errors(f"orchestrator at {target}"):
        return OrchestratorStub(channel).AnnotationResult(request, timeout=_CALL_SECONDS)
