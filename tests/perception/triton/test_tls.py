"""A real Triton with certificates, clients that may call it, and others that get to know why they may not."""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc
from typer.testing import CliRunner, Result

from tests.certificates import issue
from tests.models.weights import picture, tiny_reid
from throughline.cli.main import app
from throughline.cli.ports import choose_ports
from throughline.domain.errors import DependencyUnavailable, InvalidInput
from throughline.models.build import build_reid
from throughline.models.graph import Normalisation
from throughline.perception.triton.client import REID, InferenceClient
from throughline.perception.triton.rpc import TLS_SETTINGS
from throughline.perception.triton.server import TritonServer, TritonSettings
from throughline.wire.tls import TlsFiles

Sided = Callable[..., TlsFiles]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("triton_tls")
    authority = issue("ca", None, folder)
    for name in ("server", "client"):
        issue(name, authority, folder)
    issue("elsewhere", authority, folder, names=("triton.elsewhere",))
    issue("expired", authority, folder, days=(-2, -1))
    issue("stranger", issue("other-ca", None, folder), folder)
    return folder


def _sided(folder: Path, certificate: str = "", ca: str = "ca") -> TlsFiles:
    """A client's files, by name."""
    return TlsFiles(
        TLS_SETTINGS,
        folder / f"{certificate}.pem" if certificate else None,
        folder / f"{certificate}.key" if certificate else None,
        folder / f"{ca}.pem" if ca else None,
    )


@pytest.fixture(scope="module")
def sided(folder: Path) -> Sided:
    return partial(_sided, folder)


@pytest.fixture(scope="module")
def repository(tiny_repository: Path, folder: Path) -> Path:
    """Of this server alone, since a model is replaced in it."""
    shutil.copytree(tiny_repository, folder / "models")
    return folder / "models"


def _settings(folder: Path, repository: Path, certificate: str = "server", *, mutual: bool = True) -> TritonSettings:
    return TritonSettings(
        model_repository=repository,
        log=folder / "triton.log",
        tls_certificate=folder / f"{certificate}.pem",
        tls_key=folder / f"{certificate}.key",
        tls_ca=folder / "ca.pem" if mutual else None,
        tls_require_client_certificate=mutual,
    )


@pytest.fixture(scope="module")
def triton(folder: Path, repository: Path) -> Iterator[TritonServer]:
    """It asks for certificates of clients."""
    with TritonServer(_settings(folder, repository)) as server:
        yield server


def _found(address: str, tls: TlsFiles) -> int:
    with InferenceClient(address, patience_seconds=2, tls=tls) as client:
        return len(client.detect(picture((250, 0, 0), 3, 3)).result(60).boxes)


def test_a_client_with_its_certificate_is_served(triton: TritonServer, sided: Sided) -> None:
    assert _found(triton.grpc_address, sided("client")) == 1


def test_with_the_authority_alone_a_client_goes_on_when_the_certificate_is_renewed(
    tiny_repository: Path, tmp_path: Path
) -> None:
    authority = issue("ca", None, tmp_path)
    port = choose_ports(["grpc"], 0)["grpc"]
    settings = _settings(tmp_path, tiny_repository, mutual=False).model_copy(update={"grpc_port": port})
    with InferenceClient(f"127.0.0.1:{port}", tls=_sided(tmp_path)) as client:
        for _ in range(2):
            issue("server", authority, tmp_path)
            with TritonServer(settings):
                client.wait_ready(60)


@pytest.mark.parametrize(
    ("certificate", "ca", "words"),
    [
        ("", "", f"set {TLS_SETTINGS}_CA here"),
        ("client", "other-ca", f"not of the authority in {TLS_SETTINGS}_CA"),
        ("", "ca", f"{TLS_SETTINGS}_CERTIFICATE where it asks for one"),
        ("stranger", "ca", f"{TLS_SETTINGS}_CERTIFICATE"),
    ],
    ids=["plain text", "another authority", "no certificate", "a stranger's certificate"],
)
def test_a_client_that_may_not_call_is_told_what_to_set(
    certificate: str, ca: str, words: str, triton: TritonServer, sided: Sided
) -> None:
    with pytest.raises(DependencyUnavailable, match=words) as caught:
        _found(triton.grpc_address, sided(certificate, ca))
    assert f"Triton at {triton.grpc_address}" in str(caught.value)


