"""Decoding, detecting and embedding on one camera, against what the processor allows.

The limit of a stage is the number of cores over the CPU seconds that decoding alone and inference alone (through Triton) take
for one frame or crop, all measured here in the same run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.bench.cost import cores, cost
from tests.bench.measure import Measure
from throughline.domain.footage import Reel
from throughline.domain.geometry import Letterbox, Size
from throughline.domain.work import Work
from throughline.ingest.collate import REEL, CollateRequest, Collator
from throughline.ingest.listing import list_footage
from throughline.ingest.settings import CollateSettings
from throughline.media.frame import Picture
from throughline.media.reader import ReelReader
from throughline.perception.associate import Association, AssociationSettings
from throughline.perception.detect import detect
from throughline.perception.embed import fitted
from throughline.perception.in_flight import in_flight
from throughline.perception.letterbox import letterboxed
from throughline.perception.triton.client import DETECTOR, REID, InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.storage import documents
from throughline.storage.objects import ObjectSettings, file_uri, open_objects
from throughline.storage.workspace import Artifact, Workspace
from throughline.tracker.gallery import frames_at, make_gallery
from throughline.tracker.record import TrackRecorder, record_tracks

_RATE = 10.0
_IN_FLIGHT = 8
_STORE = SimulationSettings(seed=7, cameras=1, seconds=60, workers=1)


def run() -> list[Measure]:
    """Figures of decoding, detecting and embedding."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        artifact = _reel(folder)
        with (
            TritonServer(TritonSettings(log=folder / "triton.log")) as server,
            InferenceClient(server.grpc_address) as client,
        ):
            list(detect(_frames(artifact, most=20), client, _IN_FLIGHT))  # warm up
            return [*_decoding(artifact), *_detecting(artifact, client), *_embedding(artifact, client, folder)]


def _reel(folder: Path) -> Artifact:
    store = simulate(_STORE, folder / "store")
    objects = open_objects(ObjectSettings(allowed_roots=(folder,)))
    workspace = Workspace(file_uri(folder / "workspace"), objects, folder / "cache")
    listing = list_footage(objects, file_uri(store.footage))
    collator = Collator(objects, workspace, CollateSettings())
    return collator.collate(CollateRequest(listing, next(iter(listing.cameras))), Work()).artifact


def _reader(artifact: Artifact) -> ReelReader:
    return ReelReader(documents.load(Reel, artifact.path(REEL).read_bytes()), artifact.path, threads=1)


def _frames(artifact: Artifact, most: int | None = None) -> Iterator[Any]:
    with _reader(artifact) as reader:
        for number, frame in enumerate(reader.frames(rate=_RATE)):
            if number == most:
                return
            yield frame


def _bare_decode(artifact: Artifact) -> tuple[int, float]:
    """Frames in all, and CPU seconds of PyAV alone over all of them."""
    reel = documents.load(Reel, artifact.path(REEL).read_bytes())
    count = 0
    with cost() as spent:
        for part in reel.parts:
            with av.open(str(artifact.path(part.file))) as container:
                container.streams.video[0].codec_context.thread_count = 1
                count += sum(1 for _ in container.decode(video=0))
    return count, spent.cpu


def _decoding(artifact: Artifact) -> list[Measure]:
    count, bare = _bare_decode(artifact)
    with cost() as spent, _reader(artifact) as reader:
        analysed = sum(1 for _ in reader.frames(rate=_RATE))
    return [
        Measure("decode, source frames per CPU second", count / spent.cpu, "frames/s"),
        Measure("decode, of PyAV alone", bare / spent.cpu, "ratio", 0.75, "higher"),
        Measure("decode, frames analysed", analysed, "frames"),
    ]


def _detecting(artifact: Artifact, client: InferenceClient) -> list[Measure]:
    card = client.model(DETECTOR)
    canvas = Size(card.input_width, card.input_height)
    pictures = [letterboxed(frame, Letterbox(frame.size, canvas)) for frame in _frames(artifact)]
    inference = _alone(pictures, client.detect)
    _, decoding = _bare_decode(artifact)
    with cost() as spent:
        count = sum(1 for _ in detect(_frames(artifact), client, _IN_FLIGHT))
    limit = cores() / (decoding / count + inference)
    return [
        Measure("detect, frames analysed per second", count / spent.wall, "frames/s"),
        Measure("detect, the processor's limit", limit, "frames/s"),
        Measure("detect, of the limit", count / spent.wall / limit, "ratio", 0.70, "higher"),
    ]


def _embedding(artifact: Artifact, client: InferenceClient, folder: Path) -> list[Measure]:
    detections = list(detect(_frames(artifact), client, _IN_FLIGHT))
    size = next(_frames(artifact, most=1)).size
    with TrackRecorder(folder, crops_per_track=8) as recorder:
        record_tracks(((size, found) for found in detections), 0, Association(_RATE, AssociationSettings()), recorder)
    chosen = recorder.chosen()
    card = client.model(REID)
    crop = fitted(next(_frames(artifact, most=1)).rgb(), Size(card.input_width, card.input_height))
    inference = _alone([crop] * len(chosen), client.embed)
    with cost() as decoding:
        for _ in _frames_of(artifact, np.unique(chosen["time_ns"]).tolist()):
            pass
    place = folder / "gallery"
    place.mkdir()
    with cost() as spent, _reader(artifact) as reader:
        make_gallery(reader, chosen, place, client, 2 * _IN_FLIGHT, Work())
    limit = cores() / (decoding.cpu / len(chosen) + inference)
    return [
        Measure("embed, crops per second", len(chosen) / spent.wall, "crops/s"),
        Measure("embed, the processor's limit", limit, "crops/s"),
        Measure("embed, of the limit", len(chosen) / spent.wall / limit, "ratio", 0.40, "higher"),
    ]


def _frames_of(artifact: Artifact, times_ns: list[int]) -> Iterator[Any]:
    with _reader(artifact) as reader:
        yield from frames_at(reader, times_ns)


def _alone(pictures: Sequence[Picture], ask: Callable[[Picture], Future[Any]]) -> float:
    """CPU seconds a picture of inference alone, through Triton, its client and its processes included."""
    requests = ((number, lambda picture=picture: ask(picture)) for number, picture in enumerate(pictures))
    with cost() as spent:
        for _ in in_flight(requests, _IN_FLIGHT):
            pass
    return spent.cpu / len(pictures)
