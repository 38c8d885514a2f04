"""Where a fast search looks closer."""

from __future__ import annotations

import pytest

from throughline.orchestrator.scouting import lowered
from throughline.v1.common_pb2 import SIMILARITY_SCALE_CALIBRATED, SIMILARITY_SCALE_COSINE


@pytest.mark.parametrize("scale", [SIMILARITY_SCALE_CALIBRATED, SIMILARITY_SCALE_COSINE])
def test_the_first_pass_asks_for_less_at_every_threshold_and_never_for_less_than_nothing(scale: int) -> None:
    thresholds = [place / 100 for place in range(101)]
    asked = [lowered(threshold, scale) for threshold in thresholds]  # type: ignore[arg-type]
    assert asked == sorted(asked)
    assert all(0 <= low <= high for low, high in zip(asked, thresholds, strict=True))
    assert lowered(0.5, scale) < 0.45  # type: ignore[arg-type]


def test_odds_are_what_is_lowered() -> None:
    low = lowered(0.5, SIMILARITY_SCALE_CALIBRATED)
    assert low / (1 - low) == pytest.approx(1 / 3)
