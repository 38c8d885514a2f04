from __future__ import annotations

import pytest

from throughline.domain.time import NS_PER_MS
from throughline.renderer.pacing import next_frame_ns

MS = NS_PER_MS


def ns(time_ms: float | None) -> int | None:
    return None if time_ms is None else round(time_ms * MS)


@pytest.mark.parametrize(
    ("changes_ms", "last_ms", "expected_ms"),
    [
        ([], 0, None),
        ([None, None], 0, None),  # nothing changes any more
        ([None, 40], 0, 40),
        ([40, 70], 0, 40),  # the fastest never waits
        ([45, 40], 0, 45),  # the other one waits for it
        ([70, 40], 0, 40),  # but not for long
        ([70, 48, 40], 0, 48),  # and for the second fastest
        ([40.2], 40, 41),  # two frames of the film stay a millisecond apart
        ([100], 40, None),  # the film is over
        ([100, 97], 40, 97),  # what nobody would wait for is not waited for
        ([99.5], 40, None),
        ([98.5], 98.5, None),
    ],
)
def test_changes_wait_a_little_for_those_of_a_faster_camera(
    changes_ms: list[float | None], last_ms: float, expected_ms: float | None
) -> None:
    changes = [ns(change) for change in changes_ms]
    assert next_frame_ns(changes, round(last_ms * MS), 100 * MS, 8 * MS) == ns(expected_ms)


@pytest.mark.parametrize(("slow_ms", "phase_ms"), [(40, 11), (67, 3), (200, 199), (66.7, 39.9)])
def test_a_film_goes_at_the_rate_of_its_fastest_camera(slow_ms: float, phase_ms: float) -> None:
    fast = [round(index * 40 * MS) for index in range(100)]
    slow = [round((index * slow_ms + phase_ms) * MS) for index in range(round(4000 / slow_ms) - 1)]
    frames, time_ns = [], next_frame_ns([fast[0], slow[0]], -MS, 4000 * MS, 67 * MS)
    while time_ns is not None:
        frames.append(time_ns)
        coming = [next((change for change in camera if change > time_ns), None) for camera in (fast, slow)]
        time_ns = next_frame_ns(coming, time_ns, 4000 * MS, 67 * MS)
    assert set(fast) <= set(frames)
    assert len(frames) <= len(fast) + 1  # one may come after the last of the fast ones
