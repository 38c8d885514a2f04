"""What a check comes to: what was looked at, what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from throughline.domain.errors import ThroughlineError


class State(StrEnum):
    """`missing` is what Throughline can't do its work without; `warning` is what it can, less well or not for long."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. `remedy` is empty where all is well."""

    what: str
    state: State
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """The deployment that is looked at. `home` is that of `throughline up`, `uris` what must be readable besides its own places."""

    home: Path
    models: Path
    port: int
    needs_gpu: bool
    uris: tuple[str, ...] = ()


def ok(what: str, found: str) -> Finding:
    return Finding(what, State.OK, found)


def warning(what: str, found: str, remedy: str) -> Finding:
    return Finding(what, State.WARNING, found, remedy)


def missing(what: str, found: str, remedy: str) -> Finding:
    return Finding(what, State.MISSING, found, remedy)


def looked(what: str, look: Callable[[], str], remedy: str) -> Finding:
    """What `look` says it found; missing, with its error, where it raises a ThroughlineError or OSError."""
    try:
        return ok(what, look())
    except (ThroughlineError, OSError) as error:
        return missing(what, str(error), remedy)
