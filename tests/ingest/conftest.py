"""Footage to list and collate, on the disk or behind a real S3 API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.ingest.footage import DiskFootage, Footage, S3Footage
from throughline.ingest.settings import IngestSettings


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def settings(tmp_path: Path) -> IngestSettings:
    return IngestSettings(
        workspace_uri=f"file://{tmp_path}/workspace/",
        cache_dir=tmp_path / "cache",
        allowed_roots=(tmp_path,),
        s3_region="us-east-1",
    )


@pytest.fixture
def footage(settings: IngestSettings, tmp_path: Path) -> DiskFootage:
    """Footage below a local folder."""
    return DiskFootage(settings, tmp_path)


@pytest.fixture
def s3_footage(
    settings: IngestSettings, tmp_path: Path, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> S3Footage:
    """Footage in a bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    bucket = f"store-{tmp_path.name.lower().replace('_', '-')}"[:60].rstrip("-")
    client.create_bucket(Bucket=bucket)
    return S3Footage(settings.model_copy(update={"s3_endpoint_url": s3_endpoint}), tmp_path, client, bucket)


@pytest.fixture(params=["disk", "s3"])
def any_footage(request: pytest.FixtureRequest) -> Footage:
    """The same test over both."""
    footage: Footage = request.getfixturevalue("footage" if request.param == "disk" else "s3_footage")
    return footage
