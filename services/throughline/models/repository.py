"""Triton's model repository on disk: both configurations of a model, its card and its digest. Graphs are made elsewhere.

<model>/config.pbtxt         a TensorRT plan on GPUs, the default
<model>/configs/cpu.pbtxt    ONNX Runtime or OpenVINO in the Python backend, chosen by `--model-config-name=cpu`
<model>/1/{model.onnx,model.py,runtimes.py}
<model>/card.json
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from throughline.domain.errors import FailedPrecondition
from throughline.models.runtime import CPU_RUNTIMES
from throughline.perception.triton.card import CARD_FILE, CARD_PARAMETER, VERSION_PARAMETER, ModelCard

VERSION = "1"
_SERVED_VERSIONS = 2
"""The newest, and the one before it, for work that began with that one."""
ONNX_FILE = "model.onnx"
PLAN_FILE = "model.plan"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output without its batch axis; `data_type` such as `TYPE_UINT8`."""

    name: str
    data_type: str
    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Batching:
    """How single requests are gathered into executions."""

    largest: int
    preferred: tuple[int, ...]
    queue_delay_microseconds: int


GPU_BATCHING = Batching(largest=32, preferred=(8, 16, 32), queue_delay_microseconds=2000)
CPU_BATCHING = Batching(largest=4, preferred=(4,), queue_delay_microseconds=2000)
"""On two cores larger batches fall out of the cache: 8 pictures cost a detector 5 to 10% more CPU each than 4."""
CPU_INSTANCES = 2
"""Of a thread each: threads that share one picture wait for each other, which costs a sixth more CPU and is no faster."""


def interface(card: ModelCard) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Input and outputs of the model that `card` describes: the contract between a model and its callers."""
    picture = (card.input_height, card.input_width, 3)
    if card.kind == "detector":
        k = card.max_boxes or 0
        return Tensor("images", "TYPE_UINT8", picture), (
            Tensor("boxes", "TYPE_FP32", (k, 4)),
            Tensor("scores", "TYPE_FP32", (k,)),
            Tensor("classes", "TYPE_INT32", (k,)),
            Tensor("count", "TYPE_INT32", (1,)),
        )
    return Tensor("crops", "TYPE_UINT8", picture), (Tensor("embeddings", "TYPE_FP32", (card.embedding_dim or 0,)),)


def serving_scripts() -> dict[str, str]:
    """The Python backend's model, which serves any ONNX file: texts by the names of its files."""
    folder = resources.files("throughline.models").joinpath("serving")
    return {name: folder.joinpath(name).read_text() for name in ("model.py", "runtimes.py")}


def digest(onnx_file: Path) -> str:
    """SHA-256, in hex, over what decides the numbers that a model gives: its graph and the scripts that run it."""
    whole = hashlib.sha256(hashlib.sha256(onnx_file.read_bytes()).digest())
    for script in serving_scripts().values():
        whole.update(hashlib.sha256(script.encode()).digest())
    return whole.hexdigest()


