"""Which tables this token can read, found out by asking for one row of each; nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, cast

from dlt.common.configuration import with_config
from dlt.common.typing import TSecretStrValue

from . import errors
from .client import SentryClient
from .config import Connection, connect
from .endpoints import EVENTS, FEEDBACK, ISSUES, RELEASES, TABLES
from .fanout import params_of, parents_of, path_of
from .issues import issues_listing
from .releases import releases_path
from .run import Run
from .table import ParentKind, Table


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
    samples = Samples(run)
    return Report(
        base_url=run.client.base_url,
        identity=identity,
        organization=run.organization.slug,
        projects=tuple(project.slug for project in run.projects),
        tables=tuple(_access(table, run, samples) for table in TABLES.values()),
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


def _access(table: Table, run: Run, samples: Samples) -> Access:
    """Whether the table can be read, for one parent at least."""
    problem: str | None = None
    for values in samples.of(table):
        try:
            _ask(table, run, values)
        except errors.SentryRequestError as refusal:
            problem = problem or str(refusal)
        else:
            return Access(table.name, table.scope, None)
    return Access(table.name, table.scope, problem or "nothing there to try it on")


def _ask(table: Table, run: Run, values: Mapping[str, str]) -> None:
    path, params = path_of(table, run, values), {**params_of(table, run), **_SMALL.get(table.name, {})}
    if table is ISSUES or table is FEEDBACK:
        path, of_project = issues_listing(run, values["project"])
        params |= of_project
    run.client.response(path, params, scope=table.scope, expected=object)


_SMALL: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "events": {"per_page": "1"},
        "issues": {"limit": "1"},
        "feedback": {"limit": "1"},
        "releases": {"per_page": "1"},
        "usage_stats": {
            "field": "sum(quantity)",
            "groupBy": "category",
            "interval": "1d",
            "statsPeriod": "1d",
        },
        "release_health": {"field": "sum(session)", "interval": "1d", "statsPeriod": "1d"},
    }
)
"""What makes a request small, or complete where the endpoint wants more than the catalogue says."""


class Samples:
    """Parents to try tables on.

    Args:
        run: The extraction.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._found: dict[str, list[Mapping[str, str]]] = {}

    def of(self, table: Table) -> list[Mapping[str, str]]:
        """Values for the path of a table, several to choose from; what cannot be listed gives none."""
        if table in (ISSUES, FEEDBACK, EVENTS):
            return [{"project": project.slug} for project in self._run.projects]
        if table.parent is None:
            return [{}]
        kind = table.parent.removesuffix(" tag")
        if kind not in self._found:
            try:
                self._found[kind] = list(islice(self._list(kind), 3))
            except errors.SentryRequestError:
                self._found[kind] = []
        tag = {"tag": "environment"} if table.parent != kind else {}
        return [{**values, **tag} for values in self._found[kind]]

    def _list(self, kind: str) -> Iterator[Mapping[str, str]]:
        run = self._run
        if kind == "release":
            for page in run.client.pages(releases_path(run), {"per_page": "1"}, scope=RELEASES.scope):
                yield from ({"release": str(row["version"])} for row in page.rows)
        elif kind == "issue":
            for project in run.projects:
                path, params = issues_listing(run, project.slug)
                for page in run.client.pages(path, {**params, "limit": "1"}, scope=ISSUES.scope):
                    yield from ({"issue": str(row["id"])} for row in page.rows)
        else:
            yield from (parent.path for parent in parents_of(cast(ParentKind, kind), run))
