"""Real weights on real video: the whole job over three corridor cameras, with silver labels as the truth.

Needs THROUGHLINE_REALDATA. Figures only; the pictures stay in the output folder and show real people.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console

from tests.bench.measure import Measure
from tests.bench.run_plain_loop import plain_loop
from tests.bench.who_is_who import LoopBoxes, every_box
from tests.evaluation.jobs import run_job
from tests.evaluation.own_tracks import own_tracks
from tests.evaluation.reliability import auc_of, reliability
from throughline.cli.deployment import Deployment
from throughline.cli.evaluate import describe_sets, evaluate_reid
from throughline.cli.objectstore import local_s3
from throughline.cli.stack import StackSettings
from throughline.cli.up import running
from throughline.domain.likeness import SAME_LOOKS, all_likenesses
from throughline.domain.rerank import reranked
from throughline.domain.time import NS_PER_SECOND, Instant, ticks_to_ns
from throughline.domain.tracks import TrackEmbeddings
from throughline.models.build import build_detector, build_reid
from throughline.models.calibrate import LabelledCamera, calibrate, cosine_pairs, set_pairs
from throughline.models.crop_sets import read_pictures
from throughline.models.reid_figures import DescribedSet, ranked
from throughline.perception.triton.card import ModelCard
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.storage.tables import TRACKS_FILE, read_tracks
from throughline.storage.truth import read_truth
from throughline.v1.common_pb2 import VERDICT_VALID
from throughline.v1.orchestrator_pb2 import Job, JobOptions

START = Instant.parse("2026-03-01T10:00:00Z")
CHUNK_NS = 20_000_000_000
RATE = 25
BUCKET = "corridor"
QUERY_PERSON = "D"


@dataclass(frozen=True, slots=True)
class _Labels:
    """Silver labels, a row per box."""

    cameras: tuple[str, ...]
    times_ns: tuple[int, ...]
    persons: tuple[str, ...]
    boxes: tuple[tuple[float, float, float, float], ...]


def run(folder: Path) -> list[Measure]:
    """Build the models, calibrate on other data, run the job to its film, and compare the ranking with the labels."""
    data = Path(os.environ["THROUGHLINE_REALDATA"])
    console = Console(stderr=True)
    shutil.rmtree(folder, ignore_errors=True)
    repository = _models(data, folder)
    corridor = _corridor()
    document = json.loads((corridor / "silver_labels.json").read_text())
    truth = _write_truth(_labels(document), folder / "truth.parquet")
    chunks = [chunk for video in sorted(corridor.glob("*.mp4")) for chunk in _cut(video, folder / "footage")]
    settings = StackSettings(home=folder / "home", port=0, truth=truth, model_repository=repository)
    with running(settings, console) as (deployment, _):
        _upload(chunks, folder / "footage", deployment.s3_endpoint_url)
        query = json.dumps(_query(document))
        job = run_job(deployment, f"s3://{BUCKET}/", query, JobOptions(), console)
        with InferenceClient(deployment.addresses["triton"]) as client:
            batches = {name: client.statistics(name).mean_batch for name in ("detector", "reid")}
        measures = _measures(job, deployment, truth, repository)
    measures += _tracklets(corridor, repository)
    return [*measures, *(Measure(f"corridor: mean batch, {name}", mean, "") for name, mean in batches.items())]


def _corridor() -> Path:
    return Path(os.environ["THROUGHLINE_REALDATA"]) / "video" / "corridor_3cam"


def _models(data: Path, folder: Path) -> Path:
    repository = folder / "models"
    build_detector(data / "weights" / "yolox_nano.onnx", repository, licence="Apache-2.0")
    build_reid(data / "weights" / "osnet_x0_25_msmt17.onnx", repository, licence="MIT")
    place = _pku_place(data / "reid" / "pku_half_a", repository, folder / "triton.log")
    calibrate(repository / "reid", [place], "PKU-Reid half a: 37 people, two cameras, four crops each")
    return repository


def _pku_place(pictures: Path, repository: Path, log: Path) -> list[LabelledCamera]:
    """Two sets for each person and camera, of four directions each, like the crops of a track."""
    sets = read_pictures(pictures)
    with (
        TritonServer(TritonSettings(model_repository=repository, log=log)) as server,
        InferenceClient(server.grpc_address) as client,
    ):
        described = describe_sets(sets, client)
    return [
        _as_tracks([each for each in described if each.camera == camera])
        for camera in sorted({each.camera for each in described})
    ]


def _as_tracks(sets: list[DescribedSet]) -> LabelledCamera:
    halves = [(each.person, half) for each in sets for half in (each.vectors[0::2], each.vectors[1::2])]
    numbers = np.repeat(np.arange(len(halves)), [len(half) for _, half in halves])
    vectors = np.concatenate([half for _, half in halves])
    n = len(numbers)
    embeddings = TrackEmbeddings(vectors, numbers, np.zeros(n, np.int64), np.ones(n, np.float32), np.ones(n, bool), ())
    return LabelledCamera(embeddings, {number: person for number, (person, _) in enumerate(halves)})


def _labels(document: dict[str, Any]) -> _Labels:
    """Every frame of every named tracklet; between labelled frames, two to five apart, boxes are interpolated."""
    cameras: list[str] = []
    persons: list[str] = []
    times: list[int] = []
    boxes: list[tuple[float, float, float, float]] = []
    for tracklet in document["tracklets"]:
        if tracklet["person"] != "?":
            known = [frame["f"] for frame in tracklet["frames"]]
            every = np.arange(known[0], known[-1] + 1)
            corners = np.array([frame["box"] for frame in tracklet["frames"]])
            columns = [np.interp(every, known, corners[:, side]) for side in range(4)]
            cameras += [tracklet["video"].removesuffix(".mp4")] * len(every)
            persons += [tracklet["person"]] * len(every)
            times += [_time_ns(frame) for frame in every.tolist()]
            boxes += list(zip(*columns, strict=True))
    return _Labels(tuple(cameras), tuple(times), tuple(persons), tuple(boxes))


def _time_ns(frame: int) -> int:
    return START.ns + ticks_to_ns(frame, Fraction(1, RATE))


def _write_truth(labels: _Labels, path: Path) -> Path:
    boxes = np.array(labels.boxes, np.float32)
    columns = {
        "camera": labels.cameras,
        "camera_time_ns": np.array(labels.times_ns, np.int64),
        "name": labels.persons,
        "kind": ["person"] * len(boxes),
        **{side: boxes[:, index] for index, side in enumerate(("left", "top", "right", "bottom"))},
        "visibility": np.ones(len(boxes), np.float32),
    }
    pq.write_table(pa.table(columns), path)
    return path


def _query(document: dict[str, Any]) -> dict[str, Any]:
    """The longest tracklet of the chosen person."""
    own = [tracklet for tracklet in document["tracklets"] if tracklet["person"] == QUERY_PERSON]
    longest = max(own, key=lambda tracklet: len(tracklet["frames"]))
    return {
        "camera": longest["video"].removesuffix(".mp4"),
        "label": f"person {QUERY_PERSON}",
        "frame_size": {"width": 320, "height": 240},
        "observations": [
            {"time": str(Instant(_time_ns(frame["f"]))), "box": _inside(frame["box"])} for frame in longest["frames"]
        ],
    }


def _inside(box: list[float]) -> list[float]:
    return [max(0.0, box[0]), max(0.0, box[1]), min(320.0, box[2]), min(240.0, box[3])]


def _cut(video: Path, footage: Path) -> Iterator[Path]:
    """Copy a video into chunks that begin at keyframes and are named by their first frame's time."""
    folder = footage / video.stem
    folder.mkdir(parents=True, exist_ok=True)
    with av.open(str(video)) as source:
        stream = source.streams.video[0]
        output: Any = None
        begun_ns = 0
        for packet in source.demux(stream):
            if packet.pts is None or packet.dts is None or stream.time_base is None:
                continue
            at_ns = ticks_to_ns(packet.pts - (stream.start_time or 0), stream.time_base)
            if output is None or (packet.is_keyframe and at_ns - begun_ns >= CHUNK_NS):
                if output is not None:
                    output.close()
                name = str(START + at_ns).replace(":", "-").replace("T", "_")
                path, begun_ns, first = folder / f"{name}.mp4", at_ns, packet.dts
                output = av.open(str(path), "w")
                copy = output.add_stream_from_template(stream)
                yield path
            packet.pts, packet.dts = packet.pts - first, packet.dts - first
            packet.stream = copy
            output.mux(packet)
        output.close()


