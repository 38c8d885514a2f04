"""When a film that shows several cameras gets a new frame."""

from __future__ import annotations

from collections.abc import Sequence

from throughline.domain.time import NS_PER_MS

LEAST_NS = NS_PER_MS
"""Least distance of two frames of a film: no screen shows less, and ticks of 1/90000 s stay apart."""


def next_frame_ns(changes_ns: Sequence[int | None], last_ns: int, end_ns: int, merge_ns: int) -> int | None:
    """When to show the next frame, given when each picture changes next, the fastest camera's first; None when none does before
    `end_ns`.

    A change waits up to `merge_ns` for the next one of a faster camera, so that cameras whose frames interleave don't add up
    their rates: the film goes at the rate of the fastest, which shows every frame on time. Whatever is shown at that moment is
    right for it: pictures are late by at most `merge_ns`, never early.
    """
    pending = [change for change in changes_ns if change is not None and change <= end_ns - LEAST_NS]
    if not pending:
        return None
    first = min(pending)
    together = next(change for change in pending if change <= first + merge_ns)
    due = max(together, last_ns + LEAST_NS)
    return due if due <= end_ns - LEAST_NS else None
