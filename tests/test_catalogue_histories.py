"""Histories in which tables of the catalogue once lost rows, doubled them, or said too much."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests

from sandbox import SECRET, Sandbox, Switches
from tests.conftest import NOW
from tests.test_catalogue import compare, expected
from tests.test_moving_rows import APPEND, JSON, on_nth
from tests.warehouse import Warehouse, truth_of

GONE = {"status": 410, "body": b'{"message":"This API no longer exists."}', "content_type": JSON}
REFUSED = {"status": 403, "body": b'{"detail":"no"}', "content_type": JSON}


def answer(server: Sandbox, path: str) -> Any:
    headers = {"Authorization": f"Bearer {server.token}"}
    return requests.get(f"{server.url}/api/0/{path}", headers=headers, timeout=10).json()


@pytest.mark.parametrize("table", ["issue_events", "issue_hashes"])
@pytest.mark.parametrize("refusals", [1, 500])
def test_issues_that_were_refused_are_read_by_the_next_run(
    serve: Callable[..., Sandbox], warehouse: Warehouse, table: str, refusals: int
) -> None:
    server = serve()
    server.fail_next(refusals, path_contains="/events/" if table == "issue_events" else "/hashes/", **GONE)  # type: ignore[arg-type]
    warehouse.load(server, table)
    server.clear_hooks()
    server.world.advance(seconds=7200)
    warehouse.load(server, table)
    compare(server, warehouse, table)


@pytest.mark.parametrize("table", ["usage_stats", "release_health", "project_stats"])
def test_a_plan_that_keeps_thirty_days_is_read_as_far_as_it_goes(
    serve: Callable[..., Sandbox], warehouse: Warehouse, table: str
) -> None:
    server = serve()
    server.world.retention_days = 30
    warehouse.load(server, table, "organizations")
    kept = set(expected(server, table))
    arrived = warehouse.column(f"SELECT count(*) FROM {table}")[0]
    assert 0 < arrived >= len(kept)


def test_files_uploaded_to_a_young_release_arrive_with_the_next_sweep(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    server.world.add_release("young@1", server.world.projects[0], at=NOW - timedelta(days=2))
    warehouse.load(server, "release_files")
    server.world.add_release_file("young@1", "~/late.js.map")
    server.world.advance(seconds=86_400)
    warehouse.load(server, "release_files")
    compare(server, warehouse, "release_files")


def test_what_hangs_on_a_release_that_did_not_change_is_appended_once(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    server.world.add_release("young@1", server.world.projects[0], at=NOW - timedelta(days=2))
    server.world.add_release_file("young@1", "~/app.js.map")
    for _ in range(2):
        warehouse.load(server, "release_files", run=APPEND)
        server.world.advance(seconds=86_400)
    compare(server, warehouse, "release_files")


def test_appended_days_are_whole_and_come_once(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    warehouse.load(server, "usage_stats", run=APPEND, start_date="2026-07-25")
    warehouse.load(server, "usage_stats", run=APPEND, start_date="2026-07-20")
    server.world.advance(seconds=86_400)
    warehouse.load(server, "usage_stats", run=APPEND, start_date="2026-07-20")
    rows = warehouse.column("SELECT day::DATE::VARCHAR FROM usage_stats")
    truth = [
        str(key[1])[:10]
        for key in expected(server, "usage_stats")
        if "2026-07-20" <= str(key[1])[:10] < "2026-08-02"
    ]
    assert sorted(rows) == sorted(truth)


def test_an_appended_range_of_days_ends_where_it_should(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "usage_stats", run=APPEND, start_date="2026-07-20", end_date="2026-07-22")
    assert set(warehouse.column("SELECT day::DATE::VARCHAR FROM usage_stats")) == {"2026-07-20", "2026-07-21"}


def test_a_tag_key_that_joins_later_is_read_for_all_issues(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "issue_tag_values")
    warehouse.load(server, "issue_tag_values", tag_keys=["environment"])
    server.world.advance(seconds=600)
    warehouse.load(server, "issue_tag_values", tag_keys=["environment", "browser"])
    compare(server, warehouse, "issue_tag_values")


def test_a_tag_key_that_nobody_uses_has_no_values_and_is_no_error(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "tag_values", "issue_tag_values", tag_keys=["nosuch"], strict=True)
    assert warehouse.column("SELECT count(*) FROM tag_values") == [0]
    assert "_sentry_skipped" not in warehouse.tables()


def test_the_table_of_skipped_tables_has_just_its_own_columns(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(features_off=frozenset({"replays", "monitors", "dashboards"})))
    warehouse.load(server, "replays", "monitors", "dashboards", "teams")
    columns = warehouse.column(
        "SELECT column_name FROM information_schema.columns WHERE table_name = '_sentry_skipped'"
    )
    assert set(columns) - {"_dlt_id", "_dlt_load_id"} == {"table_name", "reason", "skipped_at"}
    assert len(warehouse.column("SELECT table_name FROM _sentry_skipped")) == 3
    assert len(warehouse.column("SELECT id FROM teams")) == len(truth_of(server)["teams"])


def test_events_refused_for_every_project_are_a_skipped_table(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    server.fail_next(2, path_contains="/projects/acme/", **REFUSED)  # type: ignore[arg-type]
    warehouse.load(server, "events", "teams")
    assert warehouse.column("SELECT table_name FROM _sentry_skipped") == ["events"]
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


@pytest.mark.parametrize("table", ["monitors", "monitor_checkins", "detectors", "replays", "usage_stats"])
def test_chosen_projects_hold_for_every_table(
    serve: Callable[..., Sandbox], warehouse: Warehouse, table: str
) -> None:
    server = serve()
    chosen = server.world.projects[1]
    warehouse.load(server, table, projects=[chosen.slug])
    assert set(warehouse.column(f"SELECT project_id FROM {table} WHERE project_id IS NOT NULL")) == {
        chosen.id
    }


def test_the_issue_of_a_report_and_the_actions_of_a_detector_lose_their_secrets(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1)
    (report, *_) = answer(server, "projects/acme/backend/user-feedback/?status=")
    detector = answer(server, "organizations/acme/detectors/")[0]
    hook = answer(server, "projects/acme/backend/hooks/")[0]
    planted = {
        "/user-feedback/": {**report, "issue": {"id": "1", "shareId": SECRET}},
        "/detectors/": {
            **detector,
            "conditionGroup": {"conditions": [], "actions": [{"config": {"targetIdentifier": SECRET}}]},
            "dataSources": [
                {"queryObj": {"url": f"https://user:{SECRET}@shop.example.com/health?key={SECRET}"}}
            ],
        },
        "/hooks/": {**hook, "url": f"https://hooks.example.com/a?token={SECRET}"},
    }
    for path, row in planted.items():
        server.fail_next(
            1, status=200, body=json.dumps([row]).encode(), content_type=JSON, path_contains=path
        )
    warehouse.load(server, "user_feedback", "detectors", "service_hooks")
    for table in ("user_feedback", "detectors", "service_hooks"):
        (row,) = warehouse.column(f"SELECT t::VARCHAR FROM {table} AS t")
        assert SECRET not in row
    assert (
        "https://shop.example.com/health"
        in warehouse.column("SELECT data_sources::VARCHAR FROM detectors")[0]
    )


def test_the_detail_of_an_issue_tells_its_assignee(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    server.world.assign(server.world.issues[0], server.world.members[0])
    warehouse.load(server, "issues", "issue_details")
    query = "SELECT id, assigned_to_type, assigned_to_id FROM {} WHERE assigned_to IS NOT NULL ORDER BY id"
    assert warehouse.rows(query.format("issue_details")) == warehouse.rows(query.format("issues")) != []


def test_an_issue_merged_before_its_detail_is_read_does_not_pass_for_its_parent(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    child, parent = [issue for issue in server.world.issues if issue.project is server.world.projects[0]][:2]
    on_nth(server, f"/issues/{child.id}/", {1}, lambda: server.world.merge(child, into=parent))
    warehouse.load(server, "issue_details")
    assert warehouse.column("SELECT id FROM issue_details WHERE id <> issue_id") == []
    assert warehouse.column(f"SELECT count(*) FROM issue_details WHERE id = '{parent.id}'") == [1]
