"""What space and time say of a track: whether it can be the person at all, and how much likelier or unlikelier that makes it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from throughline.domain.correction import Correction
from throughline.domain.pairs import TrackId, TrackSpan
from throughline.domain.time import ClockMap, Interval
from throughline.domain.topology import UNKNOWN, Judgement, Sighting, Topology, Transit
from throughline.domain.transits import LearnedTransit
from throughline.tracker.artifacts import CameraTracks
from throughline.wire.topology_document import parse_topology

_SMALLEST = 1e-6
"""Of a probability, so that it has odds."""


@dataclass(frozen=True)
class Known:
    """What a round of ranking knows besides the query: earlier rounds, and the site."""

    confirmed: tuple[TrackSpan, ...] = ()
    asked: tuple[TrackId, ...] = ()
    topology_yaml: str = ""
    learned: tuple[LearnedTransit, ...] = ()
    correction: Correction | None = None
    """Of the calibration, by the site's reviewers."""

    @cached_property
    def topology(self) -> Topology | None:
        """None where nothing is known. Raises InvalidInput for a topology that is none."""
        if not (self.topology_yaml or self.learned):
            return None
        given = parse_topology(self.topology_yaml) if self.topology_yaml else Topology()
        learned = {
            (each.start, each.end): Transit(median_ns=each.median_ns, spread=each.spread) for each in self.learned
        }
        return Topology(given.cameras, given.transits, given.overlaps, given.overlaps_complete, learned)


class Places:
    """A person's tracks, to which others are held. `window_ns`: how long the cameras looked."""

    def __init__(self, topology: Topology, tracks: Sequence[TrackSpan], cameras: Sequence[CameraTracks]) -> None:
        self._topology = topology
        self._clocks = {each.camera: each.clock for each in cameras}
        self._seen = [_sighting(track, self._clocks) for track in tracks]
        self._window_ns = _window_ns(cameras)

    def judge(self, track: TrackSpan) -> Judgement:
        """All of the person's tracks may rule a track out; only those next before and after it in time make it likelier or not."""
        new = _sighting(track, self._clocks)
        judged = [
            (each, self._topology.judge(each, new, self._window_ns)) for each in self._seen if each.camera != new.camera
        ]
        ruled_out = next((judgement for _, judgement in judged if judgement.objection is not None), None)
        if ruled_out is not None:
            return ruled_out
        nearest = [each for each in (_before(self._seen, new), _after(self._seen, new)) if each is not None]
        telling = [judgement for each, judgement in judged if each in nearest and judgement.reason]
        if not telling:
            return UNKNOWN
        return Judgement(None, math.prod(each.ratio for each in telling), "; ".join(each.reason for each in telling))


def weighed(similarity: float, ratio: float) -> float:
    """A probability at equal priors after evidence that makes it `ratio` times likelier. NaN stays NaN."""
    sure = min(max(similarity, _SMALLEST), 1 - _SMALLEST)
    odds = sure / (1 - sure) * ratio
    return similarity if ratio == 1.0 or math.isnan(similarity) else odds / (1 + odds)


def _before(seen: Sequence[Sighting], new: Sighting) -> Sighting | None:
    """The one that the person came from, or was still at."""
    earlier = [each for each in seen if each.span.start <= new.span.start]
    return max(earlier, key=lambda each: each.span.end, default=None)


def _after(seen: Sequence[Sighting], new: Sighting) -> Sighting | None:
    """The one that the person went to, or was already at."""
    later = [each for each in seen if each.span.end >= new.span.end]
    return min(later, key=lambda each: each.span.start, default=None)


def _sighting(track: TrackSpan, clocks: Mapping[str, ClockMap]) -> Sighting:
    clock = clocks.get(track.track.camera, ClockMap())
    return Sighting(track.track.camera, track.span, clock.uncertainty_ns)


def _window_ns(cameras: Sequence[CameraTracks]) -> int:
    """From the first to the last track of all cameras, in UTC."""
    spans = []
    for camera in cameras:
        extents = camera.extents()
        if len(extents.ids):
            first, last = int(extents.starts_ns.min()), int(extents.ends_ns.max())
            spans.append(camera.span(0, first, last).span)
    if not spans:
        return 0
    return Interval(min(span.start for span in spans), max(span.end for span in spans)).duration_ns
