"""Issues that are merged, deleted or cleaned up: at once, or begun now and finished later."""

from typing import Any

import pytest

from sandbox import Issue, World

from .client import Client
from .conftest import NOW, Start

ISSUES = "/organizations/acme/issues/"
EVENTS = "/projects/acme/backend/events/"
T0 = int(NOW.timestamp())
DAY = 86_400


@pytest.fixture
def client(start: Start) -> Client:
    """Three issues of one project, with one, two and three events."""
    world = World.build(projects=1, issues=0, events=0, now=NOW)
    for count in (1, 2, 3):
        world.add_issue(project="backend", at=T0 - count * DAY, events=count)
    return start(world)


def listed(client: Client) -> set[str]:
    return {row["id"] for row in client.rows(ISSUES, project="-1", query="")}


def groups(client: Client) -> dict[str, int]:
    """How many events the project lists for each issue."""
    found: dict[str, int] = {}
    for row in client.rows(EVENTS):
        found[row["groupID"]] = found.get(row["groupID"], 0) + 1
    return found


def detail(client: Client, issue: Issue) -> Any:
    answer = client.get(f"{ISSUES}{issue.id}/")
    return answer.json()["id"] if answer.status_code == 200 else answer.status_code


def test_a_chain_of_merges_leads_to_its_end(client: Client) -> None:
    world = client.server.world
    a, b, c = world.issues
    world.merge(a, into=b)
    world.merge(b, into=c)
    assert (a.merged_into, b.merged_into) == (c, c)
    assert [detail(client, issue) for issue in (a, b, c)] == [c.id] * 3
    assert groups(client) == {c.id: 6}
    assert client.get(f"{ISSUES}{a.id}/").json()["count"] == "6"


def test_an_issue_is_not_merged_into_itself(client: Client) -> None:
    world = client.server.world
    a, b, _ = world.issues
    world.merge(a, into=b)
    assert world.merge(a, into=b) is b
    assert world.begin_merge(b, into=a).pending is None
    assert groups(client)[b.id] == 3


def test_a_merge_takes_its_time(client: Client) -> None:
    world = client.server.world
    a, b, c = world.issues
    assert world.begin_merge(a, into=b).pending == "pending_merge"
    assert listed(client) == {b.id, c.id}
    assert detail(client, a) == 404
    assert client.get(f"{ISSUES}{a.id}/events/").status_code == 404
    assert client.get(f"{ISSUES}{a.short_id}/").status_code == 404
    assert client.rows(ISSUES, project="-1", query=a.timeline[0][1]) == []
    assert groups(client) == {a.id: 1, b.id: 2, c.id: 3}
    assert {row["issue_id"] for row in world.truth("events")["events"]} == {a.id, b.id, c.id}
    assert {row["id"] for row in world.truth("issues")["issues"]} == {b.id, c.id}
    with pytest.raises(KeyError):
        world.resolve(a)
    assert world.finish_merge(a.id) is b
    assert detail(client, a) == b.id
    assert groups(client) == {b.id: 3, c.id: 3}


def test_a_merge_is_finished_where_its_target_went(client: Client) -> None:
    world = client.server.world
    a, b, c = world.issues
    world.begin_merge(a, into=b)
    world.merge(b, into=c)
    assert world.finish_merge(a) is c
    assert [detail(client, issue) for issue in (a, b)] == [c.id] * 2
    assert groups(client) == {c.id: 6}


def test_a_merge_into_what_was_deleted_deletes(client: Client) -> None:
    world = client.server.world
    a, b, c = world.issues
    world.begin_merge(a, into=b)
    world.delete_issue(b)
    world.finish_merge(a)
    assert [detail(client, issue) for issue in (a, b)] == [404, 404]
    assert groups(client) == {c.id: 3}


def test_a_merge_into_what_is_being_deleted_waits_with_it(client: Client) -> None:
    world = client.server.world
    a, b, _ = world.issues
    world.begin_merge(a, into=b)
    world.begin_deletion(b)
    world.finish_merge(a)
    assert detail(client, a) == 404
    world.cancel_deletion(b)
    assert detail(client, a) == b.id


def test_a_deletion_takes_its_time(client: Client) -> None:
    world = client.server.world
    a, b, c = world.issues
    world.resolve(a)
    assert world.begin_deletion(a).pending == "pending_deletion"
    assert listed(client) == {b.id, c.id}
    assert detail(client, a) == 404
    assert groups(client) == {a.id: 1, b.id: 2, c.id: 3}
    world.delete_issue(a)
    assert groups(client) == {b.id: 2, c.id: 3}
    assert detail(client, a) == 404
    with pytest.raises(KeyError):
        world.cancel_deletion(a)


def test_a_deletion_can_be_called_off(client: Client) -> None:
    world = client.server.world
    a = world.resolve(world.issues[0])
    world.begin_deletion(a.short_id)
    assert world.cancel_deletion(a.short_id) is a
    assert a.id in listed(client)
    assert client.get(f"{ISSUES}{a.id}/").json()["status"] == "resolved"


def test_what_was_not_begun_is_not_finished(client: Client) -> None:
    world = client.server.world
    world.begin_deletion(world.issues[0])
    for name in (*world.all_issues, "999"):
        with pytest.raises(KeyError):
            world.finish_merge(name)
    with pytest.raises(KeyError):
        world.cancel_deletion(world.issues[0])


def test_a_clean_up_removes_what_is_older_than_the_retention(client: Client) -> None:
    world = client.server.world
    a, b, c = world.issues
    world.add_event(project="backend", issue=c)
    world.advance(seconds=88 * DAY + DAY // 2)
    named = [("project", "-1"), *(("group", issue.id) for issue in (a, b, c))]
    assert listed(client) == {a.id, c.id}
    assert [detail(client, issue) for issue in (a, b, c)] == [a.id, b.id, c.id]
    assert [row["id"] for row in client.get(ISSUES, named).json()] == [a.id, b.id, c.id]
    truth, shown = world.truth(), client.get(f"{ISSUES}{c.id}/").json()
    world.clean_up()
    assert world.truth() == truth
    assert listed(client) == {a.id, c.id}
    assert [detail(client, issue) for issue in (a, b, c)] == [a.id, 404, c.id]
    assert [row["id"] for row in client.get(ISSUES, named).json()] == [a.id, c.id]
    same = ("count", "userCount", "firstSeen", "lastSeen")
    kept = client.get(f"{ISSUES}{c.id}/").json()
    assert [kept[name] for name in same] == [shown[name] for name in same]
    assert (kept["count"], kept["firstSeen"]) == ("4", "2026-07-29T12:00:00Z")
    assert (len(c.timeline), len(world.project("backend").by_id), len(world.events)) == (1, 2, 2)


def test_a_child_of_what_was_cleaned_up_is_gone_too(client: Client) -> None:
    world = client.server.world
    a, b, _ = world.issues
    world.merge(a, into=b)
    world.advance(seconds=100 * DAY)
    world.clean_up()
    assert [detail(client, issue) for issue in (a, b)] == [404, 404]
    assert world.events == []