def write_model(model_dir: Path, card: ModelCard, onnx_file: Path) -> None:
    """Put a model into the repository in place of what may stand there. A server takes it up when it starts."""
    fresh = model_dir.with_name(f".{model_dir.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / VERSION).mkdir(parents=True)
    shutil.copyfile(onnx_file, fresh / VERSION / ONNX_FILE)
    for name, script in serving_scripts().items():
        (fresh / VERSION / name).write_text(script)
    write_card(fresh, card)
    shutil.rmtree(model_dir, ignore_errors=True)
    fresh.rename(model_dir)


def write_card(model_dir: Path, card: ModelCard) -> None:
    """Write the card and both configurations, which carry it to the model's callers."""
    (model_dir / "configs").mkdir(exist_ok=True)
    (model_dir / CARD_FILE).write_text(card.model_dump_json(indent=2) + "\n")
    served = {path.parent.name: path for path in model_dir.glob(f"*/{CARD_FILE}")}
    if served:  # of several versions, this card is the newest's
        served[versions(model_dir)[-1]].write_text(card.model_dump_json(indent=2) + "\n")
    for config, path in ((tensorrt_config(card), "config.pbtxt"), (cpu_config(card), "configs/cpu.pbtxt")):
        for version, beside in sorted(served.items()):
            text = ModelCard.model_validate_json(beside.read_bytes()).model_dump_json()
            config.parameters[f"{VERSION_PARAMETER}{version}"].string_value = text
            config.version_policy.latest.num_versions = _SERVED_VERSIONS
        (model_dir / path).write_text(_text(config))


def versions(model_dir: Path) -> list[str]:
    """Of a model's folder, the oldest first."""
    return sorted((each.name for each in model_dir.iterdir() if each.name.isdecimal()), key=int)


def add_version(model_dir: Path, fresh: Path) -> tuple[str, ModelCard]:
    """Put the model of `fresh`, a folder of another repository, behind those of `model_dir`; its version and card.

    The one before it stays and is served beside it, older ones go. Raises FailedPrecondition where the two don't take and give
    the same: one configuration serves both.
    """
    old, new = ModelCard.read(model_dir), check_digest(fresh)
    if old.digest == new.digest:
        raise FailedPrecondition(f"{fresh} is the model that {model_dir} holds already, {new.digest[:12]}")
    if (old.kind, interface(old)) != (new.kind, interface(new)):
        raise FailedPrecondition(
            f"{fresh} takes or gives other sizes than {model_dir}; both can't be served side by side: stop Triton, build it in place "
            "with `throughline models build`, and start Triton again"
        )
    *_, before = versions(model_dir)
    (model_dir / before / CARD_FILE).write_text(old.model_dump_json(indent=2) + "\n")
    number = str(int(before) + 1)
    new = new.model_copy(update={"name": model_dir.name})
    shutil.copytree(fresh / versions(fresh)[-1], model_dir / number)
    (model_dir / number / CARD_FILE).write_text(new.model_dump_json(indent=2) + "\n")
    for older in versions(model_dir)[:-_SERVED_VERSIONS]:
        shutil.rmtree(model_dir / older)
    write_card(model_dir, new)
    return number, new


def check_digest(model_dir: Path) -> ModelCard:
    """The card of a model whose files are those that the card was written for. Raises FailedPrecondition when they are not."""
    card = ModelCard.read(model_dir)
    newest = model_dir / versions(model_dir)[-1]
    scripts = {path.name: path.read_text() for path in newest.glob("*.py")}
    if scripts != serving_scripts() or digest(newest / ONNX_FILE) != card.digest:
        raise FailedPrecondition(
            f"{model_dir} no longer holds what its card describes; build it again with `throughline models build`"
        )
    return card


def tensorrt_config(card: ModelCard) -> triton.ModelConfig:
    """For production: a plan made by TensorRT in FP16, one instance on every GPU."""
    config = _config(card, GPU_BATCHING)
    config.platform = "tensorrt_plan"
    config.default_model_filename = PLAN_FILE
    config.instance_group.add(count=1, kind=triton.ModelInstanceGroup.KIND_GPU)
    return config


def cpu_config(card: ModelCard) -> triton.ModelConfig:
    """For machines without a GPU: `CPU_INSTANCES` instances, on one thread each."""
    config = _config(card, CPU_BATCHING)
    config.backend = "python"
    config.instance_group.add(count=CPU_INSTANCES, kind=triton.ModelInstanceGroup.KIND_CPU)
    config.parameters["runtime"].string_value = CPU_RUNTIMES[card.kind]
    config.parameters["intra_op_threads"].string_value = "1"
    return config


def _config(card: ModelCard, batching: Batching) -> triton.ModelConfig:
    received, given = interface(card)
    config = triton.ModelConfig(name=card.name, max_batch_size=batching.largest)
    config.input.add(name=received.name, data_type=received.data_type, dims=received.dims)
    for tensor in given:
        config.output.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    config.dynamic_batching.preferred_batch_size.extend(batching.preferred)
    config.dynamic_batching.max_queue_delay_microseconds = batching.queue_delay_microseconds
    config.parameters["digest"].string_value = card.digest
    config.parameters[CARD_PARAMETER].string_value = card.model_dump_json()
    return config


def _text(config: triton.ModelConfig) -> str:
    return "# Written by `throughline models build`.\n" + text_format.MessageToString(config)


def model_dirs(repository: Path) -> Sequence[Path]:
    """The models of a repository, by name."""
    return sorted(path.parent for path in repository.glob(f"*/{CARD_FILE}"))
