"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from throughline.cli.deployment import default_home

Home = Annotated[
    Path | None,
    typer.Option(help="Folder of the deployment. Default: $THROUGHLINE_HOME, else ~/.throughline.", show_default=False),
]


def home_of(given: Path | None) -> Path:
    """The folder that is meant, absolute."""
    return given.expanduser().absolute() if given else default_home()
