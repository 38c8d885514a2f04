"""Where a deployment on this machine is reached: `<home>/up.json`, written by `up`, read by every other command."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from throughline.domain.errors import CorruptArtifact, NotFound

FILE_NAME = "up.json"


class Deployment(BaseModel):
    """Addresses, databases and the command line's own token. Only its owner may read the file."""

    model_config = ConfigDict(frozen=True)

    pid: int
    home: Path
    addresses: dict[str, str]
    """host:port by name of the service."""
    s3_endpoint_url: str
    """Of the local object store; empty where there is none."""
    workspace_uri: str
    tier_database_url: str
    alert_database_url: str
    token: str
    """May submit, read and annotate; empty where callers need none."""

    def save(self) -> None:
        """Write `<home>/up.json`."""
        write_private(self.home / FILE_NAME, self.model_dump_json(indent=2))

    @classmethod
    def load(cls, home: Path) -> Deployment:
        """Raise NotFound where nothing was started with that home."""
        path = home / FILE_NAME
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise NotFound(
                f"nothing runs with the home {home}; start it with `throughline up`, or name its home with --home or THROUGHLINE_HOME"
            ) from error
        except ValidationError as error:
            raise CorruptArtifact(f"{path} cannot be read; start anew with `throughline up`") from error


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def default_home() -> Path:
    """THROUGHLINE_HOME, else ~/.throughline."""
    return Path(os.environ.get("THROUGHLINE_HOME") or "~/.throughline").expanduser().absolute()
