"""From a video to its tracks, by the stages that jobs use, and a copy of it with boxes and ids drawn."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from throughline.domain.errors import InvalidInput, NoUsableFootage
from throughline.domain.footage import ChunkObject, Listing, Reel
from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.domain.tracks import Track
from throughline.domain.work import Work
from throughline.ingest.collate import CollateRequest, Collator
from throughline.ingest.settings import CollateSettings
from throughline.media.encode import Encoder
from throughline.media.reader import ReelReader
from throughline.perception.detect import PERSON
from throughline.perception.triton.client import InferenceClient
from throughline.renderer.draw import INK, PAPER, Colour, Image, Lettering, draw_box, line_width
from throughline.storage.objects import file_uri, open_objects
from throughline.storage.tables import TRACKS_FILE, read_tracks
from throughline.storage.workspace import Workspace
from throughline.tracker.artifacts import TrackSummary
from throughline.tracker.identities.layout import ANALYSIS_FILE, SUMMARY_FILE, printable
from throughline.tracker.identities.layout import TRACKS_FILE as TRACKS_CSV
from throughline.tracker.identities.publish import claimed, published
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import EVERYWHERE, TrackStage
from throughline.wire.settings import ServiceSettings

_COLUMNS = ("frame", "time_ns", "track_id", "class", "score", "left", "top", "right", "bottom")
_BRIDGED_NS = 2 * NS_PER_SECOND
_COLOURS: tuple[Colour, ...] = (
    (86, 180, 233),
    (240, 165, 20),
    (0, 190, 140),
    (235, 140, 195),
    (240, 228, 66),
    (235, 110, 30),
    (120, 160, 255),
    (170, 220, 90),
)


@dataclass(frozen=True, slots=True)
class Analysis:
    """What to analyse: `rate` in frames/s; `start` of the first frame, where the file does not say it right."""

    video: Path
    out: Path
    camera: str
    rate: float
    start: Instant | None


def check_places(asked: Analysis) -> None:
    """Raise InvalidInput where the outputs would replace the video, or cannot be put where they were asked for."""
    for path in (asked.video, asked.out):
        if printable(path) != str(path):
            raise InvalidInput(f"the path {printable(path)} is no text in UTF-8; rename it, or give another --out")
    if printable(asked.camera) != asked.camera:
        raise InvalidInput(f"--camera: {printable(asked.camera)} is no text in UTF-8; give another name")
    if asked.out.exists() and not asked.out.is_dir():
        raise InvalidInput(f"{asked.out} is a file, and the outputs need a folder; give one as --out")
    for name in (ANALYSIS_FILE, TRACKS_CSV, SUMMARY_FILE):
        place = asked.out / name
        if place.exists() and place.samefile(asked.video):
            raise InvalidInput(f"{place} is the video itself and would be replaced; give another folder as --out")


def analyse(asked: Analysis, client: InferenceClient, work: Work) -> TrackSummary:
    """Write analysis.mp4, tracks.csv and summary.json, all or none. Raise NoUsableFootage where the file gives no video."""
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        settings = ServiceSettings(
            workspace_uri=file_uri(Path(folder, "workspace")),
            cache_dir=Path(folder, "cache"),
            allowed_roots=(Path(folder), asked.video.parent),
        )
        objects = open_objects(settings)
        workspace = Workspace(settings.workspace_uri, objects, settings.cache_dir)
        info = objects.head(file_uri(asked.video))
        chunk = ChunkObject(info.uri, asked.video.name, info.size_bytes, info.etag, info.last_modified)
        listing = Listing(file_uri(asked.video.parent), {asked.camera: (chunk,)})
        collated = Collator(objects, workspace, CollateSettings()).collate(CollateRequest(listing, asked.camera), work)
        if not collated.reel.parts:
            raise NoUsableFootage(f"{asked.video} gives no video: {collated.reel.chunks[0].problem}")
        tracked = TrackStage(workspace, client, TrackerSettings()).run(
            collated.artifact.uri, asked.camera, asked.rate, EVERYWHERE, work
        )
        tracks = read_tracks(tracked.artifact.path(TRACKS_FILE)).tracks()
        with (
            ReelReader(collated.reel, collated.artifact.path) as reader,
            claimed(asked.out, work.check),
            published(asked.out) as stage,
        ):
            times = np.array([time.ns for time in reader.frame_times()], np.int64)
            shift_ns = _shift_ns(asked, collated.reel)
            _write_tracks(stage / TRACKS_CSV, tracks, times, shift_ns)
            _draw(stage / ANALYSIS_FILE, reader, tracks, len(times), work)
            summary = _summary(asked, collated.reel, tracked.summary, tracks, shift_ns)
            (stage / SUMMARY_FILE).write_text(
                json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
            )
    return tracked.summary


def _shift_ns(asked: Analysis, reel: Reel) -> int:
    """What is added to the reel's times: so that they begin when they were said to, or at 0 where nobody knows when."""
    begins = reel.parts[0].span.start
    if asked.start is not None:
        return asked.start - begins
    return 0 if _is_timed(asked, reel) else -begins.ns


