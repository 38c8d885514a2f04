"""Detections of a reel, piece by piece: each piece is a chunk, or part of a long one, and an artifact of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from throughline.domain.footage import Reel, ReelChunk
from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND, Instant, Interval, seconds_to_ns
from throughline.media.chosen import ChosenFrames
from throughline.media.reader import ReelReader
from throughline.perception.detect import detect, person_class
from throughline.perception.triton.card import ModelCard
from throughline.perception.triton.client import DETECTOR, InferenceClient
from throughline.storage import documents
from throughline.storage.detections import DetectionWriter, FrameDetections, read_detections
from throughline.storage.workspace import Workspace, artifact_key
from throughline.tracker.progress import FrameProgress
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.watch import Watch

STAGE_REVISION = 5
"""Raise it when the same frames would give other detections."""
REPORT_FILE = "piece.json"
_NEIGHBOURS = 1.5
"""How far apart, in frames of the rate, two wanted frames are at most if no other lies between."""
_LONGEST_NAME = 120
"""Bytes; file systems take 255."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A span of a chunk, in camera time."""

    chunk: ReelChunk
    span: Interval

    @property
    def file_name(self) -> str:
        """The chunk's name as a file name: <chunk>.parquet."""
        plain = re.sub(r"[^\w.-]+", "_", self.chunk.name).strip("._")
        shortened = plain.encode()[-_LONGEST_NAME:].decode(errors="ignore")
        return f"{shortened or 'chunk'}.parquet"


@dataclass(frozen=True, slots=True)
class PieceReport:
    """The content of piece.json: what was found in a piece. `damaged_packets`: packets that did not decode; their frames are missing.
    `skipped`: spans in which the detector looked only now and then, with the number of frames that it did not look at."""

    camera: str
    chunk: str
    span: Interval
    rate: float
    detector_digest: str
    frame_count: int
    box_count: int
    damaged_packets: int
    skipped_frames: int
    skipped: tuple[Interval, ...]


class Skipped:
    """What the pieces of a reel skipped, in all."""

    def __init__(self) -> None:
        self.frames = 0
        self.spans: list[Interval] = []

    def add(self, report: PieceReport) -> None:
        """Count the next piece. If it began with a look and the one before ended with one, what they skipped there is one span."""
        self.frames += report.skipped_frames
        spans = list(report.skipped)
        if spans and self.spans and spans[0].start - self.spans[-1].end <= _NEIGHBOURS * NS_PER_SECOND / report.rate:
            spans[0] = Interval(self.spans.pop().start, spans[0].end)
        self.spans += spans


def cut_into_pieces(reel: Reel, window: Interval | None, piece_seconds: float) -> list[Piece]:
    """What of the reel touches `window` (camera time, default all), in order. Long chunks are cut at multiples of
    `piece_seconds` since 1970, so that the cuts do not depend on the window."""
    length_ns = seconds_to_ns(piece_seconds)
    pieces = [
        Piece(chunk, span)
        for chunk in reel.chunks
        if chunk.span is not None
        for span in _cut(chunk.span, length_ns)
        if window is None or span.overlaps(window)
    ]
    return sorted(pieces, key=lambda piece: piece.span)


def _cut(span: Interval, length_ns: int) -> Iterator[Interval]:
    if span.duration_ns <= length_ns:
        yield span
        return
    start = span.start
    while start < span.end:
        end = min(Instant((start.ns // length_ns + 1) * length_ns), span.end)
        yield Interval(start, end)
        start = end


class PieceDetector:
    """Detections of the pieces of one reel: those that the workspace has, or new ones. reports: of the pieces so far."""

    def __init__(
        self, workspace: Workspace, client: InferenceClient, reader: ReelReader, rate: float, settings: TrackerSettings
    ) -> None:
        self.reports: list[PieceReport] = []
        self._workspace = workspace
        self._client = client
        self._reader = reader
        self._rate = rate
        self._settings = settings

    def frames(self, piece: Piece, progress: FrameProgress) -> Iterator[tuple[Size, FrameDetections]]:
        """What was found in the frames of a piece, in order, with their size; with crops where they were decoded just now. New ones
        are published once all were taken, and kept from nobody who takes fewer."""
        detector = self._client.model(DETECTOR)
        folder = f"detections/{self._key(piece, detector)}"
        with self._workspace.claim(folder, progress.wait) as ready:
            if ready is None:
                with self._workspace.create(folder) as place:
                    yield from self._detected(piece, detector, place, progress)
        artifact = ready or self._workspace.get(folder)
        if ready is not None:
            size, frames = read_detections(artifact.path(piece.file_name))
            yield from ((size, found) for found in frames)
        self.reports.append(documents.load(PieceReport, artifact.path(REPORT_FILE).read_bytes()))
        progress.finish_piece(piece, self.reports[-1].frame_count + self.reports[-1].skipped_frames)

    def _key(self, piece: Piece, detector: ModelCard) -> str:
        chunk = piece.chunk
        return artifact_key(
            stage="detections",
            revision=STAGE_REVISION,
            camera=self._reader.reel.camera,
            chunk=[chunk.name, chunk.sha256 or chunk.etag, chunk.frame_count, chunk.undecodable_frames],
            chunk_start="" if chunk.span is None else str(chunk.span.start),
            span=[str(piece.span.start), str(piece.span.end)],
            rate=self._rate,
            detector=detector.digest,
            gate=None if self._settings.gate is None else asdict(self._settings.gate),
        )

    def _detected(
        self, piece: Piece, detector: ModelCard, place: Path, progress: FrameProgress
    ) -> Iterator[tuple[Size, FrameDetections]]:
        size = self._reader.reel.parts[piece.chunk.part or 0].size
        looking = partial(detect, client=self._client, limit=self._settings.frames_in_flight, check=progress.wait)
        watch = None
        if self._settings.gate is not None:
            coded = self._reader.coded_frames(piece.span, self._rate)
            chosen = ChosenFrames(self._reader, coded, self._rate)
            watch = Watch(chosen, coded, self._settings.gate, person_class(detector), looking)
        frames = looking(self._reader.frames(piece.span, self._rate)) if watch is None else watch.frames()
        with DetectionWriter(place / piece.file_name, size) as writer:
            for found in frames:
                writer.write_frame(found)
                progress.add_frame()
                yield size, found
        self._client.check_served(detector)
        report = PieceReport(
            camera=self._reader.reel.camera,
            chunk=piece.chunk.name,
            span=piece.span,
            rate=self._rate,
            detector_digest=detector.digest,
            frame_count=writer.frames,
            box_count=writer.boxes,
            damaged_packets=sum(time in piece.span for time in self._reader.damaged),
            skipped_frames=watch.skipped_frames if watch else 0,
            skipped=tuple(watch.skipped) if watch else (),
        )
        (place / REPORT_FILE).write_bytes(documents.dump(report))
