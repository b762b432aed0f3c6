"""How issues are read: those seen in a window, with their lifetime numbers; all of them with each sweep.

See https://docs.sentry.io/api/events/list-an-organizations-issues/. Four things there are not what they seem:

* without ``query`` Sentry answers for unresolved issues only; present and empty, it answers for all;
* ``count``, ``userCount``, ``firstSeen``, ``lastSeen`` are those of the window; ``lifetime`` has the true ones;
* sorted by date, an issue that gets an event while pages are read jumps above the cursor and is missed. Sorted
  by ``new``, its place is its first event in the window, which a later event cannot change and a late one only
  moves towards the pages still to come;
* nothing tells when an issue was resolved or assigned, or that it was deleted or merged, hence the sweeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from . import errors
from .client import Page, Row
from .endpoints import ISSUES
from .fanout import Parent, read_children
from .progress import Progress
from .rows import once, table_row
from .run import Project, Run
from .scans import in_smaller_windows, is_divisible, until_settled
from .selection import Refusals, Selection, read_projects
from .settings import PAGE_SIZE
from .table import Table
from .vanished import read_vanished
from .windows import Window, floor_seconds, likely_time

_NUMBERS = ("count", "userCount", "firstSeen", "lastSeen")


def read_issues(table: Table, run: Run, progress: Progress) -> Iterator[list[Row]]:
    """The issues with an event in this run's windows, each once.

    Args:
        table: ``issues``, or ``feedback`` with its query.
        run: The extraction.
        progress: What the table has read so far.

    Raises:
        SentryRequestError: A page could not be had.
    """
    seen: set[str] = set()
    for rows in seen_issues(run, progress, query=table.params.get("query", ""), seen=seen):
        yield [_finish(table, run, row) for row in rows]
    if progress.marks:
        swept, project_ids = progress.swept
        yield from read_vanished(table, run, swept, seen, project_ids)
    progress.finish()


def seen_issues(
    run: Run, progress: Progress, *, query: str = "", sweeps: bool = True, seen: set[str] | None = None
) -> Iterator[list[Row]]:
    """The issues of this run's windows as the server gives them, with lifetime numbers.

    Args:
        run: The extraction.
        progress: What was read so far; what is read here is noted.
        query: Which issues; all of them if empty.
        sweeps: Whether a sweep may be due.
        seen: Takes the ids of the issues that the server showed.

    Raises:
        SentryRequestError: A page could not be had.
    """
    seen = set() if seen is None else seen
    plan = progress.plan(run.project_ids, sweeps=sweeps)
    if run.is_before_organization_issues:
        return _from_old_server(run, progress, plan, query, seen)
    return _from_organization(run, progress, plan, query, seen)


def read_of_issues(table: Table, run: Run, progress: Progress) -> Iterator[list[Row]]:
    """The rows of a table below issues, for the issues seen in this run's windows.

    Raises:
        SentryRequestError: No issue can be read, or a refusal is not about access.
    """
    if table.parent == "issue tag":
        if not run.tag_keys:
            run.warn_once(f"{table.name} has no rows without the setting tag_keys.")
            return
        progress.start_over_for("tag_keys", run.tag_keys)
    refusals, asked = Refusals(run), 0
    seen: set[tuple[object, ...]] = (
        set()
    )  # values of a tag may become equal when what is personal is taken out
    progress.hold()
    for issues in seen_issues(run, progress):
        parents = [parent for issue in issues for parent in _parents(table, run, issue)]
        asked += len(parents)
        for _, rows in read_children(table, run, parents, refusals):
            yield list(once(table, rows, seen)) if table.parent == "issue tag" else rows
    refusals.conclude(asked)
    progress.settle(refusals.projects)
    progress.finish()


def _parents(table: Table, run: Run, issue: Row) -> Iterator[Parent]:
    project = _object(issue.get("project"))
    columns = {
        "issue_id": str(issue["id"]),
        "project_id": project.get("id"),
        "project_slug": project.get("slug"),
    }
    if table.parent == "issue":
        columns["lastSeen"] = issue.get("lastSeen")
        yield Parent({"issue": str(issue["id"])}, columns)
        return
    for key in run.tag_keys:
        yield Parent({"issue": str(issue["id"]), "tag": key}, {**columns, "tag_key": key})


def issues_listing(run: Run, project: str) -> tuple[str, dict[str, str]]:
    """Where this server lists the issues of one project, named by its slug: path and parameters."""
    if run.is_before_organization_issues:
        return _project_path(run, project), {"query": "", "statsPeriod": ""}
    project_id = next(known.id for known in run.projects if known.slug == project)
    return _organization_path(run), {"query": "", "project": project_id}


def _organization_path(run: Run) -> str:
    return f"organizations/{run.organization.slug}/issues/"


def _project_path(run: Run, project: str) -> str:
    return f"projects/{run.organization.slug}/{project}/issues/"


def _from_organization(
    run: Run, progress: Progress, plan: dict[str, list[Window]], query: str, seen: set[str]
) -> Iterator[list[Row]]:
    def read(window: Window, selection: Selection) -> Iterator[list[Row]]:
        yield from in_smaller_windows(window, partial(read_part, selection))

    def read_part(selection: Selection, window: Window) -> Iterator[list[Row]]:
        params = {
            "project": selection,
            "query": query,
            "sort": "new",
            "limit": str(PAGE_SIZE),
            **window.parameters(),
        }
        pages = partial(
            run.client.pages,
            _organization_path(run),
            params,
            scope=ISSUES.scope,
            divisible=is_divisible(window),
        )
        shown = set(seen)
        for rows in until_settled(pages, shown, partial(run.rejects.with_key, ISSUES)):
            found = [row for row in (_with_lifetime(run, issue) for issue in rows) if row]
            seen.update(
                str(row["id"]) for row in rows
            )  # not before their details came: a failure is tried again
            yield found

    return read_projects(run, progress, plan, read)


def _from_old_server(
    run: Run, progress: Progress, plan: dict[str, list[Window]], query: str, seen: set[str]
) -> Iterator[list[Row]]:
    """Servers before 2019 serve issues per project, know no window, and give lifetime numbers."""
    refusals = Refusals(run)
    for project in run.projects:
        windows = plan[project.id]
        if not windows:
            continue
        whole = progress.wanted in windows
        pages = partial(_old_pages, run, project, query, windows[0].start, whole=whole)
        try:
            for rows in until_settled(pages, seen, partial(run.rejects.with_key, ISSUES)):
                found = [row for row in rows if any(_seen_within(row, window, run.now) for window in windows)]
                yield [{**row, **_lifetime_numbers(row)} for row in found]
        except errors.SentryRequestError as refusal:
            refusals.note(project.id, refusal)
            continue
        for window in windows:
            progress.cover([project.id], window)
    refusals.conclude(len(run.project_ids))


def _old_pages(run: Run, project: Project, query: str, earliest: int, *, whole: bool) -> Iterator[Page]:
    """By date and only as far down as needed; for a whole reading in the order that bumps cannot disturb."""
    params = {"query": query, "statsPeriod": "", "sort": "new" if whole else "date", "limit": str(PAGE_SIZE)}
    for page in run.client.pages(_project_path(run, project.slug), params, scope=ISSUES.scope):
        yield page
        seconds = [
            second for row in page.rows if (second := _second(row.get("lastSeen"), run.now)) is not None
        ]
        if not whole and max(seconds, default=earliest) < earliest:
            return


def _with_lifetime(run: Run, issue: Row) -> Row | None:
    """The issue with lifetime numbers in place of the window's; None if it was deleted or merged meanwhile."""
    if not isinstance(issue.get("lifetime"), dict):
        path = f"organizations/{run.organization.slug}/issues/{issue['id']}/"
        try:
            detail = run.client.get(path, scope=ISSUES.scope)
        except errors.SentryNotFoundError:
            return None
        if str(detail.get("id")) != str(issue["id"]):
            return None
        issue = {**issue, "lifetime": detail}
    return {**issue, **_lifetime_numbers(issue)}


