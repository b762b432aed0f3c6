"""How a row of an answer becomes a row of its table: what goes, what is added."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from functools import lru_cache
from itertools import count
from typing import Any

import dlt
from dlt.common.data_types import py_type_to_sc_type
from dlt.common.schema.detections import is_iso_timestamp

from .client import Row
from .rejects import is_missing
from .run import Run
from .storable import Plain, as_text, fitting, storable
from .table import Table, column_name


def table_rows(table: Table, run: Run, rows: Iterable[Row], **parents: Any) -> list[Row]:
    """The rows as they are loaded; one without its key goes to the rejected rows.

    Args:
        table: Their table.
        run: The extraction.
        rows: As the server gave them.
        parents: Ids and slugs of what they hang on.
    """
    own = [name for name in table.key if name not in {*map(column_name, parents), *_MAY_BE_NULL}]
    found = []
    for row in rows:
        columns = _columns(table, run, row, parents)
        given = {column_name(name): value for name, value in columns.items()}
        missing = [name for name in own if is_missing(given.get(name), may_be_empty=name in _MAY_BE_EMPTY)]
        if missing or row.keys() == {""}:  # so comes what was no object
            run.rejects.note(table, row, missing or table.key)
        else:
            found.append(_with_key(table, columns))
    return found


_MAY_BE_NULL = {
    "organization_id",
    "repository_id",
    "value",
    "reason",
    "release",
    "environment",
    "category",
    "outcome",
}
"""Parts of keys that say something when they are null, or that every row gets."""

_MAY_BE_EMPTY = {"name"}
"""A part of a key that may be the empty text: projects of old servers know an environment of that name."""


def table_row(table: Table, run: Run, row: Row, **parents: Any) -> Row:
    """The row as it is loaded: without secrets and noise, with what it hangs on, as any destination can store it.

    Args:
        table: Its table.
        run: The extraction.
        row: As the server gave it, with its key.
        parents: Ids and slugs of what it hangs on.
    """
    return _with_key(table, _columns(table, run, row, parents))


def _columns(table: Table, run: Run, row: Row, parents: Row) -> Row:
    wanted = {
        name: value
        for name, value in row.items()
        if name not in table.dropped and (not table.only_declared or _column(name) in table.column_types)
    }
    kept = _without_secrets(wanted, table.secrets)
    for name, path in table.derived.items():
        if kept.get(name) is None:
            kept[name] = _at(row, path)
    added = parents
    if "organization_id" in table.column_types:
        added = added | {"organization_id": run.organization.id, "organization_slug": run.organization.slug}
    if isinstance(row, Plain):
        own, replaced = storable(added)
        stored = kept | own
    else:
        stored, replaced = storable(kept | added)
    if replaced:
        run.count_replaced(replaced)
    stored = _apart(stored, table, added)
    allowed = run.privacy.applied(table, stored)
    return {
        name: value if value is None else _typed(table, run, name, value) for name, value in allowed.items()
    }


def _typed(table: Table, run: Run, name: str, value: Any) -> Any:
    """A value as the column of its field can have it, or as a column beside that."""
    data_type = table.type_of(name)
    if data_type == "text":
        # some servers send these where others send text
        return as_text(value) if isinstance(value, (bool, list, dict)) else value
    if name == "tags" and table.name == "events":  # they become a table of their own
        return _tags(value)
    column = column_name(name)
    for possible in [data_type] if data_type else _types_seen(table, run, column, value):
        value = fitting(value, possible)
    return value


def _types_seen(table: Table, run: Run, column: str, value: Any) -> list[str]:
    """The types that a column may have which the catalogue does not know: dlt guesses it from its first value."""
    loaded = run.once(("columns", table.name), lambda: _loaded_types(table))
    seen: set[str] = run.once(("column", table.name, column), lambda: set(filter(None, [loaded.get(column)])))
    seen.add(_guessed(value))
    return sorted(
        seen, key=lambda data_type: data_type != "json"
    )  # what a JSON text says is to fit the others


def _loaded_types(table: Table) -> dict[str, str]:
    columns = dlt.current.source_schema().tables.get(table.name, {}).get("columns", {})
    return {name: str(column["data_type"]) for name, column in columns.items() if column.get("data_type")}


def _guessed(value: Any) -> str:
    """The type of a column that the catalogue does not know, as dlt guesses it from the first value."""
    if isinstance(value, str):
        return "timestamp" if is_iso_timestamp(str, value) else "text"
    return str(py_type_to_sc_type(type(value)))


def _tags(value: Any) -> Any:
    """Tags as objects of texts, whatever was sent in their place."""
    if isinstance(value, dict):
        value = [{"key": key, "value": said} for key, said in value.items()]
    return [_tag(tag) for tag in (value if isinstance(value, list) else [value])]


def _tag(tag: Any) -> Row:
    if type(tag) is dict and len(tag) == 2 and type(tag.get("key")) is type(tag.get("value")) is str:
        return tag  # as nearly always
    named: Row = tag if isinstance(tag, dict) else {"value": tag}
    if named.keys() <= _OF_TAGS and all(map(_is_text, named.values())):
        return named
    return {
        name: value if value is None or (isinstance(value, str) and name in _OF_TAGS) else as_text(value)
        for name, value in _apart(named).items()
    }


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_OF_TAGS = {"key", "value", "query"}


_NAMELESS = "x"
"""The column of a field whose name has nothing that a column's may have; dlt's own choice where any is left."""


def _column(name: str) -> str:
    """The column of a field; dlt's own columns are not for Sentry to fill."""
    if not name.strip():
        return _NAMELESS
    column = column_name(name)
    return f"{_NAMELESS}{column}" if column.startswith("_dlt_") else column


