"""Which packets are copied into a film: whole groups of pictures, and of the last one what can be decoded without the rest."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughline.media.splice import Coded, Cut, begins_anew, cuts

F = 3000
"""Ticks of a frame at 30 frames/s."""


def group(first: int, order: str = "0123", idr: bool = True) -> list[Coded]:
    """A group of pictures from frame `first` on; `order`: which frame each packet holds, in the order of decoding."""
    return [Coded((first + int(each)) * F, idr and index == 0) for index, each in enumerate(order)]


def in_frames(found: list[Cut]) -> list[tuple[int, int, int]]:
    return [(cut.start // F, cut.end // F, cut.packets) for cut in found]


PLAIN = [*group(0), *group(4), *group(8), *group(12)]
B_FRAMES = [*group(0, "0312"), *group(4, "0312"), *group(8, "0312")]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (4, 12, [(4, 12, 8)]),
        (2, 12, [(2, 4, 0), (4, 12, 8)]),
        (4, 10, [(4, 10, 6)]),
        (5, 7, [(5, 7, 0)]),
        (5, 9, [(5, 8, 0), (8, 9, 1)]),
    ],
)
def test_copying_begins_with_an_idr_picture_and_may_end_anywhere(
    start: int, end: int, expected: list[tuple[int, int, int]]
) -> None:
    assert in_frames(cuts(PLAIN, start * F, end * F)) == expected


@pytest.mark.parametrize(
    ("end", "expected"),
    [(8, [(4, 8, 4)]), (7, [(4, 5, 1), (5, 7, 0)]), (5, [(4, 5, 1)]), (9, [(4, 9, 5)]), (10, [(4, 9, 5), (9, 10, 0)])],
)
def test_a_frame_that_waits_for_one_beyond_the_end_is_encoded_anew(
    end: int, expected: list[tuple[int, int, int]]
) -> None:
    assert in_frames(cuts(B_FRAMES, 4 * F, end * F)) == expected


def test_what_begins_between_two_frames_begins_with_the_one_that_is_shown_then() -> None:
    assert in_frames(cuts(PLAIN, 4 * F + F // 2, 8 * F)) == [(4, 8, 4)]
    assert in_frames(cuts(PLAIN, 3 * F + F // 2, 8 * F)) == [(3, 4, 0), (4, 8, 4)]


def test_an_open_group_is_copied_after_its_reference_and_never_begun_with() -> None:
    opened = [*group(0), *[Coded(pts * F, False) for pts in (6, 4, 5, 7)], *group(8)]
    assert in_frames(cuts(opened, 0, 12 * F)) == [(0, 12, 12)]
    assert in_frames(cuts(opened, 2 * F, 12 * F)) == [(2, 8, 0), (8, 12, 4)]
    assert in_frames(cuts(opened, 6 * F, 8 * F)) == [(6, 8, 0)]


@given(
    orders=st.lists(st.sampled_from(["0123", "0312", "0213", "04213", "0"]), min_size=1, max_size=5),
    idr=st.lists(st.booleans(), min_size=5, max_size=5),
    ends=st.tuples(st.integers(0, 25 * F), st.integers(F, 25 * F)),
)
def test_every_frame_is_copied_or_encoded_once_and_what_is_copied_can_be_decoded(
    orders: list[str], idr: list[bool], ends: tuple[int, int]
) -> None:
    coded: list[Coded] = []
    for order, is_idr in zip(orders, idr, strict=False):
        coded += group(len(coded), order, is_idr)
    start = ends[0] % (len(coded) * F)
    end = min(start + ends[1], len(coded) * F)
    found = cuts(coded, start, end)
    assert found[0].start == max(each.pts for each in coded if each.pts < start + 90)
    assert found[-1].end == end
    assert all(one.end == two.start for one, two in pairwise(found))
    for cut in found:
        if cut.packets:
            at = next(index for index, each in enumerate(coded) if each.pts == cut.start)
            copied = coded[at : at + cut.packets]
            assert copied[0].is_idr
            shown = {each.pts for each in coded if cut.start <= each.pts <= max(cut.end - 90, cut.start)}
            assert {each.pts for each in copied} == shown


def test_an_idr_picture_is_told_from_a_recovery_point() -> None:
    def unit(kind: int) -> bytes:
        return bytes([0, 0, 0, 2, 0x60 | kind, 0x80])

    assert begins_anew(memoryview(unit(9) + unit(7) + unit(8) + unit(5)), 4)
    assert not begins_anew(memoryview(unit(6) + unit(1)), 4)
    assert not begins_anew(memoryview(b""), 4)
