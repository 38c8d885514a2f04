"""Films that are copied where they can be: the camera's own bits, every frame at its instant, no frame lost or doubled at a cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.renderer.footage import EPOCH, FRAME_NS, PICTURE, Camera, Seen, box_at, camera_time, number_in
from tests.renderer.test_timelines import SETTINGS, Made, assert_shows_every_moment, expected_number, make
from throughline.domain.geometry import Size
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, ClockMap, Instant
from throughline.renderer.documents import BoxesDocument, FilmRun, FilmSegment
from throughline.renderer.settings import FilmSettings
from throughline.storage.documents import load

PLAIN = {"bf": "0", "profile": "baseline", "refs": "1"}
B_FRAMES = {"bf": "3", "b-pyramid": "normal", "b-adapt": "0", "refs": "3"}
IDR = {"bf": "0", "g": "1"}
OPEN = {**B_FRAMES, "x264-params": "open-gop=1:scenecut=0"}
APART = SETTINGS.model_copy(update={"bridge_seconds": 0.5})
TICK_NS = 12_000
"""A little over a tick."""


def runs(made: Made) -> list[FilmRun]:
    return [run for segment in made.document.segments for run in segment.runs]


def share_copied(made: Made) -> float:
    copied = sum(run.film_end_ns - run.film_start_ns for run in runs(made) if run.method == "copied")
    return copied / made.document.duration_ns


def digests(path: Path) -> Iterator[tuple[int, str]]:
    """Time and MD5 of every decoded frame of a video."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            pixels = frame.to_ndarray(format="yuv420p").tobytes()
            yield round(frame.pts * frame.time_base * NS_PER_SECOND), hashlib.md5(pixels).hexdigest()  # noqa: S324


def assert_copied_bit_for_bit(root: Path, made: Made, cameras: Sequence[Camera]) -> None:
    """Where the film says that it was copied, its decoded frames are the source's."""
    film = list(digests(made.result.artifact.path("film.mp4")))
    by_name = {camera.name: camera for camera in cameras}
    compared = 0
    for run in runs(made):
        if run.method != "copied":
            continue
        assert run.camera is not None
        assert run.camera_time is not None
        camera = by_name[run.camera]
        first = [0, *camera.parts][run.part or 0]
        epoch = camera_time(camera.frames[first], camera.shift_ns)
        part = root / "reels" / f"{camera.number:032x}" / f"part-{run.part or 0:03d}.mp4"
        source = [
            digest
            for time, digest in digests(part)
            if epoch + time + FRAME_NS > run.camera_time.start + NS_PER_MS
            and epoch + time < run.camera_time.end + -NS_PER_MS
        ]
        shown = [md5 for time, md5 in film if run.film_start_ns - TICK_NS <= time < run.film_end_ns - TICK_NS]
        assert shown == source
        compared += len(shown)
    assert compared


def assert_every_frame_once(made: Made, cameras: Sequence[Camera]) -> None:
    """Where one camera is shown, each of its frames begins in the film when it began, the first with the segment."""
    by_name = {camera.name: camera for camera in cameras}
    for segment in made.document.segments:
        if len(segment.tiles) > 1:
            continue
        camera, place = by_name[segment.tiles[0].camera], segment.tiles[0].picture
        shown = [
            (frame.time_ns, number_in(frame.image[place.slices])[1])
            for frame in made.frames
            if segment.film_start_ns - TICK_NS <= frame.time_ns < segment.film_end_ns - TICK_NS
        ]
        expected = list(frames_of(segment, camera))
        assert [number for _, number in shown] == [number for _, number in expected]
        assert max(abs(one - two) for (one, _), (two, _) in zip(shown, expected, strict=True)) <= TICK_NS


def frames_of(segment: FilmSegment, camera: Camera) -> Iterator[tuple[int, int]]:
    """When each frame begins in the film, and its number."""
    for frame in camera.frames:
        begin = camera.clock.to_utc(camera_time(frame, camera.shift_ns))
        end = camera.clock.to_utc(camera_time(frame + 1, camera.shift_ns))
        if end > segment.utc.start + NS_PER_MS and begin < segment.utc.end + -NS_PER_MS:
            yield segment.film_start_ns + max(0, begin - segment.utc.start), frame


def assert_runs_fill_the_film(made: Made) -> None:
    found = runs(made)
    assert (found[0].film_start_ns, found[-1].film_end_ns) == (0, made.document.duration_ns)
    assert all(one.film_end_ns == two.film_start_ns for one, two in pairwise(found))


def check(root: Path, cameras: Sequence[Camera], settings: FilmSettings = APART) -> Made:
    """Make a film and hold it to everything that must be true of each."""
    made = make(root, list(cameras), settings=settings)
    assert_runs_fill_the_film(made)
    assert_every_frame_once(made, cameras)
    assert_shows_every_moment(made, list(cameras))
    assert_copied_bit_for_bit(root, made, cameras)
    with av.open(str(made.result.artifact.path("film.mp4"))) as film:
        stream = film.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        assert abs(stream.duration * stream.time_base * NS_PER_SECOND - made.document.duration_ns) <= TICK_NS
        packets = [packet for packet in film.demux(stream) if packet.pts is not None]
    assert all((one.dts or 0) < (two.dts or 0) for one, two in pairwise(packets))
    assert all((packet.dts or 0) <= (packet.pts or 0) for packet in packets)
    return made


