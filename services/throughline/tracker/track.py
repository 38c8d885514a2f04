"""The stage that finds everyone in one reel."""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from throughline.domain.errors import InvalidInput
from throughline.domain.geometry import Size
from throughline.domain.time import Instant, Interval
from throughline.domain.work import Incident, Work, shortened
from throughline.media.reader import ReelReader
from throughline.perception.associate import Association
from throughline.perception.detect import person_class
from throughline.perception.triton.client import DETECTOR, REID, InferenceClient
from throughline.storage import documents
from throughline.storage.detections import PEOPLE_FILE, DetectionWriter, FrameDetections
from throughline.storage.workspace import Artifact, Workspace, artifact_key
from throughline.tracker.artifacts import SUMMARY_FILE, TrackSummary, read_reel, read_summary
from throughline.tracker.gallery import Gallery
from throughline.tracker.lines import CSV_FILE, write_csv
from throughline.tracker.pieces import Piece, PieceDetector, Skipped, cut_into_pieces
from throughline.tracker.pins import pin_models
from throughline.tracker.progress import FrameProgress
from throughline.tracker.record import TrackRecorder, record_tracks
from throughline.tracker.refine import refine
from throughline.tracker.settings import TrackerSettings

STAGE_REVISION = 11
"""Raise it when the same detections would give other tracks or embeddings."""
MAX_RATE = 60.0
MOST_SPANS = 10_000
_SPAN_PIECE_SECONDS = 20.0
"""Where only spans are looked at, pieces are at most so long."""


@dataclass(frozen=True, slots=True)
class Where:
    """What of a reel is looked at, in camera time: `window`, default all, and of that only `spans`, if there are any."""

    window: Interval | None = None
    spans: tuple[Interval, ...] = ()

    def __post_init__(self) -> None:
        if len(self.spans) > MOST_SPANS:
            raise InvalidInput(f"{len(self.spans)} spans to track; at most {MOST_SPANS}")
        for one, other in pairwise(self.spans):
            if other.start <= one.end:
                raise InvalidInput(
                    f"span {other} to track follows {one}; give spans in order and apart from each other"
                )

    @property
    def key(self) -> dict[str, object]:
        """Its part of an artifact's key."""
        window = None if self.window is None else [str(self.window.start), str(self.window.end)]
        spans = [[str(span.start), str(span.end)] for span in self.spans]
        return {"window": window, **({"spans": spans} if spans else {})}

    def touches(self, span: Interval) -> bool:
        """Whether anything of a span within the window is looked at."""
        at = bisect_right(self.spans, span.start, key=lambda each: each.end)
        return not self.spans or (at < len(self.spans) and self.spans[at].overlaps(span))

    def holds(self, time: Instant) -> bool:
        """Whether a moment is."""
        if self.window is not None and time not in self.window:
            return False
        at = bisect_right(self.spans, time, key=lambda each: each.start) - 1
        return not self.spans or (at >= 0 and time in self.spans[at])


EVERYWHERE = Where()


@dataclass(frozen=True, slots=True)
class TrackedReel:
    """A tracks artifact, what it says of itself, and whether it was found ready."""

    artifact: Artifact
    summary: TrackSummary
    reused: bool


class TrackStage:
    """Makes tracks artifacts; safe to use from several threads, which share Triton's batches."""

    def __init__(self, workspace: Workspace, client: InferenceClient, settings: TrackerSettings) -> None:
        self._workspace = workspace
        self._client = client
        self._settings = settings

    def run(self, reel_uri: str, camera: str, rate: float, where: Where, work: Work, job_id: str = "") -> TrackedReel:
        """Find everyone in the reel at `reel_uri`, at `rate` frames/s, `where` it is asked for, with the models that the job is
        pinned to."""
        if not 0 < rate <= MAX_RATE:
            raise InvalidInput(f"analysis rate {rate:g} frames/s; give one over 0 and up to {MAX_RATE:g}")
        reel_artifact = self._workspace.get(reel_uri)
        reel = read_reel(reel_artifact)
        if reel.camera != camera:
            raise InvalidInput(f"reel {reel_uri} is of camera {reel.camera}, not {camera}; give this camera's reel")
        client = pin_models(self._workspace, self._client, job_id) if job_id else self._client
        detector, reid = client.model(DETECTOR), client.model(REID)
        folder = "tracks/" + artifact_key(
            stage="tracks",
            revision=STAGE_REVISION,
            reel=reel_artifact.key,
            rate=rate,
            **where.key,
            models=[detector.digest, reid.digest],
            calibration="" if reid.calibration is None else reid.calibration.digest,
            association=asdict(self._settings.association),
            joining=asdict(self._settings.joining),
            crops_per_track=self._settings.crops_per_track,
            gate=self._gate_key(where),
        )
        with self._workspace.claim(folder, lambda: work.report(0, 0, "frames")) as ready:
            if ready is not None:
                return TrackedReel(ready, read_summary(ready), True)
            with (
                self._workspace.create(folder) as place,
                ReelReader(reel, reel_artifact.path, self._settings.decoder_threads) as reader,
            ):
                run = _Run(self._workspace, client, self._settings, reader, rate, where)
                (place / SUMMARY_FILE).write_bytes(documents.dump(run.make(place, reel_artifact.key, work)))
                client.check_served(detector, reid)
        artifact = self._workspace.get(folder)
        return TrackedReel(artifact, read_summary(artifact), False)

    def _gate_key(self, where: Where) -> dict[str, object] | None:
        """What is skipped depends on the pieces too: each is judged by itself."""
        gate = self._settings.gate
        return None if gate is None else {**asdict(gate), "piece_seconds": _piece_seconds(self._settings, where)}


