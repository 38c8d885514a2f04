"""Makes models of a repository from ONNX weights: graph, checks, card and configurations."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx

from throughline.domain.errors import InvalidInput
from throughline.models import repository, verify
from throughline.models.checkpoint import is_checkpoint, onnx_from_checkpoint
from throughline.models.detector import END_TO_END_IOU, DetectorSettings, detector_graph
from throughline.models.fetch import sha256
from throughline.models.graph import BGR_255, IMAGENET, IMAGENET_BGR, UNIT, Normalisation
from throughline.models.heads import Raw, recognise
from throughline.models.labelled import LabelledFrame
from throughline.models.reid import embedding_dim, reid_graph
from throughline.models.trials import better, try_settings
from throughline.models.weights import Weights
from throughline.perception.triton.card import Check, ModelCard, Source

KEPT_CLASSES = ("person", "trolley")
BETTER = "better_setting"
"""Key of a card's build settings: what clearly beat the settings on labelled frames; empty where nothing did."""
_PERSON = "person"
_UNDECLARED = "not declared"
_USUAL = {"yolox": BGR_255, "ssd": BGR_255, "nanodet": IMAGENET_BGR, "yolo": UNIT, "end-to-end": UNIT}
"""What heads of each kind are usually trained with."""


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
    normalisation: Normalisation | None = None,
    licence: str = _UNDECLARED,
    purpose: str = "Finding people in frames of shop and street cameras.",
    limits: str = "Not for deciding about people without a person looking; not measured on other scenes than its card's figures say.",
    size: tuple[int, int] | None = None,
    labelled: Sequence[LabelledFrame] = (),
) -> ModelCard:
    """Make `repository_dir/name` from weights with one of the heads that heads.py knows.

    `class_names` are those of the weights; without any, 80 classes are taken for COCO's. Of them `keep_classes` are served, as far
    as the weights know them. `size`: width and height in pixels, for weights that take pictures of any. `normalisation`: without one,
    that which heads of its kind are usually trained with. On `labelled` frames other settings are tried as well; what they gave
    stands in the card. Boxes below `score_threshold` or overlapping a better one of the same class by more than `iou_threshold`
    are left out. Raises InvalidInput when the file doesn't fit or the built model doesn't do what the weights do.
    """
    source = Weights(weights, size)
    pictures = verify.test_pictures(source.height, source.width)
    raw = verify.raw_outputs(source, normalisation or BGR_255, pictures)
    head = recognise(source, raw, tuple(class_names))
    if normalisation is None:
        normalisation = _USUAL[head.kind]
        raw = raw if normalisation == BGR_255 else verify.raw_outputs(source, normalisation, pictures)
    kept = tuple(each for each in keep_classes if each in head.class_names)
    if not kept:
        raise source.refusal(
            f"the classes {', '.join(head.class_names[:8])}", f"weights that know {' or '.join(keep_classes)}"
        )
    settings = DetectorSettings(
        normalisation=normalisation,
        head=head,
        classes=tuple(head.class_names.index(each) for each in kept),
        score_threshold=score_threshold,
        iou_threshold=END_TO_END_IOU if head.kind in ("ssd", "end-to-end") else iou_threshold,
        max_boxes=max_boxes,
    )
    looped, checks = _checked(source, settings, raw)
    graph = detector_graph(source, settings, looped=looped)
    verify.require(checks, source)
    card = ModelCard(
        name=name,
        kind="detector",
        source=Source(file=weights.name, sha256=sha256(weights), licence=licence),
        purpose=purpose,
        limits=limits,
        input_width=source.width,
        input_height=source.height,
        class_names=kept,
        max_boxes=max_boxes,
        build={
            **_described(normalisation),
            **head.described(),
            "one_at_a_time": looped,
            "score_threshold": score_threshold,
            "iou_threshold": settings.iou_threshold,
            **_tried(source, settings, kept, labelled),
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

    `weights` are ONNX, or a torchreid checkpoint of an OSNet.

    The card has no calibration yet: see calibrate.py. Raises InvalidInput when the file doesn't fit.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Weights(
            onnx_from_checkpoint(weights, Path(folder, "osnet.onnx")) if is_checkpoint(weights) else weights
        )
    looped, graph, checks = _checked_reid(source, normalisation)
    verify.require(checks, source)
    card = ModelCard(
        name=name,
        kind="reid",
        source=Source(file=weights.name, sha256=sha256(weights), licence=licence),
        purpose=purpose,
        limits=limits,
        input_width=source.width,
        input_height=source.height,
        embedding_dim=embedding_dim(source),
        build={**_described(normalisation), "one_at_a_time": looped},
        checks=checks,
        digest="",
    )
    return _write(repository_dir, card, graph)


def _tried(
    source: Weights, settings: DetectorSettings, kept: Sequence[str], labelled: Sequence[LabelledFrame]
) -> dict[str, str | int | float | bool]:
    """What labelled frames say of the settings, for the card."""
    if not labelled or _PERSON not in kept:
        return {}
    trials = try_settings(source, settings, labelled, kept.index(_PERSON))
    said: dict[str, str | int | float | bool] = {
        f"ap50 {trial.name}": round(trial.average_precision, 4) for trial in trials
    }
    best = better(trials)
    return {**said, "labelled_frames": len(labelled), BETTER: best.name if best else ""}


def _checked(source: Weights, settings: DetectorSettings, raw: Raw) -> tuple[bool, tuple[Check, ...]]:
    """Whether the weights must run on one picture at a time, and what the checks of the graph gave: batches are tried first."""
    if settings.head.kind != "ssd" and settings.head.fixed:  # SSD lists the boxes of all pictures together
        try:
            checks = verify.check_detector(source, settings, raw)
        except InvalidInput:
            return True, verify.check_detector(source, settings, raw, looped=True)
        if verify.passed(checks[-1]) or not verify.passed(checks[0]):
            return False, checks
    return True, verify.check_detector(source, settings, raw, looped=True)


def _checked_reid(source: Weights, normalisation: Normalisation) -> tuple[bool, onnx.ModelProto, tuple[Check, ...]]:
    """Like _checked, with the graph."""
    graph = reid_graph(source, normalisation)
    with contextlib.suppress(InvalidInput):
        checks = verify.check_reid(source, normalisation, graph)
        if verify.passed(checks[-1]) or not verify.passed(checks[0]):
            return False, graph, checks
    graph = reid_graph(source, normalisation, looped=True)
    return True, graph, verify.check_reid(source, normalisation, graph)


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
