"""The `throughline` command: names the commands, loads the one that is asked for, and says errors in one line."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from throughline.domain.errors import ThroughlineError

_COMMANDS = {
    "demo": "demo:demo",
    "up": "up:up",
    "doctor": "doctor:doctor",
    "submit": "submit:submit",
    "jobs": "jobs:jobs",
    "job": "jobs:job",
    "watch": "watch:watch",
    "cancel": "jobs:cancel",
    "review": "review:review",
    "rebuild": "jobs:rebuild",
    "verify": "verify:verify",
    "alerts": "alerts:alerts",
    "analyze": "analyze:analyze",
    "identify": "identify:identify",
    "simulate": "simulate:simulate",
    "models": "models:app",
    "eval": "evaluate:app",
    "serve": "serve:serve",
    "secrets": "secrets:secrets",
    "tokens": "tokens:app",
    "healthy": "probes:healthy",
}
"""Module and name of each. A process of `serve` starts sooner for not loading the others."""

_PIPED_COLUMNS = "200"
"""Of tables that go into a file or a pipe: ids and paths stay whole."""


class _Group(TyperGroup):
    """Ends with status 1 and the message where something was wrong that its user can mend."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(f"throughline.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            command = typer.main.get_command(found)
        else:
            alone = typer.Typer(pretty_exceptions_show_locals=False, add_completion=False)
            alone.command()(found)
            command = typer.main.get_command(alone)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        if not sys.stdout.isatty():
            os.environ.setdefault("COLUMNS", _PIPED_COLUMNS)
        try:
            return super().invoke(ctx)
        except ThroughlineError as error:
            Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1) from error


app = typer.Typer(cls=_Group, no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


@app.callback()
def throughline() -> None:
    """Finds one person across all cameras of a store and films their whole way through it."""
