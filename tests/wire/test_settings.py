from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from throughline.storage.objects import ObjectSettings, open_objects
from throughline.wire.settings import ServiceSettings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_LISTEN", "127.0.0.1:50051")
    monkeypatch.setenv("THROUGHLINE_ALLOWED_ROOTS", '["/data/footage", "/data/work space"]')
    monkeypatch.setenv("THROUGHLINE_S3_ENDPOINT_URL", "http://127.0.0.1:9000")
    settings = ServiceSettings()
    assert settings.listen == "127.0.0.1:50051"
    assert settings.allowed_roots == (Path("/data/footage"), Path("/data/work space"))
    assert settings.s3_endpoint_url == "http://127.0.0.1:9000"


def test_secrets_come_from_files_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "throughline_token").write_text("from the file\n")
    (tmp_path / "THROUGHLINE_S3_REGION").write_text("eu-central-1")
    monkeypatch.setenv("THROUGHLINE_SECRETS_DIR", str(tmp_path))
    settings = ServiceSettings()
    assert (settings.token, settings.s3_region) == ("from the file", "eu-central-1")
    monkeypatch.setenv("THROUGHLINE_TOKEN", "from the environment")
    assert ServiceSettings().token == "from the environment"


def test_secrets_are_found_as_kubernetes_mounts_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    version = tmp_path / "..2026_03_01"
    version.mkdir()
    (version / "throughline_token").write_text("from the secret")
    (tmp_path / "..data").symlink_to(version.name)
    (tmp_path / "throughline_token").symlink_to("..data/throughline_token")
    monkeypatch.setenv("THROUGHLINE_SECRETS_DIR", str(tmp_path))
    assert ServiceSettings().token == "from the secret"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        ServiceSettings().listen = "elsewhere"


def test_a_value_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_MAX_WORKERS", "0")
    with pytest.raises(ValidationError, match="max_workers"):
        ServiceSettings()


def test_a_service_adds_fields_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class IngestSettings(ServiceSettings):
        model_config = SettingsConfigDict(frozen=True)

        fetches: int = 4

    monkeypatch.setenv("THROUGHLINE_FETCHES", "8")
    assert IngestSettings().fetches == 8


def test_the_settings_of_a_service_open_its_objects(tmp_path: Path) -> None:
    settings: ObjectSettings = ServiceSettings(allowed_roots=(tmp_path,))
    open_objects(settings).write(f"file://{tmp_path}/a", b"a")
    assert (tmp_path / "a").read_bytes() == b"a"