def _upload(chunks: list[Path], footage: Path, endpoint_url: str) -> None:
    s3 = local_s3(endpoint_url)
    s3.create_bucket(Bucket=BUCKET)
    for chunk in chunks:
        s3.upload_file(str(chunk), BUCKET, str(chunk.relative_to(footage)))


def _tracklets(corridor: Path, repository: Path) -> list[Measure]:
    """The labelled tracklets themselves, as `throughline eval reid` has them."""
    figures = evaluate_reid(corridor, repository)
    return [
        Measure(f"corridor {name}: {kind}", values[kind], "")
        for name, values in figures.items()
        for kind in ("rank-1", "mAP")
    ]


def _measures(job: Job, deployment: Deployment, truth: Path, repository: Path) -> list[Measure]:
    cameras = read_truth(truth)
    place, names = own_tracks(deployment.home, cameras)
    plain = _plain(deployment.home, repository)
    confirmed = sum(each.verdict == VERDICT_VALID for each in job.candidates)
    return [
        Measure("corridor: cameras", len(cameras), ""),
        Measure("corridor: own tracks", sum(len(each.embeddings.descriptors()[0]) for each in place), "tracks"),
        Measure("corridor: of them clear and labelled", sum(len(each.people) for each in place), "tracks"),
        Measure("corridor: IoU of the query", job.query_iou, "", 0.3, "higher"),
        Measure("corridor: candidates", len(job.candidates), "tracks"),
        Measure("corridor: confirmed by the labels", confirmed, "tracks", 1, "higher"),
        Measure("corridor: film", job.timeline.duration_ns / 1e9, "s", 1, "higher"),
        *_recognition(place, names, plain, ModelCard.read(repository / "reid")),
        *(Measure(f"corridor: stage {each.stage}", each.seconds, "s") for each in job.timings),
    ]


