from __future__ import annotations

import pytest

from throughline.domain.time import NS_PER_MS
from throughline.renderer.pacing import next_frame_ns

MS = NS_PER_MS


@pytest.mark.parametrize(
    ("changes_ms", "last_ms", "expected_ms"),
    [
        ([], 0, None),  # nothing changes any more
        ([40], 0, 40),
        ([40, 70], 0, 40),  # too far apart to come together
        ([40, 45, 70], 0, 45),  # together, with the later one
        ([40, 48, 56], 0, 48),  # no chain: counted from the first
        ([40.2], 40, 41),  # two frames of the film stay a millisecond apart
    ],
)
def test_changes_that_are_close_come_together(changes_ms: list[float], last_ms: int, expected_ms: int | None) -> None:
    expected = None if expected_ms is None else expected_ms * MS
    assert next_frame_ns([round(change * MS) for change in changes_ms], last_ms * MS, 8 * MS) == expected
