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
    """Seconds of each stage on the left, ratios beside their bars on the right."""
    measures = json.loads(OUT.read_text())
    stages = [entry for entry in measures if entry["name"].startswith("job, ") and entry["unit"] == "s"]
    ratios = [entry for entry in measures if entry["bar"] is not None]
    mpl.rcParams["svg.hashsalt"] = "throughline"
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
    _bars(left, stages, _BLUE)
    left.set_title("Seconds per stage, 4 cameras × 60 s")
    _bars(right, ratios, _ORANGE)
    for row, entry in enumerate(ratios):
        right.plot([entry["bar"]] * 2, [row - 0.4, row + 0.4], color="black", linewidth=2)
    right.set_title("Ratios and their bars (black)")
    figure.savefig(_PICTURE, metadata={"Date": None})


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
