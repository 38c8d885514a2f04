"""Runs the kill matrix, ten jobs at once, a job of 500 cameras, or stages on great numbers; prints it and writes it to build/chaos.json.

Exits 1 where a job came to something else than in peace, or a bar was missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.crowded import Crowding, crowded
from tests.chaos.matrix import STAGES, Cell, cells, stage_name
from tests.chaos.scene import VICTIMS, scene
from tests.chaos.vast import Vastness, vast
from tests.faults import scale

OUT = Path("build/chaos.json")
CROWD, VAST, SCALE = "crowd", "vast", "scale"
SUITES = {"kill": ("kill",), "pause": ("pause",), CROWD: (), VAST: (), "all": ("kill", "pause")}
"""Blows of the matrix by suite."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="all", help=f"{', '.join(SUITES)}, {SCALE}, or one of {', '.join(VICTIMS)}")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the moments of the blows")  # noqa: S311
    asked = parser.parse_args()
    began = time.monotonic()
    found, failed = _scale() if asked.suite == SCALE else _tormented(asked.suite, asked.seed)
    report = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "suite": asked.suite,
        "machine": f"{platform.machine()}, {platform.system()} {platform.release()}",
        "minutes": round((time.monotonic() - began) / 60, 1),
        **found,
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(report, indent=2))
    return 1 if failed else 0


def _scale() -> tuple[dict[str, Any], bool]:
    """Great numbers, for the report; they have no bars of their own."""
    return {"scale": {title: asdict(figures) for title, figures in scale.main().items()}}, False


def _tormented(suite: str, seed: int) -> tuple[dict[str, Any], bool]:
    """The matrix and great jobs on one deployment, for the report; and whether anything failed."""
    blows, victims = SUITES.get(suite, SUITES["all"]), VICTIMS if suite in SUITES else (suite,)
    print(f"seed {seed}", flush=True)
    found: list[Cell] = []
    numbers: dict[str, Crowding | Vastness] = {}
    with tempfile.TemporaryDirectory(prefix="throughline-chaos-") as folder, scene(Path(folder)) as stage:
        if suite in (CROWD, "all"):
            numbers["ten jobs at once"] = crowded(stage)
        if suite == VAST:
            numbers["a job of many cameras"] = vast(stage)
        for cell in cells(stage, blows, victims, seed) if blows else ():
            found.append(cell)
            print(
                f"{cell.blow:<6}{cell.victim:<13}{cell.stage:<17}{cell.seconds:6.1f} s  {cell.problem or 'ok'}",
                flush=True,
            )
    failed = [cell for cell in found if cell.problem]
    if found:
        show(found)
        print(f"{len(found) - len(failed)} of {len(found)} jobs of the matrix came to the same as in peace")
    for title, figures in numbers.items():
        show_figures(title, figures)
    report = {"seed": seed, "cells": [asdict(cell) for cell in found]}
    report |= {title: asdict(figures) for title, figures in numbers.items()}
    return report, bool(failed or any(figures.problems for figures in numbers.values()))


def show_figures(title: str, figures: Crowding | Vastness) -> None:
    """A row for each figure, and one for each bar that was missed."""
    table = Table(title, "", title_justify="left")
    for name, value in asdict(figures).items():
        if name != "problems":
            table.add_row(name.replace("_", " "), str(value))
    for problem in figures.problems:
        table.add_row("[red]missed[/]", problem)
    Console(width=150).print(table)


def show(found: Sequence[Cell]) -> None:
    """A table for each blow: a row for each process, a column for each stage."""
    for blow in dict.fromkeys(cell.blow for cell in found):
        table = Table(
            blow, *map(stage_name, STAGES), title=f"{blow}: seconds until the job's end", title_justify="left"
        )
        for victim in dict.fromkeys(cell.victim for cell in found if cell.blow == blow):
            row = {cell.stage: cell for cell in found if (cell.blow, cell.victim) == (blow, victim)}
            table.add_row(
                victim,
                *(
                    f"[red]{row[s].seconds}[/]" if row[s].problem else f"{row[s].seconds}"
                    for s in map(stage_name, STAGES)
                ),
            )
        Console(width=150).print(table)


if __name__ == "__main__":
    sys.exit(main())
