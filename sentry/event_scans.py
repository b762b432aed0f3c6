"""The two listings of error events, as scans: a project's and an issue's; newest first, full or simple.

See https://docs.sentry.io/api/events/list-a-projects-error-events/ and
https://docs.sentry.io/api/events/list-an-issues-events/. They hold the same events with the same fields.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from .client import Parameters, Row
from .endpoints import EVENTS, ISSUE_EVENTS
from .fanout import path_of
from .run import Project, Run
from .scans import Scan
from .settings import PAGE_SIZE
from .windows import likely_time

_SIMPLE = {"per_page": str(PAGE_SIZE)}


def event_scan(
    run: Run, project: Project, *, full: bool, when_ignored: Callable[[], None] = lambda: None
) -> Scan:
    """How a project's events are read."""
    return Scan(
        client=run.client,
        path=f"projects/{run.organization.slug}/{project.slug}/events/",
        scope=EVENTS.scope,
        key_of=_key_of,
        usable=lambda rows: run.rejects.with_key(EVENTS, rows, "eventID"),
        time_of=partial(_time_of, run.now, "dateCreated"),
        other_time_of=partial(_time_of, run.now, "dateReceived"),
        params=_params(full=full),
        cheap_params=_SIMPLE,
        when_ignored=when_ignored,
    )


def issue_scan(run: Run, issue_id: str, *, full: bool) -> Scan:
    """How an issue's events are read."""
    return Scan(
        client=run.client,
        path=path_of(ISSUE_EVENTS, run, {"issue": issue_id}),
        scope=ISSUE_EVENTS.scope,
        key_of=_key_of,
        usable=lambda rows: run.rejects.with_key(ISSUE_EVENTS, rows, "eventID"),
        time_of=partial(_time_of, run.now, "dateCreated"),
        params=_params(full=full),
        cheap_params=_SIMPLE,
    )


def event_path(run: Run, project: Project, event_id: str) -> str:
    """Where a single event is."""
    return f"projects/{run.organization.slug}/{project.slug}/events/{event_id}/"


def single_event(run: Run, project: Project, event_id: str) -> Row:
    """An event as lists show it, read alone; see https://docs.sentry.io/api/events/retrieve-an-event-for-a-project/.

    Raises:
        SentryNotFoundError: It is gone.
        SentryRequestError: It could not be had.
    """
    row: Row = run.client.get(event_path(run, project, event_id), scope=EVENTS.scope)
    return {name: value for name, value in row.items() if name not in _OF_NEIGHBOURS}


_OF_NEIGHBOURS = ("userReport", "sdkUpdates", "resolvedWith", "nextEventID", "previousEventID")
"""What the answer about a single event has beside what lists show, but for its release as an object."""


def _params(*, full: bool) -> Parameters:
    """Servers of 2025 and before read any ``full``, also ``full=false``, as true: the simple form leaves it out."""
    return {**_SIMPLE, "full": "true"} if full else _SIMPLE


def _key_of(row: Row) -> str:
    return str(row["eventID"])


def _time_of(now: int, name: str, row: Row) -> datetime | None:
    return likely_time(row.get(name), now)
