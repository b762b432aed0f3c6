"""Long histories: they come in loads of a bounded size, from either end, and end with the same rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sandbox import Sandbox, Switches
from sentry import history_left, sentry_source
from sentry.backfill import Left, chunk, left_of, within
from sentry.windows import HOUR, Window
from tests.conftest import NOW, Script, lists_events
from tests.warehouse import Warehouse, truth_of

LONG: dict[str, Any] = {"events": 600, "days": 40}


def load_all(
    warehouse: Warehouse, server: Sandbox, *tables: str, most: int = 40, **settings: Any
) -> list[dict[str, Left]]:
    """Run one source until no history is left; returns what was left after each run."""
    access: dict[str, Any] = {"auth_token": server.token, "organization": "acme", "base_url": server.url}
    source = sentry_source(**access, **settings).with_resources(*(tables or ("events",)))
    warehouse.pipeline.run(source, loader_file_format="parquet")
    steps = [history_left(warehouse.pipeline)]
    while steps[-1]:
        assert len(steps) < most, "the history never ends"
        warehouse.pipeline.run(source.with_resources(*steps[-1]), loader_file_format="parquet")
        steps.append(history_left(warehouse.pipeline))
    return steps


def moments(warehouse: Warehouse) -> list[Any]:
    """When the events of each load happened: first and last, in the order of the loads."""
    rows = warehouse.rows(
        "SELECT min(date_created) AS first, max(date_created) AS last FROM events "
        "GROUP BY _dlt_load_id ORDER BY _dlt_load_id"
    )
    return [(row["first"], row["last"]) for row in rows]


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_long_history_comes_in_loads_of_bounded_size_from_the_chosen_end(
    serve: Callable[..., Sandbox], warehouse: Warehouse, order: str
) -> None:
    server = serve(**LONG)
    steps = load_all(warehouse, server, chunk_events=100, backfill_order=order)
    warehouse.assert_events_equal_truth(server)
    sizes = warehouse.column("SELECT count(*) FROM events GROUP BY _dlt_load_id")
    assert len(sizes) >= 6
    assert max(sizes) <= 110  # an hour is not split, and its events are an estimate at both ends
    spans = moments(warehouse)
    assert spans == sorted(spans, reverse=order == "newest")
    left = [step["events"].events or 0 for step in steps[:-1]]
    assert left == sorted(left, reverse=True)
    assert "of 90.0 days" in str(steps[0]["events"])


def test_loads_of_history_send_hardly_more_requests_than_one_load(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(**LONG)
    warehouse.load(server, "events")
    in_one = sum(lists_events(request) for request in server.requests)
    server.clear_requests()
    load_all(Warehouse(warehouse.folder, "parts"), server, chunk_events=100)
    in_parts = sum(lists_events(request) for request in server.requests)
    assert in_parts <= in_one * 1.35 + 8


def test_the_newest_events_are_not_read_again_with_each_load_of_history(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(**LONG)
    server.world.add_events(40, at=NOW - timedelta(minutes=5))
    load_all(warehouse, server, chunk_events=100)
    warehouse.assert_events_equal_truth(server)
    newest = [
        r
        for r in server.requests
        if lists_events(r) and r.values("end") == ["2026-08-01T12:00:00"] and not r.values("cursor")
    ]
    assert len(newest) <= 8  # of them one more look for each page that was walked along cursors


def test_events_that_come_in_while_history_is_read_are_there_at_the_end(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(**LONG)
    world = server.world

    def arrive(request: object) -> None:
        if getattr(request, "path", "").endswith("/events-timeseries/"):
            world.advance(seconds=60)
            world.add_event(
                project=world.projects[0], issue=world.issues[0], at=world.now - timedelta(seconds=5)
            )

    server.on_request(arrive)
    load_all(warehouse, server, chunk_events=100)
    server.clear_hooks()
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


def test_a_new_project_and_an_earlier_start_are_history_too(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(**LONG)
    load_all(warehouse, server, start_date="2026-07-20")
    newcomer = server.world.add_project("newcomer")
    issue = server.world.add_issue(project=newcomer, at=NOW - timedelta(days=3))
    for day in range(30):
        for _ in range(9):
            server.world.add_event(project=newcomer, issue=issue, at=NOW - timedelta(days=day, hours=2))
    server.world.advance(seconds=120)
    steps = load_all(warehouse, server, chunk_events=100)
    assert len(steps) > 3
    warehouse.assert_events_equal_truth(server)


def test_a_project_without_access_keeps_no_other_waiting_and_no_loop_going(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(**LONG)
    closed = server.world.projects[0]
    server.fail_next(
        10_000,
        status=403,
        body=b'{"detail":"no"}',
        content_type="application/json",
        path_contains=f"/{closed.slug}/events/",
    )
    load_all(warehouse, server, chunk_events=100)
    arrived = set(warehouse.column("SELECT event_id FROM events"))
    assert arrived == {
        row["event_id"] for row in truth_of(server)["events"] if row["project_id"] != closed.id
    }
    server.clear_hooks()
    load_all(warehouse, server, chunk_events=100)
    warehouse.assert_events_equal_truth(server)


@pytest.mark.parametrize("ignoring", [Switches(ignores_event_windows=True), Switches(old_server=True)])
def test_a_server_that_ignores_windows_is_not_read_over_and_over(
    serve: Callable[..., Sandbox], warehouse: Warehouse, ignoring: Switches
) -> None:
    server = serve(switches=ignoring, **LONG)
    steps = load_all(warehouse, server, chunk_events=100)
    warehouse.assert_events_equal_truth(server)
    assert len(steps) <= 3


def test_a_server_that_does_not_count_is_read_by_the_week(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(features_off=frozenset({"explore"})), **LONG)
    steps = load_all(warehouse, server, chunk_events=100)
    warehouse.assert_events_equal_truth(server)
    assert 12 <= len(steps) <= 15
    assert steps[0]["events"].events is None


def test_servers_without_the_time_series_are_asked_in_table_form(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(features_off=frozenset({"events-timeseries"})), **LONG)
    load_all(warehouse, server, chunk_events=100)
    warehouse.assert_events_equal_truth(server)
    assert max(warehouse.column("SELECT count(*) FROM events GROUP BY _dlt_load_id")) <= 110


def test_events_below_issues_come_in_parts_as_well(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(**LONG)
    steps = load_all(warehouse, server, "issue_events", chunk_events=150)
    assert len(steps) >= 4
    arrived = warehouse.column("SELECT event_id FROM issue_events ORDER BY 1")
    assert arrived == sorted(row["event_id"] for row in truth_of(server)["events"] if row["issue_id"])


def test_what_is_appended_comes_once_in_parts_too(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(**LONG)
    access: dict[str, Any] = {"auth_token": server.token, "organization": "acme", "base_url": server.url}
    source = sentry_source(**access, chunk_events=100).with_resources("events")
    for _ in range(12):
        warehouse.pipeline.run(source, write_disposition="append", loader_file_format="parquet")
        if not history_left(warehouse.pipeline):
            break
    warehouse.assert_events_equal_truth(server)


def test_replace_and_an_exact_range_come_in_one_load(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(**LONG)
    warehouse.load(server, "events", run={"write_disposition": "replace"}, chunk_events=50)
    assert not history_left(warehouse.pipeline)
    warehouse.assert_events_equal_truth(server)
    exact = Warehouse(warehouse.folder, "exact")
    exact.load(server, "events", chunk_events=50, start_date="2026-07-01", end_date="2026-08-01T12:00:00Z")
    assert not history_left(exact.pipeline)
    expected = [row for row in truth_of(server)["events"] if row["date_created"] >= "2026-07-01"]
    assert exact.column("SELECT count(*) FROM events") == [len(expected)]


def test_the_script_loads_a_history_in_parts_and_says_how_far_it_is(
    serve: Callable[..., Sandbox], script: Script
) -> None:
    server = serve(**LONG)
    done = script(
        server,
        "--resources",
        "events",
        "--chunk-events",
        "250",
        "--progress",
        "none",
        "--backfill-order",
        "oldest",
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("History of events: ")]
    assert len(lines) >= 2
    assert "of 90.0 days, about" in lines[0]
    assert any(line.split()[:2] == ["events", "600"] for line in done.stdout.splitlines())


def test_chunks_of_a_plan_together_are_the_plan() -> None:
    plan = {"1": [Window(0, 90 * HOUR)], "2": [Window(10 * HOUR, 20 * HOUR), Window(50 * HOUR, 70 * HOUR)]}
    hours = {hour * HOUR: hour % 7 for hour in range(90)}
    for newest_first in (True, False):
        rest, read = {project: list(windows) for project, windows in plan.items()}, 0
        while any(rest.values()):
            chosen = chunk(rest, hours, 20, newest_first=newest_first)
            assert chosen.seconds
            part = within(rest, chosen)
            read += sum(window.seconds for windows in part.values() for window in windows)
            before = left_of(rest, chosen, hours, Window(0, 90 * HOUR))
            span = Window(0, chosen.start) if newest_first else Window(chosen.end, 90 * HOUR)
            rest = within(rest, span)
            assert (before is None) == (not any(rest.values()))
        assert read == sum(window.seconds for windows in plan.values() for window in windows)


def test_an_issue_without_access_keeps_no_other_waiting_and_is_asked_for_again(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(**LONG)
    closed = server.world.issues[0]
    refusal = {"status": 403, "body": b'{"detail":"no"}', "content_type": "application/json"}
    server.fail_next(10_000, path_contains=f"/issues/{closed.id}/events/", **refusal)  # type: ignore[arg-type]
    load_all(warehouse, server, "issue_events", chunk_events=150)
    expected = {
        row["event_id"] for row in truth_of(server)["events"] if row["issue_id"] not in (None, closed.id)
    }
    assert set(warehouse.column("SELECT event_id FROM issue_events")) == expected
    server.clear_hooks()
    server.world.advance(seconds=60)
    warehouse.load(server, "issue_events")
    arrived = warehouse.column("SELECT event_id FROM issue_events ORDER BY 1")
    assert arrived == sorted(row["event_id"] for row in truth_of(server)["events"] if row["issue_id"])
    server.clear_requests()
    server.world.advance(seconds=60)
    warehouse.load(server, "issue_events")
    assert not [request for request in server.requests if f"/issues/{closed.id}/events/" in request.path]
