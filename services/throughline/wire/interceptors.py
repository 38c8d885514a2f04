"""What stands before every servicer: errors become statuses."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import Any, NoReturn

import grpc

from throughline.domain.errors import ThroughlineError
from throughline.wire.errors import status_of
from throughline.wire.handlers import Behaviour, Continuation, Handler, behaviour_of, with_behaviour

_log = logging.getLogger(__name__)


class ErrorInterceptor(grpc.ServerInterceptor):
    """Ends a call with the status of the ThroughlineError that its servicer raised.

    Any other exception is a bug: the caller gets INTERNAL and a reference, the log gets the reference and the traceback.
    """

    def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        guard = _guarded_stream if handler.response_streaming else _guarded
        return with_behaviour(handler, guard(behaviour_of(handler), handler_call_details.method))


def _guarded(behaviour: Behaviour, method: str) -> Behaviour:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return behaviour(request, context)
        except Exception as error:
            _abort(error, method, context)

    return call


def _guarded_stream(behaviour: Behaviour, method: str) -> Behaviour:
    def call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from behaviour(request, context)
        except Exception as error:
            _abort(error, method, context)

    return call


def _abort(error: Exception, method: str, context: grpc.ServicerContext) -> NoReturn:
    if context.code() is not None:  # type: ignore[attr-defined]  # the servicer ended the call itself
        raise error
    if isinstance(error, ThroughlineError):
        code, details, metadata = status_of(error)
        _log.info("%s ended with %s: %s", method, code.name, details)
        context.set_trailing_metadata(metadata)
        context.abort(code, details)
    reference = uuid.uuid4().hex[:12]
    _log.error("%s failed, reference %s", method, reference, exc_info=error)
    context.abort(grpc.StatusCode.INTERNAL, f"internal error; the server's log explains it under reference {reference}")
