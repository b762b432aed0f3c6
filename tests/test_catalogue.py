"""Every table of the catalogue against the server's truth: all rows, each once, also after more runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

from docs.generate import PAGE, page
from sandbox import SECRET, Sandbox, Switches
from sentry import DEFAULT_TABLES, TABLES, failures_of, sentry_source
from sentry.endpoints import GROUPS
from tests.warehouse import Warehouse, moment, truth_of

TAG_KEYS = ["environment", "browser"]

OUR_NAMES = {
    "project_teams": {"id": "team_id", "slug": "team_slug"},
    "tag_values": {"key": "tag_key"},
    "issue_tag_values": {"key": "tag_key"},
    "usage_stats": {"date": "day"},
    "project_stats": {"date": "day"},
    "release_health": {
        "date": "day", "crash_free_sessions": "crash_free_session_rate", "crash_free_users": "crash_free_user_rate",
    },
}  # fmt: skip
"""Where the truth calls a column otherwise."""

COMPARED = {
    "repositories": ("name", "status"),
    "project_keys": ("label", "is_active"),
    "project_ownership": ("raw", "fallthrough"),
    "project_environments": ("is_hidden",),
    "user_feedback": ("event_id", "email", "comments"),
    "debug_files": ("debug_id", "size"),
    "release_details": ("commit_count", "deploy_count", "status"),
    "release_deploys": ("environment", "name"),
    "release_files": ("name", "size", "sha1"),
    "issue_details": ("status", "num_comments", "user_report_count"),
    "issue_tags": ("unique_values", "total_values"),
    "issue_tag_values": ("count",),
    "tag_values": ("count",),
    "monitors": ("slug", "status", "project_slug"),
    "monitor_checkins": ("status", "environment", "duration"),
    "replays": ("is_archived", "count_segments"),
    "detectors": ("type", "enabled", "project_id"),
    "workflows": ("name", "enabled"),
    "usage_stats": ("quantity",),
    "release_health": ("sessions", "users", "crash_free_session_rate", "crash_free_user_rate"),
    "project_stats": ("count",),
}
"""Columns that are compared beside the keys."""


def expected(server: Sandbox, name: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The truth by key; what a key leaves empty is the empty text."""
    names = OUR_NAMES.get(name, {})
    rows = [
        {names.get(field, field): value for field, value in row.items()} for row in truth_of(server)[name]
    ]
    if name in ("tag_values", "issue_tag_values"):
        rows = [row for row in rows if row["tag_key"] in TAG_KEYS]
    if name == "project_stats":
        rows = [row for row in rows if row["count"]]  # a day without anything has no row
    return {_key(name, {**_of_organization(server), **row}): _values(name, row) for row in rows}


