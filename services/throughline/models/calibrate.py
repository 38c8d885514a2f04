"""Gives a ReID model its calibration, from labelled track descriptors or from cosines that were measured already."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughline.domain import calibration
from throughline.domain.errors import InvalidInput
from throughline.models import repository
from throughline.perception.triton.card import ModelCard


def calibrate(
    model_dir: Path,
    embeddings: NDArray[np.float32],
    identities: NDArray[np.generic],
    cameras: NDArray[np.generic],
    fitted_on: str,
) -> ModelCard:
    """Fit to all pairs of tracks on different cameras and write the calibration into the model's card and configurations.

    embeddings: (n, d) float32 unit vectors, one a track; identities and cameras: (n,), whatever compares. `fitted_on` names the data.
    A running server gives the new card from its next start on. Raises InvalidInput when the labels don't allow a fit.
    """
    cosines, same = labelled_pairs(embeddings, identities, cameras)
    return calibrate_on_pairs(model_dir, cosines, same, fitted_on)


def calibrate_on_pairs(
    model_dir: Path, cosines: NDArray[np.floating], same: NDArray[np.bool_], fitted_on: str
) -> ModelCard:
    """Like calibrate, with (n,) cosines of pairs and (n,) whether each is of one person."""
    card = ModelCard.read(model_dir)
    if card.kind != "reid":
        raise InvalidInput(f"{model_dir} is a {card.kind}; only ReID models are calibrated")
    card = card.model_copy(update={"calibration": calibration.fit(cosines, same, fitted_on)})
    repository.write_card(model_dir, card)
    return card


def labelled_pairs(
    embeddings: NDArray[np.float32], identities: NDArray[np.generic], cameras: NDArray[np.generic]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cosine of every pair of tracks on different cameras, each pair once, and whether it is of one person."""
    if not len(embeddings) == len(identities) == len(cameras):
        raise InvalidInput(
            f"{len(embeddings)} embeddings, {len(identities)} identities and {len(cameras)} cameras don't belong together"
        )
    first, second = np.triu_indices(len(embeddings), k=1)
    across = cameras[first] != cameras[second]
    first, second = first[across], second[across]
    cosines = np.einsum("ij,ij->i", embeddings[first].astype(np.float64), embeddings[second].astype(np.float64))
    return cosines, np.asarray(identities[first] == identities[second])
