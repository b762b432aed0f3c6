"""Plain tables and releases: whole, labelled, without what does not belong into a warehouse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from sandbox import SECRET, Sandbox, Switches
from sentry import TABLES
from sentry.errors import SentryConfigurationError, SentryPermissionError
from tests.conftest import NOW
from tests.warehouse import Warehouse, truth_of


def test_a_pending_invitation_is_a_member_without_a_user(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "members")
    (invited,) = warehouse.rows("SELECT * FROM members WHERE pending")
    assert (invited["user_id"], invited["user"]) == (None, None)
    assert warehouse.column("SELECT count(*) FROM members WHERE NOT pending AND user_id IS NOT NULL") == [
        len(truth_of(server)["members"]) - 1
    ]


def test_hidden_environments_arrive(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    server.world.add_environment("hidden-one", server.world.projects[0], hidden=True)
    warehouse.load(server, "environments")
    assert "hidden-one" in warehouse.column("SELECT name FROM environments")


def test_an_integrations_token_lists_no_organization_and_still_gets_its_row(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    token = server.add_token(kind="integration")
    warehouse.load(server, auth_token=token)
    assert warehouse.column("SELECT slug FROM organizations") == ["acme"]
    warehouse.assert_equals_truth(server)


def test_the_only_organization_of_a_token_need_not_be_named(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    warehouse.load(serve(), "teams", organization=None)
    assert set(warehouse.column("SELECT organization_slug FROM teams")) == {"acme"}


def test_a_token_that_hides_its_organization_needs_it_named(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    token = server.add_token(kind="integration")
    with pytest.raises(Exception, match="does not tell its organization") as error:
        warehouse.load(server, "teams", organization=None, auth_token=token)
    assert isinstance(cause_of(error.value), SentryConfigurationError)


def test_a_renamed_project_keeps_its_row_and_its_events(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server)
    project = server.world.projects[0]
    server.world.rename_project(project, "renamed")
    server.world.advance(seconds=3600)
    server.world.add_event(project=project, issue=server.world.issues[0])
    server.world.advance(seconds=5)
    warehouse.load(server)
    warehouse.assert_equals_truth(server)
    assert "renamed" in warehouse.column("SELECT slug FROM projects")
    server.clear_requests()
    warehouse.load(server, "events")
    assert not any(request.status == 302 for request in server.requests)


def test_archived_releases_and_releases_older_than_the_retention_arrive(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "releases")
    truth = truth_of(server)["releases"]
    assert set(warehouse.column("SELECT version FROM releases")) == {row["version"] for row in truth}
    old = NOW - timedelta(days=90)
    assert any(row["date_created"] < old.isoformat() for row in truth)
    assert warehouse.column("SELECT typeof(id) FROM releases LIMIT 1") == ["VARCHAR"]


@pytest.mark.parametrize("old", [False, True])
def test_a_new_release_arrives_with_the_next_run(
    serve: Callable[..., Sandbox], warehouse: Warehouse, old: bool
) -> None:
    server = serve(switches=Switches(old_server=old))
    warehouse.load(server, "releases")
    server.world.advance(seconds=3600)
    server.world.add_release("new one #1 (ü)", server.world.projects[1])
    server.world.advance(seconds=5)
    warehouse.load(server, "releases")
    assert "new one #1 (ü)" in warehouse.column("SELECT version FROM releases")


def test_the_changing_numbers_of_a_release_come_with_the_next_sweep(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "releases")
    version = warehouse.column("SELECT version FROM releases ORDER BY date_created LIMIT 1")[0]
    server.world.add_event(project=server.world.projects[0], release=version)
    server.world.advance(seconds=86_400)
    warehouse.load(server, "releases")
    query = f"SELECT last_event FROM releases WHERE version = '{version}'"
    assert warehouse.column(query)[0].replace(tzinfo=None) == NOW.replace(tzinfo=None)


def test_every_declared_column_exists_also_where_no_row_has_a_value(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    warehouse.load(serve(), *TABLES, tag_keys=["environment"])
    for table in TABLES.values():
        columns = {
            row["column_name"]: row["data_type"]
            for row in warehouse.rows(
                f"SELECT * FROM information_schema.columns WHERE table_name = '{table.name}'"
            )
        }
        assert {column.name for column in table.columns} <= columns.keys(), table.name
        assert not [name for name in columns if "__v_" in name], table.name


def test_no_secret_of_sentry_reaches_the_destination_or_the_load_packages(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    tables = [
        name for name in TABLES if name not in ("events", "issue_events")
    ]  # they hold what applications sent
    warehouse.load(server, *tables, auth_token=server.add_token(kind="integration"))
    for table in tables:
        assert warehouse.column(f"SELECT count(*) FROM {table} AS t WHERE t::VARCHAR LIKE '%{SECRET}%'") == [
            0
        ]
    searched = [path for path in warehouse.folder.rglob("*") if path.is_file()]
    assert len(searched) > 10
    assert not [path for path in searched if SECRET.encode() in path.read_bytes()]


def test_a_table_without_its_scope_is_skipped_and_its_old_rows_stay(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "members", "teams")
    before = warehouse.column("SELECT id FROM members ORDER BY id")
    weak = server.add_token(scopes=["org:read"])
    warehouse.load(server, "members", "teams", auth_token=weak)
    assert warehouse.column("SELECT id FROM members ORDER BY id") == before
    assert "lacks the scope member:read" in warehouse.metrics()["members"]["skipped"][""]
    with pytest.raises(Exception, match="lacks the scope member:read") as error:
        warehouse.load(server, "members", auth_token=weak, strict=True)
    assert isinstance(cause_of(error.value), SentryPermissionError)


def test_an_endpoint_in_brown_out_is_skipped(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve(switches=Switches(brown_out=frozenset({"/teams/"})))
    warehouse.load(server, "teams", "projects")
    assert "Sentry answered 410" in warehouse.metrics()["teams"]["skipped"][""]
    assert len(warehouse.column("SELECT id FROM projects")) == 2


def test_a_server_below_a_path_prefix_is_read(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve(switches=Switches(path_prefix="/sentry"))
    warehouse.load(server, base_url=f"{server.url}/api/0/")
    warehouse.assert_equals_truth(server)
    assert all(request.path.startswith("/sentry/api/0/") for request in server.requests)


def test_a_region_is_read_at_its_own_host(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve(switches=Switches(region="de"))
    warehouse.load(server, base_url=server.region_urls["de"])
    warehouse.assert_equals_truth(server)


def test_unknown_fields_arrive(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    body = b'[{"id": "1", "slug": "new", "name": "new", "mood": "sunny", "habits": {"tea": true}}]'
    server.fail_next(1, status=200, body=body, content_type="application/json", path_contains="/teams/")
    warehouse.load(server, "teams")
    assert warehouse.rows("SELECT slug, mood, habits FROM teams") == [
        {"slug": "new", "mood": "sunny", "habits": '{"tea":true}'}
    ]


def test_unknown_nested_fields_of_an_event_become_json_and_no_tables(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1, switches=Switches(features_off=frozenset({"explore"})))
    body = (
        b'[{"eventID": "0123456789abcdef0123456789abcdef", "id": "0123456789abcdef0123456789abcdef",'
        b' "projectID": "101", "groupID": null, "dateCreated": null, "dateReceived": "2026-08-01T10:00:00Z",'
        b' "tags": [{"key": "level", "value": "error"}], "release": {"version": "shop@1"},'
        b' "novelty": {"deep": {"er": [1, 2]}}, "list": [{"a": 1}]}]'
    )
    server.fail_next(
        1, status=200, body=body, content_type="application/json", path_contains="/backend/events/"
    )
    warehouse.load(server, "events")
    assert warehouse.tables() == {"events", "events__tags"}
    (row,) = warehouse.rows(
        "SELECT novelty, list, release, level, date_created = date_received AS same FROM events"
    )
    assert row == {
        "novelty": '{"deep":{"er":[1,2]}}', "list": '[{"a":1}]', "release": "shop@1", "level": "error", "same": True
    }  # fmt: skip


def cause_of(error: BaseException) -> BaseException | None:
    """What dlt's failed step was caused by."""
    return error.__cause__.__cause__ if error.__cause__ else None


def test_environments_of_projects_that_the_user_is_no_member_of_arrive(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    server.world.add_environment("only-there", server.world.projects[-1])
    member_of = [server.world.projects[0].id]
    warehouse.load(server, "environments", auth_token=server.add_token(member_of=member_of))
    assert "only-there" in warehouse.column("SELECT name FROM environments")
