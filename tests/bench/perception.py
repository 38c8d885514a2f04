"""Finding everyone in 1080p30 at 10 analysed frames/s with about 8 people in view, against what the processor allows and a plain loop.

The limit is the number of cores over the CPU seconds of one analysed frame: decoding alone, and inference alone (through Triton, its
client and processes included) on the same pictures and as many crops. What takes turns is run `_TURNS` times and the best counts: on
a machine that does other things too, CPU seconds say more than the clock.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.bench.cost import Cost, cores, cost
from tests.bench.measure import Measure
from throughline.domain.footage import Reel
from throughline.domain.geometry import Letterbox, Size, iou_matrix
from throughline.domain.time import NS_PER_SECOND
from throughline.domain.truth import CameraTruth
from throughline.domain.work import Work
from throughline.ingest.collate import REEL, CollateRequest, Collator
from throughline.ingest.listing import list_footage
from throughline.ingest.settings import CollateSettings
from throughline.media.frame import Picture
from throughline.media.reader import ReelReader
from throughline.models.build import build_detector, build_reid
from throughline.perception.associate import Association, Sighting
from throughline.perception.embed import fitted
from throughline.perception.in_flight import in_flight
from throughline.perception.letterbox import letterboxed
from throughline.perception.triton.client import DETECTOR, REID, InferenceClient
from throughline.perception.triton.environment import ensure_environment
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.storage import documents
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.tables import read_embeddings, read_tracks
from throughline.storage.workspace import Artifact, Workspace
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import EVERYWHERE, TrackStage

RATE, _SOURCE_RATE = 10.0, 30
_IN_FLIGHT = 8
_TURNS = 3
_STORE = SimulationSettings(
    seed=11,
    cameras=1,
    people=20,
    seconds=24,
    width=1920,
    height=1080,
    rate=_SOURCE_RATE,
    chunk_seconds=24,
    workers=1,
    queries=0,
)
_AUC_NOISE = 0.01
"""What a few pairs more or less make of it."""
_LEAST_SEEN, _LEAST_IOU, _LEAST_BOXES = 0.5, 0.5, 10


@dataclass(frozen=True, slots=True)
class Described:
    """Tracks by number: (n,) times, (n, 4) boxes, and a unit vector that describes each; those without one are left out."""

    tracks: dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]]
    vectors: dict[int, NDArray[np.float32]]


@dataclass(frozen=True)
class Scene:
    """The footage, who is in it, and where everything else goes."""

    folder: Path
    reel: Reel
    artifact: Artifact
    objects: Any
    truth: CameraTruth | None = None

    @property
    def video(self) -> Path:
        return self.artifact.path(self.reel.parts[0].file)


def run() -> list[Measure]:
    """A drawn store with the repository's models, and a real shop with real weights where THROUGHLINE_REALDATA has them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measures = _measured("drawn store", film(folder / "drawn"), TritonSettings().model_repository)
        if "THROUGHLINE_REALDATA" in os.environ:
            real = Path(os.environ["THROUGHLINE_REALDATA"])
            build_detector(real / "weights" / "yolox_nano.onnx", folder / "models", licence="Apache-2.0")
            build_reid(real / "weights" / "osnet_x0_25_msmt17.onnx", folder / "models", licence="MIT")
            measures += _measured("real shop", _shop(folder / "real", real), folder / "models")
        return measures


