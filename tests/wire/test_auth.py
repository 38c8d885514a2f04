from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.reflection import Reflection
from tests.wire.generic import call, connected, generic_service, methods, path, serving
from throughline.domain.errors import InvalidInput
from throughline.wire.auth import SCOPE_OF, Scope, TokensFile, load_tokens, require_loopback, token_digest
from throughline.wire.service import RunningServer, serve
from throughline.wire.settings import ServiceSettings

EVERY_METHOD = pytest.mark.parametrize("method", methods(), ids=path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """All services behind one token a scope, `token-of-<scope>`, and `token-of-<scope>-lacking`, which has all the others."""
    tokens = {}
    for scope in Scope:
        others = [other for other in Scope if other not in (scope, Scope.ADMIN)]
        tokens[token_digest(f"token-of-{scope}")] = {"name": scope, "scopes": [scope]}
        tokens[token_digest(f"token-of-{scope}-lacking")] = {"name": f"no {scope}", "scopes": others}
    tokens[token_digest("token-of-yesterday")] = {"name": "x", "scopes": ["admin"], "expires": "2026-01-01T00:00:00Z"}
    file = tmp_path_factory.mktemp("tokens") / "tokens.json"
    file.write_text(json.dumps(tokens))
    with serving(generic_service(), ServiceSettings(tokens_file=file)) as server:
        yield server


def _refused(server: RunningServer, method: MethodDescriptor, token: str) -> tuple[grpc.StatusCode, str]:
    with connected(server, token=token) as channel, pytest.raises(grpc.RpcError) as caught:
        call(channel, method)
    return caught.value.code(), caught.value.details() or ""


def test_every_method_of_the_protos_asks_for_a_scope() -> None:
    assert set(SCOPE_OF) == {path(method) for method in methods()}


def test_the_page_on_security_names_every_method_with_its_scope() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    told = {
        f"/throughline.v1.{service}/{method}": Scope(scope)
        for scope, calls in re.findall(r"^\| `(\w+)` \| (.*:.*) \|$", page, re.MULTILINE)
        for service, methods in (part.split(": ") for part in calls.split("; "))
        for method in methods.split(", ")
    }
    assert told == SCOPE_OF


@EVERY_METHOD
def test_a_call_without_a_token_is_refused(method: MethodDescriptor, server: RunningServer) -> None:
    code, details = _refused(server, method, "")
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "authorization: Bearer" in details


@EVERY_METHOD
def test_a_call_with_a_wrong_token_is_refused(method: MethodDescriptor, server: RunningServer) -> None:
    code, details = _refused(server, method, "token-of-nobody")
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "token-of-nobody" not in details


@EVERY_METHOD
def test_a_call_with_every_scope_but_its_own_is_refused(method: MethodDescriptor, server: RunningServer) -> None:
    scope = SCOPE_OF[path(method)]
    code, details = _refused(server, method, f"token-of-{scope}-lacking")
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert f"lacks the scope {scope}" in details


@EVERY_METHOD
def test_a_call_with_a_token_of_yesterday_is_refused(method: MethodDescriptor, server: RunningServer) -> None:
    code, details = _refused(server, method, "token-of-yesterday")
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "expired at 2026-01-01" in details


@EVERY_METHOD
@pytest.mark.parametrize("admin", [False, True], ids=["own", "admin"])
def test_a_call_with_its_scope_passes(method: MethodDescriptor, admin: bool, server: RunningServer) -> None:
    scope = Scope.ADMIN if admin else SCOPE_OF[path(method)]
    with connected(server, token=f"token-of-{scope}") as channel:
        assert len(call(channel, method)) == 1


@pytest.mark.parametrize("header", ["token-of-read", "Basic token-of-read", "Bearer", "Bearer ", ""])
def test_other_forms_of_the_header_are_refused(header: str, server: RunningServer) -> None:
    method = next(method for method in methods() if method.name == "GetJob")
    with connected(server) as channel, pytest.raises(grpc.RpcError) as caught:
        call(channel, method, metadata=(("authorization", header),))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_health_needs_no_token_and_reflection_any(server: RunningServer) -> None:
    with connected(server) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            Reflection(channel).services()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with connected(server, token="token-of-alert") as channel:
        assert "throughline.v1.Orchestrator" in Reflection(channel).services()


def _tokens(*names: str) -> str:
    return json.dumps({token_digest(name): {"name": name, "scopes": ["read"]} for name in names})


def _wait_until_known(file: TokensFile, token: str, known: bool) -> None:
    deadline = time.monotonic() + 30
    while (file.caller(token) is not None) != known:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_tokens_are_given_and_taken_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(_tokens("old", "stolen"))
    file = TokensFile(path)
    assert file.caller("stolen") is not None
    path.write_text(_tokens("old", "fresh one"))
    _wait_until_known(file, "fresh one", known=True)
    assert file.caller("stolen") is None
    assert file.caller("old") is not None


def test_a_tokens_file_that_breaks_later_locks_nobody_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(_tokens("old"))
    file = TokensFile(path)
    path.write_text("{")
    deadline = time.monotonic() + 30
    while "stay valid" not in caplog.text:
        assert file.caller("old") is not None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    path.write_text(_tokens("fresh one"))
    _wait_until_known(file, "old", known=False)


def test_refused_calls_and_those_that_change_something_are_noted(
    server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "throughline.audit")
    submit, get = (next(each for each in methods() if each.name == name) for name in ("SubmitJob", "GetJob"))
    with connected(server, token="token-of-submit") as channel:
        call(channel, submit)
    with connected(server, token="token-of-read") as channel:
        call(channel, get)
    _refused(server, submit, "token-of-read")
    assert [record.getMessage() for record in caplog.records if record.name == "throughline.audit"] == [
        "submit called /throughline.v1.Orchestrator/SubmitJob",
        "refused /throughline.v1.Orchestrator/SubmitJob: the token of 'read' lacks the scope submit, which "
        "/throughline.v1.Orchestrator/SubmitJob needs",
    ]


@pytest.mark.parametrize("content", ["", "[]", '{"short": {"name": "x", "scopes": []}}', "{}x", None])
def test_a_tokens_file_that_cannot_be_used_stops_the_start(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InvalidInput, match="THROUGHLINE_TOKENS_FILE"):
        serve([generic_service()], ServiceSettings(tokens_file=file))


def test_an_unknown_scope_in_a_tokens_file_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps({token_digest("t"): {"name": "x", "scopes": ["everything"]}}))
    with pytest.raises(InvalidInput, match="scopes"):
        load_tokens(file)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:50051", "localhost:1", "127.1.2.3:0", "unix:/run/x"])
def test_without_tokens_a_server_may_listen_on_this_machine(listen: str) -> None:
    require_loopback(listen)


@pytest.mark.parametrize("listen", ["0.0.0.0:50051", "[::]:50051", "10.0.0.1:1", "example.com:1", ":50051", ""])
def test_without_tokens_a_server_listens_on_no_other(listen: str) -> None:
    with pytest.raises(InvalidInput, match="THROUGHLINE_TOKENS_FILE"):
        serve([generic_service()], ServiceSettings(listen=listen))
