"""`throughline secrets`: everything that a deployment keeps secret, made at random, as files for Docker Compose and Kubernetes."""

from __future__ import annotations

import configparser
import io
import json
import secrets as randomness
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from throughline.cli.stack import ROLES
from throughline.domain.errors import Conflict
from throughline.storage.signing import SigningKey
from throughline.wire.auth import Caller, token_digest, tokens_json

_DATABASES = {
    "database_url": "throughline",
    "tier_database_url": "throughline_tier",
    "alert_database_url": "throughline_alert",
}
_USER = "throughline"


def secrets(
    folder: Annotated[Path, typer.Argument(help="Where the files go; made if it is missing.")],
    database: Annotated[str, typer.Option(help="host:port of Postgres.")] = "postgres:5432",
) -> None:
    """Write a deployment's passwords, keys and tokens, fresh and random. Refuses a folder that has some."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = _files(database)
    if existing := sorted(name for name in files if (folder / name).exists()):
        raise Conflict(
            f"{folder} already has {', '.join(existing)}; choose another folder, or remove them to begin anew"
        )
    for name, content in files.items():
        path = folder / name
        path.write_text(content)
        # Containers run as other users than the folder's owner, who alone can enter it.
        path.chmod(0o444)
    typer.echo(f"{len(files)} files in {folder}")


def _files(database: str) -> Mapping[str, str]:
    password, key, secret = (randomness.token_urlsafe(32) for _ in range(3))
    tokens = {role: randomness.token_urlsafe(32) for role in ROLES}
    callers = {token_digest(tokens[role]): Caller(name=role, scopes=scopes) for role, scopes in ROLES.items()}
    return {
        "postgres_password": password,
        **{name: f"postgresql+psycopg://{_USER}:{password}@{database}/{base}" for name, base in _DATABASES.items()},
        "s3_credentials": _credentials(key, secret),
        "s3_config.json": _identities(key, secret),
        "tokens.json": tokens_json(callers),
        **{f"{role}_token": token for role, token in tokens.items()},
        "webhook_secret": randomness.token_urlsafe(32),
        "evidence_key.pem": SigningKey.generate().pem(),
    }


def _credentials(key: str, secret: str) -> str:
    """As boto3 and the AWS command line read it."""
    parser, text = configparser.ConfigParser(), io.StringIO()
    parser["default"] = {"aws_access_key_id": key, "aws_secret_access_key": secret}
    parser.write(text)
    return text.getvalue()


def _identities(key: str, secret: str) -> str:
    """As SeaweedFS reads it."""
    identity = {
        "name": _USER,
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    return json.dumps({"identities": [identity]}, indent=2)
