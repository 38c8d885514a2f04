"""A small store, rendered once: two cameras, half a minute cut to seconds, in frames of 640 x 360."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from throughline.domain.time import MEDIA_RATE, NS_PER_SECOND, Instant
from throughline.domain.truth import CameraTruth
from throughline.simulation.footage import scene_of
from throughline.simulation.queries import Sighting, query_sighting, sightings
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.simulation.truth import StoreTruth, read_truth
from throughline.simulation.view import View
from throughline.wire.query_document import parse_query

SMALL = SimulationSettings(
    seed=3, cameras=2, people=8, seconds=7, width=640, height=360, rate=10, chunk_seconds=3, queries=2, workers=1
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StoreTruth:
    return simulate(SMALL, tmp_path_factory.mktemp("store"))


def test_same_seed_gives_the_same_bytes_in_one_process_or_two(store: StoreTruth, tmp_path: Path) -> None:
    again = simulate(SMALL.model_copy(update={"workers": 2}), tmp_path)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(store.folder) for path in store.folder.rglob("*") if path.is_file())
    for file in files:
        if file.name != "truth.json":  # it says how many workers there were
            assert (tmp_path / file).read_bytes() == (store.folder / file).read_bytes(), file
    assert again.document.cameras == store.document.cameras


def test_truth_reads_back_as_it_was_written(store: StoreTruth) -> None:
    read = read_truth(store.folder)
    assert read.document == store.document
    assert (read.table.boxes == store.table.boxes).all()
    assert (read.table.name == store.table.name).all()


def test_chunks_are_named_by_the_cameras_own_clock_and_follow_each_other(store: StoreTruth) -> None:
    for camera in store.document.cameras:
        starts = []
        for name in camera.chunks:
            day, clock = name.removesuffix("Z.mp4").split("_")
            starts.append(Instant.parse(f"{day}T{clock.replace('-', ':')}Z"))
        assert starts[0] == camera.first_frame
        assert np.diff([start.ns for start in starts]).tolist() == [3 * NS_PER_SECOND] * (len(starts) - 1)
        assert sorted(path.name for path in (store.footage / camera.name).iterdir()) == list(camera.chunks)


def test_every_frame_of_a_chunk_decodes_and_has_a_time_of_the_truth(store: StoreTruth) -> None:
    camera = store.document.cameras[0]
    truth_times = set(store.camera(camera.name).times_ns.tolist())
    frames = 0
    for number, name in enumerate(camera.chunks):
        with av.open(str(store.footage / camera.name / name)) as container:
            assert not container.streams.audio
            pts = [frame.pts for frame in container.decode(video=0)]
        ticks = MEDIA_RATE // SMALL.rate
        assert pts == [i * ticks for i in range(len(pts))]
        start = camera.first_frame.ns + number * 3 * NS_PER_SECOND
        times = {start + i * NS_PER_SECOND // SMALL.rate for i in range(len(pts))}
        assert times & truth_times or not truth_times
        frames += len(pts)
    assert frames == camera.frames == 70


def test_clock_offset_leads_from_camera_time_to_utc(store: StoreTruth) -> None:
    for camera in store.document.cameras:
        rows = store.table.only(store.table.camera == camera.name)
        assert (rows.utc_ns - rows.camera_time_ns == camera.clock_offset_ns).all()
        began = camera.clock.to_utc(camera.first_frame) - SMALL.start
        assert 0 <= began < NS_PER_SECOND // 5
    assert len({camera.clock_offset_ns for camera in store.document.cameras}) == 2


def test_domain_truth_holds_people_only_and_numbers_them(store: StoreTruth) -> None:
    truth = store.camera("cam1")
    assert isinstance(truth, CameraTruth)
    assert set(truth.persons.tolist()) <= set(range(len(store.document.people)))
    trolleys = (store.table.kind == "trolley").sum()
    people = sum(len(store.camera(camera.name).persons) for camera in store.document.cameras)
    assert people + trolleys == len(store.table.name)


def test_pixels_change_inside_true_boxes_and_nowhere_else() -> None:
    scene = scene_of(SMALL)
    view = View(scene, scene.cameras[0])
    planes, labels = view.render(4.0)
    empty, nobody = view.render(-1000.0)
    assert not nobody
    changed = np.abs(planes.astype(int) - empty)[: SMALL.height] > 45
    inside = np.zeros(changed.shape, bool)
    for label in labels:
        box = label.box
        rows = slice(max(0, int(box.top) - 3), int(box.bottom) + 4)
        inside[rows, max(0, int(box.left) - 3) : int(box.right) + 4] = True
    assert any(label.visibility > 0.5 for label in labels)
    assert (changed & ~inside).mean() < 2e-3
    clear = max(labels, key=lambda label: label.visibility * label.box.area)
    body = changed[int(clear.box.top) : int(clear.box.bottom), int(clear.box.left) : int(clear.box.right)]
    assert body.mean() > 0.15


def test_boxes_lie_in_the_frame_and_visibility_between_nothing_and_all(store: StoreTruth) -> None:
    boxes, visibility = store.table.boxes, store.table.visibility
    assert (boxes >= 0).all()
    assert (boxes[:, 2] <= SMALL.width).all()
    assert (boxes[:, 3] <= SMALL.height).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (visibility >= 0).all()
    assert (visibility <= 1).all()
    assert (visibility == 0).any(), "nobody is ever hidden"
    assert (visibility > 0.9).any(), "nobody is ever seen whole"


def test_queries_are_what_the_product_reads_and_lie_on_the_person(store: StoreTruth) -> None:
    assert len(store.document.queries) == 2
    for query in store.document.queries:
        text = (store.folder / query.file).read_text()
        assert parse_query(text).camera == query.camera
        document = json.loads(text)
        times = [Instant.parse(seen["time"]).ns for seen in document["observations"]]
        table = store.table
        rows = table.only((table.name == query.person) & (table.camera == query.camera))
        assert len(times) >= 5
        for time, seen in zip(times, document["observations"], strict=True):
            (row,) = np.flatnonzero(rows.camera_time_ns == time)
            size = np.tile(rows.boxes[row, 2:] - rows.boxes[row, :2], 2)
            assert (np.abs(np.array(seen["box"]) - rows.boxes[row]) <= 0.12 * size + 0.1).all()


def test_two_seeds_differ_in_everything() -> None:
    one, other = (scene_of(SMALL.model_copy(update={"seed": seed})) for seed in (1, 2))
    assert one.layout != other.layout
    assert one.people["p01"] != other.people["p01"]
    assert one.cameras[0].look != other.cameras[0].look
    assert one.walks["p01"][0].start != other.walks["p01"][0].start


def test_a_rate_that_media_time_cannot_express_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not divide 90000"):
        simulate(SMALL.model_copy(update={"rate": 7}), tmp_path)


def test_the_demo_asks_for_a_person_seen_alone_in_two_cameras_at_once_and_with_gaps(tmp_path: Path) -> None:
    coarse = SimulationSettings(width=640, height=360, rate=2, quality=45)
    truth = simulate(coarse, tmp_path)
    query = truth.document.queries[0]
    found = sightings(truth.table, coarse)
    mine = sorted((s for s in found if s.person == query.person), key=lambda s: s.span)
    assert len({s.camera for s in mine}) >= 3
    assert query_sighting(found, query.person).camera == query.camera
    assert _together_ns(mine) > 2 * NS_PER_SECOND
    ends = np.maximum.accumulate([s.span.end.ns for s in mine])
    assert any(b.span.start.ns - end > 2 * NS_PER_SECOND for end, b in zip(ends, mine[1:], strict=False))
    assert len({s.person for s in found}) >= 8


def _together_ns(mine: list[Sighting]) -> int:
    shared = [a.span.intersection(b.span) for a in mine for b in mine if a.camera < b.camera]
    return sum(span.duration_ns for span in shared if span is not None)
