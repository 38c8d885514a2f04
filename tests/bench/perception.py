"""Finding everyone in 1080p30 at 10 analysed frames/s with about 8 people in view, against what the processor allows and a plain loop.

The limit is the number of cores over the CPU seconds of one analysed frame: decoding alone, on all cores at once, and inference
alone (through Triton, its client and processes included) on the same pictures and as many crops. What no way of doing it can leave
out either is measured as well: scaling each picture for the detector, and cutting, converting and coding each crop that is kept.
Everything takes turns, `_TURNS` times, and the middle one of the turns' own ratios counts: how fast a shared machine is changes from
minute to minute.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tests.bench.cost import Cost, cores, cost
from tests.bench.measure import Measure
from tests.bench.run_plain_loop import plain_loop
from tests.bench.who_is_who import Described, LoopBoxes, identities
from throughline.domain.footage import Reel
from throughline.domain.geometry import Letterbox, Size
from throughline.domain.time import NS_PER_SECOND
from throughline.domain.truth import CameraTruth
from throughline.domain.work import Work
from throughline.ingest.collate import REEL, CollateRequest, Collator
from throughline.ingest.listing import list_footage
from throughline.ingest.settings import CollateSettings
from throughline.media.frame import Frame
from throughline.media.reader import ReelReader
from throughline.media.tuning import tune_for_pictures
from throughline.models.build import build_detector, build_reid
from throughline.perception.crops import Crop, crop_quality
from throughline.perception.embed import fitted
from throughline.perception.in_flight import in_flight
from throughline.perception.letterbox import letterboxed
from throughline.perception.triton.client import DETECTOR, REID, InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.storage import documents
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.tables import artifact_embeddings, read_tracks
from throughline.storage.workspace import Artifact, Workspace
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import EVERYWHERE, TrackStage

RATE, _SOURCE_RATE, _EVERY = 10.0, 30, 3
_IN_FLIGHT = 8
_LEAST_SEEN = 0.5
_TURNS = 3
_KEPT = 16
"""Frames that are held for drawing, which takes them in turn."""
_STORE = SimulationSettings(
    seed=11,
    cameras=2,
    people=60,
    seconds=64,
    width=1920,
    height=1080,
    rate=_SOURCE_RATE,
    chunk_seconds=64,
    workers=2,
    queries=0,
)


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


@dataclass(frozen=True, slots=True)
class _Turn:
    """What everything took, one after the other."""

    decode: Cost
    infer: Cost
    ours: Cost
    draw: Cost
    plain: Cost
    lean: Cost

    @property
    def alone(self) -> float:
        """CPU seconds of decoding and inference alone."""
        return self.decode.cpu + self.infer.cpu

    @property
    def least(self) -> float:
        """Seconds by the clock, were all cores always at that."""
        return self.alone / cores()


def run() -> list[Measure]:
    """A drawn store with the repository's models, and a real shop with real weights where THROUGHLINE_REALDATA has them."""
    tune_for_pictures()  # as the tracker does
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measures = _measured("drawn store", _film(folder / "drawn"), TritonSettings().model_repository)
        if "THROUGHLINE_REALDATA" in os.environ:
            real = Path(os.environ["THROUGHLINE_REALDATA"])
            build_detector(real / "weights" / "yolox_nano.onnx", folder / "models", licence="Apache-2.0")
            build_reid(real / "weights" / "osnet_x0_25_msmt17.onnx", folder / "models", licence="MIT")
            measures += _measured("real shop", [_shop(folder / "real", real)], folder / "models")
        return measures


