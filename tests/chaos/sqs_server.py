"""An SQS of this machine that tells what it holds: moto's over HTTP, `sqs_server.py PORT`, in a process of its own.

It keeps everything in memory: killed and started again it has lost all messages and all queues. Beyond SQS it answers
`GET /chaos/messages`, past the proxy: which messages there are, and who was handed each last. A Worker is
known by the user agent of its requests.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

from flask import has_request_context, request
from moto.moto_server.werkzeug_app import (  # pyright: ignore[reportMissingTypeStubs]
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.sqs.models import Message, Queue, sqs_backends
from werkzeug.serving import run_simple

LOOK = "/chaos/messages"
StartResponse = Callable[[str, list[tuple[str, str]]], object]


def remember_holders() -> None:
    """Note with each message who received it last."""
    mark_received = Message.mark_received

    def mark_and_remember(message: Any, visibility_timeout: int | None = None) -> None:
        mark_received(message, visibility_timeout)
        message.holder = request.headers.get("User-Agent", "") if has_request_context() else ""

    Message.mark_received = mark_and_remember  # pyright: ignore[reportAttributeAccessIssue]  # its first name is not self


def delete_in_one_piece() -> None:
    """moto writes a new list without the message, and would lose what another thread adds meanwhile. SQS does not."""
    delete = Queue.delete_message

    def delete_message(queue: Any, receipt_handle: str) -> None:
        with queue._messages_lock:
            delete(queue, receipt_handle)

    Queue.delete_message = delete_message  # pyright: ignore[reportAttributeAccessIssue]  # the same


def messages() -> list[dict[str, object]]:
    """All messages on all queues."""
    return [
        {
            "queue": name,
            "id": message.id,
            "body": message.body,
            "attributes": message.message_attributes,
            "holder": getattr(message, "holder", ""),
            "handle": message.receipt_handle or "",
            "in_flight": not message.visible,
        }
        for account in list(sqs_backends.values())
        for backend in list(account.values())
        for name, queue in list(backend.queues.items())
        for message in list(queue._messages)
    ]


class Application:
    """moto's, and what it does not tell."""

    def __init__(self) -> None:
        self._moto: Any = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != LOOK:
            return self._moto(environ, start_response)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(messages()).encode()]


def stop(*_: object) -> None:
    sys.exit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, stop)
    remember_holders()
    delete_in_one_piece()
    run_simple("127.0.0.1", int(sys.argv[1]), Application(), threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
