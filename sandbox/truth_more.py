"""What a full reading can see beside the main tables: one function for each table."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import usage
from .dates import DAY, Window, stamp
from .derived import filters_of, kept_checkins, key_ids, ownership_of
from .hashes import latest_by_hash
from .lists import visible_slice
from .model import Issue, Project, Release, Row
from .tags import Tags, end_users, tags_of, together

if TYPE_CHECKING:
    from .world import World


def _project(project: Project) -> Row:
    return {"project_id": project.id, "project_slug": project.slug}


def _of_projects(world: "World", rows: Callable[[Project], list[Row]]) -> list[Row]:
    return [_project(project) | row for project in world.projects for row in rows(project)]


def _of_releases(world: "World", rows: Callable[[Release], list[Row]]) -> list[Row]:
    return [{"release_version": one.version} | row for one in world.releases.values() for row in rows(one)]


def _of_issues(world: "World", rows: Callable[[Issue], list[Row]]) -> list[Row]:
    return [
        {"issue_id": issue.id} | _project(issue.project) | row
        for issue in world.issues
        if issue.category == "error" and visible_slice(world, issue)
        for row in rows(issue)
    ]


def organization_truth(world: "World") -> dict[str, list[Row]]:
    """The tables of the organization's settings and people."""
    known, extras = world.organization, world.extras
    return {
        "organization_details": [
            {"id": known.id, "slug": known.slug, "name": known.name, "default_role": "member"}
        ],
        "users": _users(world),
        "repositories": [
            {"id": one.id, "name": one.name, "status": one.status, "date_created": stamp(one.created)}
            for one in extras.repositories
        ],
        "repository_commits": [
            {"repository_id": one.repository.id, "id": one.sha, "message": one.message}
            for version in world.releases
            for one in extras.commits[version]
            if one.repository
        ],
        "integrations": _picked(extras.integrations, "id", "name", "status"),
        "sentry_app_installations": _picked(extras.installations, "uuid", "status"),
        "team_members": [
            {
                "team_id": team.id,
                "team_slug": team.slug,
                "id": member.id,
                "email": member.email,
                "pending": member.pending,
            }
            for team in world.teams
            for member in world.members
            if team.slug in member.teams
        ],
        "dashboards": [
            {
                "id": row["id"],
                "title": row["title"],
                "prebuilt_id": row["prebuiltId"],
                "widgets": [widget["id"] for widget in _list(row["widgets"])],
            }
            for row in extras.dashboards
        ],
        "saved_queries": _picked(extras.saved_queries, "id", "name", "version"),
    }


def _list(value: object) -> list[Row]:
    return value if isinstance(value, list) else []


def _picked(rows: list[Row], *names: str) -> list[Row]:
    return [{name: row[name] for name in names} for row in rows]


def _users(world: "World") -> list[Row]:
    found: list[Row] = []
    for member in world.members:
        own = [
            project.slug
            for project in world.projects
            if any(team.slug in member.teams for team in world.teams_of(project))
        ]
        if own and not member.pending:
            found.append({"id": member.id, "user_id": member.user_id, "email": member.email, "projects": own})
    return found


def project_truth(world: "World") -> dict[str, list[Row]]:
    """The tables of projects' settings."""
    extras = world.extras
    return {
        "project_details": [
            {"id": one.id, "slug": one.slug, "name": one.name, "default_environment": "production"}
            for one in world.projects
        ],
        "project_teams": _of_projects(
            world,
            lambda owner: [{"team_id": team.id, "team_slug": team.slug} for team in world.teams_of(owner)],
        ),
        "project_environments": _of_projects(world, lambda owner: _environments(world, owner)),
        "project_keys": _of_projects(
            world,
            lambda owner: [
                {"id": key, "label": "Default" if active else "Retired", "is_active": active}
                for active, key in key_ids(owner).items()
            ],
        ),
        "project_ownership": _of_projects(
            world, lambda owner: [_ownership(ownership_of(extras.ownership, owner))]
        ),
        "project_filters": _of_projects(world, filters_of),
        "project_users": _of_projects(
            world,
            lambda owner: [
                {"hash": user.hash, "id": user.ident, "tag_value": user.tag_value}
                for user in end_users(world, owner)
            ],
        ),
        "service_hooks": _of_projects(
            world, lambda owner: _picked(extras.hooks[owner.id], "id", "url", "status", "events")
        ),
        "symbol_sources": _of_projects(
            world, lambda owner: _picked(extras.sources[owner.id], "id", "name", "type")
        ),
        "debug_files": _of_projects(
            world,
            lambda owner: [
                {
                    "id": row["id"],
                    "debug_id": row["debugId"],
                    "object_name": row["objectName"],
                    "size": row["size"],
                }
                for row in extras.debug_files[owner.id]
            ],
        ),
        "user_feedback": _of_projects(
            world,
            lambda owner: [
                {
                    "id": one.id,
                    "event_id": one.event_id,
                    "email": one.email,
                    "comments": one.comments,
                    "date_created": stamp(one.created),
                }
                for one in extras.reports[owner.id]
            ],
        ),
    }


