"""A great many chunks, or cameras: how long each stage takes, what it needs, and what it leaves behind.

`python -m tests.faults.scale` measures one camera with 20,000 chunks, and 500 cameras with one chunk each.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psutil

from tests.faults.video import Odd, encoded
from tests.ingest.footage import DiskFootage
from tests.models.weights import CLASSES, tiny_detector, tiny_reid
from throughline.domain.geometry import Size
from throughline.domain.time import Instant
from throughline.domain.work import Step, Work
from throughline.ingest.collate import CollatedReel, CollateRequest
from throughline.ingest.listing import list_footage
from throughline.ingest.servicer import _listed
from throughline.ingest.settings import IngestSettings
from throughline.models.build import build_detector, build_reid
from throughline.models.graph import RGB_255
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import EVERYWHERE, TrackStage, Where

FIRST = Instant.parse("2026-03-01T10:00:00Z").to_datetime()
CHUNK = Odd(pts=(0, 6000, 12_000), size=Size(64, 48))
SPACING = timedelta(seconds=1)


@dataclass
class Figures:
    """Seconds by stage, largest resident memory by stage (MiB above the start), and other counts."""

    seconds: dict[str, float] = field(default_factory=dict)
    memory_mib: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[Work]:
        """Measure one stage; memory is looked at with every step of its work."""
        process, began = psutil.Process(), time.monotonic()
        before = most = process.memory_info().rss

        def look(_: Step) -> None:
            nonlocal most
            most = max(most, process.memory_info().rss)

        yield Work(on_step=look)
        self.seconds[name] = time.monotonic() - began
        self.memory_mib[name] = (max(most, process.memory_info().rss) - before) / 2**20


def footage_at(folder: Path) -> DiskFootage:
    settings = IngestSettings(
        workspace_uri=f"file://{folder}/workspace/", cache_dir=folder / "cache", allowed_roots=(folder,)
    )
    return DiskFootage(settings, folder)


def link_chunks(footage: DiskFootage, names: Iterator[str]) -> None:
    """The same tiny chunk under many names."""
    chunk = footage.folder / "chunk.mp4"
    encoded(chunk, CHUNK)
    for name in names:
        path = footage.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(chunk, path)


def one_camera(folder: Path, chunks: int, client: InferenceClient) -> tuple[CollatedReel, Figures]:
    """List, collate and track one camera of many chunks."""
    footage, figures = footage_at(folder), Figures()
    link_chunks(footage, (f"cam1/{FIRST + index * SPACING:%Y%m%d_%H%M%S}.mp4" for index in range(chunks)))
    with figures.stage("list"):
        listing = list_footage(footage.objects, footage.uri)
    with figures.stage("collate") as work:
        made = footage.collator().collate(CollateRequest(listing, "cam1"), work)
    stage = TrackStage(footage.workspace, client, TrackerSettings())
    for name, window in (("track", None), ("track ready", made.reel.span)):  # another window finds the same pieces
        with figures.stage(name) as work:
            stage.run(made.artifact.uri, "cam1", 10.0, Where(window), work)
    workspace = folder / "workspace"
    for place in ("reels", "detections", "tracks"):
        figures.counts[f"files in {place}"] = sum(path.is_file() for path in (workspace / place).rglob("*"))
    figures.counts["bytes of reel.json"] = made.artifact.path("reel.json").stat().st_size
    figures.counts["incidents"] = len(made.reel.incidents)
    return made, figures


def many_cameras(folder: Path, cameras: int, client: InferenceClient) -> Figures:
    """List, collate and track many cameras of one chunk each."""
    footage, figures = footage_at(folder), Figures()
    link_chunks(footage, (f"camera {number:04d}/20260301_100000.mp4" for number in range(cameras)))
    with figures.stage("list"):
        listing = list_footage(footage.objects, footage.uri)
    with footage.workspace.create("jobs/scale/footage") as made:
        (made / "footage.json").write_bytes(b"{}")
    figures.counts["bytes of ListFootageResponse"] = _listed(
        footage.workspace.get("jobs/scale/footage"), listing
    ).ByteSize()
    collator, stage = footage.collator(), TrackStage(footage.workspace, client, TrackerSettings())
    with figures.stage("collate") as work:
        reels = [(name, collator.collate(CollateRequest(listing, name), work)) for name in listing.cameras]
    with figures.stage("track") as work:
        for name, reel in reels:
            stage.run(reel.artifact.uri, name, 10.0, EVERYWHERE, work)
    figures.counts["cameras"] = len(reels)
    return figures


@contextmanager
def tiny_models(folder: Path) -> Iterator[InferenceClient]:
    """A real Triton with the tiny models."""
    repository, weights = folder / "models", folder / "weights"
    weights.mkdir(parents=True)
    build_detector(tiny_detector(weights / "detector.onnx"), repository, class_names=CLASSES, max_boxes=10)
    build_reid(tiny_reid(weights / "reid.onnx"), repository, normalisation=RGB_255)
    with (
        TritonServer(TritonSettings(model_repository=repository, log=folder / "triton.log")) as server,
        InferenceClient(server.grpc_address) as client,
    ):
        yield client


def main(chunks: int = 20_000, cameras: int = 500) -> dict[str, Figures]:
    """Measure and print; the figures by what there was so much of."""
    measured: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tiny_models(folder / "triton") as client:
            for title, count, measure in (("chunks", chunks, one_camera), ("cameras", cameras, many_cameras)):
                place = folder / title
                place.mkdir()
                result = measure(place, count, client)
                figures = measured[title] = result if isinstance(result, Figures) else result[1]
                print(f"{count} {title}")
                for stage, seconds in figures.seconds.items():
                    each = 1000 * seconds / count
                    print(
                        f"  {stage:12} {seconds:8.1f} s {each:8.2f} ms each {figures.memory_mib[stage]:8.0f} MiB more"
                    )
                for what, number in figures.counts.items():
                    print(f"  {what}: {number}")
                sys.stdout.flush()
    return measured


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
