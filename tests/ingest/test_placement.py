from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughline.domain.time import Instant, Interval
from throughline.ingest.placement import Place, place

SNAP = 750
BEFORE = Interval(Instant(1_000), Instant(11_000))


@pytest.mark.parametrize(
    ("stated", "duration", "expected"),
    [
        (11_000, 5_000, Place(Instant(11_000), 0)),
        (11_749, 5_000, Place(Instant(11_000), -749)),  # end to end
        (10_251, 5_000, Place(Instant(11_000), 749)),
        (11_750, 5_000, Place(Instant(11_750))),  # a gap
        (10_250, 5_000, Place(Instant(10_250))),  # an overlap: the one before ends here
        (1_750, 20_000, Place(Instant(1_750))),
        (1_749, 20_000, None),  # both start together: the first is kept
        (1_000, 5_000, None),
        (4_000, 5_000, None),  # within the one before
        (6_000, 5_000, None),
    ],
)
def test_a_chunk_is_laid_against_the_one_before(stated: int, duration: int, expected: Place | None) -> None:
    assert place(BEFORE, Instant(stated), duration, SNAP) == expected


def test_the_first_chunk_lies_where_it_says() -> None:
    assert place(None, Instant(5), 10, SNAP) == Place(Instant(5))


@given(st.lists(st.integers(-900, 900), min_size=1, max_size=200), st.integers(8_000, 12_000))
def test_no_chunk_ever_lies_further_than_the_snap_from_its_stated_time(errors: list[int], duration: int) -> None:
    previous: Interval | None = None
    for index, error in enumerate(errors):
        stated = Instant(index * 10_000 + error)
        where = place(previous, stated, duration, SNAP)
        if where is not None:
            assert abs(where.start - stated) < SNAP
            assert where.start == stated + where.snapped_ns
            assert previous is None or where.start > previous.start
            previous = Interval(where.start, where.start + duration)
