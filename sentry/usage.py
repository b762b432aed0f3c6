"""How the daily series are read: usage, release health and a project's events, per project and in whole days.

The last day is not over, so it is read again; a day without anything has no row. Grouping by project makes
Sentry leave out series, so each project is asked for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from . import errors
from .client import Row
from .fanout import in_parallel, path_of
from .progress import Progress
from .rows import table_rows
from .run import Project, Run
from .selection import Refusals
from .settings import HISTORY_DAYS
from .table import Table
from .windows import DAY, Window, sentry_time, union

DAYS_PER_REQUEST = 30

MAX_POINTS = 10_000
"""What Sentry answers to one request, groups times intervals."""


def read_days(table: Table, run: Run, progress: Progress) -> Iterator[list[Row]]:
    """The days that this run reads of a daily series, a list per project.

    Args:
        table: ``usage_stats``, ``release_health`` or ``project_stats``.
        run: The extraction.
        progress: What the table has read so far.

    Raises:
        SentryRequestError: No project can be read, or a refusal is not about access.
    """
    refusals = Refusals(run)
    plan = progress.plan(run.project_ids, sweeps=False)
    read = _READERS[table.name]

    def rows_of(project: Project) -> list[Row]:
        days = union(_whole_days(window, run, progress) for window in plan[project.id])
        parts = [part for window in days for part in _parts(window)]
        return list(_newest_first(partial(read, table, run, project), parts, table, run))

    for project, outcome in in_parallel(run, rows_of, run.projects):
        try:
            rows = outcome()
        except errors.SentryRequestError as refusal:
            refusals.note(project.id, refusal)
            continue
        yield table_rows(table, run, rows, project_id=project.id, project_slug=project.slug)
        for window in plan[project.id]:
            progress.cover([project.id], window)
    refusals.conclude(len(run.projects))
    progress.finish()


def _newest_first(
    read: Callable[[Window], Iterator[Row]], parts: list[Window], table: Table, run: Run
) -> Generator[Row, None, bool]:
    """The rows of all parts; days before what Sentry keeps, which it answers with 400, are left out.

    Returns:
        Whether all days were answered.
    """
    for part in reversed(parts):
        try:
            rows = list(read(part))
        except errors.SentryBadRequestError:
            if part.seconds > DAY:
                middle = part.start + part.seconds // DAY // 2 * DAY
                halves = [Window(part.start, middle), Window(middle, part.end)]
                if not (yield from _newest_first(read, halves, table, run)):
                    return False
            elif part.end > run.now - DAY:
                raise
            else:
                run.warn_once(
                    f"{table.name}: Sentry does not answer for days before {sentry_time(part.end)}."
                )
                return False
        else:
            yield from rows
    return True


def _whole_days(window: Window, run: Run, progress: Progress) -> Window:
    """The days that a window touches; where rows are only added, the days that end in it: each once, and whole."""
    start = max(_day_of(window.start), _day_of(run.now) - (HISTORY_DAYS - 1) * DAY)
    end = _day_of(window.end) if progress.only_adds else _day_of(window.end - 1) + DAY
    return Window(start, max(start, end))


def _parts(window: Window) -> Iterator[Window]:
    for start in range(window.start, window.end, DAYS_PER_REQUEST * DAY):
        yield Window(start, min(window.end, start + DAYS_PER_REQUEST * DAY))


def _usage(table: Table, run: Run, project: Project, days: Window) -> Iterator[Row]:
    params = {
        "project": project.id,
        "groupBy": ["category", "outcome", "reason"],
        "field": "sum(quantity)",
        "interval": "1d",
    }
    for by, day, values in _series(table, run, params, days):
        if values["sum(quantity)"]:
            yield {
                "day": day,
                "category": by.get("category"),
                "outcome": by.get("outcome"),
                "reason": by.get("reason"),
                "quantity": values["sum(quantity)"],
            }


def _health(table: Table, run: Run, project: Project, days: Window) -> Iterator[Row]:
    params = {
        "project": project.id,
        "groupBy": ["project", "release", "environment"],
        "field": ["sum(session)", "count_unique(user)", "crash_free_rate(session)", "crash_free_rate(user)"],
        "interval": "1d",
    }
    for by, day, values in _series(table, run, params, days):
        if values["sum(session)"] or values["count_unique(user)"]:
            yield {
                "day": day,
                "release": by.get("release"),
                "environment": by.get("environment"),
                "sessions": values["sum(session)"],
                "users": values["count_unique(user)"],
                "crash_free_session_rate": values["crash_free_rate(session)"],
                "crash_free_user_rate": values["crash_free_rate(user)"],
            }


def _stats(table: Table, run: Run, project: Project, days: Window) -> Iterator[Row]:
    path = path_of(table, run, {"project": project.slug})
    for stat in ("received", "rejected", "blacklisted", "generated"):
        params = {"stat": stat, "resolution": "1d", "since": str(days.start), "until": str(days.end - 1)}
        for second, count in run.client.get(path, params, scope=table.scope, expected=list):
            if count and days.start <= second < days.end:
                yield {"stat": stat, "day": datetime.fromtimestamp(_day_of(second), UTC), "count": count}


def _series(
    table: Table, run: Run, params: dict[str, Any], days: Window
) -> Iterator[tuple[Row, datetime, Row]]:
    """What each group says of each day: by what it is grouped, the day, its values.

    Sentry cuts the list of groups where groups times days reach its limit of points, and does not say so; then
    fewer days are asked for at a time.
    """
    asked = {**params, **_inclusive(days)}
    pages = list(run.client.pages(path_of(table, run, {}), asked, scope=table.scope, rows_at="groups"))
    starts = [datetime.fromisoformat(text) for text in pages[0].body.get("intervals", [])]
    groups = [group for page in pages for group in page.rows]
    if starts and len(groups) >= MAX_POINTS // (len(starts) + 1):
        if days.seconds > DAY:
            middle = days.start + days.seconds // DAY // 2 * DAY
            for part in (Window(days.start, middle), Window(middle, days.end)):
                yield from _series(table, run, params, part)
            return
        run.warn_once(
            f"{table.name}: {len(groups)} groups on {starts[0]:%Y-%m-%d} are as many as Sentry lists."
        )
    for group in groups:
        for at, start in enumerate(starts):
            if days.start <= start.timestamp() < days.end:
                yield group["by"], start, {name: values[at] for name, values in group["series"].items()}


def _inclusive(days: Window) -> dict[str, str]:
    """These endpoints count the end as inside."""
    return {"start": sentry_time(days.start), "end": sentry_time(days.end - 1)}


def _day_of(second: int) -> int:
    return second // DAY * DAY


_READERS = {"usage_stats": _usage, "release_health": _health, "project_stats": _stats}
