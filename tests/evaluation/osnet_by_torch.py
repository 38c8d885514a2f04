"""What torch makes of a torchreid checkpoint of OSNet x0.25: `python osnet_by_torch.py checkpoint.pt crops.npy features.npy`.

The training's own network, written from the paper, takes the checkpoint's tensors in their order; its gates and its last layer get
the checkpoint's sizes.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor, nn

from throughline.training.reid_net import AggregationGate, OSNet


def main(checkpoint: str, crops: str, features: str) -> None:
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state = content.get("state_dict", content)
    tensors = {name.removeprefix("module."): tensor for name, tensor in state.items() if "classifier" not in name}
    network = OSNet()
    for name, module in network.named_modules():
        if isinstance(module, AggregationGate):
            _resize(module, name)
    network.describe = nn.Sequential(nn.Linear(128, 512), nn.BatchNorm1d(512), nn.ReLU())
    own = network.state_dict()
    if [tensor.shape for tensor in own.values()] != [tensor.shape for tensor in tensors.values()]:
        raise SystemExit(f"{checkpoint} is no OSNet x0.25")
    network.load_state_dict(dict(zip(own, tensors.values(), strict=True)))
    network.eval()
    with torch.no_grad():
        batches = torch.from_numpy(np.load(crops)).split(32)
        given: Tensor = torch.cat([network(batch) for batch in batches])
    np.save(features, given.numpy())


def _resize(gate: AggregationGate, name: str) -> None:
    """torchreid's gates have a sixteenth of the channels, at least one."""
    channels = gate.layers[1].in_channels
    hidden = channels // 16
    if hidden < 1:
        raise SystemExit(f"{name} has only {channels} channels")
    gate.layers[1], gate.layers[3] = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
