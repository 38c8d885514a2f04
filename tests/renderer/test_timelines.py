from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.renderer.footage import (
    EPOCH,
    FRAME_NS,
    GREY,
    Camera,
    FilmFrame,
    Seen,
    build,
    camera_time,
    number_in,
    play,
    shown_at,
    track_id,
)
from throughline.domain.errors import Cancelled, Conflict, FailedPrecondition
from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, ClockMap
from throughline.domain.work import Step, Work
from throughline.renderer.documents import FilmSegment, FilmTile, TimelineDocument
from throughline.renderer.options import FilmOptions
from throughline.renderer.settings import FilmSettings
from throughline.renderer.sources import CameraRefs
from throughline.renderer.timelines import RenderedTimeline, TimelineOrder, render_timeline
from throughline.storage.documents import load

SETTINGS = FilmSettings(merge_ms=1, before_seconds=0, after_seconds=0, still_seconds=0)


@dataclass
class Made:
    """A rendered timeline, its document and its decoded film."""

    result: RenderedTimeline
    document: TimelineDocument
    frames: list[FilmFrame]

    def cameras(self) -> list[str]:
        return ["+".join(tile.camera for tile in segment.tiles) for segment in self.document.segments]


def order(cameras: list[Camera], refs: tuple[CameraRefs, ...], max_tiles: int = 9, revision: int = 1) -> TimelineOrder:
    ids = [track_id(ref, seen.number) for camera, ref in zip(cameras, refs, strict=True) for seen in camera.tracks]
    return TimelineOrder("job", revision, tuple(reversed(ids)), refs, FilmOptions(max_tiles=max_tiles))


def make(root: Path, cameras: list[Camera], max_tiles: int = 9, settings: FilmSettings = SETTINGS) -> Made:
    workspace, refs = build(root, cameras)
    result = render_timeline(workspace, order(cameras, refs, max_tiles), settings, Work())
    document = load(TimelineDocument, result.artifact.path("timeline.json").read_bytes())
    return Made(result, document, list(play(result.artifact.path("film.mp4"))))


def expected_number(camera: Camera, segment: FilmSegment, film_ns: int) -> tuple[int, int] | None:
    """Camera and number of the frame that is to be seen at a moment of the film; None where there is no footage."""
    utc = segment.utc.start + (film_ns - segment.film_start_ns)
    elapsed = camera.clock.to_camera(utc) - EPOCH - camera.shift_ns
    index = bisect_right([frame * FRAME_NS for frame in camera.frames], elapsed) - 1
    frame = camera.frames[index]
    return (camera.number, frame) if elapsed < (frame + 1) * FRAME_NS else None


def assert_shows_every_moment(made: Made, cameras: list[Camera]) -> None:
    """Whatever moment of the film is looked at, every tile shows its camera's frame of that very moment."""
    by_name = {camera.name: camera for camera in cameras}
    for segment in made.document.segments:
        for film_ns in range(segment.film_start_ns + 2 * NS_PER_MS, segment.film_end_ns, 7 * NS_PER_MS):
            frame = shown_at(made.frames, film_ns)
            for tile in segment.tiles:
                camera = by_name[tile.camera]
                near = {expected_number(camera, segment, film_ns + slack) for slack in (-1_100_000, 0, 20_000)}
                assert number_of(frame, tile) in near, (film_ns, tile.camera)


