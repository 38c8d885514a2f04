"""Draws one camera's view into its cell: the picture undeformed, the subject's boxes, enlarged if tiny, and a caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from throughline.domain.geometry import Boxes
from throughline.domain.pairs import TrackId
from throughline.domain.time import Instant
from throughline.media.frame import Frame
from throughline.media.planes import Planes, Scaler
from throughline.renderer.draw import (
    Banner,
    Caption,
    CaptionBar,
    Colour,
    Image,
    Lettering,
    draw_box,
    draw_card,
    frame_inset,
)
from throughline.renderer.inset import InsetPlanner
from throughline.renderer.layout import Rectangle, Tile, tile
from throughline.renderer.redaction import Hiding
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

    def __init__(
        self,
        lettering: Lettering,
        source: CameraSource,
        cell: Rectangle,
        style: Style,
        hiding: Hiding | None = None,
    ) -> None:
        self._hiding = hiding
        self._lettering = lettering
        self._source = source
        self._cell = cell
        self._style = style
        self.place: Tile = tile(cell, source.reader.reel.parts[0].size, captioned=style.caption)
        """Where picture and caption lie."""
        self._bar = CaptionBar(lettering, self.place.caption.size) if style.caption else None
        self._inset = InsetPlanner()
        self._banner = Banner(lettering)
        self._scaler = Scaler()

    def draw(
        self,
        canvas: Planes,
        frame: Frame | None,
        utc: Instant,
        tracks: Sequence[TrackId],
        note: str = "",
        banner: str = "",
    ) -> None:
        """Show a frame with its own time and the boxes of `tracks`, or at `utc` a card that says that there is none.

        The caption has room for a `note`; a `banner` lies on the picture itself, so that nobody overlooks it.
        """
        if frame is not None:
            self._fit(canvas, frame)
        place = self.place
        view = canvas.part(*place.picture.slices)
        if frame is None:
            card = _blank(place.picture)
            draw_card(self._lettering, card, "no footage")
            view.show(Planes.of_rgb(card))
        else:
            view.show(frame.planes(place.picture.size, self._scaler))
            if self._hiding is not None:
                self._hiding.hide(view, frame.time, frame.size)
            if self._style.boxes:
                self._mark(view, frame, tracks)
        if banner:
            self._banner.show(view, banner)
        if self._bar is None:
            return
        moment = utc if frame is None else self._source.clock.to_utc(frame.time)
        caption = Caption(self._source.name, moment, self._style.colour, self._style.mark, note)
        self._bar.show(canvas.part(*place.caption.slices), caption)

    def _mark(self, view: Planes, frame: Frame, tracks: Sequence[TrackId]) -> None:
        boxes = self._source.boxes_at(tracks, frame.time, self._style.max_gap_ns)
        for box in scaled(boxes, frame, self.place.picture):
            draw_box(view, box, self._style.colour)
        if len(boxes):
            self._enlarge(view, frame, boxes[0])

    def _enlarge(self, view: Planes, frame: Frame, box: Boxes) -> None:
        inset = self._inset.plan(box, frame.size, view.size)
        if inset is not None:
            enlarged = frame.cut(inset.source, inset.place.size)
            if self._hiding is not None:
                self._hiding.hide(enlarged, frame.time, frame.size, inset.source)
            view.part(*inset.place.slices).show(enlarged)
            frame_inset(view, inset.place, self._style.colour)

    def _fit(self, canvas: Planes, frame: Frame) -> None:
        """Find the picture's place anew where footage changes its size."""
        place = tile(self._cell, frame.size, captioned=self._style.caption)
        if place != self.place:
            canvas.part(*self._cell.slices).show(Planes.black(self._cell.size))
            self.place = place
            self._bar = CaptionBar(self._lettering, place.caption.size) if self._style.caption else None


def _blank(place: Rectangle) -> Image:
    return np.zeros((place.height, place.width, 3), np.uint8)


def scaled(boxes: Boxes, frame: Frame, picture: Rectangle) -> Boxes:
    """(n, 4) boxes of the source frame in pixels of its picture on the canvas, cut to it."""
    factors = np.array([picture.width / frame.size.width, picture.height / frame.size.height] * 2, np.float32)
    limits = np.array([picture.width - 1, picture.height - 1] * 2, np.float32)
    return np.clip(boxes * factors, 0, limits).astype(np.float32)
