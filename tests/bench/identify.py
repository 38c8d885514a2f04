"""Identities at size: 100,000 tracks identified, their neighbours' recall, one query among a million; all synthetic, identities known.

The descriptors are drawn so that their cosines are those of OSNet x0.25 (MSMT17) on people seen by two cameras, as measured on 37
people: crops of one person 0.57 across cameras and 0.73 within one; tracks of one person 0.74 +- 0.05, of different people 0.53 +- 0.07
across cameras and 0.64 +- 0.08 within one. So cameras shift what they see, and people look alike in about 49 ways, not in 512.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from tests.bench.measure import Measure
from throughline.domain.time import NS_PER_SECOND, Instant
from throughline.domain.work import Work
from throughline.perception.triton.card import ModelCard, Source
from throughline.tracker.identities.associate import associate
from throughline.tracker.identities.config import ReidConfig
from throughline.tracker.identities.constraints import Rules
from throughline.tracker.identities.descriptors import Described, read_described, write_described
from throughline.tracker.identities.graph import TrackIndex
from throughline.tracker.identities.outputs import Made, outcome, write_outcome
from throughline.tracker.identities.stable import numbered
from throughline.tracker.identities.tracks import Tracks, Video, VideoTracks, gathered

TRACKS, CROPS, VALUES, CAMERAS, DAYS = 100_000, 12, 512, 20, 5
_MANY, _QUERIES, _NEAREST = 1_000_000, 100, 50
_WAYS_TO_DIFFER = 49
_COMMON, _CAMERA, _PERSON, _TRACK, _CROP = 0.404, 0.083, 0.166, 0.081, 0.266
"""Shares of a crop's squared length: of all crops alike, of a camera's, a person's, a track's, and its own."""
_DAY_NS = 2 * 3600 * NS_PER_SECOND
_START = Instant.parse("2026-03-01T10:00:00Z").ns

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def run() -> list[Measure]:
    """Each part in a process of its own, since a peak of memory never goes down."""
    found = {part: _child(part) for part in ("identify", "recall", "query")}
    identified, recall, query = found["identify"], found["recall"], found["query"]
    return [
        Measure("identify, 100,000 tracks of 12 crops, wall time", identified["seconds"], "s", 300),
        Measure("identify, the same, CPU time", identified["cpu_seconds"], "s"),
        Measure("identify, the same, peak RSS", identified["peak_mib"], "MiB", 4096),
        Measure("identify, the same, of it neighbours and clusters", identified["associate_seconds"], "s"),
        Measure("identify, pairwise F1 of the identities", identified["f1"], "", 0.95, "higher"),
        Measure("identify, pairwise precision", identified["precision"], ""),
        Measure("identify, pairwise recall", identified["recall"], ""),
        Measure("identify, recall of the 50 nearest, all 100,000 tracks", identified["nearest"], "", 0.98, "higher"),
        Measure("identify, index for more tracks: the same recall", recall["nearest"], "", 0.98, "higher"),
        Measure("identify, index for more tracks: CPU time", recall["cpu_seconds"], "s"),
        Measure("identify, comparing all with all: CPU time", recall["exact_cpu_seconds"], "s"),
        Measure("identify, one query among 1,000,000 tracks, median", query["median_ms"], "ms", 50),
        Measure("identify, one query among 1,000,000 tracks, 95th percentile", query["p95_ms"], "ms"),
        Measure("identify, one query among 1,000,000 tracks, CPU time", query["cpu_ms"], "ms"),
        Measure("identify, the same, recall of the 50 nearest", query["nearest"], "", 0.98, "higher"),
        Measure("identify, the same, CPU time to make the index", query["cpu_seconds"], "s"),
        Measure("identify, the same, peak RSS", query["peak_mib"], "MiB"),
    ]


def _child(part: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.identify", "--part", part]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return result


@dataclass(frozen=True)
class People:
    """Who is drawn: (n,) person, camera and day of each track, its start and end; and the parts of their looks."""

    person: Ints
    camera: Ints
    day: Ints
    starts_ns: Ints
    ends_ns: Ints
    common: Floats
    of_camera: Floats
    of_person: Floats
    spread: Floats

    def looks(self, rows: Ints, generator: np.random.Generator) -> Floats:
        """(len(rows), d): tracks without the noise of their crops."""
        own = generator.standard_normal((len(rows), VALUES), np.float32) * self.spread
        parts = (
            np.sqrt(_COMMON) * self.common,
            np.sqrt(_CAMERA) * self.of_camera[self.camera[rows]],
            np.sqrt(_PERSON) * self.of_person[self.person[rows]],
            np.sqrt(_TRACK) * own,
        )
        return np.asarray(sum(parts), np.float32)


def people(count: int, seed: int = 0) -> People:
    """About `count` tracks: everyone comes on one day, and is seen 2 to 18 times, one after the other, by cameras at random."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(2, 19, count // 8)
    sizes = sizes[: int(np.searchsorted(np.cumsum(sizes), count)) + 1]
    sizes[-1] -= int(sizes.sum()) - count
    person = np.repeat(np.arange(len(sizes)), sizes)
    camera = generator.integers(0, CAMERAS, count)
    day = generator.integers(0, DAYS, len(sizes))[person]
    lengths = generator.integers(5, 60, count) * NS_PER_SECOND
    steps = lengths + generator.integers(2, 60, count) * NS_PER_SECOND
    before = np.cumsum(steps) - steps
    since = before - before[np.cumsum(sizes) - sizes][person]
    arrives = generator.integers(0, _DAY_NS, len(sizes))[person]
    starts = _START + day * 24 * 3600 * NS_PER_SECOND + arrives + since
    spread = _spread()
    common = generator.standard_normal(VALUES, np.float32) * spread
    return People(
        person,
        camera,
        day,
        starts,
        starts + lengths,
        common / np.linalg.norm(common),
        generator.standard_normal((CAMERAS, VALUES), np.float32) * spread,
        generator.standard_normal((len(sizes), VALUES), np.float32) * spread,
        spread,
    )


