"""A real S3 API for tests: moto's server in this process. It keeps objects in memory, so keep them small."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """URL of a running S3 API; boto3 finds credentials for it in the environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_client(s3_url: str) -> S3Client:
    """A plain boto3 client, for looking behind the back of the code under test."""
    client: S3Client = boto3.client("s3", endpoint_url=s3_url)
    return client


@pytest.fixture
def bucket(s3_client: S3Client) -> str:
    """Name of a new, empty bucket."""
    name = f"bucket-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=name)
    return name
