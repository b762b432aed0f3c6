"""Which tables this token can read, found out by asking for one row of each; nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dlt.common.configuration import with_config
from dlt.common.typing import TSecretStrValue

from . import errors
from .client import SentryClient
from .config import Connection, connect
from .endpoints import EVENTS, ISSUES, RELEASES, TABLES, Table
from .events import events_path
from .issues import issues_listing
from .listings import read_listing
from .releases import releases_path
from .run import Run


@dataclass(frozen=True)
class Identity:
    """Who a token is.

    Attributes:
        name: User name or e-mail address; of an integration, its bot's.
        scopes: The token's scopes; empty where the server does not tell.
    """

    name: str
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Access:
    """Whether a table can be read.

    Attributes:
        table: The table's name.
        scope: The scope that reading it takes.
        problem: Why it cannot be read; None if it can.
    """

    table: str
    scope: str
    problem: str | None


@dataclass(frozen=True)
class Report:
    """What a token sees.

    Attributes:
        base_url: The server that was asked, with the region's host where there is one.
        identity: Who the token is.
        organization: Slug of the organization.
        projects: Slugs of the projects that would be read.
        tables: One entry per table.
    """

    base_url: str
    identity: Identity
    organization: str
    projects: tuple[str, ...]
    tables: tuple[Access, ...]


@with_config(sections=("sources", "sentry"))
def check_access(
    auth_token: TSecretStrValue | None = None,
    organization: str | None = None,
    base_url: str | None = None,
    projects: list[str] | None = None,
    *,
    allow_insecure: bool = False,
) -> Report:
    """Ask who the token is and for one row of each table.

    Args:
        auth_token: As for ``sentry_source``, and so are the others.
        organization: Slug or id.
        base_url: Host or URL of the server.
        projects: Slugs or ids.
        allow_insecure: Allow plain http to hosts other than this machine.

    Returns:
        The report; a table that cannot be read is in it with the reason.

    Raises:
        SentryError: The server, the token or the organization is wrong.
    """
    connection = connect(auth_token, organization, base_url, projects, allow_insecure=allow_insecure)
    identity = _identity(connection)
    run = Run(connection)
    return Report(
        base_url=run.client.base_url,
        identity=identity,
        organization=run.organization.slug,
        projects=tuple(project.slug for project in run.projects),
        tables=tuple(_access(table, run) for table in TABLES.values()),
    )


def _identity(connection: Connection) -> Identity:
    """The index of the API tells who asks; it answers without a token too, and then names nobody."""
    index: Any = SentryClient(connection).get("/")
    index = index if isinstance(index, dict) else {}
    user, auth = index.get("user") or {}, index.get("auth") or {}
    return Identity(
        name=str(user.get("username") or user.get("email") or "a token without a user"),
        scopes=tuple(sorted(str(scope) for scope in auth.get("scopes") or ())),
    )


def _access(table: Table, run: Run) -> Access:
    """Whether the table can be read, for one project at least."""
    problem: str | None = None
    for pages in _first_pages(table, run):
        try:
            next(pages, None)
        except errors.SentryRequestError as refusal:
            problem = problem or str(refusal)
        else:
            return Access(table.name, table.scope, None)
    return Access(table.name, table.scope, problem)


def _first_pages(table: Table, run: Run) -> Iterator[Iterator[Any]]:
    """Readings of the table's first page, one per project where it is asked per project."""
    if table is ISSUES:
        for project in run.projects:
            path, params = issues_listing(run, project)
            yield run.client.pages(path, {**params, "limit": "1"}, scope=table.scope)
    elif table is EVENTS:
        for project in run.projects:
            yield run.client.pages(events_path(run, project), {"per_page": "1"}, scope=table.scope)
    elif table is RELEASES:
        yield run.client.pages(releases_path(run), {"per_page": "1"}, scope=table.scope)
    else:
        yield read_listing(table, run)
