"""Issues that Sentry does not list any more: what a sweep finds out about them, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sandbox import Sandbox, Switches
from tests.conftest import NOW
from tests.warehouse import Warehouse, truth_of

DAY = 86_400
SERVERS = [
    Switches(),
    Switches(old_server=True),
    Switches(no_multi_project=True, no_lifetime=True),
]
NAMES = ["newest", "old", "one-project-at-a-time"]


def marks(warehouse: Warehouse) -> dict[str, str]:
    """Issues that are marked, with how."""
    rows = warehouse.rows("SELECT id, is_deleted, deleted_at, merged_into FROM issues")
    for row in rows:
        assert (row["deleted_at"] is not None) == row["is_deleted"]
        assert not (row["is_deleted"] and row["merged_into"])
    return {
        row["id"]: "deleted" if row["is_deleted"] else row["merged_into"]
        for row in rows
        if row["is_deleted"] or row["merged_into"]
    }


def of_first_project(server: Sandbox) -> list[Any]:
    return [issue for issue in server.world.issues if issue.project is server.world.projects[0]]


@pytest.mark.parametrize("switches", SERVERS, ids=NAMES)
def test_deleted_and_merged_issues_are_marked_by_the_next_sweep(
    serve: Callable[..., Sandbox], warehouse: Warehouse, switches: Switches
) -> None:
    server = serve(switches=switches)
    world = server.world
    warehouse.load(server, "issues")
    before = {row["id"]: row for row in warehouse.rows("SELECT * FROM issues")}
    child, parent, doomed = of_first_project(server)[:3]
    world.merge(child, into=parent)
    world.delete_issue(doomed)
    world.advance(seconds=3600)
    warehouse.load(server, "issues")
    assert marks(warehouse) == {}  # a sweep is not due yet
    world.advance(seconds=DAY)
    warehouse.load(server, "issues")
    assert marks(warehouse) == {child.id: parent.id, doomed.id: "deleted"}
    after = {row["id"]: row for row in warehouse.rows("SELECT * FROM issues")}
    assert after.keys() == before.keys()
    own = {"is_deleted", "deleted_at", "merged_into", "_dlt_id", "_dlt_load_id"}
    for issue_id in (child.id, doomed.id):
        assert {name: value for name, value in after[issue_id].items() if name not in own} == {
            name: value for name, value in before[issue_id].items() if name not in own
        }


def test_a_mark_stays_and_costs_nothing_more(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    warehouse.load(server, "issues")
    child, parent, doomed = of_first_project(server)[:3]
    server.world.merge(child, into=parent)
    server.world.delete_issue(doomed)
    for _ in range(9):
        server.world.advance(seconds=DAY)
        server.clear_requests()
        warehouse.load(server, "issues")
    assert marks(warehouse) == {child.id: parent.id, doomed.id: "deleted"}
    assert not [request for request in server.requests if request.values("group")]


def test_an_issue_merged_into_one_that_is_merged_itself_leads_to_the_last(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "issues")
    first, second, third = of_first_project(server)[:3]
    server.world.merge(first, into=second)
    server.world.advance(seconds=DAY)
    warehouse.load(server, "issues")
    server.world.merge(second, into=third)
    server.world.advance(seconds=DAY)
    warehouse.load(server, "issues")
    assert marks(warehouse) == {first.id: third.id, second.id: third.id}


def test_a_merge_that_takes_long_is_no_deletion_in_the_end(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    world = server.world
    warehouse.load(server, "issues")
    child, parent = of_first_project(server)[:2]
    world.begin_merge(child, parent)
    world.advance(seconds=DAY)
    warehouse.load(server, "issues")
    assert marks(warehouse) == {child.id: "deleted"}
    world.finish_merge(child)
    world.advance(seconds=DAY)
    warehouse.load(server, "issues")
    assert marks(warehouse) == {child.id: parent.id}


def test_an_issue_that_comes_back_loses_its_mark(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    world = server.world
    warehouse.load(server, "issues")
    issue = of_first_project(server)[0]
    world.begin_deletion(issue)
    world.advance(seconds=DAY)
    warehouse.load(server, "issues")
    assert marks(warehouse) == {issue.id: "deleted"}
    world.cancel_deletion(issue)
    world.advance(seconds=DAY)
    warehouse.load(server, "issues")
    assert marks(warehouse) == {}


@pytest.mark.parametrize("cleaned", [False, True], ids=["kept", "cleaned-up"])
def test_issues_that_aged_out_are_not_marked(
    serve: Callable[..., Sandbox], warehouse: Warehouse, cleaned: bool
) -> None:
    server = serve()
    world = server.world
    world.retention_days = 30
    old = world.add_issue(project=world.projects[0], at=NOW - timedelta(days=29))
    warehouse.load(server, "issues")
    assert old.id in warehouse.issues()
    world.advance(seconds=3 * DAY)
    if cleaned:
        world.clean_up()
    warehouse.load(server, "issues")
    assert old.id not in {row["id"] for row in truth_of(server)["issues"]}
    assert marks(warehouse) == {}


def test_projects_that_are_not_listed_or_not_chosen_are_left_alone(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    world = server.world
    warehouse.load(server, "issues")
    kept, removed = world.projects
    gone = next(issue for issue in world.issues if issue.project is kept)
    world.delete_issue(gone)
    world.advance(seconds=DAY)
    warehouse.load(server, "issues", projects=[removed.slug])
    assert marks(warehouse) == {}
    world.remove_project(removed)
    world.advance(seconds=DAY)
    warehouse.load(server, "issues")
    assert marks(warehouse) == {gone.id: "deleted"}
    assert warehouse.column(f"SELECT count(*) FROM issues WHERE project_id = '{removed.id}'") != [0]


def test_an_empty_answer_of_a_sick_server_marks_nothing(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "issues")
    server.world.advance(seconds=DAY)
    sick = {
        "status": 200,
        "body": b"[]",
        "content_type": "application/json",
        "path_contains": "/acme/issues/",
    }
    server.fail_next(1, **sick)  # type: ignore[arg-type]
    warehouse.load(server, "issues")
    assert marks(warehouse) == {}


def test_an_issue_that_may_not_be_asked_for_is_left_alone_and_counted(
    serve: Callable[..., Sandbox], warehouse: Warehouse, everything_logged: pytest.LogCaptureFixture
) -> None:
    server = serve()
    warehouse.load(server, "issues")
    gone = of_first_project(server)[0]
    server.world.delete_issue(gone)
    server.world.advance(seconds=DAY)
    refused = {"status": 403, "body": b'{"detail":"no"}', "content_type": "application/json"}
    server.fail_next(1, path_contains=f"/issues/{gone.id}/", **refused)  # type: ignore[arg-type]
    warehouse.load(server, "issues")
    assert marks(warehouse) == {}
    assert "1 issues are not listed any more and may not be asked for" in everything_logged.text


def test_many_vanished_issues_are_asked_for_together(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=1, events=1)
    world = server.world
    issues = [world.add_issue(project=world.projects[n % 2], at=NOW - timedelta(hours=3)) for n in range(120)]
    warehouse.load(server, "issues")
    for issue in issues:
        world.delete_issue(issue)
    world.advance(seconds=DAY)
    server.clear_requests()
    warehouse.load(server, "issues")
    assert marks(warehouse) == {issue.id: "deleted" for issue in issues}
    assert sum(bool(request.values("group")) for request in server.requests) == 3


def test_feedback_is_marked_too(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    issue = server.world.add_feedback(project=server.world.projects[0], at=NOW - timedelta(hours=2))
    warehouse.load(server, "feedback")
    server.world.delete_issue(issue)
    server.world.advance(seconds=DAY)
    warehouse.load(server, "feedback")
    assert warehouse.column(f"SELECT is_deleted FROM feedback WHERE id = '{issue.id}'") == [True]


def test_a_users_own_map_meets_sentrys_names_in_marked_rows_too(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    from sentry import sentry_source  # noqa: PLC0415 - as a user writes it

    server = serve()
    doomed = of_first_project(server)[0]
    for _ in range(2):
        source = sentry_source(auth_token=server.token, organization="acme", base_url=server.url)
        source.issues.add_map(lambda issue: {**issue, "seen": f"{issue['firstSeen']} {issue['shortId']}"})
        warehouse.pipeline.run(source.with_resources("issues"))
        if not doomed.deleted:
            server.world.delete_issue(doomed)
            server.world.advance(seconds=DAY)
    assert marks(warehouse) == {doomed.id: "deleted"}
    assert None not in warehouse.column("SELECT seen FROM issues")


def test_a_destination_without_sql_gets_a_warning_and_no_marks(
    serve: Callable[..., Sandbox], everything_logged: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    import dlt  # noqa: PLC0415 - only here is another destination

    from sentry import sentry_source  # noqa: PLC0415

    taken: list[Any] = []

    @dlt.destination(batch_size=100, name="sink")
    def sink(items: Any, table: Any) -> None:
        taken.extend(items)

    server = serve()
    pipeline = dlt.pipeline("sink", destination=sink, pipelines_dir=str(tmp_path / "sink"))
    source = sentry_source(auth_token=server.token, organization="acme", base_url=server.url)
    pipeline.run(source.with_resources("issues"))
    server.world.delete_issue(of_first_project(server)[0])
    server.world.advance(seconds=DAY)
    pipeline.run(source.with_resources("issues"))
    assert "Issues that were deleted or merged in Sentry are not marked" in everything_logged.text
    assert len(taken) == 12 + 11


def test_a_sweep_can_be_asked_for(
    serve: Callable[..., Sandbox], script: Callable[..., Any], tmp_path: Any
) -> None:
    import duckdb  # noqa: PLC0415 - only here is the file of the script opened

    server = serve()
    doomed = of_first_project(server)[0]
    assert script(server, "--resources", "issues", "--progress", "none").returncode == 0
    server.world.delete_issue(doomed)
    server.world.advance(seconds=60)
    assert script(server, "--resources", "issues", "--progress", "none", "--sweep").returncode == 0
    with duckdb.connect(str(tmp_path / "sentry.duckdb"), read_only=True) as connection:
        found = connection.sql("SELECT id FROM sentry_data.issues WHERE is_deleted").fetchall()
    assert found == [(doomed.id,)]
