"""The nearest neighbours of every track, by FAISS: exact below a size, from there on by an index whose recall is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from throughline.storage.object_store import go_on
from throughline.tracker.identities.cluster import Edges

Vectors = NDArray[np.float32]

EXACT_BELOW = 20_000
_SAMPLE = 512
_BLOCK = 2_048
_TRAINING_PER_LIST = 64
_ITERATIONS = 8


@dataclass(frozen=True, slots=True)
class Recall:
    """How much of the exact nearest neighbours an index finds: the share of those of `sampled` tracks. `index` names its kind."""

    index: str
    found: float
    sampled: int
