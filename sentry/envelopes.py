"""How a row becomes an event of Sentry's schema, and an event an envelope.

See https://develop.sentry.dev/sdk/foundations/transport/event-payloads/ and
https://develop.sentry.dev/sdk/data-model/envelopes/.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

import orjson
from dlt.common.normalizers.naming.snake_case import NamingConvention

from .errors import SentryError

MAX_EVENT_BYTES = 1 << 20
"""What the relay takes, unpacked (https://develop.sentry.dev/sdk/data-model/envelopes/#size-limits). An envelope
may have 200 MiB; one with a single event of this size is far from it, so that needs no check of its own."""

EVENT_NAMESPACE = UUID("7d0c5cf4-5d5b-5a0c-9f3e-0f6a4f2f9b1e")
"""Ids of rows without one are UUIDv5 in here. Never change it: a replay would send all events a second time."""

OLDEST_AGE = timedelta(days=30)
NEWEST_AGE = timedelta(minutes=-1)
"""Sentry dates what is older, or further ahead, to the moment it came in."""

_LEVELS = {level: level for level in ("debug", "info", "warning", "error", "fatal")}
_LEVELS |= {"log": "info", "warn": "warning", "critical": "fatal"}
_LATEST_SECONDS = 1e11  # the year 5138; more are milliseconds
_NUMBER = re.compile(r"\d{9,}(\.\d*)?")
_USER_COLUMNS = {f"user_{name}": name for name in ("id", "email", "username", "ip_address")}
_EXCEPTION_COLUMNS = {f"exception_{name}": name for name in ("type", "value", "module")}
_LOADED_NAMES = {"context": "extra", "packages": "modules", "date_created": "timestamp"}
_LESSER_FIELDS = {
    "type",
    "request",
    "sdk",
    "modules",
    "stacktrace",
    "template",
    "threads",
    "debug_meta",
    "_meta",
}
_TYPES = ("error", "default", "csp", "hpkp", "expectct", "expectstaple", "nel", "generic")
_JSON = orjson.OPT_NON_STR_KEYS | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z

Document = dict[str, Any]


class UnusableEventError(SentryError):
    """A row that cannot become an event that Sentry takes; nothing was sent of it."""


@dataclass(frozen=True)
class Parcel:
    """An event ready to go.

    Attributes:
        event_id: Its id, 32 hexadecimal digits.
        body: The envelope, packed with gzip.
        is_redated: Sentry will give it the moment it comes in, as its own lies outside of what Sentry keeps.
    """

    event_id: str
    body: bytes
    is_redated: bool


def parcel(row: Mapping[str, Any], now: datetime) -> Parcel:
    """Turn a row into an envelope with one event.

    Raises:
        UnusableEventError: It cannot be an event, or is too large for one.
    """
    if not isinstance(row, Mapping):
        raise UnusableEventError(
            f"A row is an object with columns, but this one is a value of type {type(row).__name__}."
        )
    if row.get("type") == "transaction":
        raise UnusableEventError("Transactions are no error events and cannot be sent this way.")
    document = event_document(row, now)
    payload = to_json(document)
    if len(payload) > MAX_EVENT_BYTES:
        raise UnusableEventError(
            f"The event has {len(payload):,} bytes as JSON; Sentry takes at most {MAX_EVENT_BYTES:,}."
        )
    age = now - (_moment(document["timestamp"]) or now)
    body = gzip.compress(envelope(document["event_id"], payload, now), compresslevel=6, mtime=0)
    return Parcel(document["event_id"], body, not NEWEST_AGE <= age <= OLDEST_AGE)


def envelope(event_id: str, payload: bytes, now: datetime) -> bytes:
    """One event as an envelope: its header, the header of the item, the item.

    The header names no DSN: the key goes in ``X-Sentry-Auth``.

    Args:
        event_id: What Sentry calls the event, whatever the document says.
        payload: The document as JSON.
        now: When it is sent.
    """
    header = {"event_id": event_id, "sent_at": _iso(now)}
    item = {"type": "event", "length": len(payload), "content_type": "application/json"}
    return b"\n".join([orjson.dumps(header), orjson.dumps(item), payload, b""])


def event_document(row: Mapping[str, Any], now: datetime) -> Document:
    """Turn a row, or a document in Sentry's event schema, into an event of that schema.

    Columns are taken by their name, in camel or snake case:

    * ``event_id`` stays (dashes go); without one it is made from the row, so that the same row is the same event.
    * ``timestamp`` is a datetime, ISO text or seconds since 1970; without zone it is UTC; without one it is now.
    * ``level``, ``platform`` (default ``other``), ``message`` or ``logentry``, ``logger``, ``transaction``,
      ``release``, ``dist``, ``environment``, ``server_name``, ``culprit`` are texts.
    * ``tags`` is an object, a list of pairs or of ``{key, value}``.
    * ``user`` is an object; ``user_id``, ``user_email``, ``user_username``, ``user_ip_address`` fill it as well.
    * ``exception`` is one, a list, or ``{"values": [...]}``; ``exception_type``, ``exception_value`` and
      ``exception_module`` make one.
    * ``fingerprint`` is a list or one text.
    * ``extra``, ``contexts`` and ``breadcrumbs`` are as in Sentry's schema.
    * ``request``, ``sdk``, ``modules``, ``threads``, ``stacktrace``, ``template``, ``debug_meta`` and ``type`` are
      so, too, where they have that schema's shape.

    What is an object or a list may come as JSON text. Every other column goes into ``extra`` under its name, but
    for dlt's own (``_dlt_...``) and those without a value. There goes also what cannot be a field of the last kind,
    such as a stack trace that is one text; what cannot be one of the others is an error.

    Rows of the tables ``events`` and ``issue_events`` of this source may be sent again: ``date_created`` is the
    timestamp, ``context`` the extra, ``packages`` the modules, ``title`` the message where there is no other; what
    ``entries`` holds (stack traces, breadcrumbs, request) stays readable in ``extra``, but is not turned back into
    the schema that SDKs send.

    Args:
        row: What was collected.
        now: The timestamp of a row without one.

    Raises:
        UnusableEventError: A column has a value that its field cannot have.
    """
    fields, rest = _split(row)
    _fold(fields, rest, _USER_COLUMNS, "user")
    _fold(fields, rest, _EXCEPTION_COLUMNS, "exception")
    _merge_messages(fields)
    document = _read(fields, rest)
    if not {"logentry", "exception"} & document.keys() and isinstance(rest.get("title"), str):
        document["logentry"] = {"formatted": rest.pop("title")}
    if rest:
        document["extra"] = {**rest, **document.get("extra", {})}
    return {
        "platform": "other",
        "timestamp": _iso(now),
        **document,
        "event_id": document.get("event_id") or made_id(row),
    }


def _read(fields: Document, rest: Document) -> Document:
    """The fields that have a value; what cannot be one of the lesser fields is just a column of that name."""
    document: Document = {}
    for name, value in fields.items():
        try:
            read = _READERS[name](name, value)
        except UnusableEventError:
            if name not in _LESSER_FIELDS:
                raise
            rest.setdefault(name, value)
            continue
        if read not in (None, ""):
            document[name] = read
    return document


def made_id(row: Mapping[str, Any]) -> str:
    """The id of a row that has none: UUIDv5 of its columns with a value, without dlt's own.

    Two equal rows are one event; a column that keeps them apart makes them two. A number counts as its text, and a
    document as its JSON text: which of them it is may depend on what a pipeline has seen before.
    """
    own = {
        str(name): _plainest(value) for name, value in row.items() if value is not None and not _is_dlt(name)
    }
    return uuid5(EVENT_NAMESPACE, to_json(own, orjson.OPT_SORT_KEYS).decode()).hex


def _plainest(value: object) -> object:
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError):
            return orjson.loads(value)
    return str(value) if isinstance(value, int | float) else value


def to_json(value: object, option: int = 0) -> bytes:
    """JSON as Sentry reads it; what JSON does not know becomes text, NaN becomes null.

    Raises:
        UnusableEventError: It cannot be written, such as a number beyond 64 bits or half of a surrogate pair.
    """
    try:
        return orjson.dumps(value, default=_plain, option=_JSON | option)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableEventError(f"The row cannot be written as JSON: {error}.") from None


def _split(row: Mapping[str, Any]) -> tuple[Document, Document]:
    """The values of fields by the field's name, and those of other columns by the column's."""
    fields: Document = {}
    rest: Document = {}
    for column, value in row.items():
        if value is None or _is_dlt(column):
            continue
        name = _field(str(column))
        known = name in _READERS or name in _USER_COLUMNS or name in _EXCEPTION_COLUMNS
        if known and name not in fields:
            fields[name] = value
        else:
            rest[str(column)] = value
    for column in list(rest):
        name = _LOADED_NAMES.get(_field(column), "")
        if name and name not in fields and _fits(name, rest[column]):
            fields[name] = rest.pop(column)
    return fields, rest


def _fits(name: str, value: object) -> bool:
    """Whether a column of a table of this source, rather than of any other, is meant."""
    if name == "timestamp":
        return _moment(value) is not None
    return isinstance(_opened(name, value, text=True), Mapping)


@lru_cache(maxsize=4096)
def _field(column: str) -> str:
    """A column's name in dlt's snake case, which is also how Sentry's schema writes its fields."""
    try:
        return str(NamingConvention().normalize_identifier(column))
    except ValueError:
        return column


def _is_dlt(column: object) -> bool:
    return str(column).startswith("_dlt_")


def _fold(fields: Document, rest: Document, columns: Mapping[str, str], target: str) -> None:
    """Put columns that are parts of one field into that field; those that it has already are no news."""
    parts = {name: fields.pop(column) for column, name in columns.items() if column in fields}
    given = fields.get(target)
    if not parts:
        return
    if given is None or (target == "user" and given == ""):
        fields[target] = parts
    elif target == "user":
        fields[target] = {**parts, **(_user(target, given) or {})}
    else:
        rest.update({column: parts[name] for column, name in columns.items() if name in parts})


def _merge_messages(fields: Document) -> None:
    """Leave ``logentry`` alone: ``message`` is an older name of it, which Sentry takes but its schema has not."""
    message, entry = fields.pop("message", None), fields.get("logentry")
    if isinstance(message, Mapping):
        message, entry = None, entry or message
    if entry not in (None, ""):
        fields["logentry"] = _log_entry("logentry", entry)
    text = _text("message", message) if message is not None else ""
    if text:
        fields["logentry"] = {"formatted": text, **(fields.get("logentry") or {})}


def _event_id(name: str, value: object) -> str | None:
    text = value.hex if isinstance(value, UUID) else str(value).strip().lower()
    if not text:
        return None
    if not re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise _unusable(name, value, "a UUID: 32 hexadecimal digits")
    return text.replace("-", "")


def _timestamp(name: str, value: object) -> str | float | None:
    if isinstance(value, str) and not value.strip():
        return None
    moment = _moment(value)
    if moment is None:
        raise _unusable(name, value, "a moment: a datetime, ISO text, or seconds since 1970")
    return value if isinstance(value, int | float) else _iso(moment)


def _moment(value: object) -> datetime | None:
    """A moment in UTC; None for what is none."""
    if isinstance(value, str):
        text = value.strip()
        value = _number(text) if _NUMBER.fullmatch(text) else _from_iso(text)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    try:
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            seconds = float(value)
            is_moment = math.isfinite(seconds) and 0 <= seconds < _LATEST_SECONDS
            return datetime.fromtimestamp(seconds, UTC) if is_moment else None
    except (OverflowError, ValueError):
        return None
    return None


def _number(text: str) -> float:
    return float(text[:20])


def _from_iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _iso(moment: datetime) -> str:
    return datetime.isoformat(moment).replace("+00:00", "Z")


def _level(name: str, value: object) -> str | None:
    text = str(value).strip().lower()
    if text and text not in _LEVELS:
        raise _unusable(name, value, "one of debug, info, warning, error, fatal")
    return _LEVELS.get(text)


def _type(name: str, value: object) -> str:
    if value not in _TYPES:
        raise _unusable(name, value, "a type of error event")
    return str(value)


def _text(name: str, value: object) -> str:
    if name == "release" and isinstance(value, Mapping):  # a body as Sentry shows it
        value = value.get("version", "")
    if isinstance(value, Mapping | list | tuple | set):
        raise _unusable(name, value, "a text")
    return value if isinstance(value, str) else str(_plain_scalar(value))


def _object(name: str, value: object) -> Document | None:
    opened = _opened(name, value)
    if opened is None:
        return None
    if not isinstance(opened, Mapping):
        raise _unusable(name, value, "an object")
    return dict(opened)


def _extra(name: str, value: object) -> Document | None:
    opened = _opened(name, value, text=True)
    return dict(opened) if isinstance(opened, Mapping) else None if opened is None else {name: opened}


def _log_entry(name: str, value: object) -> Document | None:
    opened = _opened(name, value, text=True)
    return {"formatted": opened} if isinstance(opened, str) else _object(name, opened)


def _user(name: str, value: object) -> Document | None:
    """A user; a bare value is its id."""
    opened = _opened(name, value, text=True)
    if opened is None or isinstance(opened, Mapping):
        return dict(opened) if opened else None
    if isinstance(opened, list):
        raise _unusable(name, value, "an object")
    return {"id": str(opened)}


def _values(name: str, value: object) -> Document | None:
    """Exceptions, breadcrumbs or threads, as Sentry has them: ``{"values": [...]}``."""
    opened = _opened(name, value)
    if opened is None:
        return None
    if isinstance(opened, Mapping):
        outer = dict(opened) if "values" in opened else {"values": [dict(opened)]}
    else:
        outer = {"values": opened}
    items = outer["values"]
    if not isinstance(items, list | tuple) or not all(isinstance(item, Mapping) for item in items):
        raise _unusable(name, value, "an object or a list of objects")
    return {**outer, "values": list(items)} if items else None


def _tags(name: str, value: object) -> dict[str, str] | None:
    opened = _opened(name, value)
    pairs = opened.items() if isinstance(opened, Mapping) else opened
    if pairs is None:
        return None
    try:
        found = [(item["key"], item["value"]) if isinstance(item, Mapping) else _pair(item) for item in pairs]
        tags = {str(key): item for key, item in found if key is not None and item is not None}
    except (KeyError, TypeError, ValueError):
        raise _unusable(name, value, "an object, a list of pairs, or a list of {key, value}") from None
    return {key: item if isinstance(item, str) else _as_text(item) for key, item in tags.items()} or None


def _pair(item: object) -> tuple[object, ...]:
    """A pair; a text of two letters is none."""
    if not isinstance(item, list | tuple):
        raise TypeError(item)
    return tuple(item)


def _fingerprint(name: str, value: object) -> list[str] | None:
    opened = _opened(name, value, text=True)
    if opened is None:
        return None
    if isinstance(opened, Mapping):
        raise _unusable(name, value, "a list of texts")
    parts = opened if isinstance(opened, list | tuple) else [opened]
    return [part if isinstance(part, str) else _as_text(part) for part in parts if part is not None] or None


def _opened(name: str, value: object, *, text: bool = False) -> Any:
    """A value that is an object or a list; JSON text is parsed, the empty text is nothing.

    Args:
        name: The field, for the message.
        value: Its value.
        text: A text that is no JSON, or only the JSON of a text or a number, stays as it is.
    """
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        parsed = value
    if isinstance(parsed, dict | list) or parsed is None:
        return parsed
    if text:
        return value
    raise _unusable(name, value, "an object or a list, as such or as JSON text")


def _as_text(value: object) -> str:
    plain = _plain_scalar(value)
    return plain if isinstance(plain, str) else to_json(plain).decode()


def _plain_scalar(value: object) -> object:
    return _plain(value) if isinstance(value, date | time | bytes | Decimal | UUID) else value


def _plain(value: object) -> object:
    """What JSON does not know, as something that it does."""
    if isinstance(value, datetime):
        return _iso(_moment(value) or value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode(errors="backslashreplace")
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return dict(value) if isinstance(value, Mapping) else str(value)


def _unusable(name: str, value: object, wanted: str) -> UnusableEventError:
    """What a value is shown of may not be personal: reasons are kept, in logs and files."""
    kind = type(value).__name__
    shown = repr(value)[:60] if name in ("event_id", "timestamp", "level") else f"a value of type {kind}"
    return UnusableEventError(f"{name} is {shown}, but must be {wanted}.")


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "event_id": _event_id,
    "timestamp": _timestamp,
    "level": _level,
    "type": _type,
    **dict.fromkeys(("platform", "logger", "transaction", "culprit"), _text),
    **dict.fromkeys(("release", "dist", "environment", "server_name"), _text),
    "logentry": _log_entry,
    "message": _text,
    "tags": _tags,
    "user": _user,
    "extra": _extra,
    "fingerprint": _fingerprint,
    **dict.fromkeys(("exception", "breadcrumbs", "threads"), _values),
    **dict.fromkeys(("contexts", "request", "sdk", "modules", "stacktrace", "template"), _object),
    **dict.fromkeys(("debug_meta", "_meta"), _object),
}
