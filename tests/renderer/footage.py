"""Footage that tells what it is: every frame carries its camera's and its own number as a row of black and white blocks."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from throughline.domain.footage import Reel, ReelPart
from throughline.domain.geometry import Size
from throughline.domain.pairs import TrackId
from throughline.domain.time import MEDIA_RATE, NS_PER_SECOND, ClockMap, Instant, Interval, ns_to_ticks
from throughline.domain.tracks import TrackEmbeddings, TrackTable
from throughline.media.encode import Encoder, EncoderSettings
from throughline.renderer.layout import Rectangle
from throughline.renderer.sources import CameraRefs
from throughline.storage.detections import PEOPLE_FILE, DetectionWriter, FrameDetections
from throughline.storage.documents import dump
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.tables import write_embeddings, write_tracks
from throughline.storage.workspace import Workspace

EPOCH = Instant.parse("2026-03-01T10:00:00Z")
FRAME_NS = NS_PER_SECOND // 20
"""Reels of 20 frames/s: a frame is a whole number of ticks and of nanoseconds."""
PICTURE = Size(320, 180)
EXACT = ClockMap()
BITS = 16
GREY = 110

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Seen:
    """A track: its first and last frame, an analysed frame every `step`; the person walks to the right. `best`: frame of its
    best crop; None where no crop was kept."""

    number: int
    first: int
    last: int
    step: int = 2
    best: int | None = None
    poor: int | None = None
    """Frame of a poor crop that is sharper than the best one, and shows somebody who stands before the person."""
    offset: tuple[float, float] = (0.0, 0.0)
    """How far from the others' way this one walks, in pixels."""


@dataclass(frozen=True)
class Camera:
    """A camera to be: its frames' times by number, counted in frames since EPOCH by its own clock, and who it sees."""

    name: str
    number: int
    tracks: Sequence[Seen]
    frames: Sequence[int] = tuple(range(120))
    size: Size = PICTURE
    clock: ClockMap = EXACT
    shift_ns: int = 0
    loose: Sequence[tuple[int, tuple[float, float, float, float]]] = ()
    """Detections that belong to no track: frame, and box."""
    searched: Container[int] = range(2**31)
    """Frames among which the detector looked."""
    x264: Mapping[str, str] | None = None
    """Options of x264, a GOP of a second; None for those of films, which has no B-frames."""
    hevc: bool = False
    rotation_degrees: int = 0
    """How the pictures lie in the video, which `size` knows nothing of; clockwise by as much they stand upright."""
    parts: Sequence[int] = ()
    """Frames, by their place in `frames`, with which another part of the reel begins."""
    part_sizes: Sequence[Size] = ()
    """Of each part; none where all are of `size`."""
    longest_pause_ns: int = FRAME_NS
    """Between two frames; more is a gap."""


def camera_time(frame: int, shift_ns: int = 0) -> Instant:
    return EPOCH + frame * FRAME_NS + shift_ns


