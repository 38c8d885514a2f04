"""The tables."""

from throughline.storage.records.models.base import Base
from throughline.storage.records.models.executors import Executor
from throughline.storage.records.models.jobs import (
    Job,
    JobCamera,
    JobIncident,
    JobModel,
    JobProgress,
    JobRequest,
    JobTask,
    JobWait,
    StageRun,
)
from throughline.storage.records.models.reviews import Answer, Callback, Film, NextRound, ReviewRound
from throughline.storage.records.models.searches import CandidateTrack, ClockReading, QueryTrack, RankedRound, Search

__all__ = [
    "Answer",
    "Base",
    "Callback",
    "CandidateTrack",
    "ClockReading",
    "Executor",
    "Film",
    "Job",
    "JobCamera",
    "JobIncident",
    "JobModel",
    "JobProgress",
    "JobRequest",
    "JobTask",
    "JobWait",
    "NextRound",
    "QueryTrack",
    "RankedRound",
    "ReviewRound",
    "Search",
    "StageRun",
]
