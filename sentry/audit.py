"""Whether the destination holds what Sentry has: compared by numbers of events, mended by reading gaps again.

Events may reach Sentry up to 30 days after they happened (a phone that was offline), far behind any cursor. So the
destination is compared with Sentry's own counts, per project and hour, and hours that lack events are read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dlt
from dlt.common.configuration import with_config
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource, DltSource

from .choices import Choices
from .comparison import Span, Verification, compare
from .config import Connection, connect, server_identity, time_range
from .endpoints import EVENTS, ISSUE_EVENTS, TABLES
from .errors import SentryConfigurationError, SentryStateError
from .leftovers import finish_earlier_run
from .loaded import Loaded
from .privacy import Privacy
from .resources import Context, resources_of
from .run import CurrentRun, Run
from .settings import CHUNK_EVENTS, FIRST_RELEASE, HISTORY_DAYS, LOOKBACK_SECONDS, SOURCE
from .windows import DAY, Window, floor_seconds, sentry_time, union


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
        return max(0, self.before.missing - self.after.missing)


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
    run, span = _begun(pipeline, connection, (since, until), days)
    return compare(pipeline, run, span, by_listing=by_listing)


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
    personal_data: str = "keep",
    personal_data_key: TSecretStrValue | None = None,
    events_per_load: int = CHUNK_EVENTS,
    prepare: Callable[[DltSource], object] | None = None,
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
        personal_data: As for ``sentry_source``, and so is the key: what is repaired is as it was loaded.
        personal_data_key: The key of the hashes.
        events_per_load: How many events one load brings at the most.
        prepare: Called with the source of each load: the place for the ``add_map``, ``add_filter`` and
            ``apply_hints`` that the pipeline is otherwise run with.
        allow_insecure: Allow plain http to hosts other than this machine.
        run_options: For ``pipeline.run``, such as ``loader_file_format``.

    Returns:
        The comparisons before and after.

    Raises:
        SentryError: As for ``verify``.
        PipelineStepFailed: A load failed; what was loaded before it stays.
    """
    connection = connect(auth_token, organization, base_url, projects, allow_insecure=allow_insecure)
    privacy = Privacy(personal_data, personal_data_key)
    _check_privacy(pipeline, privacy)
    finish_earlier_run(pipeline)
    run, span = _begun(pipeline, connection, (since, until), days)
    found = compare(pipeline, run, span, by_listing=by_listing)
    tables = [table for table in (EVENTS, ISSUE_EVENTS) if Loaded(pipeline, table).exists]
    for part in _parts(found, events_per_load):
        context = Context(
            CurrentRun(connection, privacy=privacy),
            Choices(None, None, lookback=0, sweep_interval=0, again=part),
        )
        source = _source(context, full_events=event_bodies).with_resources(*(table.name for table in tables))
        if prepare is not None:
            prepare(source)
        pipeline.run(source, **run_options)
    left = compare(pipeline, run, span, by_listing=by_listing) if found.gaps else found
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


def _begun(
    pipeline: dlt.Pipeline, connection: Connection, asked: tuple[str | None, str | None], days: int | None
) -> tuple[Run, Span]:
    """Whom to ask, and the hours that are compared."""
    chosen = time_range(*asked, days or HISTORY_DAYS)
    run = Run(connection)
    if SOURCE not in pipeline.schemas:
        pipeline.sync_destination()
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
    return run, _chosen_span(run, _covered(pipeline), chosen, days)


def _check_privacy(pipeline: dlt.Pipeline, privacy: Privacy) -> None:
    """Rows that are read again must not bring back what was hashed or dropped."""
    state: Any = pipeline.state.get("sources", {}).get(SOURCE, {})
    if state.get("personal_data", privacy.mark) != privacy.mark:
        raise SentryConfigurationError(
            f"This pipeline loads with personal_data = {state['personal_data'].split()[0]!r}, and repair would "
            f"use {privacy.mode!r}, or another key. Set both in dlt's configuration, or give repair what "
            "sentry_source is given."
        )


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
            "answers for. Give another range, of an hour at least."
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
