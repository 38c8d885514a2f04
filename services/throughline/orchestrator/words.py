"""How the contracts' enumerations stand in the records: in lower case and without their prefix."""

from __future__ import annotations

from throughline.v1.common_pb2 import VERDICT_UNSPECIFIED, Stage, Verdict
from throughline.v1.orchestrator_pb2 import JobState

ENDED = ("succeeded", "failed", "cancelled")
"""States in which a job stays."""


def stage_of(word: str) -> Stage.ValueType:
    return Stage.Value(f"STAGE_{word.upper()}")


def state_word(state: JobState.ValueType) -> str:
    return JobState.Name(state).removeprefix("JOB_STATE_").lower()


def state_of(word: str) -> JobState.ValueType:
    return JobState.Value(f"JOB_STATE_{word.upper()}")


def verdict_word(verdict: Verdict.ValueType) -> str:
    return Verdict.Name(verdict).removeprefix("VERDICT_").lower()


def verdict_of(word: str) -> Verdict.ValueType:
    return Verdict.Value(f"VERDICT_{word.upper()}") if word else VERDICT_UNSPECIFIED
