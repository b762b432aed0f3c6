"""The envelope format: a header line, then for each item a header line and a payload."""

from dataclasses import dataclass, field

import orjson


class BadEnvelopeError(Exception):
    """The bytes are no envelope."""


@dataclass
class Envelope:
    """An envelope taken apart: its header, and the kind and payload of each item."""

    header: dict[str, object]
    items: list[tuple[str, bytes]] = field(default_factory=list)


def parse_envelope(raw: bytes) -> Envelope:
    """Take an envelope apart.

    Raises:
        BadEnvelopeError: It is malformed.
    """
    line, position = _line(raw, 0)
    envelope = Envelope(_header(line))
    while position < len(raw):
        line, position = _line(raw, position)
        if not line:
            continue
        header = _header(line)
        kind, length = header.get("type"), header.get("length")
        if not isinstance(kind, str):
            raise BadEnvelopeError("item without type")
        if isinstance(length, int):
            payload = raw[position : position + length]
            if len(payload) < length:
                raise BadEnvelopeError("item shorter than its length")
            position += length + 1
        else:
            payload, position = _line(raw, position)
        envelope.items.append((kind, payload))
    return envelope


def _line(raw: bytes, start: int) -> tuple[bytes, int]:
    end = raw.find(b"\n", start)
    end = len(raw) if end < 0 else end
    return raw[start:end], end + 1


def _header(line: bytes) -> dict[str, object]:
    try:
        header = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise BadEnvelopeError("header is no JSON") from None
    if not isinstance(header, dict):
        raise BadEnvelopeError("header is no object")
    return header