@pytest.mark.parametrize("x264", [PLAIN, B_FRAMES, OPEN, None], ids=["plain", "b-frames", "open", "film's own"])
def test_one_camera_is_copied_and_only_the_frames_before_the_first_keyframe_are_encoded(
    tmp_path: Path, x264: dict[str, str] | None
) -> None:
    made = check(tmp_path, [Camera("a", 1, [Seen(1, 0, 33), Seen(2, 47, 93)], x264=x264)])
    methods = [(run.method, round((run.film_end_ns - run.film_start_ns) / FRAME_NS)) for run in runs(made)]
    if x264 is OPEN:
        assert methods[0][0] == "copied"
        assert [method for method, _ in methods[-1:]] == ["encoded"]  # no other IDR picture than the first
    else:
        assert share_copied(made) > 0.7
        assert ("encoded", 13) in methods


def test_cameras_of_different_encoders_and_a_part_that_ends_are_joined_at_the_frame(tmp_path: Path) -> None:
    cameras = [
        Camera("a", 1, [Seen(1, 3, 40)], x264=PLAIN, clock=ClockMap(offset_ns=7 * NS_PER_MS)),
        Camera("b", 2, [Seen(1, 30, 90)], x264=B_FRAMES, shift_ns=17 * NS_PER_MS, parts=(57,)),
        Camera("c", 3, [Seen(1, 95, 119)], clock=ClockMap(drift_ppb=150_000, reference=EPOCH)),
    ]
    made = check(tmp_path, cameras)
    assert made.cameras() == ["a", "a+b", "b", "c"]
    assert {run.part for run in runs(made) if run.camera == "b"} == {0, 1}
    assert [run.camera for run in runs(made) if run.method == "copied"] >= ["a", "b", "b", "c"]
    composed = made.document.segments[1]
    assert composed.runs == (FilmRun(composed.film_start_ns, composed.film_end_ns, "encoded"),)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"size": Size(640, 360)}, id="larger"),
        pytest.param({"hevc": True}, id="HEVC"),
        pytest.param({"rotation_degrees": 90}, id="on its left side"),
        pytest.param({"rotation_degrees": 180}, id="upside down"),
        pytest.param({"rotation_degrees": 270, "hevc": True}, id="HEVC on its right side"),
    ],
)
def test_what_cannot_be_copied_is_transcoded_for_its_span_alone(tmp_path: Path, other: dict[str, Any]) -> None:
    cameras = [
        Camera("most", 1, [Seen(1, 0, 59)], x264=B_FRAMES, frames=range(80)),
        Camera("other", 2, [Seen(1, 62, 79)], frames=range(80), **other),
    ]
    made = check(tmp_path, cameras)
    assert made.document.size == Size(320, 180)
    assert {(run.camera, run.method) for run in runs(made)} == {("most", "copied"), ("other", "encoded")}


@pytest.mark.parametrize("first", [0, 2, 3, 5])
def test_pictures_that_come_late_after_a_pause_are_copied(tmp_path: Path, first: int) -> None:
    frames = [*range(8), *range(8, 80, 9)]
    x264 = {"bf": "2", "g": "7", "keyint_min": "3"}
    tracks = [Seen(1, frames[first], frames[-2], step=1)]
    camera = Camera("a", 1, tracks, frames=frames, x264=x264, longest_pause_ns=NS_PER_SECOND)
    made = make(tmp_path, [camera], settings=FilmSettings(before_seconds=0))
    assert_runs_fill_the_film(made)
    shown = [number_in(frame.image)[1] for frame in made.frames]
    assert list(dict.fromkeys(shown)) == frames[first : first + len(set(shown))]
    assert frames[-2] in shown


def test_parts_of_other_shapes_are_drawn_in_theirs(tmp_path: Path) -> None:
    sizes = (PICTURE, Size(320, 240))
    one = Camera("a", 1, [Seen(1, 10, 75)], frames=range(80), parts=(60,), part_sizes=sizes)
    other = Camera("b", 2, [Seen(1, 5, 79)], frames=range(80))
    alone, beside = make(tmp_path / "alone", [one]), make(tmp_path / "beside", [one, other])
    assert_runs_fill_the_film(alone)
    assert_runs_fill_the_film(beside)
    assert beside.cameras()[-1] != "a"
    for made in (alone, beside):
        assert_boxes_lie_where_they_are_seen(made, "a", sizes)


