"""How a project's error events are read: full bodies, newest first, from the project's own listing.

See https://docs.sentry.io/api/events/list-a-projects-error-events/. The listing takes one request at a time
and 60 a minute on sentry.io, and answers 10 full or 100 simple events a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from . import errors
from .client import Row
from .debts import Debts
from .endpoints import EVENTS
from .fanout import in_parallel, path_of
from .issues import seen_issues
from .progress import Progress
from .rows import table_row
from .run import Project, Run
from .scans import Scan
from .selection import Refusals
from .settings import LISTED_DAYS, PAGE_SIZE
from .table import Table, column_name
from .windows import DAY, HOUR, Window, floor_seconds, parse_time


def read_events(run: Run, progress: Progress, project: Project, *, full: bool) -> Iterator[list[Row]]:
    """The events of one project in this run's windows, each once.

    Args:
        run: The extraction.
        progress: What the table has read so far.
        project: Whose events.
        full: With their bodies, or just the simple form.

    Raises:
        SentryRequestError: A page could not be had.
    """
    scan = event_scan(run, project, full=full, when_ignored=progress.note_ignored_windows)
    for window in reversed(progress.plan(run.project_ids, sweeps=False)[project.id]):
        oldest: int | None = None
        for rows in scan.read(window):
            _check_project(rows, project)
            seconds = [floor_seconds(time) for row in rows if (time := scan.time_of(row)) is not None]
            oldest = min([*seconds, *([] if oldest is None else [oldest])], default=None)
            yield [event_row(EVENTS, run, row, project) for row in rows]
        if oldest is None or oldest >= run.now - LISTED_DAYS * DAY - HOUR:
            _warn_of_a_short_list(run, progress, project, window)
        progress.cover([project.id], window)
    progress.finish()


def _warn_of_a_short_list(run: Run, progress: Progress, project: Project, read: Window) -> None:
    """Some servers of 2019 to 2025 list no events older than a week, and do not say so.

    Args:
        run: The extraction.
        progress: What is wanted.
        project: Whose events were read.
        read: A window that has brought none older than that.
    """
    listed_from = (run.now - LISTED_DAYS * DAY) // HOUR * HOUR - HOUR
    hidden = read.intersect(Window(0, listed_from)).full_hours()
    if not hidden.seconds or not run.count([project.id], hidden):
        return
    older = run.count([project.id], Window(progress.wanted.start, listed_from).full_hours()) or {}
    run.warn_once(
        f"{project.slug}: this server counts {sum(older.values()):,} events older than {LISTED_DAYS} days and does "
        "not list them, so they cannot be loaded. Run at least once a week, or update the server."
    )


def events_path(run: Run, project: Project) -> str:
    """The listing of a project's error events."""
    return f"projects/{run.organization.slug}/{project.slug}/events/"


def unknown_documents(rows: list[Row]) -> set[str]:
    """Nested fields that the catalogue does not know yet: without a hint dlt would make tables of them."""
    return {
        name
        for row in rows
        for name, value in row.items()
        if isinstance(value, (dict, list)) and column_name(name) not in _NESTED_COLUMNS
    }


_NESTED_COLUMNS = {column.name for column in EVENTS.columns if column.type == "json"} | {"tags"}


def event_scan(
    run: Run, project: Project, *, full: bool, when_ignored: Callable[[], None] = lambda: None
) -> Scan:
    """How a project's events are read, newest first.

    Servers of 2025 and before read any ``full``, also ``full=false``, as true: the simple form leaves it out.
    """
    simple = {"per_page": str(PAGE_SIZE)}
    return Scan(
        client=run.client,
        path=events_path(run, project),
        scope=EVENTS.scope,
        key_of=lambda row: str(row["eventID"]),
        time_of=lambda row: parse_time(row.get("dateCreated")),
        other_time_of=lambda row: parse_time(row.get("dateReceived")),
        params={**simple, "full": "true"} if full else simple,
        cheap_params=simple,
        when_ignored=when_ignored,
    )


def _check_project(rows: list[Row], project: Project) -> None:
    """A slug that was given to another project since the listing would file its events under the wrong id."""
    strangers = {str(row["projectID"]) for row in rows if row.get("projectID")} - {project.id}
    if strangers:
        raise errors.SentryRequestError(
            f"The slug {project.slug} went from project {project.id} to {', '.join(sorted(strangers))} while "
            "events were read. Nothing was loaded; run again.",
            path=f"projects/{project.slug}/events/",
        )