def numbered(size: Size, camera: int, frame: int) -> Image:
    """A grey picture with a disc (to see deformation) and the two numbers across its top quarter."""
    image = np.full((size.height, size.width, 3), GREY, np.uint8)
    y, x = np.mgrid[: size.height, : size.width]
    image[(x - size.width / 2) ** 2 + (y - size.height * 0.6) ** 2 < (size.height * 0.25) ** 2] = (60, 150, 60)
    for bit in range(BITS):
        left, right = size.width * bit // BITS, size.width * (bit + 1) // BITS
        image[: size.height // 4, left:right] = 235 if (camera << 10 | frame) >> bit & 1 else 16
    return image


def number_in(picture: Image) -> tuple[int, int]:
    """Camera and frame number of a decoded picture of any size."""
    height, width = picture.shape[:2]
    centres = [round(width * (bit + 0.5) / BITS) for bit in range(BITS)]
    value = sum(1 << bit for bit, x in enumerate(centres) if picture[height // 8, x].mean() > 125)
    return value >> 10, value & 1023


def box_at(frame: int) -> tuple[float, float, float, float]:
    """Where the person of every track stands, in a picture of 320x180."""
    return 40 + frame, 80.0, 70 + frame, 160.0


def box_of(seen: Seen, frame: int) -> tuple[float, float, float, float]:
    """Where the person of one track stands."""
    left, top, right, bottom = box_at(frame)
    return left + seen.offset[0], top + seen.offset[1], right + seen.offset[0], bottom + seen.offset[1]


def build(root: Path, cameras: Sequence[Camera]) -> tuple[Workspace, tuple[CameraRefs, ...]]:
    """A workspace with a reel and tracks for each camera."""
    workspace = Workspace(file_uri(root), open_objects(ObjectSettings(allowed_roots=(root,))), root / "cache")
    return workspace, tuple(_build_camera(workspace, camera) for camera in cameras)


def track_id(refs: CameraRefs, number: int) -> TrackId:
    return TrackId(refs.camera, refs.tracks_uri.rstrip("/").rpartition("/")[2], number)


def _build_camera(workspace: Workspace, camera: Camera) -> CameraRefs:
    times = [camera_time(frame, camera.shift_ns) for frame in camera.frames]
    key = f"{camera.number:032x}"
    with workspace.create(f"reels/{key}") as folder:
        parts = []
        for index, (first, until) in enumerate(pairwise([0, *camera.parts, len(times)])):
            frames, span = camera.frames[first:until], Interval(times[first], times[until - 1] + FRAME_NS)
            size = camera.part_sizes[index] if camera.part_sizes else camera.size
            _record(folder / f"part-{index:03d}.mp4", replace(camera, size=size), frames)
            name, codec = f"part-{index:03d}.mp4", "hevc" if camera.hevc else "h264"
            parts.append(ReelPart(name, span.start, span, codec, size, camera.rotation_degrees, len(frames)))
        gaps = tuple(
            Interval(one + FRAME_NS, two) for one, two in pairwise(times) if two - one > camera.longest_pause_ns
        )
        (folder / "reel.json").write_bytes(dump(Reel(camera.name, tuple(parts), (), gaps)))
    with workspace.create(f"tracks/{key}") as folder:
        write_tracks(folder / "tracks.parquet", _table(camera))
        write_embeddings(folder, _embeddings(camera))
        _write_people(folder / PEOPLE_FILE, camera)
    reel, tracks = workspace.get(f"reels/{key}"), workspace.get(f"tracks/{key}")
    return CameraRefs(camera.name, reel.uri, tracks.uri, camera.clock)


def _record(path: Path, camera: Camera, frames: Sequence[int]) -> None:
    """One part of a reel: its first frame at 0."""
    turns = camera.rotation_degrees // 90
    size = Size(camera.size.height, camera.size.width) if turns % 2 else camera.size
    pictures = [
        (np.rot90(numbered(camera.size, camera.number, frame), turns).copy(), (frame - frames[0]) * FRAME_NS)
        for frame in frames
    ]
    if camera.x264 is None and not camera.hevc:
        with Encoder(path, size, EncoderSettings(crf=8, gop_seconds=1)) as encoder:
            for picture, at_ns in pictures:
                encoder.write(picture, at_ns)
            encoder.close(pictures[-1][1] + FRAME_NS)
        return
    options = {"video_track_timescale": str(MEDIA_RATE)}
    with av.open(str(path), "w", options=options) as container:
        settings = {"preset": "veryfast", "crf": "8", "g": "20", "keyint_min": "20", **(camera.x264 or {})}
        if camera.hevc:
            settings["x265-params"] = "keyint=20:min-keyint=20:log-level=none"
        stream = container.add_stream("libx265" if camera.hevc else "libx264", rate=20, options=settings)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, MEDIA_RATE)
        for picture, at_ns in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = ns_to_ticks(at_ns, Fraction(1, MEDIA_RATE)), Fraction(1, MEDIA_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _table(camera: Camera) -> TrackTable:
    rows = [
        (seen.number, camera_time(frame, camera.shift_ns).ns, box_of(seen, frame))
        for seen in camera.tracks
        for frame in sorted({*range(seen.first, seen.last + 1, seen.step), seen.last} & set(camera.frames))
    ]
    ids, times_ns, boxes = zip(*rows, strict=True)
    scores = np.ones(len(rows), np.float32)
    return TrackTable(np.array(ids, np.int64), np.array(times_ns, np.int64), np.array(boxes, np.float32), scores)


def _write_people(path: Path, camera: Camera) -> None:
    """What the detector saw: the boxes of all tracks, and those of `loose`; it looked at every second frame."""
    table = _table(camera)
    with DetectionWriter(path, camera.size) as writer:
        for frame in sorted(
            {*camera.frames[::2], *(frame for seen in camera.tracks for frame in (seen.first, seen.last))}
        ):
            if frame not in camera.searched:
                continue
            time_ns = camera_time(frame, camera.shift_ns).ns
            tracked = table.boxes[table.times_ns == time_ns]
            boxes = np.array([*tracked, *(box for when, box in camera.loose if when == frame)], np.float32).reshape(
                -1, 4
            )
            writer.write_frame(
                FrameDetections(time_ns, boxes, np.ones(len(boxes), np.float32), np.zeros(len(boxes), np.int32))
            )


def _embeddings(camera: Camera) -> TrackEmbeddings:
    """The best crop of each track that has one, a worse one of its first frame, and its poor one."""
    rows = [
        (seen.number, camera_time(frame, camera.shift_ns).ns, quality, is_clear)
        for seen in camera.tracks
        if seen.best is not None
        for frame, quality, is_clear in ((seen.first, 0.4, True), (seen.best, 0.9, True), (seen.poor, 1.0, False))
        if frame is not None
    ]
    ids, times_ns, qualities, clear = (np.array([row[column] for row in rows]) for column in range(4))
    vectors = np.tile(np.array([1, 0, 0, 0], np.float32), (len(rows), 1))
    crops = tuple(f"crops/{index}.jpg" for index in range(len(rows)))
    return TrackEmbeddings(
        vectors,
        ids.astype(np.int64),
        times_ns.astype(np.int64),
        qualities.astype(np.float32),
        clear.astype(bool),
        crops,
    )


@dataclass(frozen=True)
class FilmFrame:
    """A decoded frame of a film: when it begins, and its picture."""

    time_ns: int
    image: Image

    def numbers(self, place: Rectangle) -> tuple[int, int]:
        return number_in(self.image[place.slices])


def play(path: Path) -> Iterator[FilmFrame]:
    """Every frame of a film, in order."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            time_ns = round(frame.pts * frame.time_base * NS_PER_SECOND)
            yield FilmFrame(time_ns, frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False))


def shown_at(frames: Sequence[FilmFrame], time_ns: int) -> FilmFrame:
    """What a player shows at a moment."""
    return max((frame for frame in frames if frame.time_ns <= time_ns), key=lambda frame: frame.time_ns)
