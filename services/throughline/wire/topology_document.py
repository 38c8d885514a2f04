"""A topology as people write it: YAML, checked line by line of what can be wrong, and turned into the domain's form.

    transits:
      - {from: entrance, to: till, least: 10, most: 300, median: 45, spread: 1.6}
      - {between: [entrance, aisle 3], least: 4}      # both directions
    overlaps:
      - [till left, till right]

Seconds throughout; `spread` is a factor. docs/tracking.md explains each word.
"""

from __future__ import annotations

import math
import reprlib
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import combinations
from typing import Any

import yaml

from throughline.domain.errors import InvalidInput
from throughline.domain.time import seconds_to_ns
from throughline.domain.topology import Topology, Transit, Way

MAX_BYTES = 1 << 20
LONGEST_SECONDS = 30 * 86_400
MOST_AT_ONCE = 100
"""Cameras in one overlap."""
_TOLD = 20
"""Mistakes told of; names are compared for these alone."""
_LONGEST = 60
_TOP = ("cameras", "transits", "overlaps")
_TRANSIT = ("from", "to", "between", "least", "most", "median", "spread")


class _Loader(yaml.BaseLoader):
    """Leaves every scalar as text, so that a camera may be called 007 or no, and refuses keys that stand twice. Aliases are refused
    too: a few of them can stand for more than any memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not taken; write them out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for key, count in Counter(keys).items() if count > 1), None)
        if twice is not None:
            raise yaml.MarkedYAMLError(problem=f"{twice!r} stands twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def parse_topology(text: str) -> Topology:
    """Read a topology; raise InvalidInput that lists all that is wrong with it, a line each."""
    if len(text.encode()) > MAX_BYTES:
        raise InvalidInput(f"topology: is longer than {MAX_BYTES} bytes; name fewer ways")
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - it makes text, lists and mappings only
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidInput(f"topology: is no YAML: {' '.join(str(error).split())}") from error
    reading = _Reading()
    topology = reading.topology(value)
    if reading.problems:
        more = len(reading.problems) - _TOLD
        rest = [f"topology: {more} more mistakes"] if more > 0 else []
        raise InvalidInput("\n".join([*(f"topology {problem}" for problem in reading.problems[:_TOLD]), *rest]))
    return topology


class _Reading:
    """One reading of a document; what is wrong gathers in `problems`."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._named: set[str] = set()
        self._listed: dict[str, None] = {}

    def topology(self, value: object) -> Topology:
        if not isinstance(value, dict):
            self.problems.append(f"is {_shown(value)}; expected a mapping with {' and '.join(_TOP[1:])}")
            return Topology()
        self._unknown_keys("", value, _TOP)
        self._listed = {name: None for name in self._list("cameras", value) if self._camera("cameras", name)}
        transits = dict(self._transits(self._list("transits", value)))
        overlaps = frozenset(self._overlaps(self._list("overlaps", value)))
        for way in transits:
            if (min(way), max(way)) in overlaps:
                self._say("transits", f"{way[0]!r} and {way[1]!r} overlap, so nobody has a way between them; drop one")
        complete = "overlaps" in value
        return Topology(frozenset(self._named), transits if not self.problems else {}, overlaps, complete)

    def _transits(self, entries: list[Any]) -> Iterator[tuple[Way, Transit]]:
        where: dict[Way, str] = {}
        for index, entry in enumerate(entries):
            path = f"transits[{index}]"
            if not isinstance(entry, dict):
                self._say(path, f"is {_shown(entry)}; expected a mapping such as {{from: a, to: b, least: 5}}")
                continue
            self._unknown_keys(path, entry, _TRANSIT)
            ways, transit = self._ways(path, entry), self._transit(path, entry)
            for way in ways:
                if way in where:
                    self._say(path, f"{way[0]!r} to {way[1]!r} was said in {where[way]}; say it once")
                elif transit is not None:
                    where[way] = path
                    yield way, transit

    def _ways(self, path: str, entry: dict[str, Any]) -> list[Way]:
        if "between" in entry:
            if "from" in entry or "to" in entry:
                self._say(path, "has both between and from, to; give one of them")
                return []
            pair = self._pair(f"{path}.between", entry["between"])
            return [pair, (pair[1], pair[0])] if pair else []
        absent = [key for key in ("from", "to") if key not in entry]
        if absent:
            self._say(path, f"lacks {' and '.join(absent)}; give from and to, or between: [a, b] for both directions")
            return []
        pair = self._pair(path, [entry["from"], entry["to"]])
        return [pair] if pair else []

    def _transit(self, path: str, entry: dict[str, Any]) -> Transit | None:
        numbers = {key: self._number(f"{path}.{key}", entry[key]) for key in _TRANSIT[3:] if key in entry}
        if not numbers:
            self._say(path, "says nothing of the time; give least, most, or median and spread")
        if not numbers or None in numbers.values():
            return None
        least, most, median = (_ns(numbers.get(key)) for key in ("least", "most", "median"))
        try:
            return Transit(least or 0, most, median, numbers.get("spread"))
        except InvalidInput as error:
            self._say(path, str(error))
            return None

    def _number(self, path: str, value: object) -> float | None:
        try:
            number = float(value) if isinstance(value, str) else math.nan
        except ValueError:
            number = math.nan
        if not 0 <= number <= LONGEST_SECONDS:
            unit = "a factor" if path.endswith("spread") else f"seconds from 0 to {LONGEST_SECONDS}"
            self._say(path, f"is {_shown(value)}; expected {unit}")
            return None
        return number

    def _overlaps(self, entries: list[Any]) -> Iterator[Way]:
        for index, entry in enumerate(entries):
            path = f"overlaps[{index}]"
            if not isinstance(entry, list) or len(entry) < 2:
                self._say(path, f"is {_shown(entry)}; expected a list of two or more cameras")
                continue
            if len(entry) > MOST_AT_ONCE:
                self._say(path, f"names {len(entry)} cameras; at most {MOST_AT_ONCE} are taken in one overlap")
                continue
            names = [name for name in entry if self._camera(path, name)]
            if len(set(names)) < len(names):
                self._say(path, "names a camera twice; once is enough")
            yield from ((min(pair), max(pair)) for pair in combinations(sorted(set(names)), 2))

    def _pair(self, path: str, value: object) -> Way | None:
        if not isinstance(value, list) or len(value) != 2:
            self._say(path, f"is {_shown(value)}; expected two cameras")
            return None
        good = [self._camera(path, name) for name in value]
        if not all(good):
            return None
        if value[0] == value[1]:
            self._say(path, f"leads from {value[0]!r} to itself; name two cameras")
            return None
        return value[0], value[1]

    def _camera(self, path: str, name: object) -> bool:
        if not isinstance(name, str) or not name or "/" in name:
            self._say(path, f"{_shown(name)} is no camera; expected the name of a folder")
            return False
        if self._listed and name not in self._listed:
            near = _nearest(name, list(self._listed)) if len(self.problems) < _TOLD else ""
            self._say(path, f"{name!r} is not among cameras{near}")
        self._named.add(name)
        return True

    def _list(self, key: str, value: dict[str, Any]) -> list[Any]:
        entries = value.get(key, [])
        if isinstance(entries, list):
            return entries
        if entries != "":  # a key with nothing behind it
            self._say(key, f"is {_shown(entries)}; expected a list")
        return []

    def _unknown_keys(self, path: str, value: dict[Any, Any], known: tuple[str, ...]) -> None:
        for key in value:
            if key not in known:
                self._say(path, f"has {_shown(key)}, which is not known{_nearest(str(key)[:_LONGEST], known)}")

    def _say(self, path: str, problem: str) -> None:
        self.problems.append(f"{path}: {problem}" if path else problem)


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else seconds_to_ns(seconds)


def _nearest(name: str, known: tuple[str, ...] | list[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f" (did you mean {close[0]!r}?)" if close else f" (known are {', '.join(sorted(known)[:10])})"


def _shown(value: object) -> str:
    text = reprlib.repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def unknown_cameras(topology: Topology, present: list[str]) -> str:
    """What to tell of cameras that a topology names and no footage has; empty where there is none."""
    missing = topology.missing(present)
    named = ", ".join(f"{name!r}{_nearest(name, present)}" for name in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return f"the topology names cameras without footage: {named}{more}" if missing else ""
