"""Looks at a piece of footage: at every wanted frame where somebody may be, and here and there where nobody can have appeared."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from prometheus_client import Counter

from throughline.domain.time import Instant, Interval, seconds_to_ns
from throughline.media.chosen import ChosenFrames
from throughline.media.frame import Frame
from throughline.media.packets import CodedFrames
from throughline.perception.gate import GateSettings, Glance, Stretch, differ, glance, stretches
from throughline.storage.detections import FrameDetections

_MOST_LOOKS = 16
"""On their way before the first is judged."""
_ON_THEIR_WAY = 32
"""Frames that what was found may lag behind while somebody is followed, without a pause until it is known."""

_SKIPPED = Counter(
    "throughline_frames_skipped", "Frames in which nobody can have appeared, so that the detector did not look"
)

Detect = Callable[[Iterable[Frame]], Iterator[FrameDetections]]


@dataclass
class Watch:
    """One pass over the frames that `coded` wants. What was left out is known once `frames` has ended.

    skipped: spans in which only looks were taken; skipped_frames: how many of their wanted frames were not looked at.
    """

    chosen: ChosenFrames
    coded: CodedFrames
    settings: GateSettings
    person_class: int
    detect: Detect
    skipped: list[Interval] = field(default_factory=list)
    skipped_frames: int = 0
    _divided: list[Stretch] = field(default_factory=list)
    _place: int = 0
    _wanted_ns: list[int] = field(default_factory=list)
    _came_ns: int | None = None
    """When whoever is being followed was first seen."""
    _seen_ns: int | None = None
    _look_times: frozenset[int] = frozenset()
    _glances: dict[int, Glance] = field(default_factory=dict)

    def frames(self) -> Iterator[FrameDetections]:
        """Detections in order of time. The same footage is always watched in the same way, however fast the detector is."""
        self._divided = stretches(self.coded, self.settings)
        first = np.flatnonzero(self.coded.wanted)[:1].tolist()
        self._wanted_ns = self.coded.times_ns[self.coded.wanted].tolist()
        self._look_times = frozenset(self._times([*first, *(stretch.last for stretch in self._divided)]))
        yield from self._seen(first)
        ahead = 1
        looks: dict[int, FrameDetections | None] = {}
        while self._place < len(self._divided):
            stretch = self._divided[self._place]
            if self._is_followed(stretch):
                # 1. Whatever moves, or follows on somebody who was seen, is analysed without a break.
                yield from self._seen(self._followed())
                self._forget(self._divided[self._place - 1].last)
                looks.clear()
                ahead = 1
                continue
            self._came_ns = None
            # 2. Elsewhere the look at the end decides; several are asked for at once while all is quiet.
            if stretch.last not in looks:
                coming = [each.last for each in self._divided[self._place : self._place + ahead]]
                looks = dict(zip(coming, self._looked_at(coming), strict=True))
            look = looks[stretch.last]
            if look is not None and self._is_quiet(stretch, look):
                self._skip(stretch)
                yield look
                ahead = min(2 * ahead, _MOST_LOOKS)
            else:
                yield from self._seen(range(stretch.first + 1, stretch.last + 1))
                self._forget(stretch.last)
                looks.clear()
                ahead = 1
            self._place += 1

    def _followed(self) -> Iterator[int]:
        """Rows to analyse from here on, for as long as what was found when more are asked for tells that they must be.

        Where that is too early to tell, as frames are on their way, it ends; once all of them are back, the next ones are judged
        again. What was seen by then only ever tells of more to follow, so the rows are the same however long answers take.
        """
        while self._place < len(self._divided) and self._is_followed(self._divided[self._place]):
            self._glances.clear()
            stretch = self._divided[self._place]
            self._place += 1
            yield from range(stretch.first + 1, stretch.last + 1)

    def _is_followed(self, stretch: Stretch) -> bool:
        """Whether something moves, or somebody was seen so shortly before that they may still be there, or their track alive; or, if
        they stayed, in one of the last frames, as many as may be on their way, and half as many as they stayed for at most."""
        came_ns, seen_ns = self._came_ns, self._seen_ns
        if stretch.busy or seen_ns is None:
            return stretch.busy
        start_ns = int(self.coded.times_ns[stretch.first])
        came, seen, start = (bisect_left(self._wanted_ns, each) for each in (came_ns or seen_ns, seen_ns, start_ns))
        lingers = start_ns - seen_ns < seconds_to_ns(self.settings.linger_seconds)
        return lingers or start - seen < min((seen - came) // 2, _ON_THEIR_WAY)

    def _is_quiet(self, stretch: Stretch, look: FrameDetections) -> bool:
        """Whether the look at a stretch's end shows nobody, not even perhaps, and nothing that has changed."""
        one, other = (self._glances.get(int(self.coded.times_ns[row])) for row in (stretch.first, stretch.last))
        if one is None or other is None or differ(one, other, self.settings.least_change):
            return False
        return not self._shows_somebody(look)

    def _shows_somebody(self, found: FrameDetections) -> bool:
        people = found.class_ids == self.person_class
        return bool((found.scores[people] >= self.settings.least_score).any())

    def _skip(self, stretch: Stretch) -> None:
        self._forget(stretch.last)
        count = int(self.coded.wanted[stretch.first + 1 : stretch.last].sum())
        if not count:
            return
        start, end = (Instant(time) for time in self._times([stretch.first, stretch.last]))
        if self.skipped and self.skipped[-1].end == start:
            start = self.skipped.pop().start
        self.skipped.append(Interval(start, end))
        self.skipped_frames += count
        _SKIPPED.inc(count)

    def _seen(self, rows: Iterable[int]) -> Iterator[FrameDetections]:
        """Analyse the wanted ones of these rows, and remember when somebody was seen."""
        for found in self._analysed(rows):
            if self._shows_somebody(found):
                self._seen_ns = found.time_ns  # first, as `_is_followed` may be asked meanwhile
                if self._came_ns is None:
                    self._came_ns = found.time_ns
            yield found

    def _looked_at(self, rows: Sequence[int]) -> list[FrameDetections | None]:
        """The looks at these rows; None where a frame did not decode."""
        found = {each.time_ns: each for each in self._analysed(rows)}
        return [found.get(time) for time in self._times(rows)]

    def _analysed(self, rows: Iterable[int]) -> Iterator[FrameDetections]:
        wanted = (row for row in rows if self.coded.wanted[row])
        return self.detect(self._glanced_at(self.chosen.read(wanted)))

    def _glanced_at(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if frame.time.ns in self._look_times:
                self._glances[frame.time.ns] = glance(frame)
            yield frame

    def _forget(self, row: int) -> None:
        """Drop the glances that lie before a row, which nothing is compared with any more."""
        time = int(self.coded.times_ns[row])
        self._glances = {at: kept for at, kept in self._glances.items() if at >= time}

    def _times(self, rows: Sequence[int]) -> list[int]:
        times: list[int] = self.coded.times_ns[np.array(rows, np.int64)].tolist()
        return times
