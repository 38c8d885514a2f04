"""A quiet night with the gate and without: what it costs, and who is lost.

The detector is YOLOX-nano's weights where THROUGHLINE_REALDATA has them; whom they see of the drawn people counts. Where it has
video of real people too, the gate is tried on that as well.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cost import Cost, cost
from tests.bench.measure import Measure
from tests.bench.night import film_night
from throughline.domain.footage import Reel
from throughline.domain.work import Work
from throughline.ingest.collate import REEL, CollateRequest, Collator
from throughline.ingest.listing import list_footage
from throughline.ingest.settings import CollateSettings
from throughline.media.reader import ReelReader
from throughline.models.build import build_detector, build_reid
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.storage import documents
from throughline.storage.detections import FrameDetections
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.workspace import Artifact, Workspace
from throughline.tracker.pieces import PieceDetector, cut_into_pieces
from throughline.tracker.progress import FrameProgress
from throughline.tracker.settings import TrackerSettings

_RATE = 10.0
_SECONDS = 300
_VISITS = ((95.3, 3.0, 20.0), (210.7, 3.0, 42.0))
"""2% of the night."""
_PERSON, _SURE = 0, 0.5
_REAL = ("corridor_3cam/Cam1.mp4", "corridor_3cam/Cam2.mp4", "corridor_3cam/Cam3.mp4", "single/one_by_one.mp4")


@dataclass(frozen=True)
class Watched:
    """What was seen: detections by time, and what that cost."""

    found: dict[int, FrameDetections]
    skipped: int
    spent: Cost


def run() -> list[Measure]:
    """Figures of one camera at night, and of real cameras by day."""
    real = Path(os.environ["THROUGHLINE_REALDATA"]) if "THROUGHLINE_REALDATA" in os.environ else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film_night(folder / "night", _SECONDS, _VISITS)
        settings = TritonSettings(log=folder / "triton.log")
        if real is not None:
            build_detector(real / "weights" / "yolox_nano.onnx", folder / "models", licence="Apache-2.0")
            build_reid(real / "weights" / "osnet_x0_25_msmt17.onnx", folder / "models", licence="MIT")
            settings = settings.model_copy(update={"model_repository": folder / "models"})
        with TritonServer(settings) as server, InferenceClient(server.grpc_address, max_in_flight=32) as client:
            whole, gated = _both(folder, folder / "night", client)
            measures = [
                Measure("quiet, frames wanted of the night", len(whole.found), "frames"),
                Measure("quiet, frames skipped", gated.skipped, "frames"),
                Measure("quiet, without the gate", whole.spent.wall, "s"),
                Measure("quiet, with it", gated.spent.wall, "s"),
                Measure("quiet, times as fast", whole.spent.wall / gated.spent.wall, "x", 5.0, "higher"),
                Measure("quiet, times as fast, by CPU", whole.spent.cpu / gated.spent.cpu, "x", 5.0, "higher"),
                Measure("quiet, boxes of people without the gate", _people(whole.found), "boxes"),
                Measure("quiet, boxes lost", 100 * _lost(whole, gated), "%", 0.5),
            ]
            for each in _REAL if real is not None else ():
                video = real / "video" / each if real is not None else Path()
                footage = folder / video.stem
                (footage / video.stem).mkdir(parents=True)
                shutil.copyfile(video, footage / video.stem / f"2026-03-01_10-00-00.000Z{video.suffix}")
                whole, gated = _both(folder, footage, client)
                measures += [
                    Measure(f"quiet, {each}: frames skipped", 100 * gated.skipped / len(whole.found), "%"),
                    Measure(f"quiet, {each}: boxes of people", _people(whole.found), "boxes"),
                    Measure(f"quiet, {each}: boxes lost", 100 * _lost(whole, gated), "%", 0.5),
                ]
            return measures


def _both(folder: Path, footage: Path, client: InferenceClient) -> tuple[Watched, Watched]:
    """Without the gate, and with it."""
    objects = open_objects(ObjectSettings(allowed_roots=(folder,)))
    workspace = Workspace(file_uri(folder / f"{footage.name}-reels"), objects, folder / "cache")
    listing = list_footage(objects, file_uri(footage))
    request = CollateRequest(listing, next(iter(listing.cameras)))
    reel = Collator(objects, workspace, CollateSettings()).collate(request, Work()).artifact
    results = []
    for gate in (False, True):
        fresh = Workspace(file_uri(folder / f"{footage.name}-{gate}"), objects, folder / "cache")
        results.append(_watch(fresh, reel, client, TrackerSettings(skip_quiet=gate)))
    return results[0], results[1]


def _watch(workspace: Workspace, artifact: Artifact, client: InferenceClient, settings: TrackerSettings) -> Watched:
    reel = documents.load(Reel, artifact.path(REEL).read_bytes())
    with ReelReader(reel, artifact.path, settings.decoder_threads) as reader:
        pieces = cut_into_pieces(reel, None, settings.piece_seconds)
        detector = PieceDetector(workspace, client, reader, _RATE, settings)
        progress = FrameProgress(Work(), reel, pieces, _RATE)
        with cost() as spent:
            found = {each.time_ns: each for piece in pieces for _, each in detector.frames(piece, progress)}
    return Watched(found, sum(report.skipped_frames for report in detector.reports), spent)


def _people(found: dict[int, FrameDetections]) -> int:
    return sum(int(((each.class_ids == _PERSON) & (each.scores >= _SURE)).sum()) for each in found.values())


def _lost(whole: Watched, gated: Watched) -> float:
    """Share of the sure boxes of people that lie in frames that the gate skipped."""
    missing = {time: each for time, each in whole.found.items() if time not in gated.found}
    return _people(missing) / max(1, _people(whole.found))
