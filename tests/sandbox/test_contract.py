"""Every answer of the stand-in conforms to Sentry's published contract."""

import json

import pytest

from sandbox import World
from tests.contract import DEVIATIONS, Contract, find_contract

from .client import Client
from .conftest import NOW, Start

PUBLISHED = find_contract()
ORGANIZATION = "/organizations/{organization}/"
PROJECT = "/projects/{organization}/{project}/"

needs_the_contract = pytest.mark.skipif(
    PUBLISHED is None, reason="Sentry's published contract is not here; name it in SENTRY_OPENAPI"
)
pytestmark = needs_the_contract


@pytest.fixture(scope="module")
def contract() -> Contract:
    assert PUBLISHED
    return Contract(PUBLISHED)


CALLS: list[tuple[str, dict[str, str]]] = [
    ("/organizations/", {}),
    (ORGANIZATION, {}),
    (f"{ORGANIZATION}projects/", {"per_page": "2"}),
    (f"{ORGANIZATION}teams/", {}),
    (f"{ORGANIZATION}teams/", {"detailed": "0"}),
    (f"{ORGANIZATION}members/", {}),
    (f"{ORGANIZATION}environments/", {"visibility": "all"}),
    (f"{ORGANIZATION}releases/", {"project": "-1", "status": ""}),
    (f"{ORGANIZATION}issues/", {"project": "-1", "query": ""}),
    (
        f"{ORGANIZATION}issues/",
        {"project": "-1", "query": "", "statsPeriod": "24h", "groupStatsPeriod": "14d"},
    ),
    (f"{ORGANIZATION}issues/", {"start": "2026-07-20T00:00:00", "end": "2026-08-01T00:00:00"}),
    (f"{ORGANIZATION}issues/", {"query": "issue.category:feedback"}),
    (f"{ORGANIZATION}issues/", {"query": "environment:production", "sort": "new", "collapse": "unhandled"}),
    (f"{ORGANIZATION}issues/{{issue}}/", {}),
    (f"{ORGANIZATION}issues/{{issue}}/events/", {}),
    (f"{ORGANIZATION}issues/{{issue}}/events/", {"full": "true"}),
    (PROJECT, {}),
    (f"{PROJECT}events/", {}),
    (f"{PROJECT}events/", {"full": "1", "per_page": "10"}),
    (f"{PROJECT}events/{{event}}/", {}),
    (f"{PROJECT}events/{{sent}}/", {}),
    (f"{PROJECT}issues/", {"query": "", "limit": "25"}),
    (f"{PROJECT}environments/", {}),
]


@pytest.fixture
def client(start: Start) -> Client:
    world = World.build(projects=2, issues=30, events=300, now=NOW)
    world.add_feedback(project="backend", at=NOW.timestamp() - 60)
    return start(world, record_bodies=True)


@pytest.mark.parametrize(("path", "params"), CALLS)
def test_answers_and_requests_conform(
    client: Client, contract: Contract, path: str, params: dict[str, str]
) -> None:
    world = client.server.world
    event = next(event for event in world.project("backend").by_id.values() if event.issue and event.release)
    names = {"organization": "acme", "project": "backend", "issue": world.issues[0].id}
    names |= {"event": event.event_id, "sent": world.add_event(project="backend", message="told").event_id}
    assert client.get(path.format(**names), **params).status_code == 200
    recorded = client.server.requests[-1]
    assert recorded.body
    assert json.loads(recorded.body)
    assert contract.check(recorded) == []


def test_every_body_of_many_events_conforms(client: Client, contract: Contract) -> None:
    path = "/api/0/projects/acme/backend/events/"
    for event_id in list(client.server.world.project("backend").by_id)[:60]:
        row = client.get(f"/projects/acme/backend/events/{event_id}/").json()
        assert contract.check_answer("GET", f"{path}{event_id}/", row) == []


def test_the_checker_sees_what_is_wrong_with_a_request(contract: Contract) -> None:
    path = "/api/0/organizations/acme/issues/"
    assert contract.check_request("GET", path, [("limit", "many")]) == [
        "parameter limit='many' is no integer"
    ]
    assert contract.check_request("GET", path, [("colour", "green")]) == ["parameter colour is not published"]
    assert contract.check_request("GET", path, [("start", "yesterday")]) == [
        "parameter start='yesterday' is no string date-time"
    ]
    assert contract.check_request("GET", "/api/0/nowhere/", []) == ["GET /api/0/nowhere/ is not published"]
    assert contract.check_request("GET", path, [("project", "-1"), ("start", "2026-08-01T00:00:00")]) == []


def test_the_checker_sees_what_is_wrong_with_an_answer(contract: Contract) -> None:
    path = "/api/0/organizations/acme/environments/"
    assert contract.check_answer("GET", path, [{"id": 1, "name": "production"}]) == [
        "*/id: 1 is not of type 'string'"
    ]
    assert contract.check_answer("GET", path, [{"id": "1"}]) == ["*: 'name' is a required property"]


def test_each_deviation_has_a_path_that_is_published(contract: Contract) -> None:
    for deviation in DEVIATIONS:
        assert contract.templates_ending(deviation.path), deviation
