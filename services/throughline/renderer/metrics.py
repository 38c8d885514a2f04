"""What the renderer counts."""

from __future__ import annotations

from prometheus_client import Counter

from throughline.domain.time import NS_PER_SECOND

_SECONDS = Counter(
    "throughline_rendered_seconds", "Seconds of clips and films, encoded now or found ready", ["kind", "source"]
)


def count_rendered(kind: str, duration_ns: int, *, reused: bool) -> None:
    """A clip or a film is ready; `reused`: it was before."""
    _SECONDS.labels(kind, "reused" if reused else "encoded").inc(duration_ns / NS_PER_SECOND)
