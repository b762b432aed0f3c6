"""The relay as strict as the real one: what it refuses, when it takes nothing, and what it has taken."""

import base64
import gzip
import json
import zlib
from typing import Any

import pytest
import requests
import sentry_sdk

from sandbox import SECRET, Sandbox

from .client import Client
from .conftest import Start

EVENTS = "/projects/acme/backend/events/"
ID = "0123456789abcdef0123456789abcdef"
UUID = "01234567-89ab-cdef-0123-456789abcdef"
OTHER_ID = "fedcba9876543210fedcba9876543210"


@pytest.fixture
def server(start: Start) -> Sandbox:
    return start().server


def key_of(server: Sandbox, project: str = "backend") -> str:
    return server.world.project(project).public_key


def auth_of(server: Sandbox, version: str = "7") -> dict[str, str]:
    text = f"Sentry sentry_version={version}, sentry_client=test/1.0, sentry_key={key_of(server)}"
    return {"X-Sentry-Auth": text}


def url_of(server: Sandbox, kind: str = "envelope", project: str = "backend") -> str:
    return f"{server.url}/api/{server.world.project(project).id}/{kind}/"


def post(server: Sandbox, body: bytes, *, kind: str = "envelope", **headers: str) -> requests.Response:
    return requests.post(url_of(server, kind), data=body, headers=auth_of(server) | headers, timeout=10)


def envelope(*items: tuple[str, Any], **header: Any) -> bytes:
    lines = [json.dumps(header).encode()]
    for kind, payload in items:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        lines += [json.dumps({"type": kind, "length": len(body)}).encode(), body]
    return b"\n".join(lines) + b"\n"


def one_event(event_id: str = ID, **document: Any) -> bytes:
    return envelope(("event", {"message": "hello", **document}), event_id=event_id)


def causes(answer: requests.Response, status: int, detail: str) -> list[str]:
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)
    assert answer.headers["X-Sentry-Error"] == detail
    found: list[str] = answer.json().get("causes", [])
    return found


def test_an_event_is_kept_under_the_id_of_its_envelope(start: Start) -> None:
    client = start()
    raw = envelope(("event", {"event_id": OTHER_ID, "message": "hello"}), event_id=ID)
    assert post(client.server, raw).json() == {"id": ID}
    assert client.get(f"{EVENTS}{ID}/").json()["title"] == "hello"
    assert client.get(f"{EVENTS}{OTHER_ID}/").status_code == 404


def test_without_an_id_in_the_envelope_the_event_gets_a_new_one(server: Sandbox) -> None:
    found = post(server, envelope(("event", {"event_id": ID}))).json()["id"]
    assert len(found) == 32
    assert found != ID
    assert post(server, envelope(("session", {}))).json() == {}


def test_a_uuid_is_an_event_id(server: Sandbox) -> None:
    assert post(server, one_event(UUID)).json() == {"id": ID}
    assert post(server, json.dumps({"event_id": UUID}).encode(), kind="store").json() == {"id": ID}


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"no json", "invalid envelope header"),
        (b"[]\n", "invalid envelope header"),
        (b"\n{}", "missing envelope header"),
        (b'{"event_id": "short"}\n', "invalid envelope header"),
        (b'{"event_id": 7}\n', "invalid envelope header"),
        (b"{}\n{}\n{}", "invalid item header"),
        (b"{}\nno json\n{}", "invalid item header"),
        (b'{}\n{"type": "event", "length": "2"}\n{}', "invalid item header"),
        (b'{}\n{"type": "event", "length": -1}\n{}', "invalid item header"),
        (b'{}\n{"type": "event", "length": 99}\n{}', "unexpected end of file"),
        (b'{}\n{"type": "event", "length": 1}\n{}', "missing newline after header or payload"),
        (b'{}\n{"type": "session", "length": 2}\n{}\n\n', "unexpected end of file"),
    ],
)
def test_a_malformed_envelope_is_refused_with_its_cause(server: Sandbox, raw: bytes, cause: str) -> None:
    assert causes(post(server, raw), 400, "invalid event envelope")[0] == cause
    assert server.ingested.outcomes == {("refused", ""): 1}


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b"{}\n",
        b'{}\n{"type":"session","length":2}\n{}',
        b'{}\n{"type":"session","length":2}\n{}\n',
        b'{}\n{"type":"session"}\n{}\n',
        b'{}\n{"type":"session"}',
        b'{}\n{"type":"session","length":0}\n\n',
        b'{}\n{"type":"session","length":3}\n{\n}\n',
        b'{}\n{"type":"what_is_this"}\nhello\n\n{"type":"session"}\n{}\n',
    ],
)
def test_a_well_formed_envelope_is_taken(server: Sandbox, raw: bytes) -> None:
    assert post(server, raw).status_code == 200


