"""Trains the demo's ReID model on simulated people and exports it to ONNX: `python -m throughline.training.reid`."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from throughline.training.export import export_onnx
from throughline.training.reid_net import DIMENSIONS, OSNet
from throughline.training.samples import CROP
from throughline.training.schedule import Budget, Training

Image = NDArray[np.uint8]

_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255
_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255
_PEOPLE = 16
"""In a batch."""
_PER_IDENTITY = 6
_MIN_CROPS = 8
_SCALE = 24.0
"""Of the cosine classifier."""
_MARGIN = 0.15
_TRACK_CROPS = 5
_RATE, _RATE_AGAIN = 3e-3, 1.5e-3
"""Peak learning rates from nothing and from weights that have learned already."""


class Crops:
    """Crops of many people, several cameras each."""

    def __init__(self, paths: list[Path]) -> None:
        images, identities = [], []
        for path in paths:
            with np.load(path) as file:
                images.append(file["crops"])
                identities.append(file["identities"])
        self.images: Image = np.concatenate(images)
        self.identities = np.concatenate(identities)
        names, counts = np.unique(self.identities[:, 0], return_counts=True)
        self.people = names[counts >= _MIN_CROPS]
        self._rows = [np.flatnonzero(self.identities[:, 0] == name) for name in self.people]
        stores = self.people // 100
        self._stores = [np.flatnonzero(stores == store) for store in np.unique(stores)]

    def middles(self, network: OSNet) -> Tensor:
        """(people, d): what the network makes of each person on average, over a few crops."""
        rows = np.stack([row[np.linspace(0, len(row) - 1, _PER_IDENTITY).astype(int)] for row in self._rows])
        vectors = embed(network, self.images[rows.ravel()])
        return torch.from_numpy(vectors.reshape(*rows.shape, -1).mean(axis=1))

    def batch(self, rng: np.random.Generator, people: int) -> tuple[Tensor, Tensor]:
        """Crops of `people` people, `_PER_IDENTITY` each, as network input, and (n,) their indices in `people`.

        Whole stores at a time, since the people whom one must tell apart are those of the same store.
        """
        chosen: list[int] = []
        while len(chosen) < people:
            store = self._stores[rng.integers(len(self._stores))]
            chosen += [int(p) for p in rng.permutation(store)[:8] if int(p) not in chosen]
        chosen = chosen[:people]
        rows = [rng.choice(self._rows[p], _PER_IDENTITY, replace=False) for p in chosen]
        images = np.stack([augment(self.images[row], rng) for row in np.concatenate(rows)])
        return to_input(images), torch.tensor(chosen).repeat_interleave(_PER_IDENTITY)


def to_input(images: Image) -> Tensor:
    """(n, h, w, 3) RGB to the network's normalised (n, 3, h, w)."""
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() - _MEAN) / _DEVIATION


def augment(image: Image, rng: np.random.Generator) -> Image:
    """Flip, shift, recolour and partly hide one crop."""
    if rng.random() < 0.5:
        image = image[:, ::-1]
    padded = np.asarray(cv2.copyMakeBorder(image, 5, 5, 3, 3, cv2.BORDER_REPLICATE), np.uint8)
    y, x = int(rng.integers(11)), int(rng.integers(7))
    image = padded[y : y + CROP.height, x : x + CROP.width]
    gains = np.exp(rng.normal(0, 0.1) + rng.normal(0, 0.05, 3))
    table = np.clip(np.arange(256)[:, None] * gains + rng.normal(0, 8), 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(np.ascontiguousarray(image), table[None]), np.uint8)
    if rng.random() < 0.35:
        h, w = int(rng.uniform(0.15, 0.45) * CROP.height), int(rng.uniform(0.2, 0.7) * CROP.width)
        top, left = int(rng.integers(CROP.height - h)), int(rng.integers(CROP.width - w))
        image[top : top + h, left : left + w] = rng.integers(0, 255, 3)
    return image


def triplet_loss(descriptors: Tensor, labels: Tensor) -> Tensor:
    """Soft-margin triplet loss over the hardest pairs of a batch (arXiv:1703.07737) of (n, d) unit descriptors."""
    distance = (2.0 - 2.0 * descriptors @ descriptors.T).clamp(min=1e-6).sqrt()
    same = labels[:, None] == labels[None]
    farthest = distance.masked_fill(~same, -1.0).max(dim=1).values
    nearest = distance.masked_fill(same, 9.0).min(dim=1).values
    return functional.softplus(6.0 * (farthest - nearest)).mean()


