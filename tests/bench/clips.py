"""Clips of pairs against separate ffmpeg commands that decode both halves, put them side by side, draw boxes and encode.

The limit: a job's clips take one decode, one scaling and one encode a pair, and the query's half once in all; a command takes two
decodes, two scalings and the same encode. How much of the cost is decoding decides what that gives: about 0.5 here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from tests.bench.measure import Measure
from throughline.domain.footage import Reel, ReelPart
from throughline.domain.geometry import Size
from throughline.domain.pairs import TrackId
from throughline.domain.time import NS_PER_SECOND, ClockMap, Instant, Interval
from throughline.domain.tracks import TrackEmbeddings, TrackTable
from throughline.domain.work import Incident, Work
from throughline.media.encode import Encoder, EncoderSettings
from throughline.media.planes import Planes
from throughline.renderer.layout import GUTTER, with_caption
from throughline.renderer.pairs import CLIP, Pair, PairsOrder, RenderedPair, render_pairs
from throughline.renderer.settings import ClipSettings
from throughline.renderer.sources import CameraRefs
from throughline.storage.documents import dump
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.tables import write_embeddings, write_tracks
from throughline.storage.workspace import Artifact, Workspace

PAIRS, CLIP_SECONDS, REEL_SECONDS, RATE = 20, 10, 30, 30
SIZE = Size(1920, 1080)
_EPOCH = Instant.parse("2026-03-01T10:00:00Z")
_FOOTAGE = EncoderSettings(preset="veryfast", crf=23, gop_seconds=2)
"""About 4 Mbit/s of these pictures, as a shop's camera sends."""
_STARTS = tuple((REEL_SECONDS - CLIP_SECONDS) * index / PAIRS for index in range(PAIRS))
"""Where the candidates' tracks begin, in seconds of the reel: keyframes and all between them."""


def run() -> list[Measure]:
    """CPU seconds of all clips of a job, and of as many commands."""
    settings = ClipSettings()
    command = shutil.which("ffmpeg")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace, cameras = _footage(folder)
        order = PairsOrder("bench", (_track(cameras[0], 1),), cameras, _pairs(cameras[1]))
        apart = None if command is None else _Commands(command, workspace, cameras, settings, folder)
        half = PAIRS // 2
        theirs = apart.cpu_seconds(range(half)) if apart else 0.0
        ours = _cpu_seconds(lambda: _render(workspace, order, settings))[0]
        theirs += apart.cpu_seconds(range(half, PAIRS)) if apart else 0.0
        clip = workspace.get(f"jobs/bench/pairs/{order.pairs[0].pair_id}").path(CLIP)
        encoding, _ = _cpu_seconds(lambda: _encode_again(clip, folder / "again.mp4", settings))
        measures = [
            Measure("clips, CPU seconds of a pair", ours / PAIRS, "s"),
            Measure("clips, of them decoding and encoding the clip itself", encoding, "s"),
            Measure("clips, frames of a clip", _frames(clip), "frames", 0.99 * CLIP_SECONDS * RATE, "higher"),
        ]
        if apart is None:
            print("clips: the comparison with ffmpeg is skipped; there is no such command here")
            return measures
        return [
            *measures,
            Measure("clips, CPU seconds of an ffmpeg command", theirs / PAIRS, "s"),
            Measure("clips, of as many ffmpeg commands", ours / theirs, "ratio", 0.60),
        ]


