"""What a row says of an issue, read and checked before anything is sent.

https://docs.sentry.io/api/events/update-an-issue/ lists the fields and their values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from .errors import SentryConfigurationError
from .issue_changes import CONDITIONS, RELEASE_KINDS, Change, Values
from .settings import LONGEST_IGNORE_WINDOW_MINUTES
from .table import column_name

Ending = Literal["merge", "discard", "delete"]

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "status": "status",
        "substatus": "substatus",
        "status_details": "statusDetails",
        "assigned_to": "assignedTo",
        "priority": "priority",
        "has_seen": "hasSeen",
        "is_bookmarked": "isBookmarked",
        "is_subscribed": "isSubscribed",
        "is_public": "isPublic",
    }
)
"""Columns that change an issue, with Sentry's names for them."""

ENDINGS: Mapping[str, Ending] = MappingProxyType(
    {"merge_into": "merge", "discard": "discard", "delete": "delete"}
)
"""Columns that end an issue: nobody can undo them."""

COLUMNS = ("issue_id", "id", *FIELDS, *ENDINGS)

_SUBSTATUSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "resolved": (),
        "unresolved": ("escalating", "ongoing", "regressed", "new"),
        "ignored": ("archived_until_escalating", "archived_until_condition_met", "archived_forever"),
    }
)
_OTHER_NAMES = {"muted": "ignored", "resolvedInNextRelease": "resolved"}
_PRIORITIES = ("low", "medium", "high")
_DETAILS = {column_name(name): name for name in (*RELEASE_KINDS, *CONDITIONS)}
_LARGEST_ID = 2**63 - 1


class InvalidRowError(ValueError):
    """A row that makes no sense; the message names the column."""


@dataclass(frozen=True)
class IssueRow:
    """A row that makes sense.

    Attributes:
        issue_id: The issue.
        change: What it shall be like; nothing for a row that ends it.
        ending: How it shall end, if it shall.
        merge_into: The issue that it shall be merged into.
    """

    issue_id: str
    change: Change
    ending: Ending | None = None
    merge_into: str = ""


def check_columns(rows: Iterable[Values]) -> None:
    """Look for columns that no row may have; dlt's own are left alone, and so is what is null everywhere.

    Raises:
        SentryConfigurationError: There are some.
    """
    unknown = sorted({name for row in rows for name in _unknown(row)})
    if unknown:
        raise SentryConfigurationError(f"{_cannot_have(unknown)}. Nothing was sent.")


def _unknown(row: Values) -> list[str]:
    return [
        name
        for name, value in row.items()
        if not _is_null(value) and column_name(name) not in COLUMNS and not name.startswith("_dlt_")
    ]


def _cannot_have(columns: list[str]) -> str:
    return f"Rows about issues cannot have the column {', '.join(columns)}. These are allowed: {', '.join(COLUMNS)}"


def read_row(row: Values) -> IssueRow:
    """What a row says.

    Raises:
        InvalidRowError: It makes no sense.
    """
    if unknown := sorted(_unknown(row)):
        raise InvalidRowError(_cannot_have(unknown))
    given: dict[str, Any] = {}
    for name, value in row.items():
        column = column_name(name)
        if _is_null(value) or name.startswith("_dlt_"):
            continue
        if isinstance(value, str) and "\0" in value:
            raise InvalidRowError(f"{column} holds a NUL, which Sentry cannot store")
        if given.setdefault(column, value) != value:
            raise InvalidRowError(f"{column} is given twice, and differently")
    issue_id = _issue_id(given)
    endings = {name: _READ_ENDING[name](given[name]) for name in ENDINGS if name in given}
    endings = {name: value for name, value in endings.items() if value}
    fields = {FIELDS[name]: _READ[name](given[name]) for name in FIELDS if name in given}
    if endings and (fields or len(endings) > 1):
        raise InvalidRowError(f"{' and '.join(endings)} must stand alone in a row")
    if not endings:
        return IssueRow(issue_id, Change(_checked_status(fields)))
    ((column, into),) = endings.items()
    if into == issue_id:
        raise InvalidRowError("merge_into names the issue itself")
    return IssueRow(issue_id, Change({}), ENDINGS[column], into if isinstance(into, str) else "")


def named_issue(row: Values) -> str | None:
    """The issue as a row names it, whether it makes sense or not."""
    named = (value for name, value in row.items() if column_name(name) in ("issue_id", "id"))
    return next((str(value) for value in named if not _is_null(value)), None)


def _issue_id(given: Values) -> str:
    ids = {_read_id(name, given[name]) for name in ("issue_id", "id") if name in given}
    if len(ids) != 1:
        raise InvalidRowError("issue_id and id differ" if ids else "issue_id is missing")
    return ids.pop()


def _is_null(value: object) -> bool:
    """None, or what data frames have in its place: NaN, which is unlike itself."""
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124 - a NaN


