"""The ways to events: whichever is soonest brings the same rows, and what it does not show is found."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import Sandbox, Switches, World
from sentry import sentry_source, verify
from sentry.event_ids import slices
from sentry.windows import DAY, HOUR, Window, even_parts
from tests.conftest import NOW, SMALL, lists_events
from tests.test_backfill import load_all
from tests.test_limits import JSON, MOVING, TOO_OFTEN, Traffic, access, statuses, told
from tests.test_moving_rows import on_nth
from tests.test_ties import arrived_events, event_keys, load_while_rows_move
from tests.warehouse import Warehouse, truth_of

SAAS = replace(Switches.saas(), latency=0.1)
"""sentry.io: answers take their time, and a project's own list gives one page at a time."""

EXPLORE = "/organizations/acme/events/"

SERIES = "/events-timeseries/"

FIELDS = ("id", "timestamp", "project.id", "issue.id", "count()", "timestamp.to_hour")

POINT = ("timestamp", "value")


def pages_of_projects(server: Sandbox) -> int:
    return sum("/projects/" in request.path for request in server.requests if lists_events(request))


def pages_of_issues(server: Sandbox) -> int:
    return sum("/issues/" in request.path for request in server.requests if lists_events(request))


def fewest_pages(server: Sandbox) -> int:
    """How many pages of ten it takes to read all events, project by project."""
    return sum(-(-len(project.timeline) // 10) for project in server.world.projects)


def add_without_issue(server: Sandbox, *days: float) -> None:
    for ago in days:
        server.world.add_event(project=server.world.projects[0], grouped=False, at=NOW - timedelta(days=ago))


# Which way, and that it makes no difference to the rows


@pytest.mark.parametrize("event_bodies", [True, False])
def test_events_of_sentry_io_come_by_issues_and_are_the_same_rows_as_by_pages_of_projects(
    serve: Callable[..., Sandbox], warehouse: Warehouse, event_bodies: bool
) -> None:
    world = World.build(**{**SMALL, "projects": 1, "issues": 4, "events": 320})
    limited, free = serve(world, SAAS), serve(world)
    add_without_issue(free, 0.2, 3.4, 3.4, 9)
    by_pages = Warehouse(warehouse.folder, "pages")
    warehouse.load(limited, "events", event_bodies=event_bodies)
    by_pages.load(free, "events", event_bodies=event_bodies)
    assert pages_of_issues(limited) >= 4
    assert pages_of_issues(free) == 0
    assert warehouse.column("SELECT count(*) FROM events WHERE issue_id IS NULL")[0] >= 4
    for each in (warehouse, by_pages):
        each.assert_events_equal_truth(free)
    tags = (
        "SELECT e.project_id, e.event_id, t.* EXCLUDE (_dlt_id, _dlt_parent_id, _dlt_root_id) FROM events e "
        "JOIN events__tags t ON t._dlt_parent_id = e._dlt_id ORDER BY 1, 2, _dlt_list_idx"
    )
    rows = "SELECT * EXCLUDE (_dlt_load_id, _dlt_id) FROM events ORDER BY project_id, event_id"
    for sql in (rows, tags):
        assert warehouse.rows(sql) == by_pages.rows(sql)


def test_by_issues_few_pages_of_the_project_are_asked_for(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=SAAS, issues=8, events=200)
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)
    assert statuses(server).count(429) <= 1
    assert pages_of_projects(server) <= 2  # one tells the limits, as no answer had come before
    assert pages_of_issues(server) <= fewest_pages(server) + len(server.world.issues)


def test_without_limits_several_windows_of_a_project_are_read_at_a_time_with_hardly_a_request_more(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(rate_limits=None, latency=0.02), events=900, issues=20)
    traffic = Traffic(server)
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)
    assert pages_of_issues(server) == 0
    assert max(traffic.under_way) >= 3
    assert fewest_pages(server) <= pages_of_projects(server) <= 1.15 * fewest_pages(server)


