"""A job's time window, as each camera's own clock shows it."""

from __future__ import annotations

from throughline.domain.time import ClockMap, Interval
from throughline.v1.orchestrator_pb2 import JobOptions
from throughline.wire.convert import clock_map_from_proto, interval_from_proto

_SIGMAS = 3


def camera_window(options: JobOptions, camera: str) -> Interval | None:
    """The window in camera time, wider by three standard deviations where the clock is uncertain; None for all."""
    if not options.HasField("time_window"):
        return None
    clocks = dict(clock_map_from_proto(message) for message in options.clock_maps)
    clock = clocks.get(camera, ClockMap())
    doubt_ns = _SIGMAS * clock.uncertainty_ns
    return clock.interval_to_camera(interval_from_proto(options.time_window)).padded(doubt_ns, doubt_ns)
