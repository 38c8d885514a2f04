"""What is at work for a job can be stopped at any moment."""

from __future__ import annotations

import pytest

from throughline.orchestrator.inflight import Errand, JobEnded


def test_a_call_that_began_just_before_the_stop_is_cancelled_too() -> None:
    errand = Errand("job", bound=True)
    cancelled: list[str] = []
    errand.stop(JobEnded("job"))
    with pytest.raises(JobEnded), errand.calling("tracker", lambda: cancelled.append("call")):
        raise AssertionError("a stopped errand waited for its call")
    assert cancelled == ["call"]


def test_a_stop_cancels_the_call_in_progress() -> None:
    errand = Errand("job", bound=True)
    cancelled: list[str] = []
    with errand.calling("tracker", lambda: cancelled.append("call")):
        errand.stop(JobEnded("job"))
    assert cancelled == ["call"]
