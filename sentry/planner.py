"""What a load will take: requests and minutes per table, reckoned from a few looks at Sentry's numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dlt
from dlt.common.configuration import with_config
from dlt.common.typing import TSecretStrValue

from .config import connect, time_range
from .counts import events_in
from .endpoints import DEFAULT_TABLES, EVENTS, FEEDBACK, ISSUE_EVENTS, ISSUES, TABLES
from .errors import SentryRequestError
from .issues import issues_listing
from .refusals import header_number
from .run import Run
from .settings import FULL_PAGE_SIZE, HISTORY_DAYS, LOOKBACK_SECONDS, PAGE_SIZE
from .table import Table
from .windows import DAY, Window, floor_seconds, still_missing, union


@dataclass(frozen=True)
class Planned:
    """What a table will take.

    Attributes:
        table: Its name.
        requests: How many.
        seconds: How long they take, by Sentry's limits.
        at_least: Whether there may be more, because nothing tells how many pages or parents there are.
        how: The way, and what it was reckoned from.
    """

    table: str
    requests: int
    seconds: float
    at_least: bool
    how: str


@dataclass(frozen=True)
class Plan:
    """What a load will take.

    Attributes:
        start: The oldest moment that is still to be read.
        end: The newest.
        events: How many error events Sentry counts there; None if it does not count.
        issues: How many issues were seen there; None if it does not tell.
        most_issues: Where Sentry stops counting issues.
        projects: How many projects are read.
        tables: The tables.
    """

    start: datetime
    end: datetime
    events: int | None
    issues: int | None
    most_issues: int | None
    projects: int
    tables: tuple[Planned, ...]

    @property
    def requests(self) -> int:
        """How many requests, together."""
        return sum(table.requests for table in self.tables)

    @property
    def seconds(self) -> float:
        """How long they take: what waits for one limit waits while other tables are read."""
        return max((table.seconds for table in self.tables), default=0.0)


@with_config(sections=("sources", "sentry"))
def plan(  # noqa: PLR0913 - as sentry_source
    pipeline: dlt.Pipeline | None = None,
    tables: Iterable[str] = DEFAULT_TABLES,
    auth_token: TSecretStrValue | None = None,
    organization: str | None = None,
    base_url: str | None = None,
    projects: list[str] | None = None,
    start_date: str | None = None,
    end_date: str | None = None,
    *,
    event_bodies: bool = True,
    lookback: int = LOOKBACK_SECONDS,
    allow_insecure: bool = False,
) -> Plan:
    """Reckon what a load will take; nothing is loaded, and only a handful of requests is sent.

    Args:
        pipeline: The pipeline that would be run: what it has read already needs no reading.
        tables: Names of the tables.
        auth_token: As for ``sentry_source``, and so are the others.
        organization: Slug or id.
        base_url: Host or URL of the server.
        projects: Slugs or ids.
        start_date: First moment of history.
        end_date: Exclusive end.
        event_bodies: Full events or simple ones.
        lookback: Seconds that are read again.
        allow_insecure: Allow plain http to hosts other than this machine.

    Returns:
        The requests and seconds per table.

    Raises:
        SentryError: The server, the token or the organization is wrong.
    """
    connection = connect(auth_token, organization, base_url, projects, allow_insecure=allow_insecure)
    run = Run(connection)
    start, end = time_range(start_date, end_date)
    wanted = Window(
        floor_seconds(start) if start else run.now - HISTORY_DAYS * DAY,
        floor_seconds(end) if end else run.now,
    )
    missing = _missing(pipeline, run, wanted, lookback, is_exact=end is not None)
    facts = _facts(run, missing, FULL_PAGE_SIZE if event_bodies else PAGE_SIZE)
    return Plan(
        start=datetime.fromtimestamp(min((window.start for window in missing), default=run.now), UTC),
        end=datetime.fromtimestamp(wanted.end, UTC),
        events=facts.events,
        issues=facts.issues,
        most_issues=facts.most_issues,
        projects=len(run.projects),
        tables=tuple(_planned(TABLES[name], run, facts) for name in tables),
    )


@dataclass(frozen=True)
class _Facts:
    """What a few looks have told."""

    events: int | None
    issues: int | None
    most_issues: int | None
    windows: int
    page: int

    @property
    def is_all_issues(self) -> bool:
        return self.issues is not None and (self.most_issues is None or self.issues < self.most_issues)


def _missing(
    pipeline: dlt.Pipeline | None, run: Run, wanted: Window, lookback: int, *, is_exact: bool
) -> list[Window]:
    """What any project still misses of events."""
    state: Any = pipeline.state if pipeline is not None else {}
    resources = state.get("sources", {}).get("sentry", {}).get("resources", {})
    covered = resources.get(EVENTS.name, {}).get("covered", {})
    if is_exact:
        return [wanted]
    return union(
        window
        for project_id in run.project_ids
        for window in still_missing(wanted, [Window(*part) for part in covered.get(project_id, ())], lookback)
    )


def _facts(run: Run, missing: list[Window], page: int) -> _Facts:
    span = Window(missing[0].start, missing[-1].end) if missing else Window(run.now, run.now)
    counted = run.count(run.project_ids, span) if span.seconds and run.project_ids else {}
    events = None if counted is None else sum(events_in(counted, window) for window in missing)
    issues = most = None
    if run.project_ids and not run.is_before_organization_issues:
        path, _ = issues_listing(run, run.projects[0].slug)
        project = "-1" if run.all_projects else run.project_ids
        params = {"query": "", "project": project, "limit": "1", **span.parameters()}
        with suppress(SentryRequestError):
            response = run.client.response(path, params, scope=ISSUES.scope, expected=list)
            issues, most = header_number(response, "X-Hits"), header_number(response, "X-Max-Hits")
    return _Facts(events, issues, most, len(missing), page)


def _planned(table: Table, run: Run, facts: _Facts) -> Planned:
    requests, at_least, how = _requests(table, run, facts)
    path = re.sub(r"\{\w+\}", "0", table.path)
    if table is EVENTS and facts.events is not None:
        return _events(run, facts)
    return Planned(table.name, requests, run.client.governor.seconds_for(path, requests), at_least, how)


def _requests(table: Table, run: Run, facts: _Facts) -> tuple[int, bool, str]:
    """How many requests, whether there may be more, and what that rests on."""
    issues, projects = facts.issues or 0, len(run.projects)
    if table is EVENTS:
        return projects * max(1, facts.windows), True, "Sentry does not count"
    if table in (ISSUES, FEEDBACK):
        return max(1, -(-issues // PAGE_SIZE)), not facts.is_all_issues, f"{PAGE_SIZE} issues a page"
    if table is ISSUE_EVENTS:
        pages = issues + (facts.events or 0) // facts.page
        return pages, not facts.is_all_issues or facts.events is None, "the pages of each issue"
    if table.parent is None:
        return 1, True, "pages"
    known = {"issue": issues, "project": projects}
    at_least = table.parent != "issue" or not facts.is_all_issues
    return known.get(table.parent, 1), at_least, f"one for each {table.parent}"


def _events(run: Run, facts: _Facts) -> Planned:
    """Events in the cheaper way; pages of issues are on average half empty at their end."""
    governor, events = run.client.governor, facts.events or 0
    pages = -(-events // facts.page)
    by_project = governor.seconds_for("projects/0/0/events/", pages)
    by_issue = pages + (facts.issues or 0) // 2
    seconds = governor.seconds_for("organizations/0/issues/0/events/", by_issue)
    if facts.is_all_issues and seconds < by_project:
        how = f"pages of issues; {pages:,} of projects would take {_minutes(by_project)}"
        return Planned(EVENTS.name, by_issue, seconds, at_least=False, how=how)
    return Planned(
        EVENTS.name, pages, by_project, at_least=False, how=f"pages of projects, {facts.page} events each"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"
