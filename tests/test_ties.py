"""Seconds that hold more rows than many pages: none is lost and none doubled over pages and runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest

from sandbox import Sandbox, Switches
from tests.conftest import NOW
from tests.warehouse import Warehouse, truth_of

TIE = NOW - timedelta(minutes=10)
"""The second that all is about: early enough to be whole, late enough for the look-back of the next run."""

KINDS = {
    "newest": Switches(),
    "old-server": Switches(old_server=True),
    "ignores-event-windows": Switches(ignores_event_windows=True),
    "empty-pages": Switches(empty_pages=True),
}

every_kind = pytest.mark.parametrize("switches", KINDS.values(), ids=KINDS.keys())

Key = tuple[str, str]


def before_request(server: Sandbox, ending: str, acts: dict[int, Callable[[], object]]) -> list[int]:
    """Do something before the nth request whose path ends so; returns the numbers that came."""
    came: list[int] = []

    def hook(request: object) -> None:
        if str(getattr(request, "path", "")).endswith(ending):
            came.append(len(came) + 1)
            acts.get(len(came), lambda: None)()

    server.on_request(hook)
    return came


def event_keys(server: Sandbox) -> set[Key]:
    return {(row["project_id"], row["event_id"]) for row in truth_of(server)["events"]}


def issue_ids(server: Sandbox) -> set[str]:
    return {row["id"] for row in truth_of(server)["issues"]}


def load_while_rows_move(
    server: Sandbox,
    warehouse: Warehouse,
    table: str,
    acts: dict[int, Callable[[], object]],
    **settings: bool,
) -> None:
    """Load a table while its second changes; what the server showed throughout is there once, nothing made up."""
    known = arrived_events(warehouse, table)
    before = event_keys(server)
    came = before_request(server, "/events/", acts)
    warehouse.load(server, table, run=None, **settings)
    server.clear_hooks()
    assert set(acts) <= set(came), "some of the changes came after the run"
    throughout, sometimes = before & event_keys(server), before | event_keys(server)
    arrived = arrived_events(warehouse, table)
    assert not [key for key, count in arrived.items() if count > 1]
    lost = throughout - arrived.keys()
    assert not lost, f"{len(lost)} of {len(throughout)} are lost"
    assert set(arrived) <= sometimes | known.keys()
    assert_each_was_written_once(warehouse, table)


def arrived_events(warehouse: Warehouse, table: str) -> Counter[Key]:
    if table not in warehouse.tables():
        return Counter()
    rows = warehouse.rows(f"SELECT project_id, event_id FROM {table}")
    return Counter((row["project_id"], row["event_id"]) for row in rows)


def assert_each_was_written_once(warehouse: Warehouse, table: str) -> None:
    """The last load gave each row once: nothing was left to the merge."""
    trace = warehouse.pipeline.last_trace
    assert trace is not None
    assert trace.last_normalize_info is not None
    (load_id,) = trace.last_normalize_info.loads_ids
    merged = warehouse.column(f"SELECT count(*) FROM {table} WHERE _dlt_load_id = '{load_id}'")
    assert merged == [trace.last_normalize_info.row_counts[table]]


@every_kind
@pytest.mark.parametrize("table", ["events", "issue_events"])
def test_a_thousand_events_of_one_second_arrive_once_over_pages_and_runs(
    serve: Callable[..., Sandbox], warehouse: Warehouse, switches: Switches, table: str
) -> None:
    server = serve(projects=1, issues=3, events=9, switches=switches)
    world = server.world
    # Half of them in one issue, half over many; issues of an old server have a test of their own.
    sizes = [20] * 25 if switches.old_server and table == "issue_events" else [250, *[25] * 10]
    tied = [world.add_issue(project=world.projects[0], at=TIE, events=size) for size in sizes]
    doomed = [world.add_issue(project=world.projects[0], at=TIE, events=20) for _ in range(6)]

    def come() -> None:
        for issue in tied[:4]:
            world.add_events(2, at=TIE, issue=issue)

    def go() -> None:
        world.delete_issue(doomed.pop())

    # Bodies in pages of ten are the costly way: that the newest server is read so is enough.
    settings = {"event_bodies": switches == Switches()}
    pages = 10 if settings["event_bodies"] and table == "events" else 1
    load_while_rows_move(
        server, warehouse, table, {2: come, 3 * pages: go, 4 * pages: come, 5 * pages: go}, **settings
    )

    world.advance(seconds=300)
    for issue, size in zip(tied, sizes, strict=True):
        world.add_events(size, at=TIE, issue=issue)
    load_while_rows_move(
        server, warehouse, table, {2: come, 4 * pages: go, 6 * pages: come, 8 * pages: go}, **settings
    )

    world.advance(seconds=300)
    load_while_rows_move(server, warehouse, table, {}, **settings)
    assert len(event_keys(server)) > 1000
    assert event_keys(server) <= arrived_events(warehouse, table).keys()


def test_an_old_server_loses_no_event_of_a_second_that_has_no_order(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1, issues=3, events=9, switches=Switches(old_server=True))
    issue = server.world.add_issue(project=server.world.projects[0], at=TIE, events=150)
    load_while_rows_move(server, warehouse, "issue_events", {})
    server.world.advance(seconds=300)
    server.world.add_events(150, at=TIE, issue=issue)
    load_while_rows_move(server, warehouse, "issue_events", {})


@every_kind
def test_three_hundred_issues_of_one_second_arrive_once_over_pages_and_runs(
    serve: Callable[..., Sandbox], warehouse: Warehouse, switches: Switches
) -> None:
    server = serve(projects=2, issues=3, events=9, switches=switches)
    world = server.world
    tied = [world.add_issue(project=world.projects[number % 2], at=TIE) for number in range(150)]

    def bump(issues: Iterable[int]) -> Callable[[], object]:
        def act() -> None:
            for number in issues:
                issue = tied[number]
                at = TIE if number % 3 else world.now - timedelta(seconds=1)
                world.add_event(project=issue.project, issue=issue, at=at)

        return act

    load_issues_while_they_move(server, warehouse, {2: bump(range(0, 150, 7))})

    world.advance(seconds=300)
    tied += [world.add_issue(project=world.projects[number % 2], at=TIE) for number in range(150)]
    world.advance(seconds=60)
    acts = {2: bump(range(0, 300, 5)), 3: bump(range(1, 300, 5)), 4: bump(range(2, 300, 9))}
    load_issues_while_they_move(server, warehouse, acts)

    world.advance(seconds=60)
    load_issues_while_they_move(server, warehouse, {})
    truth = truth_of(server)["issues"]
    assert len(truth) == 303
    assert {key: row[1] for key, row in warehouse.issues().items()} == {
        row["id"]: row["count"] for row in truth
    }


def load_issues_while_they_move(
    server: Sandbox, warehouse: Warehouse, acts: dict[int, Callable[[], object]]
) -> None:
    """Load issues while some get events; all are there, once, with a count that the server has shown."""
    before = {row["id"]: row["count"] for row in truth_of(server)["issues"]}
    came = before_request(server, "/issues/", acts)
    warehouse.load(server, "issues")
    server.clear_hooks()
    assert set(acts) <= set(came), "some of the changes came after the run"
    after = {row["id"]: row["count"] for row in truth_of(server)["issues"]}
    arrived = {key: row[1] for key, row in warehouse.issues().items()}
    assert set(arrived) == set(before) == set(after)
    slack = 10 if server.switches.old_server else 0  # it counts what came in the last 10 seconds later
    assert {
        key: count for key, count in arrived.items() if not before[key] - slack <= count <= after[key]
    } == {}
    assert_each_was_written_once(warehouse, "issues")
