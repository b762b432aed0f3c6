"""Requests as they were seen, failures that are waiting for one, and the ways to answer or to break off."""

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import orjson
from starlette.types import Message, Receive, Scope, Send

Drop = Literal["none", "before", "body"]

AT_ONCE = struct.pack("ii", 1, 0)
"""The socket option by which a close becomes a reset."""


@dataclass(frozen=True)
class IncomingRequest:
    """What a hook is told of a request that is not answered yet."""

    method: str
    path: str
    params: list[tuple[str, str]]

    @property
    def is_write(self) -> bool:
        """Whether it may have changed something."""
        return self.method not in {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True)
class RecordedRequest(IncomingRequest):
    """A request and what was answered.

    Attributes:
        headers: Request headers, names in lower case.
        status: The status sent; 0 when the connection was closed without an answer.
        response_headers: Response headers, names in lower case.
        bytes_sent: Length of the body sent.
        body: The body sent, when the server was told to keep bodies.
        request_body: The body received: of every write to the web API, of what goes to the relay when the
            server was told to keep bodies.
    """

    headers: Mapping[str, str]
    status: int
    response_headers: Mapping[str, str]
    bytes_sent: int
    body: bytes | None = None
    request_body: bytes | None = None

    @property
    def request_json(self) -> Any:
        """The JSON received; None when there was no body, or none was kept."""
        return orjson.loads(self.request_body) if self.request_body else None

    def values(self, name: str) -> list[str]:
        """Every value of a query parameter, such as the `id` of a bulk update."""
        return [value for key, value in self.params if key == name]


@dataclass
class Failure:
    """The next `left` matching requests fail like this."""

    left: int
    status: int = 500
    body: bytes = b"<html><body>Internal Server Error</body></html>"
    headers: Mapping[str, str] = field(default_factory=dict)
    path_contains: str = ""
    content_type: str = "text/html"
    drop: Drop = "none"

    def strikes(self, path: str) -> bool:
        """Whether this request fails; it uses up one failure."""
        if self.left <= 0 or self.path_contains not in path:
            return False
        self.left -= 1
        return True


Finish = Callable[[Message, list[bytes]], None]
"""Records a request: the head of its answer, and the parts of the body."""


class Exchange:
    """One request, and the ways to answer it or to break the connection.

    Args:
        scope: The request as the server sees it.
        receive: Tells when the client has gone.
        send: Takes the messages of the answer.
        date: Gives the `Date` header of the answer.
        finish: Records the request; called before the client can know that it is answered.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        date: Callable[[], tuple[bytes, bytes]],
        finish: Finish,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._date = date
        self._finish = finish
        self._start: Message = {"status": 0, "headers": []}
        self._parts: list[bytes] = []

    async def pass_on(self, message: Message) -> None:
        """Send a part of the answer, recorded before its end leaves: without a body that is the end of the head."""
        if message["type"] == "http.response.start":
            self._start = {**message, "headers": [*message["headers"], self._date()]}
            return
        self._parts.append(message.get("body", b""))
        if not message.get("more_body"):
            self._finish(self._start, self._parts)
        if len(self._parts) == 1:
            await self._send(self._start)
        await self._send(message)

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer; a `Date` among the headers takes the place of the server's."""
        start = self._head(status, {**headers, "content-length": str(len(body))})
        self._finish(start, [body])
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    async def break_off(self, *, reset: bool = False) -> None:
        """Close the connection without an answer."""
        self._finish(self._start, [])
        self._close(reset=reset)
        await asyncio.sleep(0.001)  # Lets the protocol see that the connection is lost.

    async def cut(
        self, status: int, headers: Mapping[str, str], body: bytes, *, at: int, reset: bool = False
    ) -> None:
        """Announce a whole body, send so many bytes of it, and close the connection."""
        start = self._head(status, {**headers, "content-length": str(len(body))})
        self._finish(start, [body[:at]])
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body[:at], "more_body": at < len(body)})
        while self._transport.get_write_buffer_size() and not self._transport.is_closing():
            await asyncio.sleep(0.001)
        self._close(reset=reset)
        await asyncio.sleep(0.001)

    async def drip(
        self, status: int, headers: Mapping[str, str], body: bytes, *, pace: float, seconds: float
    ) -> None:
        """Send a body byte by byte, so slowly, and what is left after so long at once."""
        start = self._head(status, {**headers, "content-length": str(len(body))})
        self._finish(start, [body])
        await self._send(start)
        gone = asyncio.ensure_future(self._client_has_gone())
        sent, end = 0, asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end and sent < len(body) - 1 and not gone.done():
            await self._send({"type": "http.response.body", "body": body[sent : sent + 1], "more_body": True})
            sent += 1
            await asyncio.wait([gone], timeout=pace)
        gone.cancel()
        await self._send({"type": "http.response.body", "body": body[sent:]})

    async def never_end(
        self, status: int, headers: Mapping[str, str], body: bytes, *, filler: bytes, seconds: float
    ) -> None:
        """Send a body, and behind it something for as long as the client listens, at the most so long."""
        start = self._head(status, headers)
        self._finish(start, [body])
        await self._send(start)
        gone = asyncio.ensure_future(self._client_has_gone())
        end, part = asyncio.get_running_loop().time() + seconds, body
        while asyncio.get_running_loop().time() < end and not gone.done():
            await self._send({"type": "http.response.body", "body": part, "more_body": True})
            part = filler
            await asyncio.sleep(0)
        gone.cancel()
        self._close(reset=True)
        await asyncio.sleep(0.001)

    async def keep_waiting(self, seconds: float) -> None:
        """Let the client wait, at the most so long, and close the connection."""
        gone = asyncio.ensure_future(self._client_has_gone())
        await asyncio.wait([gone], timeout=seconds)
        gone.cancel()
        await self.break_off()

    async def _client_has_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _head(self, status: int, headers: Mapping[str, str]) -> Message:
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        has_date = any(name == b"date" for name, _ in encoded)
        return {
            "type": "http.response.start",
            "status": status,
            "headers": encoded if has_date else [*encoded, self._date()],
        }

    def _close(self, *, reset: bool) -> None:
        """Close the connection: at its end as an answer would be, or with a reset."""
        if not reset:
            self._transport.close()
            return
        connection = self._transport.get_extra_info("socket")
        if connection is not None and not self._transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self._transport.abort()

    @property
    def _transport(self) -> asyncio.Transport:
        return cast("asyncio.Transport", self._scope["state"]["transport"])