def number_of(frame: FilmFrame, tile: FilmTile) -> tuple[int, int] | None:
    picture = frame.image[tile.picture.slices]
    middle = picture[picture.shape[0] * 6 // 10, picture.shape[1] // 10]
    return number_in(picture) if abs(float(middle.mean()) - GREY) < 20 else None


def test_every_moment_shows_the_frame_of_that_instant_and_cameras_come_and_go_on_theirs(tmp_path: Path) -> None:
    cameras = [
        Camera("Kasse 3", 1, [Seen(1, 10, 50)], clock=ClockMap(offset_ns=-30 * NS_PER_MS)),
        Camera("東京", 2, [Seen(1, 31, 80)], shift_ns=17 * NS_PER_MS),
        Camera("east", 3, [Seen(1, 40, 45), Seen(7, 100, 101)], clock=ClockMap(drift_ppb=200_000, reference=EPOCH)),
    ]
    made = make(tmp_path, cameras)

    assert made.cameras() == ["Kasse 3", "Kasse 3+東京", "Kasse 3+東京+east", "Kasse 3+東京", "東京", "east"]
    entered = [segment.utc.start for segment in made.document.segments]
    assert entered[0] == camera_time(10) + -30 * NS_PER_MS
    assert entered[1] == camera_time(31) + 17 * NS_PER_MS
    assert entered[2] == camera_time(40) + 400_000  # two seconds in, a clock that loses 200 ppm is 0.4 ms late
    assert made.document.segments[4].utc.end == camera_time(81) + 17 * NS_PER_MS  # to the end of its last frame
    assert_shows_every_moment(made, cameras)


def test_the_film_begins_at_zero_and_its_spans_meet_and_sum_to_its_length(tmp_path: Path) -> None:
    made = make(tmp_path, [Camera("a", 1, [Seen(1, 0, 9), Seen(2, 60, 69)]), Camera("b", 2, [Seen(1, 5, 19)])])

    segments = made.document.segments
    assert (segments[0].film_start_ns, segments[-1].film_end_ns) == (0, made.document.duration_ns)
    assert all(one.film_end_ns == two.film_start_ns for one, two in pairwise(segments))
    assert all(s.film_end_ns - s.film_start_ns == s.utc.duration_ns for s in segments)
    assert made.document.duration_ns == made.result.duration_ns == 30 * FRAME_NS
    with av.open(str(made.result.artifact.path("film.mp4"))) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.start_time) == ("h264", "yuv420p", 0)
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base * NS_PER_SECOND == made.document.duration_ns
    times = [frame.time_ns for frame in made.frames]
    assert [round(time / FRAME_NS) for time in times] == list(range(30))  # no frame is doubled, none invented


