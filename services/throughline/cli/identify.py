"""`throughline identify`: one identity for everybody over many videos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from throughline.cli.inference import Models, Triton, inference
from throughline.domain.work import Step, Work
from throughline.tracker.identities.check import Checked, check_root
from throughline.tracker.identities.config import ReidConfig, read_config
from throughline.tracker.identities.layout import REPORT_FILE
from throughline.tracker.identities.run import Found
from throughline.tracker.identities.run import identify as identify_root

_DEFAULT_CONFIG = "reid.yaml"


def identify(
    root: Annotated[Path, typer.Argument(help="Folder of <video>/tracks.csv, as `throughline analyze` makes them.")],
    config: Annotated[Path | None, typer.Option(help="A reid.yaml; default: ROOT/reid.yaml if there is one.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only examine the identities that are there.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Write nothing where a video cannot be used.")] = False,
    triton: Triton = "",
    models: Models = None,
) -> None:
    """Give one identity to all tracks of a person, over all videos below ROOT.

    Videos that were described before are not described again, and identities keep their numbers. A video that cannot be used is left
    out, and told. Status 0: all is right. 1: a check of the outcome fails. 2: no check fails, but videos were left out.
    """
    settings = _config(root, config)
    if not check:
        with inference(triton, models) as client, shown_work() as work:
            _say(root, identify_root(root, settings, client, work, strict=strict))
    checked = check_root(root, settings)
    _show(checked)
    if checked.status:
        raise typer.Exit(checked.status)


def _config(root: Path, given: Path | None) -> ReidConfig:
    path = given or root / _DEFAULT_CONFIG
    return read_config(path) if given or path.is_file() else ReidConfig()


@contextmanager
def shown_work() -> Iterator[Work]:
    """Work whose progress is shown on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def on_step(step: Step) -> None:
            bar.update(task, description=step.unit, completed=step.done, total=step.total or None)

        yield Work(on_step=on_step)


def _say(root: Path, found: Found) -> None:
    result = found.outcome
    identities, tracks = result.identities, result.tracks
    for incident in result.made.incidents:
        if incident.subject in found.skipped:  # told at the end
            continue
        warning = f"warning: {incident.subject}: {incident.message}"
        Console(stderr=True).print(warning, style="yellow", markup=False, highlight=False, soft_wrap=True)
    print(
        f"{result.identity_count} identities of {len(tracks)} tracks in {len(tracks.videos)} videos, {found.reused} described before"
    )
    scale = "calibrated" if identities.is_calibrated else "cosine"
    print(
        f"least similarity {result.made.config.associate.min_sim:g} ({scale}), a cosine of {identities.least_cosine:.3f}"
    )
    recall = identities.recall
    print(
        f"neighbours by {recall.index}: recall {recall.found:.4f}"
        + ("" if recall.index == "flat" else f" of {recall.sampled} sampled")
    )
    for merge in found.numbered.merges:
        print(f"#{merge.into} now has {', '.join(f'#{each}' for each in merge.merged)}")
    for split in found.numbered.splits:
        print(f"#{split.split} is now {', '.join(f'#{each}' for each in split.into)}")
    print(root / REPORT_FILE)


def _show(checked: Checked) -> None:
    console = Console()
    for each in checked.checks:
        verdict = "[green]ok[/]    " if each.passed else "[red]failed[/]"
        console.print(f"{verdict} {escape(each.what)}: {escape(each.found)}", highlight=False, soft_wrap=True)
    for name, problem in checked.skipped.items():
        console.print(f"[yellow]left out[/] {escape(name)}: {escape(problem)}", highlight=False, soft_wrap=True)
    if checked.skipped:
        print(f"videos left out: {len(checked.skipped)}; put that right, and run `throughline identify` again")
