"""Servicers made of nothing but descriptors, and servers of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from throughline import v1
from throughline.wire.client import connect
from throughline.wire.service import RunningServer, Service, serve
from throughline.wire.settings import ServiceSettings

Behaviour = Callable[[MethodDescriptor, Any, grpc.ServicerContext], None]


def descriptors() -> list[ServiceDescriptor]:
    """Every service that the protos define."""
    names = [module.name for module in pkgutil.iter_modules(v1.__path__) if module.name.endswith("_pb2")]
    files = [importlib.import_module(f"throughline.v1.{name}").DESCRIPTOR for name in names]
    return [service for file in files for service in file.services_by_name.values()]


def methods() -> list[MethodDescriptor]:
    """Every method of every service."""
    return [method for service in descriptors() for method in service.methods]


def path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def generic_service(behaviour: Behaviour = lambda method, request, context: None) -> Service:
    """All services at once: each method does `behaviour` and answers with an empty message."""

    def handler(method: MethodDescriptor) -> Any:
        response = GetMessageClass(method.output_type)

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            behaviour(method, request, context)
            return response()

        def streaming(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            yield response()
            behaviour(method, request, context)

        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        chosen: Any = streaming if method.server_streaming else unary
        return make(
            chosen,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def add(server: grpc.Server) -> None:
        for service in descriptors():
            handlers = {method.name: handler(method) for method in service.methods}
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

    return Service("everything", tuple(service.full_name for service in descriptors()), add)


def call(channel: grpc.Channel, method: MethodDescriptor, request: Any = None, **options: Any) -> list[Any]:
    """Call a method with an empty request, or with `request`; all responses."""
    make = channel.unary_stream if method.server_streaming else channel.unary_unary
    rpc: Any = make(
        path(method),
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    answer = rpc(GetMessageClass(method.input_type)() if request is None else request, **options)
    return list(answer) if method.server_streaming else [answer]


@contextmanager
def serving(service: Service, settings: ServiceSettings | None = None) -> Iterator[RunningServer]:
    """A server for the time of a test."""
    server = serve([service], settings or ServiceSettings())
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def connected(
    server: RunningServer, settings: ServiceSettings | None = None, token: str = ""
) -> Iterator[grpc.Channel]:
    """A channel to a server for the time of a test."""
    channel = connect(server.address, settings or ServiceSettings(), token=token)
    try:
        yield channel
    finally:
        channel.close()
