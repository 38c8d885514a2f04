"""One thing that was checked, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from throughline.domain.evidence import SpanFacts
from throughline.domain.time import NS_PER_MS

_NAMED_SPANS = 5


class Outcome(StrEnum):
    """In the order of what people should read first."""

    CHANGED = "changed"
    UNCHECKED = "unchecked"
    NOTE = "note"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject`: what was checked, in a few words; `detail`: what was found, in a sentence; `spans`: what of the film rests on it."""

    outcome: Outcome
    subject: str
    detail: str
    uri: str = ""
    expected_sha256: str = ""
    found_sha256: str = ""
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def text(self) -> str:
        """The finding in plain words."""
        place = f" ({self.uri})" if self.uri else ""
        return f"{self.subject}: {self.detail}{place}{rests(self.spans) if self.outcome is not Outcome.RIGHT else ''}"


def spans_ns(spans: Iterable[SpanFacts]) -> tuple[tuple[int, int], ...]:
    """Their times in the film, those joined that touch."""
    joined: list[tuple[int, int]] = []
    for span in spans:
        if joined and joined[-1][1] == span.film_start_ns:
            joined[-1] = joined[-1][0], span.film_end_ns
        else:
            joined.append((span.film_start_ns, span.film_end_ns))
    return tuple(joined)


def rests(spans: tuple[tuple[int, int], ...]) -> str:
    """What of the film rests on something, as the end of a sentence."""
    if not spans:
        return ""
    named = ", ".join(f"{film_time(start)} to {film_time(end)}" for start, end in spans[:_NAMED_SPANS])
    more = f" and {len(spans) - _NAMED_SPANS} more" if len(spans) > _NAMED_SPANS else ""
    return f"; of the film this is {named}{more}"


def film_time(ns: int) -> str:
    """Minutes, seconds and milliseconds, as players show them."""
    minutes, ms = divmod(ns // NS_PER_MS, 60_000)
    return f"{minutes}:{ms // 1000:02}.{ms % 1000:03}"
