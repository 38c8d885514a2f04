"""What is wrong with a query's JSON, in its writer's terms: the path of each mistake, and what was expected there."""

from __future__ import annotations

import reprlib

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from throughline.domain.errors import InvalidQuery

MAX_MISTAKES = 10
"""Mistakes named in one answer."""


def invalid_query(error: ValidationError) -> InvalidQuery:
    """All mistakes in one error; its path is that of the first."""
    found = error.errors(include_url=False)
    inner = any(details["loc"][:1] == ("observations",) and len(details["loc"]) > 1 for details in found)
    mistakes = [
        mistake
        for details in found
        if not (inner and details["type"] == "too_short")  # wrong observations are not counted
        for mistake in _mistakes(details)
    ]
    path, expected = mistakes[0]
    further = [f"{where}: {what}" for where, what in mistakes[1:MAX_MISTAKES]]
    if len(mistakes) > MAX_MISTAKES:
        further.append(f"and {len(mistakes) - MAX_MISTAKES} more mistakes")
    return InvalidQuery(path, "; ".join([expected, *further]))


def _mistakes(details: ErrorDetails) -> list[tuple[str, str]]:
    if details["type"] == "boxes":
        return list(details["ctx"]["mistakes"])
    return [(_path(details["loc"]), _expected(details))]


def _path(location: tuple[int | str, ...]) -> str:
    """Such as observations[3].box[0]; the tags of the two kinds of observation are not part of the document."""
    tagged = len(location) > 2 and location[0] == "observations" and location[2] in ("timed", "frame")
    parts = location[:2] + location[3:] if tagged else location
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def _expected(details: ErrorDetails) -> str:
    if details["type"] == "missing":
        return "expected this field; it is missing"
    if details["type"] == "extra_forbidden":
        return "expected no such field; check its spelling"
    if details["type"].startswith("query_"):
        return details["msg"]
    given = _SHORT.repr(details["input"])
    words = _WORDS.get(details["type"])
    expected = (
        words.format(**details.get("ctx", {})) if words else details["msg"].replace("Input should be", "expected")
    )
    return f"{expected}, not {given if len(given) <= 60 else given[:57] + '...'}"


_SHORT = reprlib.Repr()
_SHORT.maxother = _SHORT.maxlong = _SHORT.maxstring = 100
_WORDS = {
    "model_type": "expected an object",
    "string_too_short": "expected at least {min_length} character",
    "string_too_long": "expected at most {max_length} characters",
    "too_short": "expected at least {min_length} item",
    "too_long": "expected at most {max_length} items",
    "tuple_type": "expected a list",
    "int_type": "expected a whole number",
    "string_type": "expected text",
}
"""Where pydantic's own words speak of Python."""
