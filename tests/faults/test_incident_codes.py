"""docs/footage.md has every incident code of the source, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from throughline.ingest.loss import LOSS_CODES

ROOT = Path(__file__).parents[2]
_MAKERS = {"Incident", "UnusableClip", "_tell_of", "_together", "cls", "skip", "_leave_out"}
_CODE = re.compile(r"cancelled|[a-z]+(_[a-z]+)+")
_ROW = re.compile(r"^\| `([a-z_]+)` \|", re.MULTILINE)


def codes_in(source: str) -> Iterator[str]:
    """Literals that stand where a code does, in calls of what makes incidents."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _name_of(node.func) in _MAKERS:
            given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "code")]
            literals = (each.value for each in given if isinstance(each, ast.Constant))
            yield from (each for each in literals if isinstance(each, str) and _CODE.fullmatch(each))


def _name_of(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def test_every_incident_code_is_explained_and_every_explanation_has_its_code() -> None:
    services = ROOT / "services" / "throughline"
    made = {code for path in services.rglob("*.py") for code in codes_in(path.read_text())} | set(LOSS_CODES)
    explained = _ROW.findall((ROOT / "docs" / "footage.md").read_text())
    assert len(explained) == len(set(explained))
    assert set(explained) == made
