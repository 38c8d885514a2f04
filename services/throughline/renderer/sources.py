"""What a camera brings to a picture: its reel, its tracks and its clock."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import CorruptArtifact, FailedPrecondition, InvalidInput, NotFound
from throughline.domain.footage import Reel
from throughline.domain.geometry import Boxes, Size, area
from throughline.domain.pairs import TrackId
from throughline.domain.time import NS_PER_SECOND, ClockMap, Instant, Interval
from throughline.domain.timeline import Appearance
from throughline.domain.tracks import Track, TrackEmbeddings, TrackTable
from throughline.media.frame import Frame
from throughline.media.reader import ReelReader
from throughline.storage.detections import PEOPLE_FILE, People, read_people
from throughline.storage.documents import load
from throughline.storage.tables import TRACKS_FILE, artifact_embeddings, read_tracks
from throughline.storage.workspace import Artifact, Workspace

Best = tuple[Instant, NDArray[np.float32]]
"""The camera's time of a track's best view, and its (4,) box."""


@dataclass(frozen=True, slots=True)
class CameraRefs:
    """Where a camera's reel and tracks lie in the workspace, and what is known of its clock."""

    camera: str
    reel_uri: str
    tracks_uri: str
    clock: ClockMap


class CameraSource:
    """One camera, opened. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        clock: ClockMap,
        reader: ReelReader,
        tracks: Artifact,
        table: TrackTable,
        embeddings: TrackEmbeddings,
    ) -> None:
        self.name = name
        self.clock = clock
        self.reader = reader
        self.gaps = tuple(clock.interval_to_utc(gap) for gap in reader.reel.gaps)
        """Spans without footage, UTC."""
        self.resized = tuple(
            clock.to_utc(one.span.end) for one, other in pairwise(reader.reel.parts) if one.size != other.size
        )
        """When its pictures change their size, UTC."""
        self.rate = _rate(reader.reel)
        """Frames per second of footage, on average."""
        self._tracks = tracks
        self._table = table
        self._embeddings = embeddings
        self._seeking = threading.Lock()

    def track(self, track: TrackId) -> Track:
        """Raise NotFound where the camera has no such track."""
        if track.tracks_key == self._tracks.key:
            try:
                return self._table.track(track.number)
            except KeyError:
                pass
        raise NotFound(
            f"camera {self.name} has no track {track.number} of tracks {track.tracks_key}; it was opened with {self._tracks.key}"
        )

    def everybody(self, span: Interval) -> tuple[TrackTable, People]:
        """All tracks and all detections of a span of the camera's time; raise FailedPrecondition where the latter were not kept."""
        if PEOPLE_FILE not in self._tracks.names():
            raise FailedPrecondition(
                f"tracks {self._tracks.key} of camera {self.name} do not tell of people without a track, as those of earlier releases; "
                "without that nobody can be made unrecognisable: submit the job anew"
            )
        tracks = read_tracks(self._tracks.path(TRACKS_FILE), span=span)
        return tracks, read_people(self._tracks.path(PEOPLE_FILE), span)

    def appearance(self, track: TrackId) -> Appearance:
        """When the track was seen, in UTC: from its first box to the end of the frame of its last.

        Raise CorruptArtifact where the reel has no frame for one of the two.
        """
        span = self.track(track).span
        self.frame_span(span.start)
        end = self.frame_span(span.end).end
        return Appearance(self.name, self.clock.interval_to_utc(Interval(span.start, end)), (track,))

    def size_at(self, time: Instant) -> Size:
        """Size of the upright frames at a time of the camera; between two parts, that of the later one."""
        parts = self.reader.reel.parts
        return next((part.size for part in parts if time < part.span.end), parts[-1].size)

    def frame_at(self, time: Instant) -> Frame:
        """The frame shown at a time of the camera; raise CorruptArtifact where there is none."""
        with self._seeking:
            frame = self.reader.frame_at(time)
        if frame is None:
            raise self._no_frame(time)
        return frame

    def frames(self, span: Interval) -> Iterator[Frame]:
        """Frames that begin within a span of UTC, in order. The rounding of clock maps is allowed for on both sides."""
        return self.reader.frames(self.around(span))

    def frame_times(self, span: Interval) -> list[Instant]:
        """When the frames begin that do so within a span of the camera's time, in order. Nothing is decoded."""
        with self._seeking:
            return self.reader.frame_times(span)

    def shown_at(self, time: Instant) -> Interval | None:
        """When the frame shown at a time of the camera begins and ends; None where there is no footage. Nothing is decoded."""
        with self._seeking:
            return self.reader.span_at(time)

    def shown_since(self, utc: Instant) -> Instant:
        """When the frame that is shown at a moment began, both UTC; the moment itself in a gap."""
        span = self.shown_at(self.clock.to_camera(utc))
        return utc if span is None else min(utc, self.clock.to_utc(span.start))

    def boxes_at(self, tracks: Sequence[TrackId], time: Instant, max_gap_ns: int) -> Boxes:
        """(n, 4) boxes of the tracks that are seen at a time of the camera, between two boxes at most `max_gap_ns` apart."""
        found = (self.track(track).box_at(time, max_gap_ns) for track in tracks)
        boxes = [box for box in found if box is not None]
        return np.stack(boxes) if boxes else np.empty((0, 4), np.float32)

    def around(self, span: Interval) -> Interval:
        """A span of UTC in the camera's time, and the nanoseconds by which the way to UTC and back can be off."""
        return self.clock.interval_to_camera(span).padded(2, 2)

    def best_view(self, track: TrackId, span: Interval | None = None) -> Best:
        """Where the track is seen best, within a span of UTC if one is given: at its best presentable crop, else at its best crop, else
        where its box is largest."""
        rows, crops = self.track(track), self._embeddings
        camera_span = Interval(rows.span.start, rows.span.end + 1) if span is None else self.around(span)
        seen = np.flatnonzero((rows.times_ns >= camera_span.start.ns) & (rows.times_ns < camera_span.end.ns))
        own = np.flatnonzero((crops.track_ids == track.number) & np.isin(crops.times_ns, rows.times_ns[seen]))
        if len(own):
            best = max(own.tolist(), key=lambda row: (crops.presentable[row], crops.qualities[row]))
            index = int(np.searchsorted(rows.times_ns, crops.times_ns[best]))
        else:
            index = int(seen[np.argmax(area(rows.boxes[seen]))])
        return Instant(int(rows.times_ns[index])), rows.boxes[index]

    def views(self, track: TrackId) -> list[tuple[float, Instant]]:
        """Quality and UTC of every presentable crop of a track."""
        crops = self._embeddings
        rows = np.flatnonzero(crops.presentable & (crops.track_ids == track.number))
        times = (self.clock.to_utc(Instant(int(time))) for time in crops.times_ns[rows])
        return list(zip(crops.qualities[rows].tolist(), times, strict=True))

    def frame_span(self, time: Instant) -> Interval:
        """When the frame of a box begins and ends, by the camera; nothing is decoded. Raise CorruptArtifact where there is none."""
        span = self.shown_at(time)
        if span is None:
            raise self._no_frame(time)
        return span

    def _no_frame(self, time: Instant) -> CorruptArtifact:
        return CorruptArtifact(
            f"the reel of camera {self.name} has no frame at {time} (its own clock), though a track has a box there; "
            "were reel and tracks made of the same footage?"
        )


