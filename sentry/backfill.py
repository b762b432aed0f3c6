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

from .counts import Hours, by_hours
from .settings import CHUNK_DAYS, UNCOUNTED_CHUNK_DAYS
from .windows import DAY, HOUR, Window, subtract, union

Plan = dict[str, list[Window]]
"""What is read of each project, by its id."""

SOURCE = "sentry"
"""The name of this source, and of its schema."""

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
    """Whether the run has read some of the history that was missing: else another one would not either."""
    source: Any = pipeline.state.get("sources", {}).get(noted["source"], {})
    covered = source.get("resources", {}).get(table, {}).get("covered", {})
    return any(
        seconds_of(
            history(Window(*noted["wanted"]), [Window(*window) for window in covered.get(project_id, ())])
        )
        < before
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
    if hours is not None and by_hours(hours, span) <= events:
        return span
    days = UNCOUNTED_CHUNK_DAYS if hours is None else CHUNK_DAYS
    brought, edge = 0, None
    for hour in sorted(hours or (), reverse=newest_first):
        count = by_hours({hour: (hours or {})[hour]}, span)
        if brought and brought + count > events:
            edge = hour + HOUR if newest_first else hour
            break
        brought += count
    if newest_first:
        return Window(max(span.start, edge or span.start, span.end - days * DAY), span.end)
    return Window(span.start, min(span.end, edge or span.end, span.start + days * DAY))


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
    counted = None if hours is None else sum(by_hours(hours, window) for window in outside)
    return Left(
        days=round(seconds_of(outside) / DAY, 2),
        wanted_days=round(wanted.seconds / DAY, 2),
        events=counted,
    )
