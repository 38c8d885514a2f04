"""What a deployment on one machine consists of: which children, on which addresses, with which settings and tokens."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from throughline.cli.deployment import Deployment, write_private
from throughline.cli.keys import ensure_signing_key, signing_key_file
from throughline.cli.ports import LOOPBACK, choose_ports
from throughline.cli.probes import http_ready, serving
from throughline.cli.serve import Servable
from throughline.cli.supervisor import ChildSpec
from throughline.domain.errors import FailedPrecondition
from throughline.perception.triton.card import CARD_FILE
from throughline.perception.triton.client import DETECTOR, REID
from throughline.wire.auth import Caller, Scope, load_tokens, token_digest, tokens_json

SERVICES = ("orchestrator", "ingest", "tracker", "renderer", "tier", "alert")
"""Those that speak Throughline's own contracts."""
METRICS = {name: f"{name}-metrics" for name in (*SERVICES, "triton")}
"""Under what name each one's metrics stand among the addresses."""
LISTENERS = (*SERVICES, "triton", "triton-http", "triton-metrics", "objects", *(METRICS[name] for name in SERVICES))
"""Everything with a port, in the order in which ports are counted from the base."""
_MODELS_VARIABLE = "THROUGHLINE_TRITON_MODEL_REPOSITORY"
LOCAL_S3_KEY = "throughline"
"""Access key and secret of the local object store, which checks neither."""


@dataclass(frozen=True, slots=True)
class StackSettings:
    """How the deployment is to be. `truth`: ground truth from which the tier answers by itself; `database_url`: of the
    orchestrator's records, by default SQLite below `home`; `variables`: more of the children's environment."""

    home: Path
    port: int = 7400
    with_auth: bool = True
    children: tuple[Servable, ...] = tuple(Servable)
    allowed_roots: tuple[Path, ...] = ()
    truth: Path | None = None
    model_repository: Path | None = None
    database_url: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


ROLES: Mapping[str, frozenset[Scope]] = {
    "cli": frozenset({Scope.SUBMIT, Scope.READ, Scope.ANNOTATE}),
    "orchestrator": frozenset({Scope.STAGE, Scope.REVIEW, Scope.ALERT}),
    "tier": frozenset({Scope.ANNOTATE}),
}
"""Who calls others, and what they may do there."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything needed to start the children and to find them."""

    deployment: Deployment
    children: tuple[ChildSpec, ...]


def plan(settings: StackSettings) -> Stack:
    """Choose ports, write fresh tokens and, once, a signing key below `<home>`, and say how each child is started."""
    home = settings.home
    ensure_signing_key(home)
    ports = choose_ports(LISTENERS, settings.port)
    addresses = {name: f"{LOOPBACK}:{port}" for name, port in ports.items()}
    tokens = _write_tokens(home) if settings.with_auth else {}
    deployment = Deployment(
        pid=os.getpid(),
        home=home,
        addresses=addresses,
        s3_endpoint_url=f"http://{addresses['objects']}" if Servable.OBJECTS in settings.children else "",
        workspace_uri=f"file://{home / 'workspace'}/",
        tier_database_url=f"sqlite:///{home / 'tier.db'}",
        alert_database_url=f"sqlite:///{home / 'alert.db'}",
        token=tokens.get("cli", ""),
    )
    shared = _shared_environment(settings, deployment)
    children = (_child(name, settings, deployment, shared, tokens) for name in settings.children)
    return Stack(deployment, tuple(children))


