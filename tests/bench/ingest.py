"""Collating 1.1 GB against what the bytes allow: a stream copy by FFmpeg's own program, and two SHA-256 passes.

A chunk must be read, copied and hashed, and so must the reel that it becomes: the account of a reel has the digest of every chunk,
and an artifact's manifest that of every file. Nothing else has to touch the pictures, so the sum of these three is the limit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.bench.measure import Measure
from throughline.domain.work import Work
from throughline.ingest.collate import CollateRequest, Collator
from throughline.ingest.listing import list_footage
from throughline.ingest.settings import CollateSettings
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.workspace import Workspace

_CHUNKS = 32
_GOPS = 30
"""In a chunk: a minute."""
_GOP_FRAMES, _RATE = 50, 25
_WIDTH, _HEIGHT = 1920, 1080
_BITS_PER_SECOND = 4_700_000
_ROUNDS = 3
"""The quickest of each counts: what else runs on the machine only ever slows one down."""
_MOST_MIB = 300e6 / 2**20
_WARM_UP, _MANY, _LONG = "warm-up", "many", "long"


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds, and the peak of the resident memory."""

    wall: float
    cpu: float
    peak_mib: float = 0.0


def run() -> list[Measure]:
    """Wall time, CPU time and memory of collating."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        print("ingest: left out, for there is no ffmpeg program to compare with; install FFmpeg", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chunks = _footage(folder / "footage")
        gigabytes = sum(chunk.stat().st_size for chunk in chunks) / 1e9
        rounds = [(_reference(ffmpeg, chunks, folder), _collated(folder, _MANY)) for _ in range(_ROUNDS)]
        long = _collated(folder, _LONG)
    limits, ours = zip(*rounds, strict=True)
    wall, cpu = (min(one.wall for one in ours), min(one.cpu for one in ours))
    return [
        Measure(f"collate, {_CHUNKS} chunks", gigabytes, "GB"),
        Measure("collate, wall time", wall, "s"),
        Measure("collate, CPU time", cpu, "s"),
        Measure("collate, wall time to copy and two digests", wall / min(one.wall for one in limits), "ratio", 1.15),
        Measure("collate, CPU time to copy and two digests", cpu / min(one.cpu for one in limits), "ratio", 1.15),
        Measure("collate, peak RSS", max(one.peak_mib for one in ours), "MiB", _MOST_MIB),
        Measure("collate, peak RSS, one chunk of the same size", long.peak_mib, "MiB", _MOST_MIB),
    ]


def _footage(folder: Path) -> list[Path]:
    """Two cameras of the same length, in many chunks and in one, and a short one; gives the chunks of the first."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as gop:
        _encode_gop(Path(gop.name))
        _repeat(Path(gop.name), _GOPS * _CHUNKS, folder / _LONG / "20260301_100000.mp4")
        _repeat(Path(gop.name), 1, folder / _WARM_UP / "20260301_100000.mp4")
        chunks = [folder / _MANY / f"20260301_10{minute:02d}00.mp4" for minute in range(_CHUNKS)]
        for chunk in chunks:
            _repeat(Path(gop.name), _GOPS, chunk)
    return chunks


def _encode_gop(path: Path) -> None:
    """Two seconds of noise that moves, which cost as many bits as a busy scene."""
    noise = np.random.default_rng(0).integers(0, 256, (2 * _HEIGHT, _WIDTH), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=_RATE, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        stream.bit_rate = _BITS_PER_SECOND
        stream.codec_context.gop_size = _GOP_FRAMES
        for index in range(_GOP_FRAMES):
            planes = np.full((_HEIGHT * 3 // 2, _WIDTH), 128, np.uint8)
            planes[:_HEIGHT] = noise[4 * index : 4 * index + _HEIGHT] // 2
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode(None))


def _repeat(gop: Path, times: int, path: Path) -> None:
    """Write a group of pictures over and over, with its own name in the file so that no two files are the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(gop)) as source, av.open(str(path), "w") as container:
        container.metadata["comment"] = path.name
        stream = container.add_stream_from_template(source.streams.video[0], opaque=True)
        packets = [
            (bytes(packet), packet.pts or 0, packet.dts or 0, packet.is_keyframe)
            for packet in source.demux(video=0)
            if packet.size
        ]
        time_base = source.streams.video[0].time_base or Fraction(1)
        length = round(_GOP_FRAMES / _RATE / time_base)
        for number in range(times):
            for data, pts, dts, is_keyframe in packets:
                packet = av.Packet(data)
                packet.pts, packet.dts = pts + number * length, dts + number * length
                packet.time_base, packet.stream, packet.is_keyframe = time_base, stream, is_keyframe
                container.mux(packet)


def _reference(ffmpeg: str, chunks: Sequence[Path], folder: Path) -> Spent:
    """What FFmpeg's program takes to copy the chunks into one file, and to digest as many bytes twice."""
    names = folder / "chunks.txt"
    names.write_text("".join(f"file '{chunk}'\n" for chunk in chunks))
    out = folder / "copy.mp4"
    command = [ffmpeg, "-v", "error", "-y", "-f", "concat", "-safe", "0", "-i", str(names), "-c", "copy", str(out)]
    os.sync()
    wall, cpu = time.perf_counter(), _cpu_seconds()
    subprocess.run(command, check=True)
    for chunk in [*chunks, *chunks]:
        with chunk.open("rb") as file:
            hashlib.file_digest(file, "sha256")
    spent = Spent(time.perf_counter() - wall, _cpu_seconds() - cpu)
    out.unlink()
    return spent


def _collated(folder: Path, camera: str) -> Spent:
    """What collating a camera takes, in a process of its own that has collated before."""
    command = [sys.executable, "-m", "tests.bench.ingest", "--folder", str(folder), "--camera", camera]
    os.sync()
    return Spent(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _cpu_seconds() -> float:
    """Of this process, and of those that it started and that ended."""
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _peak_mib() -> float:
    """Of this process alone; what getrusage tells begins with the memory of the one that started it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def main() -> None:
    """Collate a short camera and then the one asked for, and print what the latter took."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--camera", required=True)
    arguments = parser.parse_args()
    objects = open_objects(ObjectSettings(allowed_roots=(arguments.folder,)))
    listing = list_footage(objects, file_uri(arguments.folder / "footage"))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        workspace = Workspace(file_uri(Path(name) / "workspace"), objects, Path(name) / "cache")
        collator = Collator(objects, workspace, CollateSettings())
        collator.collate(CollateRequest(listing, _WARM_UP), Work())
        wall, cpu = time.perf_counter(), _cpu_seconds()
        collator.collate(CollateRequest(listing, arguments.camera), Work())
        wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    print(json.dumps(asdict(Spent(wall, cpu, _peak_mib()))))


if __name__ == "__main__":
    main()