def _measured(what: str, scene: Scene, models: Path) -> list[Measure]:
    """Figures of one camera. The bar of the limit is for models of a size that people use: those of the demonstration are so small
    that what everything else costs weighs more."""
    name = f"perception, {what}"
    settings = TritonSettings(model_repository=models, log=scene.folder / "triton.log")
    with TritonServer(settings) as server, InferenceClient(server.grpc_address, max_in_flight=32) as client:
        tracked, _ = _ours(scene, client, "warm")
        crops = _crops(scene, tracked)
        bare = _Bare(scene, client, len(crops))
        ours, decode, infer, plain, lean = ([] for _ in range(5))
        for turn in range(_TURNS):
            decode.append(bare.decode())
            infer.append(bare.infer())
            ours.append(_ours(scene, client, str(turn))[1])
            everything, spent = plain_loop(scene, models, "all")
            plain.append(spent)
            lean.append(plain_loop(scene, models, crops)[1])
    frames, alone = bare.frames, _cpu(decode) + _cpu(infer)
    limit, bar = cores() * frames / alone, 0.85 if scene.truth is None else None
    measures = [
        Measure(f"{name}: frames analysed", frames, "frames"),
        Measure(f"{name}: crops embedded", len(crops), "crops"),
        Measure(f"{name}: decoding alone, CPU a frame", 1e3 * _cpu(decode) / frames, "ms"),
        Measure(f"{name}: inference alone, CPU a frame", 1e3 * _cpu(infer) / frames, "ms"),
        Measure(f"{name}: everything, CPU a frame", 1e3 * _cpu(ours) / frames, "ms"),
        Measure(f"{name}: the processor's limit", limit, "frames/s"),
        Measure(f"{name}: frames per second", frames / _wall(ours), "frames/s"),
        Measure(f"{name}: of the limit, by the clock", frames / _wall(ours) / limit, "ratio", bar, "higher"),
        Measure(f"{name}: of the limit, by CPU", alone / _cpu(ours), "ratio", bar, "higher"),
        Measure(f"{name}: of a plain loop that embeds every box", _wall(plain) / _wall(ours), "x", 3.0, "higher"),
        Measure(f"{name}: of that loop, by CPU", _cpu(plain) / _cpu(ours), "x"),
        Measure(f"{name}: of a plain loop that embeds our crops", _wall(lean) / _wall(ours), "x", 1.1, "higher"),
        Measure(f"{name}: of that loop, by CPU", _cpu(lean) / _cpu(ours), "x"),
    ]
    if scene.truth is not None:
        seen = int((scene.truth.visibility >= _LEAST_SEEN).sum()) / len(np.unique(scene.truth.times_ns))
        measures.append(Measure(f"{name}: people in view", seen, "people"))
        measures += _identities(name, scene, scene.truth, tracked, everything)
    return measures


def film(folder: Path) -> Scene:
    """Simulate, and collate."""
    store = simulate(_STORE, folder / "store")
    scene = _collated(folder, store.footage)
    return replace(scene, truth=store.camera(scene.reel.camera))


def _shop(folder: Path, real: Path) -> Scene:
    """20 s of a real shop with about 8 people."""
    camera = folder / "footage" / "shop"
    camera.mkdir(parents=True)
    shutil.copyfile(real / "video" / "single" / "retail_hevc_1080p.mp4", camera / "2026-03-01_10-00-00.000Z.mp4")
    return _collated(folder, camera.parent)


def _collated(folder: Path, footage: Path) -> Scene:
    objects = open_objects(ObjectSettings(allowed_roots=(folder,)))
    listing = list_footage(objects, file_uri(footage))
    workspace = Workspace(file_uri(folder / "reels"), objects, folder / "cache")
    request = CollateRequest(listing, next(iter(listing.cameras)))
    artifact = Collator(objects, workspace, CollateSettings()).collate(request, Work()).artifact
    return Scene(folder, documents.load(Reel, artifact.path(REEL).read_bytes()), artifact, objects)


def _ours(scene: Scene, client: InferenceClient, name: str) -> tuple[Artifact, Cost]:
    """The tracker's whole stage, into a workspace that has nothing but the reel."""
    root = scene.folder / f"workspace-{name}"
    (root / "reels").mkdir(parents=True)
    (root / "reels" / scene.artifact.key).symlink_to(scene.folder / "reels" / "reels" / scene.artifact.key)
    workspace = Workspace(file_uri(root), scene.objects, scene.folder / "cache")
    stage = TrackStage(workspace, client, TrackerSettings())
    with cost() as spent:
        tracked = stage.run(f"reels/{scene.artifact.key}", scene.reel.camera, RATE, EVERYWHERE, Work())
    return tracked.artifact, spent


