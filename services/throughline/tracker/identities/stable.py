"""Numbers of identities that stay the same from run to run, and what merged or split in between."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Key = tuple[str, int]
"""Name of a video and number of a track in it."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Identities that are no more: most of their tracks are now of `into`."""

    into: int
    merged: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """An identity whose tracks are now of several; it is one of them, if it still is."""

    split: int
    into: tuple[int, ...]


@dataclass(frozen=True)
class Numbered:
    """(n,) numbers of the tracks' identities, from 1; `next_id` was never given out."""

    ids: NDArray[np.int64]
    next_id: int
    merges: tuple[Merge, ...]
    splits: tuple[Split, ...]


def numbered(clusters: NDArray[np.int64], keys: Sequence[Key], before: Mapping[Key, int], next_id: int) -> Numbered:
    """Give each of (n,) clusters, counted from 0, the number of the identity with which it shares the most tracks, one each; the
    others get new ones, in order. A number is never used for anybody else."""
    shared: Counter[tuple[int, int]] = Counter()
    for cluster, key in zip(clusters.tolist(), keys, strict=True):
        if key in before:
            shared[cluster, before[key]] += 1
    number_of: dict[int, int] = {}
    taken: set[int] = set()
    for (cluster, old), _ in sorted(shared.items(), key=lambda item: (-item[1], item[0][1], item[0][0])):
        if cluster not in number_of and old not in taken:
            number_of[cluster] = old
            taken.add(old)
    next_id = max([next_id, 1, *(old + 1 for old in before.values())])
    for cluster in range(int(clusters.max(initial=-1)) + 1):
        if cluster not in number_of:
            number_of[cluster] = next_id
            next_id += 1
    ids = np.array([number_of[cluster] for cluster in clusters.tolist()], np.int64)
    return Numbered(ids, next_id, *_changes(shared, number_of))


def _changes(
    shared: Mapping[tuple[int, int], int], number_of: Mapping[int, int]
) -> tuple[tuple[Merge, ...], tuple[Split, ...]]:
    now_of: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for (cluster, old), count in shared.items():
        now_of[old][number_of[cluster]] = count
    alive = set(number_of.values())
    merged: defaultdict[int, list[int]] = defaultdict(list)
    splits = []
    for old, counts in sorted(now_of.items()):
        if old not in alive:
            merged[max(counts, key=lambda number: (counts[number], -number))].append(old)
        if len(counts) > 1:
            splits.append(Split(old, tuple(sorted(counts))))
    return tuple(Merge(into, tuple(olds)) for into, olds in sorted(merged.items())), tuple(splits)
