"""Makes models of a repository from ONNX weights: graph, checks, card and configurations."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx

from throughline.domain.errors import InvalidInput
from throughline.models import coco, repository, verify
from throughline.models.detector import DetectorSettings, class_count, detector_graph
from throughline.models.graph import BGR_255, IMAGENET, Normalisation
from throughline.models.reid import embedding_dim, reid_graph
from throughline.models.weights import Weights
from throughline.perception.triton.card import ModelCard, Source

KEPT_CLASSES = ("person", "trolley")
_UNDECLARED = "not declared"


def build_detector(  # noqa: PLR0913 - the options of one command
    weights: Path,
    repository_dir: Path,
    *,
    name: str = "detector",
    class_names: Sequence[str] = (),
    keep_classes: Sequence[str] = KEPT_CLASSES,
    score_threshold: float = 0.05,
    iou_threshold: float = 0.65,
    max_boxes: int = 100,
    normalisation: Normalisation = BGR_255,
    licence: str = _UNDECLARED,
    purpose: str = "Finding people in frames of shop and street cameras.",
    limits: str = "Not for deciding about people without a person looking; not measured on other scenes than its card's figures say.",
) -> ModelCard:
    """Make `repository_dir/name` from YOLOX-type weights (n, cells, 5 + classes), decoded or not.

    `class_names` are those of the weights; without any, 80 classes are taken for COCO's. Of them `keep_classes` are served, as far as
    the weights know them. Boxes below `score_threshold` or overlapping a better one of the same class by more than `iou_threshold`
    are left out. Raises InvalidInput when the file doesn't fit or the built model doesn't do what the weights do.
    """
    source = Weights(weights)
    names = _class_names(source, tuple(class_names))
    kept = tuple(each for each in keep_classes if each in names)
    if not kept:
        raise source.refusal(f"the classes {', '.join(names[:8])}", f"weights that know {' or '.join(keep_classes)}")
    raw = verify.raw_outputs(source, normalisation, verify.test_pictures(source.height, source.width))
    settings = DetectorSettings(
        normalisation=normalisation,
        classes=tuple(names.index(each) for each in kept),
        decoded=verify.looks_decoded(raw, source),
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_boxes=max_boxes,
    )
    graph = detector_graph(source, settings)
    checks = verify.check_detector(source, settings, graph, raw)
    verify.require(checks, source)
    card = ModelCard(
        name=name,
        kind="detector",
        source=Source(file=weights.name, sha256=source.sha256(), licence=licence),
        purpose=purpose,
        limits=limits,
        input_width=source.width,
        input_height=source.height,
        class_names=kept,
        max_boxes=max_boxes,
        build={
            **_described(normalisation),
            "decoded": settings.decoded,
            "score_threshold": score_threshold,
            "iou_threshold": iou_threshold,
        },
        checks=checks,
        digest="",
    )
    return _write(repository_dir, card, graph)


def build_reid(  # noqa: PLR0913
    weights: Path,
    repository_dir: Path,
    *,
    name: str = "reid",
    normalisation: Normalisation = IMAGENET,
    licence: str = _UNDECLARED,
    purpose: str = "Comparing crops of people by their looks within one visit.",
    limits: str = "Not for naming people; clothes that look alike look alike to it; the same person in other clothes does not.",
) -> ModelCard:
    """Make `repository_dir/name` from weights that give one descriptor a crop, (n, d), of any length; unit vectors are served.

    The card has no calibration yet: see calibrate.py. Raises InvalidInput when the file doesn't fit.
    """
    source = Weights(weights)
    graph = reid_graph(source, normalisation)
    checks = verify.check_reid(source, normalisation, graph)
    verify.require(checks, source)
    card = ModelCard(
        name=name,
        kind="reid",
        source=Source(file=weights.name, sha256=source.sha256(), licence=licence),
        purpose=purpose,
        limits=limits,
        input_width=source.width,
        input_height=source.height,
        embedding_dim=embedding_dim(source),
        build=_described(normalisation),
        checks=checks,
        digest="",
    )
    return _write(repository_dir, card, graph)


def _class_names(source: Weights, given: tuple[str, ...]) -> tuple[str, ...]:
    count = class_count(source)
    names = given or (coco.CLASS_NAMES if count == len(coco.CLASS_NAMES) else ())
    if len(names) != count:
        raise InvalidInput(f"{source.path.name} knows {count} classes, but {len(names)} names are given for them")
    return names


def _described(normalisation: Normalisation) -> dict[str, str | int | float | bool]:
    return {
        "colours": normalisation.colours,
        "mean": ", ".join(f"{value:g}" for value in normalisation.mean),
        "deviation": ", ".join(f"{value:g}" for value in normalisation.deviation),
    }


def _write(repository_dir: Path, card: ModelCard, graph: onnx.ModelProto) -> ModelCard:
    repository_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=repository_dir, prefix=".build-") as folder:
        path = Path(folder, repository.ONNX_FILE)
        onnx.save(graph, str(path))
        card = card.model_copy(update={"digest": repository.digest(path)})
        repository.write_model(repository_dir / card.name, card, path)
    return card
