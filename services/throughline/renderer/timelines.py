"""The film of a person's way: which tracks can be shown, what was planned, and the artifact that holds it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from throughline.domain.errors import Conflict, FailedPrecondition, ThroughlineError
from throughline.domain.pairs import TrackId
from throughline.domain.timeline import Appearance, Segment, merged, plan
from throughline.domain.work import Incident, Work
from throughline.renderer.companions import boxes, captions, write_cover
from throughline.renderer.crowd import Redaction
from throughline.renderer.documents import AppearanceDocument, FilmSegment, FilmTile, TimelineDocument
from throughline.renderer.film import Film, Footage, Rendered, film_size
from throughline.renderer.metrics import count_rendered
from throughline.renderer.options import NOTHING, FilmOptions
from throughline.renderer.presence import Stretch, appearances, stretches
from throughline.renderer.redaction import Redactor
from throughline.renderer.settings import FilmSettings
from throughline.renderer.sheet import Best, best_of, write_sheet
from throughline.renderer.sources import CameraRefs, Sources
from throughline.storage.documents import compact, dump, load
from throughline.storage.workspace import Artifact, Workspace, artifact_key

FILM, DOCUMENT, SHEET = "film.mp4", "timeline.json", "contact-sheet.jpg"
CAPTIONS, BOXES, COVER = "film.vtt", "boxes.json", "cover.jpg"


@dataclass(frozen=True, slots=True)
class TimelineOrder:
    """What RenderTimeline was asked for."""

    job_id: str
    revision: int
    tracks: tuple[TrackId, ...]
    cameras: tuple[CameraRefs, ...]
    options: FilmOptions = NOTHING
    redaction: Redaction = Redaction.NONE

    @property
    def folder(self) -> str:
        """Where the film is kept."""
        return f"jobs/{self.job_id}/timelines/{self.revision}"

    @property
    def digest(self) -> str:
        """Names everything that decides what the film shows."""
        tracks = sorted({(track.camera, track.tracks_key, track.number) for track in self.tracks})
        shown = {track.camera for track in self.tracks}
        cameras = sorted(
            (c.camera, c.reel_uri, c.clock.offset_ns, c.clock.drift_ppb, c.clock.reference.ns)
            for c in self.cameras
            if c.camera in shown
        )
        hidden = {} if self.redaction is Redaction.NONE else {"redaction": self.redaction.value}
        return artifact_key(tracks=tracks, cameras=cameras, options=self.options.given, **hidden)


@dataclass(frozen=True, slots=True)
class RenderedTimeline:
    """A film that is ready; `reused`: it was before."""

    artifact: Artifact
    duration_ns: int
    incidents: tuple[Incident, ...]
    reused: bool


def render_timeline(workspace: Workspace, order: TimelineOrder, settings: FilmSettings, work: Work) -> RenderedTimeline:
    """Make the film, or find it ready.

    Tracks whose footage is missing are left out and named as incidents. Raise FailedPrecondition where none is left, Conflict
    where this revision is a film of something else.
    """
    ready = workspace.find(order.folder)
    settings = order.options.over(settings)
    if ready is None:
        with Sources(workspace, order.cameras, order.tracks) as sources, workspace.create(order.folder) as made:
            _Timeline(order, settings, sources, work).render(made)
    artifact = ready or workspace.get(order.folder)
    document = load(TimelineDocument, artifact.path(DOCUMENT).read_bytes())
    if document.made_of != order.digest:
        raise Conflict(
            f"revision {order.revision} of job {order.job_id}'s film was made of other tracks, reels or clocks; ask for the next revision"
        )
    count_rendered("film", document.duration_ns, reused=ready is not None)
    return RenderedTimeline(artifact, document.duration_ns, document.incidents, reused=ready is not None)


class _Timeline:
    def __init__(self, order: TimelineOrder, settings: FilmSettings, sources: Sources, work: Work) -> None:
        self._order = order
        self._settings = settings
        self._sources = sources
        self._work = work
        self._incidents: list[Incident] = []
        self._redactor = Redactor(order.redaction, settings.redaction)

    def render(self, made: Path) -> None:
        """Write film, sheet and document into a folder."""
        seen = self._seen()
        if not seen:
            reasons = "; ".join(incident.message for incident in self._incidents)
            raise FailedPrecondition(
                f"job {self._order.job_id} has no track that a film could show: "
                f"{reasons or f'none was given, or all were seen for less than {self._settings.least_seconds:g} s (least_seconds)'}"
            )
        cameras = {appearance.camera: self._sources.camera(appearance.camera) for appearance in seen}
        gaps = {name: camera.gaps for name, camera in cameras.items()}
        resized = {name: camera.resized for name, camera in cameras.items()}
        segments = plan(seen, self._settings.max_tiles, gaps, resized)
        self._tell_of_hidden(segments)
        with closing(Footage(self._sources)) as footage:
            copies = not (self._settings.composes or self._redactor.hides)
            size = film_size(footage, segments, self._settings, copies=copies)
            film = Film(made / FILM, footage, size, self._settings, self._redactor, self._work)
            rendered = film.render(segments)
        views = [(appearance, best_of(self._sources.camera(appearance.camera), appearance)) for appearance in seen]
        write_sheet(made / SHEET, self._sources, self._chosen(views), self._redactor, self._work)
        write_cover(made / COVER, self._sources, views, self._redactor)
        self._tell_of_damage(cameras)
        document = TimelineDocument(
            job_id=self._order.job_id,
            revision=self._order.revision,
            made_of=self._order.digest,
            film=FILM,
            size=size,
            duration_ns=segments[-1].film_end_ns,
            segments=tuple(self._segment(*each) for each in zip(segments, rendered, strict=True)),
            appearances=tuple(self._appearance(*view) for view in views),
            incidents=tuple(self._incidents),
        )
        (made / DOCUMENT).write_bytes(dump(document))
        (made / CAPTIONS).write_text(captions(document.segments), encoding="utf-8")
        found = boxes(self._sources, document.segments, size, self._settings.max_box_gap_ns)
        (made / BOXES).write_bytes(compact(found))

    def _seen(self) -> tuple[Appearance, ...]:
        """Appearances in all tracks that can be shown."""
        seen: dict[str, list[Stretch]] = {}
        for track in sorted(set(self._order.tracks)):
            self._work.check()
            try:
                found = stretches(self._sources.camera(track.camera), track, self._settings)
                seen.setdefault(track.camera, []).extend(found)
            except ThroughlineError as error:
                if error.retryable:
                    raise
                message = f"track {track.number} of camera {track.camera} is not in the film: {error}"
                self._incidents.append(
                    Incident("track_not_shown", f"{track.camera}/{track.number}", message, track.camera)
                )
        return merged(
            shown
            for source, found in ((self._sources.camera(camera), found) for camera, found in seen.items())
            for appearance in appearances(source, found, self._settings)
            for shown in self._redactor.reachable(source, appearance)
        )

    def _tell_of_hidden(self, segments: Sequence[Segment]) -> None:
        for camera in sorted({appearance.camera for segment in segments for appearance in segment.hidden}):
            message = (
                f"camera {camera} had to wait for a free tile; at most {self._settings.max_tiles} are shown at once"
            )
            self._incidents.append(Incident("tile_not_free", camera, message, camera))

    def _tell_of_damage(self, cameras: Iterable[str]) -> None:
        for camera in sorted(cameras):
            damaged = len(self._sources.camera(camera).reader.damaged)
            if damaged:
                message = (
                    f"{damaged} damaged packets of camera {camera} could not be decoded; the film stands still there"
                )
                self._incidents.append(Incident("footage_damaged", camera, message, camera))

    def _chosen(self, views: list[tuple[Appearance, Best]]) -> list[tuple[Appearance, Best]]:
        left_out = len(views) - self._settings.max_pictures
        if left_out > 0:
            message = f"the contact sheet shows the first {self._settings.max_pictures} appearances; {left_out} more are in the film"
            self._incidents.append(Incident("contact_sheet_cut", SHEET, message))
        return views[: self._settings.max_pictures]

    def _segment(self, segment: Segment, rendered: Rendered) -> FilmSegment:
        tiles = []
        for appearance, place in zip(segment.shown, rendered.places, strict=True):
            camera_time = self._sources.camera(appearance.camera).clock.interval_to_camera(segment.span)
            tiles.append(FilmTile(appearance.camera, appearance.tracks, segment.span, camera_time, place))
        waiting = tuple(appearance.camera for appearance in segment.hidden)
        return FilmSegment(
            segment.film_start_ns, segment.film_end_ns, segment.span, tuple(tiles), waiting, rendered.runs
        )

    def _appearance(self, appearance: Appearance, best: Best) -> AppearanceDocument:
        clock = self._sources.camera(appearance.camera).clock
        camera_time = clock.interval_to_camera(appearance.span)
        return AppearanceDocument(
            appearance.camera, appearance.tracks, appearance.span, camera_time, clock.to_utc(best.time)
        )
