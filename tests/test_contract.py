"""Every request of the source, and every answer it is given here, conforms to Sentry's published contract."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from sandbox import Sandbox, Switches, World
from sentry.access import check_access
from sentry.endpoints import TABLES
from sentry.table import Table, column_name
from tests.conftest import NOW, SMALL
from tests.contract import Contract, find_contract
from tests.warehouse import Warehouse

PUBLISHED = find_contract()

pytestmark = pytest.mark.skipif(
    PUBLISHED is None, reason="Sentry's published OpenAPI file is not here; name it in SENTRY_OPENAPI"
)

UNPUBLISHED = [
    re.compile(f".*/{re.sub('{[^}]+}', '[^/]+', table.path)}") for table in TABLES.values() if not table.docs
] + [re.compile("/api/0/")]
"""What the catalogue says is not published, and the index of the API, which tells who a token is."""


def test_every_request_and_answer_of_two_runs_conforms(warehouse: Warehouse) -> None:
    assert PUBLISHED
    contract = Contract(PUBLISHED)
    world = World.build(**SMALL)
    switches = Switches(no_lifetime=True)
    with Sandbox(world=world, switches=switches, record_bodies=True) as server:
        warehouse.load(server, *TABLES, tag_keys=["environment"])
        world.advance(seconds=7200)
        world.add_event(project=world.projects[0], issue=world.issues[0])
        warehouse.load(server, projects=[project.slug for project in world.projects])
        warehouse.load(server, "events", event_bodies=False, lookback=86_400)
        start, end = NOW - timedelta(days=4), NOW - timedelta(days=2)
        warehouse.load(server, "issues", start_date=start.isoformat(), end_date=end.isoformat())
        check_access(auth_token=server.token, organization="acme", base_url=server.url)
        recorded = [
            request
            for request in server.requests
            if not any(pattern.fullmatch(request.path) for pattern in UNPUBLISHED)
        ]
    assert len(recorded) > 30
    problems = {f"{request.path}: {problem}" for request in recorded for problem in contract.check(request)}
    assert not problems, "\n".join(sorted(problems))


NOT_COLUMNS = {
    "teams": {"external_teams", "organization", "projects"},  # with detailed=1
    "project_teams": {"external_teams", "organization", "projects"},
    "members": {"external_users"},
    "events": {"tags"},  # a table of their own
    "issues": {
        "owners", "integration_issues", "sentry_app_issues", "latest_event_has_attachments", "session_count",
        "matching_event_id", "matching_event_environment",
    },
    "feedback": {
        "owners", "integration_issues", "sentry_app_issues", "latest_event_has_attachments", "session_count",
        "matching_event_id", "matching_event_environment",
    },
    "issue_details": {"latest_event_has_attachments"},
    "tags": {"top_values"},
}  # fmt: skip
"""Published fields that become no column: they come only when a parameter asks for them."""

LISTED = [
    table
    for table in TABLES.values()
    if table.docs
    and not table.only_declared
    and table.name not in ("usage_stats", "release_health", "project_stats")
]


def published_row(table: Table) -> dict[str, Any]:
    """The published schema of a row; empty where the file has none."""
    assert PUBLISHED
    path = re.sub(r"\{[^}]+\}", "x", table.path)
    operation = Contract(PUBLISHED).operation("GET", f"/api/0/{path}")
    assert operation is not None, f"{table.path} is not published"
    schema: dict[str, Any] = operation.answer.schema if operation.answer else {}
    if table.answer == "data":
        schema = schema["properties"]["data"]
    row: dict[str, Any] = schema.get("items", schema)
    return row


def properties(schema: dict[str, Any]) -> set[str]:
    variants = [part for name in ("anyOf", "oneOf", "allOf") for part in schema.get(name, [])]
    return set(schema.get("properties", {})).union(*map(properties, variants))


@pytest.mark.parametrize("table", LISTED, ids=lambda table: table.name)
def test_every_published_field_is_declared_or_left_out_on_purpose(table: Table) -> None:
    published = {column_name(name) for name in properties(published_row(table))}
    declared = {column.name for column in table.columns} | set(
        map(column_name, table.dropped | table.secrets)
    )
    assert not published - declared - NOT_COLUMNS.get(table.name, set())


@pytest.mark.parametrize(
    "table", [table for table in TABLES.values() if not table.docs], ids=lambda table: table.name
)
def test_what_is_said_to_be_unpublished_is(table: Table) -> None:
    assert PUBLISHED
    path = re.sub(r"\{[^}]+\}", "x", table.path)
    assert Contract(PUBLISHED).operation("GET", f"/api/0/{path}") is None


def examples() -> Iterator[Any]:
    if PUBLISHED is None:
        return
    contract = Contract(PUBLISHED)
    for table in LISTED:
        operation = contract.operation("GET", f"/api/0/{re.sub('{[^}]+}', 'x', table.path)}")
        example = operation.example if operation else None
        if example and table.name not in ("organizations", "organization_details", "projects"):
            yield pytest.param(table, example, id=table.name)


@pytest.mark.parametrize(("table", "example"), list(examples()))
def test_sentrys_own_examples_load_into_the_declared_columns(
    serve: Callable[..., Sandbox], warehouse: Warehouse, table: Table, example: Any
) -> None:
    server = serve(projects=1)
    ending = table.path.rpartition("}")[2] if table.path.endswith("}/") is False else "/"
    if table.name == "project_details":
        ending = "/projects/acme/backend/"
    if table.name == "release_details":
        ending = "/releases/backend"
    if table.name == "issue_details":
        ending = f"/issues/{server.world.issues[0].id}/"
    if table.name == "dashboards":
        ending = "/dashboards/8"
    body = json.dumps(example).encode()
    server.fail_next(1, status=200, body=body, content_type="application/json", path_contains=ending)
    warehouse.load(server, table.name, tag_keys=["environment"])
    columns = warehouse.column(
        f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table.name}'"
    )
    assert not [name for name in columns if "__v_" in name]
    assert warehouse.tables() == {table.name} | ({"events__tags"} if table.name == "events" else set())
