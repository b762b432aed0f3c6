"""What JSON can say and databases cannot store: found quickly, replaced, and counted.

PostgreSQL stores no NUL in text or JSON (https://www.postgresql.org/docs/current/datatype-json.html); half a
surrogate pair is no Unicode; whole numbers end at 64 bits nearly everywhere; NaN and infinity are no JSON.

What is of another type than its column goes to a column beside it, which dlt makes
(https://dlthub.com/docs/general-usage/schema#variant-columns); here is what keeps it from failing there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import orjson
from dlt.common.schema.detections import is_iso_timestamp

from .settings import DEEPEST_NESTING

Row = dict[str, Any]

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_LARGEST = 2**63
"""Where whole numbers of databases end."""


class NotFinite(float):
    """NaN or infinity as an answer had it; of another type than other numbers, as writers of JSON make it null."""


def finite_or_not(written: str) -> float:
    """The number, by its text in an answer."""
    number = float(written)
    return number if math.isfinite(number) else NotFinite(number)


class Plain(Row):
    """A row that was looked at when its answer was parsed, and can be stored as it is.

    Looked at there, by the thread that has just made it, it costs a tenth of what it costs later in another thread.
    """


def marked(row: Row) -> Row:
    """The row, as ``Plain`` if it can be stored as it is."""
    return Plain(row) if _is_storable(row) else row


def storable(row: Row) -> tuple[Row, int]:
    """The row as any destination can store it.

    NUL and halves of surrogate pairs become the replacement character. A number beyond 64 bits becomes text,
    in scientific notation, so that dlt does not take it for a number again. NaN and infinity become null.
    What is nested deeper than ``DEEPEST_NESTING`` becomes JSON text.

    Args:
        row: A row with JSON in it.

    Returns:
        The same row where all is well, else another one; and how many values had to be replaced.
    """
    if _is_storable(row):
        return row, 0
    cleaner = _Cleaner()
    return cleaner.mapping(row, 1), cleaner.replaced


def fitting(value: Any, data_type: str) -> Any:
    """A value that dlt can load into a column of a type, or into one beside it.

    Some values look as if they were of that type, and then fail: a text of digits beyond 64 bits, a moment before
    the year 1 or after 9999, JSON text that is a mere text. They come in a list, as JSON text, which looks like
    nothing else.

    Args:
        value: The value.
        data_type: The type, by dlt's name.

    Returns:
        The value; JSON text in place of what is nested, or of a list with the value; for a JSON column what a JSON
        text says.
    """
    if data_type == "json":
        if not isinstance(value, str):
            return value
        said = _said(value)
        if isinstance(said, (dict, list)):
            return storable({"": said})[0][""]
        is_trap = said is None or isinstance(said, str)
    elif isinstance(value, (dict, list)):
        return as_text(value)
    else:
        is_trap = data_type in _TRAPS and _TRAPS[data_type](value)
    if data_type not in ("text", "timestamp"):  # the column beside it would be one of moments from then on
        is_trap = is_trap or is_iso_timestamp(type(value), value) is not None
    return as_text([value]) if is_trap else value


def _is_storable(row: Row) -> bool:
    """Writing it as JSON is a hundred times as fast as looking at each value, and refuses nearly all of it."""
    for value in row.values():
        if isinstance(value, (int, float)) and not -_LARGEST <= value < _LARGEST:
            return False
    try:
        return b"\\u0000" not in orjson.dumps([[row]], default=_as_dlt_writes)  # dlt puts rows into lists
    except TypeError:
        return False


def _as_dlt_writes(value: object) -> str:
    """What is not of JSON, such as a moment.

    Raises:
        TypeError: It is a number that is none.
    """
    if isinstance(value, NotFinite):
        raise TypeError
    return str(value)


class _Cleaner:
    """Replaces, and counts what it replaced."""

    def __init__(self) -> None:
        self.replaced = 0

    def mapping(self, value: Row, depth: int) -> Row:
        cleaned: Row = {}
        for name, part in value.items():
            key = self.text(str(name))
            while key in cleaned:  # two names that differ only in what was replaced
                key += REPLACEMENT
            cleaned[key] = self.value(part, depth)
        return cleaned

    def value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (dict, list)):
            if depth >= DEEPEST_NESTING:
                self.replaced += 1
                return as_text(value)
            if isinstance(value, dict):
                return self.mapping(value, depth + 1)
            return [self.value(part, depth + 1) for part in value]
        return self.number(value) if isinstance(value, (int, float)) else value

    def number(self, value: float) -> Any:
        if -_LARGEST <= value < _LARGEST:
            return value
        self.replaced += 1
        is_whole = isinstance(value, int)  # which may be too large for isfinite
        return f"{Decimal(value):e}" if is_whole or math.isfinite(value) else None

    def text(self, value: str) -> str:
        if "\0" not in value and value.isascii():
            return value
        cleaned = (
            value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", REPLACEMENT)
        )
        self.replaced += cleaned != value
        return cleaned


def _said(text: str) -> Any:
    """What a JSON text says; a number where it is no JSON."""
    try:
        return orjson.loads(text)
    except ValueError:
        return math.nan


def _is_no_moment(value: Any) -> bool:
    """Whether a moment lies before the year 1 or after 9999 in UTC, though perhaps not where it was written."""
    if isinstance(value, str):
        if value[:4] in ("0001", "9999"):
            return _leaves_calendar(value)
        if value[4:5] == "-":  # a date, as nearly always
            return False
        value = _number(value)
    return isinstance(value, (int, float)) and not abs(value) <= _LAST_SECOND


def _leaves_calendar(text: str) -> bool:
    try:
        datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        return True
    except ValueError:
        return False
    return False


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_long_integer(value: Any) -> bool:
    if not isinstance(value, str) or len(value) < _SHORTEST_LONG_INTEGER:
        return False
    digits = value.strip()
    try:
        number = int(digits[2:], 16) if digits.startswith("0x") else int(digits)
    except ValueError:
        return False
    return not -_LARGEST <= number < _LARGEST


def _is_no_finite_number(value: Any) -> bool:
    number = _number(value) if isinstance(value, str) else None
    return number is not None and not math.isfinite(number)


_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""

_SHORTEST_LONG_INTEGER = 18
"""Characters of the shortest text that may be a number beyond 64 bits: ``0x8000000000000000``."""

_TRAPS: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {"timestamp": _is_no_moment, "bigint": _is_long_integer, "double": _is_no_finite_number}
)


def as_text(value: Any) -> str:
    """JSON text, also of something too deep for writers that call themselves: from the leaves up."""
    parts = [value]
    for part in parts:  # grows as it goes
        parts += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    written: dict[int, str] = {}
    for part in reversed(parts):
        if isinstance(part, dict):
            fields = (f"{json.dumps(name)}: {written[id(child)]}" for name, child in part.items())
            written[id(part)] = f"{{{', '.join(fields)}}}"
        elif isinstance(part, list):
            written[id(part)] = f"[{', '.join(written[id(child)] for child in part)}]"
        else:
            written[id(part)] = json.dumps(part)
    return written[id(value)]
