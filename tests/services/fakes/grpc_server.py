"""A gRPC server in this process, from functions that take and return a client's own messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from tests.services.process import HOST

Method = Callable[[Any], Any]


class Refused(Exception):
    """What a fake raises to answer with an error."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


@contextmanager
def serve(service: str, methods: Mapping[str, tuple[Any, Method]]) -> Iterator[grpc.Channel]:
    """Serve methods, given with the type of their request; yields a channel to them."""
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    handlers = {name: _handler(request, act) for name, (request, act) in methods.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    channel = grpc.insecure_channel(f"{HOST}:{port}")
    try:
        yield channel
    finally:
        channel.close()
        server.stop(None).wait()


def _handler(request: Any, act: Method) -> grpc.RpcMethodHandler:
    def answer(message: Any, context: grpc.ServicerContext) -> Any:
        try:
            return act(message)
        except Refused as refused:
            context.abort(refused.code, refused.text)

    read: Any = getattr(request, "deserialize", None) or request.FromString
    return grpc.unary_unary_rpc_method_handler(answer, request_deserializer=read, response_serializer=_write)


def _write(message: Any) -> bytes:
    kind = type(message)
    data: bytes = kind.serialize(message) if hasattr(kind, "serialize") else message.SerializeToString()
    return data