class _Bare:
    """Decoding and inference, each by itself."""

    def __init__(self, scene: Scene, client: InferenceClient, crops: int) -> None:
        self._scene, self._client = scene, client
        detector, reid = client.model(DETECTOR), client.model(REID)
        canvas = Size(detector.input_width, detector.input_height)
        with ReelReader(scene.reel, scene.artifact.path) as reader:
            frames = list(reader.frames(rate=RATE))
            self._pictures = [letterboxed(frame, Letterbox(frame.size, canvas)) for frame in frames]
            crop = fitted(frames[0].rgb(), Size(reid.input_width, reid.input_height))
        self.frames = len(frames)
        self._crops = [crop] * crops

    def decode(self) -> Cost:
        with cost() as spent, av.open(str(self._scene.video)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for _ in container.decode(video=0):
                pass
        return spent

    def infer(self) -> Cost:
        with cost() as spent:
            self._alone(self._pictures, self._client.detect)
            self._alone(self._crops, self._client.embed)
        return spent

    def _alone(self, pictures: Sequence[Picture], ask: Callable[[Picture], Future[Any]]) -> None:
        requests = ((number, lambda picture=picture: ask(picture)) for number, picture in enumerate(pictures))
        for _ in in_flight(requests, _IN_FLIGHT, burst=_IN_FLIGHT // 2):
            pass


def _crops(scene: Scene, tracked: Artifact) -> NDArray[np.float32]:
    """(n, 5): frame and box of every crop that we embedded."""
    table = read_tracks(tracked.path("tracks.parquet"))
    embeddings = read_embeddings(tracked.path("embeddings.npy").parent)
    keys = zip(table.track_ids.tolist(), table.times_ns.tolist(), strict=True)
    boxes = dict(zip(keys, table.boxes, strict=True))
    start = scene.reel.parts[0].span.start.ns
    rows = []
    for track, time in zip(embeddings.track_ids.tolist(), embeddings.times_ns.tolist(), strict=True):
        frame = round((time - start) * _SOURCE_RATE / NS_PER_SECOND)
        rows.append((frame // 3 * 3, *boxes[track, time]))
    return np.array(rows, np.float32)


def plain_loop(scene: Scene, models: Path, crops: str | NDArray[np.float32]) -> tuple[dict[str, Any], Cost]:
    """Run it in a process of its own; its boxes and vectors, and what it cost."""
    if not isinstance(crops, str):
        np.save(scene.folder / "crops.npy", crops)
        crops = str(scene.folder / "crops.npy")
    environment, out = ensure_environment(), scene.folder / "plain.npz"
    script = str(Path(__file__).with_name("plain_loop.py"))
    every, threads = str(round(_SOURCE_RATE / RATE)), str(cores())
    arguments = [str(environment.site_packages), str(scene.video), str(models), every, threads, crops, str(out)]
    done = subprocess.run(
        [sys.executable, script, *arguments], check=True, capture_output=True, text=True, env=os.environ
    )
    spent = json.loads(done.stdout.splitlines()[-1])
    with np.load(out) as arrays:
        return dict(arrays), Cost(spent["wall"], spent["cpu"])


def _identities(
    name: str, scene: Scene, truth: CameraTruth, tracked: Artifact, everything: dict[str, Any]
) -> list[Measure]:
    ours, plain = _auc(truth, _described(tracked)), _auc(truth, _associated(scene, everything))
    return [
        Measure(f"{name}: AUC of pairs of tracks", ours, "", round(plain - _AUC_NOISE, 4), "higher"),
        Measure(f"{name}: AUC of the plain loop", plain, ""),
    ]


def _described(tracked: Artifact) -> Described:
    table = read_tracks(tracked.path("tracks.parquet"))
    ids, descriptors = read_embeddings(tracked.path("embeddings.npy").parent).descriptors()
    tracks = {track.track_id: (track.times_ns, track.boxes) for track in table.tracks()}
    return Described(tracks, dict(zip(ids.tolist(), descriptors, strict=True)))


def _associated(scene: Scene, everything: dict[str, Any]) -> Described:
    """The plain loop's boxes as our association joins them, each track described by the mean of all its vectors."""
    size, start = scene.reel.parts[0].size, scene.reel.parts[0].span.start.ns
    association = Association(RATE, TrackerSettings().association)
    rows, vectors = everything["rows"], everything["vectors"]
    places: dict[int, list[tuple[int, tuple[float, ...], NDArray[np.float32]]]] = {}
    of_box: dict[tuple[int, tuple[float, ...]], NDArray[np.float32]] = {}
    news = []
    for frame in np.unique(rows[:, 0]).tolist():
        at = np.flatnonzero(rows[:, 0] == frame)
        time = start + round(frame * NS_PER_SECOND / _SOURCE_RATE)
        people = []
        for row in at.tolist():
            box = (float(rows[row, 1]), float(rows[row, 2]), float(rows[row, 3]), float(rows[row, 4]))
            of_box[time, box] = vectors[row]
            people.append(Sighting(time, box, float(rows[row, 5]), 1.0))
        news += list(association.update(size, time, people))
    for each in [*news, *association.finish()]:
        for seen in each.sightings:
            places.setdefault(each.track_id, []).append((seen.time_ns, seen.box, of_box[seen.time_ns, seen.box]))
    tracks, means = {}, {}
    for number, seen_there in places.items():
        tracks[number] = (
            np.array([one[0] for one in seen_there]),
            np.array([one[1] for one in seen_there], np.float32),
        )
        mean = np.sum([one[2] for one in seen_there], axis=0)
        means[number] = np.asarray(mean / np.linalg.norm(mean), np.float32)
    return Described(tracks, means)


def _auc(truth: CameraTruth, described: Described) -> float:
    """How often two tracks of one person are more alike than two tracks of different people."""
    owners = {
        number: _owner(truth, *track) for number, track in described.tracks.items() if number in described.vectors
    }
    known = [number for number, owner in owners.items() if owner is not None]
    same: list[float] = []
    other: list[float] = []
    for at, one in enumerate(known):
        for two in known[at + 1 :]:
            alike = float(described.vectors[one] @ described.vectors[two])
            (same if owners[one] == owners[two] else other).append(alike)
    wins = np.array(same)[:, None] > np.array(other)[None]
    return float(wins.mean()) if wins.size else float("nan")


def _owner(truth: CameraTruth, times_ns: NDArray[np.int64], boxes: NDArray[np.float32]) -> int | None:
    """Whose most of a track's boxes are; None for short tracks and mixed ones."""
    votes: list[int] = []
    for time, box in zip(times_ns.tolist(), boxes, strict=True):
        there = np.flatnonzero(np.abs(truth.times_ns - time) < NS_PER_SECOND // (2 * _SOURCE_RATE))
        if len(there):
            overlap = iou_matrix(box[None], truth.boxes[there])[0]
            if overlap.max() >= _LEAST_IOU:
                votes.append(int(truth.persons[there[overlap.argmax()]]))
    if len(times_ns) < _LEAST_BOXES or not votes:
        return None
    people, counts = np.unique(votes, return_counts=True)
    return int(people[counts.argmax()]) if counts.max() >= 0.7 * len(times_ns) else None


def _cpu(costs: Sequence[Cost]) -> float:
    return min(each.cpu for each in costs)


def _wall(costs: Sequence[Cost]) -> float:
    return min(each.wall for each in costs)
