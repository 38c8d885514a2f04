"""Quiet footage is looked at now and then only; where somebody is, or may be, every wanted frame is analysed."""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tracker.footage import Painted, Recording, moment
from tests.tracker.scenes import SECOND
from throughline.domain.errors import Cancelled
from throughline.domain.time import Interval
from throughline.domain.work import Work
from throughline.media.frame import Frame
from throughline.perception.detect import detect
from throughline.perception.triton.client import DETECTOR, InferenceClient
from throughline.storage.detections import FrameDetections, read_people
from throughline.storage.tables import read_tracks
from throughline.storage.workspace import Workspace
from throughline.tracker import pieces
from throughline.tracker.settings import TrackerSettings
from throughline.tracker.track import EVERYWHERE, TrackedReel, TrackStage

SECONDS = 30.0
WALKS_BY = Painted(11.3, 14.0, column=1)
FLITS_BY = Painted(17.2, 17.9, column=4)
STAYS = Painted(9.0, 21.0, column=3, cell_seconds=99)


@pytest.fixture
def watching(workspace: Workspace, tiny_client: InferenceClient) -> TrackStage:
    return TrackStage(workspace, tiny_client, TrackerSettings())


@pytest.fixture
def analysing(workspace: Workspace, tiny_client: InferenceClient) -> TrackStage:
    return TrackStage(workspace, tiny_client, TrackerSettings(skip_quiet=False))


def record(workspace: Workspace, *people: Painted) -> None:
    Recording(people, parts=((0.0, SECONDS),), chunk_seconds=SECONDS).publish(workspace, "cam1")


def run(stage: TrackStage) -> TrackedReel:
    return stage.run("reels/cam1", "cam1", 10.0, EVERYWHERE, Work())


def looks(tracked: TrackedReel) -> list[float]:
    people = read_people(tracked.artifact.path("people.parquet"), tracked.summary.skipped[0])
    return [(time - moment(0).ns) / SECOND for time in people.looked_ns.tolist()]


@pytest.mark.parametrize("somebody", [WALKS_BY, FLITS_BY, STAYS], ids=["walks by", "flits by", "stays"])
def test_nobody_is_lost_and_most_is_skipped(
    workspace: Workspace, watching: TrackStage, analysing: TrackStage, somebody: Painted
) -> None:
    record(workspace, somebody)
    watched, analysed = run(watching), run(analysing)
    assert watched.artifact.uri != analysed.artifact.uri
    one, other = (read_tracks(each.artifact.path("tracks.parquet")) for each in (watched, analysed))
    np.testing.assert_array_equal(one.times_ns, other.times_ns)
    np.testing.assert_array_equal(one.boxes, other.boxes)
    assert analysed.summary.skipped_frames == 0
    assert watched.summary.skipped_frames > 0.3 * analysed.summary.frame_count
    assert watched.summary.frame_count + watched.summary.skipped_frames == analysed.summary.frame_count


def test_skipped_spans_are_told_and_hold_a_look_every_two_seconds(workspace: Workspace, watching: TrackStage) -> None:
    record(workspace, WALKS_BY)
    tracked = run(watching)
    first = tracked.summary.skipped[0]
    seen = looks(tracked)
    assert np.diff(seen).max() <= 2.0, "redaction asks for a look within a second of any frame"
    assert (first.start - moment(0)) / SECOND == pytest.approx(0, abs=0.1)
    assert all(span.end <= moment(11.3) or span.start >= moment(14.0) for span in tracked.summary.skipped)
    written = json.loads(tracked.artifact.path("summary.json").read_text())
    assert written["skipped_frames"] == tracked.summary.skipped_frames


def test_an_empty_store_costs_a_look_every_two_seconds(
    workspace: Workspace, watching: TrackStage, tiny_client: InferenceClient
) -> None:
    record(workspace)
    before = tiny_client.statistics(DETECTOR).inference_count
    tracked = run(watching)
    assert tiny_client.statistics(DETECTOR).inference_count - before <= SECONDS / 2 + 2
    assert (tracked.summary.track_count, tracked.summary.crop_count) == (0, 0)


def answers_come_late(monkeypatch: pytest.MonkeyPatch, frames_late: int) -> list[int]:
    """From here on what is found in a frame is told once so many more were looked at. Returns how many frames each pass has."""
    passes: list[int] = []

    def late(frames: Iterable[Frame], **options: Any) -> Iterator[FrameDetections]:
        passes.append(0)
        held: deque[FrameDetections] = deque()
        for found in detect(frames, **{**options, "limit": 1}):
            passes[-1] += 1
            held.append(found)
            if len(held) > frames_late:
                yield held.popleft()
        yield from held

    monkeypatch.setattr(pieces, "detect", late)
    return passes


def test_whoever_stays_is_followed_without_a_pause_and_no_longer_than_it_takes_to_know(
    workspace: Workspace, watching: TrackStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = answers_come_late(monkeypatch, 28)
    record(workspace, STAYS)
    last = run(watching).summary.skipped[-1]
    assert max(passes) >= 100, "of twelve seconds"
    assert 2.0 <= (last.start - moment(21.0)) / SECOND <= 2.0 + 3.2 + 2.0


def test_after_whoever_came_for_a_moment_little_is_analysed(
    workspace: Workspace, watching: TrackStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers_come_late(monkeypatch, 28)
    record(workspace, Painted(11.3, 11.9, column=3, cell_seconds=99))
    last = run(watching).summary.skipped[-1]
    assert (last.start - moment(11.9)) / SECOND <= 2.0 + 0.6 + 2.0


def test_a_watch_that_was_broken_off_leaves_nothing_half_done(
    workspace: Workspace, watching: TrackStage, tmp_path: Path
) -> None:
    record(workspace, STAYS)
    work = Work()
    work.on_step = lambda step: work.cancel() if step.done == 20 else None
    with pytest.raises(Cancelled):
        watching.run("reels/cam1", "cam1", 10.0, EVERYWHERE, work)
    assert not [path for path in (tmp_path / "workspace" / "detections").glob("*") if not path.name.startswith(".")]
    assert run(watching).summary.track_count == 1


@pytest.mark.parametrize("until", [12.0, 14.0, 16.0, 18.0])
def test_the_same_frames_are_looked_at_however_many_are_on_their_way(
    workspace: Workspace, watching: TrackStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: float
) -> None:
    record(workspace, Painted(5.0, until, column=3, cell_seconds=99))
    seen, whole = [], Interval(moment(0), moment(SECONDS))
    for frames_late in (0, 8, 28, 1000):
        answers_come_late(monkeypatch, frames_late)
        tracked = run(watching)
        seen.append(
            (tracked.summary.skipped, read_people(tracked.artifact.path("people.parquet"), whole).looked_ns.tolist())
        )
        for folder in ("detections", "tracks"):
            shutil.rmtree(tmp_path / "workspace" / folder)
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert seen[0][0]