def _environments(world: "World", project: Project) -> list[Row]:
    return [
        {
            "id": one.project_ids[project.id],
            "name": one.name,
            "is_hidden": project.id in one.hidden_in,
        }
        for one in world.environments.values()
        if project.id in one.project_ids
    ]


def _ownership(row: Row) -> Row:
    return {"raw": row["raw"], "fallthrough": row["fallthrough"], "last_updated": row["lastUpdated"]}


def release_truth(world: "World") -> dict[str, list[Row]]:
    """The tables of single releases."""
    extras = world.extras
    return {
        "release_details": [
            {
                "id": str(one.id),
                "version": one.version,
                "status": one.status,
                "commit_count": one.commit_count,
                "deploy_count": len(extras.deploys[one.version]),
            }
            for one in world.releases.values()
        ],
        "release_commits": _of_releases(
            world,
            lambda owner: [
                {
                    "id": one.sha,
                    "repository_id": one.repository.id if one.repository else None,
                    "message": one.message,
                    "date_created": stamp(one.created),
                }
                for one in extras.commits[owner.version]
            ],
        ),
        "release_commit_files": _of_releases(
            world,
            lambda owner: [
                {"id": number, "filename": name, "type": kind, "commit_message": one.message}
                for one in extras.commits[owner.version]
                for number, name, kind in one.files
            ],
        ),
        "release_deploys": _of_releases(
            world,
            lambda owner: [
                {
                    "id": one.id,
                    "environment": one.environment,
                    "name": one.name,
                    "date_finished": stamp(one.finished),
                }
                for one in extras.deploys[owner.version]
            ],
        ),
        "release_files": _of_releases(
            world,
            lambda owner: [
                {"id": one.id, "name": one.name, "dist": one.dist, "size": one.size, "sha1": one.sha1}
                for one in extras.files[owner.version]
            ],
        ),
    }


def issue_truth(world: "World") -> dict[str, list[Row]]:
    """The tables of single issues; those that lists show unless asked, so no feedback."""
    extras = world.extras
    return {
        "issue_details": _of_issues(world, lambda owner: [_detail(world, owner)]),
        "issue_events": _of_issues(
            world, lambda owner: [{"event_id": entry[1]} for entry in visible_slice(world, owner)]
        ),
        "issue_comments": _of_issues(
            world,
            lambda owner: [
                {
                    "id": one.id,
                    "text": one.text,
                    "user_id": one.author.user_id,
                    "date_created": stamp(one.created),
                }
                for one in extras.comments[owner.id]
            ],
        ),
        "issue_hashes": _of_issues(
            world,
            lambda owner: [
                {"id": name, "latest_event_id": event.event_id}
                for name, event in latest_by_hash(world, owner).items()
            ],
        ),
        "issue_external_links": _of_issues(
            world, lambda owner: _renamed(extras.links[owner.id], "displayName", "webUrl")
        ),
    }


def _detail(world: "World", issue: Issue) -> Row:
    versions = [entry[2].release for entry in issue.timeline if entry[2].release]
    return {
        "id": issue.id,
        "status": issue.status,
        "num_comments": len(world.extras.comments[issue.id]),
        "user_report_count": world.reports_of(issue),
        "first_release": versions[0] if versions else None,
        "last_release": versions[-1] if versions else None,
    }


def _renamed(rows: list[Row], name: str, address: str) -> list[Row]:
    return [{"id": row["id"], "display_name": row[name], "web_url": row[address]} for row in rows]


