"""How check-ins and replays are read: by windows, with a long look-back, because they change while they run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from . import errors
from .client import Row
from .fanout import Parent, in_parallel, parents_of, path_of
from .progress import Progress
from .rows import table_rows
from .run import Run
from .scans import Scan, until_settled
from .selection import Refusals, Selection, read_projects
from .settings import PAGE_SIZE
from .table import Table
from .windows import Window, likely_time


def read_checkins(table: Table, run: Run, progress: Progress) -> Iterator[list[Row]]:
    """The check-ins of this run's windows, a list per monitor.

    See https://docs.sentry.io/api/crons/retrieve-check-ins-for-a-monitor/.

    Raises:
        SentryRequestError: No monitor can be read, or a refusal is not about access.
    """
    refusals = Refusals(run)
    parents = list(parents_of("monitor", run))
    plan = progress.plan([parent.columns["monitor_id"] for parent in parents], sweeps=False)

    def read(parent: Parent) -> list[Row]:
        scan = _checkins(table, run, parent)
        windows = plan[parent.columns["monitor_id"]]
        return [row for window in windows for rows in scan.read(window) for row in rows]

    for parent, outcome in in_parallel(run, read, parents):
        monitor_id = parent.columns["monitor_id"]
        try:
            rows = outcome()
        except errors.SentryRequestError as refusal:
            refusals.note(monitor_id, refusal)
            continue
        yield table_rows(table, run, rows, **parent.columns)
        for window in plan[monitor_id]:
            progress.cover([monitor_id], window)
    refusals.conclude(len(parents))
    progress.finish()


def read_replays(table: Table, run: Run, progress: Progress) -> Iterator[list[Row]]:
    """The replays with something recorded in this run's windows, each once.

    See https://docs.sentry.io/api/replays/list-an-organizations-replays/.

    Raises:
        SentryRequestError: No project can be read, or a refusal is not about access.
    """
    path = path_of(table, run, {})
    seen: set[str] = set()

    def read(window: Window, selection: Selection) -> Iterator[list[Row]]:
        params = {"project": selection, "per_page": str(PAGE_SIZE), **window.parameters()}
        pages = partial(run.client.pages, path, params, scope=table.scope, rows_at=table.answer)
        for rows in until_settled(pages, seen, partial(run.rejects.with_key, table)):
            yield table_rows(table, run, rows)

    yield from read_projects(run, progress, progress.plan(run.project_ids, sweeps=False), read)
    progress.finish()


def _checkins(table: Table, run: Run, parent: Parent) -> Scan:
    return Scan(
        client=run.client,
        path=path_of(table, run, parent.path),
        scope=table.scope,
        key_of=lambda row: str(row["id"]),
        usable=lambda rows: run.rejects.with_key(table, rows, "id"),
        time_of=lambda row: likely_time(row.get("dateAdded") or row.get("dateCreated"), run.now),
        params={"per_page": str(PAGE_SIZE)},
    )