@lru_cache(maxsize=10_000)
def _is_plain(name: str) -> bool:
    """Whether dlt gives a field that column: two underscores in a row would be a path to it."""
    return "__" not in name and bool(name.strip()) and _column(name) == column_name(name)


def _apart(row: Row, table: Table | None = None, added: Iterable[str] = ()) -> Row:
    """The row with a column for each field, where dlt would let the last of those that become the same one win.

    The field with the lowest rank gets the column; the others get ``_2``, ``_3``... behind its name, unless they
    say the same.

    Args:
        row: The row.
        table: Its table; None: the field that is named as the column goes first.
        added: Fields that this source has added.
    """
    fields = _fields(tuple(row), table, tuple(added))
    if fields is None:
        return row
    apart: Row = {}
    for place, column, first, others in fields:
        apart[place] = row[first]
        for name in others:
            if str(row[name]) != str(row[first]):
                apart[_spare(column, {column for _, column, _, _ in fields}, apart)] = row[name]
    return apart


@lru_cache(maxsize=1_000)
def _fields(
    names: tuple[str, ...], table: Table | None, added: tuple[str, ...]
) -> list[tuple[str, str, str, list[str]]] | None:
    """For each column the name under which it is loaded, itself, the field that gets it, and the others.

    None where each field becomes a column of its own. It hangs on names alone, which most rows of a table share.
    """
    columns: dict[str, list[str]] = {}
    for name in names:
        columns.setdefault(_column(name), []).append(name)
    if all(map(_is_plain, names)) and len(columns) == len(names):
        return None
    found = []
    for column, rivals in columns.items():
        first, *others = sorted(rivals, key=lambda name: _rank(name, column, table, added))
        found.append((first if _is_plain(first) else column, column, first, others))
    return found


def _spare(column: str, *taken: Container[str]) -> str:
    return next(
        name for number in count(2) if not any((name := f"{column}_{number}") in names for names in taken)
    )


def _rank(name: str, column: str, table: Table | None, added: Container[str]) -> int:
    """The lower, the more a field is the one that its column is for: Sentry writes most names in camel case."""
    if table is None:
        return int(name != column)
    if name in added:
        return 0
    if name == table.cursor or name in table.derived:
        return 1
    return 2 if (name != column) == ("_" in column) else 3


def _with_key(table: Table, row: Row) -> Row:
    """The row with the empty text where its key has nothing: a key is never null."""
    given = {column_name(name): name for name in row}
    for name in table.key:
        field = given.get(name, name)
        if row.get(field) is None:
            row[field] = ""
    return row


def unseen(rows: Iterable[Row], key: str, seen: set[str]) -> list[Row]:
    """The rows whose key was not seen before, each once; their keys count as seen from here on."""
    fresh = {str(row[key]): row for row in rows if str(row[key]) not in seen}
    seen.update(fresh)
    return list(fresh.values())


def once(table: Table, rows: Iterable[Row], seen: set[tuple[object, ...]]) -> Iterator[Row]:
    """Each key once: rows that move between two pages come twice."""
    for row in rows:
        named = {column_name(name): value for name, value in row.items()}
        key = tuple(str(named.get(name)) for name in table.key)
        if key not in seen:
            seen.add(key)
            yield row


def _at(row: Row, path: tuple[str, ...]) -> Any:
    value: Any = row
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _without_secrets(row: Row, secrets: frozenset[str]) -> Row:
    """The row without fields of these names, however deep they lie."""
    if not secrets:
        return row
    cleaned: Row = {}
    copies: list[tuple[Any, Any]] = [(row, cleaned)]
    for (
        value,
        copy,
    ) in copies:  # grows as it goes: a function that calls itself would end at a thousand levels
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            if name in secrets:
                continue
            kept = _address_alone(part) if f"{name}?" in secrets else part
            if isinstance(kept, (dict, list)):
                copies.append((kept, kept := type(kept)()))
            if isinstance(copy, dict):
                copy[name] = kept
            else:
                copy.append(kept)
    return cleaned


def _address_alone(value: Any) -> Any:
    """An address without query, user name and password."""
    if not isinstance(value, str):
        return value
    scheme, separator, rest = value.partition("?")[0].rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
