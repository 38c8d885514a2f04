"""`throughline doctor`, each thing that it looks at broken for real."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from tests.faults.proxy import Fault, FaultyS3
from tests.wire.generic import generic_service, serving
from throughline.cli.checks.machine import graphics_card, python_version, shared_memory
from throughline.cli.deployment import Deployment
from throughline.cli.main import app
from throughline.models.repository import PLAN_FILE
from throughline.perception.triton.environment import ensure_environment
from throughline.storage.records import Records
from throughline.wire.auth import Scope, token_digest
from throughline.wire.service import serve
from throughline.wire.settings import ServiceSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MODELS = Path(__file__).parents[2] / "model_repository"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the developer's own settings, but for where Triton's environment is kept."""
    kept = ("THROUGHLINE_TRITON_HOME", "THROUGHLINE_TRITON_PYTHON")
    for name in [name for name in os.environ if name.startswith("THROUGHLINE_") and name not in kept]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path / "home"))


def examined(part: str, *arguments: str, **environment: str) -> tuple[int, dict[str, tuple[str, str, str]]]:
    """The exit status, and by what was looked at: state, what was found, what to do."""
    result = CliRunner().invoke(app, ["doctor", "--json", "--only", part, *arguments], env=environment)
    assert result.exit_code in (0, 1), result.output
    found = json.loads(result.stdout)
    assert {each["part"] for each in found} <= {part}
    return result.exit_code, {each["what"]: (each["state"], each["found"], each["remedy"]) for each in found}


def finding(part: str, what: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """The exit status; state and all words of the one thing whose name begins with `what`."""
    status, found = examined(part, *arguments, **environment)
    (state, *words) = next(value for name, value in found.items() if name.startswith(what))
    return status, state, "; ".join(words)


def test_a_machine_that_has_all_it_needs_is_told_so() -> None:
    ensure_environment()
    result = CliRunner().invoke(app, ["doctor", "--port", "0", "--models", str(MODELS)])
    assert result.exit_code == 0, result.output
    assert "\nmachine\n" in f"\n{result.output}"
    assert "decoder H.265 (HEVC)" in result.output
    assert result.output.splitlines()[-1].startswith("0 missing, ")


@pytest.mark.parametrize(
    ("version", "state"), [((3, 10), "missing"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "missing")]
)
def test_only_pythons_that_triton_has_stubs_for_will_do(version: tuple[int, int], state: str) -> None:
    assert python_version(version).state == state


def test_a_package_of_the_wrong_release_is_named(tmp_path: Path) -> None:
    """Another protobuf, as another package's installation may leave it."""
    folder = tmp_path / "protobuf-7.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: protobuf\nVersion: 7.1.0\n")
    command = [sys.executable, "-m", "throughline", "doctor", "--json", "--only", "machine", "--port", "0"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    packages = next(each for each in json.loads(done.stdout) if each["what"] == "packages")
    assert (done.returncode, packages["state"]) == (1, "missing")
    assert "protobuf 7.1.0 is not" in packages["found"]
    assert "uv sync" in packages["remedy"]


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        taken = listener.getsockname()[1]
        status, state, words = finding("machine", "ports", "--port", str(taken))
    assert (status, state) == (1, "missing")
    assert f"port {taken}" in words


def test_shared_memory_that_is_not_there_or_small_is_told(tmp_path: Path) -> None:
    assert shared_memory(tmp_path / "none").state == "missing"
    assert shared_memory(Path("/dev/shm")).state in ("ok", "warning")


def test_a_graphics_card_is_missed_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (graphics_card(needed=False).state, graphics_card(needed=True).state) == ("ok", "missing")
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'NVIDIA L4, 23034 MiB, 570.1'\n")
    smi.chmod(0o755)
    assert graphics_card(needed=True).found == "NVIDIA L4, 23034 MiB, 570.1"
    smi.write_text("#!/bin/sh\necho 'no devices were found' >&2; exit 6\n")
    assert graphics_card(needed=True).state == "missing"


def test_an_encoder_that_this_ffmpeg_lacks_is_named() -> None:
    settings = json.dumps({"encoder": {"codec": "h264_of_nobody", "preset": ""}})
    status, state, words = finding("media", "encoder of films", THROUGHLINE_FILM=settings)
    assert (status, state) == (1, "missing")
    assert "h264_of_nobody does not work" in words


def test_an_environment_of_triton_that_was_never_made_is_told_and_not_made(tmp_path: Path) -> None:
    status, state, words = finding("inference", "Triton", THROUGHLINE_TRITON_HOME=str(tmp_path))
    assert (status, state) == (1, "missing")
    assert "python -m throughline.perception.triton.environment" in words
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def triton_home(tmp_path: Path) -> Path:
    """A home of Triton that is made of links into the real one, so that they can be taken away."""
    real = ensure_environment()
    root = tmp_path / "triton" / real.root.name
    shutil.copytree(real.root, root, copy_function=os.symlink)
    return root


def test_a_binary_that_does_not_run_and_a_stub_that_is_gone_are_told(triton_home: Path) -> None:
    variables = {"THROUGHLINE_TRITON_HOME": str(triton_home.parent)}
    assert finding("inference", "Triton", **variables)[1] == "ok"
    server = next(triton_home.glob("lib/*/site-packages/pytriton/tritonserver/bin/tritonserver"))
    server.unlink()
    server.write_text("#!/bin/sh\necho 'error while loading shared libraries: libb64.so.0d' >&2; exit 127\n")
    server.chmod(0o755)
    assert "libb64.so.0d" in finding("inference", "Triton", **variables)[2]
    next(
        triton_home.glob("lib/*/site-packages/pytriton/tritonserver/backends/python/triton_python_backend_stub")
    ).unlink()
    status, state, words = finding("inference", "Triton", **variables)
    assert (status, state) == (1, "missing")
    assert "triton_python_backend_stub" in words


def test_models_that_are_not_there_or_not_what_their_cards_say_are_told(tmp_path: Path) -> None:
    shutil.copytree(MODELS, tmp_path / "models")
    arguments = ("--models", str(tmp_path / "models"))
    assert examined("inference", *arguments)[0] == 0
    card = tmp_path / "models" / "reid" / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"calibration": None}))
    status, state, words = finding("inference", "calibration of reid", *arguments)
    assert (status, state) == (0, "warning")
    assert "throughline models calibrate" in words
    status, state, words = finding("inference", "model detector for the card", *arguments, "--gpu")
    assert (status, state, "no 1/model.plan" in words) == (1, "missing", True)
    with (tmp_path / "models" / "reid" / "1" / "model.onnx").open("ab") as graph:
        graph.write(b"x")
    shutil.rmtree(tmp_path / "models" / "detector")
    _, found = examined("inference", *arguments)
    assert "no longer holds what its card describes" in found["model reid"][1]
    assert (found["model detector"][0], "throughline models build" in found["model detector"][1]) == ("missing", True)


