"""Calls a server the way grpcurl does: with nothing but its address, through the reflection API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


class Reflection:
    """What a server says of itself."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(channel)
        self._pool = DescriptorPool(self._database)

    def services(self) -> list[str]:
        """Full names of all services, as `grpcurl ADDRESS list` prints them."""
        return sorted(self._database.get_services())

    def methods(self, service: str) -> dict[str, MethodDescriptor]:
        """The methods of one service, as `grpcurl ADDRESS describe SERVICE` prints them."""
        return dict(self._pool.FindServiceByName(service).methods_by_name)

    def call(self, service: str, method: str, request: dict[str, Any], timeout: float = 10) -> list[dict[str, Any]]:
        """The responses, one for a unary method, to a request in JSON, as `grpcurl -d REQUEST ADDRESS SERVICE/METHOD` prints them."""
        found = self.methods(service)[method]
        message = json_format.ParseDict(request, GetMessageClass(found.input_type)())
        make = self._channel.unary_stream if found.server_streaming else self._channel.unary_unary
        rpc: Any = make(
            f"/{service}/{method}",
            request_serializer=lambda sent: sent.SerializeToString(),
            response_deserializer=GetMessageClass(found.output_type).FromString,
        )
        answer = rpc(message, timeout=timeout)
        responses: Iterator[Any] = answer if found.server_streaming else iter([answer])
        return [json_format.MessageToDict(response) for response in responses]
