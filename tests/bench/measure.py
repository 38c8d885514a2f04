"""One measured value with its bar, the table that shows them, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Measure:
    """What was measured. `bar` is the worst value that passes; None where the figure is only reported."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    better: Literal["lower", "higher"] = "lower"

    @property
    def passed(self) -> bool:
        if self.bar is None:
            return True
        return self.value <= self.bar if self.better == "lower" else self.value >= self.bar


def show(measures: Sequence[Measure]) -> None:
    """Print a table of measures, bars and verdicts."""
    table = Table("measure", "value", "unit", "bar", "")
    for measure in measures:
        bar = "" if measure.bar is None else f"{'≤' if measure.better == 'lower' else '≥'} {measure.bar:g}"
        verdict = "" if measure.bar is None else "[green]ok[/]" if measure.passed else "[red]missed[/]"
        table.add_row(measure.name, f"{measure.value:,.3f}", measure.unit, bar, verdict)
    Console().print(table)


def keep(measures: Sequence[Measure], path: Path) -> None:
    """Write the measures as a JSON list, replacing those of the same name that an earlier run left there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(path.read_text()) if path.exists() else []
    fresh = {measure.name for measure in measures}
    kept = [entry for entry in kept if entry["name"] not in fresh]
    path.write_text(json.dumps(kept + [asdict(measure) for measure in measures], indent=1) + "\n")
