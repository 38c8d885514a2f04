"""What a served model must take and give; the design's contracts between services and Triton."""

from __future__ import annotations

from typing import Any

from tritonclient.grpc import model_config_pb2

from throughline.domain.errors import FailedPrecondition
from throughline.perception.triton.card import ModelCard

Tensors = dict[str, tuple[str, tuple[int, ...]]]
"""By name the type, such as FP32, and the shape without the batch axis."""


def inputs_of(card: ModelCard) -> Tensors:
    """What a model of the card's kind and size takes."""
    name = "images" if card.kind == "detector" else "crops"
    return {name: ("UINT8", (card.input_height, card.input_width, 3))}


def outputs_of(card: ModelCard) -> Tensors:
    """What a model of the card's kind and size gives."""
    if card.kind == "reid":
        return {"embeddings": ("FP32", (card.embedding_dim or 0,))}
    k = card.max_boxes or 0
    return {"boxes": ("FP32", (k, 4)), "scores": ("FP32", (k,)), "classes": ("INT32", (k,)), "count": ("INT32", (1,))}


def check_contract(card: ModelCard, config: Any, address: str) -> None:
    """Raise FailedPrecondition where Triton's configuration of a model, a ModelConfig, is not what its card promises.

    Outputs that nobody asks for may be there.
    """
    for kind, wanted, served in (
        ("inputs", inputs_of(card), _tensors(config.input)),
        ("outputs", outputs_of(card), _tensors(config.output)),
    ):
        if not wanted.items() <= served.items():
            raise FailedPrecondition(
                f"model {card.name} of Triton at {address} has {kind} {_text(served)}; expected {_text(wanted)}: "
                "build it with `throughline models build`"
            )


def _tensors(entries: Any) -> Tensors:
    types = model_config_pb2.DataType
    return {entry.name: (types.Name(entry.data_type).removeprefix("TYPE_"), tuple(entry.dims)) for entry in entries}


def _text(tensors: Tensors) -> str:
    return ", ".join(f"{name} {kind} {list(shape)}" for name, (kind, shape) in tensors.items()) or "none"