def test_the_plan_of_the_version_that_is_served_counts(tmp_path: Path) -> None:
    shutil.copytree(MODELS, tmp_path / "models")
    detector = tmp_path / "models" / "detector"
    shutil.copytree(detector / "1", detector / "2")
    (detector / "1" / PLAN_FILE).write_bytes(b"of the version before")
    arguments = ("--models", str(tmp_path / "models"), "--gpu")
    assert "no 2/model.plan" in finding("inference", "model detector for the card", *arguments)[2]
    (detector / "2" / PLAN_FILE).write_bytes(b"of this version")
    assert "model detector for the card" not in examined("inference", *arguments)[1]


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, state, _ = finding("storage", "home", "--home", str(tmp_path / "file" / "home"))
    assert (status, state) == (1, "missing")
    assert finding("storage", "cache", THROUGHLINE_CACHE_DIR="/proc/nowhere")[1] == "missing"


def test_a_database_that_is_away_and_one_of_another_release_are_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/records.db"
    assert "not there yet" in finding("storage", "database", THROUGHLINE_DATABASE_URL=url)[2]
    Records.open(url).close()
    assert finding("storage", "database", THROUGHLINE_DATABASE_URL=url)[:2] == (0, "ok")
    set_revision(tmp_path / "records.db", "9999")
    assert "run the release that made it" in finding("storage", "database", THROUGHLINE_DATABASE_URL=url)[2]
    set_revision(tmp_path / "records.db", "0000")
    assert "brings it to" in finding("storage", "database", THROUGHLINE_DATABASE_URL=url)[2]
    (tmp_path / "records.db").write_text("no database " * 100)
    assert finding("storage", "database", THROUGHLINE_DATABASE_URL=url)[:2] == (1, "missing")
    away = "postgresql://throughline:hunter22@127.0.0.1:1/throughline"
    status, state, words = finding("storage", "database", THROUGHLINE_DATABASE_URL=away)
    assert (status, state) == (1, "missing")
    assert "hunter22" not in json.dumps(examined("storage", THROUGHLINE_DATABASE_URL=away)) + words


