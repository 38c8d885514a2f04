"""A query whose times come from another clock is explained by the offset."""

from __future__ import annotations

import pytest

from tests.tracker.scenes import SECOND, Walk
from throughline.tracker.clock_offset import best_offset

OTHERS = [Walk(2, 0, 30, left=900, speed=-20), Walk(3, 5, 12, left=50, speed=15, top=400)]


@pytest.mark.parametrize("offset", [-540.0, -37.36, -0.8, 0.0, 2.5, 75.04, 599.0])
def test_the_offset_is_found(offset: float) -> None:
    walk = Walk(1, 0, 10)
    found = best_offset(walk.query(offset=offset), [walk.track, *(other.track for other in OTHERS)])
    assert found is not None
    assert found.track_id == 1
    assert found.offset_ns == pytest.approx(-offset * SECOND, abs=0.03 * SECOND)
    assert found.iou > 0.95


def test_none_is_found_beyond_ten_minutes_or_elsewhere_in_the_frame() -> None:
    walk = Walk(1, 0, 10)
    assert best_offset(walk.query(offset=700.0), [walk.track]) is None
    assert best_offset(walk.query(), [Walk(1, 0, 10, top=500).track]) is None
    assert best_offset(walk.query(), []) is None
