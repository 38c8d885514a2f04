"""Makes the film of a person's way: copies what one camera recorded, and encodes anew only what is cut, composed or drawn upon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND, Instant, Interval, ns_to_ticks, ticks_to_ns
from throughline.domain.timeline import Appearance, Segment
from throughline.domain.work import Work
from throughline.media.encode import TICK, Chapter, Encoder
from throughline.media.frame import Frame
from throughline.media.planes import Planes
from throughline.media.splice import PLAIN_FORMATS, Cut, SplicePart
from throughline.renderer.documents import FilmRun
from throughline.renderer.draw import ORANGE, Lettering, duration_text
from throughline.renderer.layout import Rectangle, canvas_size, cells, exceeds, with_caption
from throughline.renderer.pacing import LEAST_NS, next_frame_ns
from throughline.renderer.playback import Playback
from throughline.renderer.redaction import Redactor
from throughline.renderer.scene import Scene, Style
from throughline.renderer.settings import FilmSettings
from throughline.renderer.sources import CameraSource, Sources

JUMP_NOTE_NS = 3 * NS_PER_SECOND // 2
"""How long captions tell that time was jumped."""


class Footage:
    """The parts of all reels, each opened when something may be copied from it. Close it."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._open: dict[tuple[str, int], SplicePart] = {}

    def part(self, camera: str, index: int) -> SplicePart:
        """One part of a camera's reel."""
        if (camera, index) not in self._open:
            source = self.sources.camera(camera)
            part = source.reader.reel.parts[index]
            self._open[camera, index] = SplicePart(source.reader.path_of(part.file), part)
        return self._open[camera, index]

    def delay_ticks(self, size: Size) -> int:
        """The longest delay of all parts that a film of this size takes packets of, of those that were opened."""
        return max((part.delay_ticks for part in self._open.values() if part.size == size), default=0)

    def close(self) -> None:
        """Close every file."""
        while self._open:
            self._open.popitem()[1].close()


def film_size(footage: Footage, segments: Sequence[Segment], settings: FilmSettings, *, copies: bool) -> Size:
    """Canvas of the film: the size within the limits of which the most time can be copied.

    Where nothing can be, its largest footage's size within the limits, and a caption if there are to be any.
    """
    sources = footage.sources
    limit = Size(settings.max_width, settings.max_height)
    copied: Counter[Size] = Counter()
    for segment in segments if copies else ():
        if len(segment.shown) == 1:
            source = sources.camera(segment.shown[0].camera)
            for index, span in shown_parts(source, source.clock.interval_to_camera(segment.span)):
                size = footage.part(source.name, index).size
                if size is not None and not exceeds(size, limit):
                    copied[size] += span.duration_ns
    if copied:
        return max(copied, key=lambda size: (copied[size], size.width * size.height))
    cameras = {appearance.camera for segment in segments for appearance in segment.shown}
    size = canvas_size(
        (part.size for camera in cameras for part in sources.camera(camera).reader.reel.parts),
        limit,
    )
    return with_caption(size) if settings.captions else size


def shown_parts(source: CameraSource, span: Interval) -> Iterator[tuple[int, Interval]]:
    """The parts of a reel that a span of the camera's time lies in, by index, each with its share of the span; none that only
    the rounding of a clock map lets it reach."""
    for index, part in enumerate(source.reader.reel.parts):
        share = part.span.intersection(span)
        if share is not None and share.duration_ns >= LEAST_NS:
            yield index, share