class Classifier(nn.Module):
    """Cosine classifier with an additive margin (arXiv:1801.05599)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(classes, DIMENSIONS) * 0.05)

    def forward(self, descriptors: Tensor, classes: Tensor) -> Tensor:
        cosines = descriptors @ functional.normalize(self.weights, dim=1).T
        margin = functional.one_hot(classes, cosines.shape[1]) * _MARGIN
        return functional.cross_entropy(_SCALE * (cosines - margin), classes, label_smoothing=0.05)


def embed(network: OSNet, images: Image) -> NDArray[np.float32]:
    """(n, d) unit descriptors."""
    network.eval()
    with torch.inference_mode():
        parts = [
            functional.normalize(network(to_input(images[i : i + 128])), dim=1) for i in range(0, len(images), 128)
        ]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class TrackPairs:
    """Pairs of tracks of the same store on different cameras, each pair once."""

    cosines: NDArray[np.float32]
    same: NDArray[np.bool_]
    rank1: float
    """Share of tracks whose nearest on the other cameras is the same person, where that person is there."""

    def figures(self) -> dict[str, float]:
        """What a card says."""
        positive, negative = self.cosines[self.same], self.cosines[~self.same]
        return {
            "auc": float((positive[:, None] > negative[None]).mean()),
            "rank1": self.rank1,
            "cosine_same": float(positive.mean()),
            "cosine_different": float(negative.mean()),
            "pairs": float(len(self.cosines)),
        }


def track_pairs(network: OSNet, crops: Crops) -> TrackPairs:
    """Compare tracks: a track is one person in one camera, described by the mean of a few crops."""
    vectors = embed(network, crops.images)
    keys, inverse = np.unique(crops.identities[:, :2], axis=0, return_inverse=True)
    tracks = np.stack([_track(vectors[np.flatnonzero(inverse == i)]) for i in range(len(keys))])
    cosine = tracks @ tracks.T
    store, owner, camera = keys[:, 0] // 100, keys[:, 0], keys[:, 1]
    comparable = (store[:, None] == store[None]) & (camera[:, None] != camera[None])
    same = owner[:, None] == owner[None]
    nearest = np.where(comparable, cosine, -2.0).argmax(axis=1)
    known = (comparable & same).any(axis=1)
    once = np.triu(comparable)
    return TrackPairs(cosine[once], same[once], float(same[np.arange(len(nearest)), nearest][known].mean()))


def _track(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    chosen = vectors[np.linspace(0, len(vectors) - 1, min(_TRACK_CROPS, len(vectors))).astype(int)]
    mean = chosen.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def export(network: OSNet, path: Path) -> None:
    """Write the ONNX file: `images` (n, 3, 128, 64) float32, RGB normalised by ImageNet, to `output` (n, 512)."""
    export_onnx(network, path, CROP, (DIMENSIONS,))


def train(data: Crops, held_out: Crops, out: Path, budget: Budget, *, seed: int, start: Path | None = None) -> None:
    """Train within `budget`, from the weights `start` if given.

    At every evaluation `out` gets the weights, the ONNX file, the figures, and the pairs of held-out tracks to calibrate on.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network, smooth = OSNet().to(memory_format=torch.channels_last), OSNet()
    classifier = Classifier(len(data.people))
    if start is not None:
        network.load_state_dict(torch.load(start))
        classifier.weights.data = data.middles(network)
    print(f"{len(data.images)} crops of {len(data.people)} people", flush=True)

    def loss() -> Tensor:
        images, labels = data.batch(rng, _PEOPLE)
        with torch.autocast("cpu", torch.bfloat16):
            raw = network(images)
        descriptors = functional.normalize(raw.float(), dim=1)
        both: Tensor = classifier(descriptors, labels) + triplet_loss(descriptors, labels)
        return both

    def keep(step: int) -> None:
        pairs = track_pairs(smooth, held_out)
        figures = pairs.figures() | {"step": float(step)}
        print(json.dumps(figures), flush=True)
        torch.save(smooth.state_dict(), out / "reid.pt")
        export(smooth, out / "reid.onnx")
        np.savez(out / "reid-pairs.npz", cosines=pairs.cosines, same=pairs.same)
        (out / "reid.json").write_text(json.dumps(figures, indent=2) + "\n")

    out.mkdir(parents=True, exist_ok=True)
    parameters = [*network.parameters(), *classifier.parameters()]
    rate = _RATE if start is None else _RATE_AGAIN
    Training(network, smooth, parameters, peak_rate=rate, weight_decay=5e-3).run(loss, keep, budget)


def main() -> None:
    """Train the ReID model on a folder of samples that `throughline.training.samples` has written."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True, help="samples of stores that are not in --samples")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--start", type=Path, help="weights (.pt) to go on from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    budget = Budget(options.steps, options.minutes)
    data, held_out = (Crops(sorted(folder.glob("*.npz"))) for folder in (options.samples, options.held_out))
    train(data, held_out, options.out, budget, seed=options.seed, start=options.start)


if __name__ == "__main__":
    main()
