"""Several servers behind one name, as behind a headless service of Kubernetes: calls are spread over all that there are."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from tests.wire.generic import generic_service
from tests.wire.names import name_server
from throughline.v1.tracker_pb2 import LocateQueryRequest
from throughline.v1.tracker_pb2_grpc import TrackerStub
from throughline.wire.client import connect
from throughline.wire.service import RunningServer, serve
from throughline.wire.settings import ServiceSettings


class Servers:
    """Servers at one port of several loopback addresses, and how many calls each has had."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.port = 0
        self._stack = ExitStack()

    def start(self, host: str) -> RunningServer:
        def count(method: MethodDescriptor, request: object, context: grpc.ServicerContext) -> None:
            self.calls[host] += 1

        settings = ServiceSettings(listen=f"{host}:{self.port}", connection_seconds=0.5)
        server = serve([generic_service(count)], settings)
        self.port = int(server.address.rpartition(":")[2])
        self._stack.callback(server.stop)
        return server

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.close()


def call(channel: grpc.Channel) -> None:
    TrackerStub(channel).LocateQuery(LocateQueryRequest(), timeout=30, wait_for_ready=True)


def call_until(channel: grpc.Channel, servers: Servers, wanted: set[str]) -> None:
    """Call until each of `wanted` was called."""
    end = time.monotonic() + 60
    while not wanted <= set(servers.calls):
        assert time.monotonic() < end, f"only {set(servers.calls)} were called"
        call(channel)


def test_calls_of_one_channel_are_spread_evenly_over_the_servers_of_a_name(servers: Servers) -> None:
    hosts = {"127.0.0.1", "127.0.0.2"}
    for host in sorted(hosts):
        servers.start(host)
    with name_server(*hosts) as names, connect(names.target(servers.port), ServiceSettings()) as channel:
        call_until(channel, servers, hosts)
        servers.calls.clear()
        for _ in range(40):
            call(channel)
        assert min(servers.calls.values()) >= 15, servers.calls


def test_a_server_that_comes_later_gets_its_share_and_one_that_ends_is_left_out(servers: Servers) -> None:
    first = servers.start("127.0.0.1")
    with name_server("127.0.0.1") as names, connect(names.target(servers.port), ServiceSettings()) as channel:
        call(channel)
        servers.start("127.0.0.3")
        names.addresses = ("127.0.0.1", "127.0.0.3")
        call_until(channel, servers, {"127.0.0.3"})
        names.addresses = ("127.0.0.3",)
        first.stop()
        servers.calls.clear()
        for _ in range(10):
            call(channel)
        assert set(servers.calls) == {"127.0.0.3"}
