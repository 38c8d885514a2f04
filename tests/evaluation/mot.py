"""MOT17's half validation with its public detections, at its own frame rates. Needs THROUGHLINE_REALDATA."""

from __future__ import annotations

import os
from pathlib import Path

from tests.bench.measure import Measure
from throughline.cli.evaluate import Figures, evaluate_mot

HOTA, IDF1 = 69.8, 82.1
"""The least for the refined tracks of all sequences together."""
LIBRARY = {
    "MOT17-02-FRCNN": (46.87, 56.97),
    "MOT17-04-FRCNN": (79.42, 91.24),
    "MOT17-05-FRCNN": (63.15, 80.30),
    "MOT17-09-FRCNN": (67.06, 78.19),
    "MOT17-10-FRCNN": (53.07, 66.72),
    "MOT17-11-FRCNN": (64.11, 73.12),
    "MOT17-13-FRCNN": (62.38, 78.27),
}
"""HOTA and IDF1 of the library's BoT-SORT alone, measured with `trackers` 2.6.1 and its defaults: none may get worse."""


def measured(out: Path) -> dict[str, dict[str, Figures]]:
    """Track and score into `out`."""
    data = Path(os.environ["THROUGHLINE_REALDATA"], "mot", "MOT17-val")
    return evaluate_mot(data / "gt", data / "detections", out)


def measures_of(figures: dict[str, dict[str, Figures]]) -> list[Measure]:
    """What counts, each with its bar."""
    measures = []
    for name, kinds in figures.items():
        bars = (HOTA, IDF1) if name == "all" else LIBRARY[name]
        for figure, bar in zip(("HOTA", "IDF1"), bars, strict=True):
            measures.append(Measure(f"mot {name} plain {figure}", kinds["plain"][figure], "%"))
            measures.append(Measure(f"mot {name} refined {figure}", kinds["refined"][figure], "%", bar, "higher"))
    return measures


def run(folder: Path) -> list[Measure]:
    """Track and score into `folder`."""
    return measures_of(measured(folder))
