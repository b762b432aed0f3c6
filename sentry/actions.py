"""What people and scripts do with Sentry beside loading it: list a project's issues, list an issue's events.

Updating issues and submitting events are in ``issue_updates`` and ``event_submission``.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlt.common.configuration import with_config
from dlt.common.typing import TSecretStrValue

from .client import Page, Row
from .config import connect
from .endpoints import ISSUE_DETAILS, ISSUE_EVENTS, ISSUES
from .errors import SentryConfigurationError
from .events import event_scan, scan_of_issue
from .fanout import path_of
from .issues import issues_listing
from .run import Project, Run
from .scans import until_settled
from .settings import FIRST_RELEASE, PAGE_SIZE
from .windows import Window

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

    for rows in until_settled(pages, set()):
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
    for rows in scan_of_issue(ISSUE_EVENTS, run, issue_id).read(everything):
        yield from rows
