"""Which tracks can't be of one person, whatever they look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughline.domain.topology import HANDOVER_NS
from throughline.tracker.identities.tracks import Tracks

Rows = NDArray[np.int64]
Matrix = NDArray[np.bool_]

_AT_ONCE = 1_000_000
"""Pairs looked at in one go, so that large clusters need no more memory than small ones."""

Gate = Callable[[Tracks, Rows, Rows], Matrix]
"""Of tracks, (a,) and (b,) rows of them: (a, b), whether nobody can be in both places at these times."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What forbids one identity for two tracks. `gate`: what is known of the ways between cameras."""

    same_class_only: bool = True
    allow_merge_same_video: bool = True
    most_overlap_ns: int = HANDOVER_NS
    gate: Gate | None = None


@dataclass(frozen=True)
class Constraints:
    """The rules over certain tracks."""

    tracks: Tracks
    rules: Rules

    def forbidden(self, a: Rows, b: Rows) -> Matrix:
        """(len(a), len(b)): which pairs of tracks, by their rows, can't be of one person."""
        tracks, rules = self.tracks, self.rules
        wrong: Matrix = tracks.video[a][:, None] == tracks.video[b][None]
        if rules.allow_merge_same_video:
            ends = np.minimum(tracks.ends_ns[a][:, None], tracks.ends_ns[b][None])
            starts = np.maximum(tracks.starts_ns[a][:, None], tracks.starts_ns[b][None])
            wrong &= ends - starts > rules.most_overlap_ns
        if rules.same_class_only:
            wrong |= tracks.classes[a][:, None] != tracks.classes[b][None]
        if rules.gate is not None:
            wrong |= rules.gate(tracks, a, b)
        return wrong

    def blocks(self, a: Rows, b: Rows) -> Iterator[tuple[int, Matrix]]:
        """`forbidden` of some of `a` after others: the place in `a` of the first, and (k, len(b))."""
        step = max(1, _AT_ONCE // max(1, len(b)))
        return ((start, self.forbidden(a[start : start + step], b)) for start in range(0, len(a), step))

    def apart(self, a: Rows, b: Rows) -> bool:
        """Whether any of `a` can't be the same person as any of `b`."""
        return any(block.any() for _, block in self.blocks(a, b))