def test_few_events_are_one_page_of_their_project_and_none_are_no_request(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=SAAS, projects=4, issues=0, events=0)
    for project, events in zip(server.world.projects, (1, 9, 10), strict=False):
        server.world.add_issue(project=project, at=NOW - timedelta(days=3), events=events)
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)
    asked = Counter(request.path for request in server.requests if lists_events(request))
    assert asked == {f"/api/0/projects/acme/{name}/events/": 1 for name in ("backend", "frontend", "mobile")}
    assert not [request for request in server.requests if "/issues/" in request.path]


def test_a_run_with_nothing_new_asks_once_for_all_of_twenty_projects(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=20, issues=40, events=200)
    warehouse.load(server, "issues", "events")
    server.world.advance(seconds=7200)
    server.clear_requests()
    warehouse.load(server, "issues", "events")
    assert sum("events" in request.path or "issues" in request.path for request in server.requests) <= 6
    warehouse.assert_events_equal_truth(server)


def test_of_the_look_back_only_the_part_behind_the_first_late_event_is_read_again(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1, issues=1, events=0)
    (project,), (issue,) = server.world.projects, server.world.issues
    for minutes in range(1, 59):
        server.world.add_event(project=project, issue=issue, at=NOW - timedelta(minutes=minutes))
    warehouse.load(server, "events")
    server.world.add_event(project=project, issue=issue, at=NOW - timedelta(minutes=2))
    server.world.advance(seconds=600)
    server.world.add_event(project=project, issue=issue, at=server.world.now - timedelta(minutes=1))
    server.clear_requests()
    warehouse.load(server, "events")
    bodies = [dict(request.params) for request in server.requests if dict(request.params).get("full")]
    assert {params["start"] for params in bodies} == {"2026-08-01T11:55:00"}
    warehouse.assert_events_equal_truth(server)


def test_forty_small_projects_are_complete_and_take_few_threads(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=40, issues=60, events=300)
    before, at_once = set(threading.enumerate()), []
    server.on_request(lambda _: at_once.append(len(ours(before))))
    warehouse.load(server, max_parallel=3)
    warehouse.assert_equals_truth(server)
    assert max(at_once) <= 3 * 3


def ours(before: set[threading.Thread]) -> list[str]:
    """Threads of this source that were not there before."""
    return [each.name for each in set(threading.enumerate()) - before if each.name.startswith("sentry")]


# Rows that move


@pytest.mark.parametrize("event_bodies", [True, False])
@pytest.mark.parametrize("first", [2, 7], ids=["while-ids-are-listed", "while-issues-are-read"])
def test_what_comes_and_goes_meanwhile_takes_no_other_row_along(
    serve: Callable[..., Sandbox], warehouse: Warehouse, event_bodies: bool, first: int
) -> None:
    server = serve(switches=SAAS, projects=1, issues=4, events=110 if event_bodies else 210)
    world = server.world
    add_without_issue(server, 2.5, 6)
    at = NOW - timedelta(days=5)
    doomed = [world.add_issue(project=world.projects[0], at=at, events=5) for _ in range(3)]
    kept = world.issues[0]

    def come() -> None:
        world.add_events(3, at=NOW - timedelta(days=2, minutes=5), issue=kept)
        world.add_event(project=world.projects[0], at=NOW - timedelta(minutes=5))

    def go() -> None:
        world.delete_issue(doomed.pop())
        world.delete_event(kept.timeline[0][2])

    def merge() -> None:
        world.merge(doomed.pop(), into=kept)

    acts: dict[int, Callable[[], object]] = dict(enumerate((come, go, merge, come, go), first))
    load_while_rows_move(server, warehouse, "events", acts, event_bodies=event_bodies)
    assert pages_of_issues(server) > 3 or first == 2
    world.advance(seconds=60)
    warehouse.load(server, "events", event_bodies=event_bodies, lookback=3 * DAY)
    assert event_keys(server) <= arrived_events(warehouse, "events").keys()


def test_what_comes_and_goes_while_windows_are_read_takes_no_other_row_along(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1, issues=4, events=900)
    world = server.world
    doomed = [
        world.add_issue(project=world.projects[0], at=NOW - timedelta(days=1), events=30) for _ in range(6)
    ]

    def change() -> None:
        world.delete_issue(doomed.pop())
        world.add_events(7, at=NOW - timedelta(days=3), issue=world.issues[0])

    load_while_rows_move(server, warehouse, "events", dict.fromkeys((5, 9, 20, 40, 60), change))