def _measured(what: str, scenes: Sequence[Scene], models: Path) -> list[Measure]:
    """Figures of the first camera, and of all how well people are told apart. Bars are for models of a size that people use: those of
    the demonstration are so small that what everything else costs weighs more, and that every further box makes up for their noise."""
    name, scene = f"perception, {what}", scenes[0]
    settings = TritonSettings(model_repository=models, log=scene.folder / "triton.log")
    with TritonServer(settings) as server, InferenceClient(server.grpc_address, max_in_flight=32) as client:
        tracked, _ = _ours(scene, client, "warm")
        crops, looked_at = _crops(scene, tracked), _looked_at(scene, tracked)
        assert np.isin(crops[:, 0], looked_at).all(), "the plain loop would embed fewer"
        bare, card = _Bare(scene, client, crops[:, 1:]), client.model(REID)
        turns = [
            _Turn(
                decode=bare.decode(),
                infer=bare.infer(),
                ours=_ours(scene, client, str(turn))[1],
                draw=bare.draw(),
                plain=plain_loop(scene.video, models, looked_at, "all", scene.folder)[1],
                lean=plain_loop(scene.video, models, looked_at, crops, scene.folder)[1],
            )
            for turn in range(_TURNS)
        ]
        artifacts = [tracked, *(_ours(each, client, "described")[0] for each in scenes[1:])]
        described = [
            _described(each, artifact, models)
            for each, artifact in zip(scenes, artifacts, strict=True)
            if each.truth is not None
        ]
    frames, real = bare.frames, scene.truth is None
    kinds: list[tuple[str, str, float | None, Callable[[_Turn], float]]] = [
        ("decoding alone, CPU a frame", "ms", None, lambda turn: 1e3 * turn.decode.cpu / frames),
        ("inference alone, CPU a frame", "ms", None, lambda turn: 1e3 * turn.infer.cpu / frames),
        ("pictures and crops alone, CPU a frame", "ms", None, lambda turn: 1e3 * turn.draw.cpu / frames),
        ("everything, CPU a frame", "ms", None, lambda turn: 1e3 * turn.ours.cpu / frames),
        ("the processor's limit", "frames/s", None, lambda turn: frames / turn.least),
        ("frames per second", "frames/s", None, lambda turn: frames / turn.ours.wall),
        ("of the limit, by the clock", "ratio", 0.85 if real else None, lambda turn: turn.least / turn.ours.wall),
        ("of the limit, by CPU", "ratio", 0.85 if real else None, lambda turn: turn.alone / turn.ours.cpu),
        (
            "of a limit with pictures and crops, by CPU",
            "ratio",
            None,
            lambda turn: (turn.alone + turn.draw.cpu) / turn.ours.cpu,
        ),
        (
            "of a plain loop that embeds every box",
            "x",
            3.0 if real else None,
            lambda turn: turn.plain.wall / turn.ours.wall,
        ),
        ("of that loop, by CPU", "x", None, lambda turn: turn.plain.cpu / turn.ours.cpu),
        ("of a plain loop that embeds our crops", "x", 1.1, lambda turn: turn.lean.wall / turn.ours.wall),
        ("of that loop, by CPU", "x", None, lambda turn: turn.lean.cpu / turn.ours.cpu),
    ]
    measures = [
        Measure(f"{name}: frames analysed", frames, "frames"),
        Measure(f"{name}: crops embedded", len(crops), "crops"),
    ]
    for kind, unit, least, of in kinds:
        value = float(np.median([of(turn) for turn in turns]))
        measures.append(Measure(f"{name}: {kind}", value, unit, least, "lower" if least is None else "higher"))
    if scene.truth is not None:
        seen = int((scene.truth.visibility >= _LEAST_SEEN).sum()) / len(np.unique(scene.truth.times_ns))
        measures.append(Measure(f"{name}: people in view", seen, "people"))
        measures += identities(name, described, card)
    return measures


def _described(scene: Scene, tracked: Artifact, models: Path) -> Described:
    assert scene.truth is not None
    arrays = plain_loop(scene.video, models, _looked_at(scene, tracked), "all", scene.folder)[0]
    found = LoopBoxes.of(arrays, scene.reel.parts[0].span.start.ns, _SOURCE_RATE)
    return Described(scene.truth, read_tracks(tracked.path("tracks.parquet")), artifact_embeddings(tracked), found)


def _film(folder: Path) -> list[Scene]:
    """Simulate, and collate: a scene of each camera."""
    store = simulate(_STORE, folder / "store")
    scenes = [_collated(folder / each.name, store.footage, each.name) for each in store.document.cameras]
    return [replace(scene, truth=store.camera(scene.reel.camera)) for scene in scenes]


def _shop(folder: Path, real: Path) -> Scene:
    """A real shop with about 8 people, 20 s of it six times: so that beginning and ending weigh little, as they do in an hour."""
    camera = folder / "footage" / "shop"
    camera.mkdir(parents=True)
    _repeat(real / "video" / "single" / "retail_hevc_1080p.mp4", camera / "2026-03-01_10-00-00.000Z.mp4", times=6)
    return _collated(folder, camera.parent, camera.name)


def _repeat(source: Path, target: Path, times: int) -> None:
    """The same video several times over, copied."""
    with av.open(str(target), "w") as out, av.open(str(source)) as first:
        stream = out.add_stream_from_template(first.streams.video[0])
        offset = 0
        for _ in range(times):
            with av.open(str(source)) as container:
                (video,) = container.streams.video
                for packet in container.demux(video):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = (packet.pts or 0) + offset, packet.dts + offset
                    packet.stream = stream
                    out.mux(packet)
                offset += video.duration or 0


