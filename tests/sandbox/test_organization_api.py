"""The organization: projects, teams, members, environments, releases."""

import json

import pytest

from sandbox import SECRET, World

from .client import Client, Links
from .conftest import NOW, Start

ORGANIZATION = "/organizations/acme/"
DAY = 86_400
T0 = int(NOW.timestamp())


def test_the_root_tells_the_scopes(shared: Client) -> None:
    row = shared.get("/").json()
    assert row["version"] == "0"
    assert "event:read" in row["auth"]["scopes"]


def test_slugs_and_ids_both_name_things(shared: Client) -> None:
    world = shared.server.world
    by_id = shared.get(f"/organizations/{world.organization.id}/").json()
    assert by_id == shared.get(ORGANIZATION).json()
    project = world.project("backend")
    assert shared.get(f"/projects/acme/{project.id}/").json()["slug"] == "backend"


def test_what_is_unknown_is_not_found(shared: Client) -> None:
    for path in ("/organizations/other/", "/projects/acme/other/", "/projects/other/backend/"):
        assert shared.detail(path, 404) == "The requested resource does not exist"


@pytest.mark.parametrize("path", ["/organizations/acme", "/organizations/acme/nothing/", "/nothing"])
def test_unknown_paths_and_missing_slashes_have_no_body(shared: Client, path: str) -> None:
    answer = shared.get(path)
    assert (answer.status_code, answer.content) == (404, b"")


def test_the_organization_links_to_itself_without_regions(shared: Client) -> None:
    assert shared.get(ORGANIZATION).json()["links"]["regionUrl"] == shared.server.url


def test_projects_come_bookmarked_first_then_by_slug(shared: Client) -> None:
    rows = shared.rows(f"{ORGANIZATION}projects/")
    assert [row["slug"] for row in rows] == ["frontend", "backend", "mobile"]
    assert "Link" not in shared.get(f"{ORGANIZATION}projects/", all_projects="1").headers


def test_settings_hold_secrets_to_be_found(shared: Client) -> None:
    assert shared.get("/projects/acme/backend/").json()["securityToken"].startswith(SECRET)
    assert SECRET in json.dumps(shared.get(ORGANIZATION).json())


def test_teams_hold_their_projects_unless_told_otherwise(shared: Client) -> None:
    rows = shared.rows(f"{ORGANIZATION}teams/")
    assert [row["slug"] for row in rows] == ["growth", "on-call", "platform"]
    assert sum(len(row["projects"]) for row in rows) == 3
    assert all("projects" not in row for row in shared.rows(f"{ORGANIZATION}teams/", detailed="0"))


def test_an_invited_member_has_no_user(shared: Client) -> None:
    rows = shared.rows(f"{ORGANIZATION}members/")
    assert [row["pending"] for row in rows] == [False] * 5 + [True]
    assert [row["user"] is None for row in rows] == [False] * 5 + [True]
    assert all(row["user"]["id"] != row["id"] for row in rows[:5])


def test_hidden_environments_are_shown_when_asked_for(shared: Client) -> None:
    path = f"{ORGANIZATION}environments/"
    visible = {row["name"] for row in shared.get(path).json()}
    assert visible == {"production", "staging", "development"}
    assert {row["name"] for row in shared.get(path, visibility="all").json()} == visible | {"legacy-qa"}
    assert {row["name"] for row in shared.get(path, visibility="hidden").json()} == {"legacy-qa"}
    assert "visibility" in str(shared.detail(path, 400, visibility="some"))


def test_a_project_knows_its_environments_by_other_ids(shared: Client) -> None:
    own = shared.get("/projects/acme/backend/environments/", visibility="all").json()
    known = {row["id"] for row in shared.get(f"{ORGANIZATION}environments/", visibility="all").json()}
    assert len(own) == 4
    assert not {row["id"] for row in own} & known
    assert [row["name"] for row in own if row["isHidden"]] == ["legacy-qa"]


def test_releases_are_newest_first_and_archived_ones_hidden(shared: Client) -> None:
    rows = shared.rows(f"{ORGANIZATION}releases/", project="-1")
    dates = [row["dateCreated"] for row in rows]
    assert dates == sorted(dates, reverse=True)
    every = shared.rows(f"{ORGANIZATION}releases/", project="-1", status="")
    archived = shared.rows(f"{ORGANIZATION}releases/", project="-1", status="archived")
    assert len(every) == len(rows) + len(archived) == 15
    assert {row["status"] for row in archived} == {"archived"}


def test_release_ids_are_numbers(shared: Client) -> None:
    row = shared.rows(f"{ORGANIZATION}releases/", project="-1")[0]
    assert isinstance(row["id"], int)
    assert isinstance(row["projects"][0]["id"], int)
    assert isinstance(shared.get("/projects/acme/backend/").json()["id"], str)


def test_the_window_of_releases_includes_both_ends(start: Start) -> None:
    world = World.build(projects=1, issues=0, events=0, now=NOW)
    for name, at in (("a", T0 - 3 * DAY), ("b", T0 - 2 * DAY), ("c", T0 - DAY)):
        world.add_release(name, "backend", at=at)
    rows = start(world).rows(f"{ORGANIZATION}releases/", start=str(T0 - 3 * DAY), end=str(T0 - 2 * DAY))
    assert {row["version"] for row in rows} & {"a", "b", "c"} == {"a", "b"}


def test_odd_versions_exist(shared: Client) -> None:
    versions = {row["version"] for row in shared.rows(f"{ORGANIZATION}releases/", project="-1", status="")}
    assert {"nightly build #4 (beta)", "feature/search@2.0.0+exp.1", "Prüfstand [x64]"} <= versions


def test_releases_are_searched_by_a_part_of_the_version(shared: Client) -> None:
    rows = shared.rows(f"{ORGANIZATION}releases/", project="-1", query="BUILD #4")
    assert [row["version"] for row in rows] == ["nightly build #4 (beta)"]


def test_an_event_makes_its_release_and_environment(start: Start) -> None:
    client = start()
    client.server.world.add_event(project="backend", release="new@9.0.0", environment="preview")
    row = client.rows(f"{ORGANIZATION}releases/", project="-1", query="new@")[0]
    assert (row["version"], row["lastEvent"]) == ("new@9.0.0", "2026-08-01T12:00:00Z")
    assert "preview" in {row["name"] for row in client.get(f"{ORGANIZATION}environments/").json()}


def test_a_renamed_project_redirects(start: Start) -> None:
    client = start()
    client.server.world.rename_project("backend", "kernel")
    answer = client.get("/projects/acme/backend/events/", per_page=3)
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/api/0/projects/acme/kernel/events/?per_page=3"
    assert (answer.json()["slug"], answer.json()["detail"]["code"]) == ("kernel", "resource-moved")
    assert client.get("/projects/acme/kernel/events/").status_code == 200


def test_a_removed_project_is_gone_with_all_it_had(start: Start) -> None:
    client = start()
    world = client.server.world
    backend = world.project("backend")
    world.remove_project("backend")
    assert client.get("/projects/acme/backend/").status_code == 404
    assert client.get("/organizations/acme/issues/", project=backend.id).status_code == 403
    assert "backend" not in {
        row["project"]["slug"] for row in client.rows("/organizations/acme/issues/", project="-1")
    }
    assert all(row["project_id"] != backend.id for row in world.truth()["events"])


def test_listings_page_with_one_organization(shared: Client) -> None:
    answer = shared.get("/organizations/")
    assert [row["slug"] for row in answer.json()] == ["acme"]
    assert not Links.of(answer).more
