"""reid.yaml: which model describes crops, how crops are chosen, and when tracks are of one person."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from throughline.domain.errors import InvalidInput
from throughline.perception.triton.client import REID

_LARGEST_BYTES = 2**20
_SQUARE = 224


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _as_size(value: object) -> object:
    """One number is a square's side; two are height and width."""
    return (value, value) if isinstance(value, int) else value


Side = Annotated[int, Field(ge=8, le=4096)]


class Backbone(_Section):
    """The model that describes crops. Its own size and precision are those of the model repository; here they are checked."""

    name: str = Field(
        default=REID, min_length=1, description="name of a ReID model in the repository that Triton serves"
    )
    image_size: Annotated[tuple[Side, Side] | None, BeforeValidator(_as_size)] = Field(
        default=None,
        description="height and width that the model takes, in pixels; by default 224 for CLIP and ResNet50, else whatever it takes",
    )
    dtype: Literal["float32", "float16"] = Field(default="float32", description="type in which descriptors are kept")

    @property
    def expected_size(self) -> tuple[int, int] | None:
        """Height and width that the model must take; None where any will do."""
        if self.image_size is None and self.name.lower().replace("-", "").replace("_", "").startswith(
            ("clip", "resnet50")
        ):
            return _SQUARE, _SQUARE
        return self.image_size


class Embed(_Section):
    """Which crops of a track are described."""

    frame_stride: int = Field(default=5, ge=1, description="of a track's boxes those of every so-many-th frame")
    per_track_max_samples: int = Field(default=12, ge=1, le=256, description="crops of a track at most, the best ones")
    min_box_size: float = Field(default=16, ge=1, description="smaller boxes, in width or height, give no crop; pixels")
    class_filter: tuple[str, ...] | None = Field(default=None, description="only tracks of these classes; default all")
    batch_size: int = Field(default=32, ge=1, le=1024, description="crops that are with the model at once")


class Associate(_Section):
    """When tracks are of one person."""

    min_sim: float = Field(
        default=0.45, ge=-1, le=1, description="least mean similarity between the parts of an identity"
    )
    scale: Literal["auto", "calibrated", "cosine"] = Field(
        default="auto",
        description="what min_sim is: P(same person) at equal priors, or a cosine; auto: calibrated where the model has a calibration",
    )
    same_class_only: bool = Field(default=True, description="tracks of different classes are never one identity")
    allow_merge_same_video: bool = Field(default=True, description="tracks of one video may be one identity")
    max_same_video_time_overlap: float = Field(
        default=0.3, ge=0, description="seconds that two tracks of one identity may share in one video"
    )
    remove_camera_shift: bool = Field(
        default=True,
        description="take out of descriptors what all those of a camera share, or of all cameras where it has fewer than 100",
    )
    neighbours: int = Field(default=50, ge=1, le=1000, description="nearest neighbours of each track that are compared")
    topology: Path | None = Field(default=None, description="YAML of transit times between cameras")


class Galleries(_Section):
    """The pictures of each identity."""

    per_identity: int = Field(default=8, ge=0, le=64, description="pictures of an identity at most")
    thumbnail_px: int = Field(default=160, ge=16, le=1024, description="longer side of a picture")


class ReidConfig(_Section):
    """The whole of reid.yaml."""

    backbone: Annotated[
        Backbone, BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value)
    ] = Backbone()
    embed: Embed = Embed()
    associate: Associate = Associate()
    galleries: Galleries = Galleries()


def read_config(path: Path) -> ReidConfig:
    """Read a file; a topology in it is looked for beside it. Raise InvalidInput with the place of a mistake."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give the path of a reid.yaml") from error
    if len(data) > _LARGEST_BYTES:
        raise InvalidInput(f"{path} has {len(data)} bytes; a reid.yaml has {_LARGEST_BYTES} at most")
    try:
        content = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"{path} is no YAML: {error}") from error
    try:
        config = ReidConfig.model_validate({} if content is None else content)
    except ValidationError as error:
        raise InvalidInput(
            f"{path}: " + "; ".join(_mistake(each) for each in error.errors(include_url=False))
        ) from error
    topology = config.associate.topology
    if topology is None:
        return config
    associate = config.associate.model_copy(update={"topology": path.parent / topology})
    return config.model_copy(update={"associate": associate})


def _mistake(error: Any) -> str:
    place = [str(part) for part in error["loc"]]
    if error["type"] != "extra_forbidden":
        return f"{'.'.join(place) or 'the whole'}: {error['msg']}, not {error['input']!r}"
    known = _keys(place[:-1])
    near = difflib.get_close_matches(place[-1].lower(), known, 1, 0.5)
    meant = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return f"{'.'.join(place)} is unknown; {meant}"


def _keys(place: list[str]) -> list[str]:
    """Keys of the section at a place."""
    model: Any = ReidConfig
    for part in place:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
