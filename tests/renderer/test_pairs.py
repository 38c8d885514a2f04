from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from tests.renderer.footage import FRAME_NS, Camera, FilmFrame, Seen, build, camera_time, play, shown_at, track_id
from throughline.domain.errors import Cancelled, NotFound
from throughline.domain.time import NS_PER_MS, NS_PER_SECOND, ClockMap
from throughline.domain.work import Incident, Step, Work
from throughline.renderer.documents import PairDocument
from throughline.renderer.layout import Rectangle
from throughline.renderer.pairs import Pair, PairsOrder, RenderedPair, render_pairs
from throughline.renderer.settings import ClipSettings
from throughline.storage.documents import load
from throughline.storage.workspace import Workspace

LEFT, RIGHT = Rectangle(0, 0, 640, 360), Rectangle(644, 0, 640, 360)
SETTINGS = ClipSettings()


def ordered(
    workspace: Workspace, order: PairsOrder, settings: ClipSettings = SETTINGS
) -> list[RenderedPair | Incident]:
    events: list[RenderedPair | Incident] = []
    render_pairs(workspace, order, settings, events.append, Work())
    return events


def clip_of(workspace: Workspace, pair_id: str) -> tuple[PairDocument, list[FilmFrame]]:
    artifact = workspace.get(f"jobs/job/pairs/{pair_id}")
    return load(PairDocument, artifact.path("pair.json").read_bytes()), list(play(artifact.path("clip.mp4")))


def order_of(
    root: Path, cameras: list[Camera], query: list[int], candidates: list[tuple[int, int]]
) -> tuple[Workspace, PairsOrder]:
    """Query tracks of the first camera, and candidates as (camera's index, track)."""
    workspace, refs = build(root, cameras)
    pairs = tuple(
        Pair(f"pair-{index}", track_id(refs[camera], track)) for index, (camera, track) in enumerate(candidates)
    )
    return workspace, PairsOrder("job", tuple(track_id(refs[0], number) for number in query), refs, pairs)


def test_both_tracks_start_together_and_the_shorter_one_holds_its_last_frame(tmp_path: Path) -> None:
    cameras = [
        Camera("Kasse 3", 1, [Seen(1, 10, 40)], clock=ClockMap(offset_ns=NS_PER_SECOND)),
        Camera("東京", 2, [Seen(5, 60, 69)], shift_ns=13 * NS_PER_MS),
    ]
    workspace, order = order_of(tmp_path, cameras, [1], [(1, 5)])
    (made,) = ordered(workspace, order)
    document, frames = clip_of(workspace, "pair-0")

    assert isinstance(made, RenderedPair)
    assert made.duration_ns == document.duration_ns == 31 * FRAME_NS
    for index in range(31):
        frame = shown_at(frames, index * FRAME_NS + 30 * NS_PER_MS)
        assert frame.numbers(LEFT) == (1, 10 + index)
        if index < 10:
            assert frame.numbers(RIGHT) == (2, 60 + index)
    last, held = shown_at(frames, 9 * FRAME_NS).image[RIGHT.slices], frames[-1].image[RIGHT.slices]
    assert held.astype(int).mean() == pytest.approx(
        last.astype(int).mean() * 2 / 3, rel=0.05
    )  # dimmed, otherwise the same
    assert document.query.pieces[0].utc.start == camera_time(10) + NS_PER_SECOND
    assert document.query.pieces[0].camera_time.start == camera_time(10)


def test_a_clip_plays_in_a_browser(tmp_path: Path) -> None:
    workspace, order = order_of(tmp_path, [Camera("a", 1, [Seen(1, 0, 20), Seen(2, 40, 50)])], [1], [(0, 2)])
    (made,) = ordered(workspace, order)
    assert isinstance(made, RenderedPair)
    path = made.artifact.path("clip.mp4")
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # starts playing before it is all there
    with av.open(str(path)) as clip:
        stream = clip.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.start_time) == ("h264", "yuv420p", 0)
        assert (stream.width, stream.height) == (1284, 388)
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base * NS_PER_SECOND == made.duration_ns


