"""Runs benchmark suites; exits 1 if a bar is missed."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from tests.bench.measure import Measure, keep, show

SUITES = (
    "clips",
    "film",
    "identify",
    "ingest",
    "memory",
    "perception",
    "pipeline",
    "quiet",
    "runtimes",
    "second-query",
    "triton",
)
OUT = Path("build/bench.json")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", choices=("all", *SUITES), default="all")
    chosen = parser.parse_args().suite
    measures: list[Measure] = []
    for suite in SUITES if chosen == "all" else (chosen,):
        measures += importlib.import_module(f"tests.bench.{suite.replace('-', '_')}").run()
    show(measures)
    keep(measures, OUT)
    missed = [measure.name for measure in measures if not measure.passed]
    if missed:
        print(f"bars missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
