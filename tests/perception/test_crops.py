"""The best moments of a track: clear, large, not hidden, whole, and spread over its time."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.perception.frames import frame
from throughline.domain.geometry import Size
from throughline.media.frame import Frame, Picture
from throughline.perception.associate import Sighting
from throughline.perception.crops import BestMoments, Crop, qualities, sharpness

SIZE = Size(640, 480)
SECOND = 1_000_000_000


def quality_of(*boxes: tuple[float, float, float, float], score: float = 0.9) -> list[float]:
    return qualities(np.array(boxes, np.float32), np.full(len(boxes), score, np.float32), SIZE).tolist()


def _beside(score: float) -> float:
    """Of somebody in full view, before whom a box of some score lies."""
    boxes = np.array([CLEAR, (120, 110, 180, 280)], np.float32)
    return float(qualities(boxes, np.array([0.9, score], np.float32), SIZE)[0])


CLEAR = (100, 100, 160, 260)
PAIRS = [
    # Better                            Worse                                   Why
    (quality_of(CLEAR)[0], quality_of((100, 100, 130, 180))[0], "larger"),
    (quality_of(CLEAR)[0], quality_of(CLEAR, score=0.5)[0], "surer"),
    (quality_of(CLEAR)[0], quality_of(CLEAR, (120, 110, 180, 280))[0], "not hidden by someone before"),
    (_beside(0.1), _beside(0.9), "hidden by a doubtful box less than by a sure one"),
    (quality_of((120, 110, 180, 280), CLEAR)[0], quality_of(CLEAR, (120, 110, 180, 280))[0], "before, not behind"),
    (quality_of(CLEAR)[0], quality_of((0, 100, 60, 260))[0], "not cut by the left edge"),
    (quality_of(CLEAR)[0], quality_of((100, 320, 160, 480))[0], "not cut by the bottom edge"),
]


@pytest.mark.parametrize(("better", "worse", "why"), PAIRS, ids=[pair[2] for pair in PAIRS])
def test_quality(better: float, worse: float, why: str) -> None:
    assert 0 <= worse < 0.95 * better <= 1


def test_no_boxes_have_no_qualities() -> None:
    assert qualities(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), SIZE).shape == (0,)


def moments(quality_at: list[tuple[float, float]], count: int) -> list[float]:
    """Seconds of the chosen ones among sightings given as (second, quality)."""
    best = BestMoments(count)
    for second, quality in quality_at:
        best.offer(Sighting(round(second * SECOND), (0, 0, 1, 1), 0.9, quality))
    return [sighting.time_ns / SECOND for sighting, _ in best.chosen()]


def test_a_short_track_gives_what_it_has() -> None:
    assert moments([(0, 0.5)], 8) == [0]
    assert moments([(0, 0.5), (0.3, 0.6)], 8) == [0, 0.3]


def test_of_one_short_stretch_the_best_is_taken() -> None:
    assert moments([(0.0, 0.5), (0.1, 0.8), (0.2, 0.6)], 8) == [0.1]


def test_moments_beside_others_are_left_out() -> None:
    assert moments([(0.2, 0.8), (0.3, 0.9)], 8) == [0.3]
    assert moments([(0.2, 0.8), (0.4, 0.9)], 8) == [0.2, 0.4]
    assert moments([(0.2, 0.1), (0.4, 0.9)], 8) == [0.4]
    assert moments([(0.0, 0.1), (0.3, 0.9), (0.5, 0.1)], 8) == [0.0, 0.3]


def test_moments_are_spread_over_the_track() -> None:
    chosen = moments([(second / 10, 0.7) for second in range(1000)], 4)
    assert len(chosen) == 4
    assert max(chosen) - min(chosen) > 60
    assert min(np.diff(chosen)) > 10


def test_clear_moments_come_before_poor_ones() -> None:
    half_poor = [(second / 10, 0.8 if second < 300 else 0.1) for second in range(600)]
    assert max(moments(half_poor, 8)) < 30
    now_and_then_clear = [(tenth / 10, 0.8 if tenth % 25 == 0 else 0.1) for tenth in range(600)]
    assert all(round(10 * second) % 25 == 0 for second in moments(now_and_then_clear, 8))


def test_poor_moments_stand_for_times_that_nothing_clear_shows() -> None:
    best = BestMoments(8)
    for tenth in range(600):
        best.offer(Sighting(tenth * SECOND // 10, (0, 0, 1, 1), 0.9, 0.8 if tenth < 100 else 0.1))
    chosen = best.chosen()
    assert len(chosen) == 8
    clear = [moment.sighting.time_ns for moment in chosen if moment.clear]
    poor = [moment.sighting.time_ns for moment in chosen if not moment.clear]
    assert clear
    assert max(clear) < 10 * SECOND
    assert max(np.diff([max(clear), *poor, 60 * SECOND])) < 25 * SECOND


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=400), st.integers(1, 8))
def test_what_is_kept_is_bounded_and_holds_the_best(values: list[float], count: int) -> None:
    best = BestMoments(count)
    for index, value in enumerate(values):
        best.offer(Sighting(index * SECOND, (0, 0, 1, 1), 0.9, value))
    assert len(best.best) <= 2 * count
    chosen = best.chosen()
    assert 1 <= len(chosen) <= count
    assert max(each.sighting.quality for each in chosen) == max(values)
    times = [each.sighting.time_ns for each in chosen]
    assert times == sorted(set(times))


def test_a_crop_lies_within_the_frame_and_is_never_empty() -> None:
    whole = frame(np.zeros((480, 640, 3), np.uint8))
    assert Crop(whole, (10.4, 20.6, 110.5, 220.4))().shape == (200, 100, 3)
    assert Crop(whole, (-30, -30, 50, 40))().shape == (40, 50, 3)
    assert Crop(whole, (639.9, 479.9, 700, 500))().shape == (1, 1, 3)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "nv12", "yuv444p"])
@pytest.mark.parametrize("rotation", [0, 90])
def test_a_crop_has_the_pixels_of_the_whole_picture(rotation: int, pixel_format: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    whole = frame(pixels, rotation, pixel_format=pixel_format)
    for left, top, right, bottom in (
        (0, 0, 64, 48),
        (3, 5, 20, 30),
        (4, 6, 21, 31),
        (62, 46, 64, 48),
        (63, 47, 64, 48),
    ):
        np.testing.assert_array_equal(Crop(whole, (left, top, right, bottom))(), whole.rgb()[top:bottom, left:right])


@pytest.mark.parametrize(("rotation", "pixel_format"), [(0, "yuv422p"), (180, "yuv420p")])
def test_a_picture_is_converted_once_for_all_crops(
    rotation: int, pixel_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[Frame] = []
    convert = Frame.rgb

    def counted(self: Frame, size: Size | None = None) -> Picture:
        converted.append(self)
        return convert(self, size)

    monkeypatch.setattr(Frame, "rgb", counted)
    whole = frame(np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8), rotation, pixel_format=pixel_format)
    for left in range(0, 60, 10):
        Crop(whole, (left, 0, left + 4, 20))()
    assert len(converted) == 1


def test_a_crop_lets_go_of_its_frame_once_it_is_kept_and_stays_the_same() -> None:
    whole = frame(np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8))
    picture, crop = whole.picture, Crop(whole, (3, 5, 20, 30))
    before = crop()
    del whole
    holders = sys.getrefcount(picture)
    crop.keep()
    assert sys.getrefcount(picture) == holders - 1
    np.testing.assert_array_equal(crop(), before)


def test_a_tall_crop_is_made_smaller_in_proportion() -> None:
    assert Crop(frame(np.zeros((1200, 400, 3), np.uint8)), (0, 0, 300, 1024))().shape == (512, 150, 3)


def test_a_blurred_crop_is_less_sharp() -> None:
    random = np.random.default_rng(0)
    coarse = np.repeat(np.repeat(random.integers(0, 255, (32, 16, 3), np.uint8), 8, axis=0), 8, axis=1)
    smooth = np.full_like(coarse, 128)
    assert sharpness(smooth) < 0.1
    assert 0.5 < sharpness(coarse) <= 1
