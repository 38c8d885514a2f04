"""The two kinds of value in a query's JSON that need care: moments, which must stay exact, and boxes, which must be finite."""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator
from pydantic_core import PydanticCustomError

from throughline.domain.time import NS_PER_SECOND, Instant

_LONGEST_INTEGER = 400
"""Digits; Python refuses to read those of more than 4300, and takes long over fewer."""


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _LONGEST_INTEGER else Decimal(text)


EXACT_NUMBERS: dict[str, Any] = {"parse_float": Decimal, "parse_int": _integer, "parse_constant": float}
"""For json.loads: decimals keep every digit, and NaN, the infinities and endless numbers reach the validators, which know their path."""

MAX_NS = 2**63 - 1
_NANOSECOND = Decimal("1e-9")
_DECIMAL = re.compile(r"-?\d{1,20}(?:\.\d{1,30})?")
_TIME_EXPECTED = "expected a time: ISO 8601 with a zone, such as 2026-03-01T10:00:00.250Z, or epoch seconds"


def _parse_time(value: Any) -> Instant:
    if isinstance(value, Instant):
        return value
    try:
        moment = _moment(value)
    except (ValueError, ArithmeticError) as error:
        raise PydanticCustomError(
            "query_time", "{text}", {"text": f"{_TIME_EXPECTED}, not {str(value)[:60]!r}"}
        ) from error
    if not 0 <= moment.ns <= MAX_NS:
        text = f"expected a time from 1970 to 2262 (epoch seconds, not milliseconds), not {str(value)[:60]!r}"
        raise PydanticCustomError("query_time", "{text}", {"text": text})
    return moment


def _moment(value: Any) -> Instant:
    """Read either form, exact to the nanosecond; raise ValueError."""
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        return Instant.parse(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValueError("neither text nor a number")
    seconds = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    if not seconds.is_finite():
        raise ValueError("not finite")
    if abs(seconds) * NS_PER_SECOND > MAX_NS:
        return Instant(-1)
    return Instant(int(seconds.quantize(_NANOSECOND, ROUND_HALF_UP).scaleb(9)))


def _parse_box(value: Any) -> tuple[float, float, float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        raise PydanticCustomError(
            "query_box", "{text}", {"text": f"expected a list of four numbers, not {str(value)[:60]!r}"}
        )
    left, top, right, bottom = (_number(number) for number in value)
    return left, top, right, bottom


def _number(value: Any) -> float:
    number = (
        float(Decimal(value)) if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) else math.nan
    )
    if not math.isfinite(number):
        raise PydanticCustomError(
            "query_box", "{text}", {"text": f"expected four finite numbers, not {str(value)[:60]!r} among them"}
        )
    return number


QueryTime = Annotated[Instant, PlainValidator(_parse_time), PlainSerializer(str)]
"""A moment of the camera's clock."""
BoxNumbers = Annotated[tuple[float, float, float, float], PlainValidator(_parse_box)]
"""Four finite numbers."""
