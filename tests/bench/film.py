"""CPU of a film of ten minutes in twelve spans, one minute of it split screen, against FFmpeg doing the same by encoding everything."""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from tests.bench.measure import Measure
from throughline.domain.footage import Reel, ReelPart
from throughline.domain.geometry import Size
from throughline.domain.pairs import TrackId
from throughline.domain.time import MEDIA_RATE, NS_PER_SECOND, ClockMap, Instant, Interval
from throughline.domain.tracks import TrackEmbeddings, TrackTable
from throughline.domain.work import Work
from throughline.renderer.documents import TimelineDocument
from throughline.renderer.layout import cells, tile
from throughline.renderer.settings import FilmSettings
from throughline.renderer.sources import CameraRefs
from throughline.renderer.timelines import DOCUMENT, FILM, TimelineOrder, render_timeline
from throughline.storage.documents import dump, load
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.tables import write_embeddings, write_tracks
from throughline.storage.workspace import Workspace

SIZE = Size(1920, 1080)
RATE, GOP_SECONDS, CLIP_SECONDS = 30, 2, 60
EPOCH = Instant.parse("2026-03-01T10:00:00Z")
FILM_SECONDS, SPLIT_SECONDS, SPANS = 600, 60, 12
TRACK_HZ = 10
_TICK = Fraction(1, MEDIA_RATE)


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end) of the day in tenths of a second, seen by one camera or by both."""

    start: int
    end: int
    cameras: tuple[str, ...]


def spans(film_seconds: int) -> list[Span]:
    """A walk between two cameras: both see the person in its second span, as long as a tenth of the film, and one in each other."""
    split = film_seconds * 10 * SPLIT_SECONDS // FILM_SECONDS
    alone = (film_seconds * 10 - split) // (SPANS - 1)
    edges, at = [], 3
    for index in range(SPANS):
        length = split if index == 1 else alone
        edges.append((at, at + length))
        at += length
    names = ["a", "ab", *("ba"[index % 2] for index in range(SPANS - 2))]
    return [Span(start, end, tuple(seen)) for (start, end), seen in zip(edges, names, strict=True)]


def run(film_seconds: int = FILM_SECONDS) -> list[Measure]:
    """Make the film, and have FFmpeg make it, and only what it has to decode and encode."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        footage = _footage(root, film_seconds)
        _store(root, footage, film_seconds)
        arguments = [sys.executable, "-m", "tests.bench.film", "--root", str(root), "--seconds", str(film_seconds)]
        ours = _cpu_seconds(arguments)
        document = load(TimelineDocument, next(root.glob(f"jobs/*/timelines/1/{DOCUMENT}")).read_bytes())
        made = [run for segment in document.segments for run in segment.runs]
        copied = sum(run.film_end_ns - run.film_start_ns for run in made if run.method == "copied")
        measures = [
            Measure("film: CPU", ours, "s"),
            Measure("film: copied share", copied / document.duration_ns, "", 0.8, "higher"),
        ]
        if shutil.which("ffmpeg") is None:
            print("no ffmpeg here: the film is not compared with its", file=sys.stderr)
            return measures
        whole = [(span.start / 10, span.end / 10, span.cameras) for span in spans(film_seconds)]
        everything = _cpu_seconds(_ffmpeg(footage, whole, root / "everything.mp4"))
        touched = _cpu_seconds(_ffmpeg(footage, list(_touched(film_seconds)), root / "touched.mp4"))
        return [
            *measures,
            Measure("film: CPU of FFmpeg encoding everything", everything, "s"),
            Measure("film: CPU of FFmpeg on the GOPs that are touched", touched, "s"),
            Measure("film: CPU to that of encoding everything", ours / everything, "ratio", 0.25),
            Measure("film: CPU to that of the GOPs that are touched", ours / touched, "ratio", 1.3),
        ]


def _touched(film_seconds: int) -> Iterator[tuple[float, float, tuple[str, ...]]]:
    """The groups of pictures that an edge lies in, and all of the split screen."""
    for span in spans(film_seconds):
        if len(span.cameras) > 1:
            yield span.start / 10, span.end / 10, span.cameras
            continue
        for edge in (span.start, span.end):
            start = edge // (10 * GOP_SECONDS) * GOP_SECONDS
            if edge % (10 * GOP_SECONDS):
                yield start, start + GOP_SECONDS, span.cameras


def _cpu_seconds(command: Sequence[str]) -> float:
    """CPU of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _ffmpeg(footage: Path, wanted: Sequence[tuple[float, float, tuple[str, ...]]], film: Path) -> list[str]:
    """One command that cuts, scales, sets side by side, joins and encodes, at the film's own preset and quality."""
    encoder = FilmSettings().encoder
    inputs: list[str] = []
    filters: list[str] = []
    count = 0
    for index, (start, end, cameras) in enumerate(wanted):
        for _ in cameras:
            inputs += ["-ss", f"{start:.1f}", "-t", f"{end - start:.1f}", "-i", str(footage)]
        if len(cameras) == 1:
            filters.append(f"[{count}:v]setsar=1[s{index}]")
        else:
            place, other = (tile(cell, SIZE, captioned=False).picture for cell in cells(SIZE, 2))
            scaled = f"scale={place.width}:{place.height}:flags=area"
            filters.append(
                f"[{count}:v]{scaled},pad={other.left}:{SIZE.height}:0:{place.top}[l{index}];"
                f"[{count + 1}:v]{scaled},pad={SIZE.width - other.left}:{SIZE.height}:0:{other.top}[r{index}];"
                f"[l{index}][r{index}]hstack,setsar=1[s{index}]"
            )
        count += len(cameras)
    joined = "".join(f"[s{index}]" for index in range(len(wanted)))
    filters.append(f"{joined}concat=n={len(wanted)}:v=1:a=0[film]")
    command = ["ffmpeg", "-v", "error", "-y", *inputs, "-filter_complex", ";".join(filters), "-map", "[film]"]
    command += ["-c:v", encoder.codec, "-preset", encoder.preset, "-crf", str(encoder.crf)]
    return [*command, "-g", str(RATE * GOP_SECONDS), "-bf", "0", "-movflags", "+faststart", str(film)]


