"""Loads a Sentry organization: projects, people, releases, issues, events, monitors, usage, incrementally."""

from __future__ import annotations

from collections.abc import Sequence

import dlt
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource

from .audit import Repair, repair, verify
from .backfill import history_left
from .choices import Choices
from .comparison import Verification
from .config import connect, time_range
from .endpoints import DEFAULT_TABLES, TABLES
from .errors import SentryConfigurationError, SentryError, SentryRequestError
from .failures import failures_of
from .privacy import Privacy
from .resources import Context, resources_of
from .run import CurrentRun
from .settings import LOOKBACK_SECONDS, MAX_PARALLEL, MAX_RESPONSE_MEGABYTES, SWEEP_INTERVAL_HOURS

__all__ = [
    "DEFAULT_TABLES",
    "TABLES",
    "Repair",
    "SentryConfigurationError",
    "SentryError",
    "SentryRequestError",
    "Verification",
    "failures_of",
    "history_left",
    "repair",
    "sentry_source",
    "verify",
]


@dlt.source(name="sentry", max_table_nesting=0, root_key=True)
def sentry_source(  # noqa: PLR0913 - each is a key of [sources.sentry]
    auth_token: TSecretStrValue | None = None,
    organization: str | None = None,
    base_url: str | None = None,
    projects: list[str] | None = None,
    start_date: str | None = None,
    end_date: str | None = None,
    event_bodies: bool = True,  # noqa: FBT001, FBT002 - dlt passes settings by name
    lookback: int = LOOKBACK_SECONDS,
    sweep_interval: float = SWEEP_INTERVAL_HOURS,
    chunk_events: int = 0,
    backfill_order: str = "newest",
    tag_keys: list[str] | None = None,
    personal_data: str = "keep",
    personal_data_key: TSecretStrValue | None = None,
    strict: bool = False,  # noqa: FBT001, FBT002
    max_parallel: int = MAX_PARALLEL,
    max_requests_per_second: float = 0.0,
    max_response_megabytes: int = MAX_RESPONSE_MEGABYTES,
    allow_insecure: bool = False,  # noqa: FBT001, FBT002
) -> Sequence[DltResource]:
    """Everything this source loads from one Sentry organization; building it sends nothing.

    Every argument can stand in dlt's configuration under ``[sources.sentry]``, or in the environment as
    ``SOURCES__SENTRY__...`` (https://dlthub.com/docs/general-usage/credentials). What is found neither there
    nor here is taken from sentry-cli's variables, named below.

    Args:
        auth_token: Personal token or token of an internal integration; ``SENTRY_AUTH_TOKEN``.
        organization: Slug or id; ``SENTRY_ORG``; else the only one that the token can see.
        base_url: Host or URL of the server, ``https://sentry.io`` if not given; ``SENTRY_URL``.
        projects: Slugs or ids; ``SENTRY_PROJECT``; else all that the token can read.
        start_date: First moment of issues and events wanted, ISO 8601, UTC where it names no zone; else 90
            days back. Releases do not age out and are loaded whatever their age.
        end_date: Exclusive end. Given, exactly ``start_date`` to ``end_date`` is loaded, progress stays as is.
        event_bodies: Full events; False: the simple form, of which a request brings ten times as many.
        lookback: Seconds before what was read that are read again, for events that were indexed late.
        sweep_interval: Hours between two readings of all issues and releases; 0: in every run.
        chunk_events: How many events of a long history one run brings at the most, as Sentry counts them; 0: all.
            ``history_left`` tells whether the source is to be run again.
        backfill_order: Whether such a history comes ``newest`` or ``oldest`` first.
        tag_keys: The tag keys whose values ``tag_values`` and ``issue_tag_values`` list.
        personal_data: ``keep``; ``hash``: keyed hashes in place of personal values; ``drop``: without them.
            Credentials, cookies and environment variables of requests are dropped in any case.
        personal_data_key: The key of these hashes, 16 to 64 characters.
        strict: A table that cannot be read is an error, not a warning.
        max_parallel: Requests under way at once, at the most.
        max_requests_per_second: Requests in a second, at the most, over all tables; 0: as many as Sentry's limits
            allow, which are kept in any case.
        max_response_megabytes: Of one answer, read at the most; a larger one is an error.
        allow_insecure: Allow plain http to hosts other than this machine.

    Returns:
        One resource per table of ``TABLES``, those that are loaded by default selected, and a hidden one that
        feeds ``events`` with projects. ``with_resources`` picks others.

    Raises:
        SentryConfigurationError: A setting is missing or makes no sense.
    """
    connection = connect(
        auth_token,
        organization,
        base_url,
        projects,
        allow_insecure=allow_insecure,
        max_parallel=max_parallel,
        max_requests_per_second=max_requests_per_second,
        max_response_megabytes=max_response_megabytes,
    )
    start, end = time_range(start_date, end_date)
    if backfill_order not in ("newest", "oldest"):
        raise SentryConfigurationError(f"backfill_order is newest or oldest, not {backfill_order!r}.")
    context = Context(
        CurrentRun(
            connection,
            tag_keys=tag_keys or (),
            strict=strict,
            privacy=Privacy(personal_data, personal_data_key),
        ),
        Choices(
            start=start,
            end=end,
            lookback=int(_not_negative("lookback", lookback)),
            sweep_interval=_not_negative("sweep_interval", sweep_interval),
            chunk_events=int(_not_negative("chunk_events", chunk_events)),
            newest_first=backfill_order == "newest",
        ),
    )
    return [
        resource
        for table in TABLES.values()
        for resource in resources_of(table, context, full_events=event_bodies)
    ]


def _not_negative(name: str, value: float) -> float:
    if value < 0:
        raise SentryConfigurationError(f"{name} must be 0 or more, not {value}.")
    return value
