"""The table of Explore."""

from collections import Counter
from typing import Any

import pytest

from sandbox import Switches, World

from .client import Client, Links
from .conftest import NOW, Start

EVENTS = "/organizations/acme/events/"
ISSUES = "/organizations/acme/issues/"
SERIES = "/organizations/acme/events-timeseries/"
T0 = int(NOW.timestamp())
HOUR = 3_600
DAY = 24 * HOUR
ALL = {"dataset": "errors", "project": "-1"}


def small_world() -> World:
    """Two projects; an issue with three events of two users, another with one, and feedback."""
    world = World.build(projects=2, issues=0, events=0, now=NOW)
    issue = world.add_issue(project="backend", at=T0 - 5 * HOUR, events=0)
    world.add_event(
        project="backend", issue=issue, at=T0 - 3 * HOUR, user={"id": 1}, environment="production"
    )
    world.add_event(project="backend", issue=issue, at=T0 - 2 * HOUR, user={"id": 1}, release="backend@9")
    world.add_event(project="backend", issue=issue, at=T0 - 2 * HOUR + 90, user={"id": 2}, level="fatal")
    world.add_event(project="frontend", at=T0 - HOUR, message="The cart is empty")
    world.add_feedback(project="backend", at=T0 - HOUR)
    return world


def read(client: Client, *fields: str, **params: Any) -> list[dict[str, Any]]:
    """Every row of a table, page by page."""
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        asked = [("field", field) for field in fields] + list((ALL | params | cursor).items())
        answer = client.get(EVENTS, asked)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["data"]
        if not Links.of(answer).more:
            return rows
        cursor = {"cursor": Links.of(answer).cursor}


def test_the_rows_are_the_error_events_of_the_projects(shared: Client) -> None:
    rows = read(shared, "id", "project", "project.name", "project.id", "issue.id", "level", "environment")
    truth = shared.server.world.truth("events")["events"]
    assert {(row["id"], row["project"], str(row["project.id"])) for row in rows} == {
        (row["event_id"], row["project_slug"], row["project_id"]) for row in truth
    }
    assert len(rows) == len(truth)
    told = {row["event_id"]: row for row in truth}
    for row in rows:
        issue = told[row["id"]]["issue_id"]
        assert row["issue.id"] == (int(str(issue)) if issue else None)
        assert row["environment"] == told[row["id"]]["environment"]
        assert row["project"] == row["project.name"]


def test_an_event_shows_what_was_asked_for(start: Start) -> None:
    client = start(small_world())
    fields = ("timestamp", "timestamp.to_hour", "timestamp.to_day", "issue", "release", "user.id", "level")
    row = read(client, *fields, "event.type", "platform", query="level:fatal")[0]
    issue = client.server.world.issues[0]
    assert row == {
        "timestamp": "2026-08-01T10:01:30+00:00",
        "timestamp.to_hour": "2026-08-01T10:00:00+00:00",
        "timestamp.to_day": "2026-08-01T00:00:00+00:00",
        "issue": issue.short_id,
        "release": None,
        "user.id": "2",
        "level": "fatal",
        "event.type": issue.kind.type,
        "platform": issue.project.platform,
    }


def test_other_fields_group_the_aggregates(start: Start) -> None:
    client = start(small_world())
    fields = ("issue.id", "count()", "count_unique(user)", "min(timestamp)", "max(timestamp)", "last_seen()")
    busy, quiet = read(client, *fields, sort="-count()")
    assert busy == {
        "issue.id": int(client.server.world.issues[0].id),
        "count()": 3,
        "count_unique(user)": 2,
        "min(timestamp)": "2026-08-01T09:00:00+00:00",
        "max(timestamp)": "2026-08-01T10:01:30+00:00",
        "last_seen()": "2026-08-01T10:01:30+00:00",
    }
    assert (quiet["count()"], quiet["count_unique(user)"]) == (1, 0)
    assert read(client, *fields, sort="count")[0] == quiet
    assert read(client, "count()") == [{"count()": 4}]
    assert read(client, "count()", query="release:elsewhere") == [{"count()": 0}]
    assert read(client, "issue.id", "count()", query="release:elsewhere") == []


