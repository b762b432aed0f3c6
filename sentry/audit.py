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
from dlt.common.destination.exceptions import SqlClientNotAvailable
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource

from .config import Connection, connect, server_identity, time_range
from .endpoints import EVENTS, ISSUE_EVENTS, TABLES
from .errors import SentryConfigurationError, SentryStateError
from .events import event_scan
from .loaded import SCHEMA, Loaded
from .progress import Choices
from .resources import Context, resources_of
from .run import CurrentRun, Project, Run
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
    """

    start: datetime
    end: datetime
    how: str
    days: tuple[Day, ...]
    gaps: Mapping[str, tuple[Window, ...]] = field(repr=False)

    @property
    def missing(self) -> int:
        """Events that the destination lacks."""
        return sum(day.missing for day in self.days)

    @property
    def surplus(self) -> int:
        """Events that only the destination has."""
        return sum(day.surplus for day in self.days)


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
    start_date: str | None = None,
    end_date: str | None = None,
    *,
    days: int = HISTORY_DAYS,
    by_listing: bool = False,
    allow_insecure: bool = False,
) -> Verification:
    """Compare the events in the destination with those in Sentry, per project and day; nothing is loaded.

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
        start_date: From when on; else ``days`` back, but not further than the server answers.
        end_date: Exclusive end; else the last full hour that the pipeline has read.
        days: How far back, where no start_date is given.
        by_listing: Compare ids instead of numbers.
        allow_insecure: Allow plain http to hosts other than this machine.

    Returns:
        The days with their numbers, and the hours that lack events.

    Raises:
        SentryError: The server, the token or the organization is wrong, or the pipeline has no events of it.
    """
    connection = connect(auth_token, organization, base_url, projects, allow_insecure=allow_insecure)
    start, end = time_range(start_date, end_date)
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
    start_date: str | None = None,
    end_date: str | None = None,
    *,
    days: int = HISTORY_DAYS,
    by_listing: bool = False,
    event_bodies: bool = True,
    chunk_events: int = CHUNK_EVENTS,
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
        start_date: From when on.
        end_date: Exclusive end.
        days: How far back, where no start_date is given.
        by_listing: Compare ids instead of numbers.
        event_bodies: As for ``sentry_source``.
        chunk_events: How many events one load brings at the most.
        allow_insecure: Allow plain http to hosts other than this machine.
        run_options: For ``pipeline.run``, such as ``loader_file_format``.

    Returns:
        The comparisons before and after.

    Raises:
        SentryError: As for ``verify``.
        PipelineStepFailed: A load failed; what was loaded before it stays.
    """
    connection = connect(auth_token, organization, base_url, projects, allow_insecure=allow_insecure)
    start, end = time_range(start_date, end_date)
    run = Run(connection)
    if pipeline.has_pending_data:
        pipeline.run()
    span = _span(pipeline, connection, run, (start, end), days)
    found = _compare(pipeline, run, span, by_listing=by_listing)
    tables = [table for table in (EVENTS, ISSUE_EVENTS) if Loaded(pipeline, table).exists]
    for part in _parts(found, chunk_events):
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
            counts[name] = loaded.count(loaded.is_before(cursor, since))
    return since, {name: count for name, count in counts.items() if count}


