"""The endpoints: path, handler, scopes and rate limit of each."""

from . import (
    api_events,
    api_explore,
    api_issue_parts,
    api_issue_updates,
    api_issues,
    api_monitoring,
    api_organization,
    api_projects,
    api_releases,
    api_setup,
    api_tags,
    api_timeseries,
    api_usage,
)
from .endpoint import Endpoint, Handler


def _any(*scopes: str) -> frozenset[str]:
    return frozenset(scopes)


ORGANIZATION = "/organizations/{organization}"
PROJECT = "/projects/{organization}/{project}"
RELEASE_SCOPES = _any("project:read", "project:releases", "org:ci")

_FIRST = (
    Endpoint("/", api_organization.index, _any(), in_organization=False),
    Endpoint(
        "/organizations/",
        api_organization.organizations,
        _any("org:read"),
        in_organization=False,
        feature="organizations",
    ),
    Endpoint(
        f"{ORGANIZATION}/", api_organization.organization, _any("org:read"), feature="organization_details"
    ),
    Endpoint(f"{ORGANIZATION}/projects/", api_organization.projects, _any("org:read"), feature="projects"),
    Endpoint(f"{ORGANIZATION}/teams/", api_organization.teams, _any("org:read"), feature="teams"),
    Endpoint(f"{ORGANIZATION}/members/", api_organization.members, _any("member:read"), feature="members"),
    Endpoint(
        f"{ORGANIZATION}/environments/",
        api_organization.environments,
        _any("org:read"),
        feature="environments",
    ),
    Endpoint(
        f"{ORGANIZATION}/releases/", api_organization.releases, RELEASE_SCOPES, "releases", feature="releases"
    ),
    Endpoint(
        f"{ORGANIZATION}/issues/",
        api_issues.organization_issues,
        _any("event:read"),
        "organization-issues",
        feature="issues",
    ),
    Endpoint(
        f"{ORGANIZATION}/issues/{{issue}}/",
        api_issues.issue,
        _any("event:read"),
        "issue-detail",
        feature="issue_details",
    ),
    Endpoint(
        f"{ORGANIZATION}/issues/{{issue}}/events/",
        api_events.issue_events,
        _any("event:read"),
        "issue-events",
        feature="issue_events",
    ),
    Endpoint(f"{PROJECT}/", api_organization.project, _any("project:read"), feature="project_details"),
    Endpoint(
        f"{PROJECT}/events/",
        api_events.project_events,
        _any("project:read"),
        "project-events",
        feature="events",
    ),
    Endpoint(f"{PROJECT}/events/{{event}}/", api_events.event, _any("project:read"), "event-detail"),
    Endpoint(
        f"{PROJECT}/issues/",
        api_issues.project_issues,
        _any("event:read"),
        "project-issues",
        replacement="/api/0/organizations/{organization_id_or_slug}/issues/",
    ),
    Endpoint(
        f"{PROJECT}/environments/",
        api_organization.project_environments,
        _any("project:read"),
        feature="project_environments",
    ),
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


def _of_organization(
    path: str,
    handler: Handler,
    *scopes: str,
    feature: str,
    view: str = "default",
    newer: bool = False,
    wants_user: bool = False,
) -> Endpoint:
    return Endpoint(
        f"{ORGANIZATION}/{path}",
        handler,
        _any(*scopes),
        view,
        feature=feature,
        newer=newer,
        wants_user=wants_user,
    )


def _of_project(
    path: str,
    handler: Handler,
    feature: str,
    *,
    scopes: frozenset[str] = frozenset({"project:read"}),
    view: str = "default",
    newer: bool = False,
) -> Endpoint:
    return Endpoint(f"{PROJECT}/{path}", handler, scopes, view, feature=feature, newer=newer)


def _of_issue(
    path: str, handler: Handler, older: Handler, feature: str, view: str = "default"
) -> list[Endpoint]:
    """An endpoint below an issue: in the organization, and on the older path without it."""
    scopes, replacement = (
        _any("event:read"),
        "/api/0/organizations/{organization_id_or_slug}/issues/{issue_id}/",
    )
    return [
        Endpoint(
            f"{ORGANIZATION}/issues/{{issue}}/{path}", handler, scopes, view, feature=feature, newer=True
        ),
        Endpoint(
            f"/issues/{{issue}}/{path}",
            older,
            scopes,
            view,
            replacement=f"{replacement}{path}",
            in_organization=False,
            feature=feature,
        ),
    ]


# The version of a release may hold slashes, so its own path comes after those below it.
_RELEASES = tuple(
    Endpoint(f"{ORGANIZATION}/releases/{{version:path}}/{path}", handler, scopes, "releases", feature=feature)
    for path, handler, scopes, feature in (
        ("commits/", api_releases.commits, RELEASE_SCOPES, "release_commits"),
        ("commitfiles/", api_releases.commit_files, _any("project:releases"), "release_commit_files"),
        ("deploys/", api_releases.deploys, RELEASE_SCOPES, "release_deploys"),
        ("files/", api_releases.files, RELEASE_SCOPES, "release_files"),
        ("", api_releases.release, RELEASE_SCOPES, "release_details"),
    )
)

_ISSUES = (
    *_of_issue(
        "comments/",
        api_issue_parts.comments,
        api_issue_parts.comments_without_organization,
        "issue_comments",
    ),
    *_of_issue(
        "notes/", api_issue_parts.comments, api_issue_parts.comments_without_organization, "issue_comments"
    ),
    *_of_issue(
        "hashes/", api_issue_parts.hashes, api_issue_parts.hashes_without_organization, "issue_hashes"
    ),
    *_of_issue(
        "external-issues/",
        api_issue_parts.external_links,
        api_issue_parts.external_links_without_organization,
        "issue_external_links",
    ),
    *_of_issue("tags/", api_tags.issue_tags, api_tags.issue_tags_without_organization, "issue_tags", "tags"),
    *_of_issue(
        "tags/{key}/values/",
        api_tags.issue_tag_values,
        api_tags.issue_tag_values_without_organization,
        "issue_tag_values",
        "tags",
    ),
    *_of_issue(
        "tags/{key}/", api_tags.issue_tag, api_tags.issue_tag_without_organization, "issue_tags", "tags"
    ),
)

_PROJECTS = (
    _of_project("teams/", api_projects.teams, "project_teams"),
    _of_project("keys/", api_projects.keys, "project_keys"),
    _of_project("ownership/", api_projects.ownership, "project_ownership"),
    _of_project("filters/", api_projects.filters, "project_filters"),
    _of_project("tags/", api_tags.project_tags, "project_tags", view="tags"),
    _of_project("tags/{key}/values/", api_tags.tag_values, "tag_values", view="tags"),
    _of_project("users/", api_tags.project_users, "project_users", view="project-users"),
    _of_project("hooks/", api_projects.hooks, "service_hooks"),
    _of_project("symbol-sources/", api_projects.symbol_sources, "symbol_sources", newer=True),
    _of_project(
        "files/dsyms/",
        api_projects.debug_files,
        "debug_files",
        scopes=_any("project:read", "project:releases", "org:ci"),
    ),
    _of_project("user-feedback/", api_projects.user_feedback, "user_feedback"),
    _of_project("stats/", api_usage.project_stats, "project_stats", view="stats"),
    Endpoint(
        "/teams/{organization}/{team}/members/",
        api_projects.team_members,
        _any("team:read"),
        feature="team_members",
    ),
)

_ORGANIZATION = (
    _of_organization("users/", api_projects.users, "org:read", feature="users"),
    _of_organization(
        "repos/", api_setup.repositories, "org:read", "org:integrations", "org:ci", feature="repositories"
    ),
    _of_organization(
        "repos/{repository}/commits/", api_setup.repository_commits, "org:read", feature="repository_commits"
    ),
    _of_organization(
        "integrations/", api_setup.integrations, "org:read", "org:integrations", feature="integrations"
    ),
    _of_organization(
        "sentry-app-installations/",
        api_setup.installations,
        "org:read",
        "org:integrations",
        feature="sentry_app_installations",
    ),
    _of_organization("tags/", api_tags.organization_tags, "org:read", feature="tags", view="tags"),
    _of_organization(
        "events/", api_explore.events, "org:read", feature="explore", view="organization-events"
    ),
    _of_organization(
        "events-timeseries/",
        api_timeseries.events_timeseries,
        "org:read",
        feature="events-timeseries",
        view="organization-events",
    ),
    _of_organization("dashboards/", api_setup.dashboards, "org:read", feature="dashboards"),
    _of_organization("dashboards/{dashboard}/", api_setup.dashboard, "org:read", feature="dashboards"),
    _of_organization("discover/saved/", api_setup.saved_queries, "org:read", feature="saved_queries"),
    _of_organization(
        "monitors/", api_monitoring.monitors, "alerts:read", "org:read", feature="monitors", newer=True
    ),
    _of_organization(
        "monitors/{monitor}/checkins/",
        api_monitoring.checkins,
        "alerts:read",
        "project:read",
        feature="monitor_checkins",
        newer=True,
    ),
    _of_organization(
        "detectors/",
        api_monitoring.detectors,
        "alerts:read",
        "org:read",
        feature="detectors",
        newer=True,
        wants_user=True,
    ),
    _of_organization(
        "workflows/", api_monitoring.workflows, "alerts:read", "org:read", feature="workflows", newer=True
    ),
    _of_organization("replays/", api_monitoring.replays, "org:read", feature="replays", newer=True),
    _of_organization(
        "stats_v2/", api_usage.organization_stats, "org:read", feature="usage_stats", view="stats", newer=True
    ),
    _of_organization(
        "sessions/",
        api_usage.release_health,
        "org:read",
        feature="release_health",
        view="stats",
        newer=True,
    ),
)

_REPLACED = "/api/0/organizations/{organization_id_or_slug}/issues/"


def _changes(
    path: str,
    update: Handler,
    remove: Handler,
    view: str,
    *,
    in_organization: bool = True,
    replaced: str | None = None,
) -> list[Endpoint]:
    """The two endpoints that change what a path names."""
    replacement = None if replaced is None else f"{_REPLACED}{replaced}"
    return [
        Endpoint(
            path,
            update,
            _any("event:write"),
            view,
            replacement,
            in_organization,
            feature="issue_updates",
            method="PUT",
        ),
        Endpoint(
            path,
            remove,
            _any("event:admin"),
            view,
            replacement,
            in_organization,
            feature="issue_updates",
            method="DELETE",
        ),
    ]


_CHANGES = (
    *_changes(
        f"{ORGANIZATION}/issues/",
        api_issue_updates.update_issues,
        api_issue_updates.delete_issues,
        "organization-issues",
    ),
    *_changes(
        f"{ORGANIZATION}/issues/{{issue}}/",
        api_issue_updates.update_issue,
        api_issue_updates.delete_issue,
        "issue-detail",
    ),
    *_changes(
        f"{PROJECT}/issues/",
        api_issue_updates.update_project_issues,
        api_issue_updates.delete_project_issues,
        "project-issues",
        replaced="",
    ),
    *_changes(
        "/issues/{issue}/",
        api_issue_updates.update_issue_without_organization,
        api_issue_updates.delete_issue_without_organization,
        "issue-detail",
        in_organization=False,
        replaced="{issue_id}/",
    ),
)

ENDPOINTS = (*_FIRST, *_ISSUES, *_PROJECTS, *_RELEASES, *_ORGANIZATION, *_CHANGES)
