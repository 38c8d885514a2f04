"""What every service can be told through its environment, field by field; each service adds its own in <service>/settings.py."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from throughline.wire.logs import LogFormat
from throughline.wire.tls import TlsFiles


class ObjectSettings(BaseModel):
    """Where objects may be read and written, and how S3 is reached."""

    model_config = ConfigDict(frozen=True)

    allowed_roots: tuple[Path, ...] = ()
    """Folders below which file:// may be used; none allows no file:// at all."""
    allowed_buckets: tuple[str, ...] = ()
    """Buckets that s3:// may be used with, that of the workspace among them; none given: all that the credentials open."""
    s3_endpoint_url: str = ""
    """URL of an S3 API other than AWS's own, such as http://127.0.0.1:9000. Credentials come from where boto3 finds them."""
    s3_region: str = ""
    """Region of the buckets. Default: what boto3 finds."""
    s3_anonymous: bool = False
    """Read public buckets without credentials."""
    s3_connections: int = Field(default=16, ge=1, le=256)
    """Most connections at once."""
    s3_timeout_seconds: float = Field(default=30.0, gt=0)
    """How long a connection may be silent before it is tried again."""
    s3_patience_seconds: float = Field(default=300.0, ge=0)
    """How long S3 may fail to give anything of a chunk before its stage is given up, for the orchestrator to call again."""


class ServiceSettings(ObjectSettings, BaseSettings):
    """What every service needs. `THROUGHLINE_LISTEN` sets `listen`, and so on; lists are given as JSON.

    What should not stand in the environment may stand in files named after the variables, in the folder THROUGHLINE_SECRETS_DIR.
    """

    model_config = SettingsConfigDict(frozen=True, env_prefix="THROUGHLINE_", extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then the files."""
        secrets = SecretsSettingsSource(settings_cls, secrets_dir=os.environ.get("THROUGHLINE_SECRETS_DIR"))
        return init_settings, env_settings, secrets

    listen: str = "127.0.0.1:0"
    """host:port to serve on; port 0 takes a free one."""
    address_file: Path | None = None
    """File into which the server writes its host:port once it serves; for those who start it on port 0."""
    workspace_uri: str = ""
    """Where artifacts are kept: file:///folder/ below an allowed root, or s3://bucket/prefix/."""
    cache_dir: Path = Path("/tmp/throughline-cache")  # noqa: S108 - a cache that only ever holds copies
    """Folder for local copies of what lies in S3, and for artifacts that are being made."""

    tokens_file: Path | None = None
    """JSON of the tokens that callers may use (wire/auth.py). None: every caller is let in; allowed on loopback only."""
    token: str = Field(default="", repr=False)
    """The token that this service sends when it calls others."""
    tls_certificate: Path | None = None
    """This server's certificate chain, PEM. None: no TLS. As a client it is shown to servers that ask for one."""
    tls_key: Path | None = None
    """Key of the certificate, PEM."""
    tls_ca: Path | None = None
    """Certificate authority of the peers, PEM. As a client: TLS is used, and verified with it, when this is given."""
    tls_require_client_certificate: bool = False
    """Only serve clients with a certificate of `tls_ca`."""

    max_workers: int = Field(default=64, ge=1)
    """RPCs served at once; further ones wait."""
    max_waiting: int = Field(default=1000, ge=0)
    """RPCs that may wait; further ones are refused, and may be made again later."""
    max_message_bytes: int = Field(default=64 * 2**20, ge=2**20)
    """Largest message taken or sent."""
    connection_seconds: float = Field(default=300.0, gt=0)
    """How long a client keeps a connection before it asks again which servers there are; running calls go on."""
    grace_seconds: float = Field(default=5.0, ge=0)
    """How long running RPCs may go on when the service is told to end."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_format: LogFormat = "auto"
    """text, json, or auto: text on a terminal, else JSON, an object a line (wire/logs.py)."""
    metrics_listen: str = ""
    """host:port on which GET /metrics answers Prometheus; it asks for no token, so let only the monitoring reach it. Empty: none."""

    @property
    def tls(self) -> TlsFiles:
        return TlsFiles(
            "THROUGHLINE_TLS", self.tls_certificate, self.tls_key, self.tls_ca, self.tls_require_client_certificate
        )
