"""Triton and the models that it is to serve."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from throughline.cli.checks.finding import Examined, Finding, looked, missing, ok, warning
from throughline.domain.errors import FailedPrecondition, ThroughlineError
from throughline.models.repository import PLAN_FILE, check_digest, versions
from throughline.perception.triton.card import ModelCard
from throughline.perception.triton.client import DETECTOR, REID
from throughline.perception.triton.environment import MAKE_ENVIRONMENT, TritonEnvironment, existing_environment
from throughline.tracker.rank import Calibrations

_BUILD = "build it with `throughline models build`, or name another repository with --models"
_STUB = "triton_python_backend_stub"


def check_inference(examined: Examined) -> Iterator[Finding]:
    """The server, then each model."""
    yield looked("Triton", _server, f"{MAKE_ENVIRONMENT}; one that is broken, remove first")
    for name in (DETECTOR, REID):
        yield from _model(examined.models / name, examined.needs_gpu)


def _server() -> str:
    """Start the binary as far as its list of options."""
    environment = existing_environment()
    _check_stub(environment)
    answer = subprocess.run(
        [environment.server, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment.variables(os.environ),
    )
    said = answer.stdout + answer.stderr
    if "--model-repository" not in said:
        raise FailedPrecondition(f"{environment.server} does not run: {said.strip()[-300:]}")
    return f"{environment.root}, for Python {environment.python_version}"


def _check_stub(environment: TritonEnvironment) -> None:
    stub = environment.backends / "python" / _STUB
    if not os.access(stub, os.X_OK):
        raise FailedPrecondition(f"{stub}, which runs models on the CPU, is not there or can't be run")


def _model(folder: Path, needs_gpu: bool) -> Iterator[Finding]:
    what = f"model {folder.name}"
    try:
        card = check_digest(folder)
    except (ThroughlineError, OSError) as error:
        yield missing(what, str(error), _BUILD)
        return
    yield ok(what, f"{card.source.file}, {card.input_width}x{card.input_height}, digest {card.digest[:12]}")
    plan = folder / versions(folder)[-1] / PLAN_FILE
    if needs_gpu and not plan.is_file():
        remedy = "on the machine with the card: throughline models build --target tensorrt"
        yield missing(f"{what} for the card", f"no {plan.relative_to(folder)}", remedy)
    if folder.name == REID:
        yield _calibration(card)


def _calibration(card: ModelCard) -> Finding:
    what = f"calibration of {card.name}"
    if card.calibration is None:
        remedy = "fit it with `throughline models calibrate`; until then jobs must say --scale cosine"
        return warning(what, "none", remedy)
    calibrations = Calibrations(card.calibration, card.matching)
    if calibrations.rule is None:
        remedy = "fit it with `throughline models calibrate`; until then tracks are compared by their mean descriptors"
        return warning(what, f"for {calibrations.known}", remedy)
    return ok(what, f"{card.calibration.n_same} pairs of the same person, fitted on {card.calibration.fitted_on}")
