"""The glossary names types of the code as the code does."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_type_that_the_glossary_names_is_there() -> None:
    named = set(re.findall(r"`([A-Z]\w+)`", (ROOT / "docs" / "glossary.md").read_text()))
    sources = [path.read_text() for path in (ROOT / "services" / "throughline").rglob("*.py")]
    defined = {name for source in sources for name in re.findall(r"^class (\w+)", source, re.MULTILINE)}
    assert len(named) > 15
    assert named <= defined


def test_no_word_is_explained_twice() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert len(words) > 60
    assert len(words) == len(set(words))
