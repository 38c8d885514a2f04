"""Real weights on a real corridor; needs THROUGHLINE_REALDATA. Pictures of people stay in the test's own folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import av
import numpy as np
import pytest

from tests.tracker.scenes import START
from throughline.domain.footage import Reel, ReelChunk, ReelPart
from throughline.domain.geometry import Size, iou_matrix
from throughline.domain.time import Interval
from throughline.domain.work import Work
from throughline.perception.triton.client import InferenceClient
from throughline.storage import documents
from throughline.storage.tables import artifact_embeddings, read_tracks
from throughline.storage.workspace import Workspace
from throughline.tracker.artifacts import REEL_FILE
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import TrackStage, Where

RATE, FIRST_FRAME, SECONDS = 25, 200, 12


@pytest.fixture
def corridor(real_repository: Path, workspace: Workspace) -> Path:
    """A reel of the corridor's first minute; the folder with its labels."""
    folder = Path(os.environ["THROUGHLINE_REALDATA"], "video", "corridor_3cam")
    with workspace.create("reels/Cam1") as place:
        count = _copy_start(folder / "Cam1.mp4", place / "part-000.mp4", FIRST_FRAME + SECONDS * RATE)
        span = Interval(START, START + count * 10**9 // RATE)
        size = Size(320, 240)
        part = ReelPart("part-000.mp4", START, span, "h264", size, 0, count)
        chunk = ReelChunk("Cam1.mp4", "file:///Cam1.mp4", "", 1, "sha", part=0, span=span, frame_count=count)
        (place / REEL_FILE).write_bytes(documents.dump(Reel("Cam1", (part,), (chunk,), ())))
    return folder


def test_labelled_people_are_found_and_told_apart(
    corridor: Path, inference: InferenceClient, workspace: Workspace
) -> None:
    window = Interval(START + FIRST_FRAME * 10**9 // RATE, START + (FIRST_FRAME + SECONDS * RATE) * 10**9 // RATE)
    tracked = TrackStage(workspace, inference, TrackerSettings()).run("reels/Cam1", "Cam1", 10.0, Where(window), Work())
    table = read_tracks(tracked.artifact.path("tracks.parquet"))
    found, labelled = 0, 0
    for label in json.loads((corridor / "silver_labels.json").read_text())["tracklets"]:
        for frame in label["frames"] if label["video"] == "Cam1.mp4" else ():
            near = np.abs(table.times_ns - (START.ns + frame["f"] * 10**9 // RATE)) < 10**9 // RATE // 2
            if FIRST_FRAME <= frame["f"] < FIRST_FRAME + SECONDS * RATE and frame["f"] % 5 == 0:
                labelled += 1
                boxes = np.array([frame["box"]], np.float32)
                found += bool(near.any()) and bool(iou_matrix(boxes, table.boxes[near]).max() >= 0.5)
    assert labelled > 20
    assert found >= 0.8 * labelled
    embeddings = artifact_embeddings(tracked.artifact)
    same = embeddings.track_ids[:, None] == embeddings.track_ids[None]
    cosines = embeddings.vectors @ embeddings.vectors.T
    np.fill_diagonal(cosines, np.nan)
    assert np.nanmean(np.where(same, cosines, np.nan)) > np.nanmean(np.where(same, np.nan, cosines)) + 0.1


def _copy_start(source: Path, target: Path, frames: int) -> int:
    """Copy about the first `frames` frames, PTS in 1/90000 s from 0."""
    options = {"video_track_timescale": "90000"}
    with av.open(str(source)) as read, av.open(str(target), "w", options=options) as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        count = 0
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is None or count >= frames:
                break
            packet.stream = stream
            written.mux(packet)
            count += 1
    return count
