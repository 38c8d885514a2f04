"""Where tiles, their pictures and their captions lie on a canvas. Pixels, whole and even, so that chroma falls on the same edges."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from throughline.domain.geometry import Letterbox, Size

GUTTER = 4
_LEAST_CAPTION = 28


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A part of a canvas: left and top edge, width and height in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index an (h, w, 3) array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, slots=True)
class Tile:
    """One camera's place: its whole `cell`, the undeformed `picture` in it, and the `caption` right below the picture."""

    cell: Rectangle
    picture: Rectangle
    caption: Rectangle


def caption_height(cell_height: int) -> int:
    """How much of a cell's height the caption takes: one line of text, readable when the cell is seen at its own size."""
    return even(max(_LEAST_CAPTION, cell_height // 17))


def with_caption(picture: Size) -> Size:
    """The cell in which a picture of this even size and its caption fit exactly."""
    return Size(picture.width, picture.height + even(max(_LEAST_CAPTION, picture.height // 16)))


def canvas_size(sources: Iterable[Size], largest: Size) -> Size:
    """Canvas of a film: as large as the largest source, at most `largest`; even."""
    sizes = [Letterbox(source, largest).scaled if exceeds(source, largest) else source for source in sources]
    width, height = max(size.width for size in sizes), max(size.height for size in sizes)
    return Size(even(max(width, 320)), even(max(height, 180)))


def grid(count: int) -> tuple[int, int]:
    """Columns and rows for `count` tiles: one alone, two side by side, more in the squarest grid that is not taller than wide."""
    columns = math.ceil(math.sqrt(count))
    return columns, math.ceil(count / columns)


def cells(canvas: Size, count: int) -> tuple[Rectangle, ...]:
    """Equal cells for `count` tiles, left to right and top to bottom, a narrow gutter between them."""
    columns, rows = grid(count)
    width = (canvas.width - (columns - 1) * GUTTER) // columns // 2 * 2
    height = (canvas.height - (rows - 1) * GUTTER) // rows // 2 * 2
    places = (divmod(index, columns) for index in range(count))
    return tuple(Rectangle(column * (width + GUTTER), row * (height + GUTTER), width, height) for row, column in places)


def tile(cell: Rectangle, source: Size, *, captioned: bool = True) -> Tile:
    """Picture and caption as one block in the middle of the cell, the picture as large as fits without deforming it."""
    bar = caption_height(cell.height) if captioned else 0
    scaled = Letterbox(source, Size(cell.width, cell.height - bar)).scaled
    width, height = max(2, scaled.width // 2 * 2), max(2, scaled.height // 2 * 2)
    left = cell.left + (cell.width - width) // 4 * 2
    top = cell.top + (cell.height - height - bar) // 4 * 2
    return Tile(cell, Rectangle(left, top, width, height), Rectangle(cell.left, top + height, cell.width, bar))


def even(pixels: int) -> int:
    """The next even number."""
    return (pixels + 1) // 2 * 2


def exceeds(size: Size, limit: Size) -> bool:
    """Whether a picture is wider or higher than allowed."""
    return size.width > limit.width or size.height > limit.height