def _read_id(column: str, value: object) -> str:
    if isinstance(value, float) and value.is_integer() and value < 2**53:  # as pandas has columns with gaps
        value = int(value)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and re.fullmatch("[0-9]{1,19}", text) and 0 < int(text) <= _LARGEST_ID:
        return str(int(text))
    raise InvalidRowError(f"{column} {value!r} is not the number of an issue")


def _choice(column: str, value: object, choices: Iterable[str]) -> str:
    if isinstance(value, str) and value in choices:
        return value
    raise InvalidRowError(f"{column} {value!r} is none of {', '.join(choices)}")


def _boolean(column: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise InvalidRowError(f"{column} {value!r} is neither true nor false")


def _assignee(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and value < 2**53:  # as pandas has columns with gaps
        value = int(value)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and (
        re.fullmatch("((user|team):)?[0-9]+|[^:]*", text) and (not text or text.strip())
    ):
        return text.strip()
    raise InvalidRowError(
        f"assigned_to {value!r} is neither user:<id>, team:<id>, an id, an e-mail address, a user name, nor empty"
    )


def _details(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise InvalidRowError(f"status_details {value!r} is no JSON") from None
    if not isinstance(value, dict):
        raise InvalidRowError(f"status_details {value!r} is no object")
    details: dict[str, Any] = {}
    for key, detail in value.items():
        name = _DETAILS.get(column_name(str(key)))
        if name is None:
            raise InvalidRowError(f"status_details.{key} is none of {', '.join(_DETAILS.values())}")
        if detail is not None:
            details[name] = _detail(name, detail)
    if len(details.keys() & set(RELEASE_KINDS)) > 1:
        raise InvalidRowError(f"status_details has several of {', '.join(RELEASE_KINDS)}")
    return details


def _detail(name: str, value: Any) -> Any:
    place = f"status_details.{name}"
    if name in ("inNextRelease", "inUpcomingRelease"):
        if value is True:
            return True
        raise InvalidRowError(f"{place} can only be true")  # Sentry resolves for false as well
    if name == "inRelease":
        if isinstance(value, str) and value.strip():
            return value.strip()
        raise InvalidRowError(f"{place} {value!r} is no version")
    if name == "inCommit":
        parts = value if isinstance(value, dict) else {}
        if parts.keys() == {"commit", "repository"} and all(
            isinstance(part, str) and part for part in parts.values()
        ):
            return dict(parts)
        raise InvalidRowError(f"{place} needs a commit and a repository")
    most = LONGEST_IGNORE_WINDOW_MINUTES if name.endswith("Window") else _LARGEST_ID
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most:
        return value
    limit = f" of at most {most:,} minutes" if name.endswith("Window") else ""
    raise InvalidRowError(f"{place} {value!r} is not a positive whole number{limit}")


def _checked_status(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields, with details and substatus that fit the status; Sentry overlooks them without one."""
    sent, details, substatus = fields.get("status"), fields.get("statusDetails"), fields.get("substatus")
    if sent is None:
        for name, value in (("status_details", details), ("substatus", substatus)):
            if value is not None:
                raise InvalidRowError(f"{name} needs a status")
        return fields
    status = _OTHER_NAMES.get(sent, sent)
    if sent == "resolvedInNextRelease":
        details = {**(details or {}), "inNextRelease": True}
    if substatus is not None and substatus not in _SUBSTATUSES[status]:
        raise InvalidRowError(f"substatus {substatus} does not fit the status {status}")
    fitting = {"resolved": RELEASE_KINDS, "ignored": CONDITIONS}.get(status, ())
    for name in details or {}:
        if name not in fitting:
            raise InvalidRowError(f"status_details.{name} does not fit the status {status}")
    if len((details or {}).keys() & set(RELEASE_KINDS)) > 1:
        raise InvalidRowError("status resolvedInNextRelease does not go with another release")
    rest = {name: value for name, value in fields.items() if name != "statusDetails"}
    return {**rest, "status": status, **({"statusDetails": details} if details else {})}


_READ: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "status": lambda value: _choice("status", value, (*_SUBSTATUSES, *_OTHER_NAMES)),
        "substatus": lambda value: _choice("substatus", value, sum(_SUBSTATUSES.values(), ())),
        "status_details": _details,
        "assigned_to": _assignee,
        "priority": lambda value: _choice("priority", value, _PRIORITIES),
        "has_seen": lambda value: _boolean("has_seen", value),
        "is_bookmarked": lambda value: _boolean("is_bookmarked", value),
        "is_subscribed": lambda value: _boolean("is_subscribed", value),
        "is_public": lambda value: _boolean("is_public", value),
    }
)
_READ_ENDING: Mapping[str, Callable[[Any], str | bool]] = MappingProxyType(
    {
        "merge_into": lambda value: _read_id("merge_into", value),
        "discard": lambda value: _boolean("discard", value),
        "delete": lambda value: _boolean("delete", value),
    }
)
