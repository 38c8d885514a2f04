"""`throughline tokens`: who may call, kept in a tokens file; running services take its changes up within a second or two."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from throughline.cli.deployment import write_private
from throughline.domain.errors import Conflict, NotFound
from throughline.wire.auth import Caller, Scope, load_tokens, token_digest, tokens_json

app = typer.Typer(no_args_is_help=True, help="Give out, list and take back tokens.")

_File = Annotated[
    Path, typer.Option("--file", envvar="THROUGHLINE_TOKENS_FILE", help="The tokens file of the services.")
]
_DEFAULT = Path("~/.throughline/tokens.json")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who gets it; stands in the audit log.")],
    scope: Annotated[list[Scope], typer.Option(help="What it allows; may be given several times.")],
    days: Annotated[float | None, typer.Option(min=0.001, help="How long it lasts; default: until revoked.")] = None,
    file: _File = _DEFAULT,
) -> None:
    """Make a token and print it, once: only its digest is kept."""
    path = file.expanduser()
    callers = load_tokens(path) if path.exists() else {}
    if any(caller.name == name for caller in callers.values()):
        raise Conflict(f"{path} has a token of {name!r} already; revoke it first, or choose another name")
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    token = secrets.token_urlsafe(32)
    _write(path, {**callers, token_digest(token): Caller(name=name, scopes=frozenset(scope), expires=expires)})
    typer.echo(token)


@app.command("list")
def list_(file: _File = _DEFAULT) -> None:
    """Show whose tokens are valid, for what and how long."""
    table = Table("name", "scopes", "expires")
    for caller in sorted(load_tokens(file.expanduser()).values(), key=lambda each: each.name):
        expires = "never" if caller.expires is None else caller.expires.isoformat(timespec="seconds")
        table.add_row(caller.name, ", ".join(sorted(caller.scopes)), expires)
    Console().print(table)


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="Whose token.")], file: _File = _DEFAULT) -> None:
    """Take a token back."""
    path = file.expanduser()
    callers = load_tokens(path)
    kept = {digest: caller for digest, caller in callers.items() if caller.name != name}
    if len(kept) == len(callers):
        names = ", ".join(sorted(caller.name for caller in callers.values())) or "none"
        raise NotFound(f"{path} has no token of {name!r}; there are {names}")
    _write(path, kept)
    typer.echo(f"revoked the token of {name}")


def _write(path: Path, callers: dict[str, Caller]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, tokens_json(callers))
