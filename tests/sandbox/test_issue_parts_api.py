"""What hangs on one issue: comments, hashes, tags, links."""

import pytest

from sandbox import World

from .client import Client, Links
from .conftest import NOW, SMALL, Start

T0 = int(NOW.timestamp())


def path_of(issue: str, part: str) -> str:
    return f"/organizations/acme/issues/{issue}/{part}"


def test_a_comment_is_a_note_and_counted(start: Start) -> None:
    client = start()
    world = client.server.world
    issue = world.add_issue(project="backend", at=T0 - 600)
    for text, age in (("first", 300), ("second", 100)):
        world.add_comment(issue, text, at=T0 - age)
    rows = client.rows(path_of(issue.id, "comments/"), per_page=1)
    assert [row["data"]["text"] for row in rows] == ["second", "first"]
    assert {row["type"] for row in rows} == {"note"}
    assert client.rows(path_of(issue.id, "notes/")) == client.rows(path_of(issue.id, "comments/"))
    detail = client.get(path_of(issue.id, "")).json()
    assert detail["numComments"] == 2
    assert [note["type"] for note in detail["activity"]] == ["note", "note", "first_seen"]
    listed = {row["id"]: row["numComments"] for row in client.rows("/organizations/acme/issues/", query="")}
    assert listed[issue.id] == 2


def test_a_merge_takes_comments_and_links_along(start: Start) -> None:
    client = start()
    world = client.server.world
    lost, kept = (world.add_issue(project="backend", at=T0 - 60) for _ in range(2))
    world.add_comment(lost, "moved")
    world.add_external_link(lost, "SHOP#1")
    world.merge(lost, into=kept)
    assert [row["data"]["text"] for row in client.rows(path_of(kept.id, "comments/"))] == ["moved"]
    assert client.get(path_of(kept.id, "external-issues/")).json()[0]["issueId"] == kept.id


def test_hashes_come_ten_to_a_page_with_full_events(start: Start) -> None:
    client = start(World.build(**{**SMALL, "issues": 6, "events": 600}))
    truth = client.server.world.truth("issue_hashes")["issue_hashes"]
    issue = next(
        row["issue_id"] for row in truth if [r["issue_id"] for r in truth].count(row["issue_id"]) > 10
    )
    pages = client.pages(path_of(str(issue), "hashes/"))
    assert [len(page) for page in pages][:1] == [10]
    assert len(pages) > 1
    assert all("entries" in row["latestEvent"] for page in pages for row in page)
    assert Links.of(client.get(path_of(str(issue), "hashes/"))).cursor == "0:10:0"
    simple = client.get(path_of(str(issue), "hashes/"), full="false").json()
    assert all("entries" not in row["latestEvent"] for row in simple)


def test_tags_of_an_issue_are_one_answer_with_top_values(shared: Client) -> None:
    issue = max(shared.server.world.issues, key=lambda issue: len(issue.timeline))
    answer = shared.get(path_of(issue.id, "tags/"))
    assert "Link" not in answer.headers
    user = next(row for row in answer.json() if row["key"] == "user")
    assert len(user["topValues"]) == 10 < user["uniqueValues"]
    one = shared.get(path_of(issue.id, "tags/user/")).json()
    assert one == user
    assert shared.get(path_of(issue.id, "tags/colour/")).status_code == 404


def test_values_of_the_user_tag_are_customers(shared: Client) -> None:
    issue = max(shared.server.world.issues, key=lambda issue: len(issue.timeline))
    row = shared.rows(path_of(issue.id, "tags/user/values/"))[0]
    assert "key" not in row
    assert row["email"].endswith("@example.com")
    assert row["value"] == f"id:{row['id']}"
    assert shared.rows(path_of(issue.id, "tags/browser/values/"))[0]["key"] == "browser"


@pytest.mark.parametrize(("sort", "field"), [("date", "lastSeen"), ("age", "firstSeen"), ("count", "count")])
def test_values_are_sorted(shared: Client, sort: str, field: str) -> None:
    issue = max(shared.server.world.issues, key=lambda issue: len(issue.timeline))
    values = [
        row[field] for row in shared.rows(path_of(issue.id, "tags/user/values/"), sort=sort, per_page=7)
    ]
    assert values == sorted(values, reverse=True)
    assert len(values) > 7


def test_values_of_a_project_tag_are_those_of_90_days(start: Start) -> None:
    client = start()
    client.server.world.add_event(project="backend", tags={"colour": "green"}, at=T0 - 60)
    client.server.world.add_event(project="backend", tags={"colour": "blue"}, at=T0 - 80 * 86_400)
    path = "/projects/acme/backend/tags/colour/values/"
    assert [row["value"] for row in client.rows(path)] == ["green", "blue"]
    assert [row["value"] for row in client.rows(path, statsPeriod="7d")] == ["green"]
    assert [row["value"] for row in client.rows(path, query="BLU")] == ["blue"]
    assert client.get("/projects/acme/backend/tags/nothing/values/").status_code == 404


def test_tags_of_the_organization_have_a_window_and_a_dataset(shared: Client) -> None:
    path = "/organizations/acme/tags/"
    every = shared.get(path, project="-1").json()
    assert "Link" not in shared.get(path).headers
    assert len(every) > 0
    assert shared.get(path, project="-1", start="2026-01-01T00:00:00", end="2026-01-02T00:00:00").json() == []
    assert shared.get(path, dataset="colours").status_code == 400
    own = {row["key"]: row["totalValues"] for row in shared.get(path).json()}
    assert own["level"] < next(row["totalValues"] for row in every if row["key"] == "level")


def test_customers_have_a_hash_and_sometimes_no_id(shared: Client) -> None:
    rows = shared.rows("/projects/acme/backend/users/", per_page=50)
    assert len({row["hash"] for row in rows}) == len(rows)
    assert [row["tagValue"].split(":")[0] for row in rows if row["id"] is None] == ["ip"]
    assert len(shared.rows("/projects/acme/backend/users/", query=f"id:{rows[0]['id']}")) == 1


def test_customers_have_a_limit_of_their_own(start: Start) -> None:
    client = start(rate_limits={"default": (10_000, 1, 100), "project-users": (5, 60, None)})
    path = "/projects/acme/backend/users/"
    assert [client.get(path).status_code for _ in range(6)] == [200] * 5 + [429]
    assert client.get("/projects/acme/backend/keys/").status_code == 200
