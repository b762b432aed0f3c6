"""How a plain table is read: the pages of its listing, or of one listing per parent, each key once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .client import Row
from .endpoints import ORGANIZATIONS, PROJECTS
from .fanout import Parent, pages_of, parents_of, read_children
from .rows import once, table_rows
from .run import Run
from .selection import Refusals
from .table import Table


def read_listing(table: Table, run: Run) -> Iterator[list[Row]]:
    """All rows of a plain table, page by page or parent by parent.

    Args:
        table: Its entry in the catalogue.
        run: The extraction.

    Raises:
        SentryRequestError: A page could not be had, or no parent can be read.
    """
    seen: set[tuple[object, ...]] = set()
    for rows in _below_parents(table, run) if table.parent else _of_organization(table, run):
        yield list(once(table, rows, seen))


def _below_parents(table: Table, run: Run) -> Iterator[list[Row]]:
    assert table.parent  # noqa: S101 - the caller looked
    refusals = Refusals(run)
    parents = list(parents_of(table.parent, run))
    for _, rows in read_children(table, run, parents, refusals):
        yield rows
    refusals.conclude(len(parents))


def _of_organization(table: Table, run: Run) -> Iterator[list[Row]]:
    for page in _pages(table, run):
        yield table_rows(table, run, page)


def _pages(table: Table, run: Run) -> Iterable[list[Row]]:
    if table is ORGANIZATIONS:
        return [run.organization_rows()]
    if table is PROJECTS:
        return [run.project_rows]
    return pages_of(table, run, Parent({}, {}))
