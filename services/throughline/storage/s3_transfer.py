"""Moving one object to or from S3: downloads that go on where a connection broke, uploads that never show half an object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import (
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from throughline.domain.errors import SourceChanged
from throughline.storage.object_store import BLOCK_BYTES
from throughline.storage.partial import whole_file

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 32 * 2**20
"""Files larger than this are uploaded in parts of it."""
MAX_PARTS = 10_000
MAX_FRUITLESS_ATTEMPTS = 4
"""Broken connections in a row, without a byte between them, after which a download gives up."""
_BROKEN = (ConnectionClosedError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError, ConnectionError)


@dataclass(frozen=True, slots=True)
class Source:
    """What a download reads: the object as it was with `etag`, whatever it is where that is empty."""

    bucket: str
    key: str
    etag: str

    @property
    def place(self) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Key": self.key}

    @property
    def condition(self) -> dict[str, Any]:
        return {"IfMatch": self.etag} if self.etag else {}


def download(client: S3Client, source: Source, destination: Path, check: Callable[[], None]) -> dict[str, Any]:
    """Write the object to `destination`, whole or not at all; return S3's answer to its first request.

    A connection that breaks is made anew from the byte where it broke, always of the same version. Raise SourceChanged where
    the object is not, or no longer, the one with its ETag; let boto3's errors through, and what `check` raises between blocks.
    """
    with whole_file(destination) as partial, partial.open("wb") as out:
        answer: dict[str, Any] = dict(client.get_object(**source.place, **source.condition))
        if "ContentLength" not in answer:
            raise ConnectionError("S3's answer broke off within its headers")
        size, body, fruitless = answer["ContentLength"], answer["Body"], 0
        while True:
            before = out.tell()
            try:
                _copy(body, out, check)
            except _BROKEN:
                if fruitless >= MAX_FRUITLESS_ATTEMPTS:
                    raise
            if out.tell() == size:
                return answer
            fruitless = 0 if out.tell() > before else fruitless + 1
            if out.tell() > size:
                raise SourceChanged(
                    f"s3://{source.bucket}/{source.key} gave more than the {size} bytes that it has; submit the job again"
                )
            rest = client.get_object(**source.place, IfMatch=answer["ETag"], Range=f"bytes={out.tell()}-")
            body = rest["Body"]


def _copy(body: Any, out: IO[bytes], check: Callable[[], None]) -> None:
    with body:
        while block := body.read(BLOCK_BYTES):
            check()
            out.write(block)


@dataclass(frozen=True, slots=True)
class Target:
    """Where an upload goes. Without `replace`, S3 answers PreconditionFailed where the key is taken."""

    bucket: str
    key: str
    replace: bool
    metadata: Mapping[str, str]

    @property
    def place(self) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Key": self.key}

    @property
    def condition(self) -> dict[str, Any]:
        return {} if self.replace else {"IfNoneMatch": "*"}


def upload(client: S3Client, target: Target, data: bytes | Path) -> None:
    """Store bytes or a file."""
    if isinstance(data, bytes):
        client.put_object(**target.place, **target.condition, Metadata=target.metadata, Body=data)
    elif data.stat().st_size <= PART_BYTES:
        with data.open("rb") as file:
            client.put_object(**target.place, **target.condition, Metadata=target.metadata, Body=file)
    else:
        _upload_in_parts(client, target, data)


def _upload_in_parts(client: S3Client, target: Target, path: Path) -> None:
    size = path.stat().st_size
    part_bytes = max(PART_BYTES, -(-size // MAX_PARTS))
    started = client.create_multipart_upload(**target.place, Metadata=target.metadata)
    whole = {**target.place, "UploadId": started["UploadId"]}

    def send(number: int) -> dict[str, Any]:
        with path.open("rb") as file:
            file.seek((number - 1) * part_bytes)
            sent = client.upload_part(**whole, PartNumber=number, Body=file.read(part_bytes))
        return {"PartNumber": number, "ETag": sent["ETag"]}

    try:
        with ThreadPoolExecutor(4, "upload") as pool:
            parts = list(pool.map(send, range(1, -(-size // part_bytes) + 1)))
        client.complete_multipart_upload(**whole, **target.condition, MultipartUpload={"Parts": parts})  # type: ignore[typeddict-item]
    except BaseException:
        client.abort_multipart_upload(**whole)
        raise
