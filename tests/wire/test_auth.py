from __future__ import annotations

import json
import logging
import re
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.reflection import Reflection
from tests.wire.generic import call, connected, generic_service, methods, path, serving
from throughline.domain.errors import InvalidInput
from throughline.v1 import orchestrator_pb2 as pb
from throughline.wire.auth import SCOPE_OF, Scope, TokensFile, load_tokens, require_loopback, token_digest
from throughline.wire.service import RunningServer, serve
from throughline.wire.settings import ServiceSettings
from throughline.wire.subject import Subject, subject

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


@EVERY_METHOD
def test_a_call_with_what_is_no_token_is_refused(method: MethodDescriptor, server: RunningServer) -> None:
    token = f"token-of-{SCOPE_OF[path(method)]}"
    forms = ("", "{}", "Basic {}", "Bearer", "Bearer ", "Bearer  {}", "Bearer {} {}", f"Bearer {token_digest(token)}")
    with connected(server) as channel:
        for header in (form.format(token, token) for form in forms):
            with pytest.raises(grpc.RpcError) as caught:
                call(channel, method, metadata=(("authorization", header),))
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert token not in (caught.value.details() or "")


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


def test_every_call_with_a_token_that_was_taken_back_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps({token_digest("mine"): {"name": "mine", "scopes": ["admin"]}}))
    with (
        serving(generic_service(), ServiceSettings(tokens_file=file)) as server,
        connected(server, token="mine") as channel,
    ):
        assert {_code(channel, method) for method in methods()} == {None}
        file.write_text("{}")
        deadline = time.monotonic() + 60
        while _code(channel, methods()[0]) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert {_code(channel, method) for method in methods()} == {grpc.StatusCode.UNAUTHENTICATED}


def _code(channel: grpc.Channel, method: MethodDescriptor) -> grpc.StatusCode | None:
    """What a call ends with; None for what was asked for."""
    try:
        call(channel, method)
    except grpc.RpcError as error:
        return error.code()
    return None


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
    lines = [re.sub(r"ipv4:127\.0\.0\.1:\d+", "<peer>", record.getMessage()) for record in caplog.records]
    assert [line for line in lines if "<peer>" in line] == [
        "submit called /throughline.v1.Orchestrator/SubmitJob from <peer>",
        "refused /throughline.v1.Orchestrator/SubmitJob from <peer>: the token of 'read' lacks the scope submit, which "
        "/throughline.v1.Orchestrator/SubmitJob needs",
    ]


def test_a_noted_call_names_its_job_and_its_request(server: RunningServer) -> None:
    seen: list[Subject] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(subject())

    audit, listener = logging.getLogger("throughline.audit"), Listener(logging.INFO)
    audit.setLevel(logging.INFO)
    audit.addHandler(listener)
    try:
        cancel = next(each for each in methods() if each.name == "CancelJob")
        with connected(server, token="token-of-submit") as channel:
            call(channel, cancel, pb.CancelJobRequest(job_id="job-7", request_id="once"))
    finally:
        audit.removeHandler(listener)
        audit.setLevel(logging.NOTSET)
    assert seen == [Subject("job-7", "", "once")]


@pytest.mark.parametrize("content", ["", "[]", '{"short": {"name": "x", "scopes": []}}', "{}x", None])
def test_a_tokens_file_that_cannot_be_used_stops_the_start(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InvalidInput, match="THROUGHLINE_TOKENS_FILE"):
        serve([generic_service()], ServiceSettings(tokens_file=file))


def test_a_token_that_stands_in_the_file_itself_is_not_told(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps({"my-own-token": {"name": "x", "scopes": ["all"]}, token_digest("t"): {"name": 7}}))
    with pytest.raises(InvalidInput, match="no SHA-256 digest") as caught:
        load_tokens(file)
    assert "my-own" not in "".join(traceback.format_exception(caught.value))
    assert f"{token_digest('t')[:8]}... name: " in str(caught.value)


def test_settings_that_are_printed_show_no_token() -> None:
    assert "not-this-one" not in repr(ServiceSettings(token="not-this-one"))


def test_the_table_of_scopes_in_the_docs_is_this_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
    for called, scope in SCOPE_OF.items():
        service, method = called.removeprefix("/throughline.v1.").split("/")
        listed = re.findall(rf"{service}: ([\w, ]+)", rows[scope])
        assert method in ", ".join(listed).split(", "), called


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
