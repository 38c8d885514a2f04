"""Draws and encodes the film of a person's way, segment after segment."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.domain.timeline import Appearance, Segment
from throughline.domain.work import Work
from throughline.media.encode import Encoder
from throughline.media.planes import Planes
from throughline.renderer.draw import ORANGE, Lettering, duration_text
from throughline.renderer.layout import Rectangle, canvas_size, cells
from throughline.renderer.pacing import LEAST_NS, next_frame_ns
from throughline.renderer.playback import Playback
from throughline.renderer.redaction import Redactor
from throughline.renderer.scene import Scene, Style
from throughline.renderer.settings import FilmSettings
from throughline.renderer.sources import Sources

JUMP_NOTE_NS = 3 * NS_PER_SECOND // 2
"""How long captions tell that time was jumped."""


def film_size(sources: Sources, segments: Sequence[Segment], settings: FilmSettings) -> Size:
    """Canvas of the film: its largest footage's size within the limits, and a caption."""
    cameras = {appearance.camera for segment in segments for appearance in segment.shown}
    parts = (part for camera in cameras for part in sources.camera(camera).reader.reel.parts)
    return canvas_size((part.size for part in parts), Size(settings.max_width, settings.max_height))


class Film:
    """A film being made. Every appearance is decoded once, however many segments it goes through."""

    def __init__(
        self, path: Path, sources: Sources, size: Size, settings: FilmSettings, redactor: Redactor, work: Work
    ) -> None:
        self._redactor = redactor
        self._sources = sources
        self._settings = settings
        self._work = work
        self._size = size
        self._encoder = Encoder(path, size, settings.encoder)
        self._canvas = Planes.black(size)
        self._lettering = Lettering()
        self._style = Style(ORANGE, max_gap_ns=settings.max_box_gap_ns)
        self._playing: dict[Appearance, Playback] = {}
        self._written = 0

    def render(self, segments: Sequence[Segment]) -> list[tuple[Rectangle, ...]]:
        """Write the whole film; give the places of each segment's pictures."""
        places: list[tuple[Rectangle, ...]] = []
        with ExitStack() as stack:
            stack.callback(self._play_only, ())
            stack.push(self._encoder)
            for index, segment in enumerate(segments):
                jumped_ns = segment.span.start - segments[index - 1].span.end if index else 0
                self._play_only(segment.shown)
                places.append(self._render_segment(segment, f"{duration_text(jumped_ns)} later" if jumped_ns else ""))
                self._work.report(
                    segment.film_end_ns // NS_PER_SECOND, segments[-1].film_end_ns // NS_PER_SECOND, "film seconds"
                )
            self._encoder.close(segments[-1].film_end_ns)
        return places

    def _render_segment(self, segment: Segment, jump: str) -> tuple[Rectangle, ...]:
        self._canvas.show(Planes.black(self._size))
        tiles = [
            (
                self._scene(segment, appearance, cell),
                self._playing[appearance],
            )
            for appearance, cell in zip(segment.shown, cells(self._size, len(segment.shown)), strict=True)
        ]
        utc: Instant | None = segment.span.start
        fresh = True
        while utc is not None and utc <= segment.span.end + -LEAST_NS:
            self._work.check()
            note = jump if utc - segment.span.start < JUMP_NOTE_NS else ""
            for scene, playback in tiles:
                if playback.advance(utc) or fresh:
                    scene.draw(self._canvas, playback.frame, utc, playback.appearance.tracks, note)
            self._encoder.write(self._canvas, segment.film_time_ns(utc) if self._written else 0)
            self._written += 1
            fresh = False
            utc = self._next(tiles, utc, segment.span.end)
        return tuple(scene.place.picture for scene, _ in tiles)

    def _scene(self, segment: Segment, appearance: Appearance, cell: Rectangle) -> Scene:
        source = self._sources.camera(appearance.camera)
        hiding = self._redactor.hiding(source, segment.span, self._sources.wanted)
        return Scene(self._lettering, source, cell, self._style, hiding)

    def _next(self, tiles: Sequence[tuple[Scene, Playback]], utc: Instant, end: Instant) -> Instant | None:
        fastest_first = sorted((playback for _, playback in tiles), key=lambda each: -each.source.rate)
        coming = (playback.next_change for playback in fastest_first)
        changes = [None if change is None else change.ns for change in coming]
        due = next_frame_ns(changes, utc.ns, end.ns, self._settings.merge_ns)
        return None if due is None else Instant(due)

    def _play_only(self, shown: Sequence[Appearance]) -> None:
        for gone in self._playing.keys() - set(shown):
            self._playing.pop(gone).close()
        for appearance in shown:
            if appearance not in self._playing:
                self._playing[appearance] = Playback(self._sources.camera(appearance.camera), appearance)
