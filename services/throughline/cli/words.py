"""How enums, times and tracks are written for people."""

from __future__ import annotations

from datetime import UTC, datetime

from throughline.domain.time import NS_PER_SECOND
from throughline.v1.common_pb2 import Interval, Stage, Verdict
from throughline.v1.orchestrator_pb2 import JobState


def stage(value: Stage.ValueType) -> str:
    return Stage.Name(value).removeprefix("STAGE_").replace("_", " ").lower()


def state(value: JobState.ValueType) -> str:
    return JobState.Name(value).removeprefix("JOB_STATE_").replace("_", " ").lower()


def verdict(value: Verdict.ValueType) -> str:
    return "" if value == Verdict.VERDICT_UNSPECIFIED else Verdict.Name(value).removeprefix("VERDICT_").lower()


def moment(ns: int) -> str:
    """Date and time of UTC, to the second; empty for 0."""
    return f"{datetime.fromtimestamp(ns // NS_PER_SECOND, UTC):%Y-%m-%d %H:%M:%S}" if ns else ""


def span(interval: Interval) -> str:
    """Date and time of the start, length in seconds."""
    return f"{moment(interval.start_ns)} + {(interval.end_ns - interval.start_ns) / NS_PER_SECOND:.1f} s"
