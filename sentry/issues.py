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

from collections.abc import Iterator
from typing import Any

from . import errors
from .client import Row
from .endpoints import ISSUES
from .listings import parse_time, without
from .progress import Progress, by_window
from .run import Project, Run
from .selection import Refusals, Selection, read_projects
from .session import logger
from .settings import PAGE_SIZE
from .windows import Window, floor_seconds

_NUMBERS = ("count", "userCount", "firstSeen", "lastSeen")


def read_issues(run: Run, progress: Progress) -> Iterator[list[Row]]:
    """The issues with an event in this run's windows, each once.

    Raises:
        SentryRequestError: A page could not be had.
    """
    sweeps = progress.sweeps
    missing = {
        project.id: [progress.wanted] if sweeps else progress.missing(project.id) for project in run.projects
    }
    pages = (
        _from_old_server(run, progress, missing)
        if _is_old_server(run)
        else _from_organization(run, progress, missing)
    )
    seen: set[str] = set()
    for page in pages:
        fresh = {str(row["id"]): row for row in page if str(row["id"]) not in seen}
        seen.update(fresh)
        yield [_finish(run, row) for row in fresh.values()]
    progress.finish(swept=sweeps)


def issues_listing(run: Run, project: Project) -> tuple[str, dict[str, str]]:
    """Where this server lists the issues of one project: path and parameters."""
    if _is_old_server(run):
        return _project_path(run, project), {"query": "", "statsPeriod": ""}
    return _organization_path(run), {"query": "", "project": project.id}


def _organization_path(run: Run) -> str:
    return f"organizations/{run.organization.slug}/issues/"


def _project_path(run: Run, project: Project) -> str:
    return f"projects/{run.organization.slug}/{project.slug}/issues/"


def _from_organization(run: Run, progress: Progress, missing: dict[str, list[Window]]) -> Iterator[list[Row]]:
    path = _organization_path(run)

    def read(selection: Selection, window: Window) -> Iterator[list[Row]]:
        params = {
            "project": selection,
            "query": "",
            "sort": "new",
            "limit": str(PAGE_SIZE),
            **window.parameters(),
        }
        for page in run.client.pages(path, params, scope=ISSUES.scope):
            yield [row for row in (_with_lifetime(run, issue) for issue in page.rows) if row]

    for window, project_ids in by_window(missing).items():
        yield from read_projects(run, progress, window, project_ids, read)


def _from_old_server(run: Run, progress: Progress, missing: dict[str, list[Window]]) -> Iterator[list[Row]]:
    """Servers before 2019 serve issues per project, know no window, and give lifetime numbers."""
    refusals = Refusals()
    for project in run.projects:
        windows = missing[project.id]
        whole = progress.wanted in windows
        try:
            for page in _old_pages(run, project, min(window.start for window in windows), whole=whole):
                yield [row for row in page if any(_seen_within(row, window) for window in windows)]
        except errors.SentryRequestError as refusal:
            refusals.note(refusal)
            continue
        for window in windows:
            progress.cover([project.id], window)
    refusals.conclude(len(run.projects))


def _old_pages(run: Run, project: Project, earliest: int, *, whole: bool) -> Iterator[list[Row]]:
    """By date and only as far down as needed; for a whole reading in the order that bumps cannot disturb."""
    params = {"query": "", "statsPeriod": "", "sort": "new" if whole else "date", "limit": str(PAGE_SIZE)}
    for page in run.client.pages(_project_path(run, project), params, scope=ISSUES.scope):
        yield page.rows
        newest = max(filter(None, (_second(row.get("lastSeen")) for row in page.rows)), default=earliest)
        if not whole and newest < earliest:
            return


def _is_old_server(run: Run) -> bool:
    """Whether the organization's issues cannot be listed: such a server fails when asked for one project's.

    Asked only where the organization's answer looks old, and once, because the failure is permanent there.
    """
    if not (run.organization.may_be_old_server and run.projects):
        return False
    try:
        run.client.get(
            _organization_path(run),
            {"project": run.projects[0].id, "query": "", "limit": "1"},
            scope=ISSUES.scope,
            retry=False,
        )
    except (errors.SentryServerError, errors.SentryNotFoundError, errors.SentryBadRequestError) as refusal:
        logger.info("Reading issues project by project, as this server is old: %s", refusal)
        return True
    return False


def _with_lifetime(run: Run, issue: Row) -> Row | None:
    """The issue with lifetime numbers in place of the window's; None if it is gone meanwhile."""
    lifetime = issue.get("lifetime")
    if not isinstance(lifetime, dict):
        path = f"organizations/{run.organization.slug}/issues/{issue['id']}/"
        try:
            lifetime = run.client.get(path, scope=ISSUES.scope)
        except errors.SentryNotFoundError:
            return None
    numbers = {name: lifetime[name] for name in _NUMBERS if lifetime.get(name) is not None}
    return {**issue, **numbers}


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
