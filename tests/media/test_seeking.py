"""Any moment of a reel, whatever its encoder did: the frame that is shown is the one that decoding everything shows."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.media.clips import Clip, make_clip, number_in, steady
from tests.media.reels import open_reel
from throughline.domain.footage import Reel, ReelChunk, ReelPart
from throughline.domain.time import NS_PER_SECOND, Instant, Interval, ticks_to_ns
from throughline.media.probe import ClipScan
from throughline.media.reader import TICK, ReelReader
from throughline.media.remux import ClipCopy, PartWriter

TEN = Instant.parse("2026-03-01T10:00:00Z")
PARTS = 12
"""Of different formats, as of a camera whose settings are changed all day; the shop is closed after every third."""
KINDS = (
    Clip(steady(48), gop=12, b_frames=3, open_gop=True),
    Clip(steady(48), gop=12, b_frames=3, codec="libx265", open_gop=True),
    Clip(steady(48), gop=7, b_frames=2),
    Clip([0, 1500, 9000, 9100, 40_000, 90_000, 90_010, 130_000, 140_000, 200_000], gop=4, b_frames=2),
)


@dataclass(frozen=True)
class Shown:
    """All frames of a reel, by brute force: when each begins, and the number that it shows."""

    starts: list[Instant]
    numbers: list[int]

    def at(self, moment: Instant) -> int:
        return self.numbers[bisect.bisect_right(self.starts, moment) - 1]


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ReelReader, Shown]]:
    folder = tmp_path_factory.mktemp("camera")
    reel = reel_of_parts(folder)
    with open_reel(folder, reel) as reader:
        yield reader, brute_force(folder, reel)


def reel_of_parts(folder: Path) -> Reel:
    originals = [make_clip(folder / f"original-{index}.mp4", clip) for index, clip in enumerate(KINDS)]
    parts: list[ReelPart] = []
    chunks: list[ReelChunk] = []
    gaps: list[Interval] = []
    start = TEN
    for number in range(PARTS):
        if number % 3 == 0 and parts:
            gaps.append(Interval(start, start + 2 * 3600 * NS_PER_SECOND))
            start = gaps[-1].end
        writer = PartWriter(folder / f"part-{number:03d}.mp4", start)
        with ClipScan(originals[number % len(KINDS)]) as scan:
            copy = ClipCopy(writer, scan, start)
            copy.run()
            span, form = copy.finish().span, scan.format
        writer.close()
        chunks.append(ReelChunk(f"{number}.mp4", "", "", 0, part=number, span=span))
        parts.append(ReelPart(f"part-{number:03d}.mp4", start, span, form.codec, form.upright, 0, writer.frame_count))
        start = span.end
    return Reel("cam1", tuple(parts), tuple(chunks), tuple(gaps))


def brute_force(folder: Path, reel: Reel) -> Shown:
    shown: list[tuple[Instant, int]] = []
    for part in reel.parts:
        with av.open(str(folder / part.file)) as container:
            for frame in container.decode(video=0):
                number = number_in(frame.to_ndarray(format="rgb24").astype(np.uint8))
                shown.append((part.epoch + ticks_to_ns(frame.pts or 0, TICK), number))
    return Shown([start for start, _ in shown], [number for _, number in shown])


Camera = tuple[ReelReader, Shown]


def test_the_footage_has_open_groups_and_every_frame(camera: Camera, tmp_path: Path) -> None:
    reader, shown = camera
    assert shown.numbers == [number for index in range(PARTS) for number in range(len(KINDS[index % len(KINDS)].times))]
    for clip in KINDS[:2]:
        with av.open(str(make_clip(tmp_path / "clip.mp4", clip))) as container:
            packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
        keyframes = [index for index, packet in enumerate(packets) if packet.is_keyframe and index]
        assert any((packets[index + 1].pts or 0) < (packets[index].pts or 0) for index in keyframes), (
            "it has open groups"
        )
    assert reader.frame_times() == shown.starts


@settings(max_examples=150)
@given(data=st.data())
def test_any_moment_shows_the_frame_that_decoding_everything_shows(camera: Camera, data: st.DataObject) -> None:
    reader, shown = camera
    part = data.draw(st.sampled_from(reader.reel.parts))
    near = data.draw(st.sampled_from([start for start in shown.starts if start in part.span]))
    moment = data.draw(
        st.one_of(
            st.integers(part.span.start.ns, part.span.end.ns - 1).map(Instant),
            st.sampled_from([near, near + 1, near + -1]),
        )
    )
    frame = reader.frame_at(moment)
    span = reader.span_at(moment)
    if any(moment in gap for gap in reader.reel.gaps) or moment < TEN:
        assert (frame, span) == (None, None)
        return
    assert frame is not None
    assert (number_in(frame.rgb()), frame.span) == (shown.at(moment), span)


@settings(max_examples=40)
@given(st.integers(0, 12 * 48), st.integers(1, 60))
def test_reading_on_from_any_moment_goes_through_parts_as_one(camera: Camera, first: int, count: int) -> None:
    reader, shown = camera
    first = min(first, len(shown.starts) - 2)
    last = min(first + count, len(shown.starts) - 1)
    window = Interval(shown.starts[first], shown.starts[last])
    assert [(frame.time, number_in(frame.rgb())) for frame in reader.frames(window)] == list(
        zip(shown.starts[first:last], shown.numbers[first:last], strict=True)
    )
