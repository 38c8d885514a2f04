"""A model's card: what it is, what it is for, where it comes from, and how it was checked.

It stands beside the model as `card.json` and travels in the served configuration, where services read it without seeing the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from throughline.domain.calibration import Calibration
from throughline.domain.errors import CorruptArtifact, NotFound
from throughline.domain.likeness import Matching

CARD_FILE = "card.json"
CARD_PARAMETER = "card"
"""Key of the served configuration's parameter that holds the card as JSON."""


VERSION_PARAMETER = "card-"
"""Before a version's number: key of the parameter that holds that version's card, where several are served."""


def card_texts(config: Any) -> dict[str, str]:
    """Of Triton's configuration of a model: each card as JSON, by version; the newest's also by the empty version."""
    cards = {
        key.removeprefix(VERSION_PARAMETER): value.string_value
        for key, value in config.parameters.items()
        if key.startswith(VERSION_PARAMETER)
    }
    return {"": config.parameters[CARD_PARAMETER].string_value, **cards}


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Document):
    """The weights that a model was built from."""

    file: str = Field(description="name of the file, without folders")
    sha256: str = Field(description="of that file, in hex")
    licence: str = Field(description="of the weights, as an SPDX name where there is one")


class Check(_Document):
    """One figure that the build measured, and the bar that it had to meet."""

    name: str
    value: float
    bar: float
    better: Literal["lower", "higher"]


class ModelCard(_Document):
    """Everything that a user of the model has to know."""

    name: str = Field(description="of the model in the repository")
    kind: Literal["detector", "reid"]
    source: Source
    purpose: str = Field(description="what it is for")
    limits: str = Field(description="what it is not for")
    input_width: int = Field(gt=0, description="pixels")
    input_height: int = Field(gt=0, description="pixels")
    class_names: tuple[str, ...] = Field(default=(), description="detector: the name of each class id that it gives")
    max_boxes: int | None = Field(default=None, description="detector: K, the boxes of an image at most")
    embedding_dim: int | None = Field(default=None, description="reid: d, the values of a descriptor")
    build: dict[str, str | int | float | bool] = Field(default={}, description="settings that the model was built with")
    checks: tuple[Check, ...] = Field(default=(), description="built model against original weights")
    digest: str = Field(description="SHA-256 over the served files, in hex; the same digest gives the same numbers")
    calibration: Calibration | None = Field(
        default=None, description="reid: from cosine to P(same person); not in the digest"
    )
    matching: Matching | None = Field(
        default=None, description="reid: from the sets of crops of two tracks to P(same person); not in the digest"
    )

    @classmethod
    def read(cls, model_dir: Path) -> Self:
        """The card of a model folder. Raises NotFound, or CorruptArtifact when it is no card."""
        path = model_dir / CARD_FILE
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise NotFound(f"{path} is missing; build the model with `throughline models build`") from error
        except ValueError as error:
            raise CorruptArtifact(f"{path} is no model card: {error}") from error
