"""How a row of an answer becomes a row of its table: what goes, what is added."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .client import Row
from .run import Run
from .table import Table, column_name


def table_row(table: Table, run: Run, row: Row, **parents: Any) -> Row:
    """The row as it is loaded: without secrets and noise, with what it hangs on.

    Args:
        table: Its table.
        run: The extraction.
        row: As the server gave it.
        parents: Ids and slugs of what it hangs on.
    """
    kept = {
        name: value
        for name, value in _without_secrets(row, table.secrets).items()
        if name not in table.dropped and (not table.only_declared or column_name(name) in table.column_types)
    }
    for name, path in table.derived.items():
        if kept.get(name) is None:
            kept[name] = _at(row, path)
    kept |= parents
    if "organization_id" in table.column_types:
        kept |= {"organization_id": run.organization.id, "organization_slug": run.organization.slug}
    for name, value in kept.items():
        if isinstance(value, _NO_TEXT) and table.column_types.get(column_name(name)) == "text":
            kept[name] = json.dumps(value)
    return _with_key(table, kept)


_NO_TEXT = (bool, list, dict)
"""What some servers send where others send text: it becomes JSON text, not a column of its own."""


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


def _at(row: Row, path: tuple[str, ...]) -> Any:
    value: Any = row
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _without_secrets(value: Any, secrets: frozenset[str]) -> Any:
    """The value without fields of these names, however deep they lie."""
    if not secrets:
        return value
    if isinstance(value, dict):
        return {
            name: _address_alone(part) if f"{name}?" in secrets else _without_secrets(part, secrets)
            for name, part in value.items()
            if name not in secrets
        }
    if isinstance(value, list):
        return [_without_secrets(part, secrets) for part in value]
    return value


def _address_alone(value: Any) -> Any:
    """An address without query, user name and password."""
    if not isinstance(value, str):
        return value
    scheme, separator, rest = value.partition("?")[0].rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
