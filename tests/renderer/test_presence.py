from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.renderer.footage import FRAME_NS, Camera, Seen, build, camera_time, track_id
from throughline.renderer.presence import appearances, stretches
from throughline.renderer.settings import FilmSettings
from throughline.renderer.sources import Sources

EXACT = FilmSettings(before_seconds=0, after_seconds=0)
"""The person of every track walks a pixel a frame at 20 frames/s, from x = 40 to the edge of the picture at about frame 240."""


def shown(
    root: Path, tracks: Sequence[Seen], settings: FilmSettings = EXACT, frames: Sequence[int] = range(320)
) -> list[tuple[int, int, list[int]]]:
    """First frame, frame after the last, and tracks of each appearance."""
    workspace, refs = build(root, [Camera("a", 1, tracks, frames=frames)])
    ids = [track_id(refs[0], seen.number) for seen in tracks]
    with Sources(workspace, refs, ids) as sources:
        source = sources.camera("a")
        found = [stretch for each in ids for stretch in stretches(source, each, settings)]
        zero = camera_time(0)
        return [
            (
                (appearance.span.start - zero) // FRAME_NS,
                (appearance.span.end - zero) // FRAME_NS,
                [track.number for track in appearance.tracks],
            )
            for appearance in appearances(source, found, settings)
        ]


def test_somebody_who_stays_about_is_one_appearance_and_somebody_long_away_two(tmp_path: Path) -> None:
    tracks = [Seen(1, 0, 20), Seen(2, 80, 100), Seen(3, 220, 230)]
    assert shown(tmp_path, tracks) == [(0, 101, [1, 2]), (220, 231, [3])]


def test_somebody_who_may_have_left_by_the_edge_is_not_bridged(tmp_path: Path) -> None:
    tracks = [Seen(1, 200, 250), Seen(2, 300, 310)]
    assert shown(tmp_path, tracks) == [(200, 251, [1]), (300, 311, [2])]


def test_how_long_somebody_may_be_hidden_is_a_setting(tmp_path: Path) -> None:
    tracks = [Seen(1, 0, 20), Seen(2, 99, 120)]
    assert shown(tmp_path / "five", tracks) == [(0, 121, [1, 2])]
    three = EXACT.model_copy(update={"still_seconds": 3.0})
    assert shown(tmp_path / "three", tracks, three) == [(0, 21, [1]), (99, 121, [2])]


def test_a_track_with_a_long_interruption_is_two_appearances(tmp_path: Path) -> None:
    assert shown(tmp_path, [Seen(1, 0, 220, step=110)]) == [(0, 1, [1]), (110, 111, [1]), (220, 221, [1])]


def test_frames_around_the_analysed_ones_are_shown_where_there_are_any(tmp_path: Path) -> None:
    frames = [*range(10, 60), *range(70, 120)]
    tracks = [Seen(1, 11, 40), Seen(2, 72, 119)]
    settings = FilmSettings(before_seconds=0.1, after_seconds=0.1, bridge_seconds=0.5, still_seconds=0)
    assert shown(tmp_path, tracks, settings, frames) == [(10, 43, [1]), (70, 120, [2])]


def test_appearances_that_are_too_short_are_left_out(tmp_path: Path) -> None:
    tracks = [Seen(1, 0, 20), Seen(2, 80, 85), Seen(3, 150, 190)]
    apart = EXACT.model_copy(update={"bridge_seconds": 0.5, "still_seconds": 0.0})
    longer = apart.model_copy(update={"least_seconds": 0.5})
    assert shown(tmp_path / "all", tracks, apart) == [(0, 21, [1]), (80, 86, [2]), (150, 191, [3])]
    assert shown(tmp_path / "longer", tracks, longer) == [(0, 21, [1]), (150, 191, [3])]


def test_short_appearances_that_are_shown_as_one_are_as_long_as_that(tmp_path: Path) -> None:
    tracks = [Seen(1, 0, 6), Seen(2, 12, 18)]
    settings = EXACT.model_copy(update={"bridge_seconds": 0.5, "still_seconds": 0.0, "least_seconds": 0.8})
    assert shown(tmp_path, tracks, settings) == [(0, 19, [1, 2])]


def test_absences_that_are_short_enough_are_shown(tmp_path: Path) -> None:
    tracks = [Seen(1, 0, 20), Seen(2, 60, 80)]
    for seconds, expected in ((1.9, [(0, 21, [1]), (60, 81, [2])]), (2.0, [(0, 81, [1, 2])])):
        settings = EXACT.model_copy(update={"bridge_seconds": seconds, "still_seconds": 0.0})
        assert shown(tmp_path / str(seconds), tracks, settings) == expected
