"""Pictures in memory that a Triton on the same host reads where it lies, instead of having them by gRPC."""

from __future__ import annotations

import logging
import mmap
import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Literal

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from throughline.domain.errors import Cancelled, ThroughlineError
from throughline.perception.triton.rpc import TritonRpc

Sharing = Literal["auto", "on", "off"]
"""auto: where the address is one of this machine alone."""

_FOLDER = Path("/dev/shm")  # noqa: S108 - where POSIX keeps shared memory
_PREFIX = "throughline_pictures_"
_HERE = ("127.", "localhost:", "[::1]:", "unix:")
_BORN = 19
"""Which of the fields of /proc/<pid>/stat after the name is the time at which the process began."""
_LONGEST_SECONDS = 2.0
"""What registering and forgetting may take; more is not worth it."""
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_log = logging.getLogger(__name__)


class Region:
    """Memory for the pictures of one request, which the server knows by `name`."""

    def __init__(self, name: str, memory: mmap.mmap) -> None:
        self.name = name
        self.known = True
        """False once the server has forgotten it, as it does when it starts again."""
        self._bytes: NDArray[np.uint8] = np.frombuffer(memory, np.uint8)

    def put(self, pack: NDArray[np.uint8], tensor: Any) -> None:
        """Copy pictures there, and have an InferInputTensor refer to them."""
        self._bytes[: pack.nbytes].reshape(pack.shape)[:] = pack
        tensor.parameters["shared_memory_region"].string_param = self.name
        tensor.parameters["shared_memory_byte_size"].int64_param = pack.nbytes


class SharedPictures:
    """Regions of one client, made as they are needed: for each size of request as many as it sends at once. Safe for several threads.

    A region's file is removed as soon as the server has opened it, so that a client that is killed leaves none. What the server
    then still holds is given back by the next client of it.
    """

    def __init__(self, rpc: TritonRpc, sharing: Sharing) -> None:
        self._rpc = rpc
        self._makes = sharing == "on" or (sharing == "auto" and rpc.address.startswith(_HERE))
        self._prefix = f"{_PREFIX}{os.getpid()}_{_born('self')}_{uuid.uuid4().hex[:8]}_"
        self._numbers = count()
        self._lock = threading.Lock()
        self._free: dict[int, list[Region]] = defaultdict(list)
        self._has_swept = False
        self._doubtful: list[str] = []
        """Regions that the server may have taken, though it did not answer in time."""

    @contextmanager
    def region(self, size_bytes: int) -> Iterator[Region | None]:
        """A region for one request, of a power of two; None where the picture has to go by gRPC."""
        size_bytes = 1 << (size_bytes - 1).bit_length()
        with self._lock:
            free = self._free[size_bytes]
            region = free.pop() if free else None
        if region is None and self._makes:
            region = self._made(size_bytes)
        try:
            yield region
        finally:
            if region is not None and region.known:
                with self._lock:
                    free.append(region)

    def close(self) -> None:
        """Have the server forget the regions, but for those that it is just reading. To be called while the connection is open."""
        self._makes = False
        with self._lock:
            regions = [region for free in self._free.values() for region in free]
            self._free.clear()
        with suppress(ThroughlineError):  # it is away, and has nothing then; or the next client does it
            for region in regions:
                self._forget(region.name)

    def _made(self, size_bytes: int) -> Region | None:
        name = f"{self._prefix}{next(self._numbers)}"
        path = _FOLDER / name
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, size_bytes)  # what isn't there would kill whoever writes to it
                memory = mmap.mmap(descriptor, size_bytes)
                request = service_pb2.SystemSharedMemoryRegisterRequest(name=name, key=f"/{name}", byte_size=size_bytes)
                self._rpc.call("SystemSharedMemoryRegister", request, 0.0, _LONGEST_SECONDS)
            finally:
                os.close(descriptor)
                path.unlink(missing_ok=True)  # other clients take it for an orphan where they don't see this process
        except Cancelled:
            raise
        except (OSError, ThroughlineError) as error:
            if _is_away(error):
                self._doubtful.append(name)
            else:
                self._refuse(error)
            return None
        with suppress(ThroughlineError, OSError):
            self._sweep()
        while self._doubtful:
            with suppress(ThroughlineError, IndexError):  # it had not taken it, or another thread did this
                self._forget(self._doubtful.pop())
        return Region(name, memory)

    def _refuse(self, error: Exception) -> None:
        with self._lock:
            if not self._makes:
                return
            self._makes = False
        cause = error.__cause__
        reason = cause.details() if isinstance(cause, grpc.RpcError) else error
        _log.info("pictures go to Triton at %s by gRPC, not by shared memory: %s", self._rpc.address, reason)

    def _sweep(self) -> None:
        """Give back what clients of this server left that were killed."""
        with self._lock:
            if self._has_swept:
                return
            self._has_swept = True
        known = self._rpc.call("SystemSharedMemoryStatus", service_pb2.SystemSharedMemoryStatusRequest(), 0.0)
        for name in known.regions:
            if _is_orphan(name):
                with suppress(ThroughlineError):  # it is still being read
                    self._forget(name)
        for path in _FOLDER.glob(f"{_PREFIX}*"):
            if _is_orphan(path.name):
                with suppress(OSError):  # another user's
                    path.unlink(missing_ok=True)

    def _forget(self, name: str) -> None:
        request = service_pb2.SystemSharedMemoryUnregisterRequest(name=name)
        self._rpc.call("SystemSharedMemoryUnregister", request, 0.0, _LONGEST_SECONDS)


def _is_away(error: Exception) -> bool:
    """Whether the server can't answer just now; else it refuses."""
    return isinstance(error.__cause__, grpc.RpcError) and error.__cause__.code() in _AWAY


def _is_orphan(name: str) -> bool:
    """Whether a region is of a process that is gone. Where processes don't see each other it may be wrong: then that client makes
    itself another region."""
    if not name.startswith(_PREFIX):
        return False
    pid, _, rest = name.removeprefix(_PREFIX).partition("_")
    return _born(pid) != rest.partition("_")[0]


def _born(pid: str) -> str:
    """When a process began, in ticks since the machine did; empty where there is no such process."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[_BORN]
    except (OSError, ValueError):
        return ""
