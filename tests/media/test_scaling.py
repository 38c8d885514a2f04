"""Pictures of another size show the same, and what lies between their pixels is averaged."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.domain.geometry import Size
from throughline.media.scaling import scaled

SIDES = st.integers(1, 300)


@settings(max_examples=150)
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from([(), (3,)]), st.integers(0, 255))
def test_any_picture_becomes_any_size(
    high: int, wide: int, height: int, width: int, channels: tuple[int, ...], value: int
) -> None:
    picture = np.full((high, wide, *channels), value, np.uint8)
    found = scaled(picture, Size(width, height))
    assert found.shape == (height, width, *channels)
    assert found.flags["C_CONTIGUOUS"]
    assert (found == value).all()


@settings(max_examples=100)
@given(st.integers(64, 400), st.integers(64, 400), st.integers(16, 64), st.integers(16, 64))
def test_what_is_where_stays_there(high: int, wide: int, height: int, width: int) -> None:
    """A ramp each way keeps its value at each place, to less than a pixel of the result."""
    for along, before, after in ((0, high, height), (1, wide, width)):
        ramp = np.moveaxis(
            np.broadcast_to(np.linspace(0, 255, before), (wide if along == 0 else high, before)), 1, along
        )
        found = scaled(np.ascontiguousarray(ramp.round(), np.uint8), Size(width, height))
        expected = ((np.arange(after) + 0.5) * before / after - 0.5) * 255 / (before - 1)
        off = np.abs(np.moveaxis(found, along, 0).mean(axis=1) - expected.clip(0, 255))
        assert off.max() <= 255 / after


def test_noise_is_averaged() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1081, 1923), dtype=np.uint8)
    assert scaled(noise, Size(240, 135)).std() < noise.std() / 4
