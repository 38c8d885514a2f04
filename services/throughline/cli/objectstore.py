"""A local S3 server for one machine. It keeps its objects in memory: they end with it."""

from __future__ import annotations

from typing import Any, Self

from throughline.domain.errors import FailedPrecondition


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
