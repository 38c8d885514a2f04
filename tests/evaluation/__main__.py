"""Runs evaluations; exits 1 if a bar is missed."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

from tests.bench.measure import Measure, keep, show

SUITES = ("stores", "fast", "space", "redaction", "corridor", "models", "mot", "answers")
REAL = ("corridor", "models", "mot")
"""Those that need real data."""
FOLDER = Path("build/evaluation")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", choices=("all", *SUITES), default="all")
    chosen = parser.parse_args().suite
    suites = list(SUITES) if chosen == "all" else [chosen]
    for suite in REAL:
        if suite in suites and "THROUGHLINE_REALDATA" not in os.environ:
            print(f"{suite}: skipped; set THROUGHLINE_REALDATA to the folder of real data", file=sys.stderr)
            suites.remove(suite)
    measures: list[Measure] = []
    for suite in suites:
        measures += importlib.import_module(f"tests.evaluation.{suite}").run((FOLDER / suite).absolute())
    show(measures)
    keep(measures, FOLDER / "evaluation.json")
    missed = [measure.name for measure in measures if not measure.passed]
    if missed:
        print(f"bars missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