def arrived(warehouse: Warehouse, name: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    rows = warehouse.rows(f"SELECT * FROM {name}")
    found = {_key(name, row): _values(name, row) for row in rows}
    assert len(found) == len(rows), f"{name} has rows twice"
    return found


def _of_organization(server: Sandbox) -> dict[str, str]:
    return {"organization_id": server.world.organization.id}


def _key(name: str, row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(moment(row[part]) if part == "day" else str(row[part] or "") for part in TABLES[name].key)


def _values(name: str, row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        round(value, 6) if isinstance(value := row.get(column), float) else value
        for column in COMPARED.get(name, ())
    )


def compare(server: Sandbox, warehouse: Warehouse, *names: str) -> None:
    for name in names or TABLES:
        truth, found = expected(server, name), arrived(warehouse, name)
        differing = sorted(
            map(str, (key for key in truth.keys() | found.keys() if truth.get(key) != found.get(key)))
        )
        assert not differing, f"{name}: {len(differing)} of {len(truth)} differ, such as {differing[:3]}"


def test_the_whole_catalogue_equals_the_truth_and_a_second_run_doubles_nothing(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    server.world.add_feedback(project=server.world.projects[0], at=server.world.now.timestamp() - 3600)
    for _ in range(2):
        warehouse.load(server, *TABLES, tag_keys=TAG_KEYS)
        compare(server, warehouse)
        server.world.advance(seconds=3600)
    assert "_sentry_skipped" not in warehouse.tables()


@pytest.mark.parametrize("old", [False, True])
def test_dlt_misses_no_column_and_no_type(
    serve: Callable[..., Sandbox],
    warehouse: Warehouse,
    everything_logged: pytest.LogCaptureFixture,
    old: bool,
) -> None:
    server = serve(switches=Switches(old_server=old))
    warehouse.load(server, *TABLES, tag_keys=TAG_KEYS, auth_token=server.add_token())
    warnings = [
        record.getMessage() for record in everything_logged.records if record.levelno >= logging.WARNING
    ]
    assert not [text for text in warnings if "column" in text or "normaliz" in text]


def test_empty_pages_and_mixed_dates_change_nothing(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(empty_pages=True, simple_dates=False))
    warehouse.load(server, *TABLES, tag_keys=TAG_KEYS)
    compare(server, warehouse)


def test_without_names_the_default_tables_are_loaded(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server)
    assert warehouse.tables() == {*DEFAULT_TABLES, "events__tags"}
    assert set(DEFAULT_TABLES) == {
        "organizations", "projects", "project_details", "teams", "members", "users", "environments", "releases",
        "issues", "events",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(TABLES) - set(DEFAULT_TABLES)))
def test_each_table_loads_alone(serve: Callable[..., Sandbox], warehouse: Warehouse, name: str) -> None:
    server = serve(issues=6, events=12)
    warehouse.load(server, name, tag_keys=TAG_KEYS)
    compare(server, warehouse, name)
    assert warehouse.tables() == {name}


def test_on_an_old_server_what_is_there_is_loaded_and_the_rest_is_named(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(old_server=True))
    missing = {
        "monitors",
        "monitor_checkins",
        "detectors",
        "workflows",
        "replays",
        "usage_stats",
        "release_health",
    }
    token = server.add_token()  # a member of all projects: such servers cannot be asked for the others
    tables = (*missing, "users", "project_keys", "issue_hashes", "issue_tags", "project_tags")
    warehouse.load(server, *tables, auth_token=token)
    compare(server, warehouse, "users", "project_keys", "issue_hashes", "project_tags")
    skipped = warehouse.rows("SELECT table_name, reason, skipped_at FROM _sentry_skipped")
    assert {row["table_name"] for row in skipped} == missing
    assert all("Sentry answered 404" in row["reason"] and row["skipped_at"] for row in skipped)
    warehouse.load(server, "replays", auth_token=token)
    assert len(warehouse.rows("SELECT * FROM _sentry_skipped WHERE table_name = 'replays'")) == 1


def test_children_are_read_only_for_releases_that_changed(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    tables = ("release_commits", "release_deploys", "release_details")
    warehouse.load(server, *tables)
    server.clear_requests()
    server.world.advance(seconds=600)
    warehouse.load(server, *tables)
    assert not [
        request for request in server.requests if "/releases/" in request.path[:-1].rpartition("/releases")[2]
    ]
    version = warehouse.column("SELECT version FROM release_details LIMIT 1")[0]
    server.world.add_event(project=server.world.projects[0], release=version)
    server.clear_requests()
    warehouse.load(server, *tables)
    below = {request.path for request in server.requests if not request.path.endswith("/releases/")}
    assert len([path for path in below if "/releases/" in path]) == 3
    compare(server, warehouse, *tables)


def test_children_are_read_only_for_issues_with_new_events(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "issue_hashes", "issue_events")
    server.world.advance(seconds=7200)
    issue = server.world.issues[0]
    server.world.add_event(project=issue.project, issue=issue)
    server.world.advance(seconds=5)
    server.clear_requests()
    warehouse.load(server, "issue_hashes", "issue_events")
    asked = {
        request.path.split("/issues/")[1].split("/")[0]
        for request in server.requests
        if "/issues/" in request.path
    }
    assert asked - {""} == {issue.id}
    compare(server, warehouse, "issue_events")


def test_a_parent_without_access_is_skipped_and_counted(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    closed = server.world.projects[0]
    server.fail_next(
        1, status=403, body=b'{"detail":"no"}', content_type="application/json", path_contains="/keys/"
    )
    warehouse.load(server, "project_keys")
    assert len(set(warehouse.column("SELECT project_id FROM project_keys"))) == 1
    assert "1 of 2" in warehouse.metrics()["project_keys"]["skipped"]
    warehouse.load(server, "project_keys")
    assert closed.id in warehouse.column("SELECT project_id FROM project_keys")


def test_a_server_error_below_all_parents_fails_the_table(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    server.fail_next(50, status=500, path_contains="/keys/")
    warehouse.load(server, "project_keys")
    assert "Sentry answered 500 on projects/acme/" in failures_of(warehouse.pipeline)["project_keys"][""]
    assert warehouse.column("SELECT table_name FROM _sentry_skipped") == ["project_keys"]


def test_no_secret_field_reaches_destination_packages_state_trace_or_log(
    serve: Callable[..., Sandbox],
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    for writer in ("SOURCES__DATA_WRITER", "NORMALIZE__DATA_WRITER"):
        monkeypatch.setenv(f"{writer}__DISABLE_COMPRESSION", "true")
    server = serve(events=600)
    held_by_applications = ("events", "issue_events", "issue_hashes")
    tables = [name for name in TABLES if name not in held_by_applications]
    source = sentry_source(
        auth_token=server.token, organization="acme", base_url=server.url, tag_keys=TAG_KEYS
    ).with_resources(*tables)
    searched = 0
    for step in (
        lambda: warehouse.pipeline.extract(source),
        warehouse.pipeline.normalize,
        warehouse.pipeline.load,
    ):
        step()
        for path in warehouse.folder.rglob("*"):
            if path.is_file():
                searched += 1
                content = path.read_bytes()
                assert SECRET.encode() not in content, path
                assert server.token.encode() not in content, path
    assert searched > 100
    for table in tables:
        rows = warehouse.column(f"SELECT t::VARCHAR FROM {table} AS t")
        assert not [row for row in rows if SECRET in row], table
    assert "Making GET request" in everything_logged.text
    assert SECRET not in everything_logged.text
    assert server.token not in everything_logged.text


def test_groups_that_sentry_would_cut_are_asked_for_in_fewer_days(
    serve: Callable[..., Sandbox], warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentry.usage.MAX_POINTS", 120)
    server = serve(switches=Switches(max_points=120))
    warehouse.load(server, "release_health")
    compare(server, warehouse, "release_health")
    days = [dict(request.params) for request in server.requests if request.path.endswith("/sessions/")]
    assert len({(asked["start"], asked["end"]) for asked in days}) > 6


def test_the_page_of_tables_is_what_the_catalogue_says() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_example_query_of_the_page_answers(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    warehouse.load(server, *TABLES, tag_keys=TAG_KEYS)
    queries = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(queries) == len(TABLES) + 1
    for table, query in zip(["projects", *TABLES], queries, strict=True):
        assert table in query
        assert warehouse.rows(query) or warehouse.column(f"SELECT count(*) FROM {table}") == [0], query


def test_every_endpoint_that_sentry_does_not_publish_has_a_reason() -> None:
    for table in TABLES.values():
        assert bool(table.docs) != bool(table.unpublished), table.name
        assert table.key
        assert set(table.key) <= {column.name for column in table.columns}, table.name
        assert len({column.name for column in table.columns}) == len(table.columns), table.name
    assert sum(map(len, GROUPS.values())) == len(TABLES)
