"""Rows that move, come and go while they are read; servers that are odd; histories that once lost rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
import requests

from sandbox import Limit, Sandbox, Switches
from tests.conftest import NOW, lists_events
from tests.warehouse import Warehouse, truth_of

APPEND = {"write_disposition": "append"}
REPLACE = {"write_disposition": "replace"}
JSON = "application/json"


def on_nth(server: Sandbox, ending: str, numbers: set[int], act: Callable[[], object]) -> list[str]:
    """Do something before the nth request whose path ends so; returns the requests counted."""
    counted: list[str] = []

    def hook(request: object) -> None:
        path = str(getattr(request, "path", ""))
        if path.endswith(ending):
            counted.append(path)
            if len(counted) in numbers:
                act()

    server.on_request(hook)
    return counted


def loaded(warehouse: Warehouse, table: str) -> int:
    """Rows that the last run wrote, before any merge."""
    trace = warehouse.pipeline.last_trace
    assert trace is not None
    assert trace.last_normalize_info is not None
    return trace.last_normalize_info.row_counts.get(table, 0)


def issue_ids(server: Sandbox) -> set[str]:
    return {row["id"] for row in truth_of(server)["issues"]}


# Events


@pytest.mark.parametrize("ties", [60, 95, 157])
@pytest.mark.parametrize("empty_pages", [False, True])
def test_within_one_load_each_event_is_given_once(
    serve: Callable[..., Sandbox], warehouse: Warehouse, ties: int, empty_pages: bool
) -> None:
    server = serve(switches=Switches(empty_pages=empty_pages))
    server.world.add_events(ties, at=NOW - timedelta(hours=2), issue=server.world.issues[0])
    server.world.add_events(7, at=NOW - timedelta(hours=2, seconds=1), issue=server.world.issues[0])
    warehouse.load(server, "events", run=APPEND)
    warehouse.assert_events_equal_truth(server)


def test_a_limit_of_few_requests_a_minute_is_waited_for(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1, switches=Switches(rate_limits={"project-events": Limit(5, 1, 1)}))
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)
    statuses = [request.status for request in server.requests if lists_events(request)]
    assert set(statuses) == {200}


@pytest.mark.parametrize("body", [b"", b"null", b'{"error": "x"}'])
def test_an_answer_that_lost_its_body_is_not_taken_for_no_rows(
    serve: Callable[..., Sandbox], warehouse: Warehouse, body: bytes
) -> None:
    server = serve()
    for path in ("/events/", "/issues/", "/releases/"):
        server.fail_next(1, status=200, body=body, content_type=JSON, path_contains=path)
    warehouse.load(server)
    warehouse.assert_equals_truth(server)


def test_a_busy_server_that_ignores_windows_is_read_while_late_events_arrive(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(events=300, projects=1, switches=Switches(ignores_event_windows=True))
    world = server.world
    before = {row["event_id"] for row in truth_of(server)["events"]}

    def arrive() -> None:
        world.add_event(project=world.projects[0], issue=world.issues[0], at=NOW - timedelta(days=3))

    on_nth(server, "/events/", set(range(1, 500, 3)), arrive)
    warehouse.load(server, "events")
    assert before <= set(warehouse.column("SELECT event_id FROM events"))


def test_slugs_that_change_hands_file_no_event_under_the_wrong_project(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    world = server.world
    first, second = world.projects
    slugs = first.slug, second.slug

    def swap() -> None:
        world.rename_project(first, "aside")
        world.rename_project(second, slugs[0])
        world.rename_project(first, slugs[1])

    on_nth(server, "/events/", {1}, swap)
    with pytest.raises(Exception, match=rf"The slug {slugs[0]} went from project"):
        warehouse.load(server, "events")
    server.clear_hooks()
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


def test_an_event_without_a_date_counts_as_created_when_it_was_received(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1, issues=1, events=1, switches=Switches(ignores_event_windows=True))
    real = requests.get(
        f"{server.url}/api/0/projects/acme/backend/events/?full=true",
        headers={"Authorization": f"Bearer {server.token}"},
        timeout=10,
    ).json()
    undated = {**real[0], "eventID": "f" * 32, "id": "f" * 32, "dateCreated": None}
    for received in ("2026-07-01T00:00:00Z", "2026-01-01T00:00:00Z"):
        page = json.dumps(
            [*real, {**undated, "dateReceived": received}, {**real[0], "dateCreated": "2020-01-01T00:00:00Z"}]
        )
        server.fail_next(
            2, status=200, body=page.encode(), content_type=JSON, path_contains="/backend/events/"
        )
        warehouse.load(server, "events", run=REPLACE)
        dates = warehouse.column(f"SELECT date_created::VARCHAR FROM events WHERE event_id = '{'f' * 32}'")
        assert len(dates) == (1 if received > "2026-05" else 0)


# Issues


def test_issues_at_the_edge_of_retention_are_not_lost_as_the_edge_moves(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=5, events=5)
    world = server.world
    world.retention_days = 30
    for number in range(230):
        issue = world.add_issue(
            project=world.projects[0], at=NOW - timedelta(days=30) + timedelta(seconds=number / 40)
        )
        world.add_event(project=issue.project, issue=issue, at=NOW - timedelta(days=1, seconds=number))
    on_nth(server, "/issues/", set(range(1, 20)), lambda: world.advance(seconds=2))
    warehouse.load(server, "issues")
    assert set(warehouse.issues()) == issue_ids(server)


def test_issues_of_one_second_are_not_skipped_when_some_are_deleted(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=1, events=1)
    world = server.world
    issues = [world.add_issue(project=world.projects[0], at=NOW - timedelta(hours=3)) for _ in range(250)]

    def delete() -> None:
        for issue in sorted(issues, key=lambda issue: int(issue.id), reverse=True)[:10]:
            world.delete_issue(issue)
        for issue in sorted(issues, key=lambda issue: int(issue.id))[:10]:
            world.delete_issue(issue)

    on_nth(server, "/issues/", {2}, delete)
    warehouse.load(server, "issues")
    assert issue_ids(server) <= set(warehouse.issues())


def test_an_issue_merged_between_list_and_detail_does_not_get_its_parents_numbers(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(no_lifetime=True))
    world = server.world
    child, parent = [issue for issue in world.issues if issue.project is world.projects[0]][:2]
    on_nth(server, f"/issues/{child.id}/", {1}, lambda: world.merge(child, into=parent))
    warehouse.load(server, "issues")
    assert child.id not in warehouse.issues()


def test_a_newcomer_without_access_does_not_spoil_the_table(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "issues")
    newcomer = server.world.add_project("newcomer")
    server.world.advance(seconds=7200)
    server.world.add_event(project=server.world.projects[0], issue=server.world.issues[0])
    server.world.advance(seconds=60)

    def refuse() -> None:
        server.fail_next(1, status=403, body=b'{"detail":"no"}', content_type=JSON, path_contains="/issues/")

    on_nth(server, "/issues/", {2}, refuse)
    warehouse.load(server, "issues")
    assert 403 in {request.status for request in server.requests}
    assert set(warehouse.metrics()["issues"]["skipped"]) == {"1 of 3"}
    assert newcomer.id not in {row[0] for row in warehouse.issues().values()}
    server.world.add_issue(project=newcomer, at=server.world.now - timedelta(days=3))
    warehouse.load(server, "issues")
    assert set(warehouse.issues()) == issue_ids(server)


def test_projects_without_access_do_not_count_as_read(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    listing = requests.get(
        f"{server.url}/api/0/organizations/acme/projects/",
        headers={"Authorization": f"Bearer {server.token}"},
        timeout=10,
    ).json()
    closed = listing[0]["id"]
    body = json.dumps([{**row, "hasAccess": row["id"] != closed} for row in listing]).encode()
    server.fail_next(1, status=200, body=body, content_type=JSON, path_contains="/projects/")
    warehouse.load(server, "issues", "events")
    assert closed not in warehouse.column("SELECT project_id FROM events")
    covered = warehouse.pipeline.state["sources"]["sentry"]["resources"]
    assert closed not in {*covered["events"]["covered"], *covered["issues"]["covered"]}
    server.world.advance(seconds=60)
    warehouse.load(server, "issues", "events")
    warehouse.assert_events_equal_truth(server)
    assert set(warehouse.issues()) == issue_ids(server)


# Releases


def test_releases_listed_in_the_order_of_their_release_dates_all_arrive(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(old_server=True))
    world = server.world
    for number in range(250):
        at = NOW - timedelta(hours=number + 1)
        released = NOW - timedelta(hours=(number * 97) % 400) if number % 2 else None
        world.add_release(f"shop@{number}", world.projects[0], at=at, released=released)
    warehouse.load(server, "releases")
    assert set(warehouse.column("SELECT version FROM releases")) == {
        row["version"] for row in truth_of(server)["releases"]
    }


# Old servers


def test_an_old_server_with_nothing_to_read_is_no_error(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(old_server=True))
    warehouse.load(server, "issues", run=APPEND)
    warehouse.load(server, "issues", run=APPEND)
    assert len(warehouse.column("SELECT id FROM issues")) == len(issue_ids(server))


def test_one_bad_answer_does_not_make_a_server_old(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    organization = requests.get(
        f"{server.url}/api/0/organizations/acme/",
        headers={"Authorization": f"Bearer {server.token}"},
        timeout=10,
    ).json()
    del organization["links"]
    server.fail_next(
        1, status=200, body=json.dumps(organization).encode(), content_type=JSON, path_contains="/acme/"
    )
    server.fail_next(1, status=502, path_contains="/issues/")
    warehouse.load(server, "issues")
    assert {request.path for request in server.requests if "issues" in request.path} == {
        "/api/0/organizations/acme/issues/"
    }
    assert set(warehouse.issues()) == issue_ids(server)


# Write dispositions


@pytest.mark.parametrize("first", [APPEND, REPLACE], ids=["append", "replace"])
def test_the_write_disposition_can_change_to_merge(
    serve: Callable[..., Sandbox], warehouse: Warehouse, first: dict[str, str]
) -> None:
    server = serve()
    warehouse.load(server, "events", run=first)
    server.world.add_events(5, at=server.world.now, issue=server.world.issues[0])
    server.world.advance(seconds=60)
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


def test_replace_does_not_empty_a_table_that_cannot_be_read(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "members", "events")
    server.fail_next(1, status=403, body=b'{"detail":"no"}', content_type=JSON, path_contains="/members/")
    with pytest.raises(Exception, match="Sentry answered 403 on organizations/acme/members/"):
        warehouse.load(server, "members", "events", run=REPLACE)
    assert len(warehouse.column("SELECT id FROM members")) == len(truth_of(server)["members"])
    warehouse.assert_events_equal_truth(server)


def test_append_does_not_double_what_came_before_a_refusal(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1)

    def refuse() -> None:
        server.fail_next(
            1, status=410, body=b'{"message":"gone"}', content_type=JSON, path_contains="/events/"
        )

    on_nth(server, "/backend/events/", {4}, refuse)
    with pytest.raises(Exception, match="Sentry answered 410"):
        warehouse.load(server, "events", run=APPEND)
    server.clear_hooks()
    warehouse.load(server, "events", run=APPEND)
    warehouse.assert_events_equal_truth(server)


# dlt's own means


def test_a_limit_of_one_page_brings_that_page_and_leaves_the_rest_for_later(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    from sentry import sentry_source  # noqa: PLC0415 - as a user writes it

    server = serve(issues=250, events=300)
    source = sentry_source(auth_token=server.token, organization="acme", base_url=server.url)
    source.issues.add_limit(1)
    warehouse.pipeline.run(source.with_resources("issues"))
    assert loaded(warehouse, "issues") == 100
    warehouse.load(server, "issues")
    assert set(warehouse.issues()) == issue_ids(server)


def test_one_source_object_can_be_run_again(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    from sentry import sentry_source  # noqa: PLC0415 - as a user writes it

    server = serve()
    source = sentry_source(auth_token=server.token, organization="acme", base_url=server.url)
    warehouse.pipeline.run(source)
    server.world.add_project("newcomer")
    server.world.add_issue(project="newcomer", at=server.world.now, events=3)
    server.world.advance(seconds=60)
    warehouse.pipeline.run(source)
    warehouse.assert_equals_truth(server)
