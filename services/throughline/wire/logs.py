"""Logging for every process: one line an event, with the job, camera, request and trace that it belongs to, and never a secret."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from opentelemetry import trace

from throughline.wire.subject import subject

LogFormat = Literal["auto", "text", "json"]
_NOISY = ("botocore", "boto3", "urllib3", "s3transfer", "httpx", "httpcore", "alembic.runtime.migration")
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|OTEL_EXPORTER_OTLP(_TRACES)?_HEADERS")
_SECRET_SHAPES = (
    (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{6,}"), r"\1***"),
    (re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)"), r"\1***"),
    (re.compile(r"(?i)([?&](?:x-amz-(?:signature|credential|security-token)|signature|token)=)[^&\s\"']+"), r"\1***"),
)
_LEAST_SECRET = 16
"""Shorter values may be ordinary words, as those of a local object store are."""
_MARKS = ("service", "job", "camera", "request_id", "trace_id", "span_id")
"""Of a line, besides time, level, logger, message and error; left out where empty."""


class _Marks(logging.Filter):
    """Gives every record what its thread works for."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def filter(self, record: logging.LogRecord) -> bool:
        working_for, span = subject(), trace.get_current_span().get_span_context()
        record.service = self._service
        record.job, record.camera, record.request_id = working_for.job, working_for.camera, working_for.request
        record.trace_id = trace.format_trace_id(span.trace_id) if span.is_valid else ""
        record.span_id = trace.format_span_id(span.span_id) if span.is_valid else ""
        return True


class _Redacting(logging.Formatter):
    """Hides what looks like a secret, and the values of secrets that this process was given."""

    def __init__(self, template: str | None, secrets: tuple[str, ...]) -> None:
        super().__init__(template)
        self._secrets = secrets

    def redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        for shape, replacement in _SECRET_SHAPES:
            text = shape.sub(replacement, text)
        return text


class JsonFormatter(_Redacting):
    """One JSON object a line."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        super().__init__(None, secrets)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": self.redacted(record.getMessage()),
        }
        line |= {name: value for name in _MARKS if (value := getattr(record, name, ""))}
        if record.exc_info:
            line["error"] = self.redacted(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(_Redacting):
    """For people: time, level, who, what."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        super().__init__("%(asctime)s %(levelname)s%(who)s %(name)s: %(message)s", secrets)

    def format(self, record: logging.LogRecord) -> str:
        record.who = "".join(f" {name}={value}" for name in ("job", "camera") if (value := getattr(record, name, "")))
        return self.redacted(super().format(record))


def configure_logging(level: str, form: LogFormat = "auto", service: str = "") -> None:
    """Log to standard error from `level` up: as text on a terminal, else as JSON, unless `form` says which."""
    secrets = _secrets(os.environ)
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.addFilter(_Marks(service))
    handler.setFormatter(TextFormatter(secrets) if text else JsonFormatter(secrets))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_failure
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("dbos").addHandler(logging.NullHandler())  # it makes one of its own where it has none
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # its core writes lines of its own form


def readable(line: str) -> str:
    """A line of a log as text, in whichever form it was written."""
    try:
        entry: Mapping[str, Any] = json.loads(line)
        text = f"{entry['time']} {entry['level']} {entry['logger']}: {entry['message']}"
    except (ValueError, KeyError, TypeError):
        return line
    return "\n".join([text, *str(entry.get("error", "")).splitlines()])


def _secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Values that must never be seen, of the variables and files whose names say so; the longest first."""
    folder = Path(environment.get("THROUGHLINE_SECRETS_DIR") or os.devnull)
    files = {path.name: path.read_text(errors="replace").strip() for path in folder.glob("*") if path.is_file()}
    named = [*environment.items(), *files.items()]
    found = {value for name, value in named if _SECRET_NAME.search(name.upper()) and not name.upper().endswith("_FILE")}
    return tuple(sorted((value for value in found if len(value) >= _LEAST_SECRET), key=len, reverse=True))


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is not None and failure.exc_type is not SystemExit:
        name = failure.thread.name if failure.thread else "unknown"
        error = (failure.exc_type, failure.exc_value, failure.exc_traceback)
        logging.getLogger(__name__).error("thread %s ended with a failure", name, exc_info=error)
