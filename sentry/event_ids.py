"""Which error events there are, by Explore's table: no bodies, and so thirty times the pace of their own lists.

See https://docs.sentry.io/api/explore/query-explore-events-in-table-format/. What it names has to arrive: lists may
lose a row between two pages, hide what is older than a week, or come back empty when the back-end is in trouble.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import NamedTuple

from . import errors
from .client import Row
from .counts import Hours
from .fanout import Ended, streamed_in_batches
from .log import logger
from .run import Project, Run
from .scans import Scan
from .selection import Selection, selections
from .settings import IDS_PER_SLICE, PAGE_SIZE, READ_AT_ONCE
from .windows import HOUR, Window, even_parts, floor_seconds, likely_time, parse_time


class Known(NamedTuple):
    """An event that Explore names: the second of its timestamp, and its issue's id if it has one."""

    second: int
    issue: str | None


Ids = Mapping[str, Known]
"""The events of a project, by id."""


def listed_together(run: Run, project: Project, sharing: list[str], window: Window) -> list[str]:
    """The projects of which one listing serves all: those of the window, or this one where that were too many ids.

    Args:
        run: The extraction.
        project: The project that is read.
        sharing: Ids of all projects of which this window is read.
        window: The window.
    """
    hours = _hours(run, sharing, window)
    return sharing if hours is not None and sum(hours.values()) <= READ_AT_ONCE else [project.id]


def parts_of(run: Run, together: Sequence[str], window: Window) -> list[Window]:
    """A window in parts of which the ids of some projects fit into memory, newest first."""
    hours = _hours(run, together, window)
    return [window] if hours is None else slices(window, hours, READ_AT_ONCE)


def known_events(
    run: Run, project: Project, together: Sequence[str], window: Window, part: Window
) -> Generator[list[Row], None, Ids | None]:
    """The events of a project in a part of a window, as Explore names them.

    Args:
        run: The extraction.
        project: Whose events.
        together: Ids of the projects that are listed together; what is listed for several is kept.
        window: The window.
        part: One of its parts.

    Yields:
        No rows, time and again: dlt takes from one resource after the other, and the next can go on meanwhile.

    Returns:
        The events by id; None if this server does not tell, or tells less than it counts.
    """
    found: ByProject | None = None
    if len(together) > 1:
        kept: list[ByProject | None] = run.once(("ids", part), list)
        if not kept:
            kept.append((yield from _listed(run, together, window, part)))
        (found,) = kept
    if found is None:
        found = yield from _listed(run, [project.id], window, part)
    return None if found is None else found.get(project.id, {})


def _hours(run: Run, project_ids: Sequence[str], window: Window) -> Hours | None:
    return run.once(("hours", window, tuple(project_ids)), lambda: run.count(project_ids, window))


ByProject = dict[str, dict[str, Known]]
"""Events by the id of their project, and then by their own."""


def _listed(
    run: Run, project_ids: Sequence[str], window: Window, part: Window
) -> Generator[list[Row], None, ByProject | None]:
    hours = _hours(run, project_ids, window)
    if hours is None:
        return None
    found: ByProject = {project_id: {} for project_id in project_ids}
    try:
        for selection, _ in selections(run, list(project_ids)):
            for rows in _pages(run, selection, part, hours):
                for row in rows:
                    known = Known(_second(row), str(row["issue.id"]) if row.get("issue.id") else None)
                    found.setdefault(str(row["project.id"]), {})[str(row["id"])] = known
                yield []
    except (errors.SentryAuthenticationError, errors.SentryRedirectError):
        raise
    except (errors.SentryRequestError, KeyError, OverflowError, TypeError, ValueError) as problem:
        logger.info("Explore does not name events (%s): %r", part, problem)
        return None
    if _shows_less(found, part, hours) and _shows_less(found, part, run.count(project_ids, part) or hours):
        logger.info("Explore names fewer events than it counts (%s).", part)
        return None
    return found


def _pages(run: Run, selection: Selection, window: Window, hours: Hours) -> Iterator[list[Row]]:
    scan = Scan(
        client=run.client,
        path=f"organizations/{run.organization.slug}/events/",
        scope="org:read",
        key_of=lambda row: f"{row['project.id']} {row['id']}",
        time_of=lambda row: likely_time(row.get("timestamp"), run.now),
        params={
            "dataset": "errors",
            "field": ("id", "timestamp", "project.id", "issue.id"),
            "sort": "-timestamp",
            "project": selection,
            "per_page": str(PAGE_SIZE),
        },
        rows_at="data",
    )
    for batch in streamed_in_batches(run, scan.read, slices(window, hours, IDS_PER_SLICE)):
        for _, page in batch:
            if isinstance(page, Ended) and page.error is not None:
                raise page.error
        yield [row for _, page in batch if not isinstance(page, Ended) for row in page]


def _second(row: Row) -> int:
    time = parse_time(row["timestamp"])
    if time is None:
        raise ValueError(f"no timestamp: {row['timestamp']!r}")
    return floor_seconds(time)


def _shows_less(found: Mapping[str, Ids], window: Window, hours: Hours) -> bool:
    """Whether an hour that lies whole in the window is counted higher: nothing but a deletion explains that."""
    named: Hours = {}
    for ids in found.values():
        for known in ids.values():
            hour = known.second // HOUR * HOUR
            named[hour] = named.get(hour, 0) + 1
    inner = window.full_hours()
    return any(count > named.get(hour, 0) for hour, count in hours.items() if inner.start <= hour < inner.end)


def slices(window: Window, hours: Hours, events: int) -> list[Window]:
    """A window cut up so that no part holds many more events than wished for, newest first.

    Args:
        window: The window.
        hours: How many events there are, by the second in which their hour begins.
        events: How many of them a part may hold; in an hour that holds more they are taken to lie evenly.
    """
    parts: list[Window] = []
    end, held = window.end, 0
    for hour, count in sorted(hours.items(), reverse=True):
        dense = Window(hour, hour + HOUR).intersect(window)
        if not dense.seconds:
            continue
        if held + count > events and dense.end < end:
            parts.append(Window(dense.end, end))
            end, held = dense.end, 0
        held += count
        if count > events:
            parts += even_parts(dense, -(-count // events))
            end, held = dense.start, 0
    return [*parts, rest] if (rest := Window(window.start, end)).seconds else parts
