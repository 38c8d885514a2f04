"""The names of requests: those that callers choose, and those that the orchestrator gives to its own messages."""

from __future__ import annotations

import hashlib
import re

from google.protobuf.message import Message

from throughline.domain.errors import InvalidInput
from throughline.orchestrator.films import FilmId
from throughline.orchestrator.rounds import Reminder, RoundId

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def check_request_id(request_id: str) -> None:
    """Raise InvalidInput unless it is 1 to 128 characters of A-Z a-z 0-9 . _ -"""
    if not _REQUEST_ID.fullmatch(request_id):
        raise InvalidInput(
            f"request_id: {request_id[:140]!r} is no name; expected 1 to 128 characters of A-Z a-z 0-9 . _ -"
        )


def digest_of(request: Message) -> str:
    """64 hexadecimal digits that name a request's content."""
    return hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()


def find_id(job_id: str) -> str:
    """Names the workflow up to the sending of the pairs."""
    return f"{job_id}.find"


def search_id(round_id: RoundId) -> str:
    """Names the workflow of a round after the first, up to the sending of its pairs."""
    return f"{round_id.job_id}.search-{round_id.number}"


def review_id(reminder: Reminder) -> str:
    """Names a ReviewPairs and, for reminders, its workflow. Number 0 is the first sending."""
    return f"{reminder.job_id}.review-{reminder.round.number}.{reminder.number}"


def film_request_id(film: FilmId) -> str:
    """Names a film's workflow and its TimelineReady."""
    return f"{film.job_id}.timeline-{film.revision}"