def test_an_event_without_an_issue_is_not_given_up_for_one_that_arrives(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=SAAS, projects=1, issues=4, events=60)
    world = server.world
    add_without_issue(server, 4)
    (lone,) = (row["event_id"] for row in truth_of(server)["events"] if row["issue_id"] is None)
    at = NOW - timedelta(minutes=9)
    on_nth(server, "/acme/issues/", {1}, lambda: world.add_events(1, at=at, issue=world.issues[0]))
    warehouse.load(server, "events")
    server.clear_hooks()
    world.advance(seconds=60)
    warehouse.load(server, "events")
    assert lone in warehouse.column("SELECT event_id FROM events")


# Explore in trouble


def said(body: object, status: int = 200) -> dict[str, Any]:
    return {"status": status, "body": json.dumps(body).encode(), "content_type": JSON}


NO_ACCESS = {"detail": "You do not have permission to perform this action."}

TROUBLES: Mapping[str, dict[str, Any]] = {
    "403": said(NO_ACCESS, 403),
    "404": said({"detail": "The requested resource does not exist"}, 404),
    "400": said({"detail": "dataset must be one of: discover"}, 400),
    "query-timeout": said({"detail": "Query timeout. Please try again."}, 400),
    "429": said({"detail": "You are attempting to use this endpoint too frequently."}, 429),
    "500": {"status": 500},
    "504": {"status": 504, "body": b"<html>Gateway Time-out</html>"},
    "page": {"status": 200, "body": b"<html>please log in</html>"},
    "a-list": said([]),
    "an-empty-object": said({}),
    "meta-only": said({"meta": {}}),
    "null": said({"data": None, "timeSeries": None}),
    "nothing": said({"data": [], "timeSeries": []}),
    "other-fields": said({"data": [{"project": "backend"}], "timeSeries": [{"points": []}]}),
    "rows-of-nulls": said(
        {"data": [dict.fromkeys(FIELDS)], "timeSeries": [{"values": [dict.fromkeys(POINT)]}]}
    ),
    "no-objects": said({"data": [1], "timeSeries": [1]}),
}
"""Answers to whatever Explore is asked."""


@pytest.mark.parametrize("path", [EXPLORE, SERIES], ids=["ids", "numbers"])
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_events_are_complete_where_explore_does_not_tell(
    serve: Callable[..., Sandbox], warehouse: Warehouse, path: str, trouble: dict[str, Any]
) -> None:
    server = serve(events=100)
    add_without_issue(server, 4)
    server.fail_next(1000, path_contains=path, **trouble)
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


@pytest.mark.parametrize("name", ["403", "500", "query-timeout", "an-empty-object", "nothing"])
def test_events_of_sentry_io_are_complete_where_explore_does_not_name_them(
    serve: Callable[..., Sandbox], warehouse: Warehouse, name: str
) -> None:
    server = serve(switches=SAAS, projects=1, issues=4, events=60)
    add_without_issue(server, 4)
    server.fail_next(1000, path_contains=EXPLORE, **TROUBLES[name])
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