@dlt.source(name=SCHEMA, max_table_nesting=0, root_key=True)
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
    days: int,
) -> Window:
    """The whole hours that are compared."""
    start, end = chosen
    if not Loaded(pipeline, EVENTS).exists:
        raise SentryConfigurationError(
            f"Pipeline {pipeline.pipeline_name} has not loaded the table events yet. Load it first."
        )
    state: Any = pipeline.state.get("sources", {}).get(SCHEMA, {})
    mine = {"organization_id": run.organization.id, "base_url": server_identity(connection.base_url)}
    theirs = state.get("belongs_to", mine)
    if theirs != mine:
        raise SentryStateError(
            f"Pipeline {pipeline.pipeline_name} has loaded organization {theirs['organization_id']} of "
            f"{theirs['base_url']}, not {run.organization.slug} ({run.organization.id}) of {mine['base_url']}. "
            "Name that organization, or the other pipeline."
        )
    covered: Mapping[str, list[list[int]]] = state.get("resources", {}).get("events", {}).get("covered", {})
    newest = max((window[1] for windows in covered.values() for window in windows), default=None)
    last = min(newest or run.now - LOOKBACK_SECONDS, run.now) if end is None else floor_seconds(end)
    first = run.now - days * DAY if start is None else floor_seconds(start)
    horizon = run.oldest_answered(first)
    span = Window(-(-max(first, horizon or first) // HOUR) * HOUR, last // HOUR * HOUR)
    if span.start >= span.end:
        raise SentryConfigurationError(
            f"There is no full hour between {sentry_time(first)} and {sentry_time(last)} UTC that Sentry still "
            "answers for."
        )
    return span


def _compare(pipeline: dlt.Pipeline, run: Run, span: Window, *, by_listing: bool) -> Verification:
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
    return Verification(
        start=datetime.fromtimestamp(span.start, UTC),
        end=datetime.fromtimestamp(span.end, UTC),
        how=how,
        days=tuple(_days(run, theirs, ours, missing)),
        gaps={
            project.id: tuple(
                union(Window(hour, hour + HOUR) for owner, hour in missing if owner == project.id)
            )
            for project in run.projects
            if any(owner == project.id for owner, _ in missing)
        },
    )


def _counted(run: Run, span: Window) -> Counter[tuple[str, int]] | None:
    """What Sentry counts; None if it does not."""
    found: Counter[tuple[str, int]] = Counter()
    for project in run.projects:
        hours = run.count([project.id], span)
        if hours is None:
            return None
        found.update({(project.id, hour): count for hour, count in hours.items()})
    return found


def _held(loaded: Loaded, span: Window) -> Counter[tuple[str, int]]:
    """What the destination holds."""
    start, end = (datetime.fromtimestamp(second, UTC) for second in (span.start, span.end))
    within = loaded.is_at_least("date_created", start).and_(loaded.is_before("date_created", end))
    found: Counter[tuple[str, int]] = Counter()
    for project_id, hour, count in loaded.counted_by_hour(within):
        found[project_id, floor_seconds(hour) // HOUR * HOUR] += count
    return found


def _listed(
    loaded: Loaded, run: Run, span: Window
) -> tuple[Counter[tuple[str, int]], Counter[tuple[str, int]], Counter[tuple[str, int]]]:
    """What the destination holds, what Sentry lists, and what of that the destination lacks, by id."""
    ours: Counter[tuple[str, int]] = Counter()
    theirs: Counter[tuple[str, int]] = Counter()
    missing: Counter[tuple[str, int]] = Counter()
    for project in run.projects:
        held = _ids(loaded, project, span)
        ours.update((project.id, hour) for hour in held.values())
        for event_id, hour in _ids_in_sentry(run, project, span):
            theirs[project.id, hour] += 1
            if event_id not in held:
                missing[project.id, hour] += 1
    return ours, theirs, missing


def _ids(loaded: Loaded, project: Project, span: Window) -> dict[str, int]:
    start, end = (datetime.fromtimestamp(second, UTC) for second in (span.start, span.end))
    where = (
        loaded.is_one_of("project_id", [project.id])
        .and_(loaded.is_at_least("date_created", start))
        .and_(loaded.is_before("date_created", end))
    )
    rows = loaded.values(["event_id", "date_created"], where)
    return {str(event_id): floor_seconds(time) // HOUR * HOUR for event_id, time in rows}


def _ids_in_sentry(run: Run, project: Project, span: Window) -> Iterator[tuple[str, int]]:
    scan = event_scan(run, project, full=False)
    for rows in scan.read(span):
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
