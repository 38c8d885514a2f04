"""Runs the kill matrix, prints it, writes it to build/chaos.json; exits 1 where a job came to something else than in peace."""

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

from rich.console import Console
from rich.table import Table

from tests.chaos.matrix import STAGES, Cell, cells, stage_name
from tests.chaos.scene import VICTIMS, scene

OUT = Path("build/chaos.json")
SUITES = {"kill": ("kill",), "pause": ("pause",), "all": ("kill", "pause")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="all", help=f"{', '.join(SUITES)}, or one of {', '.join(VICTIMS)}")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the moments of the blows")  # noqa: S311
    asked = parser.parse_args()
    blows, victims = SUITES.get(asked.suite, SUITES["all"]), VICTIMS if asked.suite in SUITES else (asked.suite,)
    print(f"seed {asked.seed}", flush=True)
    began, found = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="throughline-chaos-") as folder, scene(Path(folder)) as stage:
        for cell in cells(stage, blows, victims, asked.seed):
            found.append(cell)
            print(
                f"{cell.blow:<6}{cell.victim:<13}{cell.stage:<17}{cell.seconds:6.1f} s  {cell.problem or 'ok'}",
                flush=True,
            )
    show(found)
    report = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seed": asked.seed,
        "machine": f"{platform.machine()}, {platform.system()} {platform.release()}",
        "minutes": round((time.monotonic() - began) / 60, 1),
        "cells": [asdict(cell) for cell in found],
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(report, indent=2))
    failed = [cell for cell in found if cell.problem]
    print(f"{len(found) - len(failed)} of {len(found)} jobs came to the same as in peace")
    return 1 if failed else 0


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