def test_the_meta_says_what_the_columns_are(shared: Client) -> None:
    asked = [*ALL.items(), ("field", "issue.id"), ("field", "count()"), ("field", "last_seen()")]
    meta = shared.get(EVENTS, asked).json()["meta"]
    assert meta["fields"] == {"issue.id": "integer", "count()": "integer", "last_seen()": "date"}
    assert meta["units"] == {"issue.id": None, "count()": None, "last_seen()": None}
    assert meta["dataScanned"] == "full"


def test_pages_begin_at_an_absolute_row(shared: Client) -> None:
    answer = shared.get(EVENTS, **ALL, field="id", sort="-id", per_page=7)
    assert Links.of(answer).cursor == "0:7:0"
    rows = [row["id"] for row in read(shared, "id", sort="-id", per_page=7)]
    assert rows == sorted(rows, reverse=True)
    assert len(rows) == 260


def test_several_columns_can_be_sorted_by(shared: Client) -> None:
    rows = read(shared, "project", "level", "count()")
    asked = [("field", name) for name in ("project", "level", "count()")]
    answer = shared.get(EVENTS, [*ALL.items(), *asked, ("sort", "project"), ("sort", "-count()")])
    assert answer.json()["data"] == sorted(rows, key=lambda row: (row["project"], -row["count()"]))
    releases = [row["release"] for row in read(shared, "release", "count()", sort="-release")]
    assert releases[-1] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 4),
        ("cart", 1),
        ("the CART is", 1),
        ('"cart is empty"', 1),
        ("cart level:error", 1),
        ("cart level:fatal", 0),
        ("project:backend", 3),
        ("project.name:[backend,frontend]", 4),
        ("!project:backend", 1),
        ("project.id:102", 1),
        ("level:[fatal, warning]", 1),
        ("!level:fatal", 3),
        ("release:backend@9", 1),
        ('release:["backend@9","other, one"]', 1),
        ("!release:backend@9", 3),
        ('release:""', 3),
        ("environment:production", 1),
        ("timestamp:>=2026-08-01T10:00:00", 3),
        ("timestamp:>2026-08-01T10:00:00 timestamp:<=2026-08-01T10:01:30Z", 1),
        ("timestamp:<2026-08-01T10:00:00", 1),
        ("issue:BACKEND-1", 3),
        ("!issue:backend-1", 1),
        ("issue.id:5001", 3),
        ("issue.id:[5001,5002]", 4),
        ("issue.id:999", 0),
    ],
)
def test_a_query_narrows_the_events(start: Start, query: str, found: int) -> None:
    client = start(small_world())
    assert len(read(client, "id", query=query)) == found
    (series,) = client.get(SERIES, **ALL, query=query).json()["timeSeries"]
    assert sum(point["value"] for point in series["values"]) == found


def test_every_version_can_be_asked_for(shared: Client) -> None:
    counted = {row["release"]: row["count()"] for row in read(shared, "release", "count()")}
    for version in filter(None, counted):
        for query in (f'release:"{version}"', f'release:["{version}", "nothing, at all"]'):
            assert len(read(shared, "id", query=query)) == counted[version]
    assert len(counted) > 12


def test_an_event_is_found_by_its_id(start: Start) -> None:
    client = start(small_world())
    event = client.server.world.events[0].event_id
    assert read(client, "id", query=f"id:{event.upper()}") == [{"id": event}]