def _is_timed(asked: Analysis, reel: Reel) -> bool:
    time = reel.chunks[0].time
    return asked.start is not None or (time is not None and not time.is_guess)


def _write_tracks(path: Path, tracks: Sequence[Track], times_ns: NDArray[np.int64], shift_ns: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for track in tracks:
            frames = np.searchsorted(times_ns, track.times_ns).tolist()
            columns = (track.times_ns.tolist(), track.scores.tolist(), track.boxes.tolist())
            for frame, time, score, box in zip(frames, *columns, strict=True):
                edges = [f"{edge:.2f}" for edge in box]
                writer.writerow([frame, time + shift_ns, track.track_id, PERSON, f"{score:.4f}", *edges])


def _summary(
    asked: Analysis, reel: Reel, found: TrackSummary, tracks: Sequence[Track], shift_ns: int
) -> dict[str, object]:
    first, last = reel.parts[0], reel.parts[-1]
    frames = sum(part.frame_count for part in reel.parts)
    seconds = (last.span.end - first.span.start) / NS_PER_SECOND
    start = {"start": str(first.span.start + shift_ns)} if _is_timed(asked, reel) else {}
    return {
        "source": str(asked.video),
        "camera": asked.camera,
        **start,
        "fps": round(frames / seconds, 4),
        "width": first.size.width,
        "height": first.size.height,
        "frames": frames,
        "seconds": round(seconds, 3),
        "analysed_frames": found.frame_count,
        "analysis_rate": asked.rate,
        "class_names": [PERSON],
        "tracks": len(tracks),
        "tracks_by_class": {PERSON: len(tracks)},
        "boxes": found.box_count,
        "detector_digest": found.detector_digest,
        "reid_digest": found.reid_digest,
    }


def _draw(path: Path, reader: ReelReader, tracks: Sequence[Track], count: int, work: Work) -> None:
    """A copy of the video, every frame of it, with a box and an id for everyone."""
    source = reader.reel.parts[0].size
    size = Size(source.width - source.width % 2, source.height - source.height % 2)
    lettering, began = Lettering(), reader.reel.parts[0].span.start
    waiting = sorted(tracks, key=lambda track: int(track.times_ns[0]), reverse=True)
    there: list[Track] = []
    with Encoder(path, size) as encoder:
        for number, frame in enumerate(reader.frames(), 1):
            while waiting and waiting[-1].times_ns[0] <= frame.time.ns:
                there.append(waiting.pop())
            there = [track for track in there if track.times_ns[-1] >= frame.time.ns]
            picture = frame.rgb(size)
            for track_id, box in _boxes(there, frame.time):
                _label(lettering, picture, track_id, box)
            encoder.write(picture, frame.time - began)
            work.report(number, count, "frames drawn")


def _boxes(tracks: Sequence[Track], time: Instant) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for track in tracks:
        box = track.box_at(time, _BRIDGED_NS)
        if box is not None:
            yield track.track_id, box


def _label(lettering: Lettering, picture: Image, track_id: int, box: NDArray[np.float32]) -> None:
    """Draw one box, and its id on a chip at its upper left corner."""
    height, width = picture.shape[:2]
    colour = _COLOURS[track_id % len(_COLOURS)]
    draw_box(picture, box, colour)
    letters = max(11, line_width(Size(width, height)) * 7)
    text = str(track_id)
    wide, high = lettering.width(text, letters, 600) + letters // 2, round(letters * 1.3)
    left = min(max(0, round(float(box[0]))), max(0, width - wide))
    top = max(0, round(float(box[1])) - high)
    cv2.rectangle(picture, (left, top), (left + wide, top + high), colour, cv2.FILLED)
    ink = PAPER if sum(colour) > 300 else INK
    lettering.write(picture, text, (left + letters // 4, top + round(letters * 1.0)), letters, ink, bold=True)