def tag_truth(world: "World") -> dict[str, list[Row]]:
    """The tables of tags. Those of projects' values and of the organization: of the last 90 days."""
    window = Window(world.seconds_now - 90 * DAY, world.seconds_now)
    recent = {project: tags_of(world, project, window) for project in world.projects}
    every = {project: tags_of(world, project) for project in world.projects}
    by_issue = {issue: tags_of(world, issue) for issue in world.issues}
    return {
        "tags": [
            {"key": tag.key, "name": tag.name, "total_values": tag.total}
            for tag in together(recent.values()).values()
        ],
        "project_tags": _of_projects(
            world,
            lambda owner: [
                {"key": tag.key, "unique_values": len(tag.values)} for tag in every[owner].values()
            ],
        ),
        "tag_values": _of_projects(world, lambda owner: _values(recent[owner])),
        "issue_tags": _of_issues(
            world,
            lambda owner: [
                {"key": tag.key, "unique_values": len(tag.values), "total_values": tag.total}
                for tag in by_issue[owner].values()
            ],
        ),
        "issue_tag_values": _of_issues(world, lambda owner: _values(by_issue[owner])),
    }


def _values(tags: Tags) -> list[Row]:
    return [
        {
            "tag_key": tag.key,
            "value": value.value,
            "count": value.count,
            "first_seen": stamp(value.first),
            "last_seen": stamp(value.last),
        }
        for tag in tags.values()
        for value in tag.values.values()
    ]


def monitoring_truth(world: "World") -> dict[str, list[Row]]:
    """The tables of monitors, detectors, workflows and replays."""
    extras = world.extras
    return {
        "monitors": [
            _project(one.project) | {"id": one.id, "slug": one.slug, "name": one.name, "status": one.status}
            for one in world.monitors
        ],
        "monitor_checkins": [
            _project(monitor.project)
            | {
                "monitor_id": monitor.id,
                "monitor_slug": monitor.slug,
                "id": one.id,
                "status": one.status,
                "environment": one.environment,
                "duration": one.duration,
                "date_added": stamp(one.added),
            }
            for monitor in world.monitors
            for one in kept_checkins(world.seconds_now, monitor)
        ],
        "detectors": [
            {
                "id": row["id"],
                "project_id": row["projectId"],
                "name": row["name"],
                "type": row["type"],
                "enabled": row["enabled"],
            }
            for row in _visible_detectors(world)
        ],
        "workflows": _picked(extras.workflows, "id", "name", "enabled"),
        "replays": [
            {
                "id": one.id,
                "project_id": one.project.id,
                "is_archived": one.archived,
                "started_at": None if one.archived else stamp(one.started),
                "finished_at": None if one.archived else stamp(one.segments[-1]),
                "count_segments": None if one.archived else len(one.segments),
            }
            for one in world.replays
            if one.started >= world.horizon
        ],
    }


def _visible_detectors(world: "World") -> list[Row]:
    ids = {project.id for project in world.projects}
    return [row for row in world.extras.detectors if row["projectId"] in {None, *ids}]


def usage_truth(world: "World") -> dict[str, list[Row]]:
    """The series by day: from the first whole day the server still has to today, which is not over."""
    first = -(-world.horizon // DAY) * DAY
    days = range(first, world.seconds_now + 1, DAY)
    return {
        "usage_stats": [
            _project(project)
            | dict(zip(("category", "outcome", "reason"), kind, strict=True))
            | {"day": stamp(day), "quantity": quantity}
            for project in world.projects
            for kind in usage.outcome_kinds(world, project)
            for day in days
            if (quantity := usage.outcomes(world, project, kind, day, day + DAY))
        ],
        "release_health": [row for project in world.projects for row in _health(world, project, days)],
        "project_stats": [
            _project(project)
            | {
                "stat": stat,
                "day": stamp(day),
                "count": count,
            }
            for project in world.projects
            for stat in ("received", "rejected", "blacklisted", "generated")
            for day in days
            if (count := usage.project_stat(world, project, stat, day, day + DAY))
        ],
    }


def _health(world: "World", project: Project, days: range) -> list[Row]:
    return [
        _project(project)
        | {
            "release": version,
            "environment": environment,
            "day": stamp(day),
            "sessions": found.sessions,
            "users": found.users,
            "crash_free_session_rate": found.crash_free_sessions,
            "crash_free_user_rate": found.crash_free_users,
        }
        for version in usage.session_releases(world, project)
        for environment in usage.session_environments(world, project, version)
        for day in days
        if (found := usage.sessions(world, project, version, environment, day, day + DAY)).sessions
    ]


MAKERS: tuple[Callable[["World"], dict[str, list[Row]]], ...] = (
    organization_truth,
    project_truth,
    release_truth,
    monitoring_truth,
    issue_truth,
    usage_truth,
    tag_truth,
)
