"""Moving one object to or from S3: downloads that go on where a connection broke, uploads that never show half an object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, HTTPClientError

from throughline.domain.errors import DependencyUnavailable, SourceChanged
from throughline.storage.attention import Backoff, attentive
from throughline.storage.object_store import Pin
from throughline.storage.partial import whole_file

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BLOCK_BYTES = 2**17
"""What is asked of a connection in one go; small enough that one that drips is seen to give something."""
PART_BYTES = 32 * 2**20
"""Files larger than this are uploaded in parts of it."""
MAX_PARTS = 10_000
BROKEN = (BotoCoreError, HTTPClientError, OSError)


@dataclass(frozen=True, slots=True)
class Source:
    """What a download reads: one version of an object, and the content that it should have."""

    bucket: str
    key: str
    pin: Pin
    version: str = ""
    """Empty for the latest."""

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def place(self) -> dict[str, Any]:
        version = {"VersionId": self.version} if self.version else {}
        return {"Bucket": self.bucket, "Key": self.key, **version}


class Download:
    """Writes one object to the disk. A connection that breaks is made anew from the byte where it broke, always of the same content."""

    def __init__(
        self, get: Callable[..., dict[str, Any]], source: Source, seconds: float, check: Callable[[], None]
    ) -> None:
        """`get` asks S3 for the source; it is given up once nothing has come for `seconds`."""
        self._get = get
        self._source = source
        self._check = check
        self._backoff = Backoff(check, seconds)

    def write(self, destination: Path) -> dict[str, Any]:
        """Fill `destination`, whole or not at all; return S3's answer.

        Raises SourceChanged where the object is not, or no longer, the pinned one, DependencyUnavailable where S3 stops giving it,
        and what `check` and `get` raise.
        """
        with whole_file(destination) as partial, partial.open("wb") as out:
            answer = self._begin()
            size, body = answer["ContentLength"], answer["Body"]
            while True:
                before = out.tell()
                broken = self._copy(body, out)
                if out.tell() == size:
                    return answer
                if out.tell() > size:
                    raise SourceChanged(
                        f"{self._source.uri} gave more than the {size} bytes that it has; submit it again"
                    )
                if out.tell() > before:
                    self._backoff.reset()
                elif not self._backoff.pause():
                    raise DependencyUnavailable(
                        f"S3 stopped after {out.tell()} of the {size} bytes of {self._source.uri}: {broken}"
                    )
                body = self._get(IfMatch=answer["ETag"], Range=f"bytes={out.tell()}-")["Body"]

    def _begin(self) -> dict[str, Any]:
        """The answer to the first request, once its length is what it should be."""
        pin = self._source.pin
        while True:
            answer = self._get(**({"IfMatch": pin.etag} if pin.etag else {}))
            length = answer.get("ContentLength")
            if length is not None and pin.size_bytes in (None, length):
                return answer
            if not self._backoff.pause():
                raise DependencyUnavailable(
                    f"S3 gives {self._source.uri} a length of {length} bytes, where it had listed {pin.size_bytes}"
                )

    def _copy(self, body: Any, out: IO[bytes]) -> Exception | None:
        """Write what comes; return what broke it off."""
        while True:
            try:
                block = attentive(lambda: body.read(BLOCK_BYTES), self._check)
            except BROKEN as error:
                return error
            if not block:
                body.close()
                return None
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
