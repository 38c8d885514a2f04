"""Addresses on this machine: fixed ports counted from a base, or free ones."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence

from throughline.domain.errors import FailedPrecondition

LOOPBACK = "127.0.0.1"


def choose_ports(names: Sequence[str], base: int) -> dict[str, int]:
    """A port for each name: `base`, `base` + 1, ... or free ones where `base` is 0.

    Raises FailedPrecondition where one of the fixed ports is taken.
    """
    ports: dict[str, int] = {}
    with contextlib.ExitStack() as held:  # all held at once, so that no two are the same
        for index, name in enumerate(names):
            listener = held.enter_context(socket.socket())
            listener.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # as the servers do: not stopped by TIME_WAIT
            wanted = base + index if base else 0
            try:
                listener.bind((LOOPBACK, wanted))
            except OSError as error:
                raise FailedPrecondition(
                    f"port {wanted} for {name} is taken; stop what listens there, or choose others with --port (0 takes free ones)"
                ) from error
            ports[name] = int(listener.getsockname()[1])
    return ports