@pytest.mark.parametrize("document", [b"{", b"[]", b'"text"', b'{"event_id": "short"}', b'{"event_id": 5}'])
def test_what_is_no_event_is_refused_on_both_endpoints(server: Sandbox, document: bytes) -> None:
    assert causes(post(server, envelope(("event", document))), 400, "invalid JSON data")
    assert causes(post(server, document, kind="store"), 400, "invalid JSON data")
    assert not server.ingested.events


def test_an_envelope_is_taken_as_a_whole_or_not_at_all(server: Sandbox) -> None:
    assert post(server, envelope(("session", {}), ("event", b"{"))).status_code == 400
    assert server.ingested == {}


@pytest.mark.parametrize("kind", ["envelope", "store"])
def test_an_empty_body_is_refused(server: Sandbox, kind: str) -> None:
    causes(post(server, b"", kind=kind), 400, "empty request body")


def test_every_form_of_the_key_is_taken_alone(server: Sandbox) -> None:
    key, url = key_of(server), url_of(server)
    basic = base64.b64encode(f"{key}:".encode()).decode()
    for headers, params in (
        (auth_of(server), {}),
        ({"Authorization": auth_of(server)["X-Sentry-Auth"]}, {}),
        ({"Authorization": f"Basic {basic}"}, {}),
        ({}, {"sentry_key": key, "sentry_version": "7"}),
    ):
        assert requests.post(url, data=one_event(), headers=headers, params=params, timeout=10).ok
    own = envelope(("session", {}), dsn=server.dsn("backend"))
    assert requests.post(url, data=own, timeout=10).ok
    assert post(server, own).ok


def test_two_forms_of_the_key_at_once_are_refused(server: Sandbox) -> None:
    header, key = auth_of(server), key_of(server)
    text = "multiple authorization payloads detected"
    both = header | {"Authorization": header["X-Sentry-Auth"]}
    causes(requests.post(url_of(server), data=one_event(), headers=both, timeout=10), 401, text)
    query = {"sentry_key": key}
    answer = requests.post(url_of(server), data=one_event(), headers=header, params=query, timeout=10)
    causes(answer, 401, text)
    url = f"{url_of(server)}?sentry_key={key}"
    causes(requests.post(url, data=one_event(), auth=(key, ""), timeout=10), 401, text)


@pytest.mark.parametrize(
    ("header", "status", "detail"),
    [
        ("", 401, "missing authorization information"),
        ("Bearer abc", 401, "missing authorization information"),
        ("Sentry sentry_version=7", 401, "bad x-sentry-auth header"),
        ("Sentry sentry_key={key}, sentry_version=seven", 401, "bad x-sentry-auth header"),
        ("Sentry sentry_key={key}, sentry_version=8", 400, "unsupported protocol version (8)"),
        ("Sentry sentry_key=short, sentry_version=7", 400, "bad sentry DSN public key"),
        (
            f"Sentry sentry_key={'0' * 32}, sentry_version=7",
            403,
            "event submission rejected with_reason: ProjectId",
        ),
        ("Sentry sentry_key={disabled}", 403, "event submission rejected with_reason: ProjectId"),
        ("Sentry sentry_key={foreign}", 403, "event submission rejected with_reason: ProjectId"),
    ],
)
@pytest.mark.parametrize("kind", ["envelope", "store"])
def test_who_may_not_send_is_told_why(
    server: Sandbox, header: str, status: int, detail: str, kind: str
) -> None:
    keys = {
        "key": key_of(server),
        "disabled": key_of(server)[::-1],
        "foreign": key_of(server, "frontend"),
    }
    headers = {"X-Sentry-Auth": header.format(**keys)}
    body = b"{}" if kind == "store" else one_event()
    causes(requests.post(url_of(server, kind), data=body, headers=headers, timeout=10), status, detail)


@pytest.mark.parametrize("version", ["5", "7", "7.0"])
def test_older_protocols_are_spoken(server: Sandbox, version: str) -> None:
    assert requests.post(url_of(server), data=one_event(), headers=auth_of(server, version), timeout=10).ok


