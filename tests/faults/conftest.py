"""A faulty S3 in front of a real one, and footage behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.proxy import FaultyS3
from tests.ingest.footage import DiskFootage, S3Footage
from throughline.ingest.settings import IngestSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def settings(tmp_path: Path) -> IngestSettings:
    return IngestSettings(
        workspace_uri=f"file://{tmp_path}/workspace/",
        cache_dir=tmp_path / "cache",
        allowed_roots=(tmp_path,),
        s3_region="us-east-1",
        s3_timeout_seconds=1.0,
        s3_patience_seconds=120.0,
    )


@pytest.fixture
def footage(settings: IngestSettings, tmp_path: Path) -> DiskFootage:
    """Footage below a local folder."""
    return DiskFootage(settings, tmp_path)


@pytest.fixture
def s3(s3_url: str) -> Iterator[FaultyS3]:
    with FaultyS3(s3_url) as proxy:
        yield proxy


@pytest.fixture
def s3_footage(settings: IngestSettings, tmp_path: Path, s3: FaultyS3, s3_client: S3Client, bucket: str) -> S3Footage:
    """Footage in a bucket, put there directly and read through the faulty S3."""
    return S3Footage(settings.model_copy(update={"s3_endpoint_url": s3.url}), tmp_path, s3_client, bucket)