def test_pictures_keep_their_shape_in_every_tile(tmp_path: Path) -> None:
    cameras = [
        Camera("wide", 1, [Seen(1, 0, 20)], size=Size(640, 360), frames=range(30)),
        Camera("tall", 2, [Seen(1, 5, 20)], size=Size(180, 320), frames=range(30)),
        Camera("square", 3, [Seen(1, 10, 20)], size=Size(240, 240), frames=range(30)),
    ]
    made = make(tmp_path, cameras)

    for segment in made.document.segments:
        image = shown_at(made.frames, segment.film_start_ns).image
        for tile in segment.tiles:
            picture = image[tile.picture.slices].astype(int)
            disc = (picture[..., 1] - picture[..., 0] > 40) & (np.arange(len(picture))[:, None] > len(picture) // 4)
            rows, columns = np.nonzero(disc)
            height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
            assert abs(height / width - 1) < 0.08, (segment.film_start_ns, tile.camera)


def test_footage_that_is_missing_is_jumped_alone_and_becomes_a_card_beside_another_camera(tmp_path: Path) -> None:
    holes = [*range(12), *range(18, 24), *range(30, 60)]
    cameras = [Camera("a", 1, [Seen(1, 0, 40)], frames=holes), Camera("b", 2, [Seen(1, 22, 33)], frames=range(60))]
    made = make(tmp_path, cameras)

    assert made.cameras() == ["a", "a", "a+b", "a"]
    assert made.document.segments[1].utc.start == camera_time(18)
    both = made.document.segments[2]
    shown = [
        number_of(shown_at(made.frames, both.film_start_ns + index * FRAME_NS + 1), both.tiles[0])
        for index in range(12)
    ]
    assert shown == [(1, 22), (1, 23), *[None] * 6, (1, 30), (1, 31), (1, 32), (1, 33)]
    assert_shows_every_moment(made, cameras)


def test_a_camera_without_a_free_tile_waits_and_is_named(tmp_path: Path) -> None:
    made = make(
        tmp_path, [Camera("abc"[i], i + 1, [Seen(1, 5 * i, 20 + i)], frames=range(40)) for i in range(3)], max_tiles=2
    )

    assert made.cameras() == ["a", "a+b", "a+b", "b+c", "c"]
    assert [segment.waiting for segment in made.document.segments] == [(), (), ("c",), (), ()]
    assert [(incident.code, incident.camera) for incident in made.result.incidents] == [("tile_not_free", "c")]


def test_a_track_of_a_single_box_is_shown_for_its_frame(tmp_path: Path) -> None:
    made = make(tmp_path, [Camera("a", 1, [Seen(1, 7, 7)], frames=range(12))])

    assert made.document.duration_ns == FRAME_NS
    assert [frame.numbers(made.document.segments[0].tiles[0].picture) for frame in made.frames] == [(1, 7)]


def test_the_box_lies_on_the_person_between_analysed_frames_too(tmp_path: Path) -> None:
    made = make(
        tmp_path,
        [Camera("a", 1, [Seen(1, 0, 40, step=5)], frames=range(60))],
        settings=SETTINGS.model_copy(update={"boxes": True}),
    )

    tile = made.document.segments[0].tiles[0]
    for index in (5, 8, 23):
        picture = made.frames[index].image[tile.picture.slices].astype(int)
        orange = (picture[..., 0] - picture[..., 2] > 90) & (picture[..., 0] > 180)
        columns = np.flatnonzero(orange.sum(axis=0) > 20)
        assert abs(int(columns.min()) - (40 + index)) <= 3
        assert abs(int(columns.max()) - (70 + index)) <= 3


def test_the_contact_sheet_has_a_picture_for_every_appearance(tmp_path: Path) -> None:
    cameras = [Camera(name, i + 1, [Seen(1, 10 * i, 20 + 10 * i)], frames=range(60)) for i, name in enumerate("abcd")]
    made = make(tmp_path, cameras)

    sheet = cv2.imread(str(made.result.artifact.path("contact-sheet.jpg")))
    assert sheet is not None
    picture = np.asarray(sheet, np.uint8)
    entry = 480 + 136 + 12
    assert sheet.shape[1] == 12 + 3 * entry
    shown = [
        number_in(picture[12 + row * 310 :][:270, 12 + column * entry :][:, :480])
        for row, column in [(0, 0), (0, 1), (0, 2), (1, 0)]
    ]
    assert [camera for camera, _ in shown] == [1, 2, 3, 4]
    assert [appearance.camera for appearance in made.document.appearances] == list("abcd")


def test_a_sheet_that_would_be_too_long_is_cut_and_says_so(tmp_path: Path) -> None:
    cameras = [Camera(name, i + 1, [Seen(1, 0, 5)], frames=range(8)) for i, name in enumerate("ab")]
    made = make(tmp_path, cameras, settings=FilmSettings(max_pictures=1))
    assert [incident.code for incident in made.result.incidents] == ["contact_sheet_cut"]


def test_a_film_is_made_once_and_its_revision_is_of_one_set_of_tracks(tmp_path: Path) -> None:
    cameras = [Camera("a", 1, [Seen(1, 0, 5), Seen(2, 20, 25)], frames=range(30))]
    workspace, refs = build(tmp_path, cameras)
    whole = order(cameras, refs)
    first = render_timeline(workspace, whole, SETTINGS, Work())
    again = render_timeline(workspace, whole, SETTINGS, Work())
    assert (first.reused, again.reused) == (False, True)
    assert again.artifact.manifest == first.artifact.manifest
    with pytest.raises(Conflict, match="ask for the next revision"):
        render_timeline(workspace, TimelineOrder("job", 1, whole.tracks[:1], refs), SETTINGS, Work())


def test_a_track_that_cannot_be_shown_is_left_out_and_named(tmp_path: Path) -> None:
    cameras = [Camera("a", 1, [Seen(1, 0, 5)], frames=range(30))]
    workspace, refs = build(tmp_path, cameras)
    good, unknown = track_id(refs[0], 1), track_id(refs[0], 99)
    result = render_timeline(workspace, TimelineOrder("job", 1, (good, unknown), refs), SETTINGS, Work())
    assert [(incident.code, incident.subject) for incident in result.incidents] == [("track_not_shown", "a/99")]
    with pytest.raises(FailedPrecondition, match="no track 99"):
        render_timeline(workspace, TimelineOrder("job", 2, (unknown,), refs), SETTINGS, Work())


def test_a_stop_ends_the_work_and_leaves_nothing_behind(tmp_path: Path) -> None:
    cameras = [Camera("a", 1, [Seen(1, 0, 100), Seen(2, 110, 119)])]
    workspace, refs = build(tmp_path, cameras)
    steps: list[Step] = []

    def stop(step: Step) -> None:
        steps.append(step)
        work.cancel()

    work = Work(on_step=stop)
    with pytest.raises(Cancelled):
        render_timeline(workspace, order(cameras, refs), SETTINGS, work)
    assert len(steps) == 1
    assert workspace.find("jobs/job/timelines/1") is None
    assert not list(tmp_path.glob("jobs/**/*.mp4"))