@pytest.mark.parametrize("switches", [Switches(), SAAS], ids=["self-hosted", "sentry-io"])
@pytest.mark.parametrize(("wrong", "hours_wrong"), [(1000, 1), (1, 1), (-1, 1), (3, 1000), (-1000, 1000)])
def test_a_wrong_count_costs_no_row(
    serve: Callable[..., Sandbox], warehouse: Warehouse, switches: Switches, wrong: int, hours_wrong: int
) -> None:
    server = serve(switches=switches, projects=1, issues=4, events=150)
    hours = Counter(event.at // HOUR * HOUR for event in server.world.events)
    for hour, count in hours.most_common(hours_wrong):
        hours[hour] = max(0, count + wrong)
    points = [
        {"timestamp": hour * 1000, "value": hours[hour]} for hour in range(min(hours), max(hours) + 1, HOUR)
    ]
    server.fail_next(1000, path_contains=SERIES, **said({"timeSeries": [{"values": points}]}))
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


@pytest.mark.parametrize(
    "switches",
    [
        Switches(features_off=frozenset({"explore"})),
        Switches(features_off=frozenset({"events-timeseries"})),
        Switches(no_multi_project=True),
        replace(SAAS, no_multi_project=True),
        replace(SAAS, features_off=frozenset({"explore"})),
    ],
    ids=["no-explore", "no-series", "one-at-a-time", "one-at-a-time-limited", "no-explore-limited"],
)
def test_servers_that_count_less_bring_the_same_rows(
    serve: Callable[..., Sandbox], warehouse: Warehouse, switches: Switches
) -> None:
    server = serve(switches=switches, events=240)
    warehouse.load(server)
    warehouse.assert_equals_truth(server)


# Too much at once, and lists that hide


SCANS_LITTLE = Switches(most_scanned=40)


def refused_windows(server: Sandbox) -> Counter[tuple[object, ...]]:
    """What was answered 400, by path and parameters."""
    return Counter((r.path, *r.params) for r in server.requests if r.status == 400)


@pytest.mark.parametrize("event_bodies", [True, False])
def test_events_that_are_too_many_for_one_query_are_read_in_smaller_windows(
    serve: Callable[..., Sandbox], warehouse: Warehouse, event_bodies: bool
) -> None:
    server = serve(switches=SCANS_LITTLE, events=400)
    warehouse.load(server, "events", event_bodies=event_bodies)
    warehouse.assert_events_equal_truth(server)
    assert max(refused_windows(server).values()) <= 2  # of which one is a look at what limits there are


def test_issues_that_are_too_many_for_one_query_are_read_in_smaller_windows(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=SCANS_LITTLE, events=400, issues=40)
    warehouse.load(server, "issues")
    assert set(warehouse.issues()) == {row["id"] for row in truth_of(server)["issues"]}
    assert max(refused_windows(server).values()) <= 2


def test_a_history_that_is_too_much_for_one_count_comes_in_parts_all_the_same(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=SCANS_LITTLE, events=200)
    load_all(warehouse, server, chunk_events=100)
    warehouse.assert_events_equal_truth(server)


def test_verify_finds_nothing_missing_where_counts_are_too_much_for_one_query(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=SCANS_LITTLE, events=200)
    warehouse.load(server, "events")
    found = verify(warehouse.pipeline, **access(server))
    assert (found.missing, found.surplus) == (0, 0)
    assert sum(day.sentry for day in found.days) > 150


def test_events_older_than_a_week_are_read_alone_where_lists_do_not_show_them(
    serve: Callable[..., Sandbox], warehouse: Warehouse, everything_logged: pytest.LogCaptureFixture
) -> None:
    server = serve(switches=Switches(listed_days=7), events=240)
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)
    assert "does not list them" not in everything_logged.text


def test_few_events_older_than_a_week_are_read_alone_too(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(listed_days=7), projects=1, issues=0, events=0)
    issue = server.world.add_issue(project=server.world.projects[0], at=NOW - timedelta(days=10), events=4)
    server.world.add_events(3, at=NOW - timedelta(days=2), issue=issue)
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


def test_simple_events_older_than_a_week_that_lists_do_not_show_are_warned_of(
    serve: Callable[..., Sandbox], warehouse: Warehouse, everything_logged: pytest.LogCaptureFixture
) -> None:
    server = serve(switches=Switches(listed_days=7), events=240, projects=1)
    warehouse.load(server, "events", event_bodies=False)
    missing = 240 - warehouse.column("SELECT count(*) FROM events")[0]
    assert missing > 0
    assert f"counts {missing} events older than 7 days and does not list them" in everything_logged.text


# Ends before the end


def interrupt_after(rows: int) -> Callable[[Any], Any]:
    """Ctrl-C, once so many rows have come."""
    seen = []

    def interrupt(row: Any) -> Any:
        seen.append(row)
        if len(seen) > rows:
            raise KeyboardInterrupt
        return row

    return interrupt


