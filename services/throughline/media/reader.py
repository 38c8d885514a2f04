"""Reads a reel as one film with exact frame times, from any moment on, whatever its parts, gaps and B-frames."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
from av.container import InputContainer

from throughline.domain.errors import InvalidInput, NotFound
from throughline.domain.footage import Reel, ReelPart
from throughline.domain.time import MEDIA_RATE, NS_PER_SECOND, Instant, Interval, ns_to_ticks, ticks_to_ns
from throughline.media.decoding import decoded
from throughline.media.disposable import disposable_in, sorted_out
from throughline.media.frame import Frame
from throughline.media.packets import CodedFrames
from throughline.media.seek import packets_around

TICK = Fraction(1, MEDIA_RATE)
_FORWARD_NS = 5 * NS_PER_SECOND
"""How far `frame_at` decodes on before it seeks instead."""


class ReelReader:
    """Frames of a reel by time. Iterators are independent of each other; `frame_at` belongs to one thread.

    `path_of` gives the local path of a part's file. `threads` limits each decoder's threads; 0 leaves it to FFmpeg.
    """

    def __init__(self, reel: Reel, path_of: Callable[[str], Path], threads: int = 0) -> None:
        self.reel = reel
        self.damaged: set[Instant] = set()
        """Times of the packets that did not decode; their frames are missing from what was read."""
        self.path_of = path_of
        """Where a part lies on this machine, by its file's name."""
        self._threads = threads
        self._gap_starts = [gap.start for gap in reel.gaps]
        self._idle: dict[int, InputContainer] = {}
        self._times_of_chunk: dict[str, list[Instant]] = {}
        self._cursor: Iterator[Frame] = iter(())
        self._current: Frame | None = None

    def frames(self, window: Interval | None = None, rate: float | None = None) -> Iterator[Frame]:
        """Frames whose time lies in `window` (camera time, default all), in order.

        With `rate` (frames/s) only the first frame at or after each instant k/rate since 1970, and the first of each
        part: the choice does not depend on the window, so neighbouring windows together give what one large one does.
        A frame that does not decode is replaced by the next that does, if no other instant lies between. What nobody wants is
        decoded only as far as other frames need it.
        """
        for index, part in enumerate(self.reel.parts):
            if window is None:
                yield from self._part_frames(index, part.span, rate)
            elif part.span.overlaps(window):
                yield from self._part_frames(index, window, rate)

    def frame_at(self, time: Instant) -> Frame | None:
        """The frame shown at `time` (camera time), or None in a gap and outside the reel. Cheap when asked in order."""
        current = self._current
        if current is None or not current.time <= time < current.time + _FORWARD_NS:
            self._close_cursor()
            span = self.span_at(time)
            if span is None:
                return None
            self._cursor = self.frames(Interval(span.start, self.reel.parts[-1].span.end))
            self._current = next(self._cursor, None)
        while self._current is not None and self._current.span.end <= time:
            following = next(self._cursor, None)
            if following is None or following.time > time:
                self._close_cursor()
                return None
            self._current = following
        return self._current

    def span_at(self, time: Instant) -> Interval | None:
        """When the frame shown at `time` (camera time) begins and ends, or None as `frame_at`; nothing is decoded."""
        for index, part in enumerate(self.reel.parts):
            if time in part.span:
                ticks = ns_to_ticks(time - part.epoch, TICK)
                after = ticks + (part.epoch + ticks_to_ns(ticks, TICK) <= time)
                around = self._ticks_around(index, after)
                start, end = (None if each is None else part.epoch + ticks_to_ns(each, TICK) for each in around)
                if start is None:
                    return None
                end = self._end(index, start, end or part.span.end)
                return Interval(start, end) if time < end else None
        return None

    def frame_times(self, window: Interval | None = None) -> list[Instant]:
        """Times of all frames in `window` (default all), in order; nothing is decoded."""
        times: list[Instant] = []
        for index, part in enumerate(self.reel.parts):
            span = part.span if window is None else part.span.intersection(window)
            if span is not None:
                times += self._part_times(index, span)
        return times

    def coded_frames(self, window: Interval, rate: float | None = None) -> CodedFrames:
        """Frames whose time lies in `window`, as their packets tell; nothing is decoded. Those that `frames` gives at `rate` are marked,
        as long as all decode."""
        rows: list[tuple[int, int, bool, bool]] = []
        for index, part in enumerate(self.reel.parts):
            span = part.span.intersection(window)
            if span is not None:
                rows += self._part_packets(index, span, _grid(rate))
        return CodedFrames.of(rows)

    def chunk_frame_time(self, chunk: str, frame: int) -> Instant:
        """Time of frame `frame` (from 0, in order of display) of a chunk, by its name below the camera's folder.

        Raises NotFound for an unknown or skipped chunk, InvalidInput for a frame that it does not have.
        """
        found = next((each for each in self.reel.chunks if each.name == chunk), None)
        if found is None or found.span is None:
            why = found.problem if found else "no such chunk was listed"
            raise NotFound(f"chunk {chunk} is not in the reel of camera {self.reel.camera}: {why}")
        times = self._times_of_chunk.get(chunk)
        if times is None:
            times = self._times_of_chunk[chunk] = self.frame_times(found.span)
        if not 0 <= frame < len(times):
            raise InvalidInput(
                f"chunk {chunk} of camera {self.reel.camera} has frames 0 to {len(times) - 1} in the reel, not {frame}"
            )
        return times[frame]

    def close(self) -> None:
        """Close every file. Iterators that are still open must not be used afterwards."""
        self._close_cursor()
        while self._idle:
            self._idle.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _part_frames(self, index: int, window: Interval, rate: float | None) -> Iterator[Frame]:
        part = self.reel.parts[index]
        grid = _grid(rate)
        held: tuple[Instant, av.VideoFrame] | None = None
        container = self._borrow(index)
        try:
            moments, previous = self._decoded(container, part, window.start, grid)
            while (moment := next(moments, None)) is not None:
                time, picture = moment
                if previous is not None and time <= previous:
                    continue  # a second picture for the same instant
                if held is not None:
                    yield self._frame(index, *held, until=time)
                held = None
                if time >= window.end:
                    return
                if time >= window.start and (grid is None or _on_grid(previous, time, grid)):
                    if picture is None:  # left out for one that did not decode, and whose place it takes
                        moments, _ = self._decoded(container, part, time, None)
                        continue
                    held = (time, picture)
                previous = time
            if held is not None:
                yield self._frame(index, *held, until=part.span.end)
        finally:
            self._give_back(index, container)

    def _decoded(
        self, container: InputContainer, part: ReelPart, start: Instant, grid: Fraction | None
    ) -> tuple[Iterator[tuple[Instant, av.VideoFrame | None]], Instant | None]:
        """Times of the frames that follow on the last one before `start`, and that one's; with pictures where they were decoded, as
        all are that `grid` takes and that do decode."""
        stream = container.streams.video[0]
        start_ticks = ns_to_ticks(max(0, start - part.epoch), TICK)
        packets, before = packets_around(container, stream, start_ticks)

        def moment(ticks: int) -> Instant:
            return part.epoch + ticks_to_ns(ticks, TICK)

        def is_wanted(previous: int | None, ticks: int) -> bool:
            if ticks < start_ticks or grid is None:
                return ticks >= start_ticks
            return _on_grid(None if previous is None else moment(previous), moment(ticks), grid)

        sorted_packets = sorted_out(packets, disposable_in(stream), is_wanted, before)
        pictures = decoded(sorted_packets, stream, lambda ticks: self.damaged.add(moment(ticks)))
        after = -1 if before is None else before
        moments = ((moment(ticks), picture) for ticks, picture in pictures if ticks > after)
        return moments, None if before is None else moment(before)

    def _frame(self, index: int, time: Instant, picture: av.VideoFrame, *, until: Instant) -> Frame:
        part = self.reel.parts[index]
        duration_ns = self._end(index, time, until) - time
        return Frame(time, duration_ns, part.size, part.rotation_degrees, picture, index)

    def _end(self, index: int, start: Instant, following: Instant) -> Instant:
        """When the frame that begins at `start` ends: at the following one, the next gap or the end of the part."""
        gap = bisect.bisect_right(self._gap_starts, start)
        return min(following, self.reel.parts[index].span.end, *self._gap_starts[gap : gap + 1])

    def _ticks_around(self, index: int, ticks: int) -> tuple[int | None, int | None]:
        """PTS of the last frame before `ticks` of a part, and of the first one at or after."""
        container = self._borrow(index)
        try:
            packets, before = packets_around(container, container.streams.video[0], ticks)
            after: int | None = None
            for packet in packets:
                if packet.pts is None or (after is not None and (packet.dts or 0) >= after):
                    break  # whatever follows is shown later
                if packet.pts >= ticks and (after is None or packet.pts < after):
                    after = packet.pts
        finally:
            self._give_back(index, container)
        return before, after

    def _part_times(self, index: int, span: Interval) -> list[Instant]:
        return [Instant(time) for time, _, _, _ in self._part_packets(index, span, None)]

    def _part_packets(self, index: int, span: Interval, grid: Fraction | None) -> list[tuple[int, int, bool, bool]]:
        """Time, size, whether it is a keyframe and whether it is on the grid, of each frame of a part in a span."""
        part = self.reel.parts[index]
        container = self._borrow(index)
        try:
            start, end = (ns_to_ticks(moment - part.epoch, TICK) for moment in (span.start, span.end))
            packets, before = packets_around(container, container.streams.video[0], start)
            coded: list[tuple[int, int, bool]] = []
            for packet in packets:
                if packet.pts is None or (packet.dts or 0) > end:
                    break
                coded.append((packet.pts, packet.size, packet.is_keyframe))
        finally:
            self._give_back(index, container)
        rows = []
        previous = None if before is None else part.epoch + ticks_to_ns(before, TICK)
        for ticks, size, is_keyframe in sorted(coded):
            time = part.epoch + ticks_to_ns(ticks, TICK)
            if time in span:
                rows.append((time.ns, size, is_keyframe, grid is None or _on_grid(previous, time, grid)))
            previous = time
        return rows

    def _borrow(self, index: int) -> InputContainer:
        """A container of one part for one use; the file's index is read once as long as uses follow each other."""
        idle = self._idle.pop(index, None)
        if idle is not None:
            return idle
        container = av.open(str(self.path_of(self.reel.parts[index].file)))
        stream = container.streams.video[0]
        stream.thread_type = av.codec.context.ThreadType.AUTO
        stream.codec_context.thread_count = self._threads
        return container

    def _give_back(self, index: int, container: InputContainer) -> None:
        if index in self._idle:
            container.close()
        else:
            self._idle[index] = container

    def _close_cursor(self) -> None:
        close = getattr(self._cursor, "close", None)
        if close is not None:
            close()
        self._cursor, self._current = iter(()), None


def _grid(rate: float | None) -> Fraction | None:
    """Frames wanted per nanosecond."""
    return Fraction(rate).limit_denominator(1_000_000) / NS_PER_SECOND if rate else None


def _on_grid(previous: Instant | None, time: Instant, grid: Fraction) -> bool:
    """Whether an instant k/rate lies in (previous, time]; `grid` is the rate per nanosecond."""
    if previous is None:
        return True
    return time.ns * grid.numerator // grid.denominator > previous.ns * grid.numerator // grid.denominator
