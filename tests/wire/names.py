"""A name server of a test's own: one name, whose addresses change when the test says so."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_ANSWER, _ADDRESS, _SECONDS = 0x8580, 1, 0


class NameServer:
    """Answers every question for an A record with `addresses`, and every other with nothing."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = tuple(addresses)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def target(self, port: int) -> str:
        """What gRPC is told to reach the name's servers on a port."""
        return f"dns://127.0.0.1:{self.port}/servers.test:{port}"

    def run(self) -> None:
        """Answer until an empty question comes."""
        with self._socket:
            while True:
                question, sender = self._socket.recvfrom(512)
                if not question:
                    return
                self._socket.sendto(self._answer(question), sender)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))

    def _answer(self, question: bytes) -> bytes:
        end = question.index(0, 12) + 5
        (kind,) = struct.unpack("!H", question[end - 4 : end - 2])
        addresses = self.addresses if kind == _ADDRESS else ()
        records = [
            struct.pack("!HHHIH", 0xC00C, _ADDRESS, 1, _SECONDS, 4) + socket.inet_aton(address) for address in addresses
        ]
        return (
            question[:2] + struct.pack("!HHHHH", _ANSWER, 1, len(records), 0, 0) + question[12:end] + b"".join(records)
        )


@contextmanager
def name_server(*addresses: str) -> Iterator[NameServer]:
    server = NameServer(addresses)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(10)
