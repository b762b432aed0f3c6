"""verify finds what the destination lacks, repair brings just that; what Sentry has forgotten is no gap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sandbox import Sandbox, Switches
from sentry import SentryConfigurationError, errors, repair, verify
from tests.conftest import NOW, Script, lists_events
from tests.warehouse import Warehouse, truth_of

PARQUET: dict[str, Any] = {"loader_file_format": "parquet"}


def access(server: Sandbox) -> dict[str, Any]:
    return {"auth_token": server.token, "organization": "acme", "base_url": server.url}


def come_late(server: Sandbox, *days: float) -> None:
    """Events that happened some days ago and arrive now."""
    for number, ago in enumerate(days):
        issue = server.world.issues[number % 2]
        server.world.add_event(project=issue.project, issue=issue, at=NOW - timedelta(days=ago))


SERVERS = {
    "newest": Switches(),
    "table-of-events-only": Switches(features_off=frozenset({"events-timeseries"})),
    "does-not-count": Switches(features_off=frozenset({"explore"})),
    "before-2025": Switches(ignores_event_windows=True, features_off=frozenset({"events-timeseries"})),
    "old": Switches(old_server=True),
    "one-project-at-a-time": Switches(no_multi_project=True),
}


@pytest.mark.parametrize("switches", SERVERS.values(), ids=SERVERS.keys())
def test_late_events_are_found_and_brought_and_nothing_else_is_read(
    serve: Callable[..., Sandbox], warehouse: Warehouse, switches: Switches
) -> None:
    server = serve(switches=switches)
    warehouse.load(server, "events")
    assert verify(warehouse.pipeline, **access(server)).missing == 0
    come_late(server, 12.3, 12.3, 5.1)
    found = verify(warehouse.pipeline, **access(server))
    assert found.missing == 3
    assert found.surplus == 0
    assert sorted(day.day.isoformat() for day in found.days for _ in range(day.missing)) == [
        "2026-07-20",
        "2026-07-20",
        "2026-07-27",
    ]
    done = repair(warehouse.pipeline, **access(server), **PARQUET)
    assert (done.brought, done.after.missing) == (3, 0)
    warehouse.assert_events_equal_truth(server)


def test_a_repair_reads_only_the_hours_that_lack_something(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(events=400)
    warehouse.load(server, "events")
    come_late(server, 12.3)
    server.clear_requests()
    repair(warehouse.pipeline, **access(server), **PARQUET)
    listed = [request for request in server.requests if lists_events(request)]
    assert {tuple(request.values("start") + request.values("end")) for request in listed} == {
        ("2026-07-20T04:00:00", "2026-07-20T05:00:00")
    }
    counted = [request for request in server.requests if request.path.endswith("/events-timeseries/")]
    assert len(counted) <= 5 * len(server.world.projects)


def test_a_late_check_costs_few_requests_when_nothing_is_late(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(events=400)
    warehouse.load(server, "events")
    server.clear_requests()
    assert repair(warehouse.pipeline, **access(server), days=30).brought == 0
    assert len(server.requests) <= 2 + 2 * len(server.world.projects)


def test_events_that_sentry_has_deleted_are_a_surplus_and_stay(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "events")
    doomed = server.world.issues[0]
    count = len(doomed.timeline)
    server.world.delete_issue(doomed)
    found = verify(warehouse.pipeline, **access(server))
    assert (found.missing, found.surplus) == (0, count)
    assert repair(warehouse.pipeline, **access(server)).brought == 0
    assert warehouse.column("SELECT count(*) FROM events") == [60]


def test_an_event_missing_in_the_hour_of_a_deleted_one_shows_by_listing(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    world = server.world
    at = NOW - timedelta(days=4)
    gone = world.add_event(project=world.projects[0], issue=world.issues[0], at=at)
    warehouse.load(server, "events")
    world.delete_event(gone)
    world.add_event(project=world.projects[0], issue=world.issues[0], at=at)
    assert verify(warehouse.pipeline, **access(server)).missing == 0
    assert verify(warehouse.pipeline, **access(server), by_listing=True).missing == 1
    done = repair(warehouse.pipeline, **access(server), by_listing=True, **PARQUET)
    assert (done.brought, done.after.missing, done.after.surplus) == (1, 0, 1)


def test_what_was_not_read_yet_or_never_wanted_is_no_gap(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(days=40)
    warehouse.load(server, "events", start_date="2026-07-20")
    newcomer = server.world.add_project("newcomer")
    server.world.add_issue(project=newcomer, at=NOW - timedelta(days=2), events=3)
    found = verify(warehouse.pipeline, **access(server))
    assert found.missing == 0
    assert found.unread["newcomer"] > 80
    assert repair(warehouse.pipeline, **access(server)).brought == 0
    exact = verify(warehouse.pipeline, **access(server), until="2026-08-01T12:00:00Z")
    assert exact.missing > 3


def test_the_newest_hour_is_the_next_runs(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    warehouse.load(server, "events")
    server.world.add_event(project=server.world.projects[0], at=NOW - timedelta(minutes=10))
    assert verify(warehouse.pipeline, **access(server)).missing == 0
    server.world.advance(seconds=600)
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


def test_a_repair_leaves_progress_as_it_was(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    warehouse.load(server, "events")

    def progress() -> Any:
        state: Any = warehouse.pipeline.state["sources"]["sentry"]["resources"]["events"]
        return state["covered"], state["incremental"]["dateCreated"]["last_value"]

    before = progress()
    come_late(server, 12.3)
    repair(warehouse.pipeline, **access(server), **PARQUET)
    assert progress() == before


def test_a_repair_brings_the_events_of_issues_too(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "events", "issue_events")
    come_late(server, 12.3, 3.3)
    repair(warehouse.pipeline, **access(server), **PARQUET)
    for table in ("events", "issue_events"):
        assert warehouse.column(f"SELECT count(*) FROM {table}") == [62]


def test_a_large_repair_comes_in_several_loads(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    warehouse.load(server, "events")
    come_late(server, *(day + 0.3 for day in range(2, 14)))
    repair(warehouse.pipeline, **access(server), events_per_load=10, **PARQUET)
    warehouse.assert_events_equal_truth(server)
    assert len(warehouse.column("SELECT DISTINCT _dlt_load_id FROM events")) > 2


def test_a_users_own_map_is_kept_by_a_repair(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    warehouse.load(server, "events")
    come_late(server, 12.3)
    done = repair(
        warehouse.pipeline,
        **access(server),
        **PARQUET,
        prepare=lambda source: source.events.add_map(lambda event: {**event, "message": "hidden"}),
    )
    assert done.brought == 1
    assert warehouse.column("SELECT count(*) FROM events WHERE message = 'hidden'") == [1]


def test_the_same_event_id_in_two_projects_counts_twice(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    first, second = server.world.projects
    at = NOW - timedelta(days=3)
    event = server.world.add_event(project=first, at=at)
    warehouse.load(server, "events")
    server.world.add_event(project=second, event_id=event.event_id, at=at)
    assert verify(warehouse.pipeline, **access(server)).missing == 1
    assert repair(warehouse.pipeline, **access(server), **PARQUET).after.missing == 0
    warehouse.assert_events_equal_truth(server)


def test_a_pipeline_of_another_organization_or_without_events_is_an_error(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server, other = serve(), serve(seed=2)
    with pytest.raises(SentryConfigurationError, match="has not loaded the table events yet"):
        verify(warehouse.pipeline, **access(server))
    warehouse.load(server, "events")
    with pytest.raises(errors.SentryStateError, match="has loaded organization"):
        verify(warehouse.pipeline, **access(other))


def test_the_script_verifies_repairs_and_says_so_by_its_status(
    serve: Callable[..., Sandbox], script: Script
) -> None:
    server = serve()
    assert script(server, "--resources", "events", "--progress", "none").returncode == 0
    good = script(server, "verify")
    assert good.returncode == 0, good.stderr
    assert "60 events in Sentry, 0 of them missing here" in good.stdout
    come_late(server, 12.3)
    bad = script(server, "verify")
    assert bad.returncode == 1
    assert any(line.split()[1:2] == ["2026-07-20"] for line in bad.stdout.splitlines())
    assert "61 events in Sentry, 1 of them missing here" in bad.stdout
    mended = script(server, "repair", "--progress", "none")
    assert mended.returncode == 0, mended.stderr
    assert "1 events were missing and have been loaded." in mended.stdout
    assert script(server, "verify").returncode == 0


def test_a_late_check_after_a_load_brings_what_came_late(
    serve: Callable[..., Sandbox], script: Script, tmp_path: Any
) -> None:
    server = serve()
    loads = ("--resources", "events", "--progress", "none")
    assert script(server, *loads).returncode == 0
    come_late(server, 12.3, 8.2)
    done = script(server, *loads, "--late-check")
    assert done.returncode == 0, done.stderr
    assert "2 late events of the last 30 days were loaded." in done.stdout
    Warehouse(tmp_path, "sentry").assert_events_equal_truth(server)


def test_a_full_refresh_says_what_it_loses(serve: Callable[..., Sandbox], script: Script) -> None:
    server = serve(days=40, events=200)
    loads = ("--resources", "events", "issues", "--progress", "none")
    assert script(server, *loads).returncode == 0
    server.world.retention_days = 20
    old = 200 - len(truth_of(server)["events"])
    done = script(server, *loads, "--full-refresh")
    assert done.returncode == 0, done.stderr
    assert f"{old:,} rows of events go for good" in " ".join(done.stderr.split())
    assert "200 rows read" not in done.stdout
