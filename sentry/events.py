"""How error events are read: of each project's windows, in the way that is soonest, and counted.

See https://docs.sentry.io/api/events/list-a-projects-error-events/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from . import errors
from .client import Row
from .counts import Counted
from .debts import Debts
from .endpoints import EVENTS
from .event_scans import event_scan, issue_scan
from .fanout import Ended, streamed
from .issues import seen_issues
from .log import logger
from .progress import Progress
from .rows import table_row
from .run import Project, Run
from .scans import Scan, Seen, WindowsIgnoredError
from .selection import Refusals
from .settings import FULL_PAGE_SIZE, LISTED_DAYS, PAGE_SIZE
from .table import Table, column_name
from .ways import best_way, missed
from .windows import DAY, HOUR, Window, floor_seconds, union


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
        for rows in _rows_of(run, scan, project, window, full=full):
            _check_project(rows, project)
            seconds = [floor_seconds(time) for row in rows if (time := scan.time_of(row)) is not None]
            oldest = min([*seconds, *([] if oldest is None else [oldest])], default=None)
            yield [event_row(EVENTS, run, row, project) for row in rows]
        if oldest is None or oldest >= run.now - LISTED_DAYS * DAY - HOUR:
            _warn_of_a_short_list(run, progress, project, window)
        progress.cover([project.id], window)
    progress.finish()


def _rows_of(run: Run, scan: Scan, project: Project, window: Window, *, full: bool) -> Iterator[list[Row]]:
    """The events of a window, each once, in the way that is soonest; checked by Sentry's count where it counts.

    Args:
        run: The extraction.
        scan: The project's own listing.
        project: Whose events.
        window: When they happened.
        full: With their bodies.
    """
    count = run.events_in(project, window)
    if count == 0:
        return
    if count is None or count <= (FULL_PAGE_SIZE if full else PAGE_SIZE):
        yield from scan.read(window)
        return
    # a single cheap look is as good as numbers by hour
    counted = Counted(window, count, run.count([project.id], window) if count > PAGE_SIZE else None)
    seen: Seen = {}
    try:
        for rows in best_way(run, project, counted, full=full).pages(run):
            yield scan.fresh(rows, window, seen)
    except WindowsIgnoredError:
        for rows in scan.read(window):
            yield scan.fresh(rows, window, seen)
        return
    for part in _unlike(counted, seen):
        logger.info("%s: looking for events that lists did not show (%s).", project.slug, part)
        yield from missed(run, project, part, seen, full=full)


def _unlike(counted: Counted, seen: Seen) -> list[Window]:
    """The parts of a window of which another number of events came than Sentry had counted before.

    Its first and last hour may be counted only in part, so that the whole number has to tell of them.
    """
    window, is_alike = counted.window, len(seen) == counted.events
    if counted.hours is None:
        return [] if is_alike else [window]
    came = Counter(second // HOUR * HOUR for second in seen.values() if second is not None)
    parts = [
        Window(hour, hour + HOUR)
        for hour in counted.hours.keys() | came.keys()
        if counted.hours.get(hour, 0) != came[hour]
    ]
    if is_alike:
        return union(part for part in parts if part.intersect(window) == part)
    return union(part.intersect(window) for part in parts) or [window]


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
    if not hidden.seconds or run.events_in(project, read) == 0 or not run.count([project.id], hidden):
        return
    older = run.count([project.id], Window(progress.wanted.start, listed_from).full_hours()) or {}
    run.warn_once(
        f"{project.slug}: this server counts {sum(older.values()):,} events older than {LISTED_DAYS} days and does "
        "not list them, so they cannot be loaded. Run at least once a week, or update the server."
    )


def unknown_documents(rows: list[Row]) -> set[str]:
    """Nested fields that the catalogue does not know yet: without a hint dlt would make tables of them."""
    return {
        name
        for row in rows
        for name, value in row.items()
        if isinstance(value, (dict, list)) and column_name(name) not in _NESTED_COLUMNS
    }


_NESTED_COLUMNS = {column.name for column in EVENTS.columns if column.type == "json"} | {"tags"}


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
    begun: set[str] = set()
    progress.hold()
    for issues in _with_debtors(seen_issues(run, progress, sweeps=False), debts):
        wanted = [
            _Wanted(issue, debts.with_owed(issue["id"], plan.get(issue["project"]["id"], [])))
            for issue in issues
        ]
        asked += len(wanted)
        for item, page in streamed(run, partial(_events_of_issue, run), wanted):
            issue_id, project = str(item.issue["id"]), Project(**_names(item.issue["project"]))
            if not isinstance(page, Ended):
                begun.add(issue_id)
                yield [event_row(table, run, row, project) for row in page]
            elif page.error is None or isinstance(page.error, errors.SentryNotFoundError):
                debts.pay(issue_id)  # all read, or deleted or merged since it was listed
            elif isinstance(page.error, errors.SentryRequestError) and not (
                progress.only_adds and issue_id in begun  # they would be added once more by the next run
            ):
                refusals.note(issue_id, page.error)
                debts.owe(issue_id, _names(item.issue["project"]), item.windows)
            else:
                raise page.error
    refusals.conclude(asked)
    progress.settle(())
    progress.finish()


@dataclass(frozen=True)
class _Wanted:
    """An issue, and the windows of which its events are read."""

    issue: Row
    windows: list[Window]


def _events_of_issue(run: Run, wanted: _Wanted) -> Iterator[list[Row]]:
    scan = issue_scan(run, str(wanted.issue["id"]), full=True)
    for window in wanted.windows:
        yield from scan.read(window)


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
