from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from throughline.domain.calibration import Calibration
from throughline.domain.tracks import TrackEmbeddings, TrackTable
from throughline.storage.pictures import PICTURES_FILE, PictureWriter
from throughline.storage.tables import TRACKS_FILE, read_embeddings, read_tracks, write_embeddings, write_tracks
from throughline.tracker.join import NO_JOINS, JoinSettings
from throughline.tracker.refine import Refined, refine

STEP = 100_000_000
EVEN_AT_HALF = Calibration((-1.0, 0.5, 1.0), (0.0, 0.5, 1.0), "a test", 8, 8)
ANNA, BERT, CARL = np.eye(8, dtype=np.float32)[:3]
JUMP = 40.0
"""Pixels that a box moves where an association mistook one person for the next; otherwise it moves by one."""


class Raw:
    """Tracks before they are refined: boxes every 100 ms, of whom the crops say they show somebody."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.boxes: list[tuple[int, int, float]] = []
        self.crops: list[tuple[int, int, np.ndarray]] = []
        self.poor: set[int] = set()

    def track(
        self,
        number: int,
        first: int,
        count: int,
        looks: dict[int, np.ndarray],
        jumps: tuple[int, ...] = (),
        left: float = 0.0,
    ) -> None:
        """`looks`: of the box of each step, counted from the track's first; `jumps`: steps at which the box jumps."""
        for step in range(count):
            left += JUMP if step in jumps else 1.0
            self.boxes.append((number, (first + step) * STEP, left))
        self.crops += [(number, (first + step) * STEP, look) for step, look in looks.items()]

    def refined(
        self, out: Path, calibration: Calibration | None = EVEN_AT_HALF, joining: JoinSettings = NO_JOINS
    ) -> Refined:
        self.folder.mkdir()
        out.mkdir()
        ids, times, lefts = (np.array(column) for column in zip(*self.boxes, strict=True))
        boxes = np.stack([lefts, lefts * 0, lefts + 50, lefts * 0 + 100], axis=1).astype(np.float32)
        write_tracks(self.folder / TRACKS_FILE, TrackTable(ids, times, boxes, np.full(len(ids), 0.9, np.float32)))
        with PictureWriter(self.folder) as pictures:
            names = tuple(pictures.add(b"\xff\xd8%d\xff\xd9" % (time // STEP)) for _, time, _ in self.crops)
        numbers, moments, looks = zip(*self.crops, strict=True)
        qualities = np.linspace(0.5, 0.9, len(names), dtype=np.float32)
        clear = np.array([moment // STEP not in self.poor for moment in moments])
        write_embeddings(
            self.folder,
            TrackEmbeddings(np.stack(looks), np.array(numbers), np.array(moments), qualities, clear, names),
        )
        starts = {int(number): int(times[ids == number].min()) for number in np.unique(ids)}
        return refine(self.folder, starts, out, calibration, joining=joining)


@pytest.fixture
def raw(tmp_path: Path) -> Raw:
    return Raw(tmp_path / "raw")


def steps(out: Path) -> dict[int, tuple[int, int]]:
    """First and last step of each track that was written."""
    spans = {track.track_id: track.span for track in read_tracks(out / TRACKS_FILE).tracks()}
    return {number: (span.start.ns // STEP, span.end.ns // STEP) for number, span in spans.items()}


def test_a_track_of_two_people_becomes_two_where_its_box_jumps(raw: Raw, tmp_path: Path) -> None:
    raw.track(1, 0, 40, {2: ANNA, 8: ANNA, 14: ANNA, 24: BERT, 30: BERT, 36: BERT}, jumps=(17,))
    raw.refined(tmp_path / "out")
    assert steps(tmp_path / "out") == {1: (0, 16), 2: (17, 39)}


def test_a_track_of_one_person_stays_whole_though_a_crop_shows_another(raw: Raw, tmp_path: Path) -> None:
    raw.track(1, 0, 40, {2: ANNA, 8: ANNA, 14: BERT, 24: ANNA, 30: ANNA}, jumps=(17,))
    raw.track(2, 5, 20, {6: BERT, 12: CARL})
    raw.refined(tmp_path / "out")
    assert steps(tmp_path / "out") == {1: (0, 39), 2: (5, 24)}


def test_poor_crops_divide_nothing_and_are_kept(raw: Raw, tmp_path: Path) -> None:
    looks = {2: ANNA, 8: ANNA, 14: ANNA, 24: BERT, 30: BERT, 36: BERT}
    raw.track(1, 0, 40, looks, jumps=(17,))
    raw.poor = {24, 30, 36}
    raw.refined(tmp_path / "out")
    assert steps(tmp_path / "out") == {1: (0, 39)}
    assert read_embeddings(tmp_path / "out").clear.tolist() == [True] * 3 + [False] * 3


def test_where_nobody_is_seen_there_is_nothing_to_refine(tmp_path: Path) -> None:
    nothing, none = np.zeros((0, 8), np.float32), np.zeros(0, np.int64)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / PICTURES_FILE).touch()
    write_tracks(tmp_path / "raw" / TRACKS_FILE, TrackTable(none, none, nothing[:, :4], nothing[:, 0]))
    write_embeddings(tmp_path / "raw", TrackEmbeddings(nothing, none, none, nothing[:, 0], none.astype(bool), ()))
    (tmp_path / "out").mkdir()
    refined = refine(tmp_path / "raw", {}, tmp_path / "out", EVEN_AT_HALF, joining=JoinSettings())
    assert (refined.lines, refined.best_crops) == ([], {})


def test_a_track_of_poor_crops_alone_is_kept_whole(raw: Raw, tmp_path: Path) -> None:
    raw.track(1, 0, 40, {2: ANNA, 8: ANNA, 24: BERT, 30: BERT}, jumps=(17,))
    raw.poor = {2, 8, 24, 30}
    raw.refined(tmp_path / "out")
    assert steps(tmp_path / "out") == {1: (0, 39)}


def test_three_people_become_three_tracks_numbered_by_time_among_the_others(raw: Raw, tmp_path: Path) -> None:
    looks = {2: ANNA, 8: ANNA, 12: ANNA, 18: BERT, 22: BERT, 28: CARL, 34: CARL, 38: CARL}
    raw.track(1, 0, 40, looks, jumps=(15, 25))
    raw.track(2, 20, 10, {22: ANNA, 24: ANNA})
    raw.refined(tmp_path / "out")
    assert steps(tmp_path / "out") == {1: (0, 14), 2: (15, 24), 3: (20, 29), 4: (25, 39)}


def test_crops_go_with_the_people_whom_they_show(raw: Raw, tmp_path: Path) -> None:
    out = tmp_path / "out"
    raw.track(1, 0, 40, {2: ANNA, 8: ANNA, 14: ANNA, 24: BERT, 30: BERT, 36: BERT}, jumps=(17,))
    refined = raw.refined(out)
    embeddings = read_embeddings(out)
    assert embeddings.track_ids.tolist() == [1, 1, 1, 2, 2, 2]
    np.testing.assert_array_equal(embeddings.vectors, [ANNA] * 3 + [BERT] * 3)
    pictures = (out / PICTURES_FILE).read_bytes()
    places = [[int(place) for place in crop.partition("#")[2].split("+")] for crop in embeddings.crops]
    steps = [int(pictures[first + 2 : first + count - 2]) for first, count in places]
    assert [step * STEP for step in steps] == embeddings.times_ns.tolist()
    assert refined.best_crops == {1: embeddings.crops[2], 2: embeddings.crops[5]}


def test_the_best_crop_of_a_track_is_a_clear_one(raw: Raw, tmp_path: Path) -> None:
    raw.track(1, 0, 40, {2: ANNA, 8: ANNA, 14: ANNA})
    raw.poor = {14}  # of the highest quality
    refined = raw.refined(tmp_path / "out")
    assert refined.best_crops == {1: read_embeddings(tmp_path / "out").crops[1]}


def test_every_box_is_kept_and_each_track_has_its_line(raw: Raw, tmp_path: Path) -> None:
    raw.track(1, 0, 40, {2: ANNA, 8: ANNA, 14: ANNA, 24: BERT, 30: BERT, 36: BERT}, jumps=(17,))
    refined = raw.refined(tmp_path / "out")
    assert [line[:4] for line in refined.lines] == [(1, 0, 16 * STEP, 17), (2, 17 * STEP, 39 * STEP, 23)]
    assert [(round(line.mean_score, 3), line.mean_height_px) for line in refined.lines] == [(0.9, 100.0)] * 2


def test_without_a_calibration_nothing_is_divided(raw: Raw, tmp_path: Path) -> None:
    raw.track(1, 0, 40, {2: ANNA, 8: ANNA, 24: BERT, 30: BERT}, jumps=(17,))
    raw.refined(tmp_path / "out", calibration=None)
    assert steps(tmp_path / "out") == {1: (0, 39)}


def test_where_another_begins_on_top_looks_must_say_clearly_that_it_goes_on(raw: Raw, tmp_path: Path) -> None:
    between = (ANNA + BERT) / np.sqrt(2).astype(np.float32)
    raw.track(1, 0, 40, {8: ANNA, 14: ANNA, 24: between, 30: between})
    raw.track(2, 20, 10, {22: CARL, 24: CARL}, left=19.0)
    raw.refined(tmp_path / "out")
    assert steps(tmp_path / "out") == {1: (0, 19), 2: (20, 39), 3: (20, 29)}


def test_a_track_that_clearly_goes_on_stays_whole_though_another_begins_on_top(raw: Raw, tmp_path: Path) -> None:
    raw.track(1, 0, 40, {8: ANNA, 14: ANNA, 24: ANNA, 30: ANNA})
    raw.track(2, 20, 10, {22: CARL, 24: CARL}, left=19.0)
    raw.refined(tmp_path / "out")
    assert steps(tmp_path / "out") == {1: (0, 39), 2: (20, 29)}
