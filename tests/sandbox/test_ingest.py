"""The relay: events sent by an SDK, or by hand, become events of the API."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import requests
import sentry_sdk

from sandbox import Sandbox, World

from .client import Client
from .conftest import NOW, SMALL, Start

EVENTS = "/projects/acme/backend/events/"
ID = "0123456789abcdef0123456789abcdef"


def key_of(server: Sandbox) -> str:
    return server.world.project("backend").public_key


def url_of(server: Sandbox, kind: str = "store") -> str:
    return f"{server.url}/api/{server.world.project('backend').id}/{kind}/"


def send(server: Sandbox, payload: dict[str, Any] | bytes, **headers: str) -> requests.Response:
    auth = {"X-Sentry-Auth": f"Sentry sentry_version=7, sentry_key={key_of(server)}, sentry_client=test/1"}
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return requests.post(url_of(server), data=body, headers=auth | headers, timeout=10)


def envelope(*items: tuple[str, dict[str, Any]], **header: str) -> bytes:
    lines = [json.dumps(header)]
    for kind, payload in items:
        body = json.dumps(payload)
        lines += [json.dumps({"type": kind, "length": len(body)}), body]
    return "\n".join(lines).encode()


def _divide(by: int) -> float:
    if by == 0:
        raise ArithmeticError("seven by zero")
    return 7 / by


def test_an_exception_of_a_real_sdk_arrives_whole(start: Start) -> None:
    client = start()
    sdk = sentry_sdk.Client(
        dsn=client.server.dsn("backend"),
        release="backend@7.7.7",
        environment="preview",
        default_integrations=False,
    )
    with sentry_sdk.isolation_scope() as scope:
        scope.set_client(sdk)
        scope.set_user({"id": "77", "email": "user77@example.com"})
        scope.set_tag("shop", "north")
        sentry_sdk.add_breadcrumb(message="before it broke", category="test")
        try:
            _divide(0)
        except ArithmeticError as error:
            event_id = sentry_sdk.capture_exception(error)
    sdk.close(timeout=5)
    row = client.get(f"{EVENTS}{event_id}/").json()
    assert row["title"] == "ArithmeticError: seven by zero"
    assert row["metadata"]["type"] == "ArithmeticError"
    assert row["user"]["email"] == "user77@example.com"
    assert row["release"]["version"] == "backend@7.7.7"
    tags = {tag["key"]: tag["value"] for tag in row["tags"]}
    expected = {"shop": "north", "environment": "preview", "user": "id:77", "level": "error"}
    assert expected.items() <= tags.items()
    entries = {entry["type"]: entry["data"] for entry in row["entries"]}
    frame = entries["exception"]["values"][0]["stacktrace"]["frames"][-1]
    assert frame["function"] == "_divide"
    assert frame["context"][0][0] == frame["lineNo"] - 5
    assert entries["breadcrumbs"]["values"][0]["message"] == "before it broke"
    issue = client.get(f"/organizations/acme/issues/{row['groupID']}/").json()
    assert (issue["count"], issue["userCount"], issue["title"]) == ("1", 1, row["title"])
    assert client.rows("/organizations/acme/releases/", query="7.7.7")
    assert "preview" in {one["name"] for one in client.get("/organizations/acme/environments/").json()}


def raised(kind: str, function: str, **more: Any) -> dict[str, Any]:
    frame = {"function": function, "module": "shop", "in_app": True}
    return {
        "exception": {"values": [{"type": kind, "value": "x", "stacktrace": {"frames": [frame]}}]},
        **more,
    }


def test_events_are_grouped_by_exception_and_place_or_by_fingerprint(start: Start) -> None:
    client = start()
    sent = [
        raised("A", "f"),
        raised("A", "f", message="another text"),
        raised("A", "g"),
        raised("B", "f", fingerprint=["mine"]),
        raised("C", "h", fingerprint=["mine"]),
        raised("A", "f", fingerprint=["{{ default }}", "part"]),
        {"message": "plain", "logger": "app"},
        {"logentry": {"message": "plain"}, "logger": "app"},
        {"logentry": {"message": "hello %s", "formatted": "hello you", "params": ["you"]}},
        {"logentry": {"message": "hello %s", "formatted": "hello me", "params": ["me"]}},
    ]
    ids = [send(client.server, payload).json()["id"] for payload in sent]
    groups = [client.get(f"{EVENTS}{one}/").json()["groupID"] for one in ids]
    names = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    assert [names[group] for group in groups] == [0, 0, 1, 2, 2, 3, 4, 4, 5, 5]


def test_the_same_id_is_taken_once(start: Start) -> None:
    client = start()
    for _ in range(2):
        assert send(client.server, {"event_id": ID, "message": "twice"}).json() == {"id": ID}
    issue = client.get(f"{EVENTS}{ID}/").json()["groupID"]
    assert client.get(f"/organizations/acme/issues/{issue}/").json()["count"] == "1"


def test_after_its_issue_was_deleted_an_event_starts_a_new_one(start: Start) -> None:
    client = start()
    first = send(client.server, raised("A", "f")).json()["id"]
    group = client.get(f"{EVENTS}{first}/").json()["groupID"]
    client.server.world.delete_issue(group)
    second = send(client.server, raised("A", "f")).json()["id"]
    assert client.get(f"{EVENTS}{second}/").json()["groupID"] != group


@pytest.mark.parametrize(
    ("timestamp", "shown"),
    [
        ("2026-07-30T08:00:00Z", "2026-07-30T08:00:00Z"),
        (NOW.timestamp() - 60.5, "2026-08-01T11:58:59Z"),
        ("2026-06-01T08:00:00Z", "2026-08-01T12:00:00Z"),
        ("2027-01-01T08:00:00Z", "2026-08-01T12:00:00Z"),
        (None, "2026-08-01T12:00:00Z"),
        ("nonsense", "2026-08-01T12:00:00Z"),
    ],
)
def test_times_too_far_off_become_the_time_of_arrival(start: Start, timestamp: object, shown: str) -> None:
    client = start()
    send(client.server, {"event_id": ID, "message": "when", "timestamp": timestamp})
    assert client.get(f"{EVENTS}{ID}/").json()["dateCreated"] == shown


def test_an_envelope_counts_what_it_does_not_keep(start: Start) -> None:
    client = start()
    raw = envelope(
        ("session", {"sid": "1"}),
        ("transaction", {"type": "transaction"}),
        ("client_report", {}),
        dsn=client.server.dsn("backend"),
    )
    before = len(client.server.world.events)
    answer = requests.post(url_of(client.server, "envelope"), data=raw, timeout=10)
    assert (answer.status_code, answer.json()) == (200, {})
    assert client.server.ingested == {"session": 1, "transaction": 1, "client_report": 1}
    assert len(client.server.world.events) == before


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_packed_bodies_are_unpacked(start: Start, encoding: str, pack: Any) -> None:
    client = start()
    answer = send(
        client.server, pack(json.dumps({"message": "packed"}).encode()), **{"Content-Encoding": encoding}
    )
    assert client.get(f"{EVENTS}{answer.json()['id']}/").json()["title"] == "packed"


def test_the_key_may_come_in_four_forms_but_not_in_two_at_once(start: Start) -> None:
    server = start().server
    key, dsn = key_of(server), server.dsn("backend")
    header = {"X-Sentry-Auth": f"Sentry sentry_key={key}, sentry_version=7"}
    raw = envelope(("event", {"message": "hello"}))
    url = url_of(server, "envelope")
    assert requests.post(url, data=raw, headers=header, timeout=10).status_code == 200
    authorization = {"Authorization": header["X-Sentry-Auth"]}
    assert requests.post(url, data=raw, headers=authorization, timeout=10).status_code == 200
    query = {"sentry_key": key, "sentry_version": "7"}
    assert requests.post(url, data=raw, params=query, timeout=10).status_code == 200
    own = envelope(("event", {"message": "hello"}), dsn=dsn)
    assert requests.post(url, data=own, timeout=10).status_code == 200
    twice = requests.post(url, data=raw, headers=header, params=query, timeout=10)
    assert (twice.status_code, twice.json()["detail"]) == (401, "multiple authorization payloads detected")
    assert requests.post(url, data=raw, timeout=10).status_code == 401


def test_a_key_of_another_project_is_refused(start: Start) -> None:
    server = start().server
    foreign = f"Sentry sentry_key={server.world.project('frontend').public_key}"
    assert send(server, {"message": "x"}, **{"X-Sentry-Auth": foreign}).status_code == 403
    unknown = url_of(server).replace(f"/{server.world.project('backend').id}/", "/999/")
    answer = requests.post(unknown, data=b"{}", headers={"X-Sentry-Auth": foreign}, timeout=10)
    assert answer.status_code == 403


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"event_id": "short"}'])
def test_what_is_no_event_is_refused(start: Start, body: bytes) -> None:
    assert send(start().server, body).status_code == 400


@pytest.mark.parametrize(
    "raw", [b"no json", b"{}\n{}\n{}", b'{}\n{"type": "event", "length": 99}\n{}', b"[]\n"]
)
def test_what_is_no_envelope_is_refused(start: Start, raw: bytes) -> None:
    server = start().server
    auth = {"X-Sentry-Auth": f"Sentry sentry_key={key_of(server)}"}
    assert requests.post(url_of(server, "envelope"), data=raw, headers=auth, timeout=10).status_code == 400


def test_an_event_beyond_a_mebibyte_is_refused(start: Start) -> None:
    server = start().server
    assert send(server, {"message": "x" * (1 << 20)}).status_code == 413
    packed = gzip.compress(json.dumps({"message": "x" * (1 << 20)}).encode())
    assert send(server, packed, **{"Content-Encoding": "gzip"}).status_code == 413


def test_a_full_quota_tells_when_to_come_back_in_both_headers(start: Start) -> None:
    server = start(ingest_limit=1).server
    assert send(server, {"message": "x"}).status_code == 200
    answer = send(server, {"message": "x"})
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "60"
    assert answer.headers["X-Sentry-Rate-Limits"].startswith("60:error;default:organization")


def test_users_and_browsers_become_tags(start: Start) -> None:
    client: Client = start()
    payload = {
        "event_id": ID,
        "message": "tagged",
        "level": "warning",
        "user": {"username": "user5", "plan": "team"},
        "tags": [["shard", "3"], ["empty", ""]],
        "contexts": {"os": {"name": "Linux", "version": "6.8"}, "device": {"family": "Example Phone"}},
        "request": {
            "url": "https://shop.example.com/x",
            "query_string": "a=1&b=2",
            "headers": {"User-Agent": "Mozilla/5.0 Firefox/140.0"},
        },
    }
    send(client.server, payload)
    row = client.get(f"{EVENTS}{ID}/").json()
    tags = {tag["key"]: tag["value"] for tag in row["tags"]}
    assert tags == {
        "level": "warning",
        "user": "username:user5",
        "shard": "3",
        "os": "Linux 6.8",
        "os.name": "Linux",
        "device.family": "Example Phone",
        "url": "https://shop.example.com/x",
        "browser": "Firefox 140.0",
        "browser.name": "Firefox",
    }
    assert row["user"]["data"] == {"plan": "team"}
    request = next(entry["data"] for entry in row["entries"] if entry["type"] == "request")
    assert request["query"] == [["a", "1"], ["b", "2"]]


def test_a_journal_brings_sent_events_back_under_their_ids(tmp_path: Path) -> None:
    journal = tmp_path / "sent.jsonl"
    with Sandbox(world=World.build(**SMALL), journal=journal) as server:
        for _ in range(2):
            send(server, raised("Journaled", "f", event_id=ID, release="kept@1.0.0"))
        first = Client(server).get(f"{EVENTS}{ID}/").json()
    later = World.build(**SMALL)
    later.advance(seconds=3_600)
    journal.write_bytes(journal.read_bytes() + b'{"cut off')
    with Sandbox(world=later, journal=journal) as server:
        assert Client(server).get(f"{EVENTS}{ID}/").json() == first
        send(server, raised("Journaled", "f"))
        issue = Client(server).get(f"/organizations/acme/issues/{first['groupID']}/").json()
    assert issue["count"] == "2"
    assert len(journal.read_bytes().splitlines()) == 3