class Sources:
    """The cameras of one request, each opened when it is first needed. Close it: readers hold files open.

    Only the boxes of the `wanted` tracks are read. `decoder_threads`: of each decoder; 0 leaves it to FFmpeg.
    """

    def __init__(
        self, workspace: Workspace, cameras: Iterable[CameraRefs], wanted: Iterable[TrackId], decoder_threads: int = 0
    ) -> None:
        self._workspace = workspace
        self.wanted = frozenset(wanted)
        self._refs = {refs.camera: refs for refs in cameras}
        self._threads = decoder_threads
        self._open: dict[str, CameraSource] = {}
        self._opening = threading.Lock()

    def camera(self, name: str) -> CameraSource:
        """Open a camera; raise InvalidInput where the request does not bring it."""
        with self._opening:
            if name not in self._open:
                self._open[name] = self._opened(name)
            return self._open[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for source in self._open.values():
            source.reader.close()

    def _opened(self, name: str) -> CameraSource:
        refs = self._refs.get(name)
        if refs is None:
            raise InvalidInput(
                f"a track of camera {name} is to be shown, but the request's cameras are {sorted(self._refs)}"
            )
        reel_artifact = self._workspace.get(refs.reel_uri)
        tracks_artifact = self._workspace.get(refs.tracks_uri)
        reel = load(Reel, reel_artifact.path("reel.json").read_bytes())
        return CameraSource(
            name,
            refs.clock,
            ReelReader(reel, reel_artifact.path, self._threads),
            tracks_artifact,
            read_tracks(
                tracks_artifact.path(TRACKS_FILE), track_ids={t.number for t in self.wanted if t.camera == name}
            ),
            artifact_embeddings(tracks_artifact),
        )


def _rate(reel: Reel) -> float:
    missing = (part.span.intersection(gap) for part in reel.parts for gap in reel.gaps)
    missing_ns = sum(gap.duration_ns for gap in missing if gap is not None)
    footage_ns = sum(part.span.duration_ns for part in reel.parts) - missing_ns
    return sum(part.frame_count for part in reel.parts) * NS_PER_SECOND / max(1, footage_ns)
