"""What stands before the application: recording, hooks, failures to order, and the server's date."""

import asyncio
import re
import threading
from collections.abc import Callable
from typing import cast
from urllib.parse import parse_qsl, unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .clock import Clock
from .dates import http_date
from .exchange import Failure, IncomingRequest, RecordedRequest

Hook = Callable[[IncomingRequest], object]


class Gate:
    """Lets requests through to the application and remembers them."""

    def __init__(self, app: ASGIApp, clock: Clock, prefix: str, *, record_bodies: bool) -> None:
        self._app = app
        self._clock = clock
        self._api = f"{prefix}/api/0/"
        self._unseen = f"{prefix}/__truth__"
        self._record_bodies = record_bodies
        self._lock = threading.Lock()
        self._recorded: list[RecordedRequest] = []
        self.hooks: list[Hook] = []
        self.failures: list[Failure] = []
        self.hook_error: Exception | None = None

    @property
    def requests(self) -> list[RecordedRequest]:
        """A copy of what was recorded."""
        with self._lock:
            return list(self._recorded)

    def clear(self) -> None:
        """Forget what was recorded."""
        with self._lock:
            self._recorded.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        incoming = IncomingRequest(scope["method"], _path(scope), pairs)
        if incoming.path.startswith(self._api):
            self._call_hooks(incoming)
        body = b"" if incoming.method == "GET" else await _body(receive)
        exchange = _Exchange(self, incoming, scope, send, body)
        failure = self._failure(incoming.path)
        if failure:
            await exchange.fail(failure)
        else:
            await self._app(scope, _again(body, receive), exchange.pass_on)

    def _failure(self, path: str) -> Failure | None:
        if path == self._unseen:
            return None
        return next((one for one in self.failures if one.strikes(path)), None)

    def _call_hooks(self, incoming: IncomingRequest) -> None:
        for hook in list(self.hooks):
            try:
                hook(incoming)
            except Exception as error:  # noqa: BLE001 - raised again when the server stops, where tests see it
                self.hook_error = self.hook_error or error

    def finish(
        self, incoming: IncomingRequest, scope: Scope, start: Message, parts: list[bytes], sent: bytes
    ) -> None:
        """Record a request before the client can know that it is answered."""
        if incoming.path == self._unseen:
            return
        recorded = RecordedRequest(
            incoming.method,
            incoming.path,
            incoming.params,
            _texts(scope["headers"]),
            start["status"],
            _texts(start["headers"]),
            sum(len(part) for part in parts),
            b"".join(parts) if self._record_bodies else None,
            sent if self._record_bodies or incoming.path.startswith(self._api) else None,
        )
        with self._lock:
            self._recorded.append(recorded)

    def date(self) -> tuple[bytes, bytes]:
        """The `Date` header: the clock of the server, by which clients pin their windows."""
        return b"date", http_date(self._clock.now).encode()


class _Exchange:
    """One request and its answer."""

    def __init__(self, gate: Gate, incoming: IncomingRequest, scope: Scope, send: Send, body: bytes) -> None:
        self._gate = gate
        self._incoming = incoming
        self._scope = scope
        self._send = send
        self._body = body
        self._start: Message = {"status": 0, "headers": []}
        self._parts: list[bytes] = []

    async def pass_on(self, message: Message) -> None:
        """Send a part of the answer, recorded before its end leaves: without a body that is the end of the head."""
        if message["type"] == "http.response.start":
            self._start = {**message, "headers": [*message["headers"], self._gate.date()]}
            return
        self._parts.append(message.get("body", b""))
        if not message.get("more_body"):
            self._finish(self._start, self._parts)
        if len(self._parts) == 1:
            await self._send(self._start)
        await self._send(message)

    async def fail(self, failure: Failure) -> None:
        """Answer with a failure, or break the connection."""
        if failure.drop == "before":
            self._finish(self._start, [])
            self._transport.abort()
            await asyncio.sleep(0.001)  # Lets the protocol see that the connection is lost.
            return
        headers = {
            "content-type": failure.content_type,
            "content-length": str(len(failure.body)),
            **failure.headers,
        }
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        start = {"type": "http.response.start", "status": failure.status, "headers": encoded}
        if failure.drop == "none":
            await self.pass_on(start)
            await self.pass_on({"type": "http.response.body", "body": failure.body})
            return
        half = failure.body[: len(failure.body) // 2]
        self._finish(start, [half])
        await self._send(start)
        await self._send({"type": "http.response.body", "body": half, "more_body": True})
        self._transport.close()
        await asyncio.sleep(0.001)

    def _finish(self, start: Message, parts: list[bytes]) -> None:
        self._gate.finish(self._incoming, self._scope, start, parts, self._body)

    @property
    def _transport(self) -> asyncio.Transport:
        return cast("asyncio.Transport", self._scope["state"]["transport"])


def _path(scope: Scope) -> str:
    """The path asked for, decoded but for slashes inside a name, such as the version of a release."""
    raw = scope["raw_path"].decode("latin-1").partition("?")[0]
    return "%2F".join(unquote(part) for part in re.split("%2f", raw, flags=re.IGNORECASE))


async def _body(receive: Receive) -> bytes:
    """The whole body of a request; what came of it when the client went away."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Hands a body that was read already to the application, then listens on."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def listen() -> Message:
        return waiting.pop() if waiting else await receive()

    return listen


def _texts(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
