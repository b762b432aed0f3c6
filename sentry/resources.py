"""How tables become dlt resources: keys and columns as hints, refusals as warnings, cursors bound."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import dlt
import orjson
from dlt.common.schema.typing import TColumnSchema
from dlt.extract import DltResource

from . import errors
from .choices import Choices, Kind, cursor_of, disposition_of
from .client import Row
from .endpoints import EVENTS
from .events import read_events, unknown_documents
from .issue_events import read_issue_events
from .issues import read_issues, read_of_issues
from .listings import read_listing
from .log import logger
from .monitoring import read_checkins, read_replays
from .progress import Progress
from .releases import read_of_releases, read_releases
from .rows import table_row
from .run import CurrentRun, Project, Run
from .selection import UNREADABLE, note_failure
from .settings import CHANGING_LOOKBACK_SECONDS, FIRST_RELEASE
from .table import Table, column_name, moment, text
from .usage import read_days

Pages = Iterator[list[Row]]

SKIPPED = "_sentry_skipped"
"""The table that says which tables could not be read, when last, and why."""

REJECTED = "_sentry_rejected"
"""The table with rows that lack their key, and so cannot be told from others."""

_ASIDE = {
    SKIPPED: (
        text("table_name", "The table"),
        text("reason", "Why it could not be read"),
        moment("skipped_at", "When last"),
    ),
    REJECTED: (
        text("table_name", "Where the row belongs"),
        text("row_id", "A hash of the row"),
        text("reason", "Why it cannot be loaded"),
        text("row", "The row, as JSON"),
        moment("rejected_at", "When last"),
    ),
}


@dataclass(frozen=True)
class Context:
    """What all resources of a source share: the run of the load in progress, and what the user asked for."""

    current_run: CurrentRun
    choices: Choices


@dataclass(frozen=True)
class Following:
    """How a table that follows a cursor is read, and how its rows age and change."""

    read: Callable[[Table, Run, Progress], Pages]
    kind: Kind


_OF_EVENTS = Kind(retained=True)
_CHANGING = Kind(lookback=CHANGING_LOOKBACK_SECONDS)
_CHUNKED = Kind(retained=True, chunked=True)

_FOLLOWING: Mapping[str, Following] = MappingProxyType(
    {
        "releases": Following(read_releases, Kind(since=FIRST_RELEASE)),
        "issues": Following(read_issues, _OF_EVENTS),
        "feedback": Following(read_issues, _OF_EVENTS),
        "issue_events": Following(read_issue_events, _CHUNKED),
        "monitor_checkins": Following(read_checkins, _CHANGING),
        "replays": Following(read_replays, _CHANGING),
        "usage_stats": Following(read_days, _CHANGING),
        "release_health": Following(read_days, _CHANGING),
        "project_stats": Following(read_days, _CHANGING),
    }
)


def resources_of(table: Table, context: Context, *, full_events: bool) -> list[DltResource]:
    """The resource of a table; for ``events`` also the hidden one that feeds it with projects."""
    if table is EVENTS:
        return list(_event_resources(context, full=full_events))

    def rows() -> Iterator[Any]:
        yield from _guarded(table, context, lambda run: _pages(table, context, run))

    resource = _resource(table, rows)
    return [_with_cursor(resource, table, context.choices) if table.cursor else resource]


def _pages(table: Table, context: Context, run: Run) -> Pages:
    if table.cursor:
        following = _FOLLOWING.get(table.name, Following(read_of_issues, _OF_EVENTS))
        progress = Progress(context.choices, run, following.kind)
        return _unfiltered(following.read(table, run, progress), progress)
    if table.parent == "release":
        disposition = disposition_of(dlt.current.resource())
        # what is appended must not come again only because time has passed
        interval = math.inf if disposition == "append" else context.choices.sweep_interval
        return read_of_releases(table, run, sweep_interval=interval, all_of_them=disposition == "replace")
    return read_listing(table, run)


def _event_resources(context: Context, *, full: bool) -> tuple[DltResource, DltResource]:
    @dlt.resource(name="event_projects", selected=False)
    def event_projects() -> Iterator[list[Project]]:
        yield context.current_run().projects  # as one item: of many, dlt would read all at a time

    def events(projects: list[Project]) -> Iterator[Any]:
        for project in projects:
            yield from events_of(project)

    def events_of(project: Project) -> Iterator[Any]:
        def read(run: Run) -> Pages:
            progress = Progress(context.choices, run, _CHUNKED)
            return _unfiltered(read_events(run, progress, project, full=full), progress)

        for item in _guarded(EVENTS, context, read, project.slug):
            documents = unknown_documents(item) if isinstance(item, list) else set()
            yield _as_documents(item, documents) if documents else item

    transformer = _resource(EVENTS, events, data_from=event_projects)
    return event_projects, _with_cursor(transformer, EVENTS, context.choices)


def _unfiltered(pages: Pages, progress: Progress) -> Pages:
    for page in pages:
        progress.pass_unfiltered()
        yield page


def _guarded(
    table: Table, context: Context, read: Callable[[Run], Pages], project: str | None = None
) -> Iterator[Any]:
    """The table's rows; the table, or one project of it, is skipped with a warning where it cannot be read."""
    _check_naming()
    run = context.current_run()
    resource = dlt.current.resource()
    metrics, disposition = dlt.current.resource_metrics(), disposition_of(resource)
    run.once(("metrics", table.name), metrics.clear)  # dlt keeps those of an earlier run of the same source
    given = 0
    try:
        for page in _shaped(table, read(run)):
            given += len(page)
            yield page
            yield from _rejected(run, resource)
    except errors.SentryRequestError as refusal:
        # a replaced table would be emptied by it, and rows appended so far would come again
        if run.strict or disposition == "replace" or (disposition == "append" and given):
            raise
        # servers before Snuba fail for good where they would need it
        fails_for_good = refusal.status == 500 and run.is_before_organization_issues
        skipped = metrics.setdefault("skipped", {})
        if isinstance(refusal, UNREADABLE) or fails_for_good:
            skipped[project or ""] = str(refusal)
            what = f"{table.name} of project {project}" if project else table.name
            run.warn_once(f"Skipped {what}: {refusal} What was loaded before stays.")
        else:
            note_failure(run, table.name, f"project {project}" if project else "", refusal)
        if project is None or len(skipped) == len(run.projects):
            yield _skipped(table, resource, refusal)
    finally:
        _note_metrics(run, metrics)
    yield from _rejected(run, resource)
    if not given and not _is_upserted(resource):
        yield dlt.mark.materialize_table_schema()


