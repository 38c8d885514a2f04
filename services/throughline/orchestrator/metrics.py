"""What the orchestrator's records say in numbers, looked up whenever Prometheus asks. Executors on one database all say the same."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import column, func, select, table
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from throughline.domain.time import NS_PER_SECOND
from throughline.orchestrator.durable import CAMERAS, JOBS, PAIRS
from throughline.orchestrator.words import ENDED, state_word
from throughline.storage.records import Records
from throughline.storage.records.models import Job, JobWait
from throughline.v1.orchestrator_pb2 import JOB_STATE_UNSPECIFIED, JobState

_STATES = [state_word(state) for state in JobState.values() if state != JOB_STATE_UNSPECIFIED]
_QUEUES = (JOBS, CAMERAS, PAIRS)
_STATUSES = {"ENQUEUED": "waiting", "PENDING": "running"}
"""DBOS's words for workflows that a queue holds, and ours."""


class JobCounts(Collector):
    """Jobs by state, queues by length and age."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return _families()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        up, jobs, oldest_job, queued, oldest_queued, waits, oldest_wait = families = _families()
        try:
            with self._records.read() as session:
                _add_jobs(session, jobs, oldest_job)
                _add_queues(session, queued, oldest_queued)
                _add_waits(session, waits, oldest_wait)
        except OperationalError:
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return families


def _families() -> tuple[GaugeMetricFamily, ...]:
    return (
        GaugeMetricFamily("throughline_database_up", "1 where the orchestrator's database answers"),
        GaugeMetricFamily("throughline_jobs", "Jobs in each state", labels=["state"]),
        GaugeMetricFamily("throughline_job_oldest_seconds", "Age of the oldest job in the state", labels=["state"]),
        GaugeMetricFamily("throughline_queue_length", "Workflows in each queue", labels=["queue", "status"]),
        GaugeMetricFamily("throughline_queue_oldest_seconds", "Age of the oldest of them", labels=["queue", "status"]),
        GaugeMetricFamily("throughline_waits", "Steps that are tried again until they work", labels=["step"]),
        GaugeMetricFamily(
            "throughline_wait_oldest_seconds", "For how long the oldest of them has been", labels=["step"]
        ),
    )


def _add_jobs(session: Session, count: GaugeMetricFamily, oldest: GaugeMetricFamily) -> None:
    rows = session.execute(select(Job.state, func.count(), func.min(Job.created_ns)).group_by(Job.state))
    found = {state: (number, since_ns) for state, number, since_ns in rows}
    for state in _STATES:
        number, since_ns = found.get(state, (0, 0))
        count.add_metric([state], number)
        if state not in ENDED:
            oldest.add_metric([state], (time.time_ns() - since_ns) / NS_PER_SECOND if number else 0.0)


def _add_queues(session: Session, count: GaugeMetricFamily, oldest: GaugeMetricFamily) -> None:
    schema = None if session.get_bind().dialect.name == "sqlite" else "dbos"
    workflows = table("workflow_status", column("queue_name"), column("status"), column("created_at"), schema=schema)
    queue, status, created_ms = workflows.c.queue_name, workflows.c.status, workflows.c.created_at
    query = select(queue, status, func.count(), func.min(created_ms)).group_by(queue, status)
    rows = session.execute(query.where(status.in_(_STATUSES), queue.in_(_QUEUES)))
    found = {(name, word): (number, since_ms) for name, word, number, since_ms in rows}
    for name in _QUEUES:
        for theirs, ours in _STATUSES.items():
            number, since_ms = found.get((name, theirs), (0, 0))
            labels = [name.removeprefix("throughline-"), ours]
            count.add_metric(labels, number)
            oldest.add_metric(labels, time.time() - since_ms / 1000 if number else 0.0)


def _add_waits(session: Session, count: GaugeMetricFamily, oldest: GaugeMetricFamily) -> None:
    query = select(JobWait.step, func.count(), func.min(JobWait.since_ns)).group_by(JobWait.step)
    for step, number, since_ns in session.execute(query):
        count.add_metric([step], number)
        oldest.add_metric([step], (time.time_ns() - since_ns) / NS_PER_SECOND)
