"""The main job: everything the server has is in the destination, once, after each run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from sandbox import Sandbox, Switches
from tests.conftest import NOW, lists_events
from tests.warehouse import Warehouse, truth_of

NEWEST = Switches(empty_pages=True, missing_bodies=0.02, simple_dates=False)
LARGE = {"projects": 3, "issues": 120, "events": 6000, "days": 14, "now": NOW}

SERVERS = {
    "newest": NEWEST,
    "old": Switches(old_server=True),
    "before-2025": Switches(ignores_event_windows=True, full_page_size=100),
    "one-project-at-a-time": Switches(no_multi_project=True, no_lifetime=True),
}


@pytest.mark.parametrize("switches", [NEWEST, Switches(old_server=True)], ids=["newest", "old"])
def test_three_projects_120_issues_and_6000_events_arrive_once(
    serve: Callable[..., Sandbox], warehouse: Warehouse, switches: Switches
) -> None:
    server = serve(switches=switches, **LARGE)
    warehouse.load(server)
    warehouse.assert_equals_truth(server)
    assert warehouse.column("SELECT count(*) FROM events") == [6000]

    change_the_world(server)
    warehouse.load(server)
    warehouse.assert_equals_truth(server)


@pytest.mark.parametrize("switches", SERVERS.values(), ids=SERVERS.keys())
def test_later_runs_bring_what_is_new_late_tied_and_bumped(
    serve: Callable[..., Sandbox], warehouse: Warehouse, switches: Switches
) -> None:
    server = serve(switches=switches)
    warehouse.load(server)
    warehouse.assert_equals_truth(server)
    for _ in range(2):
        change_the_world(server)
        warehouse.load(server)
        warehouse.assert_equals_truth(server)


def test_a_run_with_nothing_new_changes_nothing(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    warehouse.load(server)
    server.world.advance(seconds=7200)
    server.clear_requests()
    warehouse.load(server)
    warehouse.assert_equals_truth(server)
    events = [request for request in server.requests if lists_events(request)]
    assert not events  # Explore names none that were not there before


def test_loading_again_from_scratch_gives_the_same_rows(
    serve: Callable[..., Sandbox], warehouse: Warehouse, tmp_path: object
) -> None:
    server = serve()
    warehouse.load(server)
    other = Warehouse(warehouse.folder, "again")
    other.load(server)
    server.world.advance(seconds=60)
    other.load(server, sweep_interval=0, lookback=30 * 86_400)
    for table in ("issues", "events", "releases", "projects", "members"):
        query = f"SELECT * EXCLUDE (_dlt_id, _dlt_load_id) FROM {table} ORDER BY ALL"
        assert warehouse.rows(query) == other.rows(query), table


@pytest.mark.parametrize("table", ["issues", "events", "releases", "teams"])
def test_a_table_loads_alone(serve: Callable[..., Sandbox], warehouse: Warehouse, table: str) -> None:
    server = serve()
    warehouse.load(server, table)
    assert warehouse.tables() == {table} | ({"events__tags"} if table == "events" else set())
    assert warehouse.column(f"SELECT count(*) FROM {table}") == [len(truth_of(server)[table])]


def test_an_organization_without_anything_gives_empty_tables(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1, issues=0, events=0)
    warehouse.load(server)
    assert {"issues", "events", "releases"} <= warehouse.tables()
    assert warehouse.column("SELECT count(*) FROM issues") == [0]


def change_the_world(server: Sandbox) -> None:
    """New, late, tied and doubled events, bumped, re-opened and new issues, a new release, an hour later."""
    world = server.world
    world.advance(seconds=3600)
    quiet, busy = world.issues[:2]
    world.resolve(quiet)
    world.advance(seconds=600)
    now = world.now
    for issue in (quiet, busy):
        world.add_event(project=issue.project, issue=issue, at=now - timedelta(seconds=5))
    world.add_event(project=busy.project, issue=busy, at=now - timedelta(seconds=4000))
    world.add_events(35, at=now - timedelta(seconds=60), issue=busy)
    shared = world.add_event(project=world.projects[0], at=now - timedelta(seconds=50))
    world.add_event(project=world.projects[1], event_id=shared.event_id, at=now - timedelta(seconds=50))
    version = f"shop@{len(world.releases)}.0.0"
    world.add_event(
        project=world.projects[0], release=version, environment="canary", at=now - timedelta(seconds=9)
    )
    world.advance(seconds=30)
