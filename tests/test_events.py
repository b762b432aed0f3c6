"""Events: all of them, once, whatever moves under the reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from sandbox import Sandbox, Switches
from tests.conftest import NOW, lists_events
from tests.warehouse import Warehouse, moment, truth_of


def event_requests(server: Sandbox) -> list[dict[str, str]]:
    return [dict(request.params) for request in server.requests if lists_events(request)]


def test_windows_are_absolute_naive_and_end_at_the_servers_clock(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "events")
    first = event_requests(server)[0]
    assert first["end"] == "2026-08-01T12:00:00"
    assert first["start"] == "2026-05-03T12:00:00"
    assert first["full"] == "true"
    assert "statsPeriod" not in first


def test_many_events_of_one_second_arrive_once(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    server.world.add_events(157, at=NOW - timedelta(hours=5))
    server.world.add_events(31, at=NOW - timedelta(hours=5, seconds=1))
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


@pytest.mark.parametrize("ties", [1, 40])
@pytest.mark.parametrize(
    "switches", [Switches(), Switches(ignores_event_windows=True)], ids=["newest", "before-2025"]
)
def test_events_behind_a_deleted_issue_are_not_skipped(
    serve: Callable[..., Sandbox], warehouse: Warehouse, switches: Switches, ties: int
) -> None:
    server = serve(projects=1, issues=3, events=12, switches=switches)
    world = server.world
    doomed = world.add_issue(project=world.projects[0], at=NOW - timedelta(minutes=1), events=15)
    for minute in range(2, 8):
        world.add_events(ties, at=NOW - timedelta(minutes=minute), issue=world.issues[0])
    pages: list[object] = []

    def delete(request: object) -> None:
        if lists_events(request):
            pages.append(request)
            if len(pages) == 3:
                world.delete_issue(doomed)

    server.on_request(delete)
    warehouse.load(server, "events")
    arrived = set(warehouse.column("SELECT event_id FROM events"))
    assert {row["event_id"] for row in truth_of(server)["events"]} <= arrived
    assert len(arrived) == warehouse.column("SELECT count(*) FROM events")[0]


def test_events_that_arrive_while_pages_are_read_double_nothing(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1)
    world = server.world

    def arrive(request: object) -> None:
        if lists_events(request):
            world.advance(seconds=1)
            world.add_events(3, at=world.now, issue=world.issues[0])
            world.add_event(
                project=world.projects[0], issue=world.issues[0], at=world.now - timedelta(days=3)
            )

    server.on_request(arrive)
    warehouse.load(server, "events")
    server.clear_hooks()
    ids = warehouse.column("SELECT event_id FROM events")
    assert len(ids) == len(set(ids))
    world.advance(seconds=1)
    warehouse.load(server, "events", lookback=5 * 86_400)
    warehouse.assert_events_equal_truth(server)


def test_an_event_indexed_late_is_found_by_the_look_back(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "events")
    issue = server.world.issues[0]
    server.world.add_event(project=issue.project, issue=issue, at=NOW - timedelta(seconds=3500))
    server.world.advance(seconds=300)
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


def test_a_project_added_later_gets_its_whole_history(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server)
    newcomer = server.world.add_project("newcomer")
    server.world.add_issue(project=newcomer, at=NOW - timedelta(days=20), events=12)
    server.world.advance(seconds=3600)
    warehouse.load(server)
    warehouse.assert_equals_truth(server)


def test_choosing_projects_one_after_the_other_ends_with_both(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    first, second = server.world.projects
    warehouse.load(server, "issues", "events", projects=[first.slug])
    assert set(warehouse.column("SELECT DISTINCT project_id FROM events")) == {first.id}
    assert set(warehouse.column("SELECT DISTINCT project_slug FROM issues")) == {first.slug}
    warehouse.load(server, "issues", "events", projects=[first.id, second.slug])
    warehouse.assert_events_equal_truth(server)
    assert set(warehouse.issues()) == {row["id"] for row in truth_of(server)["issues"]}


def test_an_earlier_start_date_adds_exactly_the_missing_history(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1)
    warehouse.load(server, "events", start_date=(NOW - timedelta(days=2)).isoformat())
    cut = NOW - timedelta(days=2)
    recent = {row["event_id"] for row in truth_of(server)["events"] if row["date_created"] >= cut.isoformat()}
    assert set(warehouse.column("SELECT event_id FROM events")) == recent
    server.clear_requests()
    warehouse.load(server, "events", start_date=(NOW - timedelta(days=14)).isoformat())
    warehouse.assert_events_equal_truth(server)
    starts = {params["start"] for params in event_requests(server)}
    assert starts == {"2026-07-18T12:00:00"}  # Sentry counts none in the look-back


def test_an_end_date_loads_exactly_that_range_and_leaves_progress_alone(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    start, end = NOW - timedelta(days=6), NOW - timedelta(days=3)
    warehouse.load(server, "events", start_date=start.isoformat(), end_date=end.isoformat())
    inside = {
        row["event_id"]
        for row in truth_of(server)["events"]
        if start.isoformat() <= row["date_created"].replace("Z", "+00:00") < end.isoformat()
    }
    assert inside
    assert set(warehouse.column("SELECT event_id FROM events")) == inside
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


def test_the_simple_form_has_the_same_rows_without_bodies(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "events", event_bodies=False)
    warehouse.assert_events_equal_truth(server)
    assert not any("full" in params for params in event_requests(server))
    assert warehouse.column("SELECT count(*) FROM events WHERE entries IS NOT NULL") == [0]


def test_deep_fields_are_json_columns_and_make_no_tables(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "events")
    assert warehouse.tables() == {"events", "events__tags"}
    types = {
        row["column_name"]: row["data_type"]
        for row in warehouse.rows("SELECT * FROM information_schema.columns WHERE table_name = 'events'")
    }
    assert {types[name] for name in ("entries", "contexts", "context", "_meta", "sdk", "metadata")} == {
        "JSON"
    }
    (entries,) = warehouse.column("SELECT entries FROM events WHERE entries LIKE '%exception%' LIMIT 1")
    assert {entry["type"] for entry in json.loads(entries)} >= {"exception"}


def test_a_late_event_lands_under_the_time_it_happened(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    late = server.world.add_event(project=server.world.projects[0], at=NOW - timedelta(days=20), received=NOW)
    warehouse.load(server, "events")
    (row,) = warehouse.rows(
        f"SELECT date_created, date_received FROM events WHERE event_id = '{late.event_id}'"
    )
    assert moment(row["date_created"]) == NOW - timedelta(days=20)
    assert moment(row["date_received"]) == NOW


def test_an_event_without_an_issue_is_loaded(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    event = server.world.add_event(
        project=server.world.projects[0], grouped=False, at=NOW - timedelta(hours=2)
    )
    warehouse.load(server, "events")
    assert warehouse.column(f"SELECT issue_id FROM events WHERE event_id = '{event.event_id}'") == [None]


def test_append_adds_each_event_once_and_does_not_look_back(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    append = {"write_disposition": "append"}
    for _ in range(3):
        warehouse.load(server, "events", run=append)
        server.world.add_events(4, at=server.world.now, issue=server.world.issues[0])
        server.world.advance(seconds=1)
    warehouse.load(server, "events", run=append)
    warehouse.assert_events_equal_truth(server)


def test_replace_reads_everything_again_instead_of_leaving_just_the_new(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "issues", "events", "releases")
    server.world.advance(seconds=7200)
    warehouse.load(server, "issues", "events", "releases", run={"write_disposition": "replace"})
    warehouse.assert_events_equal_truth(server)
    assert set(warehouse.issues()) == {row["id"] for row in truth_of(server)["issues"]}
    assert len(warehouse.column("SELECT version FROM releases")) == len(truth_of(server)["releases"])