def _footage(root: Path, film_seconds: int) -> Path:
    """A camera's day: a minute is recorded, and its packets come again and again."""
    clip, day = root / "clip.mp4", root / "day.mp4"
    options = {"preset": "ultrafast", "crf": "26", "x264-params": f"keyint={RATE * GOP_SECONDS}:scenecut=0:bframes=0"}
    noise = np.random.default_rng(5)
    ground = cv2.resize(noise.integers(60, 190, (68, 120, 3), np.uint8), (SIZE.width, SIZE.height))
    with av.open(str(clip), "w", options={"video_track_timescale": str(MEDIA_RATE)}) as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = SIZE.width, SIZE.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = _TICK
        for index in range(CLIP_SECONDS * RATE):
            picture = ground.astype(np.uint8)
            for walker in range(4):
                left = (index * (2 + walker) + 400 * walker) % (SIZE.width - 120)
                picture[300 + 90 * walker :, left : left + 110][:330] = 40 + 50 * walker
            frame = av.VideoFrame.from_ndarray(np.asarray(picture, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index * MEDIA_RATE // RATE, _TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with (
        av.open(str(clip)) as source,
        av.open(str(day), "w", options={"video_track_timescale": str(MEDIA_RATE)}) as out,
    ):
        template = source.streams.video[0]
        target = out.add_stream_from_template(template)
        for minute in range(film_seconds // CLIP_SECONDS + 1):
            source.seek(0)
            for packet in source.demux(template):
                if packet.pts is not None and packet.dts is not None:
                    packet.pts += minute * CLIP_SECONDS * MEDIA_RATE
                    packet.dts += minute * CLIP_SECONDS * MEDIA_RATE
                    packet.stream = target
                    out.mux(packet)
    return day


def _workspace(root: Path) -> Workspace:
    return Workspace(file_uri(root), open_objects(ObjectSettings(allowed_roots=(root,))), root / "cache")


def _store(root: Path, footage: Path, film_seconds: int) -> None:
    """Reel and tracks of both cameras."""
    workspace = _workspace(root)
    seconds = (film_seconds // CLIP_SECONDS + 1) * CLIP_SECONDS
    whole = Interval(EPOCH, EPOCH + seconds * NS_PER_SECOND)
    part = ReelPart("part-000.mp4", EPOCH, whole, "h264", SIZE, 0, seconds * RATE)
    for camera in "ab":
        with workspace.create(f"reels/{camera}") as folder:
            (folder / part.file).hardlink_to(footage)
            (folder / "reel.json").write_bytes(dump(Reel(camera, (part,), (), ())))
        seen = [span for span in spans(film_seconds) if camera in span.cameras]
        rows = [(number, tenth) for number, span in enumerate(seen, 1) for tenth in range(span.start, span.end)]
        numbers, tenths = (np.array(column, np.int64) for column in zip(*rows, strict=True))
        box = np.array([900, 400, 1000, 700], np.float32)
        none = np.empty(0, np.int64)
        with workspace.create(f"tracks/{camera}") as folder:
            table = TrackTable(
                numbers,
                EPOCH.ns + tenths * (NS_PER_SECOND // TRACK_HZ),
                np.tile(box, (len(rows), 1)),
                np.ones(len(rows), np.float32),
            )
            write_tracks(folder / "tracks.parquet", table)
            vectors = np.empty((0, 4), np.float32)
            write_embeddings(
                folder, TrackEmbeddings(vectors, none, none, np.empty(0, np.float32), np.empty(0, bool), ())
            )


def main() -> None:
    """Render the film of a store that was made before."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    given = parser.parse_args()
    workspace = _workspace(given.root)
    cameras, tracks = [], []
    for camera in "ab":
        reel, table = workspace.get(f"reels/{camera}"), workspace.get(f"tracks/{camera}")
        cameras.append(CameraRefs(camera, reel.uri, table.uri, ClockMap()))
        count = sum(camera in span.cameras for span in spans(given.seconds))
        tracks += [TrackId(camera, table.key, number) for number in range(1, count + 1)]
    settings = FilmSettings(before_seconds=0, after_seconds=0, bridge_seconds=0.2, still_seconds=0)
    order = TimelineOrder("bench", 1, tuple(tracks), tuple(cameras))
    render_timeline(workspace, order, settings, Work()).artifact.path(FILM)


if __name__ == "__main__":
    main()
