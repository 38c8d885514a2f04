"""Logging for every process: one line an event, with the job that it belongs to."""

from __future__ import annotations

import logging
from contextvars import ContextVar

job_of_call: ContextVar[str] = ContextVar("job_of_call", default="")
"""The job that the running call works for; empty outside of one."""


class _JobFilter(logging.Filter):
    """Gives every record the job of its call."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.job = job_of_call.get() or "-"
        return True


def configure_logging(level: str) -> None:
    """Log to standard error from `level` up."""
    handler = logging.StreamHandler()
    handler.addFilter(_JobFilter())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s job=%(job)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("botocore", "boto3", "urllib3", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
