"""JSON documents of domain values, for programs and people alike: indented, times in ISO 8601."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from throughline.domain.errors import CorruptArtifact

T = TypeVar("T")


def dump(value: Any) -> bytes:
    """The JSON of a dataclass; `load` with its class gives an equal value. Floats must be finite."""
    return TypeAdapter(type(value)).dump_json(value, indent=2) + b"\n"


def compact(value: Any) -> bytes:
    """As `dump`, on one line: for long lists that only programs read."""
    return TypeAdapter(type(value)).dump_json(value) + b"\n"


def load(kind: type[T], data: bytes) -> T:
    """Read what `dump` wrote; raise CorruptArtifact where it is not the document of a `kind`."""
    try:
        value: T = TypeAdapter(kind).validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise CorruptArtifact(
            f"this is not the document of a {kind.__name__}: {place}: {first['msg']}; remove its artifact and run again"
        ) from error
    return value
