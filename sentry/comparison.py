"""How the events in a destination are compared with those in Sentry: by numbers, hour by hour, or by their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import dlt
from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable

from .endpoints import EVENTS
from .errors import SentryConfigurationError
from .event_scans import event_scan
from .loaded import Loaded, as_moment
from .run import Project, Run
from .selection import UNREADABLE
from .windows import DAY, HOUR, Window, floor_seconds, union

Hours = Mapping[tuple[str, int], int]
"""Numbers of events by project id and the second in which the hour begins."""


@dataclass(frozen=True)
class Day:
    """One project's events of one day (UTC), in Sentry and in the destination.

    Attributes:
        project_id: Id of the project.
        project: Its slug.
        day: The day.
        sentry: Events that Sentry has.
        loaded: Events that the destination has.
        missing: Events that the destination lacks, added up over the hours of the day.
        surplus: Events that only the destination has, because Sentry has forgotten or deleted them; likewise.
    """

    project_id: str
    project: str
    day: date
    sentry: int
    loaded: int
    missing: int
    surplus: int


@dataclass(frozen=True)
class Verification:
    """What a comparison has found.

    Attributes:
        start: First moment compared.
        end: Where the comparison ends; exclusive.
        how: By what Sentry was counted: its own numbers, or its lists.
        days: The days on which Sentry or the destination has events, by project and day.
        gaps: By project id the hours in which the destination lacks events.
        unread: By project how many days between start and end the pipeline has not read yet; not compared.
    """

    start: datetime
    end: datetime
    how: str
    days: tuple[Day, ...]
    gaps: Mapping[str, tuple[Window, ...]] = field(repr=False)
    unread: Mapping[str, float] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Events that the destination lacks."""
        return sum(day.missing for day in self.days)

    @property
    def surplus(self) -> int:
        """Events that only the destination has."""
        return sum(day.surplus for day in self.days)


@dataclass(frozen=True)
class Span:
    """The full hours that are compared: from the first to the last of all, and of each project."""

    whole: Window
    parts: Mapping[str, list[Window]]

    def holds(self, project_id: str, hour: int) -> bool:
        """Whether an hour of a project is compared."""
        return any(part.start <= hour < part.end for part in self.parts.get(project_id, ()))

    def unread(self, run: Run) -> dict[str, float]:
        """How many days of each project are not, where it is more than an hour."""
        seconds = {
            project.slug: self.whole.seconds - sum(part.seconds for part in self.parts[project.id])
            for project in run.projects
        }
        return {slug: count / DAY for slug, count in seconds.items() if count > HOUR}


def compare(pipeline: dlt.Pipeline, run: Run, span: Span, *, by_listing: bool) -> Verification:
    """Compare the full hours of a span.

    Args:
        pipeline: The pipeline that has loaded the events.
        run: Whom to ask.
        span: Which hours.
        by_listing: Compare ids instead of numbers; always so where the server does not count.

    Raises:
        SentryConfigurationError: The destination cannot be asked, or has no such table.
    """
    loaded = Loaded(pipeline, EVENTS)
    try:
        counted = None if by_listing else _counted(run, span)
        if counted is None:
            how, (ours, theirs, missing) = "Sentry's lists", _listed(loaded, run, span)
        else:
            how, ours, theirs = "Sentry's own counts", _held(loaded, span), counted
            missing = Counter({at: theirs[at] - ours[at] for at in theirs if theirs[at] > ours[at]})
    except SqlClientNotAvailable:
        raise SentryConfigurationError(
            f"{pipeline.destination.destination_name} cannot be asked in SQL what it holds, so it cannot be "
            "compared. Load into a destination that can, such as duckdb."
        ) from None
    except DestinationUndefinedEntity:
        raise SentryConfigurationError(
            f"The table events is not in dataset {pipeline.dataset_name} any more, though pipeline "
            f"{pipeline.pipeline_name} has loaded it. --full-refresh loads it anew."
        ) from None
    gaps = {
        project.id: tuple(union(Window(hour, hour + HOUR) for owner, hour in missing if owner == project.id))
        for project in run.projects
    }
    return Verification(
        start=datetime.fromtimestamp(span.whole.start, UTC),
        end=datetime.fromtimestamp(span.whole.end, UTC),
        how=how,
        days=tuple(_days(run, theirs, ours, missing)),
        gaps={project_id: windows for project_id, windows in gaps.items() if windows},
        unread=span.unread(run),
    )


