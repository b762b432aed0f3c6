"""What an endpoint hands back, before it becomes an HTTP response."""

from dataclasses import dataclass, field

import orjson


@dataclass(slots=True)
class Answer:
    """A response in the making."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def json_answer(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A JSON answer."""
    return Answer(orjson.dumps(value), status, dict(headers or {}))
