"""Puts trained demo models into a model repository: built, calibrated, with what they were trained on in their cards.

`python -m throughline.training.publish --trained DIR --repository model_repository`; needs no torch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from throughline.models import repository
from throughline.models.build import build_detector, build_reid
from throughline.models.calibrate import calibrate_on_pairs
from throughline.perception.triton.card import ModelCard
from throughline.training.samples import FIRST_TRAINING_SEED

LICENCE = "Apache-2.0"
TRAINED_ON = f"simulated stores of `throughline simulate`, seeds {FIRST_TRAINING_SEED} and above only"
LIMITS = (
    "Not for real people or real cameras: it has seen drawn figures in a simulated store and nothing else. For the demonstration and "
    f"for tests. Seeds below {FIRST_TRAINING_SEED} were never trained on; measure on those."
)


def publish(trained: Path, repository_dir: Path) -> tuple[ModelCard, ModelCard]:
    """Build detector and reid from `trained`, the common output folder of both trainings, in place of what the repository holds."""
    detector = build_detector(
        trained / "detector.onnx",
        repository_dir,
        class_names=("person", "trolley"),
        licence=LICENCE,
        purpose="Finding people and shopping trolleys in frames of the simulated store.",
        limits=LIMITS,
    )
    build_reid(
        trained / "reid.onnx",
        repository_dir,
        licence=LICENCE,
        purpose="Telling people of the simulated store apart by their looks, within one visit.",
        limits=LIMITS,
    )
    pairs = np.load(trained / "reid-pairs.npz")
    reid = calibrate_on_pairs(
        repository_dir / "reid", pairs["cosines"], pairs["same"], f"held-out stores: {TRAINED_ON}"
    )
    return _described(repository_dir, detector, trained), _described(repository_dir, reid, trained)


def _described(repository_dir: Path, card: ModelCard, trained: Path) -> ModelCard:
    """The card with the figures of the training, measured on stores that were held out from it."""
    figures = json.loads((trained / f"{card.name}.json").read_text())
    held_out = {f"held_out_{name}": round(float(value), 4) for name, value in figures.items()}
    card = card.model_copy(update={"build": {**card.build, "trained_on": TRAINED_ON, **held_out}})
    repository.write_card(repository_dir / card.name, card)
    return card


def main() -> None:
    """Parse the command line and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trained", type=Path, required=True, help="folder that both trainings wrote to")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    options = parser.parse_args()
    for card in publish(options.trained, options.repository):
        print(f"{card.name}: {card.digest[:12]} {card.build}")


if __name__ == "__main__":
    main()
