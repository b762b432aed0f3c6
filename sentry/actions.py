"""What people do with Sentry beside loading it: submit an event, update an issue, list issues and events.

For many rows at once see ``destinations``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from dlt.common.configuration import with_config
from dlt.common.typing import TSecretStrValue

from .client import Page, Row
from .config import connect
from .endpoints import ISSUE_DETAILS, ISSUES
from .errors import SentryConfigurationError, SentryNotFoundError
from .event_scans import event_scan, issue_scan
from .event_submission import submit_event, submit_events
from .fanout import path_of
from .issue_calls import IssueCalls
from .issue_rows import InvalidRowError, read_row
from .issue_updates import connection_from, update_issues
from .issues import issues_listing
from .run import Project, Run
from .scans import until_settled
from .settings import FIRST_RELEASE, PAGE_SIZE
from .windows import Window

__all__ = [
    "list_events",
    "list_issues",
    "submit_event",
    "submit_events",
    "update_issue",
    "update_issues",
]

STATS_PERIODS = ("24h", "14d", "")
"""What Sentry takes for the histogram of an issue; the empty text leaves it out."""


@with_config(sections=("sources", "sentry"))
def list_issues(  # noqa: PLR0913 - settings of sentry_source
    project: str,
    query: str | None = None,
    stats_period: str = "24h",
    auth_token: TSecretStrValue | None = None,
    organization: str | None = None,
    base_url: str | None = None,
    *,
    short_id_lookup: bool = False,
    allow_insecure: bool = False,
) -> Iterator[Row]:
    """The issues of a project as Sentry gives them, all pages, each issue once.

    See https://docs.sentry.io/api/events/list-an-organizations-issues/.

    Args:
        project: Slug or id.
        query: Sentry's search, such as ``is:resolved level:error``; the empty text: all issues. None: what Sentry
            implies, ``is:unresolved``.
        stats_period: Period of the numbers under ``stats``: ``24h``, ``14d``, or the empty text for none.
        auth_token: As for ``sentry_source``, and so are the others.
        organization: Slug or id.
        base_url: Host or URL of the server.
        short_id_lookup: Whether a query that is a short id, such as ``SHOP-1AB``, finds that issue.
        allow_insecure: Allow plain http to hosts other than this machine.

    Yields:
        Issues with the fields of Sentry's answer.

    Raises:
        SentryError: The settings, the token or the query is wrong.
    """
    if stats_period not in STATS_PERIODS:
        raise SentryConfigurationError(f"stats_period is 24h, 14d or empty, not {stats_period!r}.")
    run = Run(connect(auth_token, organization, base_url, [project], allow_insecure=allow_insecure))
    path, params = issues_listing(run, run.projects[0].slug)
    del params["query"]
    period = "statsPeriod" if run.is_before_organization_issues else "groupStatsPeriod"
    params |= {"limit": str(PAGE_SIZE), period: stats_period}
    params |= {} if query is None else {"query": query}
    params |= {"shortIdLookup": "1"} if short_id_lookup else {}

    def pages() -> Iterator[Page]:
        return run.client.pages(path, params, scope=ISSUES.scope)

    for rows in until_settled(pages, set(), partial(run.rejects.with_key, ISSUES)):
        yield from rows


@with_config(sections=("sources", "sentry"))
def list_events(
    issue_id: str,
    auth_token: TSecretStrValue | None = None,
    organization: str | None = None,
    base_url: str | None = None,
    *,
    allow_insecure: bool = False,
) -> Iterator[Row]:
    """All events of an issue with their full bodies, newest first, each once.

    See https://docs.sentry.io/api/events/list-an-issues-events/.

    Args:
        issue_id: Id of the issue; newer servers take its short id too.
        auth_token: As for ``sentry_source``, and so are the others.
        organization: Slug or id.
        base_url: Host or URL of the server.
        allow_insecure: Allow plain http to hosts other than this machine.

    Yields:
        Events with the fields of Sentry's answer: entries, packages, contexts, dateReceived...

    Raises:
        SentryError: The settings or the token is wrong, or there is no such issue.
    """
    run = Run(connect(auth_token, organization, base_url, None, allow_insecure=allow_insecure))
    everything = Window(FIRST_RELEASE, run.now)
    if run.is_before_organization_issues:
        issue = run.client.get(path_of(ISSUE_DETAILS, run, {"issue": issue_id}), scope=ISSUES.scope)
        project = Project(str(issue["project"]["id"]), str(issue["project"]["slug"]))
        for rows in event_scan(run, project, full=True).read(everything):
            yield from (row for row in rows if str(row.get("groupID")) == str(issue["id"]))
        return
    for rows in issue_scan(run, issue_id, full=True).read(everything):
        yield from rows


def update_issue(  # noqa: PLR0913 - as above
    issue_id: str,
    changes: Mapping[str, Any],
    *,
    auth_token: str | None = None,
    organization: str | None = None,
    base_url: str | None = None,
    allow_insecure: bool = False,
) -> Row:
    """Change one issue; only what is given is sent.

    See https://docs.sentry.io/api/events/update-an-issue/.

    Args:
        issue_id: Id of the issue.
        changes: Any of status, substatus, status_details, assigned_to, priority, has_seen, is_bookmarked,
            is_subscribed, is_public, as ``update_issues`` takes them.
        auth_token: As for ``sentry_source``; it takes the scope ``event:write``. So are the others.
        organization: Slug or id.
        base_url: Host or URL of the server.
        allow_insecure: Allow plain http to hosts other than this machine.

    Returns:
        The issue as Sentry gives it after the change.

    Raises:
        SentryConfigurationError: The changes make no sense, or there are none; nothing was sent.
        SentryNotFoundError: There is no such issue, or it was merged into another one; nothing was changed.
        SentryError: Sentry refused it.
    """
    try:
        row = read_row({**changes, "issue_id": issue_id})
    except InvalidRowError as error:
        raise SentryConfigurationError(f"{error}. Nothing was sent.") from None
    if row.ending or not row.change.fields:
        raise SentryConfigurationError(
            "Say what is to be changed: status, assigned_to, priority... Nothing was sent."
        )
    calls = IssueCalls(Run(connection_from(auth_token, organization, base_url, allow_insecure)))
    place = calls.where_it_went(row.issue_id)
    if place != row.issue_id:
        what = f"was merged into {place}; change that one" if place else "is not there, or not for this token"
        raise SentryNotFoundError(f"Issue {row.issue_id} {what}. Nothing was changed.", path="issues/")
    changed: Row = calls.change_one(row.issue_id, row.change.fields).json()
    return changed
