"""Where a fast search looks closer: around everybody whom its first pass found a little like the person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from throughline.domain.time import NS_PER_SECOND, ClockMap, Instant, Interval, merge_intervals
from throughline.v1.common_pb2 import SIMILARITY_SCALE_COSINE, SimilarityScale, TrackRef
from throughline.v1.orchestrator_pb2 import SEARCH_MODE_FAST, JobOptions

SCOUTING_RATE = 2.0
"""Frames per second of the first pass."""
_DEFAULT_RATE = 10.0
_AROUND_NS = 4 * NS_PER_SECOND
"""Looked at before and after a track of the first pass, which may have begun late, broken off early, or be one piece of several."""
_ODDS = 3.0
"""How much smaller the odds may be in the first pass than the job asks for: tracks of few frames show people worse."""
_COSINE = 0.12
"""The same for thresholds on the scale of cosines."""


def analysis_rate(options: JobOptions) -> float:
    """Frames per second that the job asks for."""
    return options.analysis_rate if options.HasField("analysis_rate") else _DEFAULT_RATE


def is_fast(options: JobOptions) -> bool:
    """Whether the job is searched in two passes: it asks for that, and for more frames than the first pass looks at."""
    return options.search_mode == SEARCH_MODE_FAST and analysis_rate(options) > SCOUTING_RATE


def lowered(threshold: float, scale: SimilarityScale.ValueType) -> float:
    """The least similarity in the first pass of somebody who may reach `threshold` when looked at closely."""
    if scale == SIMILARITY_SCALE_COSINE:
        return max(0.0, threshold - _COSINE)
    return threshold / (threshold + _ODDS * (1 - threshold))


def around(tracks: Iterable[TrackRef], clocks: Mapping[str, ClockMap]) -> Iterator[tuple[str, list[Interval]]]:
    """By camera, in order: the spans around its tracks in its own time, in order and apart from each other."""
    spans: dict[str, list[Interval]] = {}
    for track in tracks:
        span = Interval(Instant(track.span.start_ns), Instant(track.span.end_ns)).padded(_AROUND_NS, _AROUND_NS)
        spans.setdefault(track.camera, []).append(clocks[track.camera].interval_to_camera(span))
    for camera in sorted(spans):
        yield camera, merge_intervals(spans[camera])
