"""How far the stages are: every step is taken in, the records are told at most once a second."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import Counter

from throughline.orchestrator.jobs import locked
from throughline.storage.records import Records
from throughline.storage.records.models import JobProgress

_WRITE_SECONDS = 1.0
_RATE_SECONDS = 15.0
_UNITS = Counter("throughline_stage_units", "What the stages have done, as progress counts it", ["stage", "unit"])


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: a stage of a job, on one camera or (empty) on the whole."""

    job_id: str
    stage: str
    camera: str = ""


class Meter:
    """Measures one subject; used by one thread. Its rate is that of the last seconds."""

    def __init__(self, records: Records, subject: Subject, clock: Callable[[], float] = time.monotonic) -> None:
        self._records = records
        self._subject = subject
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()
        self._latest: tuple[int, int, str] | None = None
        self._written_at = float("-inf")

    def update(self, done: int, total: int, unit: str) -> None:
        """Take in a step; tell the records if that was not done within the last second."""
        now = self._clock()
        if self._samples and done < self._samples[-1][1]:
            self._samples.clear()  # the stage began anew
        if self._samples:
            _UNITS.labels(self._subject.stage, unit).inc(done - self._samples[-1][1])
        self._samples.append((now, done))
        while now - self._samples[0][0] > _RATE_SECONDS and len(self._samples) > 2:
            self._samples.popleft()
        self._latest = (done, total, unit)
        if now - self._written_at >= _WRITE_SECONDS:
            self._write(now)

    def finish(self) -> None:
        """Tell the records where the stage ended."""
        if self._latest is not None:
            done, total, unit = self._latest
            self._latest = (max(done, total), total, unit)
            self._write(self._clock())

    @property
    def rate(self) -> float:
        """Units per second; 0 while unknown."""
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0

    def _write(self, now: float) -> None:
        if self._latest is None:
            return
        done, total, unit = self._latest
        left = max(0, total - done)
        seconds_left = 0.0 if total and not left else left / self.rate if total and self.rate else -1.0
        self._written_at = now
        subject = self._subject
        with self._records.write() as session:
            locked(session, subject.job_id).version += 1
            session.merge(
                JobProgress(
                    job_id=subject.job_id,
                    stage=subject.stage,
                    camera=subject.camera,
                    done=done,
                    total=total,
                    unit=unit[:40],
                    rate=self.rate,
                    seconds_left=seconds_left,
                )
            )
