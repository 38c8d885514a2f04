"""docker-compose.yml fits the schema of the Compose specification, the image and the services."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.deployment.compose import LISTENERS, read_compose
from tests.deployment.dockerfile import read_dockerfile
from tests.deployment.rules import SERVICES, check_environment, grace_seconds
from throughline.cli.secrets import secrets
from throughline.domain.errors import Conflict

COMPOSE = read_compose()
DECLARED: dict[str, dict[str, Any]] = COMPOSE["services"]
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())


def secret_files(service: str) -> set[str]:
    given = DECLARED[service].get("secrets", ())
    return {secret if isinstance(secret, str) else secret["target"] for secret in given}


def test_it_fits_the_schema() -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(COMPOSE)


def test_every_service_of_ours_is_served_and_told_all_that_it_needs() -> None:
    for name in SERVICES:
        assert DECLARED[name]["command"] == ["serve", name]
        image = read_dockerfile()["throughline"].environment
        check_environment(name, {**image, **DECLARED[name]["environment"]}, secret_files(name))


def test_every_target_is_a_service_that_listens_there() -> None:
    for name, service in DECLARED.items():
        for variable, value in service.get("environment", {}).items():
            if variable.endswith("_TARGET"):
                host, _, port = value.partition(":")
                assert (host, int(port)) in LISTENERS, f"{name}: {variable}={value}"


def test_every_secret_file_is_one_that_the_command_writes(tmp_path: Path) -> None:
    secrets(tmp_path / "secrets", database="postgres:5432")
    written = {path.name for path in (tmp_path / "secrets").iterdir()}
    declared = COMPOSE["secrets"]
    assert {Path(secret["file"]).name for secret in declared.values()} == written
    for service in DECLARED.values():
        for secret in service.get("secrets", ()):
            assert (secret if isinstance(secret, str) else secret["source"]) in declared


def test_secrets_are_readable_for_containers_below_a_folder_that_is_not(tmp_path: Path) -> None:
    secrets(tmp_path / "secrets", database="postgres:5432")
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o444}


def test_secrets_in_use_are_never_replaced(tmp_path: Path) -> None:
    secrets(tmp_path, database="postgres:5432")
    before = (tmp_path / "postgres_password").read_text()
    with pytest.raises(Conflict, match="postgres_password"):
        secrets(tmp_path, database="postgres:5432")
    assert (tmp_path / "postgres_password").read_text() == before


def test_what_stays_up_is_checked_restarted_limited_and_confined() -> None:
    for name, service in DECLARED.items():
        if service["restart" if "restart" in service else "image"] != "unless-stopped":
            continue
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"]), name
        if name not in ("postgres", "objects"):
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
        if name in SERVICES:
            assert service["read_only"] is True, name


def test_services_are_given_the_time_that_a_clean_end_takes() -> None:
    for name in SERVICES:
        given = int(DECLARED[name]["stop_grace_period"].removesuffix("s"))
        assert given >= grace_seconds(name, DECLARED[name]["environment"]), name


def test_images_are_pinned_or_built_here() -> None:
    for name, service in DECLARED.items():
        if service["image"].startswith("throughline"):
            continue
        assert re.search(r":\d+(\.\d+)+", service["image"]), f"{name}: {service['image']}"
    built = {service["build"]["target"] for service in DECLARED.values() if "build" in service}
    assert built <= set(read_dockerfile())


def test_everything_that_is_waited_for_tells_when_it_is_ready() -> None:
    for name, service in DECLARED.items():
        for other, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert "test" in DECLARED[other]["healthcheck"], f"{name} waits for {other}"
            else:
                assert DECLARED[other].get("restart") != "unless-stopped", f"{name} waits for the end of {other}"


def test_volumes_networks_and_configs_are_declared_and_used() -> None:
    used: dict[str, set[str]] = {"volumes": set(), "configs": set(), "networks": set()}
    for service in DECLARED.values():
        named = [volume.partition(":")[0] for volume in service.get("volumes", ())]
        used["volumes"] |= {name for name in named if re.fullmatch(r"[a-z-]+", name)}
        used["configs"] |= {config["source"] for config in service.get("configs", ())}
        used["networks"] |= set(service["networks"])
    for kind, names in used.items():
        assert names == set(COMPOSE[kind]), kind


def test_only_loopback_is_published() -> None:
    for name, service in DECLARED.items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"


def test_ports_are_those_of_the_image() -> None:
    for name in SERVICES:
        listening = {port for host, port in LISTENERS if host == name}
        assert listening == read_dockerfile()["throughline"].ports
    assert {port for host, port in LISTENERS if host == "triton"} == read_dockerfile()["triton"].ports


def test_triton_serves_the_same_folder_on_cpu_and_gpu() -> None:
    cpu, gpu = DECLARED["triton"]["command"], DECLARED["triton-gpu"]["command"]
    assert [flag for flag in cpu if flag != "--model-config-name=cpu"] == gpu
    assert DECLARED["triton"]["profiles"] == ["cpu"]
    assert DECLARED["triton-gpu"]["networks"]["inside"]["aliases"] == ["triton"]
