"""Event lists and bodies."""

import json
from itertools import pairwise

import pytest

from sandbox import SECRET, World

from .client import Client, Links
from .conftest import NOW, Start

EVENTS = "/projects/acme/backend/events/"
T0 = int(NOW.timestamp())
DAY = 86_400


def test_a_window_holds_its_start_but_not_its_end(start: Start) -> None:
    world = World.build(projects=1, issues=0, events=0, now=NOW)
    event = world.add_event(project="backend", at=T0 - 3_600)
    client = start(world)
    assert (
        client.rows(EVENTS, start="2026-08-01T11:00:00", end="2026-08-01T11:00:01")[0]["id"] == event.event_id
    )
    assert client.rows(EVENTS, start="2026-08-01T10:59:59", end="2026-08-01T11:00:00") == []
    assert client.rows(EVENTS, statsPeriod="2h")


def test_windows_that_meet_give_every_event_once(shared: Client) -> None:
    edges = [f"2026-07-{day:02d}T00:00:00" for day in range(17, 32, 2)] + ["2026-08-01T12:00:00"]
    rows = [row for a, b in pairwise(edges) for row in shared.rows(EVENTS, start=a, end=b)]
    assert sorted(row["id"] for row in rows) == sorted(row["id"] for row in shared.rows(EVENTS))


@pytest.mark.parametrize(
    "params",
    [
        {"start": "2026-08-01T00:00:00"},
        {"start": "2026-08-01T00:00:00", "end": "2026-08-01T00:00:00"},
        {"statsPeriod": "soon"},
    ],
)
def test_a_bad_window_is_refused(shared: Client, params: dict[str, str]) -> None:
    assert shared.detail(EVENTS, 400, **params) == "Invalid date range parameters provided"


def test_full_events_come_ten_to_a_page(shared: Client) -> None:
    answer = shared.get(EVENTS, full="true", per_page=100)
    assert len(answer.json()) == 10
    assert Links.of(answer).cursor == "0:10:0"
    assert len(shared.rows(EVENTS, full="true")) == len(shared.rows(EVENTS))


def test_full_is_a_word_of_its_own(shared: Client) -> None:
    assert "entries" in shared.get(EVENTS, full="1").json()[0]
    assert "entries" not in shared.get(EVENTS, full="false").json()[0]


