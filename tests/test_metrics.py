"""Every metric stands in the table of docs/operations.md, with its kind and labels, and nothing stands there that is not counted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
KINDS = {
    "Counter": "counter",
    "CounterMetricFamily": "counter",
    "Gauge": "gauge",
    "GaugeMetricFamily": "gauge",
    "Histogram": "histogram",
}
UNBOUNDED = {"job", "job_id", "camera", "chunk", "uri", "request_id", "token", "caller"}
Metrics = dict[str, tuple[str, tuple[str, ...]]]
"""By the name that Prometheus sees: kind and labels."""


def declared() -> Metrics:
    found: Metrics = {}
    for path in (ROOT / "services" / "throughline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and (kind := KINDS.get(getattr(node.func, "id", ""))) and _name(node):
                given = [keyword.value for keyword in node.keywords if keyword.arg == "labels"] or node.args[2:3]
                labels = tuple(ast.literal_eval(given[0])) if given else ()
                found[_name(node) + ("_total" if kind == "counter" else "")] = (kind, labels)
    return found


def _name(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    return str(first.value) if isinstance(first, ast.Constant) else ""


def documented() -> Metrics:
    text = (ROOT / "docs" / "operations.md").read_text()
    rows: Iterator[re.Match[str]] = re.finditer(r"^\| `(throughline_\w+)` \| (\w+) \|([^|]*)\|", text, re.MULTILINE)
    return {row[1]: (row[2], tuple(re.findall(r"`(\w+)`", row[3]))) for row in rows}


def test_the_table_in_operations_lists_every_metric_and_no_other() -> None:
    assert len(declared()) > 20
    assert documented() == declared()


def test_no_label_grows_with_use() -> None:
    assert not [name for name, (_, labels) in declared().items() if UNBOUNDED & set(labels)]
