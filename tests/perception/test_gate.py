"""Packets tell where something moves; looks lie just after keyframes, never too far apart."""

from __future__ import annotations

import numpy as np
import pytest

from throughline.media.packets import CodedFrames
from throughline.perception.gate import GateSettings, differ, stretches

SECOND = 1_000_000_000
RATE, SECONDS = 15, 60


def coded(
    gop_seconds: float = 2.0, jitter_ns: int = 0, rises: tuple[tuple[float, float, float], ...] = ()
) -> CodedFrames:
    """A minute of packets of about 1000 bytes, of which every third but one is wanted; `rises`: from, to, times as large."""
    random = np.random.default_rng(0)
    count = RATE * SECONDS
    times = np.arange(count) * SECOND // RATE + random.integers(-jitter_ns, jitter_ns + 1, count)
    sizes = random.normal(1000, 60, count)
    for start, end, factor in rises:
        sizes[(times >= start * SECOND) & (times < end * SECOND)] *= factor
    keyframes = np.arange(count) % round(gop_seconds * RATE) == 0
    sizes[keyframes] *= 40
    return CodedFrames(times.astype(np.int64), sizes.astype(np.int64), keyframes, np.arange(count) % 3 != 1)


def busy_seconds(frames: CodedFrames) -> list[tuple[float, float]]:
    times = frames.times_ns / SECOND
    return [(times[each.first], times[each.last]) for each in stretches(frames, GateSettings()) if each.busy]


@pytest.mark.parametrize("gop_seconds", [0.5, 1.0, 2.0, 2.06, 5.0, 60.0])
@pytest.mark.parametrize("jitter_ns", [0, 5_000_000])
def test_looks_are_at_most_two_seconds_apart(gop_seconds: float, jitter_ns: int) -> None:
    frames = coded(gop_seconds, jitter_ns)
    divided = stretches(frames, GateSettings())
    rows = [divided[0].first, *(each.last for each in divided)]
    assert rows[0] == np.flatnonzero(frames.wanted)[0]
    assert rows[-1] == np.flatnonzero(frames.wanted)[-1]
    assert frames.wanted[rows].all()
    assert np.diff(frames.times_ns[rows]).max() <= 2 * SECOND


def test_looks_lie_just_after_keyframes() -> None:
    frames = coded(2.0)
    rows = [each.last for each in stretches(frames, GateSettings())][:-1]
    since = [row - np.flatnonzero(frames.keyframes[: row + 1])[-1] for row in rows]
    assert max(since) <= 5


def test_noise_alone_is_not_busy() -> None:
    assert busy_seconds(coded()) == []


@pytest.mark.parametrize("factor", [1.2, 3.0])
def test_larger_packets_are_busy_and_so_is_what_lies_beside_them(factor: float) -> None:
    ((start, *_), *_, (_, end)) = busy_seconds(coded(rises=((30.5, 33.0, factor),)))
    assert 26 <= start <= 29
    assert 34 <= end <= 38


def test_footage_too_short_to_tell_is_busy() -> None:
    whole, few = coded(), slice(0, 5 * RATE)
    short = CodedFrames(whole.times_ns[few], whole.sizes[few], whole.keyframes[few], whole.wanted[few])
    assert all(each.busy for each in stretches(short, GateSettings()))


def test_footage_of_keyframes_alone_tells_nothing() -> None:
    whole = coded()
    frames = CodedFrames(whole.times_ns, whole.sizes, np.ones(len(whole), np.bool_), whole.wanted)
    assert all(each.busy for each in stretches(frames, GateSettings()))


def test_a_stretch_of_keyframes_alone_is_busy() -> None:
    whole = coded()
    keyframes = whole.keyframes | ((whole.times_ns > 30 * SECOND) & (whole.times_ns < 33 * SECOND))
    ((start, *_), *_, (_, end)) = busy_seconds(CodedFrames(whole.times_ns, whole.sizes, keyframes, whole.wanted))
    assert 26 <= start <= 31
    assert 32 <= end <= 37


def test_two_looks_with_nothing_but_a_keyframe_between_them_are_not_busy() -> None:
    whole, some = coded(60.0), slice(0, 20 * RATE + 6)
    keyframes = whole.keyframes[some].copy()
    keyframes[-2:] = True  # the last look but one is at 20.2 s, the last one two frames later
    frames = CodedFrames(whole.times_ns[some], whole.sizes[some], keyframes, whole.wanted[some])
    assert stretches(frames, GateSettings())[-1].first == 20 * RATE + 3
    assert busy_seconds(frames) == []


def test_nothing_wanted_is_nothing_to_divide() -> None:
    assert stretches(CodedFrames.of([]), GateSettings()) == []
    assert stretches(CodedFrames.of([(0, 10, True, True)]), GateSettings()) == []


def test_pictures_differ_by_a_place_not_by_noise() -> None:
    random = np.random.default_rng(0)
    one, other = (np.asarray(100 + random.normal(0, 1, (20, 30)), np.float32) for _ in range(2))
    assert not differ(one, other, 8.0)
    other[7, 9] += 20
    assert differ(one, other, 8.0)
    assert differ(one, other[:10], 8.0)
