"""`throughline doctor`: says what is missing on this machine, and how to mend it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from throughline.cli import options
from throughline.cli.checks.finding import Examined, Finding, State, missing
from throughline.cli.checks.inference import check_inference
from throughline.cli.checks.machine import check_machine
from throughline.cli.checks.media import check_media
from throughline.cli.checks.running import check_running
from throughline.cli.checks.storage import check_storage
from throughline.cli.checks.trust import check_trust
from throughline.cli.stack import default_models


class Part(StrEnum):
    """What can be looked at by itself."""

    MACHINE = "machine"
    MEDIA = "media"
    INFERENCE = "inference"
    STORAGE = "storage"
    TRUST = "trust"
    RUNNING = "running"


_CHECKS: dict[Part, Callable[[Examined], Iterator[Finding]]] = {
    Part.MACHINE: check_machine,
    Part.MEDIA: check_media,
    Part.INFERENCE: check_inference,
    Part.STORAGE: check_storage,
    Part.TRUST: check_trust,
    Part.RUNNING: check_running,
}
_COLOURS = {State.OK: "green", State.WARNING: "yellow", State.MISSING: "red"}


def doctor(
    uris: Annotated[
        list[str] | None, typer.Argument(metavar="[URI]...", help="Footage that must be readable: s3:// or file://.")
    ] = None,
    home: options.Home = None,
    models: Annotated[Path | None, typer.Option(help="Model repository; default: as `up` has it.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65000, help="First of the ports that `up` would take.")] = 7400,
    gpu: Annotated[bool, typer.Option(help="This machine is to serve models on a graphics card.")] = False,
    only: Annotated[list[Part] | None, typer.Option(help="Only this part; may be given several times.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array, for programs.")] = False,
) -> None:
    """Look at everything that Throughline needs here. Status 1 where something is missing that it can't work without.

    Settings are taken from THROUGHLINE_* variables, as the services take them.
    """
    examined = Examined(options.home_of(home), (models or default_models()).absolute(), port, gpu, tuple(uris or ()))
    found = [(part, finding) for part in only or Part for finding in _looked_at(part, examined)]
    if as_json:
        typer.echo(json.dumps([{"part": part} | asdict(finding) for part, finding in found], indent=2))
    else:
        _show(found, Console())
    if any(finding.state is State.MISSING for _, finding in found):
        raise typer.Exit(1)


def _looked_at(part: Part, examined: Examined) -> list[Finding]:
    try:
        return list(_CHECKS[part](examined))
    except ValidationError as error:
        settings = ", ".join(
            f"THROUGHLINE_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors()
        )
        return [
            missing(
                f"settings of {part}", settings, "correct these variables; each service's settings.py explains them"
            )
        ]


def _show(found: list[tuple[Part, Finding]], console: Console) -> None:
    """A line for each finding below its part, and another for what to do."""
    for index, (part, finding) in enumerate(found):
        if not index or found[index - 1][0] is not part:
            console.print(f"[bold]{part}[/]")
        state = f"[{_COLOURS[finding.state]}]{finding.state:<8}[/]"
        console.print(f"  {state} {escape(finding.what)}: {escape(finding.found)}", highlight=False, soft_wrap=True)
        if finding.remedy:
            console.print(f"           → {escape(finding.remedy)}", highlight=False, soft_wrap=True)
    states = [finding.state for _, finding in found]
    console.print(f"{states.count(State.MISSING)} missing, {states.count(State.WARNING)} warnings", highlight=False)