def test_the_project_is_a_number_and_the_one_of_the_envelope(server: Sandbox) -> None:
    url = f"{server.url}/api/backend/envelope/"
    answer = requests.post(url, data=one_event(), headers=auth_of(server), timeout=10)
    causes(answer, 400, "bad project path parameter")
    elsewhere = envelope(("event", {}), dsn=server.dsn("frontend"))
    answer = post(server, elsewhere)
    cause = "project id header mismatch between envelope and request"
    assert causes(answer, 400, "invalid event envelope") == [cause]
    wrong = server.dsn("backend").replace(key_of(server), "0" * 32)
    cause = "public key header mismatch between envelope and request"
    assert causes(post(server, envelope(("event", {}), dsn=wrong)), 400, "invalid event envelope") == [cause]
    answer = requests.post(url_of(server), data=envelope(dsn="nowhere"), timeout=10)
    causes(answer, 401, "bad envelope authentication header")


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_packed_envelopes_are_unpacked(server: Sandbox, encoding: str, pack: Any) -> None:
    packed = pack(one_event())
    assert post(server, packed, **{"Content-Encoding": encoding}).json() == {"id": ID}
    for broken in (packed[:-4], b"no archive"):
        answer = post(server, broken, **{"Content-Encoding": encoding})
        assert causes(answer, 400, "failed to read request body")
    assert post(server, packed, **{"Content-Encoding": "lzw"}).status_code == 415


def test_what_is_too_large_is_refused(server: Sandbox) -> None:
    large = {"message": "x" * (1 << 20)}
    detail = (
        "envelope exceeded size limits for type '{}' (https://develop.sentry.dev/sdk/envelopes/#size-limits)"
    )
    causes(post(server, envelope(("event", large))), 413, detail.format("event"))
    packed = gzip.compress(envelope(("event", large)))
    causes(post(server, packed, **{"Content-Encoding": "gzip"}), 413, detail.format("event"))
    checkin = envelope(("check_in", b"x" * (101 << 10)))
    causes(post(server, checkin), 413, detail.format("check_in"))
    causes(post(server, json.dumps(large).encode(), kind="store"), 413, "payload reached size limit")
    assert server.ingested.outcomes == {("refused", ""): 4}


def test_an_envelope_holds_one_event_and_a_hundred_sessions(server: Sandbox) -> None:
    assert post(server, envelope(("event", {}), ("event", {}))).status_code == 413
    assert post(server, envelope(*[("session", {})] * 101)).status_code == 413
    assert post(server, envelope(*[("session", {})] * 100)).status_code == 200