@pytest.mark.parametrize(
    "query",
    [
        "level:error OR level:fatal",
        "(level:error)",
        "has:release",
        "browser:Firefox",
        "release:backend*",
        "release:>1",
        "level:",
        "level:[]",
        "level:[error,]",
        'level:[error,"fatal]',
        "project:elsewhere",
        "project.id:backend",
        "issue:BACKEND-99",
        "issue.id:BACKEND-1",
        "id:123",
        "timestamp:2026-08-01T00:00:00",
        "!timestamp:>2026-08-01T00:00:00",
        "timestamp:>yesterday",
        'release:"open',
    ],
)
def test_any_other_query_is_refused(start: Start, query: str) -> None:
    client = start(small_world())
    client.detail(EVENTS, 400, **ALL, field="id", query=query)
    client.detail(SERIES, 400, **ALL, query=query)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, "No columns selected"),
        ({"field": [f"field{at}" for at in range(21)]}, "up to 20 fields"),
        ({"field": "stack.filename"}, "stack.filename is not a column"),
        ({"field": "id", "sort": "-timestamp"}, "orderby must also be in the selected columns"),
        ({"field": "id", "per_page": 0}, "per_page"),
        ({"field": "id", "per_page": 101}, "per_page"),
        ({"field": "id", "cursor": "1:2"}, "Invalid cursor"),
        ({"field": "id", "dataset": "discover"}, "dataset must be one of"),
        ({"field": "id", "dataset": ""}, "dataset must be one of"),
        ({"field": "id", "statsPeriod": "soon"}, "Invalid statsPeriod"),
        (
            {"field": "id", "start": "2026-08-01T00:00:00", "end": "2026-08-01T00:00:00"},
            "start must be before",
        ),
        ({"field": "id", "start": "2020-01-01T00:00:00", "end": "2020-02-01T00:00:00"}, "Invalid date range"),
    ],
)
def test_what_makes_no_sense_is_refused(shared: Client, params: dict[str, Any], text: str) -> None:
    answer = shared.get(EVENTS, {**ALL, **params})
    assert answer.status_code == 400
    assert text in answer.json()["detail"]


def test_a_window_holds_its_start_but_not_its_end(start: Start) -> None:
    client = start(small_world())
    window = {"start": "2026-08-01T09:00:00", "end": "2026-08-01T10:00:00"}
    assert [row["timestamp"] for row in read(client, "timestamp", **window)] == ["2026-08-01T09:00:00+00:00"]
    early = {"start": "2020-01-01T00:00:00", "end": "2026-08-01T12:00:00"}
    assert len(read(client, "id", **early)) == 4


def test_a_table_by_project_counts_the_events_that_each_project_lists(start: Start) -> None:
    client = start(World.build(projects=110, issues=220, events=900, now=NOW))
    client.server.world.add_event(project="backend", at=T0 - 3 * DAY)
    client.server.world.add_event(project="frontend", at=T0 - 2 * DAY)
    window = {"start": "2026-07-29T12:00:00", "end": "2026-07-30T12:00:00"}
    late = {"start": "2026-07-20T03:14:15", "end": "2026-08-01T01:02:03"}
    for asked in (window, late):
        listed = {
            int(project.id): len(client.rows(f"/projects/acme/{project.slug}/events/", **asked))
            for project in client.server.world.projects
        }
        rows = read(client, "project.id", "count()", **asked)
        assert len({row["project.id"] for row in rows}) == len(rows)
        assert {row["project.id"]: row["count()"] for row in rows} == {
            project: number for project, number in listed.items() if number
        }
    assert len(rows) > 100


def test_the_next_page_of_a_table_shows_what_was_added(start: Start) -> None:
    client = start(small_world())
    ask = {**ALL, "field": ["id", "timestamp"], "sort": "-timestamp", "per_page": 2}
    first = client.get(EVENTS, **ask)
    client.server.world.add_event(project="backend", at=T0 - 60)
    again = client.get(EVENTS, **ask)
    assert again.json()["data"][1] == first.json()["data"][0]
    rows = client.get(EVENTS, **ask, cursor=Links.of(first).cursor).json()["data"]
    assert rows[0] == first.json()["data"][1]


def test_the_projects_are_chosen_as_everywhere(start: Start) -> None:
    client = start(small_world())
    member = client.get(EVENTS, dataset="errors", field=["project", "count()"]).json()["data"]
    assert member == [{"project": "backend", "count()": 3}]
    assert client.get(EVENTS, dataset="errors", field="id", project="999").status_code == 403
    nobody = Client(client.server, client.server.add_token(member_of=[]))
    answer = nobody.get(EVENTS, dataset="errors", field="id")
    assert (answer.json()["data"], "Link" in answer.headers) == ([], False)
    assert "tips" in answer.json()["meta"]
    scopeless = Client(client.server, client.server.add_token(scopes=["event:read"]))
    assert scopeless.get(EVENTS, **ALL, field="id").status_code == 403


def test_environments_narrow_the_events(start: Start) -> None:
    client = start(small_world())
    assert len(read(client, "id", environment="production")) == 1
    assert client.get(EVENTS, **ALL, field="id", environment="mars").status_code == 404


