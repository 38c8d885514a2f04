"""Objects in S3, or whatever speaks its API, through boto3."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from throughline.domain.errors import InvalidInput, LimitExceeded, NotFound
from throughline.domain.time import Instant
from throughline.storage.object_store import ObjectInfo, go_on
from throughline.storage.s3_errors import s3_errors
from throughline.storage.s3_transfer import Source, Target, download, upload
from throughline.wire.settings import ObjectSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Objects:
    """All buckets that one endpoint and its credentials reach. The connection is made on first use."""

    def __init__(self, settings: ObjectSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._connected: S3Client | None = None

    @property
    def _client(self) -> S3Client:
        with self._lock:
            if self._connected is None:
                self._connected = _connect(self._settings)
            return self._connected

    def local_path(self, uri: str) -> None:
        """Nothing in S3 lies on this machine; raise InvalidInput where the URI is none."""
        _split(uri)

    def list(self, prefix_uri: str) -> Iterator[ObjectInfo]:
        bucket, prefix = _folder(prefix_uri)
        base = prefix_uri.rstrip("/") + "/"
        for page in self._pages(prefix_uri, Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                if not found["Key"].endswith("/"):
                    yield _info(base + found["Key"][len(prefix) :], found["Size"], found)

    def folders(self, prefix_uri: str) -> tuple[str, ...]:
        bucket, prefix = _folder(prefix_uri)
        pages = self._pages(prefix_uri, Bucket=bucket, Prefix=prefix, Delimiter="/")
        found = (common["Prefix"] for page in pages for common in page.get("CommonPrefixes", []))
        return tuple(sorted(folder[len(prefix) : -1] for folder in found))

    def head(self, uri: str) -> ObjectInfo:
        bucket, key = _object(uri)
        with s3_errors(uri):
            try:
                answer = self._client.head_object(Bucket=bucket, Key=key)
            except self._client.exceptions.ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    self._client.head_bucket(Bucket=bucket)
                    raise NotFound(f"there is no object {uri}; check its key") from error
                raise
        return _info(uri, answer["ContentLength"], answer)

    def exists(self, uri: str) -> bool:
        bucket, key = _object(uri)
        try:
            with s3_errors(uri):
                self._client.head_object(Bucket=bucket, Key=key)
        except NotFound:
            return False
        return True

    def read(self, uri: str, max_bytes: int | None = None) -> bytes:
        bucket, key = _object(uri)
        with s3_errors(uri):
            answer = self._client.get_object(Bucket=bucket, Key=key)
            with answer["Body"] as body:
                if max_bytes is not None and answer["ContentLength"] > max_bytes:
                    size = answer["ContentLength"]
                    raise LimitExceeded(f"{uri} has {size} bytes, more than the {max_bytes} that are taken")
                return body.read()

    def fetch(self, uri: str, destination: Path, *, etag: str = "", check: Callable[[], None] = go_on) -> ObjectInfo:
        bucket, key = _object(uri)
        with s3_errors(uri):
            answer = download(self._client, Source(bucket, key, etag), destination, check)
        return _info(uri, answer["ContentLength"], answer)

    def write(
        self, uri: str, data: bytes | Path, *, replace: bool = True, metadata: Mapping[str, str] | None = None
    ) -> None:
        bucket, key = _object(uri)
        with s3_errors(uri):
            upload(self._client, Target(bucket, key, replace, metadata or {}), data)

    def _pages(self, uri: str, **arguments: str) -> Iterator[dict[str, Any]]:
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(**arguments))  # type: ignore[arg-type]
        while True:
            with s3_errors(uri):
                page = next(pages, None)
            if page is None:
                return
            yield dict(page)


def _connect(settings: ObjectSettings) -> S3Client:
    config = Config(
        connect_timeout=min(10.0, settings.s3_timeout_seconds),
        read_timeout=settings.s3_timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=settings.s3_connections,
        signature_version=UNSIGNED if settings.s3_anonymous else None,
        s3={"addressing_style": "path"} if settings.s3_endpoint_url else {},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client: S3Client = boto3.session.Session().client(
        "s3",
        endpoint_url=settings.s3_endpoint_url or None,
        region_name=settings.s3_region or None,
        config=config,
    )
    return client


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket or "\0" in uri:
        raise InvalidInput(f"{uri!r} names no bucket; give s3://bucket/key")
    return bucket, key


def _folder(uri: str) -> tuple[str, str]:
    bucket, key = _split(uri)
    return bucket, key.rstrip("/") + "/" if key.rstrip("/") else ""


def _object(uri: str) -> tuple[str, str]:
    bucket, key = _split(uri)
    if not key:
        raise InvalidInput(f"{uri!r} names a bucket but no object; give s3://bucket/key")
    return bucket, key


def _info(uri: str, size_bytes: int, found: Any) -> ObjectInfo:
    return ObjectInfo(
        uri,
        size_bytes,
        found["ETag"].strip('"'),
        Instant.from_datetime(found["LastModified"]),
        {name.lower(): value for name, value in found.get("Metadata", {}).items()},
        found.get("VersionId", ""),
    )