def _plain(home: Path, repository: Path) -> dict[str, TrackEmbeddings]:
    """By camera what a plain loop over the frames that were analysed makes of the same tracks: a vector of every box that it finds."""
    found = {}
    for folder in sorted((home / "workspace" / "tracks").iterdir()):
        camera = json.loads((folder / "summary.json").read_bytes())["camera"]
        table = read_tracks(folder / TRACKS_FILE)
        frames = np.unique(np.rint((table.times_ns - START.ns) * (RATE / NS_PER_SECOND)).astype(np.int64))
        arrays, _ = plain_loop(_corridor() / f"{camera}.mp4", repository, frames, "all", home)
        tracks = {track.track_id: (track.times_ns, track.boxes) for track in table.tracks()}
        found[camera] = every_box(tracks, LoopBoxes.of(arrays, START.ns, RATE))
    return found


def _recognition(
    place: list[LabelledCamera], names: list[str], plain: dict[str, TrackEmbeddings], card: ModelCard
) -> Iterator[Measure]:
    """Every clear labelled track that the plain loop sees too queries those of other cameras: by every box of that loop, by even
    crops, by cosine, by likeness, and re-ranked."""
    cosines, matching = card.calibration, card.matching
    assert cosines is not None
    assert matching is not None
    tables = [each.embeddings for each in place]
    descriptors = np.concatenate([each.descriptors()[1] for each in tables])
    even = np.concatenate([_even_means(each) for each in tables])
    looped = np.zeros_like(descriptors)
    same = cosines.inverse(SAME_LOOKS)
    alike = all_likenesses(tables, np.array(matching.mean_look, np.float32), same)
    sets: list[DescribedSet] = []
    rows: list[int] = []
    for each, name in zip(place, names, strict=True):
        means = dict(zip(*(column.tolist() for column in plain[name].means()), strict=True))
        for number in each.embeddings.descriptors()[0].tolist():
            if number in each.people and number in means:
                looped[len(sets)] = means[number]
                rows.append(len(sets))
            sets.append(DescribedSet(str(each.people.get(number)), name, np.zeros((0, 0), np.float32)))
    chosen = [sets[row] for row in rows]
    kinds = {
        "a plain loop's mean of every box": looped @ looped.T,
        "plain mean of six even crops": even @ even.T,
        "cosine": descriptors @ descriptors.T,
        "likeness": alike,
        "likeness, re-ranked": reranked(alike),
    }
    found = {kind: ranked(values[np.ix_(rows, rows)], chosen) for kind, values in kinds.items()}
    yield Measure("corridor: of the clear ones, seen by a plain loop too", len(rows), "tracks")
    for kind, figures in found.items():
        least = max(0.85, found[next(iter(kinds))]["mAP"]) if kind == "likeness" else None
        yield Measure(f"corridor: rank-1, {kind}", figures["rank-1"], "")
        yield Measure(f"corridor: mAP, {kind}", figures["mAP"], "", least, "higher")
    measured, right = set_pairs(place, np.array(matching.mean_look), same)
    yield Measure("corridor: AUC, cosine", auc_of(*cosine_pairs(place)), "")
    yield Measure("corridor: AUC, likeness", auc_of(measured, right), "")
    yield from reliability("corridor", matching.calibration.apply(measured), right)


def _even_means(embeddings: TrackEmbeddings) -> NDArray[np.float32]:
    """(t, d) plain unit means of up to six crops of each track, evenly chosen."""
    means = []
    for number in embeddings.descriptors()[0].tolist():
        vectors = embeddings.only(number).vectors
        even = np.unique(np.linspace(0, len(vectors) - 1, min(6, len(vectors))).round().astype(int))
        means.append(vectors[even].mean(axis=0))
    stacked = np.stack(means)
    return np.asarray(stacked / np.linalg.norm(stacked, axis=1, keepdims=True), np.float32)
