"""The compose file's commands, environments and health checks do a whole job, from the upload to the film in the bucket."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.deployment.compose import Compose, running
from throughline.simulation.settings import SimulationSettings
from throughline.simulation.store import simulate
from throughline.simulation.truth import StoreTruth
from throughline.storage.evidence import unseal
from throughline.storage.signing import SigningKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SERVICES = ("ingest", "tracker", "renderer", "tier", "alert", "orchestrator")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StoreTruth:
    settings = SimulationSettings(
        seed=7, cameras=3, people=6, seconds=16, width=640, height=360, rate=10, chunk_seconds=4
    )
    return simulate(settings, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def compose(store: StoreTruth, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    answers = {"tier": {"THROUGHLINE_TIER_TRUTH": str(store.folder / "truth" / "truth.parquet")}}
    with running(tmp_path_factory.mktemp("compose"), answers, SERVICES) as compose:
        yield compose


def bucket_client(compose: Compose) -> S3Client:
    """A client of the deployment's object store, with its own keys."""
    keys = configparser.ConfigParser()
    keys.read(compose.folder / "secrets" / "s3_credentials")
    return boto3.client(
        "s3",
        endpoint_url=f"http://{compose.address('objects', 8333)}",
        region_name="us-east-1",
        aws_access_key_id=keys["default"]["aws_access_key_id"],
        aws_secret_access_key=keys["default"]["aws_secret_access_key"],
    )


def test_a_whole_job_ends_with_its_film_in_the_bucket(compose: Compose, store: StoreTruth) -> None:
    s3 = bucket_client(compose)
    for chunk in store.footage.rglob("*.mp4"):
        s3.upload_file(str(chunk), "footage", f"store/{chunk.relative_to(store.footage).as_posix()}")
    query = store.folder / store.document.queries[0].file
    clocks = [f"--clock={camera}={clock.offset_ns / 1e9:.9f}" for camera, clock in store.clocks.items()]
    said = compose.run_once("cli", "submit", "s3://footage/store/", str(query), *clocks, "--watch")
    job_id = re.search(r"[0-9a-f]{32}", said)
    assert job_id is not None, said
    films = s3.list_objects_v2(Bucket="workspace", Prefix=f"jobs/{job_id[0]}/timelines/1/")["Contents"]
    sizes = {Path(each["Key"]).name: each["Size"] for each in films}
    assert sizes["film.mp4"] > 10_000
    timeline = s3.get_object(Bucket="workspace", Key=f"jobs/{job_id[0]}/timelines/1/timeline.json")["Body"].read()
    assert json.loads(timeline)["segments"]
    evidence = s3.get_object(Bucket="workspace", Key=f"jobs/{job_id[0]}/evidence/1/evidence.json")["Body"].read()
    key = SigningKey.load(compose.folder / "secrets" / "evidence_key.pem").public
    assert unseal(evidence).is_signed_by(key)
    pairs = compose.run_once("tier", "review", job_id[0], "--list", instead=True)
    assert "valid" in pairs
    assert job_id[0][:8] in compose.run_once("alert", "alerts", instead=True)  # the table breaks long words


def test_a_caller_without_a_token_is_turned_away(compose: Compose) -> None:
    environment = {**compose.environment("cli"), "THROUGHLINE_SECRETS_DIR": str(compose.folder)}
    done = subprocess.run(
        [*compose.command("cli"), "jobs"], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "token" in done.stderr


def test_a_health_check_fails_where_nothing_serves(compose: Compose) -> None:
    assert compose.is_healthy("alert")
    assert not compose.is_healthy("alert", THROUGHLINE_LISTEN="127.0.0.1:1")


def test_postgres_answers_its_health_check(compose: Compose) -> None:
    if not any(Path("/usr/lib/postgresql").glob("*/bin/pg_isready")):
        pytest.skip("there is no pg_isready here")
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    assert compose.is_healthy("postgres", PATH=str(programs))


def test_metrics_are_served_where_the_image_says(compose: Compose) -> None:
    url = f"http://{compose.address('tracker', 9464)}/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.status == 200