def _spread() -> Floats:
    """Deviations of the values: falling by a power law, so steeply that they amount to `_WAYS_TO_DIFFER` equal ones."""
    low, high = 0.0, 3.0
    ranks = np.arange(1, VALUES + 1, dtype=np.float64)
    while high - low > 1e-6:
        variances = ranks ** -((low + high) / 2)
        equal = variances.sum() ** 2 / (variances**2).sum()
        low, high = ((low + high) / 2, high) if equal > _WAYS_TO_DIFFER else (low, (low + high) / 2)
    return np.sqrt(variances / variances.sum()).astype(np.float32)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def _write(folder: Path, drawn: People) -> list[tuple[Video, Ints]]:
    """An .npz of crops for each camera and day; the videos with the rows of their tracks."""
    videos = []
    for day in range(DAYS):
        for camera in range(CAMERAS):
            video = Video(f"camera-{camera:02d}-day-{day}", f"camera-{camera:02d}")
            rows = np.flatnonzero((drawn.camera == camera) & (drawn.day == day))
            generator = np.random.default_rng([day, camera])
            looks = np.repeat(drawn.looks(rows, generator), CROPS, axis=0)
            noise = generator.standard_normal(looks.shape, np.float32) * drawn.spread
            vectors = _unit(looks + np.float32(np.sqrt(_CROP)) * noise)
            count = len(vectors)
            described = Described(
                "bench",
                np.repeat(np.arange(len(rows)), CROPS),
                np.arange(count),
                np.ones(count, np.float32),
                vectors,
                (b"",) * count,
            )
            write_described(folder / f"{video.name}.npz", described, "float32")
            videos.append((video, rows))
    return videos


def identify() -> dict[str, float]:
    """From the crops' descriptors on the disk to the map of identities on the disk."""
    drawn = people(TRACKS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = _write(folder, drawn)
        began, cpu = time.perf_counter(), time.process_time()
        tracks = gathered([_video_tracks(folder, video, rows, drawn) for video, rows in videos])
        config = ReidConfig()
        associating = time.perf_counter()
        found = associate(tracks, config.associate, Rules(), None, Work())
        associated = time.perf_counter() - associating
        numbers = numbered(found.clusters, tracks.keys, {}, 1)
        write_outcome(folder, outcome(tracks, found, numbers.ids, Made(config, _card(), ())))
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        precision, recall = pairwise(numbers.ids, drawn.person[_rows(tracks, videos)])
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "associate_seconds": associated,
        "peak_mib": peak,
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall),
        "nearest": found.recall.found,
    }