def read_issue_events(table: Table, run: Run, progress: Progress) -> Iterator[list[Row]]:
    """The events of the issues seen in this run's windows, in these windows; full bodies.

    See https://docs.sentry.io/api/events/list-an-issues-events/.

    Raises:
        SentryRequestError: No issue can be read, or a refusal is not about access.
    """
    if run.is_before_organization_issues:
        yield from _from_projects(table, run, progress)
        return
    plan = progress.plan(run.project_ids, sweeps=False)
    refusals, debts, asked = Refusals(run), progress.debts, 0
    progress.hold()
    for issues in _with_debtors(seen_issues(run, progress, sweeps=False), debts):
        wanted = [
            (issue, debts.with_owed(issue["id"], plan.get(issue["project"]["id"], []))) for issue in issues
        ]
        asked += len(wanted)
        for (issue, windows), outcome in in_parallel(run, partial(_events_of_issue, table, run), wanted):
            try:
                yield outcome()
            except errors.SentryNotFoundError:
                debts.pay(issue["id"])  # deleted or merged since it was listed
            except errors.SentryRequestError as refusal:
                refusals.note(issue["id"], refusal)
                debts.owe(issue["id"], _names(issue["project"]), windows)
            else:
                debts.pay(issue["id"])
    refusals.conclude(asked)
    progress.settle(())
    progress.finish()


def _from_projects(table: Table, run: Run, progress: Progress) -> Iterator[list[Row]]:
    """Servers before Snuba list an issue's events without an order within a second, and lose some between pages.

    So there they are taken from the lists of the projects, which are ordered and hold the same events.
    """
    refusals = Refusals(run)
    for project in run.projects:
        scan = event_scan(run, project, full=True, when_ignored=progress.note_ignored_windows)
        try:
            for window in progress.plan(run.project_ids, sweeps=False)[project.id]:
                for rows in scan.read(window):
                    yield [event_row(table, run, row, project) for row in rows if row.get("groupID")]
                progress.cover([project.id], window)
        except errors.SentryRequestError as refusal:
            refusals.note(project.id, refusal)
    refusals.conclude(len(run.projects))
    progress.finish()


def _with_debtors(pages: Iterator[list[Row]], debts: Debts) -> Iterator[list[Row]]:
    """The issues seen, and behind them those others whose events earlier runs could not read."""
    seen: set[str] = set()
    for issues in pages:
        seen.update(issue["id"] for issue in issues)
        yield issues
    yield [
        {"id": issue_id, "project": project}
        for issue_id, project in debts.debtors().items()
        if issue_id not in seen
    ]


def _names(project: Row) -> dict[str, str]:
    return {"id": str(project["id"]), "slug": str(project["slug"])}


def _events_of_issue(table: Table, run: Run, wanted: tuple[Row, list[Window]]) -> list[Row]:
    issue, windows = wanted
    project = Project(str(issue["project"]["id"]), str(issue["project"]["slug"]))
    scan = scan_of_issue(table, run, str(issue["id"]))
    return [
        event_row(table, run, row, project)
        for window in windows
        for rows in scan.read(window)
        for row in rows
    ]


def scan_of_issue(table: Table, run: Run, issue_id: str) -> Scan:
    """How an issue's events are read, newest first, as ``table`` has them."""
    path = path_of(table, run, {"issue": issue_id})
    simple = {"per_page": str(PAGE_SIZE)}
    return Scan(
        client=run.client,
        path=path,
        scope=table.scope,
        key_of=lambda row: str(row["eventID"]),
        time_of=lambda row: parse_time(row.get("dateCreated")),
        params={**simple, **table.params},
        cheap_params=simple,
    )


def event_row(table: Table, run: Run, event: Row, project: Project) -> Row:
    """The event as it is loaded, with its issue, release, environment and level as columns."""
    tags = {tag.get("key"): tag.get("value") for tag in event.get("tags") or () if isinstance(tag, dict)}
    return table_row(
        table,
        run,
        event,
        project_id=project.id,
        project_slug=project.slug,
        issue_id=event.get("groupID"),
        release=_version(event.get("release")) or tags.get("release"),
        environment=event.get("environment") or tags.get("environment"),
        level=event.get("level") or tags.get("level"),
        dateCreated=event.get("dateCreated") or event.get("dateReceived"),
    )


def _version(release: Any) -> Any:
    """A release is an object in some bodies, its version in others."""
    return release.get("version") if isinstance(release, dict) else release
