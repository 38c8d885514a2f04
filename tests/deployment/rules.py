"""What compose and Kubernetes have in common: which services there are, what each can be told, and what it must be."""

from __future__ import annotations

from collections.abc import Mapping, Set

from pydantic_settings import BaseSettings

from throughline.alert.settings import AlertSettings
from throughline.ingest.settings import IngestSettings
from throughline.orchestrator.orchestrator import _LET_GO_SECONDS
from throughline.orchestrator.settings import OrchestratorSettings
from throughline.renderer.settings import RendererSettings
from throughline.tier.settings import TierSettings
from throughline.tracker.settings import TrackerSettings
from throughline.wire.settings import ServiceSettings

PREFIX = "THROUGHLINE_"
FOLDER_OF_SECRETS = "THROUGHLINE_SECRETS_DIR"

SETTINGS: Mapping[str, type[BaseSettings]] = {
    "orchestrator": OrchestratorSettings,
    "ingest": IngestSettings,
    "tracker": TrackerSettings,
    "renderer": RendererSettings,
    "tier": TierSettings,
    "alert": AlertSettings,
}
SERVICES = tuple(SETTINGS)

_ALL = {"listen", "tokens_file", "metrics_listen", "cache_dir"}
_OBJECTS = {"workspace_uri"}
NEEDED: Mapping[str, Set[str]] = {
    "orchestrator": _ALL
    | _OBJECTS
    | {"database_url", "token", "webhook_secret", "evidence_key_file"}
    | {f"{name}_target" for name in ("ingest", "tracker", "renderer", "tier", "alert", "orchestrator")},
    "ingest": _ALL | _OBJECTS,
    "tracker": _ALL | _OBJECTS | {"triton_target"},
    "renderer": _ALL | _OBJECTS,
    "tier": _ALL | {"tier_database_url", "token"},
    "alert": _ALL | {"alert_database_url"},
}
"""What has a default that is wrong on any other machine than a developer's."""


def check_environment(service: str, variables: Mapping[str, object], files: Set[str]) -> None:
    """Every THROUGHLINE_* variable, and every secret in a file, is a setting of some service; all that this one needs is there."""
    known = {name for settings in SETTINGS.values() for name in settings.model_fields}
    told = {name.removeprefix(PREFIX).lower() for name in variables if name.startswith(PREFIX)}
    told -= {FOLDER_OF_SECRETS.removeprefix(PREFIX).lower()}
    assert told <= known, f"{service}: {sorted(told - known)} is no setting"
    secret = {name.removeprefix(PREFIX.lower()) for name in files if name.startswith(PREFIX.lower())}
    assert secret <= set(SETTINGS[service].model_fields), f"{service}: {sorted(secret)}"
    missing = NEEDED[service] - told - secret
    assert not missing, f"{service}: nobody tells it {sorted(missing)}"


def grace_seconds(service: str, variables: Mapping[str, object]) -> float:
    """How long the service may take for a clean end."""
    default = ServiceSettings.model_fields["grace_seconds"].default
    grace = float(str(variables.get("THROUGHLINE_GRACE_SECONDS", default)))
    return 2 * grace + (_LET_GO_SECONDS if service == "orchestrator" else 0.0)