def _collated(folder: Path, footage: Path, camera: str) -> Scene:
    objects = open_objects(ObjectSettings(allowed_roots=(folder, footage)))
    listing = list_footage(objects, file_uri(footage))
    workspace = Workspace(file_uri(folder / "reels"), objects, folder / "cache")
    request = CollateRequest(listing, camera)
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
    """Decoding, inference and drawing, each by itself. `boxes`: (n, 4) of the crops."""

    def __init__(self, scene: Scene, client: InferenceClient, boxes: NDArray[np.float32]) -> None:
        self._scene, self._client, self._boxes = scene, client, boxes
        detector, reid = client.model(DETECTOR), client.model(REID)
        self._canvas = Size(detector.input_width, detector.input_height)
        self._fitted = Size(reid.input_width, reid.input_height)
        with ReelReader(scene.reel, scene.artifact.path) as reader:
            self._some: list[Frame] = []
            self._pictures = []
            for frame in reader.frames(rate=RATE):
                self._some += [frame] * (len(self._some) < _KEPT)
                self._pictures.append(letterboxed(frame, Letterbox(frame.size, self._canvas)))
        self.frames = len(self._pictures)
        crop = fitted(self._some[0].rgb(), self._fitted)
        together = client.largest_batch(REID)
        self._packs = [np.stack([crop] * len(boxes[at : at + together])) for at in range(0, len(boxes), together)]

    def decode(self) -> Cost:
        """A single thread on each core, as a core whose neighbours idle is faster than it ever is at work; what one of them took."""
        with cost() as spent, ThreadPoolExecutor(cores()) as pool:
            for each in [pool.submit(self._decode) for _ in range(cores())]:
                each.result()
        return Cost(spent.wall, spent.cpu / cores())

    def _decode(self) -> None:
        with av.open(str(self._scene.video)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for _ in container.decode(video=0):
                pass

    def infer(self) -> Cost:
        with cost() as spent:
            self._alone(self._pictures, self._client.detect)
            self._alone(self._packs, self._client.embed)
        return spent

    def draw(self) -> Cost:
        """A picture of each frame for the detector, and each crop: for its quality, for the ReID model and as JPEG."""
        with cost() as spent:
            for number in range(self.frames):
                frame = self._some[number % len(self._some)]
                letterboxed(frame, Letterbox(frame.size, self._canvas))
            for number, (left, top, right, bottom) in enumerate(self._boxes.tolist()):
                crop = Crop(self._some[number % len(self._some)], (left, top, right, bottom))()
                crop_quality(1.0, crop)
                fitted(crop, self._fitted)
                cv2.imencode(".jpg", crop)
        return spent

    def _alone(self, pictures: Sequence[NDArray[np.uint8]], ask: Callable[[NDArray[np.uint8]], Future[Any]]) -> None:
        requests = ((number, lambda picture=picture: ask(picture)) for number, picture in enumerate(pictures))
        for _ in in_flight(requests, _IN_FLIGHT):
            pass


def _crops(scene: Scene, tracked: Artifact) -> NDArray[np.float32]:
    """(n, 5): frame and box of every crop that we embedded."""
    table = read_tracks(tracked.path("tracks.parquet"))
    embeddings = artifact_embeddings(tracked)
    keys = zip(table.track_ids.tolist(), table.times_ns.tolist(), strict=True)
    boxes = dict(zip(keys, table.boxes, strict=True))
    start = scene.reel.parts[0].span.start.ns
    rows = []
    for track, time in zip(embeddings.track_ids.tolist(), embeddings.times_ns.tolist(), strict=True):
        rows.append((round((time - start) * _SOURCE_RATE / NS_PER_SECOND), *boxes[track, time]))
    return np.array(rows, np.float32)


def _looked_at(scene: Scene, tracked: Artifact) -> NDArray[np.int64]:
    """Numbers of the frames that we look at, every third one: a camera's tenths of a second need not begin with its footage."""
    span = scene.reel.parts[0].span
    times_ns = read_tracks(tracked.path("tracks.parquet")).times_ns - span.start.ns
    frames = np.rint(times_ns * (_SOURCE_RATE / NS_PER_SECOND)).astype(np.int64)
    first = int(np.bincount(frames % _EVERY).argmax())
    return np.arange(first, span.duration_ns * _SOURCE_RATE // NS_PER_SECOND, _EVERY)