def test_fragments_of_the_query_form_one_half_in_time_order(tmp_path: Path) -> None:
    cameras = [Camera("a", 1, [Seen(1, 50, 59), Seen(2, 10, 19), Seen(3, 100, 104)])]
    workspace, order = order_of(tmp_path, cameras, [1, 2], [(0, 3)])
    ordered(workspace, order)
    document, frames = clip_of(workspace, "pair-0")

    shown = [shown_at(frames, index * FRAME_NS + 1).numbers(LEFT)[1] for index in range(20)]
    assert shown == [*range(10, 20), *range(50, 60)]
    assert [piece.clip_start_ns for piece in document.query.pieces] == [0, 10 * FRAME_NS]
    assert document.query.note == ""


def test_a_long_track_is_cut_to_entering_the_best_view_and_leaving_and_says_so(tmp_path: Path) -> None:
    cameras = [Camera("a", 1, [Seen(1, 0, 100, best=60), Seen(2, 110, 112)])]
    workspace, order = order_of(tmp_path, cameras, [2], [(0, 1)])
    ordered(workspace, order, ClipSettings(limit_seconds=2))
    document, frames = clip_of(workspace, "pair-0")

    assert document.candidate.duration_ns == 2 * NS_PER_SECOND
    assert document.candidate.cut_ns == 101 * FRAME_NS - 2 * NS_PER_SECOND
    assert "3.0 s are left out" in document.candidate.note
    shown = [shown_at(frames, index * FRAME_NS + 1).numbers(RIGHT)[1] for index in range(40)]
    assert shown == [*range(10), *range(50, 70), *range(91, 101)]
    pieces = [(piece.clip_start_ns, piece.camera_time.start) for piece in document.candidate.pieces]
    assert pieces == [(at * FRAME_NS, camera_time(first)) for at, first in ((0, 0), (10, 50), (30, 91))]


def test_poor_crops_are_no_good_views(tmp_path: Path) -> None:
    cameras = [Camera("a", 1, [Seen(1, 0, 200, best=60, poor=150), Seen(2, 210, 212)], frames=range(240))]
    workspace, order = order_of(tmp_path, cameras, [2], [(0, 1)])
    ordered(workspace, order, ClipSettings(limit_seconds=4))
    document, _ = clip_of(workspace, "pair-0")
    starts = [round((piece.camera_time.start - camera_time(0)) / FRAME_NS) for piece in document.candidate.pieces]
    ends = [round((piece.camera_time.end - camera_time(0)) / FRAME_NS) for piece in document.candidate.pieces]
    assert any(start <= 60 < end for start, end in zip(starts, ends, strict=True))
    assert not any(start <= 150 < end for start, end in zip(starts, ends, strict=True))


def test_a_jump_is_marked_on_the_picture_for_a_while(tmp_path: Path) -> None:
    cameras = [Camera("a", 1, [Seen(1, 0, 119, best=60), Seen(2, 110, 112)])]
    workspace, order = order_of(tmp_path, cameras, [2], [(0, 1)])
    ordered(workspace, order, ClipSettings(limit_seconds=5))
    document, frames = clip_of(workspace, "pair-0")
    middle = slice(RIGHT.left + 280, RIGHT.left + 360)
    bright = [
        float(frame.image[2:28, middle].mean()) for frame in frames if frame.time_ns < document.candidate.duration_ns
    ]
    assert len(document.candidate.pieces) > 1
    for piece in document.candidate.pieces[1:]:
        at = round(piece.clip_start_ns / FRAME_NS)
        assert min(bright[at : at + 20]) > 150, "black letters on a light ground"


def test_a_whole_track_is_shown_where_that_is_asked_for(tmp_path: Path) -> None:
    cameras = [Camera("a", 1, [Seen(1, 0, 100), Seen(2, 110, 112)])]
    workspace, order = order_of(tmp_path, cameras, [2], [(0, 1)])
    ordered(workspace, replace(order, whole_tracks=True), ClipSettings(limit_seconds=2))
    document, _ = clip_of(workspace, "pair-0")
    assert (document.candidate.duration_ns, document.candidate.cut_ns) == (101 * FRAME_NS, 0)


