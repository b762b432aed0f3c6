"""The envelope format: a header line, then for each item a header line and a payload.

https://develop.sentry.dev/sdk/data-model/envelopes/
"""

import re
from dataclasses import dataclass, field

import orjson

EVENT_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class BadEnvelopeError(Exception):
    """The bytes are no envelope."""


@dataclass
class Envelope:
    """An envelope taken apart: its header, and the kind and payload of each item."""

    header: dict[str, object]
    event_id: str | None = None
    items: list[tuple[str, bytes]] = field(default_factory=list)


def parse_envelope(raw: bytes) -> Envelope:
    """Take an envelope apart.

    Raises:
        BadEnvelopeError: It is malformed.
    """
    line, position = _line(raw, 0)
    header = _header(line, "envelope header")
    envelope = Envelope(header, _event_id(header))
    while position < len(raw):
        line, position = _line(raw, position)
        if not line.strip():
            if position >= len(raw):
                raise BadEnvelopeError("unexpected end of file")
            continue
        kind, length = _item(_header(line, "item header"))
        payload, position = _line(raw, position) if length is None else _counted(raw, position, length)
        envelope.items.append((kind, payload))
    return envelope


def read_event_id(value: object) -> str | None:
    """An event id as 32 hexadecimal digits, None when it is none; dashes of a UUID are left out."""
    text = value.lower() if isinstance(value, str) else ""
    return text.replace("-", "") if EVENT_ID.fullmatch(text) else None


def _event_id(header: dict[str, object]) -> str | None:
    sent = header.get("event_id")
    read = read_event_id(sent)
    if sent is not None and read is None:
        raise BadEnvelopeError("invalid envelope header", "event_id is no UUID")
    return read


def _item(header: dict[str, object]) -> tuple[str, int | None]:
    """The kind of an item, and its length when that is told."""
    kind, length = header.get("type"), header.get("length")
    if not isinstance(kind, str):
        raise BadEnvelopeError("invalid item header", "missing field `type`")
    if length is None:
        return kind, None
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise BadEnvelopeError("invalid item header", "length is no number of bytes")
    return kind, length


def _counted(raw: bytes, start: int, length: int) -> tuple[bytes, int]:
    """A payload of so many bytes, behind which its line has to end."""
    end = min(start, len(raw)) + length
    if end > len(raw):
        raise BadEnvelopeError("unexpected end of file")
    if raw[end : end + 1] not in {b"", b"\n"}:
        raise BadEnvelopeError("missing newline after header or payload")
    return raw[start:end], end + 1


def _line(raw: bytes, start: int) -> tuple[bytes, int]:
    end = raw.find(b"\n", start)
    end = len(raw) if end < 0 else end
    return raw[start:end], end + 1


def _header(line: bytes, what: str) -> dict[str, object]:
    if not line.strip():
        raise BadEnvelopeError(f"missing {what}")
    try:
        header = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadEnvelopeError(f"invalid {what}", str(error)) from None
    if not isinstance(header, dict):
        raise BadEnvelopeError(f"invalid {what}", "it is no object")
    return header
