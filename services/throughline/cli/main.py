"""The `throughline` command: puts the groups together and says errors in one line."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from throughline.cli import jobs
from throughline.cli.serve import serve
from throughline.cli.submit import submit
from throughline.cli.up import up
from throughline.cli.watch import watch
from throughline.domain.errors import ThroughlineError


class _Group(TyperGroup):
    """Ends with status 1 and the message where something was wrong that its user can mend."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ThroughlineError as error:
            Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    help="Finds one person across all cameras of a store and films their whole way through it.",
    pretty_exceptions_show_locals=False,
)
for command in (up, submit, jobs.jobs, jobs.job, watch, jobs.cancel, jobs.rebuild, serve):
    app.command()(command)
