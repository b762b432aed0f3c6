"""How a long history is cut into loads: each brings a bounded number of events, and the next run goes on.

A load lands as a whole or not at all, so a history of a million events in one load would be lost whole when the
process is stopped. What is read and what is missing stands in the state anyway (``progress``), so a load need
only confine itself to a part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dlt

from .counts import Hours, events_in
from .settings import CHUNK_DAYS, UNCOUNTED_CHUNK_DAYS
from .windows import DAY, HOUR, Window, subtract, union

Plan = dict[str, list[Window]]
"""What is read of each project, by its id."""

LEFT = "history_left"
"""The name under which a table's metrics say what is left."""

TAIL_SECONDS = 2 * HOUR
"""What came since the last run is no history to be cut up while it is this short."""


@dataclass(frozen=True)
class Left:
    """What of a table's history is still to be read after a run.

    Attributes:
        days: Days that are left, of those wanted.
        wanted_days: Days wanted in all.
        events: Events that Sentry counts in them; None where it does not count.
    """

    days: float
    wanted_days: float
    events: int | None

    def __str__(self) -> str:
        if not self.days:
            return f"all {self.wanted_days:.1f} days; the newest hours follow"
        counted = "" if self.events is None else f", about {self.events:,} events to come"
        return f"{self.wanted_days - self.days:.1f} of {self.wanted_days:.1f} days{counted}"


def history_left(pipeline: dlt.Pipeline) -> dict[str, Left]:
    """What the last run of a pipeline has left of long histories, because ``chunk_events`` bounded it.

    Run the same source again until this is empty::

        source = sentry_source(chunk_events=10_000)
        pipeline.run(source)
        while left := history_left(pipeline):
            pipeline.run(source.with_resources(*left))

    Args:
        pipeline: A pipeline that has run the source.

    Returns:
        By table; empty once all is read.
    """
    trace = pipeline.last_trace
    extracted = trace.last_extract_info if trace else None
    found: dict[str, Left] = {}
    for load_id, steps in extracted.metrics.items() if extracted else ():
        for step in steps:
            for name, resource in step["resource_metrics"].items():
                noted: Any = (resource.custom_metrics or {}).get(LEFT, {})
                # dlt keeps the metrics of an earlier run of the same source where a table was not read in this one
                if noted.get("load_id") == load_id and _was_paid_off(pipeline, name, noted):
                    found[name] = Left(noted["days"], noted["wanted_days"], noted["events"])
    return found


def _was_paid_off(pipeline: dlt.Pipeline, table: str, noted: Mapping[str, Any]) -> bool:
    """Whether the run has read, or tried, some of the history that was missing: else another would not either."""
    source: Any = pipeline.state.get("sources", {}).get(noted["source"], {})
    covered = source.get("resources", {}).get(table, {}).get("covered", {})
    tried = {
        project_id: [
            Window(*window)
            for windows in (covered, noted["failed"])
            for window in windows.get(project_id, ())
        ]
        for project_id in noted["owed"]
    }
    return any(
        seconds_of(history(Window(*noted["wanted"]), tried[project_id])) < before
        for project_id, before in noted["owed"].items()
    )


def history(wanted: Window, covered: Iterable[Window]) -> list[Window]:
    """What is missing but for the newest hours, which any run brings: what history a project lacks."""
    missing = subtract(wanted, covered)
    is_tail = bool(missing) and missing[-1].end == wanted.end and missing[-1].seconds <= TAIL_SECONDS
    return missing[:-1] if is_tail else missing


def seconds_of(windows: Iterable[Window]) -> int:
    """Their lengths together."""
    return sum(window.seconds for window in windows)


@dataclass(frozen=True)
class Reading:
    """How far a project has been read.

    Attributes:
        missing: What a run without a bound would read of it, the look-back included.
        owed: What of that is history.
        is_fresh: Whether it was read to its end so lately that its newest hours can wait until history is in.
        is_stuck: Whether earlier runs could not read what they tried: it must not keep others waiting.
    """

    missing: list[Window]
    owed: list[Window]
    is_fresh: bool
    is_stuck: bool


def whose_turn(projects: Mapping[str, Reading]) -> tuple[Plan, Plan]:
    """Tell the projects whose history is to be cut up from those that are read as always.

    Args:
        projects: All of them, by id.

    Returns:
        The history of which one load takes its chunk, and what is read of the other projects besides. Stuck ones
        are tried again when no other has history left.
    """
    owing = {project_id for project_id, reading in projects.items() if reading.owed}
    moving = {project_id for project_id in owing if not projects[project_id].is_stuck}
    waiting = {project_id for project_id, reading in projects.items() if moving and reading.is_fresh}
    long = {
        project_id: projects[project_id].owed if project_id in waiting else projects[project_id].missing
        for project_id in moving or owing
    }
    others = {
        project_id: [] if project_id in owing | waiting else reading.missing
        for project_id, reading in projects.items()
        if project_id not in long
    }
    return long, others


def chunk(
    plan: Mapping[str, list[Window]], hours: Hours | None, events: int, *, newest_first: bool
) -> Window:
    """The span of a plan that one load brings.

    Args:
        plan: What is to be read.
        hours: How many events there are, by hour; None if nobody knows.
        events: How many of them the load should hold at the most; a single hour may hold more.
        newest_first: Whether to begin at the end.

    Returns:
        A window at one end of the plan, cut at a full hour.
    """
    span = span_of(plan)
    if hours is not None and events_in(hours, span) <= events:
        return span
    days = UNCOUNTED_CHUNK_DAYS if hours is None else CHUNK_DAYS
    brought, edge, first = 0, None, span.end if newest_first else span.start
    for hour, count in sorted((hours or {}).items(), reverse=newest_first):
        if not Window(hour, hour + HOUR).intersect(span).seconds:
            continue
        first = first if brought else hour  # what lies empty before it comes along
        if brought and brought + count > events:
            edge = hour + HOUR if newest_first else hour
            break
        brought += count
    if newest_first:
        return Window(max(span.start, edge or span.start, first - days * DAY), span.end)
    return Window(span.start, min(span.end, edge or span.end, first + days * DAY))


def span_of(plan: Mapping[str, Iterable[Window]]) -> Window:
    """From the first to the last moment of a plan; empty where it is empty."""
    windows = [window for windows in plan.values() for window in windows]
    if not windows:
        return Window(0, 0)
    return Window(min(window.start for window in windows), max(window.end for window in windows))


def within(plan: Mapping[str, list[Window]], chosen: Window) -> Plan:
    """What of a plan lies in a window."""
    return {
        project_id: [part for window in windows if (part := window.intersect(chosen)).seconds]
        for project_id, windows in plan.items()
    }


def left_of(
    plan: Mapping[str, list[Window]], chosen: Window, hours: Hours | None, wanted: Window
) -> Left | None:
    """What of a plan lies outside the window that was chosen; None if nothing does."""
    outside = union(
        part
        for windows in plan.values()
        for window in windows
        for part in (
            Window(window.start, min(window.end, chosen.start)),
            Window(max(window.start, chosen.end), window.end),
        )
    )
    if not outside:
        return None
    counted = None if hours is None else sum(events_in(hours, window) for window in outside)
    return Left(
        days=round(seconds_of(outside) / DAY, 2),
        wanted_days=round(wanted.seconds / DAY, 2),
        events=counted,
    )