def _counted(run: Run, span: Span) -> Counter[tuple[str, int]] | None:
    """What Sentry counts; None if it does not."""
    found: Counter[tuple[str, int]] = Counter()
    for project in run.projects:
        hours = run.count([project.id], span.whole)
        if hours is None:
            return None
        found.update({(project.id, hour): hours[hour] for hour in hours if span.holds(project.id, hour)})
    return found


def _held(loaded: Loaded, span: Span) -> Counter[tuple[str, int]]:
    """What the destination holds."""
    start, end = (datetime.fromtimestamp(second, UTC) for second in (span.whole.start, span.whole.end))
    within = loaded.is_at_least("date_created", start).and_(loaded.is_before("date_created", end))
    found: Counter[tuple[str, int]] = Counter()
    for project_id, time, count in loaded.counted_by_hour(within):
        hour = floor_seconds(time) // HOUR * HOUR
        if span.holds(project_id, hour):
            found[project_id, hour] += count
    return found


def _listed(
    loaded: Loaded, run: Run, span: Span
) -> tuple[Counter[tuple[str, int]], Counter[tuple[str, int]], Counter[tuple[str, int]]]:
    """What the destination holds, what Sentry lists, and what of that the destination lacks, by id."""
    ours: Counter[tuple[str, int]] = Counter()
    theirs: Counter[tuple[str, int]] = Counter()
    missing: Counter[tuple[str, int]] = Counter()
    for project in run.projects:
        for window in list(span.parts[project.id]):
            try:
                listed = dict(_ids_in_sentry(run, project, window))
            except UNREADABLE as refusal:
                run.warn_once(f"{project.slug} cannot be compared: {refusal}")
                span.parts[project.id].remove(window)
                continue
            held = _ids(loaded, project, window)
            ours.update((project.id, hour) for hour in held.values())
            theirs.update((project.id, hour) for hour in listed.values())
            missing.update((project.id, hour) for event_id, hour in listed.items() if event_id not in held)
    return ours, theirs, missing


def _ids(loaded: Loaded, project: Project, window: Window) -> dict[str, int]:
    start, end = (datetime.fromtimestamp(second, UTC) for second in (window.start, window.end))
    where = (
        loaded.is_one_of("project_id", [project.id])
        .and_(loaded.is_at_least("date_created", start))
        .and_(loaded.is_before("date_created", end))
    )
    rows = loaded.values(["event_id", "date_created"], where)
    return {str(event_id): floor_seconds(as_moment(time)) // HOUR * HOUR for event_id, time in rows}


def _ids_in_sentry(run: Run, project: Project, window: Window) -> Iterator[tuple[str, int]]:
    scan = event_scan(run, project, full=False)
    for rows in scan.read(window):
        for row in rows:
            time = scan.time_of(row) or scan.other_time_of(row)
            if time is not None:
                yield scan.key_of(row), floor_seconds(time) // HOUR * HOUR


def _days(run: Run, sentry: Hours, loaded: Hours, missing: Hours) -> Iterator[Day]:
    for project in run.projects:
        hours = sorted({hour for owner, hour in {*sentry, *loaded} if owner == project.id})
        for start in sorted({hour // DAY * DAY for hour in hours}):
            of_day = [(project.id, hour) for hour in hours if start <= hour < start + DAY]
            lacking = sum(missing.get(at, 0) for at in of_day)
            theirs, ours = (sum(counts.get(at, 0) for at in of_day) for counts in (sentry, loaded))
            yield Day(
                project_id=project.id,
                project=project.slug,
                day=datetime.fromtimestamp(start, UTC).date(),
                sentry=theirs,
                loaded=ours,
                missing=lacking,
                surplus=ours - theirs + lacking,
            )
