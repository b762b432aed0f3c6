"""How the events of issues are read: issue by issue, several at a time; what one issue refuses is owed.

See https://docs.sentry.io/api/events/list-an-issues-events/.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from . import errors
from .client import Row
from .debts import Debts
from .endpoints import ISSUE_DETAILS, ISSUE_EVENTS
from .event_scans import event_scan, issue_scan
from .events import event_row
from .fanout import Ended, path_of, streamed
from .issues import seen_issues
from .progress import Progress
from .run import Project, Run
from .selection import Refusals
from .table import Table
from .windows import Window


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
    for issues in _with_debtors(run, seen_issues(run, progress, sweeps=False), debts):
        asked += len(issues)
        wanted = []
        for issue in issues:
            named = _names(issue)
            if named["id"]:
                windows = debts.with_owed(issue["id"], plan.get(named["id"], []))
                wanted.append(_Wanted(issue, windows))
            else:
                refusals.note(str(issue["id"]), _without_project(issue))
                debts.owe(str(issue["id"]), named, [part for parts in plan.values() for part in parts])
        for item, page in streamed(run, partial(_events_of_issue, run), wanted):
            issue_id, project = str(item.issue["id"]), Project(**_names(item.issue))
            if not isinstance(page, Ended):
                begun.add(issue_id)
                yield [event_row(table, run, row, project) for row in page]
            elif page.error is None or isinstance(page.error, errors.SentryNotFoundError):
                debts.pay(issue_id)  # all read, or deleted or merged since it was listed
            elif isinstance(page.error, errors.SentryRequestError) and not (
                progress.only_adds and issue_id in begun  # they would be added once more by the next run
            ):
                refusals.note(issue_id, page.error)
                debts.owe(issue_id, _names(item.issue), item.windows)
            else:
                raise page.error
    progress.settle(())  # each issue that could not be read has its debt
    progress.finish()
    refusals.conclude(asked)


def _without_project(issue: Row) -> errors.SentryResponseError:
    return errors.SentryResponseError(
        f"Sentry does not say which project issue {issue['id']} is in.", path=f"issues/{issue['id']}/"
    )


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


def _with_debtors(run: Run, pages: Iterator[list[Row]], debts: Debts) -> Iterator[list[Row]]:
    """The issues seen, and behind them those others whose events earlier runs could not read."""
    seen: set[str] = set()
    for issues in pages:
        seen.update(issue["id"] for issue in issues)
        yield issues
    debtors = {name: project for name, project in debts.debtors().items() if name not in seen}
    yield [
        {"id": issue_id, "project": project}
        for issue_id, known in debtors.items()
        if (project := known if known["id"] else _project_of(run, issue_id, debts)) is not None
    ]


def _project_of(run: Run, issue_id: str, debts: Debts) -> Any:
    """The project of an issue of which a list did not say it; None if the issue is gone, and nothing owed then.

    Raises:
        SentryRequestError: It cannot be had.
    """
    try:
        detail = run.client.get(path_of(ISSUE_DETAILS, run, {"issue": issue_id}), scope=ISSUE_EVENTS.scope)
    except errors.SentryNotFoundError:
        debts.pay(issue_id)
        return None
    return detail.get("project") or {}


def _names(issue: Row) -> dict[str, str]:
    """Id and slug of the project of an issue; empty where the answer has none."""
    project = issue.get("project")
    known = project if isinstance(project, dict) else {}
    return {name: str(known.get(name) or "") for name in ("id", "slug")}
