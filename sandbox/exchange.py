"""Requests as they were seen, and failures that are waiting for one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

Drop = Literal["none", "before", "body"]


@dataclass(frozen=True)
class IncomingRequest:
    """What a hook is told of a request that is not answered yet."""

    method: str
    path: str
    params: list[tuple[str, str]]


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

    @property
    def is_write(self) -> bool:
        """Whether it may have changed something."""
        return self.method not in {"GET", "HEAD", "OPTIONS"}

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
