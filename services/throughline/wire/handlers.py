"""Putting something before a servicer's method, whatever it streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import grpc

Behaviour = Callable[[Any, grpc.ServicerContext], Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Continuation = Callable[[grpc.HandlerCallDetails], "Handler | None"]


def behaviour_of(handler: Handler) -> Behaviour:
    """The function that serves the handler's calls."""
    behaviour: Behaviour = getattr(handler, _arity(handler))
    return behaviour


def with_behaviour(handler: Handler, behaviour: Behaviour, *, parse: bool = True) -> Handler:
    """A handler of the same streams; without `parse`, requests reach the behaviour as bytes."""
    make = getattr(grpc, f"{_arity(handler)}_rpc_method_handler")
    result: Handler = make(behaviour, handler.request_deserializer if parse else None, handler.response_serializer)
    return result


def _arity(handler: Handler) -> str:
    sides = (handler.request_streaming, handler.response_streaming)
    return "_".join("stream" if streaming else "unary" for streaming in sides)
