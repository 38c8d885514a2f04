from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from throughline.cli.main import app
from throughline.cli.stack import StackSettings, plan
from throughline.wire.auth import Scope, TokensFile


def run(*arguments: str, file: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["tokens", *arguments, "--file", str(file)])
    return result.exit_code, result.output.strip()


def test_a_token_is_given_out_shown_without_itself_and_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "new" / "tokens.json"
    code, token = run("create", "desk 3", "--scope", "read", "--scope", "submit", "--days", "30", file=file)
    assert code == 0
    caller = TokensFile(file).caller(token)
    assert caller is not None
    assert caller.name == "desk 3"
    assert caller.scopes == frozenset({Scope.READ, Scope.SUBMIT})
    assert file.stat().st_mode & 0o077 == 0
    assert token not in file.read_text()
    listed = run("list", file=file)[1]
    assert "desk 3" in listed
    assert "read, submit" in listed
    assert run("revoke", "desk 3", file=file) == (0, "revoked the token of desk 3")
    assert TokensFile(file).caller(token) is None


def test_a_name_has_one_token_and_a_stranger_none(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    run("create", "desk 3", "--scope", "read", file=file)
    assert "revoke it first" in run("create", "desk 3", "--scope", "read", file=file)[1]
    code, answer = run("revoke", "desk 4", file=file)
    assert code == 1
    assert "there are desk 3" in answer


def test_tokens_that_were_given_out_outlive_a_restart_of_the_deployment(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    first = plan(StackSettings(home=tmp_path, port=0)).deployment.token
    token = run("create", "desk 3", "--scope", "read", file=file)[1]
    again = plan(StackSettings(home=tmp_path, port=0)).deployment.token
    tokens = TokensFile(file)
    assert tokens.caller(token) is not None
    assert tokens.caller(again) is not None
    assert tokens.caller(first) is None
