"""Trains the demo's ReID model on simulated people and exports it to ONNX: `python -m throughline.training.reid`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from throughline.training.reid_net import DIMENSIONS, OSNet
from throughline.training.samples import CROP
from throughline.training.schedule import average_weights, learning_rate

Image = NDArray[np.uint8]

_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255
_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255
_PER_IDENTITY = 6
_MIN_CROPS = 8
_SCALE = 24.0
"""Of the cosine classifier."""
_MARGIN = 0.15
_TRACK_CROPS = 5


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
    padded = cv2.copyMakeBorder(image, 5, 5, 3, 3, cv2.BORDER_REPLICATE)
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


@torch.no_grad()
def embed(network: OSNet, images: Image) -> NDArray[np.float32]:
    """(n, d) unit descriptors."""
    network.eval()
    parts = [functional.normalize(network(to_input(images[i : i + 128])), dim=1) for i in range(0, len(images), 128)]
    return np.asarray(torch.cat(parts).numpy(), np.float32)


def evaluate(network: OSNet, crops: Crops) -> dict[str, float]:
    """How well tracks are told apart: a track is one person in one camera, described by the mean of a few crops.

    AUC over all pairs of tracks of the same store and different cameras; rank-1 of each track among those of the other cameras.
    """
    vectors = embed(network, crops.images)
    owners, tracks = [], []
    keys = crops.identities[:, 0] * 100 + crops.identities[:, 1]
    for key in np.unique(keys):
        rows = np.flatnonzero(keys == key)
        rows = rows[np.linspace(0, len(rows) - 1, min(_TRACK_CROPS, len(rows))).astype(int)]
        mean = vectors[rows].mean(axis=0)
        tracks.append(mean / np.linalg.norm(mean))
        owners.append((key // 100, key % 100))
    owner, track = np.array(owners), np.stack(tracks)
    cosine = track @ track.T
    store = owner[:, 0] // 100
    comparable = (store[:, None] == store[None]) & (owner[:, 1][:, None] != owner[:, 1][None])
    same = owner[:, 0][:, None] == owner[:, 0][None]
    positive, negative = cosine[comparable & same], cosine[comparable & ~same]
    auc = float((positive[:, None] > negative[None]).mean())
    best = np.where(comparable, cosine, -2.0).argmax(axis=1)
    known = (comparable & same).any(axis=1)
    return {
        "auc": auc,
        "rank1": float(same[np.arange(len(best)), best][known].mean()),
        "cosine_same": float(positive.mean()),
        "cosine_different": float(negative.mean()),
        "tracks": float(len(track)),
    }


def export(network: OSNet, path: Path) -> None:
    """Write the ONNX file: `images` (n, 3, 128, 64) float32, RGB normalised by ImageNet, to `output` (n, 512)."""
    names = {"images": {0: "batch"}, "output": {0: "batch"}}
    torch.onnx.export(
        network.eval(),
        (torch.zeros(1, 3, CROP.height, CROP.width),),
        str(path),
        input_names=["images"],
        output_names=["output"],
        dynamic_axes=names,
        opset_version=17,
        dynamo=False,
    )


def train(samples: Path, out: Path, *, minutes: float, steps: int, people: int, seed: int) -> None:
    """Train for `steps` or at most `minutes`; weights, ONNX and figures go to `out` at every evaluation."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    paths = sorted(samples.glob("*.npz"))
    data, held_out = Crops(paths[:-4]), Crops(paths[-4:])
    network, classifier, smooth = OSNet(), Classifier(len(data.people)), OSNet()
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    smooth.load_state_dict(network.state_dict())
    parameters = [*network.parameters(), *classifier.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=1.0, weight_decay=5e-3)
    out.mkdir(parents=True, exist_ok=True)
    print(f"{len(data.images)} crops of {len(data.people)} people", flush=True)
    begin, step, losses = time.monotonic(), 0, []
    progress = 0.0
    while progress < 1.0:
        progress = max(step / steps, (time.monotonic() - begin) / (60 * minutes))
        optimiser.param_groups[0]["lr"] = learning_rate(3e-3, step, progress)
        images, labels = data.batch(rng, people)
        network.train()
        with torch.autocast("cpu", torch.bfloat16):
            raw = network(images)
        descriptors = functional.normalize(raw.float(), dim=1)
        loss = classifier(descriptors, labels) + triplet_loss(descriptors, labels)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 10.0)
        optimiser.step()
        average_weights(smooth, network, step)
        losses.append(float(loss))
        step += 1
        if step % 50 == 0:
            print(
                f"step {step} {progress:.3f} loss {np.mean(losses[-50:]):.3f} {time.monotonic() - begin:.0f} s",
                flush=True,
            )
        if step % 250 == 0 or progress >= 1.0:
            figures = evaluate(smooth, held_out) | {"step": float(step)}
            print(json.dumps(figures), flush=True)
            torch.save(smooth.state_dict(), out / "reid.pt")
            export(smooth, out / "reid.onnx")
            (out / "reid.json").write_text(json.dumps(figures, indent=2) + "\n")


def main() -> None:
    """Train the ReID model on a folder of samples that `throughline.training.samples` has written."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    train(
        options.samples,
        options.out,
        minutes=options.minutes,
        steps=options.steps,
        people=options.people,
        seed=options.seed,
    )


if __name__ == "__main__":
    main()
