"""A local S3 server for one machine. It keeps its objects in memory: they end with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from throughline.cli.stack import LOCAL_S3_KEY
from throughline.domain.errors import FailedPrecondition

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def local_s3(endpoint_url: str) -> S3Client:
    """A client of the local object store."""
    import boto3  # the store's own process needs none

    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=LOCAL_S3_KEY,
        aws_secret_access_key=LOCAL_S3_KEY,
        region_name="us-east-1",
    )


class LocalObjectStore:
    """Moto's S3 server. A context manager: it serves between entering and leaving.

    Raises FailedPrecondition where moto is not installed.
    """

    def __init__(self, listen: str) -> None:
        try:
            from moto.server import ThreadedMotoServer
        except ImportError as error:
            raise FailedPrecondition(
                "the local object store needs moto; install it with `pip install 'throughline[embedded]'`, "
                "or use another S3 API: `throughline up --no-objects`"
            ) from error
        host, _, port = listen.rpartition(":")
        self._server: Any = ThreadedMotoServer(ip_address=host, port=int(port), verbose=False)

    @property
    def url(self) -> str:
        host, port = self._server.get_host_and_port()
        return f"http://{host}:{port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
