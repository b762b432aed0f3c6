"""How issues are read: those seen in a window, with their lifetime numbers; all of them with each sweep.

See https://docs.sentry.io/api/events/list-an-organizations-issues/. Four things there are not what they seem:

* without ``query`` Sentry answers for unresolved issues only; present and empty, it answers for all;
* ``count``, ``userCount``, ``firstSeen``, ``lastSeen`` are those of the window; ``lifetime`` has the true ones;
* sorted by date, an issue that gets an event while pages are read jumps above the cursor and is missed. Sorted
  by ``new``, its place is its first event in the window, which a later event cannot change and a late one only
  moves towards the pages still to come;
* nothing tells when an issue was resolved or assigned, hence the sweeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from . import errors
from .client import Page, Row
from .endpoints import ISSUES
from .listings import parse_time, unseen, without
from .progress import Progress
from .run import Project, Run
from .selection import Refusals, Selection, read_projects
from .session import logger
from .settings import MAX_PASSES, PAGE_SIZE
from .windows import Window, floor_seconds

_NUMBERS = ("count", "userCount", "firstSeen", "lastSeen")


def read_issues(run: Run, progress: Progress) -> Iterator[list[Row]]:
    """The issues with an event in this run's windows, each once.

    Raises:
        SentryRequestError: A page could not be had.
    """
    read = _from_old_server if _is_old_server(run) else _from_organization
    seen: set[str] = set()
    for page in read(run, progress, seen):
        yield [_finish(run, row) for row in page]
    progress.finish()


def issues_listing(run: Run, project: Project) -> tuple[str, dict[str, str]]:
    """Where this server lists the issues of one project: path and parameters."""
    if _is_old_server(run):
        return _project_path(run, project), {"query": "", "statsPeriod": ""}
    return _organization_path(run), {"query": "", "project": project.id}


def _organization_path(run: Run) -> str:
    return f"organizations/{run.organization.slug}/issues/"


def _project_path(run: Run, project: Project) -> str:
    return f"projects/{run.organization.slug}/{project.slug}/issues/"


def _from_organization(run: Run, progress: Progress, seen: set[str]) -> Iterator[list[Row]]:
    def read(window: Window, selection: Selection) -> Iterator[list[Row]]:
        params = {
            "project": selection,
            "query": "",
            "sort": "new",
            "limit": str(PAGE_SIZE),
            **window.parameters(),
        }
        pages = partial(run.client.pages, _organization_path(run), params, scope=ISSUES.scope)
        for rows in _settled(pages, seen):
            yield [row for row in (_with_lifetime(run, issue) for issue in rows) if row]

    return read_projects(run, progress, read)


def _settled(pages: Callable[[], Iterator[Page]], seen: set[str]) -> Iterator[list[Row]]:
    """All pages, again while that shows an issue that had moved from a page to come to one that was read.

    An issue moves up when the server forgets its first event in the window, or when others of the same
    second go.
    """
    for _ in range(MAX_PASSES):
        count = fresh = 0
        for page in pages():
            rows = unseen(page.rows, "id", seen)
            count, fresh = count + 1, fresh + len(rows)
            yield rows
        if count <= 1 or not fresh:
            return


def _from_old_server(run: Run, progress: Progress, seen: set[str]) -> Iterator[list[Row]]:
    """Servers before 2019 serve issues per project, know no window, and give lifetime numbers."""
    refusals = Refusals()
    plan = progress.plan(run.project_ids)
    for project in run.projects:
        windows = plan[project.id]
        if not windows:
            continue
        pages = partial(_old_pages, run, project, windows[0].start, whole=progress.wanted in windows)
        try:
            for rows in _settled(pages, seen):
                found = [row for row in rows if any(_seen_within(row, window) for window in windows)]
                yield [{**row, **_lifetime_numbers(row)} for row in found]
        except errors.SentryRequestError as refusal:
            refusals.note(project.id, refusal)
            continue
        for window in windows:
            progress.cover([project.id], window)
    refusals.conclude(len(run.project_ids))


def _old_pages(run: Run, project: Project, earliest: int, *, whole: bool) -> Iterator[Page]:
    """By date and only as far down as needed; for a whole reading in the order that bumps cannot disturb."""
    params = {"query": "", "statsPeriod": "", "sort": "new" if whole else "date", "limit": str(PAGE_SIZE)}
    for page in run.client.pages(_project_path(run, project), params, scope=ISSUES.scope):
        yield page
        seconds = [second for row in page.rows if (second := _second(row.get("lastSeen"))) is not None]
        if not whole and max(seconds, default=earliest) < earliest:
            return


def _is_old_server(run: Run) -> bool:
    """Whether the organization's issues cannot be listed: such a server fails when asked for one project's.

    Asked only where the organization's answer looks old, and without another try, because the failure is
    permanent there. Whatever else goes wrong is left to the reading itself.
    """
    if not run.organization.may_be_old_server:
        return False
    for project in run.projects:
        params = {"project": project.id, "query": "", "limit": "1"}
        try:
            for _ in run.client.pages(_organization_path(run), params, scope=ISSUES.scope, retry=False):
                return False
        except errors.SentryPermissionError:
            continue
        except errors.SentryRequestError as refusal:
            if refusal.status not in (400, 404, 500):
                return False
            logger.info("Reading issues project by project, as this server is old: %s", refusal)
            return True
    return False


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


def _finish(run: Run, issue: Row) -> Row:
    project, assigned_to = _object(issue.get("project")), _object(issue.get("assignedTo"))
    return run.label(
        {
            **without(issue, ISSUES.dropped),
            "count": _whole_number(issue.get("count")),
            "project_id": project.get("id"),
            "project_slug": project.get("slug"),
            "assigned_to_type": assigned_to.get("type"),
            "assigned_to_id": assigned_to.get("id"),
            "is_deleted": False,
            "deleted_at": None,
            "merged_into": None,
        }
    )


def _whole_number(count: Any) -> Any:
    """Sentry sends counts as text; what is no number stays as it came."""
    return int(count) if isinstance(count, str) and count.isdecimal() else count


def _object(value: Any) -> Row:
    return value if isinstance(value, dict) else {}


def _seen_within(issue: Row, window: Window) -> bool:
    first, last = _second(issue.get("firstSeen")), _second(issue.get("lastSeen"))
    return last is None or (last >= window.start and (first is None or first < window.end))


def _second(value: Any) -> int | None:
    time = parse_time(value)
    return None if time is None else floor_seconds(time)
