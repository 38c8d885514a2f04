"""Takes what people answered: in any order, repeated, in part, late, for pairs that nobody asked about."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from throughline.domain.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from throughline.orchestrator.films import open_pairs
from throughline.orchestrator.jobs import locked
from throughline.orchestrator.ranking import WAS_ASKED
from throughline.orchestrator.requests import check_request_id, digest_of
from throughline.orchestrator.rounds import COMPLETE, close_round
from throughline.orchestrator.words import verdict_word
from throughline.storage.records import Records
from throughline.storage.records.models import Answer, Callback, CandidateTrack, Job, ReviewRound
from throughline.v1.common_pb2 import VERDICT_UNSPECIFIED, Verdict
from throughline.v1.orchestrator_pb2 import Annotation, AnnotationResultRequest, AnnotationResultResponse

ANSWERS_AT_MOST = 10_000


class Answers:
    """The answers of all jobs. Safe to use from several threads and processes."""

    def __init__(self, records: Records, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._records = records
        self._now_ns = now_ns

    def take(self, request: AnnotationResultRequest) -> AnnotationResultResponse:
        """Keep the answers; close the round, and ask for the next or for the film, when they were the last.

        Raises InvalidInput, NotFound (job, round), PermissionDenied (token), and Conflict where the request_id came with other answers.
        """
        _check(request)
        digest = digest_of(request)
        with self._records.write() as session:
            job = locked(session, request.job_id)
            _check_token(job, request.callback_token)
            known = session.get(Callback, request.request_id)
            if known is not None:
                return _repeated(known, digest)
            response = self._keep(session, job, request)
            session.add(
                Callback(
                    request_id=request.request_id,
                    job_id=job.job_id,
                    digest=digest,
                    response=response.SerializeToString(),
                )
            )
            return response

    def _keep(self, session: Session, job: Job, request: AnnotationResultRequest) -> AnnotationResultResponse:
        number, now = request.round or 1, self._now_ns()
        review = session.get(ReviewRound, (job.job_id, number))
        if review is None:
            raise NotFound(
                f"job {job.job_id} has no round {number} of review; answer a round that its ReviewPairs named"
            )
        asked = select(CandidateTrack.pair_id).filter_by(job_id=job.job_id, round=number).where(WAS_ASKED)
        pairs = set(session.scalars(asked))
        late = bool(review.closed_ns)
        known = [annotation for annotation in request.annotations if annotation.pair_id in pairs]
        for annotation in known:
            session.add(_answer(job.job_id, number, annotation, now, late))
        session.flush()
        outstanding = len(open_pairs(session, job.job_id, round_number=number))
        if known and not late and not outstanding:
            close_round(session, review, COMPLETE, now)
        job.version += 1
        return AnnotationResultResponse(
            accepted=0 if late else len(known),
            unknown_pair_ids=sorted({annotation.pair_id for annotation in request.annotations} - pairs),
            late=len(known) if late else 0,
            outstanding=outstanding,
        )


def _check(request: AnnotationResultRequest) -> None:
    check_request_id(request.request_id)
    if not request.job_id:
        raise InvalidInput("job_id: is empty; name the job that came with ReviewPairs")
    if not 1 <= len(request.annotations) <= ANSWERS_AT_MOST:
        raise InvalidInput(f"annotations: holds {len(request.annotations)}; expected 1 to {ANSWERS_AT_MOST}")
    for index, annotation in enumerate(request.annotations):
        problem = _problem(annotation)
        if problem:
            raise InvalidInput(f"annotations[{index}].{problem}")


def _problem(annotation: Annotation) -> str:
    if not annotation.pair_id:
        return "pair_id: is empty; name the pair"
    if annotation.verdict == VERDICT_UNSPECIFIED or annotation.verdict not in Verdict.values():
        return "verdict: expected VERDICT_VALID, VERDICT_INVALID or VERDICT_UNSURE"
    if len(annotation.annotator) > 200:
        return f"annotator: has {len(annotation.annotator)} characters; at most 200"
    if len(annotation.comment) > 4000:
        return f"comment: has {len(annotation.comment)} characters; at most 4000"
    if annotation.annotated_ns < 0:
        return "annotated_ns: is negative; expected nanoseconds since 1970, or 0 for now"
    return ""


def _check_token(job: Job, token: str) -> None:
    if not hmac.compare_digest(job.callback_token.encode(), token.encode()):
        raise PermissionDenied(
            f"callback_token is not that of job {job.job_id}; send the one that came with its ReviewPairs"
        )


def _repeated(known: Callback, digest: str) -> AnnotationResultResponse:
    if known.digest != digest:
        raise Conflict("this request_id was used for other answers; send the same answers again, or choose a new one")
    return AnnotationResultResponse.FromString(known.response)


def _answer(job_id: str, number: int, annotation: Annotation, now_ns: int, late: bool) -> Answer:
    return Answer(
        job_id=job_id,
        round=number,
        pair_id=annotation.pair_id,
        verdict=verdict_word(annotation.verdict),
        annotator=annotation.annotator,
        annotated_ns=min(annotation.annotated_ns, now_ns) or now_ns,  # a clock that runs ahead must not win for ever
        received_ns=now_ns,
        comment=annotation.comment,
        late=late,
    )
