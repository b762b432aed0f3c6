"""What stands before the application: recording, hooks, failures to order, and the server's date."""

import re
import threading
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qsl, unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .clock import Clock
from .dates import http_date
from .exchange import Exchange, Failure, IncomingRequest, RecordedRequest
from .faults import Injector

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
        self.injector: Injector | None = None

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
        finish = partial(self.finish, incoming, scope, body)
        exchange = Exchange(scope, receive, send, self.date, finish)
        failure = self._failure(incoming.path)
        if failure:
            await _fail(exchange, failure)
        elif self.injector is None or not self._may_be_faulty(incoming):
            await self._app(scope, _again(body, receive), exchange.pass_on)
        else:
            await self.injector.answer(incoming, scope, self._app, exchange)

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

    def _may_be_faulty(self, incoming: IncomingRequest) -> bool:
        """Whether it only reads: a change that fails half-way is another matter."""
        return not incoming.is_write and incoming.path.startswith(self._api)

    def finish(
        self, incoming: IncomingRequest, scope: Scope, sent: bytes, start: Message, parts: list[bytes]
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


async def _fail(exchange: Exchange, failure: Failure) -> None:
    """Answer with a failure, or break the connection."""
    headers = {"content-type": failure.content_type, **failure.headers}
    if failure.drop == "before":
        await exchange.break_off()
    elif failure.drop == "body":
        await exchange.cut(failure.status, headers, failure.body, at=len(failure.body) // 2)
    else:
        await exchange.answer(failure.status, headers, failure.body)


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