def test_a_full_event_has_its_body_and_no_dotted_type(start: Start) -> None:
    client = start(World.build(projects=1, issues=30, events=200, now=NOW))
    rows = client.rows(EVENTS, full="true")
    assert all("event.type" not in row and row["type"] in {"error", "default"} for row in rows)
    kinds = {entry["type"] for row in rows for entry in row["entries"]}
    assert {"exception", "message", "breadcrumbs", "request", "threads"} <= kinds
    sizes = sorted(len(json.dumps(row)) for row in rows)
    assert sizes[0] > 4_000
    assert 10_000 < sizes[len(sizes) // 2] < 40_000


def test_bodies_hold_secrets_to_be_found(shared: Client) -> None:
    text = json.dumps(shared.rows(EVENTS, full="true"))
    for place in ("header", "cookie", "local-variable", "query"):
        assert f"{SECRET}-{place}" in text


def test_simple_and_full_agree(shared: Client) -> None:
    simple = {row["id"]: row for row in shared.rows(EVENTS)}
    for full in shared.rows(EVENTS, full="true"):
        row = simple[full["id"]]
        same = ("eventID", "groupID", "projectID", "dateCreated", "title", "message", "user", "platform")
        assert {name: full[name] for name in same} == {name: row[name] for name in same}
        assert sorted(tag["key"] for tag in full["tags"]) == sorted(tag["key"] for tag in row["tags"])


def test_rows_vary_as_real_ones_do(start: Start) -> None:
    client = start(World.build(projects=1, issues=20, events=1_500, now=NOW))
    rows = client.rows(EVENTS)
    assert 0 < sum(row["user"] is None for row in rows) < 150
    assert 0 < sum(row["groupID"] is None for row in rows) < 60
    assert {"error", "default"} == {row["event.type"] for row in rows}
    counts = [len(row["tags"]) for row in rows]
    assert min(counts) >= 5
    assert max(counts) <= 25
    assert sum("release" not in {tag["key"] for tag in row["tags"]} for row in rows) > 0


def test_the_same_seed_makes_the_same_events(start: Start, shared: Client) -> None:
    path = f"{EVENTS}{shared.rows(EVENTS)[0]['id']}/"
    assert start().get(path).json() == shared.get(path).json()
    assert start().get(EVENTS).content == shared.get(EVENTS).content
    warm = start()
    warm.server.warm_up()
    for full in ("0", "1"):
        assert warm.get(EVENTS, full=full).content == shared.get(EVENTS, full=full).content


def test_the_detail_knows_release_and_neighbours(shared: Client) -> None:
    issue = next(
        one for one in shared.server.world.issues if len(one.timeline) > 2 and one.project.slug == "backend"
    )
    events = [entry[2] for entry in issue.timeline]
    row = shared.get(f"{EVENTS}{events[1].event_id}/").json()
    assert (row["previousEventID"], row["nextEventID"]) == (events[0].event_id, events[2].event_id)
    assert (row["release"] or {}).get("version") == events[1].release


def test_a_deleted_release_leaves_its_name(start: Start) -> None:
    client = start()
    world = client.server.world
    event = next(event for event in world.events if event.release == "backend@1.3.0")
    world.delete_release("backend@1.3.0")
    row = client.get(f"{EVENTS}{event.event_id}/").json()
    assert row["release"] == {"version": "backend@1.3.0"}


def test_a_lost_body_leaves_the_row_in_the_list(start: Start) -> None:
    client = start(missing_bodies=1.0)
    listed = client.get(EVENTS).json()[0]
    assert client.detail(f"{EVENTS}{listed['id']}/", 404) == "Event not found"
    full = client.get(EVENTS, full="1").json()[0]
    assert (full["id"], full["entries"], full["dateReceived"]) == (listed["id"], [], None)


def test_one_body_can_be_lost(start: Start) -> None:
    client = start()
    event = client.server.world.add_event(project="backend", body=False)
    assert event.event_id in {row["id"] for row in client.rows(EVENTS)}
    assert client.get(f"{EVENTS}{event.event_id}/").status_code == 404


def test_what_is_older_than_the_retention_is_not_answered(start: Start) -> None:
    client = start()
    world = client.server.world
    edge = world.add_event(project="backend", at=T0 - 90 * DAY)
    beyond = world.add_event(project="backend", at=T0 - 90 * DAY - 1)
    listed = {row["id"] for row in client.rows(EVENTS)}
    assert edge.event_id in listed
    assert beyond.event_id not in listed
    assert client.get(f"{EVENTS}{beyond.event_id}/").status_code == 404
    assert beyond.event_id not in {row["event_id"] for row in world.truth()["events"]}


def test_a_late_event_lands_where_it_happened(start: Start) -> None:
    client = start()
    late = client.server.world.add_event(project="backend", at=T0 - 20 * DAY)
    row = client.get(f"{EVENTS}{late.event_id}/").json()
    assert (row["dateCreated"], row["dateReceived"]) == ("2026-07-12T12:00:00Z", "2026-08-01T12:00:00Z")


def test_many_events_of_one_second_are_in_order(start: Start) -> None:
    client = start()
    made = client.server.world.add_events(157, at=NOW)
    assert len(made) == 157
    listed = [row["id"] for row in client.rows(EVENTS, per_page=10)][:157]
    assert listed == sorted((event.event_id for event in made), reverse=True)


def test_a_server_before_2025_ignores_windows_and_reads_full_false_as_true(start: Start) -> None:
    client = start(ignores_event_windows=True, full_page_size=100)
    nothing = {"start": "2020-01-01T00:00:00", "end": "2020-01-02T00:00:00"}
    rows = client.get(EVENTS, **nothing).json()
    assert len(rows) > 10
    full = client.get(EVENTS, full="false").json()
    assert len(full) == len(rows)
    assert "entries" in full[0]


@pytest.mark.parametrize("old_server", [False, True])
def test_a_server_may_list_the_last_days_only(start: Start, old_server: bool) -> None:
    client = start(listed_days=7, old_server=old_server)
    world = client.server.world
    edge = world.add_event(project="backend", at=T0 - 7 * DAY)
    beyond = world.add_event(project="backend", at=T0 - 7 * DAY - 1)
    ahead = world.add_event(project="backend", at=T0 + 30)
    wide = {"start": "2026-07-01T00:00:00", "end": "2026-08-02T00:00:00"}
    for params in ({}, wide):
        listed = {row["eventID"] for row in client.rows(EVENTS, **params)}
        assert {edge.event_id, ahead.event_id} <= listed
        assert beyond.event_id not in listed
        recent = {event.event_id for event in world.events if event.at >= T0 - 7 * DAY}
        assert listed == recent & {row["event_id"] for row in _of_backend(world)}
    if not old_server:
        assert client.rows(EVENTS, start="2026-07-18T00:00:00", end="2026-07-19T00:00:00") == []
    assert client.get(f"{EVENTS}{beyond.event_id}/").status_code == 200
    assert beyond.event_id in {row["event_id"] for row in _of_backend(world)}


def _of_backend(world: World) -> list[dict[str, object]]:
    return [row for row in world.truth("events")["events"] if row["project_slug"] == "backend"]


def test_a_full_event_that_was_shown_before_shows_what_has_become_of_it(start: Start) -> None:
    client = start()
    world = client.server.world
    child, parent = [issue for issue in world.issues if issue.project.slug == "backend"][:2]
    event = child.timeline[-1][2]
    for _ in range(2):
        shown = {row["id"]: row for row in client.rows(EVENTS, full="1")}
        assert shown[event.event_id]["groupID"] == child.id
    world.merge(child, into=parent)
    shown = {row["id"]: row for row in client.rows(EVENTS, full="1")}
    detail = client.get(f"{EVENTS}{event.event_id}/").json()
    assert shown[event.event_id]["groupID"] == parent.id
    assert shown[event.event_id] == {name: detail[name] for name in shown[event.event_id]}


def test_the_query_searches_the_message(start: Start) -> None:
    client = start()
    event = client.server.world.add_event(project="backend", message="A very special failure")
    assert [row["id"] for row in client.rows(EVENTS, query="special")] == [event.event_id]


def test_samples_are_in_a_fixed_other_order(shared: Client) -> None:
    rows = [row["id"] for row in shared.rows(EVENTS, sample="1")]
    assert rows == sorted(rows)


def test_the_events_of_an_issue(start: Start) -> None:
    client = start()
    issue = client.server.world.issues[0]
    path = f"/organizations/acme/issues/{issue.id}/events/"
    assert [row["id"] for row in client.rows(path)] == [entry[1] for entry in reversed(issue.timeline)]
    by_short_id = client.rows(f"/organizations/acme/issues/{issue.short_id}/events/")
    assert [row["id"] for row in by_short_id] == [row["id"] for row in client.rows(path)]
    assert client.rows(path, environment="mars") == []
    hit = client.get(path, query=issue.timeline[0][1])
    assert ([row["id"] for row in hit.json()], "Link" in hit.headers) == ([issue.timeline[0][1]], False)
    assert "entries" in client.get(path, full="1").json()[0]
    assert client.detail(path, 400, start="2026-08-01T00:00:00") == "start and end are both required"


def test_events_without_an_issue_are_in_the_project_only(start: Start) -> None:
    client = start()
    event = client.server.world.add_event(project="backend", grouped=False)
    row = client.get(f"{EVENTS}{event.event_id}/").json()
    assert (row["groupID"], row["nextEventID"]) == (None, None)
