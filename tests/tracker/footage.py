"""Reels of painted people, whom the tiny models of tests/models see: a red block each, with clothes of their own around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from tests.tracker.scenes import SECOND, START
from throughline.domain.footage import Reel, ReelChunk, ReelPart
from throughline.domain.geometry import Size
from throughline.domain.time import Instant, Interval
from throughline.media.encode import Encoder, EncoderSettings
from throughline.media.frame import Picture
from throughline.storage import documents
from throughline.storage.workspace import Artifact, Workspace
from throughline.tracker.artifacts import REEL_FILE

SIZE = Size(256, 256)
CELL = 32
"""One cell of 8 pixels of the tiny detector; a person is 96 x 192 pixels around its centre."""
RATE = 15
RED, BLUE = (250, 0, 0), (0, 0, 250)

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Painted:
    """Somebody who walks one cell to the right every `cell_seconds` from `column` on; a blue block is a trolley."""

    start: float
    end: float
    column: int
    row: int = 3
    upper: Colour = (0, 80, 0)
    lower: Colour = (0, 0, 60)
    block: Colour = RED
    cell_seconds: float = 0.6

    def paint(self, picture: Picture, second: float) -> None:
        if not self.start <= second < self.end:
            return
        column = self.column + int((second - self.start) / self.cell_seconds)
        x, y = column * CELL + CELL // 2, self.row * CELL + CELL // 2
        left, right = max(0, x - 48), x + 48
        picture[max(0, y - 96) : y, left:right] = self.upper
        picture[y : y + 96, left:right] = self.lower
        picture[self.row * CELL : (self.row + 1) * CELL, column * CELL : (column + 1) * CELL] = self.block


@dataclass(frozen=True)
class Recording:
    """Seconds after START of each part, cut into chunks of `chunk_seconds`, and who is there."""

    people: Sequence[Painted]
    parts: Sequence[tuple[float, float]] = ((0.0, 4.0),)
    chunk_seconds: float = 2.0

    def publish(self, workspace: Workspace, camera: str) -> Artifact:
        """Make the reel."""
        folder = f"reels/{camera}"
        with workspace.create(folder) as place:
            parts = [self._write_part(place, index, *part) for index, part in enumerate(self.parts)]
            gaps = [Interval(a.span.end, b.span.start) for a, b in pairwise(parts)]
            chunks = [chunk for index, part in enumerate(parts) for chunk in self._chunks(camera, index, part.span)]
            (place / REEL_FILE).write_bytes(documents.dump(Reel(camera, tuple(parts), tuple(chunks), tuple(gaps))))
        return workspace.get(folder)

    def _write_part(self, place: Path, index: int, start: float, end: float) -> ReelPart:
        file = f"part-{index:03d}.mp4"
        count = round((end - start) * RATE)
        with Encoder(place / file, SIZE, EncoderSettings(crf=12, gop_seconds=1.0, threads=1)) as encoder:
            for frame in range(count):
                picture = np.full((SIZE.height, SIZE.width, 3), 12, np.uint8)
                for person in self.people:
                    person.paint(picture, start + frame / RATE)
                encoder.write(picture, frame * SECOND // RATE)
        epoch = moment(start)
        span = Interval(epoch, epoch + count * SECOND // RATE)
        return ReelPart(file, epoch, span, "h264", SIZE, 0, count)

    def _chunks(self, camera: str, part: int, span: Interval) -> Iterator[ReelChunk]:
        length = round(self.chunk_seconds * SECOND)
        for number, start in enumerate(range(span.start.ns, span.end.ns, length)):
            piece = Interval(Instant(start), Instant(min(start + length, span.end.ns)))
            name = f"{part}-{number}.mp4"
            yield ReelChunk(
                name, f"file:///{camera}/{name}", "etag", 1, f"sha of {camera}/{name}", part=part, span=piece
            )


def moment(second: float) -> Instant:
    return START + round(second * SECOND)
