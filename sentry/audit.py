"""Whether the destination holds what Sentry has: compared by numbers of events, mended by reading gaps again.

Events may reach Sentry up to 30 days after they happened (a phone that was offline), far behind any cursor. So the
destination is compared with Sentry's own counts, per project and hour, and hours that lack events are read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import dlt
from dlt.common.configuration import with_config
from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource

from .backfill import SOURCE
from .config import Connection, connect, server_identity, time_range
from .endpoints import EVENTS, ISSUE_EVENTS, TABLES
from .errors import SentryConfigurationError, SentryStateError
from .events import event_scan
from .leftovers import finish_earlier_run
from .loaded import Loaded, as_moment
from .progress import Choices
from .resources import Context, resources_of
from .run import CurrentRun, Project, Run
from .selection import UNREADABLE
from .settings import CHUNK_EVENTS, FIRST_RELEASE, HISTORY_DAYS, LOOKBACK_SECONDS
from .windows import DAY, HOUR, Window, floor_seconds, sentry_time, union

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


@dataclass(frozen=True)
class Repair:
    """What a repair has found and what is left.

    Attributes:
        before: The comparison before the repair.
        after: The comparison after it; what it still lacks, Sentry counts but does not list.
    """

    before: Verification
    after: Verification

    @property
    def brought(self) -> int:
        """Events that the destination lacked and now has."""
        return self.before.missing - self.after.missing


@with_config(sections=("sources", "sentry"))
def verify(  # noqa: PLR0913 - settings of sentry_source
    pipeline: dlt.Pipeline,
    auth_token: TSecretStrValue | None = None,
    organization: str | None = None,
    base_url: str | None = None,
    projects: list[str] | None = None,
    since: str | None = None,
    until: str | None = None,
    *,
    days: int | None = None,
    by_listing: bool = False,
    allow_insecure: bool = False,
) -> Verification:
    """Compare the events in the destination with those in Sentry, per project and day; nothing is loaded.

    Compared is what the pipeline says it has read; given an ``until``, all before it.

    Compared are numbers, hour by hour: an event that is missing in the same hour in which Sentry has deleted
    another one stays unseen. ``by_listing`` compares the ids of all events instead, at the cost of listing them
    (100 a request). Servers that do not count are compared that way always.

    See https://docs.sentry.io/api/explore/query-explore-events-in-timeseries-format/.

    Args:
        pipeline: A pipeline that has loaded the table ``events``.
        auth_token: As for ``sentry_source``, and so are organization, base_url, projects and allow_insecure.
        organization: Slug or id.
        base_url: Host or URL of the server.
        projects: Slugs or ids.
        since: From when on, but not further back than the server answers; else ``days`` back.
        until: Exclusive end; else the last hour that the pipeline has read, but for the newest hour: what Sentry
            indexes late the next run brings.
        days: How many days back, where no ``since`` is given; else 90.
        by_listing: Compare ids instead of numbers.
        allow_insecure: Allow plain http to hosts other than this machine.

    Returns:
        The days with their numbers, and the hours that lack events.

    Raises:
        SentryError: The server, the token or the organization is wrong, or the pipeline has no events of it.
    """
    connection = connect(auth_token, organization, base_url, projects, allow_insecure=allow_insecure)
    start, end = time_range(since, until, days or HISTORY_DAYS)
    run = Run(connection)
    span = _span(pipeline, connection, run, (start, end), days)
    return _compare(pipeline, run, span, by_listing=by_listing)


@with_config(sections=("sources", "sentry"))
def repair(  # noqa: PLR0913 - as above
    pipeline: dlt.Pipeline,
    auth_token: TSecretStrValue | None = None,
    organization: str | None = None,
    base_url: str | None = None,
    projects: list[str] | None = None,
    since: str | None = None,
    until: str | None = None,
    *,
    days: int | None = None,
    by_listing: bool = False,
    event_bodies: bool = True,
    events_per_load: int = CHUNK_EVENTS,
    allow_insecure: bool = False,
    **run_options: Any,
) -> Repair:
    """Read the hours again in which the destination lacks events, and compare once more.

    ``issue_events`` is read again with ``events`` where the pipeline has loaded it too.

    Args:
        pipeline: A pipeline that has loaded the table ``events``.
        auth_token: As for ``verify``, and so are the others down to by_listing.
        organization: Slug or id.
        base_url: Host or URL of the server.
        projects: Slugs or ids.
        since: From when on.
        until: Exclusive end.
        days: How many days back, where no ``since`` is given; else 90.
        by_listing: Compare ids instead of numbers.
        event_bodies: As for ``sentry_source``.
        events_per_load: How many events one load brings at the most.
        allow_insecure: Allow plain http to hosts other than this machine.
        run_options: For ``pipeline.run``, such as ``loader_file_format``.

    Returns:
        The comparisons before and after.

    Raises:
        SentryError: As for ``verify``.
        PipelineStepFailed: A load failed; what was loaded before it stays.
    """
    connection = connect(auth_token, organization, base_url, projects, allow_insecure=allow_insecure)
    start, end = time_range(since, until, days or HISTORY_DAYS)
    run = Run(connection)
    finish_earlier_run(pipeline)
    span = _span(pipeline, connection, run, (start, end), days)
    found = _compare(pipeline, run, span, by_listing=by_listing)
    tables = [table for table in (EVENTS, ISSUE_EVENTS) if Loaded(pipeline, table).exists]
    for part in _parts(found, events_per_load):
        context = Context(
            CurrentRun(connection), Choices(None, None, lookback=0, sweep_interval=0, again=part)
        )
        source = _source(context, full_events=event_bodies).with_resources(*(table.name for table in tables))
        pipeline.run(source, **run_options)
    left = _compare(pipeline, run, span, by_listing=by_listing) if found.gaps else found
    return Repair(found, left)


@with_config(sections=("sources", "sentry"))
def forgotten(  # noqa: PLR0913 - as above
    pipeline: dlt.Pipeline,
    tables: Iterable[str],
    auth_token: TSecretStrValue | None = None,
    organization: str | None = None,
    base_url: str | None = None,
    *,
    allow_insecure: bool = False,
) -> tuple[datetime, dict[str, int]] | None:
    """How many rows of some tables the destination holds that Sentry has forgotten: a new start loses them.

    Args:
        pipeline: The pipeline that has loaded them.
        tables: Names of tables; only those whose rows go with the events of their time matter.
        auth_token: As for ``sentry_source``, and so are the others.
        organization: Slug or id.
        base_url: Host or URL of the server.
        allow_insecure: Allow plain http to hosts other than this machine.

    Returns:
        From when on Sentry answers, and the number of rows from before that by table; None if it does not tell.

    Raises:
        SentryError: The server, the token or the organization is wrong.
    """
    run = Run(connect(auth_token, organization, base_url, None, allow_insecure=allow_insecure))
    horizon = run.oldest_answered(FIRST_RELEASE)
    if horizon is None:
        return None
    since = datetime.fromtimestamp(horizon, UTC)
    counts: dict[str, int] = {}
    for name, cursor in (
        ("events", "date_created"),
        ("issue_events", "date_created"),
        ("issues", "last_seen"),
    ):
        loaded = Loaded(pipeline, TABLES[name])
        if name in tables and loaded.exists:
            goes = loaded.is_before(cursor, since)
            if name == "issues":  # Sentry does not give those again that it has deleted or merged
                goes = goes.or_(loaded.is_true("is_deleted")).or_(loaded.is_given("merged_into"))
            counts[name] = loaded.count(goes)
    return since, {name: count for name, count in counts.items() if count}


@dlt.source(name=SOURCE, max_table_nesting=0, root_key=True)
def _source(context: Context, *, full_events: bool) -> list[DltResource]:
    return [
        resource
        for table in (EVENTS, ISSUE_EVENTS)
        for resource in resources_of(table, context, full_events=full_events)
    ]


def _span(
    pipeline: dlt.Pipeline,
    connection: Connection,
    run: Run,
    chosen: tuple[datetime | None, datetime | None],
    days: int | None,
) -> Span:
    """The hours that are compared."""
    if not Loaded(pipeline, EVENTS).exists:
        raise SentryConfigurationError(
            f"Pipeline {pipeline.pipeline_name} has not loaded the table events yet. Load it first."
        )
    state: Any = pipeline.state.get("sources", {}).get(SOURCE, {})
    mine = {"organization_id": run.organization.id, "base_url": server_identity(connection.base_url)}
    theirs = state.get("belongs_to", mine)
    if theirs != mine:
        raise SentryStateError(
            f"Pipeline {pipeline.pipeline_name} has loaded organization {theirs['organization_id']} of "
            f"{theirs['base_url']}, not {run.organization.slug} ({run.organization.id}) of {mine['base_url']}. "
            "Name that organization, or the other pipeline."
        )
    return _chosen_span(run, _covered(pipeline), chosen, days)


def _covered(pipeline: dlt.Pipeline) -> dict[str, list[Window]]:
    """What the pipeline says it has read of the table events, by project id."""
    state: Any = pipeline.state.get("sources", {}).get(SOURCE, {})
    covered = state.get("resources", {}).get(EVENTS.name, {}).get("covered", {})
    return {project_id: [Window(*window) for window in windows] for project_id, windows in covered.items()}


def _chosen_span(
    run: Run,
    covered: Mapping[str, list[Window]],
    chosen: tuple[datetime | None, datetime | None],
    days: int | None,
) -> Span:
    start, end = chosen
    newest = max((window.end for windows in covered.values() for window in windows), default=None)
    last = (
        min(run.now, newest or run.now) - LOOKBACK_SECONDS
        if end is None
        else min(run.now, floor_seconds(end))
    )
    first = run.now - (days or HISTORY_DAYS) * DAY if start is None else floor_seconds(start)
    horizon = run.oldest_answered(first)
    whole = Window(max(first, horizon or first), last).full_hours()
    if not whole.seconds:
        raise SentryConfigurationError(
            f"There is no full hour between {sentry_time(first)} and {sentry_time(last)} UTC that Sentry still "
            "answers for."
        )
    if not covered or end is not None:
        return Span(whole, {project.id: [whole] for project in run.projects})
    parts = {
        project.id: [
            part
            for window in union(covered.get(project.id, ()))
            if (part := window.intersect(whole).full_hours()).seconds
        ]
        for project in run.projects
    }
    return Span(whole, parts)


def _compare(pipeline: dlt.Pipeline, run: Run, span: Span, *, by_listing: bool) -> Verification:
    loaded = Loaded(pipeline, EVENTS)
    try:
        counted = None if by_listing else _counted(run, span)
        if counted is None:
            how, (ours, theirs, missing) = "its lists", _listed(loaded, run, span)
        else:
            how, ours, theirs = "its own counts", _held(loaded, span), counted
            missing = Counter({at: theirs[at] - ours[at] for at in theirs if theirs[at] > ours[at]})
    except SqlClientNotAvailable:
        raise SentryConfigurationError(
            f"{pipeline.destination.destination_name} cannot be asked in SQL what it holds, so it cannot be "
            "compared."
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


def _parts(found: Verification, events: int) -> Iterator[dict[str, list[Window]]]:
    """The gaps in loads of a bounded number of events, as far as whole days can be told apart."""
    part: dict[str, list[Window]] = {}
    size = 0
    for day in found.days:
        if not day.missing:
            continue
        start = floor_seconds(datetime(day.day.year, day.day.month, day.day.day, tzinfo=UTC))
        windows = [
            clipped
            for gap in found.gaps[day.project_id]
            if (clipped := gap.intersect(Window(start, start + DAY))).seconds
        ]
        if part and size + day.sentry > events:
            yield part
            part, size = {}, 0
        part.setdefault(day.project_id, []).extend(windows)
        size += day.sentry
    if part:
        yield part