def test_other_datasets_are_empty(shared: Client) -> None:
    answer = shared.get(EVENTS, dataset="spans", field=["span.op", "count()"], query="span.op:db")
    assert answer.json()["data"] == []
    assert answer.json()["meta"]["dataset"] == "spans"


def test_the_counts_of_a_big_world_add_up(shared: Client) -> None:
    rows = read(shared, "project", "issue", "count()")
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["project"]] += row["count()"]
    assert counts == Counter(row["project_slug"] for row in shared.server.world.truth("events")["events"])
    assert "unknown" in {row["issue"] for row in rows}


def test_explore_can_be_switched_off(start: Start) -> None:
    client = start(small_world(), features_off=frozenset({"explore"}))
    assert client.get(EVENTS, **ALL, field="id").status_code == 404
    assert client.get(SERIES, **ALL).status_code == 404
    client = start(small_world(), features_off=frozenset({"events-timeseries"}))
    assert client.get(EVENTS, **ALL, field="id").status_code == 200
    assert client.get(SERIES, **ALL).status_code == 404


def test_an_old_server_fails(start: Start) -> None:
    client = start(small_world(), old_server=True)
    assert client.get(EVENTS, dataset="errors", field="id").status_code == 500
    assert client.get(SERIES, dataset="errors").status_code == 500


def test_a_server_without_multi_project_streams_refuses_several(start: Start) -> None:
    client = start(small_world(), no_multi_project=True)
    text = "You cannot view events from multiple projects."
    assert client.detail(EVENTS, 400, **ALL, field="id") == text
    assert client.detail(SERIES, 400, **ALL) == text
    assert client.get(SERIES, dataset="errors", project="101").status_code == 200


def test_both_share_a_limit_of_their_own(start: Start) -> None:
    limits = Switches.saas().limits
    assert limits is not None
    assert limits["organization-events"] == (50, 1, 50)
    client = start(small_world(), rate_limits={"organization-events": (2, 60, None)})
    assert client.get(EVENTS, **ALL, field="id").status_code == 200
    assert client.get(SERIES, **ALL).status_code == 200
    assert client.get(SERIES, **ALL).status_code == 429


def test_a_window_with_too_much_in_it_times_out(start: Start) -> None:
    client = start(small_world(), most_scanned=3)
    backend, both = {"project": "backend"}, {"project": "-1"}
    issue = client.server.world.issues[0]
    one = f"/organizations/acme/issues/{issue.id}/events/"
    listings: list[tuple[str, dict[str, str], bool]] = [
        (EVENTS, {"dataset": "errors", "field": "id"} | both, False),
        (EVENTS, {"dataset": "errors", "field": "id", "query": "level:fatal"} | both, False),
        (EVENTS, {"dataset": "errors", "field": "id"} | backend, True),
        (EVENTS, {"dataset": "spans", "field": "id"} | both, True),
        (SERIES, {"dataset": "errors"} | both, False),
        (ISSUES, both, False),
        (ISSUES, backend, True),
        (ISSUES, {"group": issue.id} | both, True),
        (ISSUES, {"query": issue.timeline[0][1]} | both, True),
        ("/projects/acme/backend/events/", {}, True),
        (one, {}, True),
    ]
    for path, params, answered in listings:
        check_scan(client, path, params, answered=answered)
    client.server.world.add_event(project="backend", at=T0 - HOUR)
    for path in ("/projects/acme/backend/events/", one):
        check_scan(client, path, {}, answered=False)
        check_scan(
            client, path, {"start": "2026-08-01T09:00:00", "end": "2026-08-01T11:00:00"}, answered=True
        )
    check_scan(client, one, {"query": issue.timeline[0][1]}, answered=True)


def check_scan(client: Client, path: str, params: dict[str, str], *, answered: bool) -> None:
    answer = client.get(path, **params)
    assert answer.status_code == (200 if answered else 400), (path, params, answer.text)
    if not answered:
        assert answer.json()["detail"].startswith("Query timeout. Please try again. If the problem persists")


def test_the_back_end_may_time_out(start: Start) -> None:
    client = start(small_world())
    body = b'{"detail":"Query timeout. Please try again."}'
    client.server.fail_next(status=400, body=body, content_type="application/json", path_contains="/events/")
    assert client.detail(EVENTS, 400, **ALL, field="id") == "Query timeout. Please try again."
    assert read(client, "id")