def test_a_cut_between_two_frames_begins_with_the_one_that_is_shown_then(tmp_path: Path) -> None:
    cameras = [Camera("a", 1, [Seen(1, 0, 60)], frames=range(0, 120, 4)), Camera("b", 2, [Seen(1, 0, 60)])]
    workspace, order = order_of(tmp_path, cameras, [1], [(1, 1)])
    ordered(workspace, order, ClipSettings(limit_seconds=1.37))
    document, frames = clip_of(workspace, "pair-0")
    for half, place in ((document.query, LEFT), (document.candidate, RIGHT)):
        first = (half.pieces[0].camera_time.start - camera_time(0)) // FRAME_NS
        assert camera_time(first) == half.pieces[0].camera_time.start
        assert frames[0].numbers(place)[1] == first


def test_several_pairs_share_one_query_half_and_are_found_ready_the_next_time(tmp_path: Path) -> None:
    cameras = [Camera("a", 1, [Seen(1, 0, 20)]), Camera("b", 2, [Seen(n, 20 * n, 20 * n + 10) for n in (1, 2, 3)])]
    workspace, order = order_of(tmp_path, cameras, [1], [(1, 1), (1, 2), (1, 3)])
    half = replace(order, pairs=order.pairs[:2])
    assert [event.reused for event in ordered(workspace, half) if isinstance(event, RenderedPair)] == [False, False]

    steps: list[Step] = []
    events: list[RenderedPair | Incident] = []
    render_pairs(workspace, order, SETTINGS, events.append, Work(on_step=steps.append))
    made = {event.pair_id: event.reused for event in events if isinstance(event, RenderedPair)}
    assert made == {"pair-0": True, "pair-1": True, "pair-2": False}
    assert [(step.done, step.total, step.unit) for step in steps] == [(2, 3, "pairs"), (3, 3, "pairs")]
    lefts = [clip_of(workspace, pair_id)[1][4].image[LEFT.slices] for pair_id in made]
    assert all(np.abs(left.astype(int) - lefts[0]).mean() < 2 for left in lefts)


def test_a_pair_that_cannot_be_rendered_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    cameras = [Camera("a", 1, [Seen(1, 0, 10), Seen(2, 40, 50)])]
    workspace, order = order_of(tmp_path, cameras, [1], [(0, 99), (0, 2)])
    events = ordered(workspace, order)
    (incident,) = [event for event in events if isinstance(event, Incident)]
    assert (incident.code, incident.subject, incident.camera) == ("pair_not_rendered", "pair-0", "a")
    assert "no track 99" in incident.message
    assert [event.pair_id for event in events if isinstance(event, RenderedPair)] == ["pair-1"]


def test_footage_that_is_broken_spoils_its_own_pairs_only(tmp_path: Path) -> None:
    cameras = [Camera("a", 1, [Seen(1, 0, 10), Seen(2, 40, 50)]), Camera("b", 2, [Seen(1, 0, 10)])]
    workspace, order = order_of(tmp_path, cameras, [1], [(1, 1), (0, 2)])
    part = workspace.get(order.cameras[1].reel_uri).path("part-000.mp4")
    part.write_bytes(b"\0" * part.stat().st_size)
    events = ordered(workspace, order)
    assert {type(event) for event in events} == {Incident, RenderedPair}


def test_a_query_that_cannot_be_shown_spoils_the_whole(tmp_path: Path) -> None:
    workspace, order = order_of(tmp_path, [Camera("a", 1, [Seen(1, 0, 10)])], [98], [(0, 1)])
    with pytest.raises(NotFound, match="no track 98"):
        ordered(workspace, order)


def test_a_stop_ends_all_clips_within_a_second_and_keeps_what_is_done(tmp_path: Path) -> None:
    tracks = [Seen(n, 0, 119) for n in range(1, 9)]
    workspace, order = order_of(tmp_path, [Camera("a", 1, tracks)], [1], [(0, n) for n in range(2, 9)])
    work, first = Work(), threading.Event()
    stopped_at: list[float] = []

    def stop_after_the_first() -> None:
        first.wait()
        stopped_at.append(time.monotonic())
        work.cancel()

    stopper = threading.Thread(target=stop_after_the_first)
    stopper.start()
    with pytest.raises(Cancelled):
        render_pairs(workspace, order, SETTINGS, lambda _: first.set(), work)
    stopper.join()
    assert time.monotonic() - stopped_at[0] < 1
    kept = sum(workspace.find(f"jobs/job/pairs/{pair.pair_id}") is not None for pair in order.pairs)
    assert 1 <= kept < len(order.pairs)
