"""How tables become dlt resources: keys and columns as hints, refusals as warnings, cursors bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dlt
from dlt.extract import DltResource

from . import errors
from .client import Row
from .endpoints import EVENTS, Table
from .events import read_events, unknown_documents
from .listings import read_listing
from .progress import Choices, Progress, disposition_of
from .run import CurrentRun, Project, Run
from .session import logger

UNREADABLE = (errors.SentryPermissionError, errors.SentryNotFoundError, errors.SentryGoneError)
"""What the token, the plan or the server's version does not give; a 401 or a wrong organization is an error."""


@dataclass(frozen=True)
class Context:
    """What all resources of a source share: the run of the load in progress, and what the user asked for."""

    current_run: CurrentRun
    choices: Choices


def plain_resource(table: Table, context: Context) -> DltResource:
    """A whole listing, merged on its key."""

    def rows() -> Iterator[Any]:
        yield from _guarded(table, context, lambda run: read_listing(table, run))

    return _resource(table, rows)


def incremental_resource(
    table: Table,
    context: Context,
    read: Callable[[Run, Progress], Iterator[list[Row]]],
    since: int | None = None,
) -> DltResource:
    """A table of the organization that follows a cursor; ``since`` as in ``Progress``."""

    def rows() -> Iterator[Any]:
        yield from _guarded(table, context, lambda run: _following(context, run, read, since))

    return _with_cursor(_resource(table, rows), table, context.choices)


def event_resources(context: Context, *, full: bool) -> tuple[DltResource, DltResource]:
    """The hidden feeder of projects, and the events that fan out from it."""

    @dlt.resource(name="event_projects", selected=False)
    def event_projects() -> Iterator[Project]:
        yield from context.current_run().projects

    def events(project: Project) -> Iterator[Any]:
        def read(run: Run, progress: Progress) -> Iterator[list[Row]]:
            return read_events(run, progress, project, full=full)

        for item in _guarded(EVENTS, context, lambda run: _following(context, run, read), project.slug):
            documents = unknown_documents(item)
            yield _as_documents(item, documents) if documents else item

    transformer = _resource(EVENTS, events, data_from=event_projects)
    return event_projects, _with_cursor(transformer, EVENTS, context.choices)


def _following(
    context: Context,
    run: Run,
    read: Callable[[Run, Progress], Iterator[list[Row]]],
    since: int | None = None,
) -> Iterator[list[Row]]:
    progress = Progress(context.choices, run, since)
    for page in read(run, progress):
        progress.pass_unfiltered()
        yield page


def _guarded(
    table: Table, context: Context, read: Callable[[Run], Iterator[list[Row]]], project: str | None = None
) -> Iterator[Any]:
    """The table's rows; the table, or one project of it, is skipped with a warning where it cannot be read."""
    run = context.current_run()
    metrics, disposition = dlt.current.resource_metrics(), disposition_of(dlt.current.resource())
    given = 0
    try:
        for page in read(run):
            given += len(page)
            yield page
    except UNREADABLE as refusal:
        # a replaced table would be emptied by it, and rows appended so far would come again
        if context.choices.strict or disposition == "replace" or (disposition == "append" and given):
            raise
        metrics.setdefault("skipped", {})[project or ""] = str(refusal)
        what = f"{table.name} of project {project}" if project else table.name
        logger.warning("Skipped %s: %s What was loaded before stays.", what, refusal)
    finally:
        metrics["requests_of_run"] = run.requests_sent
    if not given:
        yield dlt.mark.materialize_table_schema()


def _resource(table: Table, rows: Callable[..., Iterator[Any]], data_from: Any = None) -> DltResource:
    hints: dict[str, Any] = {
        "name": table.name,
        "primary_key": table.key,
        "write_disposition": "merge",
        "columns": table.column_hints(),
    }
    if data_from is None:
        return dlt.resource(rows, **hints)
    # one level of nesting makes events__tags; everything else that is nested is declared as JSON
    return dlt.transformer(rows, data_from=data_from, max_table_nesting=1, **hints)


def _with_cursor(resource: DltResource, table: Table, choices: Choices) -> DltResource:
    """Bind the cursor as a hint: one instance serves all calls of a transformer, an argument would not."""
    assert table.cursor  # noqa: S101 - the catalogue says so of every table that comes here
    cursor = dlt.sources.incremental[datetime](
        table.cursor,
        initial_value=choices.start,
        end_value=choices.end,
        primary_key=(),
    )
    return resource.apply_hints(incremental=cursor)


def _as_documents(rows: list[Row], names: set[str]) -> Any:
    hints = dlt.mark.make_hints(columns={name: {"data_type": "json"} for name in sorted(names)})
    return dlt.mark.with_hints(rows, hints)
