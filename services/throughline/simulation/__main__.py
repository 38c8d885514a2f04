"""Renders a simulated store: `python -m throughline.simulation OUT [--seed N]`; see `throughline simulate` for all options."""

from __future__ import annotations

import argparse
from pathlib import Path

from throughline.simulation.settings import DEMO_SEED, SimulationSettings
from throughline.simulation.store import simulate


def main() -> None:
    """Parse the command line and render."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write footage/, truth/ and queries/ into")
    parser.add_argument("--seed", type=int, default=DEMO_SEED)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=120.0)
    options = parser.parse_args()
    settings = SimulationSettings(
        seed=options.seed, cameras=options.cameras, people=options.people, seconds=options.seconds
    )
    truth = simulate(settings, options.out, lambda done, total: print(f"camera {done} of {total} filmed", flush=True))
    for query in truth.document.queries:
        print(f"{query.file}: {query.person} in {query.camera}")


if __name__ == "__main__":
    main()
