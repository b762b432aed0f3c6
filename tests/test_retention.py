"""Servers that have forgotten: the start is clamped with one warning, and older rows in the destination stay."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from sandbox import Sandbox, Switches
from tests.conftest import NOW, lists_events
from tests.warehouse import Warehouse, truth_of

DAY = 86_400
LOST = "This server has no events before"


def warnings(log: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [record.getMessage() for record in log.records if text in record.getMessage()]


def test_a_start_before_the_servers_memory_is_clamped_with_one_warning(
    serve: Callable[..., Sandbox], warehouse: Warehouse, everything_logged: pytest.LogCaptureFixture
) -> None:
    server = serve(days=40, events=200)
    server.world.retention_days = 30
    for _ in range(3):
        warehouse.load(server, "issues", "events")
        server.world.advance(seconds=DAY)
    (said,) = warnings(everything_logged, LOST)
    assert "no events before 2026-07-02T1" in said
    assert "the 59.9 days wanted from 2026-05-03T12:00:00 UTC on cannot be loaded" in said
    starts = {
        start for request in server.requests if lists_events(request) for start in request.values("start")
    }
    assert min(starts) >= "2026-07-02T10"


def test_rows_that_the_server_has_forgotten_stay(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve(days=20, events=200)
    warehouse.load(server, "issues", "events")
    server.world.retention_days = 10
    server.world.clean_up()
    server.world.advance(seconds=2 * DAY)
    warehouse.load(server, "issues", "events")
    assert len(truth_of(server)["events"]) < 150
    assert warehouse.column("SELECT count(*) FROM events") == [200]
    assert warehouse.column("SELECT count(*) FROM issues WHERE is_deleted") == [0]


def test_no_event_at_the_edge_of_retention_is_lost(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(days=40, events=300)
    server.world.retention_days = 33
    for minute in range(0, 180, 3):
        server.world.add_event(
            project=server.world.projects[0],
            issue=server.world.issues[0],
            at=NOW - timedelta(days=33) + timedelta(minutes=minute),
        )
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


def test_the_edge_is_looked_for_once_a_day_not_with_each_run(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    server.world.retention_days = 30
    warehouse.load(server, "issues", "events")
    asked = sum(request.path.endswith("/events-timeseries/") for request in server.requests)
    assert 5 < asked < 20
    server.clear_requests()
    server.world.advance(seconds=3600)
    server.world.add_project("newcomer")
    warehouse.load(server, "issues", "events")
    asked = sum(request.path.endswith("/events-timeseries/") for request in server.requests)
    assert (
        asked <= 3
    )  # one for each span that is read, and whether the newcomer has events that are not listed


def test_an_earlier_start_is_asked_for_and_warned_of_again(
    serve: Callable[..., Sandbox], warehouse: Warehouse, everything_logged: pytest.LogCaptureFixture
) -> None:
    server = serve()
    server.world.retention_days = 30
    warehouse.load(server, "events", start_date="2026-07-15")
    assert not warnings(everything_logged, LOST)
    warehouse.load(server, "events", start_date="2026-06-01")
    assert len(warnings(everything_logged, LOST)) == 1
    warehouse.load(server, "events", start_date="2026-06-01")
    assert len(warnings(everything_logged, LOST)) == 1
    warehouse.load(server, "events", start_date="2026-05-01")
    assert len(warnings(everything_logged, LOST)) == 2


def test_a_server_that_does_not_tell_gets_another_warning_and_is_read_in_full(
    serve: Callable[..., Sandbox], warehouse: Warehouse, everything_logged: pytest.LogCaptureFixture
) -> None:
    server = serve(switches=Switches(features_off=frozenset({"explore"})))
    warehouse.load(server, "issues", "events", start_date="2025-01-01")
    assert len(warnings(everything_logged, "does not tell how far back it answers")) == 1
    warehouse.assert_events_equal_truth(server)


@pytest.mark.parametrize("bodies", [True, False])
@pytest.mark.parametrize("counts", [True, False])
def test_a_server_that_lists_only_a_week_is_told_once(
    serve: Callable[..., Sandbox],
    warehouse: Warehouse,
    everything_logged: pytest.LogCaptureFixture,
    counts: bool,
    bodies: bool,
) -> None:
    features = frozenset() if counts else frozenset({"explore"})
    server = serve(switches=Switches(listed_days=7, features_off=features), events=200, projects=1)
    shown = NOW - timedelta(days=7)
    listed = {
        row["event_id"] for row in truth_of(server)["events"] if row["date_created"] >= shown.isoformat()[:19]
    }
    warehouse.load(server, "events", event_bodies=bodies)
    loaded = set(warehouse.column("SELECT event_id FROM events"))
    assert loaded >= listed
    said = warnings(everything_logged, "events older than 7 days and does not list them")
    assert len(said) == int(counts and not bodies)
    if counts and bodies:  # Explore names those that the list hides, and they can be read alone
        warehouse.assert_events_equal_truth(server)
    elif counts:
        assert f"counts {200 - len(listed):,}"[:9] in said[0]
    server.world.advance(seconds=3600)
    warehouse.load(server, "events", event_bodies=bodies)
    assert len(warnings(everything_logged, "events older than 7 days")) == int(counts and not bodies)


def test_counting_is_a_help_and_its_failure_stops_no_load(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(days=40, events=200)
    for status in (504, 429, 403, 500):
        server.fail_next(300, status=status, path_contains="/events-timeseries/")
        server.fail_next(300, status=status, path_contains="/organizations/acme/events/")
        other = Warehouse(warehouse.folder, f"after{status}")
        other.load(server, "issues", "events", chunk_events=1000)
        server.clear_hooks()
        assert other.column("SELECT count(*) FROM events") != [0]