@dataclass(frozen=True, slots=True)
class Rendered:
    """What became of a segment: where its pictures lie on the canvas, and how each stretch of it was made."""

    places: tuple[Rectangle, ...]
    runs: tuple[FilmRun, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of a segment of one camera: from `start` on its frames are those of a cut of a part of its reel."""

    start: Instant
    part: int | None
    cut: Cut | None = None


class Film:
    """A film being made. What is encoded of an appearance is decoded once, however many segments it goes through."""

    def __init__(
        self,
        path: Path,
        footage: Footage,
        size: Size,
        settings: FilmSettings,
        redactor: Redactor,
        work: Work,
    ) -> None:
        self._sources = footage.sources
        self._footage = footage
        self._redactor = redactor
        self._composes = settings.composes or redactor.hides
        self._settings = settings
        self._work = work
        self._size = size
        self._path = path
        self._canvas = Planes.black(size)
        self._lettering = Lettering()
        self._style = Style(ORANGE, max_gap_ns=settings.max_box_gap_ns, boxes=settings.boxes, caption=settings.captions)
        self._playing: dict[Appearance, Playback] = {}

    def render(self, segments: Sequence[Segment]) -> list[Rendered]:
        """Write the whole film."""
        rendered: list[Rendered] = []
        delay = self._footage.delay_ticks(self._size)
        self._encoder = Encoder(self._path, self._size, self._settings.encoder, chapters(segments), delay)
        with ExitStack() as stack:
            stack.callback(self._play_only, (), Instant(0))
            stack.push(self._encoder)
            for index, segment in enumerate(segments):
                jumped_ns = segment.span.start - segments[index - 1].span.end if index else 0
                jump = f"{duration_text(jumped_ns)} later" if jumped_ns else ""
                alone = len(segment.shown) == 1 and not self._composes
                rendered.append(self._alone(segment) if alone else self._composed(segment, jump))
                self._work.report(
                    segment.film_end_ns // NS_PER_SECOND, segments[-1].film_end_ns // NS_PER_SECOND, "film seconds"
                )
            self._encoder.close(segments[-1].film_end_ns)
        return rendered

    def _composed(self, segment: Segment, jump: str) -> Rendered:
        """Draw and encode every frame."""
        places = self._draw(segment, segment.span, jump)
        return Rendered(places, (FilmRun(segment.film_start_ns, segment.film_end_ns, "encoded"),))

    def _alone(self, segment: Segment) -> Rendered:
        """Copy what can be copied of a single camera, and encode the rest."""
        (appearance,) = segment.shown
        source = self._sources.camera(appearance.camera)
        pieces = list(self._pieces(segment, source))
        runs: list[FilmRun] = []
        (place,) = cells(self._size, 1)
        for piece, end in zip(pieces, [*(each.start for each in pieces[1:]), segment.span.end], strict=True):
            self._work.check()
            span = Interval(piece.start, end)
            if piece.cut is None:
                (place,) = self._draw(segment, span, "")
            else:
                self._copy(segment, source, piece, piece.cut)
            runs.append(
                FilmRun(
                    segment.film_time_ns(span.start),
                    segment.film_time_ns(span.end),
                    "encoded" if piece.cut is None else "copied",
                    source.name,
                    piece.part,
                    source.clock.interval_to_camera(span),
                )
            )
        return Rendered((place,), tuple(runs))

    def _pieces(self, segment: Segment, source: CameraSource) -> Iterator[_Piece]:
        """How a segment of one camera is made, in order; what is encoded of two parts is one piece for each."""
        begun = False
        for index, share in shown_parts(source, source.clock.interval_to_camera(segment.span)):
            part = source.reader.reel.parts[index]
            spliced = self._footage.part(source.name, index)
            start, end = (ns_to_ticks(moment - part.epoch, TICK) for moment in (share.start, share.end))
            found = spliced.cuts(start, end) if spliced.size == self._size else [Cut(start, end, 0)]
            for cut in found:
                moment = source.clock.to_utc(part.epoch + ticks_to_ns(cut.start, TICK))
                utc = max(moment, segment.span.start) if begun else segment.span.start
                begun = True
                yield _Piece(utc, index, cut if cut.packets else None)
        if not begun:
            yield _Piece(segment.span.start, None)

    def _copy(self, segment: Segment, source: CameraSource, piece: _Piece, cut: Cut) -> None:
        index = piece.part or 0
        epoch = source.reader.reel.parts[index].epoch

        def film_time_ns(pts: int) -> int:
            utc = source.clock.to_utc(epoch + ticks_to_ns(pts, TICK))
            return segment.film_time_ns(max(utc, piece.start))

        self._play_only((), piece.start)
        self._encoder.copy(self._footage.part(source.name, index).packets(cut), film_time_ns)

    def _draw(self, segment: Segment, span: Interval, jump: str) -> tuple[Rectangle, ...]:
        """Encode every frame of a span of a segment; give the places of its pictures."""
        self._play_only(segment.shown, span.start)
        self._canvas.show(Planes.black(self._size))
        tiles = [
            (self._scene(segment, appearance, cell), self._playing[appearance])
            for appearance, cell in zip(segment.shown, cells(self._size, len(segment.shown)), strict=True)
        ]
        utc: Instant | None = span.start
        whole: Frame | None = None
        fresh = True
        while utc is not None and utc <= span.end + -LEAST_NS:
            self._work.check()
            note = jump if utc - segment.span.start < JUMP_NOTE_NS else ""
            changed = [(scene, playback) for scene, playback in tiles if playback.advance(utc) or fresh]
            whole = self._whole(tiles)
            if whole is None:
                for scene, playback in changed:
                    scene.draw(self._canvas, playback.frame, utc, playback.appearance.tracks, note)
            self._encoder.write(self._canvas if whole is None else whole.picture, segment.film_time_ns(utc))
            fresh = whole is not None
            utc = self._next(tiles, utc, span.end)
        return cells(self._size, 1) if whole else tuple(scene.place.picture for scene, _ in tiles)

    def _whole(self, tiles: Sequence[tuple[Scene, Playback]]) -> Frame | None:
        """The frame that is the whole picture as it is, so that nothing has to be drawn: it keeps its own colours."""
        if len(tiles) > 1 or self._composes:
            return None
        frame = tiles[0][1].frame
        if frame is None or frame.rotation_degrees or frame.size != self._size:
            return None
        picture = frame.picture
        plain = picture.format.name in PLAIN_FORMATS and Size(picture.width, picture.height) == self._size
        return frame if plain else None

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

    def _play_only(self, shown: Sequence[Appearance], since: Instant) -> None:
        """Let go of all other appearances, and open those that don't play yet, with the frame that is shown at a moment."""
        for gone in self._playing.keys() - set(shown):
            self._playing.pop(gone).close()
        for appearance in shown:
            if appearance not in self._playing:
                source = self._sources.camera(appearance.camera)
                span = Interval(source.shown_since(since), appearance.span.end)
                self._playing[appearance] = Playback(source, replace(appearance, span=span))


def chapters(segments: Sequence[Segment]) -> tuple[Chapter, ...]:
    """One for each appearance, from the moment it is first shown to the next chapter."""
    begins: dict[int, list[Appearance]] = {}
    known: set[Appearance] = set()
    for segment in segments:
        for appearance in segment.shown:
            if appearance not in known:
                known.add(appearance)
                begins.setdefault(segment.film_start_ns, []).append(appearance)
    starts = [*begins, segments[-1].film_end_ns]
    return tuple(
        Chapter(start, end, ", ".join(_title(appearance) for appearance in begins[start]))
        for start, end in pairwise(starts)
    )


def _title(appearance: Appearance) -> str:
    return f"{appearance.camera} · {appearance.span.start.to_datetime():%Y-%m-%d %H:%M:%S} UTC"