def _video_tracks(folder: Path, video: Video, rows: Ints, drawn: People) -> VideoTracks:
    numbers, vectors = read_described(folder / f"{video.name}.npz").descriptors()
    counts = (drawn.ends_ns[rows] - drawn.starts_ns[rows]) // (NS_PER_SECOND // 10)
    return VideoTracks(
        video, numbers, ("person",) * len(rows), drawn.starts_ns[rows], drawn.ends_ns[rows], counts, vectors
    )


def _rows(tracks: Tracks, videos: list[tuple[Video, Ints]]) -> Ints:
    """(n,) for each track which row of what was drawn it is."""
    rows_of = {video.name: rows for video, rows in videos}
    return np.array([rows_of[name][number] for name, number in tracks.keys], np.int64)


def _card() -> ModelCard:
    source = Source(file="synthetic", sha256="", licence="none")
    return ModelCard(
        name="synthetic",
        kind="reid",
        source=source,
        purpose="",
        limits="",
        input_width=128,
        input_height=256,
        embedding_dim=VALUES,
        digest="synthetic",
    )


def pairwise(found: Ints, true: Ints) -> tuple[float, float]:
    """Precision and recall over all pairs of tracks."""
    right = _pairs(np.stack([found, true]))
    return right / max(1, _pairs(found[None])), right / max(1, _pairs(true[None]))


def _pairs(labels: Ints) -> int:
    _, counts = np.unique(labels, axis=1, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())


def _drawn_vectors(count: int) -> Floats:
    """Descriptors of tracks, the mean of each camera taken out, as they are compared."""
    drawn, generator = people(count), np.random.default_rng(1)
    vectors = np.empty((count, VALUES), np.float32)
    for start in range(0, count, 50_000):
        rows = np.arange(start, min(start + 50_000, count))
        crops = generator.standard_normal((len(rows), VALUES), np.float32) * drawn.spread * np.sqrt(_CROP / CROPS)
        vectors[rows] = _unit(drawn.looks(rows, generator) + crops)
    for camera in range(CAMERAS):
        own = drawn.camera == camera
        vectors[own] = _unit(vectors[own] - vectors[own].mean(axis=0))
    return vectors


def recall() -> dict[str, float]:
    """The index for more tracks than are compared exactly, on all of 100,000, against the exact neighbours of all of them."""
    vectors = _drawn_vectors(TRACKS)
    true, exact_seconds = _all_nearest(vectors, TRACKS + 1)
    found, seconds = _all_nearest(vectors, 0)
    return {"nearest": _shared(found, true), "cpu_seconds": seconds, "exact_cpu_seconds": exact_seconds}


def _all_nearest(vectors: Floats, exact_below: int) -> tuple[Ints, float]:
    """Every track's nearest, and the CPU seconds that it took to find them."""
    began = time.process_time()
    index = TrackIndex(vectors, _NEAREST + 1, exact_below)
    found = [index.search(vectors[at : at + 2048], _NEAREST + 1)[1] for at in range(0, len(vectors), 2048)]
    return np.concatenate(found), time.process_time() - began


def _shared(found: Ints, true: Ints) -> float:
    """Share of the true neighbours that was found; the first one is the track itself, and does not count."""
    pairs = zip(found[:, 1:].tolist(), true[:, 1:].tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in pairs]))


def query() -> dict[str, float]:
    """Single queries among a million tracks."""
    vectors = _drawn_vectors(_MANY)
    began = time.process_time()
    index = TrackIndex(vectors, _NEAREST + 1)
    made = time.process_time() - began
    asked = np.random.default_rng(2).choice(_MANY, _QUERIES, replace=False)
    seconds, found, cpu = [], [], time.process_time()
    for row in asked.tolist():
        start = time.perf_counter()
        found.append(index.search(vectors[row : row + 1], _NEAREST + 1)[1][0])
        seconds.append(time.perf_counter() - start)
    cpu = time.process_time() - cpu
    _, true = faiss.knn(vectors[asked], vectors, _NEAREST + 1, faiss.METRIC_INNER_PRODUCT)
    return {
        "median_ms": float(np.median(seconds)) * 1000,
        "cpu_ms": cpu * 1000 / _QUERIES,
        "p95_ms": float(np.percentile(seconds, 95)) * 1000,
        "nearest": _shared(np.stack(found), true),
        "cpu_seconds": made,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Run one part and print what it found as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--part", choices=("identify", "recall", "query"), required=True)
    print(json.dumps({"identify": identify, "recall": recall, "query": query}[parser.parse_args().part]()))


if __name__ == "__main__":
    main()
