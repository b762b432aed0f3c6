"""Every table of the truth can be read over HTTP, row for row, and secrets are where the real ones are."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from sandbox import SECRET, World

from .client import Client
from .conftest import NOW, SMALL, Start

ORGANIZATION = "/organizations/acme/"
WINDOW = {"start": "2026-05-04T00:00:00", "end": "2026-08-01T23:59:59"}

Key = tuple[object, ...]
Reader = Callable[[Client], list[Key]]


def _listed(path: str, *fields: str, **params: str) -> Reader:
    return lambda client: [_fields(row, fields) for row in client.rows(ORGANIZATION + path, **params)]


def _fields(row: dict[str, Any], fields: tuple[str, ...]) -> Key:
    return tuple(row[field] for field in fields)


def _below_projects(path: str, *fields: str, **params: str) -> Reader:
    def read(client: Client) -> list[Key]:
        found = []
        for project in client.server.world.projects:
            answer = client.rows(f"/projects/acme/{project.slug}/{path}", **params)
            found += [(project.id, *_fields(row, fields)) for row in answer]
        return found

    return read


def _below_releases(path: str, *fields: str) -> Reader:
    def read(client: Client) -> list[Key]:
        found = []
        for version in client.server.world.releases:
            rows = client.rows(f"{ORGANIZATION}releases/{quote(version, safe='')}/{path}")
            found += [(version, *_fields(row, fields)) for row in rows]
        return found

    return read


def _below_issues(path: str, *fields: str) -> Reader:
    def read(client: Client) -> list[Key]:
        found = []
        for issue in client.server.world.truth("issues")["issues"]:
            rows = client.rows(f"{ORGANIZATION}issues/{issue['id']}/{path}")
            found += [(issue["id"], *_fields(row, fields)) for row in rows]
        return found

    return read


def _team_members(client: Client) -> list[Key]:
    return [
        (team.id, row["id"])
        for team in client.server.world.teams
        for row in client.rows(f"/teams/acme/{team.slug}/members/")
    ]


def _repository_commits(client: Client) -> list[Key]:
    return [
        (one.id, row["id"], row["message"])
        for one in client.server.world.extras.repositories
        for row in client.rows(f"{ORGANIZATION}repos/{one.id}/commits/")
    ]


def _ownership(client: Client) -> list[Key]:
    found: list[Key] = []
    for project in client.server.world.projects:
        row = client.get(f"/projects/acme/{project.slug}/ownership/").json()
        found.append((project.id, row["raw"], row["lastUpdated"]))
    return found


def _details(client: Client) -> list[Key]:
    return [
        _fields(client.get(f"/projects/acme/{one.slug}/").json(), ("id", "slug", "defaultEnvironment"))
        for one in client.server.world.projects
    ]


def _releases(client: Client) -> list[Key]:
    found: list[Key] = []
    for version in client.server.world.releases:
        row = client.get(f"{ORGANIZATION}releases/{quote(version, safe='')}/").json()
        found.append((str(row["id"]), row["version"], row["commitCount"], row["deployCount"]))
    return found


def _issues(client: Client) -> list[Key]:
    found: list[Key] = []
    for issue in client.server.world.truth("issues")["issues"]:
        row = client.get(f"{ORGANIZATION}issues/{issue['id']}/").json()
        first = row["firstRelease"] and row["firstRelease"]["version"]
        found.append((row["id"], row["status"], row["numComments"], row["userReportCount"], first))
    return found


def _tag_values(client: Client) -> list[Key]:
    return [
        (project.id, key["key"], *_fields(row, ("value", "count", "firstSeen", "lastSeen")))
        for project in client.server.world.projects
        for key in client.get(f"/projects/acme/{project.slug}/tags/").json()
        for row in client.rows(f"/projects/acme/{project.slug}/tags/{key['key']}/values/")
    ]


def _issue_tag_values(client: Client) -> list[Key]:
    found: list[Key] = []
    for issue in client.server.world.truth("issues")["issues"]:
        path = f"{ORGANIZATION}issues/{issue['id']}/tags/"
        for key in client.get(path).json():
            rows = client.rows(f"{path}{key['key']}/values/")
            found += [(issue["id"], key["key"], row["value"], row["count"]) for row in rows]
    return found


def _dashboards(client: Client) -> list[Key]:
    found: list[Key] = []
    for row in client.rows(f"{ORGANIZATION}dashboards/"):
        detail = client.get(f"{ORGANIZATION}dashboards/{row['id']}/").json()
        found.append((row["id"], row["title"], [widget["id"] for widget in detail["widgets"]]))
    return found


def _checkins(client: Client) -> list[Key]:
    return [
        (monitor["id"], *_fields(row, ("id", "status", "duration", "dateAdded")))
        for monitor in client.rows(f"{ORGANIZATION}monitors/", project="-1", sort="name")
        for row in client.rows(f"{ORGANIZATION}monitors/{monitor['slug']}/checkins/")
    ]


def _replays(client: Client) -> list[Key]:
    rows = client.get(f"{ORGANIZATION}replays/", project="-1").json()["data"]
    return [
        (row["id"], row["project_id"], row["started_at"] and f"{row['started_at']}Z", row["count_segments"])
        for row in rows
    ]


def _usage(client: Client) -> list[Key]:
    """Project by project: grouped by project there would be no series."""
    found: list[Key] = []
    for project in client.server.world.projects:
        groups = [("groupBy", name) for name in ("category", "outcome", "reason")]
        params = [*groups, ("field", "sum(quantity)"), ("interval", "1d"), ("project", project.id)]
        answer = client.get(f"{ORGANIZATION}stats_v2/", [*params, *WINDOW.items()]).json()
        found += [
            (project.id, *_fields(group["by"], ("category", "outcome", "reason")), day, count)
            for group in answer["groups"]
            for day, count in zip(answer["intervals"], group["series"]["sum(quantity)"], strict=True)
            if count
        ]
    return found


def _health(client: Client) -> list[Key]:
    fields = ("sum(session)", "count_unique(user)", "crash_free_rate(session)", "crash_free_rate(user)")
    params = [("groupBy", name) for name in ("project", "release", "environment")]
    params += [("field", name) for name in fields] + [("interval", "1d"), ("project", "-1")]
    answer = client.get(f"{ORGANIZATION}sessions/", [*params, *WINDOW.items()]).json()
    return [
        (str(by["project"]), by["release"], by["environment"], day, *(group["series"][f][at] for f in fields))
        for group in answer["groups"]
        for by in [group["by"]]
        for at, day in enumerate(answer["intervals"])
        if group["series"]["sum(session)"][at]
    ]


def _stats(client: Client) -> list[Key]:
    since = int(NOW.timestamp()) // 86_400 * 86_400 - 20 * 86_400
    found: list[Key] = []
    for project in client.server.world.projects:
        for stat in ("received", "rejected", "blacklisted", "generated"):
            path = f"/projects/acme/{project.slug}/stats/"
            points = client.get(path, stat=stat, since=since, until=NOW.timestamp(), resolution="1d").json()
            found += [(project.id, stat, count) for _, count in points if count]
    return found


HEALTH_KEY = ("project_id", "release", "environment", "day")
ISSUE_VALUES = ("issue_id", "tag_key", "value", "count")
TABLES: list[tuple[str, Reader, tuple[str, ...]]] = [
    ("users", _listed("users/", "id", "email", "projects", project="-1"), ("id", "email", "projects")),
    ("repositories", _listed("repos/", "id", "name", "status", status=""), ("id", "name", "status")),
    ("repository_commits", _repository_commits, ("repository_id", "id", "message")),
    ("integrations", _listed("integrations/", "id", "name"), ("id", "name")),
    ("sentry_app_installations", _listed("sentry-app-installations/", "uuid", "status"), ("uuid", "status")),
    ("tags", _listed("tags/", "key", "totalValues", project="-1"), ("key", "total_values")),
    ("project_details", _details, ("id", "slug", "default_environment")),
    ("project_teams", _below_projects("teams/", "id", "slug"), ("project_id", "team_id", "team_slug")),
    ("team_members", _team_members, ("team_id", "id")),
    (
        "project_environments",
        _below_projects("environments/", "id", "name", "isHidden", visibility="all"),
        ("project_id", "id", "name", "is_hidden"),
    ),
    (
        "project_keys",
        _below_projects("keys/", "id", "label", "isActive"),
        ("project_id", "id", "label", "is_active"),
    ),
    ("project_ownership", _ownership, ("project_id", "raw", "last_updated")),
    ("project_filters", _below_projects("filters/", "id", "active"), ("project_id", "id", "active")),
    ("project_tags", _below_projects("tags/", "key", "uniqueValues"), ("project_id", "key", "unique_values")),
    (
        "tag_values",
        _tag_values,
        ("project_id", "tag_key", "value", "count", "first_seen", "last_seen"),
    ),
    (
        "project_users",
        _below_projects("users/", "hash", "id", "tagValue"),
        ("project_id", "hash", "id", "tag_value"),
    ),
    (
        "service_hooks",
        _below_projects("hooks/", "id", "url", "events"),
        ("project_id", "id", "url", "events"),
    ),
    ("symbol_sources", _below_projects("symbol-sources/", "id", "type"), ("project_id", "id", "type")),
    ("debug_files", _below_projects("files/dsyms/", "id", "debugId"), ("project_id", "id", "debug_id")),
    (
        "user_feedback",
        _below_projects("user-feedback/", "id", "eventID", "comments", "dateCreated", status=""),
        ("project_id", "id", "event_id", "comments", "date_created"),
    ),
    ("release_details", _releases, ("id", "version", "commit_count", "deploy_count")),
    (
        "release_commits",
        _below_releases("commits/", "id", "message", "dateCreated"),
        ("release_version", "id", "message", "date_created"),
    ),
    (
        "release_commit_files",
        _below_releases("commitfiles/", "id", "filename", "commitMessage"),
        ("release_version", "id", "filename", "commit_message"),
    ),
    (
        "release_deploys",
        _below_releases("deploys/", "id", "environment", "name", "dateFinished"),
        ("release_version", "id", "environment", "name", "date_finished"),
    ),
    (
        "release_files",
        _below_releases("files/", "id", "name", "dist", "size"),
        ("release_version", "id", "name", "dist", "size"),
    ),
    ("issue_details", _issues, ("id", "status", "num_comments", "user_report_count", "first_release")),
    ("issue_events", _below_issues("events/", "eventID"), ("issue_id", "event_id")),
    ("issue_comments", _below_issues("comments/", "id", "dateCreated"), ("issue_id", "id", "date_created")),
    ("issue_hashes", _below_issues("hashes/", "id"), ("issue_id", "id")),
    (
        "issue_tags",
        _below_issues("tags/", "key", "uniqueValues", "totalValues"),
        ("issue_id", "key", "unique_values", "total_values"),
    ),
    ("issue_tag_values", _issue_tag_values, ISSUE_VALUES),
    (
        "issue_external_links",
        _below_issues("external-issues/", "id", "displayName", "webUrl"),
        ("issue_id", "id", "display_name", "web_url"),
    ),
    ("monitors", _listed("monitors/", "id", "slug", "status", project="-1"), ("id", "slug", "status")),
    ("monitor_checkins", _checkins, ("monitor_id", "id", "status", "duration", "date_added")),
    (
        "detectors",
        _listed("detectors/", "id", "type", "projectId", project="-1"),
        ("id", "type", "project_id"),
    ),
    ("workflows", _listed("workflows/", "id", "name", project="-1"), ("id", "name")),
    ("replays", _replays, ("id", "project_id", "started_at", "count_segments")),
    ("dashboards", _dashboards, ("id", "title", "widgets")),
    ("saved_queries", _listed("discover/saved/", "id", "name"), ("id", "name")),
    ("usage_stats", _usage, ("project_id", "category", "outcome", "reason", "day", "quantity")),
    (
        "release_health",
        _health,
        (*HEALTH_KEY, "sessions", "users", "crash_free_session_rate", "crash_free_user_rate"),
    ),
]


@pytest.mark.parametrize(("table", "read", "fields"), TABLES, ids=[table for table, _, _ in TABLES])
def test_what_is_read_is_the_truth(shared: Client, table: str, read: Reader, fields: tuple[str, ...]) -> None:
    told = [_fields(row, fields) for row in shared.server.world.truth(table)[table]]
    found = read(shared)
    assert told
    assert sorted(found, key=repr) == sorted(told, key=repr)


def test_the_counts_of_a_project_are_the_truth(shared: Client) -> None:
    first = str(NOW.date().replace(day=12, month=7))
    rows = shared.server.world.truth("project_stats")["project_stats"]
    told = [(row["project_id"], row["stat"], row["count"]) for row in rows if str(row["day"]) >= first]
    assert told
    assert sorted(_stats(shared), key=repr) == sorted(told, key=repr)


def test_every_table_has_rows(shared: Client) -> None:
    assert [name for name, rows in shared.server.world.truth().items() if not rows] == ["feedback"]


def test_tables_can_be_told_one_by_one() -> None:
    world = World.build(**SMALL)
    every = world.truth()
    assert world.truth("replays", "tags") == {"replays": every["replays"], "tags": every["tags"]}


def test_the_same_seed_makes_the_same_details() -> None:
    assert World.build(**SMALL).truth() == World.build(**SMALL).truth()
    other = World.build(**{**SMALL, "seed": 2}).truth("replays")
    assert World.build(**SMALL).truth("replays") != other


SECRETS = [
    "/organizations/acme/",
    "/organizations/acme/integrations/",
    "/organizations/acme/sentry-app-installations/",
    "/organizations/acme/detectors/?project=-1",
    "/organizations/acme/workflows/",
    "/projects/acme/backend/",
    "/projects/acme/backend/keys/",
    "/projects/acme/backend/hooks/",
    "/projects/acme/backend/symbol-sources/",
]


@pytest.mark.parametrize("path", SECRETS)
def test_secrets_are_handed_out_where_sentry_does(shared: Client, path: str) -> None:
    assert SECRET in shared.get(path).text


def test_keys_show_their_secret_and_both_addresses(shared: Client) -> None:
    row = shared.get("/projects/acme/backend/keys/").json()[0]
    assert SECRET in row["secret"]
    assert row["secret"] in row["dsn"]["secret"]
    assert SECRET not in row["dsn"]["public"]
    assert row["dsn"]["public"] == shared.server.dsn("backend")
    assert isinstance(row["projectId"], int)


SCOPES = [
    ("/organizations/acme/users/", "org:read"),
    ("/organizations/acme/repos/", "org:integrations"),
    ("/organizations/acme/integrations/", "org:integrations"),
    ("/organizations/acme/monitors/", "alerts:read"),
    ("/organizations/acme/monitors/backups/checkins/", "project:read"),
    ("/organizations/acme/detectors/", "alerts:read"),
    ("/organizations/acme/workflows/", "org:read"),
    ("/organizations/acme/replays/", "org:read"),
    ("/organizations/acme/releases/backend%401.1.0/commitfiles/", "project:releases"),
    ("/organizations/acme/releases/backend%401.1.0/commits/", "project:read"),
    ("/teams/acme/platform/members/", "team:read"),
    ("/projects/acme/backend/keys/", "project:read"),
]


@pytest.mark.parametrize(("path", "scope"), SCOPES)
def test_each_endpoint_wants_its_scope(shared: Client, path: str, scope: str) -> None:
    able = Client(shared.server, shared.server.add_token(scopes=[scope]))
    assert able.get(path).status_code == 200
    other = "project:read" if scope == "project:releases" else "event:read"
    unable = Client(shared.server, shared.server.add_token(scopes=[other]))
    assert unable.get(path).status_code == 403
    assert unable.get(path).json()["detail"] == "You do not have permission to perform this action."


def test_changed_files_of_commits_want_a_scope_that_reading_does_not_need(shared: Client) -> None:
    token = shared.server.add_token(kind="org")
    path = "/organizations/acme/releases/backend%401.1.0/"
    assert Client(shared.server, token).get(f"{path}commits/").status_code == 200
    assert Client(shared.server, token).get(f"{path}commitfiles/").status_code == 403


@pytest.mark.parametrize(
    ("feature", "path"),
    [
        ("replays", "/organizations/acme/replays/"),
        ("monitors", "/organizations/acme/monitors/"),
        ("service_hooks", "/projects/acme/backend/hooks/"),
        ("members", "/organizations/acme/members/"),
    ],
)
def test_a_feature_that_is_off_is_not_there(start: Start, feature: str, path: str) -> None:
    answer = start(features_off=frozenset({feature})).get(path)
    assert (answer.status_code, answer.content) == (404, b"")


def test_members_are_listed_twice_under_the_same_ids(shared: Client) -> None:
    users = {row["id"]: row["user"]["id"] for row in shared.get("/organizations/acme/users/").json()}
    members = shared.rows("/organizations/acme/members/")
    assert users.items() <= {row["id"]: row["user"]["id"] for row in members if row["user"]}.items()
    assert "projects" in json.loads(shared.get("/organizations/acme/users/").text)[0]