def _cpu_seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Of this process, and of children that have ended, while `work` goes on."""
    before = os.times()
    work()
    after = os.times()
    spent = [one - other for one, other in zip(after[:4], before[:4], strict=True)]
    return sum(spent[:2]), sum(spent[2:])


@dataclass(frozen=True)
class _Commands:
    """The same clips by ffmpeg: spans, sizes, rate and encoder of ours, as many at once; scaled as ffmpeg does unless told otherwise."""

    command: str
    workspace: Workspace
    cameras: Sequence[CameraRefs]
    settings: ClipSettings
    folder: Path

    def cpu_seconds(self, pairs: Iterable[int]) -> float:
        """What it takes to make some of the clips."""
        with ThreadPoolExecutor(self.settings.workers) as pool:
            return _cpu_seconds(lambda: list(pool.map(self._make, pairs)))[1]

    def _make(self, pair: int) -> None:
        inputs = [
            argument
            for camera, begin in zip(self.cameras, (CLIP_SECONDS, _STARTS[pair]), strict=True)
            for argument in ("-threads", "1", "-ss", f"{begin:.3f}", "-t", str(CLIP_SECONDS), "-i", self._file(camera))
        ]
        encoder = self.settings.encoder
        output = ["-c:v", encoder.codec, "-preset", encoder.preset, "-crf", str(encoder.crf), "-bf", "0"]
        output += ["-g", str(round(encoder.gop_seconds * RATE)), "-threads", str(encoder.threads)]
        output += ["-movflags", "+faststart", "-y", str(self.folder / f"apart-{pair}.mp4")]
        graphs = ["-filter_complex_threads", "1", "-filter_complex", self._graph()]
        subprocess.run([self.command, "-v", "error", "-nostdin", *inputs, *graphs, *output], check=True)

    def _file(self, camera: CameraRefs) -> str:
        return str(self.workspace.get(camera.reel_uri).path("part-000.mp4"))

    def _graph(self) -> str:
        picture = Size(self.settings.half_width, self.settings.half_height)
        half = with_caption(picture)
        drawn = f"scale={picture.width}:{picture.height},drawbox=x=200:y=100:w=80:h=200:t=2:c=orange"
        left = f"[0:v]{drawn},pad={half.width + GUTTER}:{half.height}:0:0[left]"
        return f"{left};[1:v]{drawn},pad=iw:{half.height}:0:0[right];[left][right]hstack"


def _render(workspace: Workspace, order: PairsOrder, settings: ClipSettings) -> None:
    events: list[RenderedPair | Incident] = []
    render_pairs(workspace, order, settings, events.append, Work())
    problems = [event.message for event in events if isinstance(event, Incident)]
    if problems:
        raise RuntimeError("; ".join(problems))


def _frames(clip: Path) -> int:
    with av.open(str(clip)) as container:
        return container.streams.video[0].frames


def _encode_again(clip: Path, again: Path, settings: ClipSettings) -> None:
    """Decode a finished clip and encode its pictures once more."""
    with av.open(str(clip)) as container:
        size = Size(container.streams.video[0].width, container.streams.video[0].height)
        with Encoder(again, size, settings.encoder) as encoder:
            for index, frame in enumerate(container.decode(video=0)):
                encoder.write(Planes.of_frame(frame, size), _time_ns(index))


def _pairs(camera: CameraRefs) -> tuple[Pair, ...]:
    return tuple(Pair(f"pair-{index}", _track(camera, index + 1)) for index in range(PAIRS))


def _track(camera: CameraRefs, number: int) -> TrackId:
    return TrackId(camera.camera, camera.tracks_uri.rstrip("/").rpartition("/")[2], number)


def _footage(folder: Path) -> tuple[Workspace, tuple[CameraRefs, ...]]:
    """Two cameras: the query's, with one track, and the candidates'."""
    workspace = Workspace(file_uri(folder), open_objects(ObjectSettings(allowed_roots=(folder,))), folder / "cache")
    seen = {"query": (float(CLIP_SECONDS),), "candidates": _STARTS}
    return workspace, tuple(
        CameraRefs(name, _reel(workspace, name, seed).uri, _tracks(workspace, name, starts).uri, ClockMap())
        for seed, (name, starts) in enumerate(seen.items())
    )


def _reel(workspace: Workspace, name: str, seed: int) -> Artifact:
    """A grainy wall of shelves, before which somebody walks to and fro."""
    random = np.random.default_rng(seed)
    wall = np.kron(random.integers(60, 190, (27, 48)), np.ones((40, 40)))
    grains = [random.normal(0, 3.6, wall.shape) for _ in range(6)]
    walls = [np.clip(wall + grain, 16, 235).astype(np.uint8) for grain in grains]
    person = random.integers(30, 220, (480, 160), np.uint8)
    canvas = Planes.black(SIZE)
    frames = REEL_SECONDS * RATE
    with workspace.create(f"reels/{name}") as made:
        with Encoder(made / "part-000.mp4", SIZE, _FOOTAGE) as encoder:
            for frame in range(frames):
                canvas.y[:] = walls[random.integers(len(walls))]
                left = _left(frame)
                canvas.y[400:880, left : left + 160] = person
                encoder.write(canvas, _time_ns(frame))
            encoder.close(_time_ns(frames))
        span = Interval(_EPOCH, _EPOCH + _time_ns(frames))
        part = ReelPart("part-000.mp4", _EPOCH, span, "h264", SIZE, 0, frames)
        (made / "reel.json").write_bytes(dump(Reel(name, (part,), (), ())))
    return workspace.get(f"reels/{name}")


def _tracks(workspace: Workspace, name: str, starts: Sequence[float]) -> Artifact:
    """A track of CLIP_SECONDS for every start, with a box in every third frame."""
    firsts = [round(start * RATE) for start in starts]
    steps = [*range(0, CLIP_SECONDS * RATE - 1, 3), CLIP_SECONDS * RATE - 1]
    rows = [(number, first + step) for number, first in enumerate(firsts, 1) for step in steps]
    ids = np.array([number for number, _ in rows], np.int64)
    times = np.array([(_EPOCH + _time_ns(frame)).ns for _, frame in rows], np.int64)
    boxes = np.array([(_left(frame), 400, _left(frame) + 160, 880) for _, frame in rows], np.float32)
    with workspace.create(f"tracks/{name}") as made:
        write_tracks(made / "tracks.parquet", TrackTable(ids, times, boxes, np.ones(len(rows), np.float32)))
        none = np.empty(0, np.int64)
        vectors, qualities = np.empty((0, 4), np.float32), np.empty(0, np.float32)
        write_embeddings(made, TrackEmbeddings(vectors, none, none, qualities, np.empty(0, bool), ()))
    return workspace.get(f"tracks/{name}")


def _left(frame: int) -> int:
    """Left edge of whoever walks, in pixels: across and back within 12 s."""
    return round(880 + 800 * float(np.sin(2 * np.pi * frame / (12 * RATE))))


def _time_ns(frame: int) -> int:
    return frame * NS_PER_SECOND // RATE
