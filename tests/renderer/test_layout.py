from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughline.domain.geometry import Size
from throughline.renderer.layout import Rectangle, canvas_size, cells, grid, tile, with_caption

LARGEST = Size(1920, 1080)
sides = st.integers(16, 4096)


def inside(inner: Rectangle, outer: Rectangle) -> bool:
    return (
        outer.left <= inner.left
        and outer.top <= inner.top
        and inner.right <= outer.right
        and inner.bottom <= outer.bottom
    )


def apart(one: Rectangle, other: Rectangle) -> bool:
    return one.right <= other.left or other.right <= one.left or one.bottom <= other.top or other.bottom <= one.top


@pytest.mark.parametrize(
    ("count", "columns_and_rows"),
    [(1, (1, 1)), (2, (2, 1)), (3, (2, 2)), (4, (2, 2)), (5, (3, 2)), (7, (3, 3)), (16, (4, 4))],
)
def test_tiles_stand_alone_side_by_side_or_in_a_grid(count: int, columns_and_rows: tuple[int, int]) -> None:
    assert grid(count) == columns_and_rows


def test_the_second_tile_is_to_the_right_of_the_first() -> None:
    first, second = cells(Size(1280, 764), 2)
    assert (first.top, first.height, first.width) == (second.top, second.height, second.width)
    assert first.right <= second.left


@pytest.mark.parametrize("source", [Size(1280, 720), Size(1920, 1080), Size(640, 360), Size(640, 480), Size(1288, 728)])
def test_footage_that_is_alone_keeps_every_pixel(source: Size) -> None:
    canvas = with_caption(canvas_size([source], LARGEST))
    (cell,) = cells(canvas, 1)
    assert tile(cell, source).picture == Rectangle(0, 0, source.width, source.height)
    (bare,) = cells(canvas_size([source], LARGEST), 1)
    assert tile(bare, source, captioned=False).picture == tile(cell, source).picture


def test_the_canvas_is_as_large_as_the_largest_footage_within_the_limit() -> None:
    assert canvas_size([Size(640, 480), Size(1280, 720)], LARGEST) == Size(1280, 720)
    assert canvas_size([Size(3840, 2160)], LARGEST) == LARGEST
    assert canvas_size([Size(321, 241)], LARGEST) == Size(322, 242)


@given(st.lists(st.builds(Size, sides, sides), min_size=1, max_size=16))
def test_no_picture_is_deformed_or_leaves_its_cell(sources: list[Size]) -> None:
    canvas = canvas_size(sources, LARGEST)
    assert canvas.width % 2 == canvas.height % 2 == 0
    places = cells(canvas, len(sources))
    assert all(inside(place, Rectangle(0, 0, canvas.width, canvas.height)) for place in places)
    assert all(apart(one, other) for index, one in enumerate(places) for other in places[:index])
    for cell, source in zip(places, sources, strict=True):
        placed = tile(cell, source)
        picture = placed.picture
        assert inside(picture, cell)
        assert inside(placed.caption, cell)
        assert apart(picture, placed.caption)
        assert all(side % 2 == 0 for side in (picture.left, picture.top, picture.width, picture.height))
        scale = min(cell.width / source.width, (cell.height - placed.caption.height) / source.height)
        assert abs(picture.width - source.width * scale) <= 2.5
        assert abs(picture.height - source.height * scale) <= 2.5
