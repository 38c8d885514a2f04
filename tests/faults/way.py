"""A way over TCP to a server, which can be closed, opened again, and made slow."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress


class Way:
    """Use as a context manager. `upstream` says where the server is, asked at every connection; `delay_seconds` may be changed."""

    def __init__(self, upstream: Callable[[], str]) -> None:
        self.delay_seconds = 0.0
        """By which everything that the server says comes later."""
        self._upstream = upstream
        self._port = 0
        self._listener: socket.socket | None = None
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        self.open()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def open(self) -> None:
        """Take connections, at the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections, and end those that there are."""
        with self._lock:
            ends, self._ends = self._ends, []
        if self._listener is not None:
            ends.append(self._listener)
            self._listener = None
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def __enter__(self) -> Way:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                try:
                    host, _, port = self._upstream().rpartition(":")
                    server = socket.create_connection((host, int(port)))
                except (OSError, ValueError):
                    client.close()
                    continue
                with self._lock:
                    self._ends += (client, server)
                threading.Thread(target=self._carry, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, True), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(2**16):
                time.sleep(self.delay_seconds if is_answer else 0)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
