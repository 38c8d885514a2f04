"""Who may call what: tokens with scopes, checked before anything of a request is read.

The tokens file is JSON: {"<SHA-256 of the token, hexadecimal>": {"name": "tier", "scopes": ["annotate"]}, ...}.
Callers send `authorization: Bearer <token>`.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import grpc
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from throughline.domain.errors import InvalidInput, NotServed, PermissionDenied, ThroughlineError, Unauthenticated
from throughline.wire.handlers import Behaviour, Continuation, Handler, with_behaviour


class Scope(StrEnum):
    """What a token allows. `admin` allows everything."""

    SUBMIT = "submit"
    READ = "read"
    ANNOTATE = "annotate"
    STAGE = "stage"
    REVIEW = "review"
    ALERT = "alert"
    ADMIN = "admin"


def _methods(service: str, **scopes: Scope) -> dict[str, Scope]:
    return {f"/throughline.v1.{service}/{method}": scope for method, scope in scopes.items()}


SCOPE_OF: Mapping[str, Scope] = {
    **_methods(
        "Orchestrator",
        SubmitJob=Scope.SUBMIT,
        CancelJob=Scope.SUBMIT,
        RebuildTimeline=Scope.SUBMIT,
        GetJob=Scope.READ,
        ListJobs=Scope.READ,
        WatchJob=Scope.READ,
        AnnotationResult=Scope.ANNOTATE,
    ),
    **_methods("Ingest", ListFootage=Scope.STAGE, Collate=Scope.STAGE),
    **_methods(
        "Tracker",
        Track=Scope.STAGE,
        LocateQuery=Scope.STAGE,
        RankCandidates=Scope.STAGE,
        IdentifyGlobally=Scope.STAGE,
    ),
    **_methods("Renderer", RenderPairs=Scope.STAGE, RenderTimeline=Scope.STAGE),
    **_methods("Tier", ReviewPairs=Scope.REVIEW),
    **_methods("Alert", TimelineReady=Scope.ALERT),
}
"""The scope that each method asks for. One that is missing here is refused to everyone."""

OPEN_SERVICE = "/grpc.health.v1.Health/"
"""Asked without a token: by probes."""
REFLECTION_SERVICES = "/grpc.reflection."
"""Open to every token that was given out."""


class Caller(BaseModel):
    """One entry of the tokens file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    scopes: frozenset[Scope]


_TokenDigest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_TOKENS = TypeAdapter(dict[_TokenDigest, Caller])


def token_digest(token: str) -> str:
    """The form in which a token stands in the tokens file."""
    return hashlib.sha256(token.encode()).hexdigest()


def load_tokens(path: Path) -> dict[str, Caller]:
    """Read a tokens file; raise InvalidInput where there is none or it is malformed."""
    try:
        return _TOKENS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InvalidInput(f"THROUGHLINE_TOKENS_FILE {path} can't be used: {error}") from error


def require_loopback(listen: str) -> None:
    """Raise InvalidInput where `listen` can be reached from another machine; for servers without tokens."""
    host = listen.rpartition(":")[0].strip("[]")
    if listen.startswith("unix:") or host == "localhost":
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    raise InvalidInput(f"{listen} is open to other machines; set THROUGHLINE_TOKENS_FILE, or listen on 127.0.0.1")


@dataclass(frozen=True)
class AuthInterceptor(grpc.ServerInterceptor):
    """Lets a call through when its token has the scope of its method."""

    tokens: Mapping[str, Caller]

    def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(OPEN_SERVICE):
            return handler
        try:
            self._check(handler_call_details)
        except ThroughlineError as refusal:
            return with_behaviour(handler, _raising(refusal), parse=False)
        return handler

    def _check(self, call: grpc.HandlerCallDetails) -> None:
        header = next((value for name, value in call.invocation_metadata or () if name == "authorization"), "")
        scheme, _, token = str(header).partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(f"{call.method} needs a token; send the header authorization: Bearer <token>")
        caller = self.tokens.get(token_digest(token))
        if caller is None:
            raise Unauthenticated("nobody gave out this token; ask the operator for one")
        if call.method.startswith(REFLECTION_SERVICES) or Scope.ADMIN in caller.scopes:
            return
        scope = SCOPE_OF.get(call.method)
        if scope is None:
            raise NotServed(f"{call.method} is not open to callers of this release")
        if scope not in caller.scopes:
            raise PermissionDenied(f"the token of {caller.name!r} lacks the scope {scope}, which {call.method} needs")


def _raising(refusal: ThroughlineError) -> Behaviour:
    def refuse(_request: Any, _context: grpc.ServicerContext) -> NoReturn:
        raise refusal

    return refuse
