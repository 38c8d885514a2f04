"""How a reel is cut into pieces that are cached on their own."""

from __future__ import annotations

import pytest

from tests.tracker.footage import moment
from throughline.domain.footage import Reel, ReelChunk
from throughline.domain.time import Interval
from throughline.tracker.pieces import Piece, PieceReport, Skipped, cut_into_pieces


def chunk(name: str, start: float | None, end: float = 0.0) -> ReelChunk:
    span = None if start is None else Interval(moment(start), moment(end))
    return ReelChunk(name, f"file:///{name}", "", 1, part=None if span is None else 0, span=span)


def cut(chunks: list[ReelChunk], window: tuple[float, float] | None = None) -> list[tuple[str, float, float]]:
    """Chunk, start and end in seconds, of pieces of at most 60 s."""
    span = None if window is None else Interval(moment(window[0]), moment(window[1]))
    pieces = cut_into_pieces(Reel("cam1", (), tuple(chunks), ()), span, 60.0)
    zero = moment(0)
    return [(each.chunk.name, (each.span.start - zero) / 1e9, (each.span.end - zero) / 1e9) for each in pieces]


SHORT = [chunk("b", 30, 60), chunk("a", 0, 30), chunk("broken", None)]
LONG = [chunk("long", 50, 200)]
CASES = [
    # What                                  Chunks  Window      Pieces
    ("in order of time, without broken ones", SHORT, None, [("a", 0, 30), ("b", 30, 60)]),
    ("whole chunks that touch the window", SHORT, (10, 20), [("a", 0, 30)]),
    ("a window ends before what begins at its end", SHORT, (0, 30), [("a", 0, 30)]),
    (
        "a long chunk is cut at whole minutes",
        LONG,
        None,
        [("long", 50, 60), ("long", 60, 120), ("long", 120, 180), ("long", 180, 200)],
    ),
    ("... wherever the window lies", LONG, (70, 80), [("long", 60, 120)]),
    ("nothing within the window", LONG, (300, 400), []),
]


@pytest.mark.parametrize(("what", "chunks", "window", "expected"), CASES, ids=[case[0] for case in CASES])
def test_pieces(
    what: str,
    chunks: list[ReelChunk],
    window: tuple[float, float] | None,
    expected: list[tuple[str, float, float]],
) -> None:
    assert cut(chunks, window) == expected


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("10-00-00.mp4", "10-00-00.mp4.parquet"),
        ("2026/03 01/café.mp4", "2026_03_01_café.mp4.parquet"),
        ("../../etc/passwd", "etc_passwd.parquet"),
        ("...", "chunk.parquet"),
        ("x" * 400, "x" * 120 + ".parquet"),
    ],
)
def test_a_pieces_file_is_named_after_its_chunk(name: str, file: str) -> None:
    assert Piece(chunk(name, 0, 1), Interval(moment(0), moment(1))).file_name == file


def report(*skipped: tuple[float, float]) -> PieceReport:
    """Of a piece at 10 frames/s."""
    spans = tuple(Interval(moment(start), moment(end)) for start, end in skipped)
    return PieceReport("cam1", "a", Interval(moment(0), moment(60)), 10.0, "digest", 1, 0, 0, len(spans), spans)


def test_skipped_spans_are_joined_over_the_edge_of_pieces_and_never_over_what_was_analysed() -> None:
    skipped = Skipped()
    skipped.add(report((0, 10), (10.2, 20), (30, 59.9)))
    skipped.add(report((60, 70), (70.1, 80)))
    skipped.add(report((80.2, 90)))
    found = [((span.start - moment(0)) / 1e9, (span.end - moment(0)) / 1e9) for span in skipped.spans]
    assert found == [(0, 10), (10.2, 20), (30, 70), (70.1, 80), (80.2, 90)]
    assert skipped.frames == 6
