"""Serving a process's metrics to Prometheus, and those of them that every process has.

A metric belongs to the process, as a logger does: it is made once, in the module that counts. No label holds a job, a camera or
anything else that grows with use.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import prometheus_client
from prometheus_client import Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from throughline.domain.errors import Conflict, InvalidInput

QUICK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds of what should take moments."""
LONG_SECONDS = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
"""Bounds of what may take hours."""

RPC_SECONDS = Histogram(
    "throughline_rpc_seconds", "Calls that this server answered", ["method", "code"], buckets=LONG_SECONDS
)
RPC_IN_FLIGHT = Gauge("throughline_rpc_in_flight", "Calls that this server is at", ["method"])
BUILD = Gauge("throughline_build_info", "1, with the release that runs", ["version"])
BUILD.labels(version("throughline")).set(1)


class DiskSpace(Collector):
    """Room on the disks of some folders, looked up whenever it is asked for."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """`folders` by what they are for."""
        self._folders = folders

    def collect(self) -> Iterable[GaugeMetricFamily]:
        free = GaugeMetricFamily("throughline_disk_free_bytes", "Room that is left", labels=["place"])
        size = GaugeMetricFamily("throughline_disk_size_bytes", "Room in all", labels=["place"])
        for place, folder in self._folders.items():
            there = next(each for each in (folder, *folder.parents) if each.exists())
            usage = shutil.disk_usage(there)
            free.add_metric([place], usage.free)
            size.add_metric([place], usage.total)
        return [free, size]


class MetricsServer:
    """GET /metrics on an address of its own."""

    def __init__(self, listen: str, collectors: Iterable[Collector] = ()) -> None:
        """Raises InvalidInput where `listen` is not host:port, Conflict where it is taken."""
        host, _, port = listen.rpartition(":")
        if not host or not port.isdecimal():
            raise InvalidInput(f"THROUGHLINE_METRICS_LISTEN is {listen!r}; give host:port, or nothing for no metrics")
        try:
            self._server, self._thread = prometheus_client.start_http_server(int(port), host.strip("[]"))
        except OSError as error:
            raise Conflict(
                f"can't serve metrics on {listen}: {error.strerror}; set THROUGHLINE_METRICS_LISTEN to a free host:port"
            ) from error
        self.address = f"{host}:{self._server.server_port}"
        self._collectors = tuple(collectors)
        for collector in self._collectors:
            prometheus_client.REGISTRY.register(collector)

    def stop(self) -> None:
        """Answer nobody any more."""
        for collector in self._collectors:
            prometheus_client.REGISTRY.unregister(collector)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
