"""Whoever is not the subject is squares in every picture; whoever the detector saw is never left clear."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.renderer.footage import FRAME_NS, PICTURE, Camera, Image, Seen, box_of, build, camera_time, play, track_id
from throughline.domain.errors import Conflict, FailedPrecondition
from throughline.domain.geometry import Box, Size
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, Instant, Interval
from throughline.domain.tracks import TrackTable
from throughline.domain.work import Incident, Work
from throughline.media.planes import Planes
from throughline.renderer import timelines
from throughline.renderer.crowd import Crowd, Redaction, RedactionSettings
from throughline.renderer.documents import TimelineDocument
from throughline.renderer.pairs import Pair, PairsOrder, RenderedPair, render_pairs
from throughline.renderer.redaction import Hiding, _searched, check_covered, pixelate
from throughline.renderer.settings import ClipSettings, FilmSettings
from throughline.storage.detections import People
from throughline.storage.documents import load
from throughline.storage.workspace import Workspace

TIGHT = RedactionSettings(margin=0, clear_edge=0, growth=0.5, lead_seconds=1, lone_seconds=0.5)


def crowd(
    tracks: dict[int, list[tuple[int, tuple[float, ...]]]],
    loose: list[tuple[int, tuple[float, ...]]] | None = None,
    what: Redaction = Redaction.BODIES,
    looked: range = range(0, 10_000, 100),
) -> Crowd:
    """Boxes by track as (milliseconds, xyxy); all of them were detected, and `loose` ones, too."""
    rows = [(number, time, box) for number, boxes in sorted(tracks.items()) for time, box in boxes]
    table = TrackTable(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64) * 1_000_000,
        np.array([row[2] for row in rows], np.float32).reshape(-1, 4),
        np.ones(len(rows), np.float32),
    )
    seen = sorted([(time, box) for _, time, box in rows] + (loose or []))
    people = People(
        np.array([time for time, _ in seen], np.int64) * 1_000_000,
        np.array([box for _, box in seen], np.float32).reshape(-1, 4),
        np.full(len(seen), 0.9, np.float32),
        np.array(looked, np.int64) * 1_000_000,
    )
    return Crowd(table, people, TIGHT, what)


def at(milliseconds: int) -> Instant:
    return Instant(milliseconds * 1_000_000)


WALK: list[tuple[int, tuple[float, ...]]] = [(1000, (100, 50, 140, 150)), (2000, (200, 50, 240, 150))]


def test_between_two_boxes_the_cover_moves_along_and_grows_with_the_time_to_the_nearest() -> None:
    here = crowd({1: WALK})
    np.testing.assert_allclose(here.hidden_at(at(1000), ()), [[100, 50, 140, 150]])
    np.testing.assert_allclose(here.hidden_at(at(1500), ()), [[125, 25, 215, 175]])


def test_before_and_after_a_track_it_is_covered_where_it_was_and_where_it_was_going() -> None:
    here = crowd({1: WALK})
    np.testing.assert_allclose(here.hidden_at(at(500), ()), [[75, 25, 165, 175], [25, 25, 115, 175]])
    np.testing.assert_allclose(here.hidden_at(at(2400), ()), [[180, 30, 260, 170], [220, 30, 300, 170]])
    assert not len(here.hidden_at(at(3100), ()))


def test_around_the_subject_a_second_detection_is_covered_and_the_check_holds() -> None:
    here = crowd({1: WALK}, loose=[(1000, (90, 40, 150, 150))])
    np.testing.assert_allclose(here.hidden_at(at(1000), {1}), [[90, 40, 150, 150]])
    np.testing.assert_allclose(here.clear_at(at(1000), {1}), [[100, 50, 140, 150]])
    check_covered("a", here, Interval(at(0), at(3000)), {1})
    check_covered("a", here, Interval(at(3000), at(4000)), {1})  # when nobody was detected


def test_where_the_subject_was_not_seen_whoever_stands_there_is_covered() -> None:
    here = crowd(
        {1: WALK, 2: [(1400, (110, 50, 150, 150)), (1600, (130, 50, 170, 150))]}, looked=range(1000, 2001, 200)
    )
    assert not len(here.clear_at(at(1500), {1}))
    assert len(here.clear_at(at(2000), {1})) == 1
    assert len(crowd({1: WALK}, looked=range(1000, 2001, 1000)).clear_at(at(1500), {1})) == 1


def test_squares_are_as_large_for_somebody_who_is_half_out_of_the_picture() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (100, 100, 3), np.uint8)
    pixelate(noise, np.array([[0, -100, 100, 100]], np.float32), np.empty((0, 4), np.float32), 10)
    assert len(np.unique(noise[:, 0], axis=0)) <= 5


def test_a_detection_of_no_track_is_covered_for_a_while() -> None:
    here = crowd({1: WALK}, loose=[(5000, (10, 10, 30, 60))])
    np.testing.assert_allclose(here.hidden_at(at(5000), ()), [[10, 10, 30, 60]])
    assert len(here.hidden_at(at(5400), ())) == 1
    assert not len(here.hidden_at(at(5600), ()))


def test_the_subject_is_not_covered() -> None:
    here = crowd({1: WALK, 2: [(1000, (110, 50, 150, 150))]}, looked=range(1000, 2001, 1000))
    np.testing.assert_allclose(here.hidden_at(at(1000), {1}), [[110, 50, 150, 150]])
    np.testing.assert_allclose(here.clear_at(at(1500), {1}), [[150, 50, 190, 150]])


def test_of_heads_only_the_upper_part_is_covered() -> None:
    (box,) = crowd({1: WALK}, what=Redaction.HEADS).hidden_at(at(1000), ())
    np.testing.assert_allclose(box, [100, 50, 140, 50 + 100 * TIGHT.head_share])


def test_the_check_names_whoever_would_be_left_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    here, span = crowd({1: WALK}, loose=[(5000, (10, 10, 30, 60))]), Interval(at(0), at(9000))
    check_covered("cam1", here, span, ())
    check_covered("cam1", here, span, {1})
    monkeypatch.setattr(here, "hidden_at", lambda *_: np.array([[100, 50, 139, 150]], np.float32))
    with pytest.raises(FailedPrecondition, match=r"camera cam1: 1 of the people detected at .* left clear"):
        check_covered("cam1", here, span, ())


def test_a_frame_about_which_nobody_looked_is_refused() -> None:
    hiding = Hiding("cam1", crowd({1: WALK}, looked=range(0, 3000, 100)), frozenset(), 10)
    picture = np.zeros((180, 320, 3), np.uint8)
    hiding.hide(picture, at(3500), PICTURE)
    with pytest.raises(FailedPrecondition, match="not searched for people"):
        hiding.hide(picture, at(4500), PICTURE)


def noise(size: Size) -> Image:
    return np.random.default_rng(1).integers(0, 255, (size.height, size.width, 3), np.uint8)


def detail(image: Image) -> float:
    """How much neighbouring pixels differ."""
    return float(np.abs(np.diff(image.astype(int), axis=1)).mean())


@pytest.mark.parametrize("kind", ["rgb", "planes"])
def test_what_is_hidden_becomes_squares_and_the_subject_stays_to_the_pixel(kind: str) -> None:
    image = cv2.GaussianBlur(noise(Size(200, 200)), (3, 3), 0).astype(np.uint8)
    picture = image.copy() if kind == "rgb" else Planes.of_rgb(image)
    before = image.copy() if isinstance(picture, np.ndarray) else picture.y.copy()
    pixelate(picture, np.array([[20, 20, 120, 180]]), np.array([[80.0, 60.0, 140.0, 190.0]]), coarse=10)
    after = picture if isinstance(picture, np.ndarray) else picture.y
    assert detail(after[20:180, 20:80]) < detail(before[20:180, 20:80]) / 4
    assert np.array_equal(after[60:190, 80:140], before[60:190, 80:140]), "the subject"
    assert np.array_equal(after[:, 140:], before[:, 140:]), "whoever is elsewhere"


def test_a_part_of_a_frame_hides_the_same_as_the_whole() -> None:
    hiding = Hiding("cam1", crowd({1: WALK}), frozenset(), 10)
    whole = noise(PICTURE)
    part = np.ascontiguousarray(whole[40:160, 80:240])
    hiding.hide(whole, at(1500), PICTURE)
    hiding.hide(part, at(1500), PICTURE, Box(80, 40, 240, 160))
    inside = slice(0, 110), slice(50, 130)
    assert detail(part[inside]) < 15
    assert detail(whole[40:160, 80:240][inside]) < 15
    assert detail(part[:, 140:]) > 60


SUBJECT, BYSTANDER = Seen(1, 10, 40, best=20), Seen(2, 0, 60, step=10, offset=(90, -20))
LOOSE = (20, (10.0, 60.0, 40.0, 150.0))
SHARP = Camera("a", 1, [SUBJECT, BYSTANDER, Seen(3, 80, 90)], loose=[LOOSE])


def order_of(root: Path, redaction: Redaction) -> tuple[Workspace, PairsOrder]:
    workspace, refs = build(root, [SHARP])
    pair = Pair("pair", track_id(refs[0], 3))
    return workspace, PairsOrder("job", (track_id(refs[0], 1),), refs, (pair,), redaction=redaction)


def rendered(workspace: Workspace, order: PairsOrder) -> list[RenderedPair | Incident]:
    events: list[RenderedPair | Incident] = []
    render_pairs(workspace, order, ClipSettings(), events.append, Work())
    return events


def test_a_clip_hides_bystanders_in_every_frame(tmp_path: Path) -> None:
    clear_place, clear_order = order_of(tmp_path / "clear", Redaction.NONE)
    hidden_place, hidden_order = order_of(tmp_path / "hidden", Redaction.BODIES)
    (clear,), (hidden,) = rendered(clear_place, clear_order), rendered(hidden_place, hidden_order)
    assert isinstance(clear, RenderedPair)
    assert isinstance(hidden, RenderedPair)
    pictures = [list(play(each.artifact.path("clip.mp4"))) for each in (clear, hidden)]
    changed = 0
    for index, (before, after) in enumerate(zip(*pictures, strict=True)):
        frame = 10 + index
        if frame > 40:
            break
        left, top, right, bottom = (round(2 * edge) for edge in box_of(SUBJECT, frame))
        inner = slice(top + 8, bottom - 8), slice(left + 8, right - 8)
        apart = np.abs(before.image.astype(int) - after.image)
        assert apart[inner].mean() < 3, f"frame {frame}: the subject stays clear"
        left, top, right, bottom = (round(2 * edge) for edge in box_of(BYSTANDER, frame))
        changed += apart[top:bottom, left : min(right, 640)].mean() > 1
    assert changed == 31, "the disc behind the bystander is blurred in every frame between the boxes, too"


def test_a_job_keeps_to_one_redaction(tmp_path: Path) -> None:
    workspace, order = order_of(tmp_path, Redaction.NONE)
    rendered(workspace, order)
    with pytest.raises(Conflict, match="redaction none, not heads"):
        rendered(workspace, replace(order, redaction=Redaction.HEADS))


def test_tracks_that_do_not_tell_of_everybody_cannot_be_redacted(tmp_path: Path) -> None:
    workspace, order = order_of(tmp_path, Redaction.BODIES)
    tracks = workspace.get(order.cameras[0].tracks_uri)
    with workspace.create("tracks/old") as folder:
        for name in set(tracks.names()) - {"people.parquet"}:
            (folder / name).write_bytes(tracks.path(name).read_bytes())
    old = workspace.get("tracks/old")
    cameras = (replace(order.cameras[0], tracks_uri=old.uri),)
    query = (replace(order.query[0], tracks_key="old"),)
    pairs = tuple(replace(pair, candidate=replace(pair.candidate, tracks_key="old")) for pair in order.pairs)
    with pytest.raises(FailedPrecondition, match="submit the job anew"):
        rendered(workspace, replace(order, cameras=cameras, query=query, pairs=pairs))


def test_a_film_and_its_contact_sheet_hide_bystanders(tmp_path: Path) -> None:
    pictures = {}
    for redaction in (Redaction.NONE, Redaction.BODIES):
        workspace, refs = build(tmp_path / redaction, [SHARP])
        order = timelines.TimelineOrder("job", 1, (track_id(refs[0], 1),), refs, redaction=redaction)
        made = timelines.render_timeline(workspace, order, FilmSettings(), Work()).artifact
        frames = list(play(made.path("film.mp4")))
        sheet = cv2.imread(str(made.path("contact-sheet.jpg")))
        assert sheet is not None
        pictures[redaction] = frames, sheet.astype(int)
    (clear, clear_sheet), (hidden, hidden_sheet) = pictures.values()
    assert len(clear) == len(hidden)
    for before, after in zip(clear, hidden, strict=True):
        frame = 10 + round((before.time_ns - FilmSettings().before_ns) / FRAME_NS)
        left, top, right, bottom = (round(edge) for edge in box_of(BYSTANDER, max(0, frame)))
        apart = np.abs(before.image.astype(int) - after.image)
        assert apart[top:bottom, left:right].mean() > 0.5
    assert (np.abs(clear_sheet - hidden_sheet).max(axis=2) > 20).sum() > 500


def test_a_hidden_film_reaches_as_far_around_an_appearance_as_the_detector_looked(tmp_path: Path) -> None:
    camera = Camera("a", 1, [Seen(1, 50, 70)], searched=range(48, 76))
    workspace, refs = build(tmp_path, [camera])
    order = timelines.TimelineOrder("job", 1, (track_id(refs[0], 1),), refs, redaction=Redaction.BODIES)
    settings = FilmSettings(before_seconds=2, after_seconds=2)
    made = timelines.render_timeline(workspace, order, settings, Work()).artifact

    (appearance,) = load(TimelineDocument, made.path("timeline.json").read_bytes()).appearances
    around = round(0.5 * NS_PER_SECOND / FRAME_NS)
    assert appearance.camera_time.start == camera_time(48 - around)
    assert abs(appearance.camera_time.end - camera_time(74 + around)) <= FRAME_NS


def test_a_long_frame_of_which_only_the_end_was_searched_is_left_out_of_a_hidden_film(tmp_path: Path) -> None:
    camera = Camera(
        "a",
        1,
        [Seen(1, 64, 100)],
        frames=(*range(40), *range(64, 120)),
        searched=range(64, 110),
        longest_pause_ns=2 * NS_PER_SECOND,
    )
    workspace, refs = build(tmp_path, [camera])
    order = timelines.TimelineOrder("job", 1, (track_id(refs[0], 1),), refs, redaction=Redaction.BODIES)
    made = timelines.render_timeline(workspace, order, FilmSettings(), Work()).artifact
    (appearance,) = load(TimelineDocument, made.path("timeline.json").read_bytes()).appearances
    assert appearance.camera_time.start == camera_time(64)


def test_a_hidden_film_leaves_out_what_nobody_looked_at_within_an_appearance(tmp_path: Path) -> None:
    looked = {*range(10, 71), *range(120, 181)}
    seen = [Seen(1, 20, 60, best=30), Seen(2, 130, 170)]
    camera = Camera("a", 1, seen, frames=range(200), searched=looked)
    workspace, refs = build(tmp_path, [camera])
    tracks = tuple(track_id(refs[0], number) for number in (1, 2))
    order = timelines.TimelineOrder("job", 1, tracks, refs, redaction=Redaction.BODIES)
    made = timelines.render_timeline(workspace, order, FilmSettings(bridge_seconds=10), Work()).artifact

    appearances = load(TimelineDocument, made.path("timeline.json").read_bytes()).appearances
    assert [each.tracks for each in appearances] == [(track,) for track in tracks]
    spans = [(each.camera_time.start, each.camera_time.end) for each in appearances]
    assert spans == [(camera_time(14), camera_time(81)), (camera_time(110), camera_time(177))]


def test_frames_that_only_a_look_before_them_is_near_to_are_left_out() -> None:
    times_ns = np.arange(10_000, 30_000, 100, dtype=np.int64) * NS_PER_MS
    looked_ns = np.array([9_300, *range(12_000, 20_001, 500)], np.int64) * NS_PER_MS
    assert list(_searched(times_ns, looked_ns)) == [(11_500 * NS_PER_MS, 20_500 * NS_PER_MS)]


def test_looks_around_an_appearance_count_for_it(tmp_path: Path) -> None:
    camera = Camera("a", 1, [Seen(1, 50, 70)], searched={30, *range(48, 72)})
    workspace, refs = build(tmp_path, [camera])
    order = timelines.TimelineOrder("job", 1, (track_id(refs[0], 1),), refs, redaction=Redaction.BODIES)
    settings = FilmSettings(before_seconds=0.95, after_seconds=0)
    made = timelines.render_timeline(workspace, order, settings, Work()).artifact

    (appearance,) = load(TimelineDocument, made.path("timeline.json").read_bytes()).appearances
    assert appearance.camera_time.start == camera_time(31)


def test_gaps_in_the_footage_part_no_appearance_of_a_hidden_film(tmp_path: Path) -> None:
    camera = Camera("a", 1, [Seen(1, 10, 150)], frames=(*range(60), *range(110, 160)))
    workspace, refs = build(tmp_path, [camera])
    order = timelines.TimelineOrder("job", 1, (track_id(refs[0], 1),), refs, redaction=Redaction.BODIES)
    settings = FilmSettings(bridge_seconds=10)
    made = timelines.render_timeline(workspace, order, settings, Work()).artifact

    (appearance,) = load(TimelineDocument, made.path("timeline.json").read_bytes()).appearances
    assert appearance.camera_time == Interval(camera_time(4), camera_time(157))
