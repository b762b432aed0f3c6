"""The endpoints: path, handler, scopes and rate limit of each."""

from collections.abc import Callable
from dataclasses import dataclass

from . import api_events, api_issues, api_organization
from .answers import Answer
from .call import Call

Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Endpoint:
    """One path of the web API.

    Attributes:
        path: Below `/api/0`.
        handler: Makes the answer.
        scopes: Any of these will do; none: it answers without a token too.
        view: Whose rate limit it counts for.
        replacement: What to call instead, when the path is deprecated.
        in_organization: Whether the path names the organization, so that any silo can route it.
    """

    path: str
    handler: Handler
    scopes: frozenset[str]
    view: str = "default"
    replacement: str | None = None
    in_organization: bool = True


def _any(*scopes: str) -> frozenset[str]:
    return frozenset(scopes)


ORGANIZATION = "/organizations/{organization}"
PROJECT = "/projects/{organization}/{project}"
RELEASE_SCOPES = _any("project:read", "project:releases", "org:ci")

ENDPOINTS = (
    Endpoint("/", api_organization.index, _any(), in_organization=False),
    Endpoint("/organizations/", api_organization.organizations, _any("org:read"), in_organization=False),
    Endpoint(f"{ORGANIZATION}/", api_organization.organization, _any("org:read")),
    Endpoint(f"{ORGANIZATION}/projects/", api_organization.projects, _any("org:read")),
    Endpoint(f"{ORGANIZATION}/teams/", api_organization.teams, _any("org:read")),
    Endpoint(f"{ORGANIZATION}/members/", api_organization.members, _any("member:read")),
    Endpoint(f"{ORGANIZATION}/environments/", api_organization.environments, _any("org:read")),
    Endpoint(f"{ORGANIZATION}/releases/", api_organization.releases, RELEASE_SCOPES, "releases"),
    Endpoint(
        f"{ORGANIZATION}/issues/", api_issues.organization_issues, _any("event:read"), "organization-issues"
    ),
    Endpoint(f"{ORGANIZATION}/issues/{{issue}}/", api_issues.issue, _any("event:read"), "issue-detail"),
    Endpoint(
        f"{ORGANIZATION}/issues/{{issue}}/events/",
        api_events.issue_events,
        _any("event:read"),
        "issue-events",
    ),
    Endpoint(f"{PROJECT}/", api_organization.project, _any("project:read")),
    Endpoint(f"{PROJECT}/events/", api_events.project_events, _any("project:read"), "project-events"),
    Endpoint(f"{PROJECT}/events/{{event}}/", api_events.event, _any("project:read"), "event-detail"),
    Endpoint(
        f"{PROJECT}/issues/",
        api_issues.project_issues,
        _any("event:read"),
        "project-issues",
        replacement="/api/0/organizations/{organization_id_or_slug}/issues/",
    ),
    Endpoint(f"{PROJECT}/environments/", api_organization.project_environments, _any("project:read")),
    Endpoint(
        "/issues/{issue}/",
        api_issues.issue_without_organization,
        _any("event:read"),
        "issue-detail",
        replacement="/api/0/organizations/{organization_id_or_slug}/issues/{issue_id}/",
        in_organization=False,
    ),
    Endpoint(
        "/issues/{issue}/events/",
        api_events.issue_events_without_organization,
        _any("event:read"),
        "issue-events",
        replacement="/api/0/organizations/{organization_id_or_slug}/issues/{issue_id}/events/",
        in_organization=False,
    ),
)
