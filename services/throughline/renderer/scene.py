"""Draws one camera's view into its cell: the picture undeformed, the subject's boxes, and a caption with camera and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from throughline.domain.geometry import Boxes
from throughline.domain.pairs import TrackId
from throughline.domain.time import Instant
from throughline.media.frame import Frame
from throughline.media.planes import Planes
from throughline.renderer.draw import Caption, Colour, Image, Lettering, draw_box, draw_caption, draw_card
from throughline.renderer.layout import Rectangle, Tile, tile
from throughline.renderer.sources import CameraSource


@dataclass(frozen=True, slots=True)
class Style:
    """How a view is marked: colour of box and chip, a word before the camera's name, longest gap that a box is drawn across, and
    whether there are boxes and a caption at all."""

    colour: Colour
    mark: str = ""
    max_gap_ns: int = 1_000_000_000
    boxes: bool = True
    caption: bool = True


class Scene:
    """One camera's place on a canvas. It redraws its whole cell when the size of the footage changes."""

    def __init__(self, lettering: Lettering, source: CameraSource, cell: Rectangle, style: Style) -> None:
        self._lettering = lettering
        self._source = source
        self._cell = cell
        self._style = style
        self.place: Tile = tile(cell, source.reader.reel.parts[0].size, captioned=style.caption)
        """Where picture and caption lie."""

    def draw(
        self, canvas: Planes, frame: Frame | None, utc: Instant, tracks: Sequence[TrackId], note: str = ""
    ) -> None:
        """Show a frame with its own time and the boxes of `tracks`, or at `utc` a card that says that there is none."""
        if frame is not None:
            self._fit(canvas, frame)
        place = self.place
        view = canvas.part(*place.picture.slices)
        if frame is None:
            card = _blank(place.picture)
            draw_card(self._lettering, card, "no footage")
            view.show(Planes.of_rgb(card))
        else:
            view.show(frame.planes(place.picture.size))
        if frame is not None and self._style.boxes:
            boxes = self._source.boxes_at(tracks, frame.time, self._style.max_gap_ns)
            for box in scaled(boxes, frame, place.picture):
                draw_box(view, box, self._style.colour)
        if not self._style.caption:
            return
        moment = utc if frame is None else self._source.clock.to_utc(frame.time)
        caption = Caption(self._source.name, moment, self._style.colour, self._style.mark, note)
        bar = _blank(place.caption)
        draw_caption(self._lettering, bar, caption)
        canvas.part(*place.caption.slices).show(Planes.of_rgb(bar))

    def _fit(self, canvas: Planes, frame: Frame) -> None:
        """Find the picture's place anew where footage changes its size."""
        place = tile(self._cell, frame.size, captioned=self._style.caption)
        if place != self.place:
            canvas.part(*self._cell.slices).show(Planes.black(self._cell.size))
            self.place = place


def _blank(place: Rectangle) -> Image:
    return np.zeros((place.height, place.width, 3), np.uint8)


def scaled(boxes: Boxes, frame: Frame, picture: Rectangle) -> Boxes:
    """(n, 4) boxes of the source frame in pixels of its picture on the canvas, cut to it."""
    factors = np.array([picture.width / frame.size.width, picture.height / frame.size.height] * 2, np.float32)
    limits = np.array([picture.width - 1, picture.height - 1] * 2, np.float32)
    return np.clip(boxes * factors, 0, limits).astype(np.float32)