@pytest.mark.parametrize("switches", [Switches(latency=0.03), SAAS], ids=["by-windows", "by-issues"])
def test_ctrl_c_leaves_no_thread_behind_and_the_next_run_brings_the_rest(
    serve: Callable[..., Sandbox], warehouse: Warehouse, switches: Switches
) -> None:
    server = serve(switches=switches, projects=1, issues=4, events=250)
    source = sentry_source(**access(server)).with_resources("events")
    source.events.add_map(interrupt_after(50))
    before = set(threading.enumerate())
    with pytest.raises(PipelineStepFailed):
        warehouse.pipeline.run(source, loader_file_format="parquet")
    assert ours(before) == []
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


def test_ctrl_c_does_not_wait_for_a_limit_to_send_what_nobody_wants_any_more(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(latency=0.03), projects=1, issues=20, events=100, **MOVING)
    reset = math.ceil(time.time()) + 4
    source = sentry_source(**access(server)).with_resources("issue_events")
    source.issue_events.add_map(interrupt_after(20))
    refused = f"/issues/{server.world.issues[3].id}/events/"
    server.fail_next(
        1, status=429, body=TOO_OFTEN, headers=told(reset), content_type=JSON, path_contains=refused
    )
    moments: list[float] = []
    server.on_request(lambda _: moments.append(time.time()))
    with pytest.raises(PipelineStepFailed):
        warehouse.pipeline.run(source, loader_file_format="parquet")
    assert max(moments) < reset


def test_a_reading_that_is_cut_short_leaves_no_thread_behind(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(latency=0.03), issues=20, events=100)
    source = sentry_source(**access(server)).with_resources("issue_events")
    source.issue_events.add_limit(1)
    before = set(threading.enumerate())
    warehouse.pipeline.run(source, loader_file_format="parquet")
    assert ours(before) == []
    assert sum(lists_events(request) for request in server.requests) < 20


# How windows are cut


@st.composite
def counted_windows(draw: st.DrawFn) -> tuple[Window, dict[int, int], int]:
    """A window, events by the hours that it touches, and how many of them a part may hold."""
    start = draw(st.integers(0, 50 * HOUR))
    window = Window(start, start + draw(st.integers(1, 60 * HOUR)))
    touched = st.sampled_from(range(window.start // HOUR * HOUR, window.end, HOUR))
    hours = st.dictionaries(touched, st.integers(1, 3000), max_size=20)
    return window, draw(hours), draw(st.integers(1, 2000))


def assert_partition(parts: list[Window], window: Window) -> None:
    """Newest first, none empty, each ends where the one before it begins, and together they are the window."""
    assert all(part.seconds for part in parts)
    assert all(later.start == earlier.end for later, earlier in pairwise(parts))
    assert (parts[-1].start, parts[0].end) == (window.start, window.end)


@settings(max_examples=200, deadline=None)
@given(counted_windows())
def test_slices_are_the_window_newest_first_and_none_is_empty(
    counted: tuple[Window, dict[int, int], int],
) -> None:
    window, hours, events = counted
    assert_partition(slices(window, hours, events), window)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 10**6), st.integers(0, 5000))
def test_even_parts_are_the_window_newest_first_and_equally_long(
    start: int, seconds: int, count: int
) -> None:
    window = Window(start, start + seconds)
    parts = even_parts(window, count)
    assert_partition(parts, window)
    assert len(parts) == max(1, min(count, seconds))
    assert max(part.seconds for part in parts) - min(part.seconds for part in parts) <= 1


def test_an_hour_with_many_events_is_cut_up_and_quiet_hours_are_joined() -> None:
    quiet = {hour * HOUR: 10 for hour in range(24)}
    assert slices(Window(0, DAY), quiet, 240) == [Window(0, DAY)]
    busy = slices(Window(0, DAY), quiet | {12 * HOUR: 1000}, 240)
    assert len([part for part in busy if 12 * HOUR <= part.start < 13 * HOUR]) == 5


def test_an_hour_with_many_events_is_cut_up_where_nothing_came_after_it() -> None:
    parts = slices(Window(0, 30 * DAY), {10 * DAY: 1000}, 200)
    assert len([part for part in parts if part.intersect(Window(10 * DAY, 10 * DAY + HOUR)).seconds]) >= 5
