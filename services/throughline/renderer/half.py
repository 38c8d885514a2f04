"""One half of a pair's clip: one person's tracks in time order, gaps jumped, too long ones cut to what shows them best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from throughline.domain.pairs import TrackId
from throughline.domain.time import NS_PER_SECOND, Instant, Interval
from throughline.domain.timeline import Appearance, Segment, clipped, excerpt, merged, plan
from throughline.domain.work import Work
from throughline.media.planes import Planes
from throughline.renderer.documents import Half, Piece
from throughline.renderer.draw import Lettering, dim, duration_text
from throughline.renderer.layout import Rectangle
from throughline.renderer.playback import Playback
from throughline.renderer.redaction import Redactor
from throughline.renderer.scene import Scene, Style
from throughline.renderer.sources import CameraSource, Sources
from throughline.renderer.strip import Shown

_JUMP_NOTE_NS = 3 * NS_PER_SECOND // 2
"""How long the picture tells of a jump."""


@dataclass(frozen=True, slots=True)
class HalfPlan:
    """What a half shows: segments of one tile each; `cut_ns` was left out."""

    segments: tuple[Segment, ...]
    tracks: tuple[TrackId, ...]
    cut_ns: int

    @property
    def duration_ns(self) -> int:
        return self.segments[-1].film_end_ns


def plan_half(sources: Sources, tracks: Sequence[TrackId], limit_ns: int | None, bridge_ns: int) -> HalfPlan:
    """Plan a half from the tracks of one person, the best first: all of them, or about `limit_ns` that tell most."""
    cameras = {track.camera: sources.camera(track.camera) for track in tracks}
    appearances = merged((cameras[track.camera].appearance(track) for track in tracks), bridge_ns)
    gaps = {name: source.gaps for name, source in cameras.items()}
    segments = plan(appearances, 1, gaps)
    whole_ns = segments[-1].film_end_ns
    if limit_ns is not None and whole_ns > limit_ns:
        windows = excerpt([segment.span for segment in segments], _telling(cameras, tracks), limit_ns)
        segments = plan(_cut(sources, segments, windows), 1, gaps)
    return HalfPlan(segments, tuple(tracks), max(0, whole_ns - segments[-1].film_end_ns))


def play_half(
    sources: Sources, half: HalfPlan, cell: Rectangle, style: Style, redactor: Redactor, work: Work
) -> Iterator[Shown]:
    """Every picture of a half, of the cell's size, each valid until the next is asked for; the last one, at the half's
    end, is what stands still while the other half goes on."""
    lettering = Lettering()
    canvas = Planes.black(cell.size)
    previous: Segment | None = None
    for segment in half.segments:
        (appearance,) = segment.shown
        canvas.show(Planes.black(cell.size))
        source = sources.camera(appearance.camera)
        hiding = redactor.hiding(source, segment.span, half.tracks)
        scene = Scene(lettering, source, cell, style, hiding)
        jump = _jump(previous, segment)
        with closing(Playback(source, replace(appearance, span=segment.span))) as playback:
            for utc in playback.moments(segment.span):
                work.check()
                banner = jump if utc - segment.span.start < _JUMP_NOTE_NS else ""
                scene.draw(canvas, playback.frame, utc, appearance.tracks, banner=banner)
                yield Shown(segment.film_time_ns(utc), canvas)
            scene.draw(canvas, playback.frame, segment.span.end, appearance.tracks, "ended")
            dim(canvas.part(*scene.place.picture.slices))
            previous = segment
    yield Shown(half.duration_ns, canvas)


def _jump(previous: Segment | None, following: Segment) -> str:
    """What the picture says where time was jumped."""
    if previous is None or following.span.start == previous.span.end:
        return ""
    return f"{duration_text(following.span.start - previous.span.end)} later"


def describe_half(sources: Sources, half: HalfPlan) -> Half:
    """A half as pair.json tells of it."""
    note = ""
    if half.cut_ns:
        shown = f"shortened to {duration_text(half.duration_ns)}: entering, the best views, leaving"
        note = f"{shown}; {duration_text(half.cut_ns)} are left out"
    return Half(
        half.tracks[0].camera, half.tracks, half.duration_ns, half.cut_ns, note, tuple(_pieces(sources, half.segments))
    )


def _telling(cameras: Mapping[str, CameraSource], tracks: Sequence[TrackId]) -> list[Instant]:
    """Moments at which the person is seen well, UTC: the best of the first track, then all presentable crops by their quality."""
    source = cameras[tracks[0].camera]
    best, _ = source.best_view(tracks[0])
    views = sorted((view for track in tracks for view in cameras[track.camera].views(track)), reverse=True)
    return [source.clock.to_utc(best), *(moment for _, moment in views)]


def _pieces(sources: Sources, segments: Sequence[Segment]) -> Iterator[Piece]:
    for segment in segments:
        camera = segment.shown[0].camera
        camera_time = sources.camera(camera).clock.interval_to_camera(segment.span)
        yield Piece(segment.film_start_ns, camera, segment.span, camera_time)


def _cut(sources: Sources, segments: Sequence[Segment], windows: Sequence[Interval]) -> Iterator[Appearance]:
    """What lies in the windows, each begun with the frame that is shown at its start."""
    for segment in segments:
        appearance = replace(segment.shown[0], span=segment.span)
        for window in windows:
            piece = clipped(appearance, window)
            if piece is not None:
                start = max(segment.span.start, sources.camera(piece.camera).shown_since(piece.span.start))
                yield replace(piece, span=Interval(start, piece.span.end))
