"""What is drawn over pictures: boxes, captions, cards. Images are (h, w, 3) uint8 RGB; they and planes are changed in place."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, Instant
from throughline.media.planes import Planes
from throughline.renderer.layout import Rectangle

Image = NDArray[np.uint8]
"""(h, w, 3) uint8, RGB."""
Colour = tuple[int, int, int]
"""Red, green, blue."""

# Blue and orange of the palette of Okabe and Ito: told apart with every kind of colour vision.
BLUE: Colour = (86, 180, 233)
ORANGE: Colour = (240, 165, 20)
PAPER: Colour = (20, 22, 26)
INK: Colour = (240, 242, 245)
FADED: Colour = (150, 155, 165)

_REGULAR, _BOLD = 400, 600


class Lettering:
    """Writes text of any script with the fonts that OpenCV carries. For one thread."""

    def __init__(self) -> None:
        self._faces = {_REGULAR: cv2.FontFace("uni"), _BOLD: cv2.FontFace("sans")}

    def width(self, text: str, size_px: int, weight: int = _REGULAR) -> int:
        """Pixels that a line of text takes."""
        left, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), self._faces[weight], size_px, weight)
        return left + width + 1

    def write(
        self, image: Image, text: str, at: tuple[int, int], size_px: int, colour: Colour = INK, *, bold: bool = False
    ) -> int:
        """Write one line, `at` the left end of its baseline; return where it ends."""
        weight = _BOLD if bold else _REGULAR
        end = at[0] + self.width(text, size_px, weight)
        if text and end <= image.shape[1]:  # beyond the edge it would go on in a line below
            cv2.putText(image, text, at, colour, self._faces[weight], size_px, weight)
        return end

    def fit(self, text: str, size_px: int, width: int, *, bold: bool = False) -> str:
        """The text, or as much of its start as `width` has room for, with an ellipsis."""
        text = "".join(letter if letter.isprintable() else " " for letter in text)
        weight = _BOLD if bold else _REGULAR
        if self.width(text, size_px, weight) <= width:
            return text
        room = range(1, min(len(text), max(0, width)) + 1)  # a letter takes a pixel at least
        kept = bisect_right(room, width, key=lambda letters: self.width(text[:letters] + "…", size_px, weight))
        return text[:kept].rstrip() + "…" if kept else ""


def clock_text(moment: Instant) -> str:
    """A moment for people: date, time to the millisecond (cut, as clocks do), zone."""
    return f"{moment.to_datetime():%Y-%m-%d %H:%M:%S}.{moment.ns // 1_000_000 % 1000:03d} UTC"


def duration_text(duration_ns: int) -> str:
    """A duration for people, in the two units that matter: `4.2 s`, `3 min 05 s`, `2 h 07 min`."""
    seconds = duration_ns // NS_PER_SECOND
    if seconds < 60:
        return f"{duration_ns / NS_PER_SECOND:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds // 60 % 60:02d} min"


def size_of(picture: Image | Planes) -> Size:
    """Its width and height in pixels."""
    return picture.size if isinstance(picture, Planes) else Size(picture.shape[1], picture.shape[0])


def line_width(picture: Size) -> int:
    """Pixels of a line that is seen in a picture of this size at its own size and on a whole screen."""
    return max(2, round(min(picture.width, picture.height) / 240))


def draw_box(picture: Image | Planes, box: NDArray[np.float32], colour: Colour) -> None:
    """Frame one box: (4,) xyxy in pixels of `picture`; nothing where it is NaN. A dark rim keeps it visible on any ground."""
    if np.isnan(box).any():
        return
    line = line_width(size_of(picture))
    left, top, right, bottom = (round(float(edge)) for edge in box)
    for ink, thickness in ((PAPER, line + 2), (colour, line)):
        for layer, value, step in _layers(picture, ink):
            corners = (left // step, top // step), (right // step, bottom // step)
            cv2.rectangle(layer, *corners, value, max(1, thickness // step))


def frame_inset(picture: Planes, place: Rectangle, colour: Colour) -> None:
    """A line around a part of a picture that shows something else: inside of its edges."""
    corners = np.array([place.left, place.top, place.right - 1, place.bottom - 1], np.float32)
    draw_box(picture, corners, colour)


def _layers(picture: Image | Planes, ink: Colour) -> Iterator[tuple[NDArray[np.uint8], Sequence[int], int]]:
    """What to draw on, the ink's value there, and how many pixels of the picture one of it covers in each direction."""
    if isinstance(picture, Planes):
        y, u, v = _in_planes(ink)
        yield from ((picture.y, (y,), 1), (picture.u, (u,), 2), (picture.v, (v,), 2))
    else:
        yield picture, ink, 1


@cache
def _in_planes(ink: Colour) -> Colour:
    """A colour as luma and the two chroma values."""
    pixel = Planes.of_rgb(np.full((2, 2, 3), ink, np.uint8))
    return int(pixel.y[0, 0]), int(pixel.u[0, 0]), int(pixel.v[0, 0])


@dataclass(frozen=True, slots=True)
class Caption:
    """What stands below a picture: a word before the camera's name and the colour of both its chip and the subject's box."""

    name: str
    moment: Instant
    colour: Colour
    mark: str = ""
    note: str = ""


