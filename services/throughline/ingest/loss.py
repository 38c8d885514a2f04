"""Chunks that were listed and can't be had: each is left out by name, and the rest of the camera goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from throughline.domain.errors import NotFound, PermissionDenied, SourceArchived, SourceChanged, ThroughlineError

LOSSES = (NotFound, PermissionDenied, SourceArchived, SourceChanged)
"""What is about one object, not about the store."""


LOSS_CODES = ("chunk_archived", "chunk_denied", "chunk_gone")


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a chunk can't be had: an incident's code, and the reason for people."""

    code: str
    problem: str

    @classmethod
    def of(cls, error: ThroughlineError) -> Self:
        if isinstance(error, PermissionDenied):
            return cls("chunk_denied", str(error))
        if isinstance(error, SourceArchived):
            return cls("chunk_archived", "it lies in an archive")
        return cls("chunk_gone", "it was deleted or replaced after the footage was listed")


class LostOnTheWay(Exception):
    """Chunks were lost after the survey, so that the reel under way is not what its key says: losses by name of chunk."""

    def __init__(self, losses: dict[str, Loss]) -> None:
        super().__init__(f"{len(losses)} chunks were lost while they were fetched")
        self.losses = losses