def object_store_environment(endpoint_url: str) -> dict[str, str]:
    """What boto3 and the services need to know of the local object store."""
    return {
        "THROUGHLINE_S3_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": LOCAL_S3_KEY,
        "AWS_SECRET_ACCESS_KEY": LOCAL_S3_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _child(
    name: Servable,
    settings: StackSettings,
    deployment: Deployment,
    shared: Mapping[str, str],
    tokens: Mapping[str, str],
) -> ChildSpec:
    address = deployment.addresses[name]
    environment = {**shared, "THROUGHLINE_LISTEN": address, "THROUGHLINE_TOKEN": tokens.get(name, "")}
    if name is Servable.TRITON:
        _check_models(Path(environment[_MODELS_VARIABLE]))
        environment |= _triton_ports(deployment.addresses)
        is_ready = partial(http_ready, f"http://{deployment.addresses['triton-http']}/v2/health/ready")
    elif name is Servable.OBJECTS:
        is_ready = partial(http_ready, f"http://{address}/")
    else:
        environment["THROUGHLINE_METRICS_LISTEN"] = deployment.addresses[METRICS[name]]
        is_ready = partial(serving, address)
    return ChildSpec(
        name=name,
        command=(sys.executable, "-m", "throughline", "serve", name),
        environment=environment,
        log=settings.home / "logs" / f"{name}.log",
        is_ready=is_ready,
        loses="its objects are gone: upload them again" if name is Servable.OBJECTS else "",
    )


def _shared_environment(settings: StackSettings, deployment: Deployment) -> dict[str, str]:
    """The same for every child; what the caller's own environment says stands where it is not said here."""
    home = settings.home
    roots = [home / "workspace", *settings.allowed_roots]
    addresses = deployment.addresses
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "THROUGHLINE_WORKSPACE_URI": deployment.workspace_uri,
        "THROUGHLINE_CACHE_DIR": str(home / "cache"),
        "THROUGHLINE_ALLOWED_ROOTS": json.dumps([str(root) for root in roots]),
        "THROUGHLINE_EVIDENCE_KEY_FILE": str(signing_key_file(home)),
        "THROUGHLINE_DATABASE_URL": settings.database_url or f"sqlite:///{home / 'orchestrator.db'}",
        "THROUGHLINE_TIER_DATABASE_URL": deployment.tier_database_url,
        "THROUGHLINE_ALERT_DATABASE_URL": deployment.alert_database_url,
        "THROUGHLINE_TRITON_TARGET": addresses["triton"],
        **{f"THROUGHLINE_{name.upper()}_TARGET": addresses[name] for name in SERVICES},
    }
    if deployment.s3_endpoint_url:
        environment |= object_store_environment(deployment.s3_endpoint_url)
    if settings.with_auth:
        environment["THROUGHLINE_TOKENS_FILE"] = str(_tokens_file(home))
    if settings.truth is not None:
        environment["THROUGHLINE_TIER_TRUTH"] = str(settings.truth)
    if settings.model_repository is not None:
        environment[_MODELS_VARIABLE] = str(settings.model_repository)
    environment.setdefault(_MODELS_VARIABLE, str(default_models()))
    return {**environment, **settings.variables}


def default_models() -> Path:
    """`model_repository` in the current folder, else that of the source checkout."""
    here, checkout = Path.cwd() / "model_repository", Path(__file__).absolute().parents[3] / "model_repository"
    return checkout if checkout.is_dir() and not here.is_dir() else here


def _check_models(repository: Path) -> None:
    """Raise FailedPrecondition where a model lacks; Triton would say so in its log alone."""
    for card in (repository / name / CARD_FILE for name in (DETECTOR, REID)):
        if not card.is_file():
            raise FailedPrecondition(
                f"{repository} is no repository of models: {card} is not there; make one with `throughline models build`, "
                "or name another with --models"
            )


def _triton_ports(addresses: Mapping[str, str]) -> dict[str, str]:
    names = {"triton": "GRPC", "triton-http": "HTTP", "triton-metrics": "METRICS"}
    return {f"THROUGHLINE_TRITON_{word}_PORT": addresses[name].rpartition(":")[2] for name, word in names.items()}


def _tokens_file(home: Path) -> Path:
    return home / "tokens.json"


def _write_tokens(home: Path) -> dict[str, str]:
    """A fresh random token for each role; the file holds only their digests, and keeps those of tokens that were given out."""
    tokens = {role: secrets.token_urlsafe(32) for role in ROLES}
    callers = {token_digest(tokens[role]): Caller(name=role, scopes=scopes) for role, scopes in ROLES.items()}
    path = _tokens_file(home)
    given_out = load_tokens(path) if path.exists() else {}
    callers |= {digest: caller for digest, caller in given_out.items() if caller.name not in ROLES}
    write_private(path, tokens_json(callers))
    return tokens
