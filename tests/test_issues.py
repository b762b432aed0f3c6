"""Issues: which ones are read, and with which numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sandbox import Sandbox, Switches
from tests.conftest import NOW
from tests.warehouse import Warehouse, truth_of


def test_resolved_and_archived_issues_arrive_too(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    server.world.resolve(server.world.issues[0])
    server.world.archive(server.world.issues[1])
    warehouse.load(server, "issues")
    assert {"resolved", "ignored", "unresolved"} <= set(warehouse.column("SELECT status FROM issues"))
    assert set(warehouse.issues()) == {row["id"] for row in truth_of(server)["issues"]}


def test_numbers_are_those_of_the_lifetime_not_of_the_window(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "issues")
    issue = server.world.issues[0]
    server.world.advance(seconds=7200)
    server.world.add_event(project=issue.project, issue=issue)
    server.world.advance(seconds=60)
    warehouse.load(server, "issues")
    truth = next(row for row in truth_of(server)["issues"] if row["id"] == issue.id)
    assert warehouse.issues()[issue.id][1] == truth["count"] > 1
    assert warehouse.column("SELECT typeof(count) FROM issues LIMIT 1") == ["BIGINT"]


def test_numbers_come_from_the_detail_where_the_list_has_no_lifetime(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(no_lifetime=True))
    warehouse.load(server, "issues", start_date=(NOW - timedelta(days=2)).isoformat())
    truth = {row["id"]: row["count"] for row in truth_of(server)["issues"]}
    assert warehouse.issues()
    assert all(truth[key] == row[1] for key, row in warehouse.issues().items())


def test_projects_that_the_user_is_no_member_of_are_read(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    token = server.add_token(
        kind="user",
        scopes=["org:read", "project:read", "event:read"],
        member_of=[server.world.projects[0].id],
    )
    warehouse.load(server, "issues", "events", "releases", auth_token=token)
    assert set(warehouse.issues()) == {row["id"] for row in truth_of(server)["issues"]}
    warehouse.assert_events_equal_truth(server)


@pytest.mark.parametrize("old", [False, True])
def test_an_issue_bumped_between_two_pages_is_not_lost(
    serve: Callable[..., Sandbox], warehouse: Warehouse, old: bool
) -> None:
    server = serve(issues=250, events=300, switches=Switches(old_server=old))
    world = server.world
    pages = []

    def bump(request: object) -> None:
        if getattr(request, "path", "").endswith("/issues/"):
            pages.append(request)
            if len(pages) in (2, 3):
                for issue in sorted(world.issues, key=lambda issue: issue.last_seen)[:20]:
                    world.add_event(project=issue.project, issue=issue, at=world.now - timedelta(hours=1))

    server.on_request(bump)
    warehouse.load(server, "issues")
    assert len(pages) >= 3
    assert set(warehouse.issues()) == {row["id"] for row in truth_of(server)["issues"]}


def test_many_issues_of_one_second_arrive_once(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve(issues=1, events=1)
    for _ in range(250):
        server.world.add_issue(project=server.world.projects[0], at=NOW - timedelta(hours=3))
    warehouse.load(server, "issues")
    assert set(warehouse.issues()) == {row["id"] for row in truth_of(server)["issues"]}
    assert len(warehouse.issues()) == 251


def test_an_issue_resolved_without_an_event_is_seen_by_the_next_sweep(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "issues")
    issue = min(server.world.issues, key=lambda issue: issue.last_seen)
    server.world.resolve(issue)

    server.world.advance(seconds=7200)
    warehouse.load(server, "issues")
    assert warehouse.issues()[issue.id][5] == "unresolved"

    server.world.advance(seconds=86_400 - 7200)
    warehouse.load(server, "issues")
    assert warehouse.issues()[issue.id][5] == "resolved"


def test_sweep_interval_zero_reads_all_issues_in_every_run(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "issues")
    issue = min(server.world.issues, key=lambda issue: issue.last_seen)
    server.world.resolve(issue)
    warehouse.load(server, "issues", sweep_interval=0)
    assert warehouse.issues()[issue.id][5] == "resolved"


def test_feedback_is_no_issue_of_this_table(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    feedback = server.world.add_feedback(project=server.world.projects[0], message="The page is blank")
    warehouse.load(server, "issues")
    assert feedback.id not in warehouse.issues()


def test_an_issue_tells_its_project_and_its_assignee(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    issue, team = server.world.issues[0], server.world.teams[0]
    server.world.assign(issue, team)
    warehouse.load(server, "issues")
    (row,) = warehouse.rows(f"SELECT * FROM issues WHERE id = '{issue.id}'")
    assert (row["project_id"], row["project_slug"]) == (issue.project.id, issue.project.slug)
    assert (row["assigned_to_type"], row["assigned_to_id"]) == ("team", team.id)
    assert (row["organization_id"], row["organization_slug"]) == (server.world.organization.id, "acme")
    assert (row["is_deleted"], row["deleted_at"], row["merged_into"]) == (False, None, None)


def test_the_public_link_and_what_depends_on_the_request_are_not_loaded(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "issues")
    columns = set(
        warehouse.column("SELECT column_name FROM information_schema.columns WHERE table_name = 'issues'")
    )
    assert not columns & {"share_id", "stats", "lifetime", "filtered"}


def test_a_project_without_access_is_skipped_and_counted(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    refusal: dict[str, Any] = {"status": 403, "body": b'{"detail":"no"}', "content_type": "application/json"}
    server.fail_next(2, path_contains="/issues/", **refusal)  # all together, then the first alone
    warehouse.load(server, "issues")
    readable = server.world.projects[1].id
    truth = truth_of(server)["issues"]
    assert set(warehouse.issues()) == {row["id"] for row in truth if row["project_id"] == readable}
    assert "1 of 2" in warehouse.metrics()["issues"]["skipped"]
    warehouse.load(server, "issues")
    assert set(warehouse.issues()) == {row["id"] for row in truth}


@pytest.mark.parametrize(
    "means", [{"strict": True}, {"run": {"write_disposition": "replace"}}], ids=["strict", "replace"]
)
def test_a_project_without_access_is_an_error_where_its_rows_would_be_lost_or_the_user_wants_it(
    serve: Callable[..., Sandbox], warehouse: Warehouse, means: dict[str, Any]
) -> None:
    server = serve()
    warehouse.load(server, "issues")
    refusal: dict[str, Any] = {"status": 403, "body": b'{"detail":"no"}', "content_type": "application/json"}
    server.fail_next(2, path_contains="/issues/", **refusal)
    with pytest.raises(Exception, match="Sentry answered 403 on organizations/acme/issues/"):
        warehouse.load(server, "issues", **means)
    assert set(warehouse.issues()) == {row["id"] for row in truth_of(server)["issues"]}


def test_each_issue_is_given_once_in_a_load_also_where_pages_are_read_again(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=250, events=300)
    warehouse.load(server, "issues", run={"write_disposition": "append"})
    assert warehouse.column("SELECT count(*) FROM issues") == [len(truth_of(server)["issues"])]


def test_an_issue_deleted_between_list_and_detail_is_left_out(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(no_lifetime=True))
    doomed = server.world.issues[0]

    def delete(request: object) -> None:
        if getattr(request, "path", "").endswith(f"/issues/{doomed.id}/") and not doomed.deleted:
            server.world.delete_issue(doomed)

    server.on_request(delete)
    warehouse.load(server, "issues")
    assert set(warehouse.issues()) == {row["id"] for row in truth_of(server)["issues"]}


def test_more_projects_than_a_request_can_name_are_read(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=120, issues=130, events=140)
    names = [project.slug for project in server.world.projects]
    warehouse.load(server, "issues", projects=names)
    assert set(warehouse.issues()) == {row["id"] for row in truth_of(server)["issues"]}
