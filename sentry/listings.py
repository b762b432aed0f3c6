"""How a plain table is read: the pages of its listing, each row labelled, each key once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from .client import Row
from .endpoints import MEMBERS, ORGANIZATIONS, PROJECTS, Table
from .run import Run


def read_listing(table: Table, run: Run) -> Iterator[list[Row]]:
    """All rows of a plain table, page by page.

    Args:
        table: Its entry in the catalogue.
        run: The extraction.

    Raises:
        SentryRequestError: A page could not be had.
    """
    seen: set[str] = set()
    for page in _pages(table, run):
        yield [_finish(table, run, row) for row in unseen(page, "id", seen)]


def unseen(rows: Iterable[Row], key: str, seen: set[str]) -> list[Row]:
    """The rows whose key was not seen before, each once; their keys count as seen from here on."""
    fresh = {str(row[key]): row for row in rows if str(row[key]) not in seen}
    seen.update(fresh)
    return list(fresh.values())


def without(row: Row, dropped: Iterable[str]) -> Row:
    """The row without some fields."""
    return {name: value for name, value in row.items() if name not in dropped}


def parse_time(value: Any) -> datetime | None:
    """A moment as Sentry writes it, with or without fraction; None for what is no moment."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _pages(table: Table, run: Run) -> Iterable[list[Row]]:
    if table is ORGANIZATIONS:
        return [run.organization_rows()]
    if table is PROJECTS:
        return [run.project_rows]
    path = table.path.format(organization=run.organization.slug)
    if table.paged:
        return run.client.listing(path, table.params, scope=table.scope)
    return (page.rows for page in run.client.pages(path, table.params, scope=table.scope))


def _finish(table: Table, run: Run, row: Row) -> Row:
    row = without(row, table.dropped)
    if table is ORGANIZATIONS:
        return row
    if table is MEMBERS:
        user = row.get("user")
        row["user_id"] = user.get("id") if isinstance(user, dict) else None
    return run.label(row)