def test_databases_of_a_home_are_looked_at_without_being_named(tmp_path: Path) -> None:
    Records.open(f"sqlite:///{tmp_path}/home/orchestrator.db").close()
    set_revision(tmp_path / "home" / "orchestrator.db", "9999")
    assert finding("storage", "database of orchestrator", "--home", str(tmp_path / "home"))[:2] == (1, "missing")


def set_revision(path: Path, revision: str) -> None:
    import sqlite3  # noqa: PLC0415 - looks behind the back of the code under test, here alone

    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    database.close()


def test_footage_that_cannot_be_reached_is_told(tmp_path: Path, s3_url: str, s3_client: S3Client, bucket: str) -> None:
    reach = {"THROUGHLINE_S3_ENDPOINT_URL": s3_url}
    assert finding("storage", "footage", f"s3://{bucket}/day/", **reach)[:2] == (1, "missing")
    s3_client.put_object(Bucket=bucket, Key="day/cam1/a.mp4", Body=b"x")
    status, state, words = finding("storage", "footage", f"s3://{bucket}/day", **reach)
    assert (status, state) == (0, "ok")
    assert "was read" in words
    assert finding("storage", "footage", "s3://no-such-bucket-here/day/", **reach)[:2] == (1, "missing")
    assert "allowed" in finding("storage", "footage", f"file://{tmp_path}/")[2].lower()


@pytest.mark.parametrize(
    ("methods", "fault", "words"),
    [
        ("GET HEAD", Fault(403, "AccessDenied"), "s3:GetObject"),
        ("GET", Fault(403, "ExpiredToken"), "renew them"),
        ("GET HEAD", Fault(503, "SlowDown"), "try again later"),
        ("GET", Fault(cut_after=-1), "endpoint"),
    ],
)
def test_footage_that_s3_refuses_is_told_at_once(
    s3_url: str, s3_client: S3Client, bucket: str, methods: str, fault: Fault, words: str
) -> None:
    s3_client.put_object(Bucket=bucket, Key="day/cam1/a.mp4", Body=b"x")
    with FaultyS3(s3_url) as s3:
        s3.faults = lambda request: fault if request.method in methods.split() and "cam1" in request.key else None
        began = time.monotonic()
        status, found = examined("storage", f"s3://{bucket}/day/", THROUGHLINE_S3_ENDPOINT_URL=s3.url)
    state, *said = found[f"footage s3://{bucket}/day/"]
    assert (status, state) == (1, "missing")
    assert words in "; ".join(said)
    assert time.monotonic() - began < 60


def test_a_workspace_in_a_bucket_may_be_empty_but_not_out_of_reach(s3_url: str, bucket: str) -> None:
    reach = {"THROUGHLINE_S3_ENDPOINT_URL": s3_url, "THROUGHLINE_S3_TIMEOUT_SECONDS": "1"}
    place = f"s3://{bucket}/kept/"
    assert "it is empty" in finding("storage", "workspace", **reach, THROUGHLINE_WORKSPACE_URI=place)[2]
    assert (
        finding("storage", "workspace", **reach, THROUGHLINE_WORKSPACE_URI="s3://not-there-at-all/w/")[1] == "missing"
    )


def test_tokens_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    variables = {"THROUGHLINE_TOKENS_FILE": str(path)}
    assert finding("trust", "tokens", **variables)[:2] == (1, "missing")
    path.write_text(json.dumps({token_digest("t"): {"name": "desk", "scopes": [Scope.ANNOTATE]}}))
    path.chmod(0o600)
    status, state, words = finding("trust", "tokens", **variables)
    assert (status, state) == (0, "warning")
    assert "stage" in words
    path.write_text(json.dumps({token_digest("t"): {"name": "all", "scopes": [Scope.ADMIN]}}))
    assert finding("trust", "tokens", **variables)[:2] == (0, "ok")
    path.chmod(0o622)
    assert "chmod 600" in finding("trust", "tokens", **variables)[2]
    assert finding("trust", "tokens", THROUGHLINE_LISTEN="0.0.0.0:7400")[:2] == (1, "missing")