@dataclass
class _Run:
    """One making of a tracks artifact."""

    workspace: Workspace
    client: InferenceClient
    settings: TrackerSettings
    reader: ReelReader
    rate: float
    where: Where

    def make(self, place: Path, reel_key: str, work: Work) -> TrackSummary:
        detector, reid = self.client.model(DETECTOR), self.client.model(REID)
        incidents: list[Incident] = []
        skipped = Skipped()
        association = Association(self.rate, self.settings.association)
        raw = place / "raw"
        raw.mkdir()
        person = person_class(detector)
        size = next((part.size for part in self.reader.reel.parts), Size(0, 0))
        with Gallery(raw, self.client, self.settings.crops_in_flight, work) as gallery:
            with (
                TrackRecorder(raw, self.settings.crops_per_track, gallery.take) as recorder,
                DetectionWriter(place / PEOPLE_FILE, size) as people,
            ):
                frames = _noted(self._frames(work, incidents, skipped), person, people)
                frame_count = record_tracks(frames, person, association, recorder)
            gallery.fetch(self.reader, recorder.chosen())
            crop_count = gallery.finish()
        if gallery.undescribed:
            incidents.append(_undescribed(gallery, self.reader.reel.camera))
        refined = refine(raw, recorder.starts_ns, place, reid.calibration, association.camera, self.settings.joining)
        shutil.rmtree(raw)
        write_csv(place / CSV_FILE, refined.lines, refined.best_crops)
        return TrackSummary(
            camera=self.reader.reel.camera,
            reel_key=reel_key,
            rate=self.rate,
            window=self.where.window,
            spans=self.where.spans,
            detector_digest=detector.digest,
            reid_digest=reid.digest,
            frame_count=frame_count,
            box_count=recorder.box_count,
            track_count=len(refined.lines),
            crop_count=crop_count,
            incidents=tuple(shortened(incidents)),
            skipped_frames=skipped.frames,
            skipped=tuple(skipped.spans),
        )

    def _frames(
        self, work: Work, incidents: list[Incident], skipped: Skipped
    ) -> Iterator[tuple[Size, FrameDetections]]:
        """All frames that are asked for, in order, with the size of their pictures."""
        seconds = _piece_seconds(self.settings, self.where)
        pieces = [
            piece
            for piece in cut_into_pieces(self.reader.reel, self.where.window, seconds)
            if self.where.touches(piece.span)
        ]
        progress = FrameProgress(work, self.reader.reel, pieces, self.rate)
        detector = PieceDetector(self.workspace, self.client, self.reader, self.rate, self.settings)
        for piece in pieces:
            for size, found in detector.frames(piece, progress):
                if self.where.holds(Instant(found.time_ns)):
                    yield size, found
            report = detector.reports[-1]
            skipped.add(report)
            if report.damaged_packets:
                incidents.append(_damage(piece, report.damaged_packets, report.camera))


def _piece_seconds(settings: TrackerSettings, where: Where) -> float:
    return min(settings.piece_seconds, _SPAN_PIECE_SECONDS) if where.spans else settings.piece_seconds


def _noted(
    frames: Iterable[tuple[Size, FrameDetections]], person: int, people: DetectionWriter
) -> Iterator[tuple[Size, FrameDetections]]:
    """Pass frames on, their people written down: whoever becomes no track must be known where others are made unrecognisable."""
    for size, found in frames:
        rows = found.class_ids == person
        people.write_frame(FrameDetections(found.time_ns, found.boxes[rows], found.scores[rows], found.class_ids[rows]))
        yield size, found


def _undescribed(gallery: Gallery, camera: str) -> Incident:
    whole = gallery.count + gallery.undescribed
    message = f"the ReID model gives no usable vector for {gallery.undescribed} of {whole} crops of camera {camera}; they are left out"
    return Incident("crops_not_described", camera, message, camera)


def _damage(piece: Piece, packets: int, camera: str) -> Incident:
    return Incident(
        "chunk_damaged",
        piece.chunk.name,
        f"{packets} packets of {piece.chunk.name} between {piece.span.start} and {piece.span.end} did not decode; "
        "nobody is found in their frames",
        camera,
    )
