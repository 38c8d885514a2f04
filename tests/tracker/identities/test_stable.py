"""Numbers that stay from run to run, and the account of merges and splits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from throughline.tracker.identities.stable import Merge, Split, numbered

KEYS = [("a", number) for number in range(8)]


def of(*clusters: int) -> NDArray[np.int64]:
    return np.array(clusters, np.int64)


def test_new_identities_are_counted_from_one() -> None:
    found = numbered(of(0, 0, 1, 2), KEYS[:4], {}, 1)
    assert found.ids.tolist() == [1, 1, 2, 3]
    assert (found.next_id, found.merges, found.splits) == (4, (), ())


def test_identities_keep_their_numbers_whatever_clusters_are_called() -> None:
    before = dict(zip(KEYS, [7, 7, 3, 3], strict=False))
    found = numbered(of(0, 1, 1, 2, 2, 0), [("new", 1), *KEYS[:4], ("new", 2)], before, 9)
    assert found.ids.tolist() == [9, 7, 7, 3, 3, 9]
    assert found.next_id == 10


def test_a_merge_keeps_the_larger_number_of_tracks_and_is_recorded() -> None:
    before = dict(zip(KEYS, [1, 1, 1, 2, 2], strict=False))
    found = numbered(of(0, 0, 0, 0, 0), KEYS[:5], before, 3)
    assert set(found.ids.tolist()) == {1}
    assert found.merges == (Merge(1, (2,)),)
    assert found.next_id == 3


def test_a_split_leaves_the_number_with_the_larger_part() -> None:
    before = dict.fromkeys(KEYS[:5], 4)
    found = numbered(of(0, 0, 1, 1, 1), KEYS[:5], before, 5)
    assert found.ids.tolist() == [5, 5, 4, 4, 4]
    assert found.splits == (Split(4, (4, 5)),)


def test_a_number_of_somebody_who_is_gone_is_never_given_to_anybody_else() -> None:
    found = numbered(of(0), [("b", 1)], {("a", 1): 6}, 3)
    assert found.ids.tolist() == [7]


@given(st.lists(st.integers(0, 3), min_size=8, max_size=8), st.lists(st.integers(1, 5), min_size=8, max_size=8))
def test_one_number_for_each_cluster_and_old_numbers_wherever_possible(labels: list[int], olds: list[int]) -> None:
    _, clusters = np.unique(labels, return_inverse=True)
    before = dict(zip(KEYS, olds, strict=True))
    found = numbered(clusters.astype(np.int64), KEYS, before, 6)
    pairs = set(zip(clusters.tolist(), found.ids.tolist(), strict=True))
    assert len(pairs) == len({pair[0] for pair in pairs}) == len({pair[1] for pair in pairs})
    again = numbered(clusters.astype(np.int64), KEYS, dict(zip(KEYS, found.ids.tolist(), strict=True)), found.next_id)
    assert again.ids.tolist() == found.ids.tolist()
    assert (again.merges, again.splits) == ((), ())
