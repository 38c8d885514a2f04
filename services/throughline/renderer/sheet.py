"""The contact sheet: one picture for each appearance, with the person enlarged beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from throughline.domain.geometry import Box, Boxes, Letterbox, Size
from throughline.domain.time import Instant
from throughline.domain.timeline import Appearance
from throughline.domain.work import Work
from throughline.media.frame import Frame
from throughline.renderer.draw import ORANGE, PAPER, Caption, Image, Lettering, draw_box, draw_caption, duration_text
from throughline.renderer.layout import Rectangle, tile, with_caption
from throughline.renderer.redaction import Hiding, Redactor
from throughline.renderer.scene import scaled
from throughline.renderer.sources import CameraSource, Sources

PICTURE = Size(480, 270)
PERSON_WIDTH = 136
COLUMNS = 3
MARGIN = 12


@dataclass(frozen=True, slots=True)
class Best:
    """The camera's time at which an appearance is seen best, and the (1, 4) box then."""

    time: Instant
    box: Boxes


def best_of(source: CameraSource, appearance: Appearance) -> Best:
    """The best view of an appearance's longest track within it."""
    seen = source.around(appearance.span)
    longest = max(appearance.tracks, key=lambda track: source.track(track).box_count(seen))
    time, box = source.best_view(longest, appearance.span)
    return Best(time, box[None])


def write_sheet(
    path: Path, sources: Sources, entries: Sequence[tuple[Appearance, Best]], redactor: Redactor, work: Work
) -> None:
    """Write the sheet as a JPEG: entries from left to right and top to bottom."""
    cell = with_caption(PICTURE)
    width, height = cell.width + PERSON_WIDTH, cell.height
    columns = min(COLUMNS, len(entries))
    rows = math.ceil(len(entries) / columns)
    sheet: Image = np.full((rows * (height + MARGIN) + MARGIN, columns * (width + MARGIN) + MARGIN, 3), 52, np.uint8)
    lettering = Lettering()
    for index, (appearance, best) in enumerate(entries):
        work.check()
        left, top = MARGIN + index % columns * (width + MARGIN), MARGIN + index // columns * (height + MARGIN)
        source = sources.camera(appearance.camera)
        hiding = redactor.hiding(source, appearance.span, sources.wanted)
        _draw_entry(lettering, sheet[top : top + height, left : left + width], source, appearance, best, hiding)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
    path.write_bytes(data.tobytes())


def _draw_entry(
    lettering: Lettering,
    image: Image,
    source: CameraSource,
    appearance: Appearance,
    best: Best,
    hiding: Hiding | None,
) -> None:
    frame = source.frame_at(best.time)
    place = tile(Rectangle(0, 0, PICTURE.width, image.shape[0]), frame.size)
    image[:] = PAPER
    picture = image[place.picture.slices]
    picture[:] = frame.rgb(place.picture.size)
    if hiding is not None:
        hiding.hide(picture, frame.time, frame.size)
    draw_box(picture, scaled(best.box, frame, place.picture)[0], ORANGE)
    _draw_person(image[: PICTURE.height, PICTURE.width :], frame, best.box[0], hiding)
    lasted = f"for {duration_text(appearance.span.duration_ns)}"
    caption = Caption(source.name, source.clock.to_utc(frame.time), ORANGE, note=lasted)
    draw_caption(lettering, image[PICTURE.height :], caption)


def _draw_person(
    image: Image, frame: Frame, box: np.ndarray[tuple[int], np.dtype[np.float32]], hiding: Hiding | None
) -> None:
    """The person enlarged, undeformed, on the dark ground."""
    left, top, right, bottom = (float(edge) for edge in box)
    margin = (bottom - top) * 0.05
    cut = Box(left - margin, top - margin, right + margin, bottom + margin).clipped(frame.size)
    whole = frame.rgb()
    if hiding is not None:
        hiding.hide(whole, frame.time, frame.size)
    person = whole[int(cut.top) : math.ceil(cut.bottom), int(cut.left) : math.ceil(cut.right)]
    if not person.size:
        return
    fit = Letterbox(Size(person.shape[1], person.shape[0]), Size(image.shape[1] - 8, image.shape[0]))
    x, y = fit.offset
    size = (fit.scaled.width, fit.scaled.height)
    image[y : y + size[1], x + 8 : x + 8 + size[0]] = cv2.resize(person, size, interpolation=cv2.INTER_CUBIC)
