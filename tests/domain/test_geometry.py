"""Boxes keep their place through the letterbox and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughline.domain.geometry import Box, Letterbox, Size, iou_matrix

sizes = st.builds(Size, st.integers(16, 4096), st.integers(16, 4096))


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),  # the same
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),  # they touch
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),  # half of each
        ((0, 0, 10, 10), (4, 4, 4, 4), 0.0),  # an empty box
    ],
)
def test_iou_of_two_boxes(a: tuple[int, ...], b: tuple[int, ...], iou: float) -> None:
    assert iou_matrix(np.array([a], np.float32), np.array([b], np.float32))[0, 0] == pytest.approx(iou)


@given(sizes, sizes)
def test_the_letterbox_keeps_the_aspect_ratio_to_the_pixel(source: Size, canvas: Size) -> None:
    letterbox = Letterbox(source, canvas)
    left, top = letterbox.offset
    assert 0 <= left <= canvas.width - letterbox.scaled.width
    assert 0 <= top <= canvas.height - letterbox.scaled.height
    assert abs(letterbox.scaled.width - source.width * letterbox.scale) <= 1
    assert abs(letterbox.scaled.height - source.height * letterbox.scale) <= 1


@given(sizes, sizes, st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4))
def test_boxes_come_back_from_the_canvas_to_where_they_were(source: Size, canvas: Size, corners: list[float]) -> None:
    box = np.array([corners], np.float32) * np.array([source.width, source.height] * 2, np.float32)
    letterbox = Letterbox(source, canvas)
    tolerance = 1e-3 * max(source.width, source.height) / min(1, letterbox.scale)
    np.testing.assert_allclose(letterbox.to_source(letterbox.to_canvas(box)), box, atol=tolerance)


def test_a_box_is_clipped_to_its_frame() -> None:
    assert Box(-5, 10, 700, 30).clipped(Size(640, 20)) == Box(0, 10, 640, 20)
