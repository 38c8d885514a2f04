"""Draws what `make bench` measured as docs/benchmarks.svg: `python -m tests.bench.plot`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

from tests.bench.__main__ import OUT

_PICTURE = Path("docs/benchmarks.svg")
_BLUE, _ORANGE = "#1f6fb2", "#d9822b"


def main() -> None:
    """Seconds of each stage on the left; on the right how near each measure comes to its bar, which is 1 for all."""
    measures = json.loads(OUT.read_text())
    stages = [entry for entry in measures if entry["name"].startswith("job, ") and entry["unit"] == "s"]
    ratios = [entry for entry in measures if entry["bar"] is not None]
    mpl.rcParams["svg.hashsalt"] = "throughline"
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 1 + 0.22 * len(ratios)), layout="constrained")
    _bars(left, stages, _BLUE)
    left.set_title("Seconds per stage, 4 cameras × 60 s")
    _bars(right, [entry | {"value": _of_bar(entry)} for entry in ratios], _ORANGE)
    right.axvline(1, color="black", linewidth=2)
    right.set_title("Of what is allowed: left of 1 the bar is held")
    figure.savefig(_PICTURE, metadata={"Date": None})


def _of_bar(entry: dict[str, Any]) -> float:
    """How much of what its bar allows a measure takes; over 1 it is missed."""
    value, bar = entry["value"], entry["bar"]
    return float(value / bar if entry["better"] == "lower" else bar / value)


def _bars(axes: Any, entries: list[dict[str, Any]], colour: str) -> None:
    values = [entry["value"] for entry in entries]
    axes.barh([entry["name"].removeprefix("job, ") for entry in entries], values, color=colour, height=0.6)
    for row, value in enumerate(values):
        axes.text(value, row, f" {value:.2f}", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)


if __name__ == "__main__":
    main()
