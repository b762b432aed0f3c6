"""Every answer of the stand-in conforms to Sentry's published contract."""

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from openapi_schema_validator import OAS30Validator

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
        f"{ORGANIZATION}events/",
        {"dataset": "errors", "field": ["id", "timestamp", "issue.id", "release"], "project": "-1", **DAYS},
    ),
    (
        f"{ORGANIZATION}events/",
        {"dataset": "errors", "field": ["issue", "count()", "last_seen()"], "sort": "-count()", **DAYS},
    ),
    (
        f"{ORGANIZATION}events-timeseries/",
        {"dataset": "errors", "interval": "3600", "project": "-1", "query": "level:error", **DAYS},
    ),
    (
        f"{ORGANIZATION}events-timeseries/",
        {"dataset": "errors", "yAxis": ["count()", "count_unique(user)"], "statsPeriod": "14d"},
    ),
    (
        f"{ORGANIZATION}events-timeseries/",
        {"dataset": "errors", "topEvents": "3", "groupBy": ["issue.id", "project"], "sort": "-count()"},
    ),
    (f"{ORGANIZATION}events-timeseries/", {"dataset": "spans"}),
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


WRITE_DEVIATIONS = {
    r"^(inbox|assignedTo|shareId): None .*(not of type|for not nullable)": "null once it is taken away",
    r"^statusDetails/ignore\w+: None .*(not of type|for not nullable)": "conditions that were not set are null",
    r"^status: 'muted' is not one of": "the status is repeated as it was sent",
    r"^answer: '(isPublic|status|statusDetails)' is a req": "the path of a project answers what is different, too",
}
NEXT_RELEASE = {"status": "resolved", "statusDetails": {"inNextRelease": True}}
IN_COMMIT = {"inCommit": {"commit": "{sha}", "repository": "acme/ledger"}}
EVERY_CONDITION = {
    "ignoreDuration": 30,
    "ignoreCount": 10,
    "ignoreWindow": 60,
    "ignoreUserCount": 3,
    "ignoreUserWindow": 10_080,
}
BODIES: list[dict[str, Any]] = [
    {"status": "resolved"},
    {"status": "unresolved", "substatus": "ongoing"},
    {"status": "muted"},
    {"status": "resolvedInNextRelease"},
    NEXT_RELEASE,
    {"status": "resolved", "statusDetails": {"inRelease": "latest"}},
    {"status": "resolved", "statusDetails": IN_COMMIT},
    {"status": "ignored", "statusDetails": EVERY_CONDITION},
    {"status": "ignored", "statusDetails": {"ignoreDuration": 5}},
    {"status": "ignored", "substatus": "archived_until_escalating"},
    {"assignedTo": "user1@example.com", "priority": "high", "inbox": False},
    {"assignedTo": "team:20"},
    {"assignedTo": ""},
    {"hasSeen": True, "isBookmarked": True, "isSubscribed": True},
    {"isPublic": True},
    {"isPublic": False},
]


def unexplained(problems: list[str]) -> list[str]:
    return [one for one in problems if not any(re.search(pattern, one) for pattern in WRITE_DEVIATIONS)]


def body_problems(method: str, template: str, body: object) -> list[str]:
    """What is wrong with a body; every field may be left out, although the published file says otherwise."""
    assert PUBLISHED
    operation = json.loads(PUBLISHED.read_text())["paths"][f"/api/0{template}"][method.lower()]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    schema.pop("required", None)
    for option in schema["properties"]["statusDetails"].get("allOf", []):
        option.pop("required", None)
    return [error.message for error in OAS30Validator(schema).iter_errors(body)]


@pytest.fixture
def writing(client: Client) -> Client:
    world = client.server.world
    repository = world.add_repository("acme/ledger")
    world.add_commit("backend@1.2.0", repository=repository)
    return Client(client.server, client.server.add_token(scopes=["event:admin"]))


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    "template",
    [
        "/organizations/{organization_id_or_slug}/issues/{issue_id}/",
        "/organizations/{organization_id_or_slug}/issues/",
        "/projects/{organization_id_or_slug}/{project_id_or_slug}/issues/",
    ],
)
def test_updates_conform(writing: Client, contract: Contract, template: str, body: dict[str, Any]) -> None:
    world = writing.server.world
    issue = next(issue for issue in world.issues if issue.project.slug == "backend")
    names = {"organization_id_or_slug": "acme", "project_id_or_slug": "backend", "issue_id": issue.id}
    sha = world.extras.commits["backend@1.2.0"][-1].sha
    sent = json.loads(json.dumps(body).replace("{sha}", sha))
    alone = "{issue_id}" in template
    answer = writing.put(template.format(**names), sent, **({} if alone else {"id": issue.id}))
    assert answer.status_code == 200, answer.text
    recorded = writing.server.requests[-1]
    if not template.startswith("/projects/") or "statusDetails" not in body:  # There `inCommit` is a text.
        assert body_problems("PUT", template, recorded.request_json) == []
    assert unexplained(contract.check(recorded)) == []
    if not alone:
        assert writing.get(f"/organizations/acme/issues/{issue.id}/").status_code == 200
        assert unexplained(contract.check(writing.server.requests[-1])) == []


def test_merging_discarding_and_deleting_conform(writing: Client, contract: Contract) -> None:
    path = "/organizations/acme/issues/"
    ids = [issue.id for issue in writing.server.world.issues if issue.project.slug == "backend"]
    assert writing.put(path, {"merge": True}, id=ids[:2]).status_code == 200
    assert writing.put(path, {"discard": True}, id=ids[2]).status_code == 204
    assert writing.put(path, {"status": "resolved"}, id=[], query="is:unresolved", project="-1").ok
    assert writing.delete(path, id=ids[3]).status_code == 204
    assert writing.delete(f"{path}{ids[4]}/").status_code == 202
    assert writing.delete("/projects/acme/backend/issues/", id=ids[5]).status_code == 204
    for recorded in writing.server.requests:
        answered = recorded if recorded.status == 200 else replace(recorded, body=None)
        assert unexplained(contract.check(answered)) == []


def test_each_deviation_of_writes_is_one(writing: Client, contract: Contract) -> None:
    issue = writing.server.world.issues[0]
    path = f"/projects/acme/{issue.project.slug}/issues/"
    told = []
    ignored: dict[str, Any] = {"status": "muted", "statusDetails": {"ignoreCount": 5}}
    for body in (ignored, {"assignedTo": ""}):
        writing.put(path, body, id=issue.id)
        told += contract.check(writing.server.requests[-1])
        writing.put("/organizations/acme/issues/", body, id=issue.id, project="-1")
        told += contract.check(writing.server.requests[-1])
    for pattern in WRITE_DEVIATIONS:
        assert any(re.search(pattern, one) for one in told), pattern


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
