"""Every answer of the stand-in conforms to Sentry's published contract."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from sandbox import World
from sandbox.hashes import MANY_EVERY
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

DAYS = {"start": "2026-07-01T00:00:00", "end": "2026-07-31T23:59:59"}
RELEASE = f"{ORGANIZATION}releases/{{version}}/"
ISSUE = f"{ORGANIZATION}issues/{{hashed}}/"

MORE_CALLS: list[tuple[str, dict[str, Any]]] = [
    (f"{ORGANIZATION}repos/", {"status": ""}),
    (f"{ORGANIZATION}repos/{{repository}}/commits/", {"per_page": "50"}),
    (f"{ORGANIZATION}integrations/", {}),
    (f"{ORGANIZATION}integrations/", {"includeConfig": "0"}),
    (f"{ORGANIZATION}sentry-app-installations/", {}),
    (f"{ORGANIZATION}tags/", {"project": "-1", "dataset": "events", **DAYS}),
    (f"{ORGANIZATION}releases/", {"project": "-1", "status": ""}),
    (f"{PROJECT}teams/", {}),
    ("/teams/{organization}/growth/members/", {}),
    (f"{PROJECT}keys/", {}),
    (f"{PROJECT}ownership/", {}),
    ("/projects/{organization}/frontend/ownership/", {}),
    (f"{PROJECT}filters/", {}),
    (f"{PROJECT}tags/user/values/", {}),
    (f"{PROJECT}users/", {}),
    (f"{PROJECT}hooks/", {}),
    (f"{PROJECT}symbol-sources/", {}),
    (f"{PROJECT}files/dsyms/", {}),
    (f"{PROJECT}user-feedback/", {"status": ""}),
    (f"{PROJECT}stats/", {"stat": "received", "resolution": "1d", "since": "1785283200"}),
    (RELEASE, {}),
    (RELEASE, {"health": "1", "adoptionStages": "1"}),
    (f"{RELEASE}commits/", {}),
    (f"{RELEASE}commitfiles/", {}),
    (f"{RELEASE}deploys/", {}),
    (f"{RELEASE}files/", {}),
    (f"{ORGANIZATION}releases/feature%2Fsearch%402.0.0%2Bexp.1/", {}),
    (f"{ISSUE}hashes/", {}),
    (f"{ISSUE}hashes/", {"full": "false"}),
    (f"{ISSUE}tags/browser/", {}),
    (f"{ISSUE}tags/browser/values/", {"sort": "count"}),
    (f"{ISSUE}tags/user/values/", {}),
    (f"{ISSUE}external-issues/", {}),
    (f"{ORGANIZATION}monitors/", {"project": "-1", "sort": "name"}),
    (f"{ORGANIZATION}monitors/backups/checkins/", DAYS),
    (f"{ORGANIZATION}detectors/", {"project": "-1", "sortBy": "id"}),
    (f"{ORGANIZATION}workflows/", {"project": "-1"}),
    (f"{ORGANIZATION}replays/", {"project": "-1", **DAYS}),
    (f"{ORGANIZATION}dashboards/", {}),
    (f"{ORGANIZATION}dashboards/{{dashboard}}/", {}),
    (f"{ORGANIZATION}discover/saved/", {}),
    (
        f"{ORGANIZATION}stats_v2/",
        {"groupBy": ["category", "outcome", "reason"], "field": "sum(quantity)", "interval": "1d", **DAYS},
    ),
    (
        f"{ORGANIZATION}stats_v2/",
        {"groupBy": ["project", "category"], "field": "sum(quantity)", "project": "-1", **DAYS},
    ),
    (
        f"{ORGANIZATION}sessions/",
        {
            "groupBy": ["project", "release", "environment"],
            "field": ["sum(session)", "count_unique(user)", "crash_free_rate(user)"],
            "interval": "1d",
            "project": "-1",
            **DAYS,
        },
    ),
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


@pytest.mark.parametrize(("path", "params"), MORE_CALLS)
def test_what_hangs_on_the_main_tables_conforms(
    client: Client, contract: Contract, path: str, params: dict[str, Any]
) -> None:
    world = client.server.world
    version = "backend@1.2.0"
    world.add_commit(version, files=("a.py",), author="someone@example.com")
    world.add_deploy(version)
    world.add_release_file(version, "~/app.js")
    hashed = next(issue for issue in world.issues if int(issue.id) % MANY_EVERY == 0)
    world.add_external_link(hashed, "SHOP#1")
    names = {"organization": "acme", "project": "backend", "version": quote(version), "hashed": hashed.id}
    names |= {
        "repository": world.extras.repositories[0].id,
        "dashboard": str(world.extras.dashboards[0]["id"]),
    }
    assert client.get(path.format(**names), params).status_code == 200
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
