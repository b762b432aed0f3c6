"""Every request of the source, and every answer it is given here, conforms to Sentry's published contract."""

from __future__ import annotations

from datetime import timedelta

import pytest
from dlt.common.normalizers.naming.snake_case import NamingConvention

from sandbox import Sandbox, Switches, World
from sentry.access import check_access
from sentry.endpoints import TABLES, Table
from tests.conftest import NOW, SMALL
from tests.contract import Contract, find_contract
from tests.warehouse import Warehouse

PUBLISHED = find_contract()

pytestmark = pytest.mark.skipif(
    PUBLISHED is None, reason="Sentry's published OpenAPI file is not here; name it in SENTRY_OPENAPI"
)

UNPUBLISHED = {"/api/0/"}
"""The index of the API: tells who a token is and its scopes; every server has it, the file does not list it."""


def test_every_request_and_answer_of_two_runs_conforms(warehouse: Warehouse) -> None:
    assert PUBLISHED
    contract = Contract(PUBLISHED)
    world = World.build(**SMALL)
    switches = Switches(no_lifetime=True)
    with Sandbox(world=world, switches=switches, record_bodies=True) as server:
        warehouse.load(server)
        world.advance(seconds=7200)
        world.add_event(project=world.projects[0], issue=world.issues[0])
        warehouse.load(server, projects=[project.slug for project in world.projects])
        warehouse.load(server, "events", event_bodies=False, lookback=86_400)
        start, end = NOW - timedelta(days=4), NOW - timedelta(days=2)
        warehouse.load(server, "issues", start_date=start.isoformat(), end_date=end.isoformat())
        check_access(auth_token=server.token, organization="acme", base_url=server.url)
        recorded = [request for request in server.requests if request.path not in UNPUBLISHED]
    assert len(recorded) > 30
    problems = {f"{request.path}: {problem}" for request in recorded for problem in contract.check(request)}
    assert not problems, "\n".join(sorted(problems))


NOT_COLUMNS = {
    "teams": {"external_teams", "organization", "projects"},  # with detailed=1
    "members": {"external_users"},
    "events": {"tags"},  # a table of their own
    "issues": {
        "owners", "integration_issues", "sentry_app_issues", "latest_event_has_attachments", "session_count",
        "matching_event_id", "matching_event_environment",
    },
}  # fmt: skip
"""Published fields that become no column: they come only when a parameter asks for them."""


@pytest.mark.parametrize(
    "table",
    [table for table in TABLES.values() if table.name != "organizations"],
    ids=lambda table: table.name,
)
def test_every_published_field_is_declared_or_dropped_on_purpose(table: Table) -> None:
    assert PUBLISHED
    path = table.path or {
        "releases": "organizations/{organization}/releases/",
        "issues": "organizations/{organization}/issues/",
        "events": "projects/{organization}/shop/events/",
    }[table.name]  # fmt: skip
    operation = Contract(PUBLISHED).operation("GET", f"/api/0/{path.format(organization='acme')}")
    assert operation is not None
    assert operation.answer is not None
    snake_case = NamingConvention().normalize_identifier
    published = {snake_case(name) for name in operation.answer.schema["items"]["properties"]}
    declared = {column.name for column in table.columns} | {snake_case(name) for name in table.dropped}
    assert not published - declared - NOT_COLUMNS.get(table.name, set())
