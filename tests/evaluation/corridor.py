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
from tests.evaluation.jobs import run_job, workspace_of
from throughline.cli.deployment import Deployment
from throughline.cli.objectstore import local_s3
from throughline.cli.stack import StackSettings
from throughline.cli.up import running
from throughline.domain.geometry import Size
from throughline.domain.time import Instant, ticks_to_ns
from throughline.domain.truth import NOBODY, label_tracks
from throughline.media.frame import Picture
from throughline.models.build import build_detector, build_reid
from throughline.models.calibrate import calibrate
from throughline.perception.embed import fitted
from throughline.perception.triton.client import InferenceClient
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.simulation.scoring import auc, is_clear
from throughline.storage.tables import TRACKS_FILE, read_embeddings, read_tracks
from throughline.storage.truth import read_truth
from throughline.storage.workspace import Workspace
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
    corridor = data / "video" / "corridor_3cam"
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
        measures = _measures(job, workspace_of(deployment, folder / "cache"), _track_keys(deployment), truth)
    return [*measures, *(Measure(f"corridor: mean batch, {name}", mean, "") for name, mean in batches.items())]


def _models(data: Path, folder: Path) -> Path:
    repository = folder / "models"
    build_detector(data / "weights" / "yolox_nano.onnx", repository, licence="Apache-2.0")
    build_reid(data / "weights" / "osnet_x0_25_msmt17.onnx", repository, licence="MIT")
    vectors, people, cameras = _pku_descriptors(data / "reid" / "pku_half_a", repository, folder / "triton.log")
    calibrate(repository / "reid", vectors, people, cameras, "PKU-Reid half a: 37 people, two cameras, four crops each")
    return repository


def _pku_descriptors(
    pictures: Path, repository: Path, log: Path
) -> tuple[NDArray[np.float32], NDArray[np.str_], NDArray[np.str_]]:
    """Two descriptors for each person and camera: means of four directions each, like the crops of a track."""
    vectors, people, cameras = [], [], []
    with (
        TritonServer(TritonSettings(model_repository=repository, log=log)) as server,
        InferenceClient(server.grpc_address) as client,
    ):
        card = client.model("reid")
        size = Size(card.input_width, card.input_height)
        for person in sorted(path for path in pictures.rglob("*") if path.is_dir() and any(path.glob("*.png"))):
            for camera in sorted({path.stem.split("_")[0] for path in person.glob("*.png")}):
                files = sorted(person.glob(f"{camera}_*.png"))
                for half in (files[0::2], files[1::2]):
                    crops = [_picture(file) for file in half]
                    found = [client.embed(fitted(crop, size)).result() for crop in crops]
                    mean = np.mean(found, axis=0)
                    vectors.append(mean / np.linalg.norm(mean))
                    people.append(person.name)
                    cameras.append(camera)
    return np.stack(vectors).astype(np.float32), np.array(people), np.array(cameras)


def _picture(file: Path) -> Picture:
    with av.open(str(file)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8)


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


def _track_keys(deployment: Deployment) -> list[str]:
    return sorted(path.name for path in (deployment.home / "workspace" / "tracks").iterdir())


def _measures(job: Job, workspace: Workspace, keys: list[str], truth: Path) -> list[Measure]:
    cameras = read_truth(truth)
    vectors, persons, where = _labelled_descriptors(workspace, keys, truth)
    confirmed = sum(each.verdict == VERDICT_VALID for each in job.candidates)
    ranking = _ranking(vectors, persons, where)
    labelled = persons != NOBODY
    return [
        Measure("corridor: cameras", len(cameras), ""),
        Measure("corridor: own tracks", len(persons), "tracks"),
        Measure("corridor: of them clear and labelled", int(labelled.sum()), "tracks"),
        Measure("corridor: IoU of the query", job.query_iou, "", 0.3, "higher"),
        Measure("corridor: candidates", len(job.candidates), "tracks"),
        Measure("corridor: confirmed by the labels", confirmed, "tracks", 1, "higher"),
        Measure("corridor: film", job.timeline.duration_ns / 1e9, "s", 1, "higher"),
        *(Measure(f"corridor: {name}, across cameras", value, "") for name, value in ranking.items()),
        *(Measure(f"corridor: stage {each.stage}", each.seconds, "s") for each in job.timings),
    ]


def _labelled_descriptors(
    workspace: Workspace, keys: list[str], truth: Path
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.str_]]:
    """Descriptors of all own tracks, whom each clear one shows (else NOBODY), and its camera."""
    cameras = read_truth(truth)
    vectors, persons, where = [], [], []
    for key in keys:
        artifact = workspace.get(f"tracks/{key}")
        summary = json.loads(artifact.path("summary.json").read_bytes())
        labels = label_tracks(read_tracks(artifact.path(TRACKS_FILE)), cameras[summary["camera"]])
        ids, descriptors = read_embeddings(artifact.path(TRACKS_FILE).parent).descriptors()
        for track_id, vector in zip(ids.tolist(), descriptors, strict=True):
            label = labels[track_id]
            vectors.append(vector)
            persons.append(label.person if is_clear(label) else NOBODY)
            where.append(summary["camera"])
    return np.stack(vectors), np.array(persons, np.int64), np.array(where)


def _ranking(vectors: NDArray[np.float32], persons: NDArray[np.int64], where: NDArray[np.str_]) -> dict[str, float]:
    """Every labelled track queries the labelled ones of other cameras: pooled AUC, rank-1, mean average precision."""
    cosines = vectors @ vectors.T
    same, different, hits, precisions = [], [], [], []
    for query in np.flatnonzero(persons != NOBODY):
        others = np.flatnonzero((persons != NOBODY) & (where != where[query]))
        right = persons[others] == persons[query]
        same += cosines[query, others[right]].tolist()
        different += cosines[query, others[~right]].tolist()
        if right.any():
            ranked = right[np.argsort(-cosines[query, others], kind="stable")]
            hits.append(bool(ranked[0]))
            places = np.flatnonzero(ranked) + 1
            precisions.append(float(np.mean(np.arange(1, len(places) + 1) / places)))
    return {"AUC": auc(same, different), "rank-1": float(np.mean(hits)), "mAP": float(np.mean(precisions))}
