"""Names of cameras as people mistype them. Two names are the same camera only where they are equal letter by letter."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_MOST = 10


def alike(name: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that differ from `name` in case, outer spaces or the spelling of Unicode alone."""
    return [each for each in names if _plain(each) == _plain(name)]


def known(name: str, names: Iterable[str]) -> str:
    """What to tell about a name that is none of `names`: the one that is probably meant, or some of them."""
    there = list(names)
    meant = alike(name, there)
    if meant:
        return f"did you mean {' or '.join(map(repr, meant))}? Upper and lower case count"
    more = f" and {len(there) - _MOST} more" if len(there) > _MOST else ""
    return f"the cameras there are {', '.join(there[:_MOST]) or 'none'}{more}"


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()