def test_a_triton_in_plain_text_is_not_trusted_with_pictures(tiny_triton: TritonServer, sided: Sided) -> None:
    with pytest.raises(DependencyUnavailable, match=f"it speaks plain text; .* or unset {TLS_SETTINGS}_CA here"):
        _found(tiny_triton.grpc_address, sided("client"))


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ("expired", f"certificate has expired.*{TLS_SETTINGS}_CA"),
        ("elsewhere", "call it by a name that the certificate has"),
    ],
)
def test_a_server_whose_certificate_is_no_good_is_not_trusted(
    certificate: str, words: str, folder: Path, sided: Sided
) -> None:
    """One that was not started by the product, which looks at its own certificate first."""
    pair = [(folder / f"{certificate}{suffix}").read_bytes() for suffix in (".key", ".pem")]
    server = grpc.server(ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service_pb2_grpc.GRPCInferenceServiceServicer(), server)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(pair[0], pair[1])]))
    server.start()
    try:
        with pytest.raises(DependencyUnavailable, match=words):
            _found(f"127.0.0.1:{port}", sided())
    finally:
        server.stop(None)


@pytest.mark.parametrize(
    ("certificate", "ca", "words"),
    [
        ("client", "", f"set {TLS_SETTINGS}_CA"),
        ("expired", "ca", "expired.pem .* renew it"),
        ("none", "ca", "none.key can't be read"),
    ],
)
def test_files_that_make_no_tls_stop_a_client(certificate: str, ca: str, words: str, sided: Sided) -> None:
    with pytest.raises(InvalidInput, match=words):
        InferenceClient("127.0.0.1:1", tls=sided(certificate, ca))


def test_files_that_make_no_tls_stop_the_start(tiny_repository: Path, folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"expired.pem .* renew it"):
        TritonServer(_settings(folder, tiny_repository, "expired")).start()
    without = _settings(folder, tiny_repository).model_copy(update={"tls_ca": None})
    with pytest.raises(InvalidInput, match=f"set {TLS_SETTINGS}_CA"):
        TritonServer(without).start()


@pytest.mark.parametrize(
    ("path", "status"),
    [("v2/health/ready", 200), ("v2/models/reid/config", 403), ("v2/repository/models/reid/unload", 403)],
)
def test_there_is_no_way_around_the_certificates_by_http(path: str, status: int, triton: TritonServer) -> None:
    connection = http.client.HTTPConnection(triton.http_address, timeout=60)
    connection.request("POST" if path.endswith("unload") else "GET", f"/{path}")
    assert connection.getresponse().status == status
    connection.close()


def _run(tls: TlsFiles, *words: str, **variables: str) -> Result:
    files = {"CERTIFICATE": tls.certificate, "KEY": tls.key, "CA": tls.ca}
    variables |= {f"{TLS_SETTINGS}_{name}": str(path) for name, path in files.items() if path}
    return CliRunner().invoke(app, words, env={"COLUMNS": "200", **variables})


def test_the_doctor_asks_as_trackers_do(triton: TritonServer, sided: Sided, tmp_path: Path) -> None:
    variables = {"THROUGHLINE_TRITON_TARGET": triton.grpc_address, "THROUGHLINE_HOME": str(tmp_path)}
    known = _run(sided("client"), "doctor", "--only", "running", "--only", "trust", **variables)
    assert f"triton at {triton.grpc_address}: serves both models, with TLS" in known.output
    assert "Triton's TLS certificate" in known.output
    assert known.exit_code == 0, known.output
    stranger = _run(sided(), "doctor", "--only", "running", **variables)
    assert stranger.exit_code == 1
    assert f"{TLS_SETTINGS}_CERTIFICATE where it asks for one" in stranger.output


def test_a_model_is_replaced_over_tls(triton: TritonServer, sided: Sided, repository: Path, tmp_path: Path) -> None:
    build_reid(tiny_reid(tmp_path / "reid.onnx"), tmp_path / "fresh", normalisation=Normalisation("bgr"))
    command = ("models", "swap", str(tmp_path / "fresh" / REID), "--triton", triton.grpc_address)
    result = _run(sided("client"), *command, "--repository", str(repository))
    assert result.exit_code == 0, result.output
    assert "version 2" in result.output