@pytest.mark.parametrize(
    "clock",
    [
        ClockMap(drift_ppb=-77_777, reference=Instant(1_772_346_161_115_709_014)),
        ClockMap(drift_ppb=-222_222, reference=Instant(1_772_081_627_445_831_196)),
    ],
    ids=["a nanosecond early", "a nanosecond late"],
)
@pytest.mark.parametrize("heights", [(180, 240), (240, 180), (240, 180, 240)])
def test_a_part_that_only_rounding_reaches_is_not_shown(
    tmp_path: Path, clock: ClockMap, heights: tuple[int, ...]
) -> None:
    sizes = [Size(320, height) for height in heights]
    parts = (60,) if len(sizes) == 2 else (30, 60)
    camera = Camera("a", 1, [Seen(1, 25, 75)], frames=range(120), parts=parts, part_sizes=sizes, clock=clock, x264=IDR)
    made = make(tmp_path, [camera])
    assert all(run.film_end_ns - run.film_start_ns > NS_PER_MS for run in runs(made))
    for segment in made.document.segments:
        (tile,), (method,) = segment.tiles, {run.method for run in segment.runs}
        assert method == "encoded" or tile.picture.width == 320


def assert_boxes_lie_where_they_are_seen(made: Made, camera: str, sizes: Sequence[Size]) -> None:
    """In every segment that shows a camera, `boxes.json` has its boxes in a picture of the size of that moment, undeformed."""
    boxes = load(BoxesDocument, made.result.artifact.path("boxes.json").read_bytes())
    segments = made.document.segments
    seen = set()
    for track in (track for track in boxes.tracks if track.camera == camera):
        segment = segments[track.segment]
        (tile,) = (tile for tile in segment.tiles if tile.camera == camera)
        first = round((tile.camera_time.start - EPOCH) / FRAME_NS)
        size = sizes[first >= 60]
        seen.add(size)
        assert tile.picture.width * size.height == pytest.approx(tile.picture.height * size.width, rel=0.02)
        factor = tile.picture.width / size.width
        for time_ns, box in zip(track.times_ns, track.boxes, strict=True):
            frame = round((segment.utc.start + (time_ns - segment.film_start_ns) - EPOCH) / FRAME_NS)
            wanted = np.array(box_at(frame)) * factor + [tile.picture.left, tile.picture.top] * 2
            assert np.abs(wanted - box).max() <= 1
    assert seen == set(sizes)


def test_boxes_and_captions_compose_everything(tmp_path: Path) -> None:
    camera = Camera("a", 1, [Seen(1, 0, 30)], frames=range(40))
    made = make(tmp_path, [camera], settings=SETTINGS.model_copy(update={"captions": True}))
    assert {run.method for run in runs(made)} == {"encoded"}
    assert made.document.size.height > 180
    bare = make(tmp_path / "boxes", [camera], settings=SETTINGS.model_copy(update={"boxes": True}))
    assert {run.method for run in runs(bare)} == {"encoded"}
    assert bare.document.size == Size(320, 180)
    assert_every_frame_once(bare, [camera])


def test_captions_boxes_chapters_and_a_cover_lie_beside_the_film(tmp_path: Path) -> None:
    cameras = [
        Camera("Kasse <3>", 1, [Seen(1, 0, 30)], x264=B_FRAMES, frames=range(60)),
        Camera("b", 2, [Seen(4, 20, 50, best=30)], size=Size(640, 360), frames=range(60)),
    ]
    made = make(tmp_path, cameras, settings=APART)
    path = made.result.artifact.path

    cues = path("film.vtt").read_text().split("\n\n")
    assert cues[0] == "WEBVTT"
    assert cues[1] == "00:00:00.000 --> 00:00:01.000\nKasse &lt;3&gt;\n2026-03-01 10:00:00 UTC"
    assert cues[2] == "00:00:01.000 --> 00:00:01.550\nKasse &lt;3&gt; + b\n2026-03-01 10:00:01 UTC"

    boxes = load(BoxesDocument, path("boxes.json").read_bytes())
    assert [(track.segment, track.camera, track.track) for track in boxes.tracks] == [
        (0, "Kasse <3>", 1),
        (1, "Kasse <3>", 1),
        (1, "b", 4),
        (2, "b", 4),
    ]
    alone = boxes.tracks[0]
    picture = made.document.segments[0].tiles[0].picture
    factor = picture.width / 320
    assert alone.times_ns[:2] == (0, 2 * FRAME_NS)
    assert alone.boxes[1] == tuple(round(factor * edge) for edge in (42, 80, 72, 160))

    with av.open(str(path("film.mp4"))) as film:
        chapters = [
            (chapter["start"] * (chapter["time_base"] or 0), chapter["metadata"]["title"])
            for chapter in film.chapters()
        ]
    assert chapters == [(0, "Kasse <3> · 2026-03-01 10:00:00 UTC"), (1, "b · 2026-03-01 10:00:01 UTC")]
    cover = cv2.imread(str(path("cover.jpg")))
    assert cover is not None
    assert number_in(np.asarray(cover, np.uint8))[0] in (1, 2)


def test_padding_begins_with_a_whole_frame(tmp_path: Path) -> None:
    camera = Camera("a", 1, [Seen(1, 20, 50)], x264=B_FRAMES)
    made = check(tmp_path, [camera], SETTINGS.model_copy(update={"before_seconds": 0.33, "after_seconds": 0.33}))
    assert made.document.segments[0].utc.start == camera_time(13)
    assert made.document.segments[0].utc.end == camera_time(58)
    assert expected_number(camera, made.document.segments[0], 1) == (1, 13)