def _lifetime_numbers(issue: Row) -> Row:
    lifetime = _object(issue.get("lifetime"))
    return {name: lifetime[name] for name in _NUMBERS if lifetime.get(name) is not None}


def _finish(table: Table, run: Run, issue: Row) -> Row:
    project, assigned_to = _object(issue.get("project")), _object(issue.get("assignedTo"))
    return table_row(
        table,
        run,
        issue,
        count=_whole_number(issue.get("count")),
        project_id=project.get("id"),
        project_slug=project.get("slug"),
        assigned_to_type=assigned_to.get("type"),
        assigned_to_id=assigned_to.get("id"),
        is_deleted=False,
        deleted_at=None,
        merged_into=None,
    )


def _whole_number(count: Any) -> Any:
    """Sentry sends counts as text; what is no number stays as it came."""
    return int(count) if isinstance(count, str) and count.isdecimal() else count


def _object(value: Any) -> Row:
    return value if isinstance(value, dict) else {}


def _seen_within(issue: Row, window: Window, now: int) -> bool:
    first, last = _second(issue.get("firstSeen"), now), _second(issue.get("lastSeen"), now)
    return last is None or (last >= window.start and (first is None or first < window.end))


def _second(value: Any, now: int) -> int | None:
    time = likely_time(value, now)
    return None if time is None else floor_seconds(time)