def test_an_envelope_beyond_its_limit_is_refused_without_unpacking_all_of_it(
    server: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.relay.MAX_ENVELOPE", 1_000)
    packed = gzip.compress(envelope(("attachment", b"x" * 100_000)))
    causes(post(server, packed, **{"Content-Encoding": "gzip"}), 413, "payload reached size limit")


def test_the_first_event_of_an_id_wins(start: Start) -> None:
    client = start()
    server = client.server
    for text in ("first", "second"):
        assert post(server, one_event(message=text)).json() == {"id": ID}
    assert client.get(f"{EVENTS}{ID}/").json()["title"] == "first"
    sent = server.ingested.events
    assert [(one.document["message"], one.duplicate) for one in sent] == [("first", False), ("second", True)]
    assert server.ingested.outcomes == {("accepted", "event"): 1, ("duplicate", "event"): 1}
    elsewhere = {"X-Sentry-Auth": f"Sentry sentry_key={key_of(server, 'frontend')}"}
    url = url_of(server, project="frontend")
    assert requests.post(url, data=one_event(), headers=elsewhere, timeout=10).json() == {"id": ID}
    assert [one.duplicate for one in server.ingested.events] == [False, True, False]


def test_events_are_shown_as_they_were_sent(server: Sandbox) -> None:
    raw = b'{ "message" : "as it was",\t"extra": {"n": 1.50}, "timestamp": 1785585600.5 }'
    post(server, envelope(("session", {}), ("event", raw), event_id=ID))
    (sent,) = server.ingested.events
    assert (sent.raw, sent.event_id, sent.project.slug) == (raw, ID, "backend")
    assert sent.document["extra"] == {"n": 1.5}
    assert server.ingested == {"event": 1, "session": 1}


def test_a_used_up_quota_drops_its_category_and_takes_the_others(server: Sandbox) -> None:
    server.limit_ingest("error", seconds=30, reason="error_usage_exceeded")
    answer = post(server, one_event())
    detail = causes(answer, 429, answer.json()["detail"])
    assert detail == []
    assert answer.headers["Retry-After"] == "30"
    assert answer.headers["X-Sentry-Rate-Limits"] == "30:error:organization:error_usage_exceeded"
    assert post(server, b"{}", kind="store").status_code == 429
    taken = post(server, envelope(("transaction", {"type": "transaction"})))
    assert (taken.status_code, "X-Sentry-Rate-Limits" in taken.headers) == (200, False)
    server.unlimit_ingest()
    assert post(server, one_event()).status_code == 200
    assert server.ingested.outcomes == {
        ("rate_limited", "event"): 2,
        ("accepted", "transaction"): 1,
        ("accepted", "event"): 1,
    }


def test_an_envelope_that_is_taken_in_part_is_answered_as_refused(server: Sandbox) -> None:
    server.limit_ingest("error")
    raw = envelope(("event", {}), ("attachment", b"log"), ("session", {}), event_id=ID)
    assert post(server, raw).status_code == 429
    assert server.ingested == {"session": 1}
    assert server.ingested.outcomes["rate_limited", "attachment"] == 1


def test_a_quota_without_categories_is_for_all_but_reports_of_clients(server: Sandbox) -> None:
    server.limit_ingest(seconds=10)
    answer = post(server, envelope(("session", {})))
    assert (answer.status_code, answer.headers["X-Sentry-Rate-Limits"]) == (429, "10::organization")
    assert post(server, envelope(("client_report", {}))).status_code == 200


def test_a_quota_may_be_told_with_what_is_taken(server: Sandbox) -> None:
    server.limit_ingest("transaction", "profile", seconds=90, reason="quota", told_on_200=True)
    server.limit_ingest("replay", seconds=20, told_on_200=True)
    answer = post(server, one_event())
    text = "90:transaction;profile:organization:quota, 20:replay:organization"
    assert (answer.status_code, answer.headers["X-Sentry-Rate-Limits"]) == (200, text)
    assert "Retry-After" not in answer.headers


def test_a_quota_ends_with_its_time(server: Sandbox) -> None:
    server.limit_ingest("error", seconds=60)
    server.world.advance(seconds=40)
    assert int(post(server, one_event()).headers["Retry-After"]) <= 20
    server.world.advance(seconds=20)
    assert post(server, one_event()).status_code == 200


def test_the_longest_of_two_quotas_is_waited_for(server: Sandbox) -> None:
    server.limit_ingest("error", seconds=5)
    server.limit_ingest(seconds=7)
    answer = post(server, one_event())
    assert answer.headers["Retry-After"] == "7"
    assert answer.headers["X-Sentry-Rate-Limits"] == "5:error:organization, 7::organization"


def test_an_overloaded_relay_turns_the_next_requests_away(server: Sandbox) -> None:
    server.overload_ingest(2)
    for _ in range(2):
        causes(post(server, one_event()), 503, "failed to queue envelope")
    assert post(server, one_event()).status_code == 200
    assert server.ingested.outcomes == {("overloaded", ""): 2, ("accepted", "event"): 1}


def test_bodies_sent_to_the_relay_are_recorded_when_asked_for(start: Start) -> None:
    for kept in (True, False):
        server = start(record_bodies=kept).server
        server.fail_next(1, status=502)
        for _ in range(2):
            post(server, one_event())
        expected = one_event() if kept else None
        assert [request.request_body for request in server.requests] == [expected, expected]


@pytest.mark.parametrize("legacy", [True, False])
def test_a_real_sdk_sends_to_a_server_below_a_path(start: Start, legacy: bool) -> None:
    client = start(path_prefix="/tools/sentry", link_host="")
    dsn = client.server.dsn("backend", legacy=legacy)
    assert "/tools/sentry/" in dsn
    assert (SECRET in dsn) == legacy
    sdk = sentry_sdk.Client(dsn=dsn, default_integrations=False)
    with sentry_sdk.isolation_scope() as scope:
        scope.set_client(sdk)
        event_id = sentry_sdk.capture_message("from below a path")
    sdk.close(timeout=5)
    assert client.get(f"{EVENTS}{event_id}/").json()["title"] == "from below a path"
    own = envelope(("event", {}), dsn=dsn, event_id=OTHER_ID)
    answer = requests.post(url_of(client.server), data=own, timeout=10)
    assert answer.json() == {"id": OTHER_ID}
    assert client.server.ingested["event"] == 2


def test_the_secret_of_a_legacy_dsn_is_the_one_of_the_key(start: Start) -> None:
    client: Client = start()
    active = next(row for row in client.get("/projects/acme/backend/keys/").json() if row["isActive"])
    assert client.server.dsn("backend", legacy=True) == active["dsn"]["secret"]
    assert client.server.dsn("backend") == active["dsn"]["public"]
