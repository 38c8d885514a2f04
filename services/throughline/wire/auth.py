"""Who may call what: tokens with scopes, checked before anything of a request is read.

The tokens file is JSON: {"<SHA-256 of the token, hexadecimal>": {"name": "tier", "scopes": ["annotate"],
"expires": "2027-01-01T00:00:00Z"}, ...}; without `expires` a token lasts until it is taken out. The file is read again when it
changes. Callers send `authorization: Bearer <token>`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import logging
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import grpc
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from throughline.domain.errors import InvalidInput, NotServed, PermissionDenied, ThroughlineError, Unauthenticated
from throughline.wire.handlers import Behaviour, Continuation, Handler, behaviour_of, with_behaviour


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
        PinModels=Scope.STAGE,
        Track=Scope.STAGE,
        LocateQuery=Scope.STAGE,
        RankCandidates=Scope.STAGE,
        MeasureClocks=Scope.STAGE,
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
    expires: AwareDatetime | None = None


_LOOK_SECONDS = 1.0
_log = logging.getLogger(__name__)
_audit = logging.getLogger("throughline.audit")
"""A line for each call that was refused, and for each that changes something: who, and what."""
_CHANGING = {Scope.SUBMIT, Scope.ANNOTATE, Scope.REVIEW, Scope.ALERT}

_DIGEST = r"^[0-9a-f]{64}$"
_TokenDigest = Annotated[str, StringConstraints(pattern=_DIGEST)]
_TOKENS = TypeAdapter(dict[_TokenDigest, Caller])


def token_digest(token: str) -> str:
    """The form in which a token stands in the tokens file."""
    return hashlib.sha256(token.encode()).hexdigest()


def load_tokens(path: Path) -> dict[str, Caller]:
    """Read a tokens file; raise InvalidInput where there is none or it is malformed."""
    try:
        return _TOKENS.validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"THROUGHLINE_TOKENS_FILE {path} can't be read: {error.strerror}") from error
    except ValidationError as error:
        problems = "; ".join(map(_problem, error.errors(include_url=False, include_input=False)))
        raise InvalidInput(f"THROUGHLINE_TOKENS_FILE {path} can't be used: {problems}") from None


def _problem(error: ErrorDetails) -> str:
    """One mistake. A key is named only where it is a digest: by mistake it may be a token."""
    key, *place = (*map(str, error["loc"]), "")
    if not place:
        return error["msg"]
    where = f"{key[:8]}..." if re.fullmatch(_DIGEST, key) else "a key that is no SHA-256 digest"
    return f"{where} {'.'.join(filter(None, place))}: {error['msg']}"


def tokens_json(callers: Mapping[str, Caller]) -> str:
    """The content of a tokens file, from callers by the digest of their token."""
    content = {digest: caller.model_dump(mode="json", exclude_none=True) for digest, caller in callers.items()}
    return json.dumps(content, indent=2)


class TokensFile:
    """The tokens that are valid now: the file is looked at again at most once a second. One that can't be used any more is
    logged, and what was read before stays valid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looking = threading.Lock()
        self._looked = time.monotonic()
        self._state = self._stat()
        self._callers = load_tokens(path)

    def caller(self, token: str) -> Caller | None:
        """Whom a token was given to; None where nobody has it, or has it any more."""
        with self._looking:
            if time.monotonic() - self._looked >= _LOOK_SECONDS:
                self._look()
            return self._callers.get(token_digest(token))

    def _look(self) -> None:
        self._looked = time.monotonic()
        state = self._stat()
        if state == self._state:
            return
        self._state = state
        try:
            self._callers = load_tokens(self._path)
        except InvalidInput as error:
            _log.error("%s; the tokens that were read before stay valid", error)
        else:
            _log.info("read %d tokens from %s", len(self._callers), self._path)

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def is_loopback(listen: str) -> bool:
    """Whether host:port can be reached from this machine alone."""
    host = listen.rpartition(":")[0].strip("[]")
    if listen.startswith("unix:") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_loopback(listen: str) -> None:
    """Raise InvalidInput where `listen` can be reached from another machine; for servers without tokens."""
    if not is_loopback(listen):
        raise InvalidInput(f"{listen} is open to other machines; set THROUGHLINE_TOKENS_FILE, or listen on 127.0.0.1")


@dataclass(frozen=True)
class AuthInterceptor(grpc.ServerInterceptor):
    """Lets a call through when its token has the scope of its method."""

    tokens: TokensFile

    def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(OPEN_SERVICE):
            return handler
        method = handler_call_details.method
        try:
            caller = self._check(handler_call_details)
        except ThroughlineError as refusal:
            return with_behaviour(handler, _refusing(method, refusal), parse=False)
        if SCOPE_OF.get(method) in _CHANGING:
            return with_behaviour(handler, _noting(method, caller, behaviour_of(handler)))
        return handler

    def _check(self, call: grpc.HandlerCallDetails) -> Caller:
        """Whose call it is; raises Unauthenticated, PermissionDenied or NotServed where it may not be made."""
        header = next((value for name, value in call.invocation_metadata or () if name == "authorization"), "")
        scheme, _, token = str(header).partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(f"{call.method} needs a token; send the header authorization: Bearer <token>")
        caller = self.tokens.caller(token)
        if caller is None:
            raise Unauthenticated("nobody gave out this token; ask the operator for one")
        if caller.expires is not None and caller.expires <= datetime.now(UTC):
            raise Unauthenticated(
                f"the token of {caller.name!r} expired at {caller.expires.isoformat()}; ask the operator for a new one"
            )
        scope = SCOPE_OF.get(call.method)
        if call.method.startswith(REFLECTION_SERVICES) or Scope.ADMIN in caller.scopes:
            return caller
        if scope is None:
            raise NotServed(f"{call.method} is not open to callers of this release")
        if scope not in caller.scopes:
            raise PermissionDenied(f"the token of {caller.name!r} lacks the scope {scope}, which {call.method} needs")
        return caller


def _noting(method: str, caller: Caller, behaviour: Behaviour) -> Behaviour:
    """Notes each call where its job and its request are known."""

    def call(request: Any, context: grpc.ServicerContext) -> Any:
        _audit.info("%s called %s from %s", caller.name, method, context.peer())
        return behaviour(request, context)

    return call


def _refusing(method: str, refusal: ThroughlineError) -> Behaviour:
    def refuse(_request: Any, context: grpc.ServicerContext) -> NoReturn:
        _audit.warning("refused %s from %s: %s", method, context.peer(), refusal)
        raise refusal

    return refuse