def draw_caption(lettering: Lettering, bar: Image, caption: Caption) -> int:
    """Fill a bar: chip, mark and name on the left; the time on the right (without its date where that leaves no room), the note
    before it. Return the left edge of the three digits of its milliseconds, which are `digit_width` apart."""
    bar[:] = PAPER
    height, width = bar.shape[:2]
    size, baseline, margin = _type_of(height)
    moment, _, after = clock_text(caption.moment).partition(".")
    digits, zone = after[:3], after[3:]
    step = digit_width(lettering, height)
    at_digits = (width - margin - lettering.width(zone, size) - 3 * step) // 2 * 2
    if lettering.width(moment, size) > at_digits - width * 0.4:
        moment = moment.split(" ")[1]
    right = at_digits - lettering.width(moment + ".", size)
    lettering.write(bar, moment + ".", (right, baseline), size)
    for place, digit in enumerate(digits):
        lettering.write(bar, digit, (at_digits + place * step, baseline), size)
    lettering.write(bar, zone, (at_digits + 3 * step, baseline), size)
    if caption.note:
        right -= margin + lettering.width(caption.note, size)
        lettering.write(bar, caption.note, (max(0, right), baseline), size, FADED)
    chip = margin + height // 6
    cv2.rectangle(bar, (margin, height // 4), (chip, height - height // 4), caption.colour, cv2.FILLED)
    left = chip + margin // 2
    if caption.mark:
        left = lettering.write(bar, caption.mark, (left, baseline), size, caption.colour, bold=True) + margin // 2
    name = lettering.fit(caption.name, size, right - margin - left, bold=True)
    lettering.write(bar, name, (left, baseline), size, bold=True)
    return at_digits


def digit_width(lettering: Lettering, bar_height: int) -> int:
    """Pixels from one digit of a caption to the next: even, so that chroma can be cut between them."""
    size, _, _ = _type_of(bar_height)
    return (lettering.width("0" * 10, size) // 10 + 1) // 2 * 2


def _type_of(bar_height: int) -> tuple[int, int, int]:
    """Size of a caption's letters, their baseline, and its margin."""
    return round(bar_height * 0.58), round(bar_height * 0.72), bar_height // 3


class CaptionBar:
    """The caption of one place, kept drawn: from frame to frame mostly its milliseconds change, and only they are drawn again."""

    def __init__(self, lettering: Lettering, size: Size) -> None:
        self._lettering = lettering
        self._size = size
        self._drawn: Caption | None = None
        self._bar = Planes.black(size)
        self._at_digits = 0
        self._step = digit_width(lettering, size.height)
        self._digits = tuple(self._digit(letter) for letter in "0123456789")

    def show(self, view: Planes, caption: Caption) -> None:
        """Put a caption onto its place on a canvas."""
        second, below = divmod(caption.moment.ns, NS_PER_SECOND)
        whole = replace(caption, moment=Instant(second * NS_PER_SECOND))
        if whole != self._drawn:
            bar = np.empty((self._size.height, self._size.width, 3), np.uint8)
            self._at_digits = draw_caption(self._lettering, bar, whole)
            self._bar, self._drawn = Planes.of_rgb(bar), whole
        for place, digit in enumerate(f"{below // NS_PER_MS:03d}"):
            left = self._at_digits + place * self._step
            if 0 <= left <= self._size.width - self._step:
                self._bar.part(slice(0, self._size.height), slice(left, left + self._step)).show(
                    self._digits[int(digit)]
                )
        view.show(self._bar)

    def _digit(self, letter: str) -> Planes:
        wide: Image = np.full((self._size.height, 2 * self._step, 3), PAPER, np.uint8)
        size, baseline, _ = _type_of(self._size.height)
        self._lettering.write(wide, letter, (0, baseline), size)
        return Planes.of_rgb(np.ascontiguousarray(wide[:, : self._step]))


class Banner:
    """A few words in the middle of a picture's upper edge, kept drawn: such as that time was jumped."""

    def __init__(self, lettering: Lettering) -> None:
        self._lettering = lettering
        self._drawn: tuple[str, Size] | None = None
        self._planes = Planes.black(Size(2, 2))

    def show(self, picture: Planes, text: str) -> None:
        """Put the words onto a picture; as many of them as fit."""
        if self._drawn != (text, picture.size):
            self._planes, self._drawn = self._draw(picture.size, text), (text, picture.size)
        size = self._planes.size
        left = (picture.size.width - size.width) // 4 * 2
        picture.part(slice(0, size.height), slice(left, left + size.width)).show(self._planes)

    def _draw(self, picture: Size, text: str) -> Planes:
        letters = max(16, round(min(picture.width, picture.height) / 18))
        text = self._lettering.fit(text, letters, picture.width - 2 * letters, bold=True)
        width = min(picture.width, self._lettering.width(text, letters, _BOLD) + letters) // 2 * 2
        image: Image = np.full((min(picture.height, round(1.6 * letters)) // 2 * 2, width, 3), INK, np.uint8)
        self._lettering.write(image, text, (letters // 2, round(letters * 1.15)), letters, PAPER, bold=True)
        return Planes.of_rgb(image)


def draw_card(lettering: Lettering, picture: Image, text: str) -> None:
    """Fill a picture with a card that says why nothing is to be seen."""
    picture[:] = PAPER
    height, width = picture.shape[:2]
    cv2.rectangle(picture, (0, 0), (width - 1, height - 1), FADED, 1)
    size = max(12, height // 14)
    text = lettering.fit(text, size, width - size)
    lettering.write(picture, text, ((width - lettering.width(text, size)) // 2, (height + size // 2) // 2), size, FADED)


def dim(picture: Planes) -> None:
    """Fade a picture that stands still because its track has ended, so little that one can still compare."""
    for plane, black in ((picture.y, 16), (picture.u, 128), (picture.v, 128)):
        plane[:] = cv2.convertScaleAbs(plane, alpha=2 / 3, beta=black / 3)
