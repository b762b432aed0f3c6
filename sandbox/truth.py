"""What a full reading of the API can see: what tests compare a destination with."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from .dates import stamp
from .lists import visible_slice
from .model import Event, Issue, Row
from .paint import outline_of
from .truth_more import MAKERS

if TYPE_CHECKING:
    from .world import World


def truth_of(world: "World", tables: Collection[str] = ()) -> dict[str, list[Row]]:
    """Rows by table. Left out: what is merged, deleted, removed, or older than the retention.

    With tables named, what they do not need is not worked out.
    """
    found = {name: rows(world) for name, rows in MAIN.items() if not tables or name in tables}
    for make in MAKERS:
        if tables and found.keys() >= set(tables):
            break
        found |= make(world)
    return {name: found[name] for name in tables} if tables else found


def _organizations(world: "World") -> list[Row]:
    known = world.organization
    return [{"id": known.id, "slug": known.slug, "name": known.name}]


def _environments(world: "World") -> list[Row]:
    return [
        {"id": environment.id, "name": environment.name}
        for environment in world.environments.values()
        if environment.project_ids and environment.name
    ]


def _releases(world: "World") -> list[Row]:
    return [
        {
            "id": str(release.id),
            "version": release.version,
            "status": release.status,
            "date_created": stamp(release.created),
        }
        for release in world.releases.values()
    ]


def _issues(world: "World", category: str) -> list[Row]:
    return [
        _issue(world, issue)
        for issue in world.issues
        if issue.category == category and visible_slice(world, issue)
    ]


def _issue(world: "World", issue: Issue) -> Row:
    seen = visible_slice(world, issue)
    first = issue.timeline[0][2].millis if issue.first_seen == issue.timeline[0][0] else 0
    return {
        "id": issue.id,
        "project_id": issue.project.id,
        "project_slug": issue.project.slug,
        "short_id": issue.short_id,
        "title": issue.kind.title,
        "count": issue.times_seen,
        "user_count": len({entry[2].user for entry in seen if entry[2].user}),
        "first_seen": _time(world, issue.first_seen, first),
        "last_seen": _time(world, seen[-1][0], seen[-1][2].millis),
        "status": issue.status,
        "substatus": issue.substatus,
        "category": issue.category,
    }


def _time(world: "World", at: int, millis: int) -> str:
    return stamp(at, 0 if world.whole_seconds else millis)


def _events(world: "World") -> list[Row]:
    return [_event(world, entry[2]) for project in world.projects for entry in visible_slice(world, project)]


def _event(world: "World", event: Event) -> Row:
    return {
        "project_id": event.project.id,
        "project_slug": event.project.slug,
        "event_id": event.event_id,
        "issue_id": event.issue.id if event.issue else None,
        "date_created": _time(world, event.at, event.millis),
        "date_received": stamp(event.received),
        "release": event.release,
        "environment": event.environment,
        "level": event.level,
        "has_body": event.has_body,
        "tags": [[key, value] for key, value in outline_of(event).tags],
    }


MAIN: dict[str, Callable[["World"], list[Row]]] = {
    "organizations": _organizations,
    "projects": lambda world: [{"id": p.id, "slug": p.slug, "name": p.name} for p in world.projects],
    "teams": lambda world: [{"id": team.id, "slug": team.slug} for team in world.teams],
    "members": lambda world: [{"id": m.id, "email": m.email, "pending": m.pending} for m in world.members],
    "environments": _environments,
    "releases": _releases,
    "issues": lambda world: _issues(world, "error"),
    "feedback": lambda world: _issues(world, "feedback"),
    "events": _events,
}