def _shaped(table: Table, pages: Pages) -> Pages:
    """The pages; where an answer is not what Sentry documents, the error says so.

    Raises:
        SentryResponseError: An answer has another shape.
    """
    try:
        yield from pages
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:
        logger.debug("An answer of another shape:", exc_info=True)
        raise errors.SentryResponseError(
            f"An answer has not the shape that Sentry documents ({type(problem).__name__}). The debug log says "
            "where.",
            path=table.path,
        ) from problem


def _note_metrics(run: Run, metrics: dict[str, Any]) -> None:
    tally = run.tally
    metrics["load_id"] = run.load_id
    metrics["requests_of_run"] = tally.requests
    metrics["rate_limited_of_run"] = tally.refused
    metrics["seconds_waited_of_run"] = round(tally.waited, 1)
    metrics["values_replaced_of_run"] = run.replaced


def _is_upserted(resource: DltResource) -> bool:
    """Whether rows get their id from their key, which dlt's marker of an empty table does not have."""
    hint: Any = resource.write_disposition
    is_chosen = isinstance(hint, dict) and hint.get("strategy") == "upsert"
    # table formats know no other way to merge
    return is_chosen or resource.compute_table_schema().get("table_format") in ("delta", "iceberg")


def _check_naming() -> None:
    """Keys and columns are declared in snake case; under another convention rows would miss them.

    A destination of the user's own takes names as they are, and that is well.
    """
    naming = dlt.current.source_schema().naming
    is_chosen = dlt.config.get("schema.naming") is not None
    if is_chosen and column_name("lastSeen") != naming.normalize_identifier("lastSeen"):
        raise errors.SentryConfigurationError(
            f"This source needs dlt's naming convention snake_case, not {naming.name()}. Take it out of the "
            "configuration (schema.naming), or load into a pipeline of its own."
        )


def _skipped(table: Table, resource: DltResource, refusal: errors.SentryRequestError) -> Any:
    """A row for the table of skipped tables."""
    row = {"table_name": table.name, "reason": str(refusal), "skipped_at": datetime.now(UTC)}
    return _aside(resource, SKIPPED, row)


def _rejected(run: Run, resource: DltResource) -> Iterator[Any]:
    """Rows for the table of rejected rows."""
    for reject in run.rejects.take():
        row = orjson.dumps(table_row(reject.table, run, reject.row), default=str)
        run.warn_once(f"Rows of {reject.table.name} without their key are in {REJECTED}.")
        yield _aside(
            resource,
            REJECTED,
            {
                "table_name": reject.table.name,
                "row_id": hashlib.blake2s(row, digest_size=16).hexdigest(),
                "reason": reject.reason,
                "row": row.decode(),
                "rejected_at": datetime.now(UTC),
            },
        )


def _aside(resource: DltResource, name: str, row: Row) -> Any:
    """A row for another table than that of its resource."""
    cursor = cursor_of(resource)
    if cursor is not None:
        cursor.advance(None)
    # a variant begins with the columns of its resource: they have no place there
    resource.apply_hints(table_name=name, columns={}, create_table_variant=True)
    columns = _ASIDE[name]
    hints = dlt.mark.make_hints(
        table_name=name,
        primary_key=[column.name for column in columns if column.name in ("table_name", "row_id")],
        write_disposition="merge",
        columns={
            column.name: TColumnSchema(
                name=column.name, data_type=column.type, description=column.description
            )
            for column in columns
        },
    )
    return dlt.mark.with_hints(row, hints, create_table_variant=True)


def _resource(table: Table, rows: Callable[..., Iterator[Any]], data_from: Any = None) -> DltResource:
    hints: dict[str, Any] = {
        "name": table.name,
        "primary_key": table.key,
        "write_disposition": "merge",
        "columns": table.column_hints(),
        "selected": table.default,
    }
    if data_from is None:
        return dlt.resource(rows, **hints)
    # one level of nesting makes events__tags; everything else that is nested is declared as JSON
    return dlt.transformer(
        rows, data_from=data_from, max_table_nesting=1, nested_hints={"tags": _TAG_HINTS}, **hints
    )


_TAG_HINTS = dlt.mark.make_nested_hints(
    columns={
        column.name: TColumnSchema(name=column.name, data_type=column.type, description=column.description)
        for column in (text("key", "Key of the tag"), text("value", "Value of the tag, as text"))
    }
)
"""Without them the first value of all decides: one that looks like a moment makes a column of moments."""


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
