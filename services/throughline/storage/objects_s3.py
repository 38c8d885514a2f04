"""Objects in S3, or whatever speaks its API, through boto3."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from throughline.domain.errors import (
    DependencyUnavailable,
    InvalidInput,
    LimitExceeded,
    NotFound,
    SourceChanged,
    ThroughlineError,
)
from throughline.domain.time import Instant
from throughline.storage.attention import attentive, patient
from throughline.storage.object_store import ANY, ObjectInfo, Pin, go_on
from throughline.storage.s3_errors import s3_errors
from throughline.storage.s3_ranges import OpenRanges
from throughline.storage.s3_transfer import Download, Source, Target, upload
from throughline.wire.settings import ObjectSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

R = TypeVar("R")

BRIEF_SECONDS = 5.0
"""Patience of calls that nobody can stop, some of which people wait for."""
LONGEST_KEY_BYTES = 1024
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")


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

    def head(self, uri: str, *, etag: str = "", check: Callable[[], None] = go_on) -> ObjectInfo:
        source = Source(*_object(uri), Pin(etag))
        return self._as_pinned(uri, source, check, lambda pinned: self._head(uri, pinned, check))

    def exists(self, uri: str) -> bool:
        bucket, key = _object(uri)
        try:
            self._call(uri, lambda: self._client.head_object(Bucket=bucket, Key=key))
        except NotFound:
            return False
        return True

    def read(self, uri: str, max_bytes: int | None = None) -> bytes:
        def accept(size: int) -> None:
            if max_bytes is not None and size > max_bytes:
                raise LimitExceeded(f"{uri} has {size} bytes, more than the {max_bytes} that are taken")

        return self._body(uri, accept)

    def read_part(self, uri: str, first: int, count: int) -> bytes:
        def accept(size: int) -> None:
            if size > count:
                raise ConnectionError(f"it gives {size} bytes where {count} were asked for")

        return self._body(uri, accept, Range=f"bytes={first}-{first + count - 1}")

    def _body(self, uri: str, accept: Callable[[int], None], **arguments: str) -> bytes:
        """What an object holds, unless `accept` raises something at its size."""
        bucket, key = _object(uri)

        def read() -> bytes:
            answer = self._client.get_object(Bucket=bucket, Key=key, **arguments)  # type: ignore[arg-type]
            with closing(answer["Body"]) as body:  # as its own context it is the raw stream, with the errors of urllib3
                size = answer.get("ContentLength")
                if size is None:
                    raise ConnectionError("its answer states no length")
                accept(size)
                return body.read()

        return self._call(uri, read)

    def fetch(self, uri: str, destination: Path, *, pin: Pin = ANY, check: Callable[[], None] = go_on) -> ObjectInfo:
        def fetch(source: Source) -> ObjectInfo:
            def get(**arguments: str) -> dict[str, Any]:
                asked = {**source.place, **arguments}
                return self._call(uri, lambda: dict(self._client.get_object(**asked)), check)

            answer = Download(get, source, self._patience(check), check).write(destination)
            return _info(uri, answer["ContentLength"], answer)

        return self._as_pinned(uri, Source(*_object(uri), pin), check, fetch)

    def open(self, uri: str, *, pin: Pin = ANY, check: Callable[[], None] = go_on) -> OpenRanges:
        source = Source(*_object(uri), pin)
        if not pin.etag or pin.size_bytes is None:
            info = self.head(uri, etag=pin.etag, check=check)
            source = Source(source.bucket, source.key, Pin(info.etag, info.size_bytes), info.version_id)

        def get(asked: Source, begin: int, end: int, check: Callable[[], None]) -> tuple[Source, dict[str, Any]]:
            def get(source: Source) -> tuple[Source, dict[str, Any]]:
                arguments = {**source.place, "IfMatch": source.pin.etag, "Range": f"bytes={begin}-{end - 1}"}
                return source, self._call(uri, lambda: dict(self._client.get_object(**arguments)), check)

            return self._as_pinned(uri, asked, check, get)

        return OpenRanges(get, source, self._patience(check), check)

    def write(
        self, uri: str, data: bytes | Path, *, replace: bool = True, metadata: Mapping[str, str] | None = None
    ) -> None:
        target = Target(*_object(uri), replace, metadata or {})
        self._call(uri, lambda: upload(self._client, target, data))

    def _call(self, uri: str, call: Callable[[], R], check: Callable[[], None] = go_on) -> R:
        """What boto3 answers in the end; `call` is left behind where `check` raises."""

        def attempt() -> R:
            with s3_errors(uri):
                return call()

        return patient(lambda: attentive(attempt, check), check, self._patience(check))

    def _patience(self, check: Callable[[], None]) -> float:
        seconds = self._settings.s3_patience_seconds
        return min(BRIEF_SECONDS, seconds) if check is go_on else seconds

    def _head(self, uri: str, source: Source, check: Callable[[], None]) -> ObjectInfo:
        def head() -> ObjectInfo:
            try:
                answer = self._client.head_object(**source.place)
            except self._client.exceptions.ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                if status == 404:
                    self._client.head_bucket(Bucket=source.bucket)
                    raise NotFound(f"there is no object {uri}; check its key") from error
                if status in (400, 403):  # an answer to HEAD has no body that could say why
                    self._client.get_object(**source.place, Range="bytes=0-0")["Body"].close()
                raise
            return _info(uri, answer["ContentLength"], answer)

        info = self._call(uri, head, check)
        if source.pin.etag and info.etag != source.pin.etag:
            raise SourceChanged(f"{uri} is no longer the object that was listed; submit the job again")
        return info

    def _as_pinned(self, uri: str, source: Source, check: Callable[[], None], use: Callable[[Source], R]) -> R:
        """Use an object, or the version of it that was pinned where the bucket keeps versions."""
        try:
            return use(source)
        except (SourceChanged, NotFound):
            version = self._version(uri, source, check) if source.pin.etag else ""
            if not version:
                raise
            return use(Source(source.bucket, source.key, source.pin, version))

    def _version(self, uri: str, source: Source, check: Callable[[], None]) -> str:
        """Id of the version with the pinned ETag; empty where there is none, or where this may not be asked."""
        try:
            for page in self._pages(uri, "list_object_versions", check, Bucket=source.bucket, Prefix=source.key):
                for version in page.get("Versions", []):
                    if version["Key"] != source.key:
                        return ""
                    if version["ETag"].strip('"') == source.pin.etag:
                        return str(version["VersionId"])
        except ThroughlineError as error:
            if error.retryable:
                raise
        return ""

    def _pages(
        self, uri: str, operation: str = "list_objects_v2", check: Callable[[], None] = go_on, **arguments: str
    ) -> Iterator[dict[str, Any]]:
        """Pages of a listing; one that fails for a while is asked for again, not all of them."""
        token: dict[str, str] = {}
        while True:
            asked = {**arguments, **token}
            page: dict[str, Any] = self._call(uri, lambda asked=asked: getattr(self._client, operation)(**asked), check)  # type: ignore[misc]
            yield page
            if not page.get("IsTruncated"):
                return
            token = {name: page[following] for following, name in _TOKENS.items() if page.get(following)}
            if not token:
                raise DependencyUnavailable(
                    f"S3 has more below {uri}, but does not say where it goes on; try again later"
                )


_TOKENS = {
    "NextContinuationToken": "ContinuationToken",
    "NextKeyMarker": "KeyMarker",
    "NextVersionIdMarker": "VersionIdMarker",
}
"""What a page of a listing calls the place where the next one begins, and how that is asked for."""


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
    try:
        client: S3Client = boto3.session.Session().client(
            "s3",
            endpoint_url=settings.s3_endpoint_url or None,
            region_name=settings.s3_region or None,
            config=config,
        )
    except ValueError as error:
        raise InvalidInput(
            f"S3 can't be reached by these settings: {error}; check THROUGHLINE_S3_ENDPOINT_URL, such as "
            "https://s3.example.com, and THROUGHLINE_S3_REGION"
        ) from error
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
    if len(key.encode(errors="replace")) > LONGEST_KEY_BYTES:
        raise InvalidInput(f"{uri[:100]}... has a key of more than the {LONGEST_KEY_BYTES} bytes that S3 takes")
    return bucket, key


def _info(uri: str, size_bytes: int, found: Any) -> ObjectInfo:
    return ObjectInfo(
        uri,
        size_bytes,
        found["ETag"].strip('"'),
        Instant.from_datetime(found["LastModified"]),
        {name.lower(): value for name, value in found.get("Metadata", {}).items()},
        found.get("VersionId", ""),
        found.get("StorageClass") in _ARCHIVES and 'ongoing-request="false"' not in found.get("Restore", ""),
    )
