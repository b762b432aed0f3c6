"""The columns of Explore: fields of error events, and aggregates over groups of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .dates import stamp
from .errors import bad_request
from .model import Event, Row
from .paint import outline_of

HOUR, DAY = 3_600, 86_400

Group = tuple[tuple[object, ...], list[Event]]


@dataclass(frozen=True)
class Field:
    """A field of an event."""

    type: str
    read: Callable[[Event], object]


@dataclass(frozen=True)
class Aggregate:
    """A number or a time that several events add up to."""

    type: str
    read: Callable[[Sequence[Event]], object]


def _time(at: int) -> str:
    """A time as Explore shows it: with `+00:00`, where lists of events have `Z`."""
    return stamp(at).replace("Z", "+00:00")


def _issue(event: Event) -> str:
    return event.issue.short_id if event.issue else "unknown"


def _user_id(event: Event) -> str | None:
    kind, _, ident = (event.user or "").partition(":")
    return ident if kind == "id" else None


def _first(events: Sequence[Event]) -> str | None:
    return _time(min(event.at for event in events)) if events else None


def _last(events: Sequence[Event]) -> str | None:
    return _time(max(event.at for event in events)) if events else None


FIELDS: dict[str, Field] = {
    "id": Field("string", lambda event: event.event_id),
    "timestamp": Field("date", lambda event: _time(event.at)),
    "timestamp.to_hour": Field("date", lambda event: _time(event.at // HOUR * HOUR)),
    "timestamp.to_day": Field("date", lambda event: _time(event.at // DAY * DAY)),
    "project": Field("string", lambda event: event.project.slug),
    "project.name": Field("string", lambda event: event.project.slug),
    "project.id": Field("integer", lambda event: int(event.project.id)),
    "issue": Field("string", _issue),
    "issue.id": Field("integer", lambda event: int(event.issue.id) if event.issue else None),
    "title": Field("string", lambda event: outline_of(event).title),
    "message": Field("string", lambda event: outline_of(event).message),
    "level": Field("string", lambda event: event.level),
    "release": Field("string", lambda event: event.release),
    "environment": Field("string", lambda event: event.environment),
    "platform": Field("string", lambda event: outline_of(event).platform),
    "user.id": Field("string", _user_id),
    "event.type": Field("string", lambda event: outline_of(event).type),
}
AGGREGATES: dict[str, Aggregate] = {
    "count()": Aggregate("integer", len),
    "count_unique(user)": Aggregate("integer", lambda events: len({e.user for e in events if e.user})),
    "min(timestamp)": Aggregate("date", _first),
    "max(timestamp)": Aggregate("date", _last),
    "last_seen()": Aggregate("date", _last),
}


def type_of(name: str) -> str:
    """The type of a column.

    Raises:
        ApiError: 400, when there is none of this name.
    """
    if name in FIELDS:
        return FIELDS[name].type
    if name not in AGGREGATES:
        raise bad_request(f"{name} is not a column or function this stand-in knows")
    return AGGREGATES[name].type


def groups_of(events: Sequence[Event], names: Sequence[str]) -> list[Group]:
    """The events by the values of the fields among these columns, in the order the values come up."""
    reads = [FIELDS[name].read for name in names if name in FIELDS]
    found: dict[tuple[object, ...], list[Event]] = {} if reads else {(): []}
    for event in events:
        found.setdefault(tuple([read(event) for read in reads]), []).append(event)
    return list(found.items())


def row_of(group: Group, names: Sequence[str]) -> Row:
    """A group as a row: the values it was made by, and what its events add up to."""
    values, events = group
    row: Row = dict(zip((name for name in names if name in FIELDS), values, strict=True))
    return {name: row[name] if name in FIELDS else AGGREGATES[name].read(events) for name in names}


def table(events: Sequence[Event], names: Sequence[str]) -> list[Row]:
    """Rows of these columns: one for each event, or for each group when there is an aggregate."""
    if any(name in AGGREGATES for name in names):
        return [row_of(group, names) for group in groups_of(events, names)]
    return [{name: FIELDS[name].read(event) for name in names} for event in events]


def order_of(sorts: Sequence[str], names: Sequence[str]) -> list[tuple[str, bool]]:
    """The columns to sort by, each with whether it falls; `-count` means `-count()`.

    Raises:
        ApiError: 400 for one that is not selected.
    """
    known = {name.replace("(", "_").replace(")", "").rstrip("_"): name for name in names}
    known |= {name: name for name in names}
    for sort in sorts:
        if sort.removeprefix("-") not in known:
            raise bad_request("orderby must also be in the selected columns or groupby")
    return [(known[sort.removeprefix("-")], sort.startswith("-")) for sort in sorts]


def sort_rows(rows: list[Row], order: Sequence[tuple[str, bool]]) -> None:
    """Put rows in order, in place; what is nothing comes last either way."""
    for name, falling in reversed(order):
        rows.sort(key=lambda row: _rank(row[name], falling=falling), reverse=falling)


def _rank(value: object, *, falling: bool) -> tuple[bool, float, str]:
    number = float(value) if isinstance(value, int) else 0.0
    return ((value is not None) == falling, number, value if isinstance(value, str) else "")