def certified(folder: Path, begins: timedelta, ends: timedelta) -> dict[str, str]:
    """A certificate of its own key, valid from now plus one to now plus the other, as the settings name it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ingest")]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, now + begins, now + ends)
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "key.pem").chmod(0o600)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return {
        "THROUGHLINE_TLS_CERTIFICATE": str(folder / "certificate.pem"),
        "THROUGHLINE_TLS_KEY": str(folder / "key.pem"),
    }


@pytest.mark.parametrize(
    ("begins", "ends", "state", "word"),
    [
        (-9, 300, "ok", "valid until"),
        (-9, 9, "warning", "soon"),
        (-9, -1, "missing", "expired"),
        (1, 9, "missing", "not valid yet"),
    ],
)
def test_certificates_are_told_before_they_expire(
    tmp_path: Path, begins: int, ends: int, state: str, word: str
) -> None:
    files = certified(tmp_path, timedelta(days=begins), timedelta(days=ends))
    _, found, words = finding("trust", "TLS certificate", **files)
    assert (found, word in words) == (state, True)


def test_a_key_must_be_the_certificates_and_a_secret(tmp_path: Path) -> None:
    files = certified(tmp_path, timedelta(days=-1), timedelta(days=300))
    assert finding("trust", "TLS key", **files)[:2] == (0, "ok")
    Path(files["THROUGHLINE_TLS_KEY"]).chmod(0o644)
    assert finding("trust", "TLS key", **files)[1] == "warning"
    (tmp_path / "other").mkdir()
    other = certified(tmp_path / "other", timedelta(days=-1), timedelta(days=300))
    mixed = {**files, "THROUGHLINE_TLS_KEY": other["THROUGHLINE_TLS_KEY"]}
    assert "does not belong to" in finding("trust", "TLS key", **mixed)[2]
    Path(files["THROUGHLINE_TLS_KEY"]).write_text("no key")
    assert finding("trust", "TLS key", **files)[:2] == (1, "missing")
    assert finding("trust", "TLS key", THROUGHLINE_TLS_KEY=files["THROUGHLINE_TLS_KEY"])[:2] == (1, "missing")


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """Two addresses that `up` might have written down: one serves, with metrics; at the other there is nobody."""
    server = serve([generic_service()], ServiceSettings(metrics_listen="127.0.0.1:0", cache_dir=tmp_path))
    assert server.metrics is not None
    values: dict[str, Any] = {
        "s3_endpoint_url": "",
        "workspace_uri": "",
        "tier_database_url": "",
        "alert_database_url": "",
    }
    addresses = {
        "ingest": server.address,
        "ingest-metrics": server.metrics.address,
        "tracker": "127.0.0.1:1",
        "triton": "127.0.0.1:1",
    }
    (tmp_path / "home").mkdir()
    found = Deployment(pid=1, home=tmp_path / "home", addresses=addresses, token="", **values)
    found.save()
    yield found
    server.stop()


def test_services_that_run_tell_their_release_and_those_that_do_not_are_named(deployment: Deployment) -> None:
    status, found = examined("running", "--home", str(deployment.home))
    assert status == 1
    assert found[f"ingest at {deployment.addresses['ingest']}"][:2] == ("ok", "serves, release 0.1.0")
    assert found["tracker at 127.0.0.1:1"][:2] == ("missing", "does not serve")
    assert found["triton at 127.0.0.1:1"][0] == "missing"


def test_without_a_deployment_the_addresses_of_the_environment_are_asked() -> None:
    with serving(generic_service()) as server:
        status, found = examined("running", THROUGHLINE_ALERT_TARGET=server.address)
        assert (status, found[f"alert at {server.address}"][:2]) == (0, ("ok", "serves"))


def test_settings_that_are_none_are_named() -> None:
    status, state, words = finding("storage", "settings", THROUGHLINE_MAX_WORKERS="many")
    assert (status, state) == (1, "missing")
    assert "THROUGHLINE_MAX_WORKERS" in words
