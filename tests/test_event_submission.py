"""Events from rows: what a row becomes, and that each is on the server once, whatever happens on the way."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import dlt
import orjson
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from hypothesis import given, settings
from hypothesis import strategies as st
from sentry_sdk.envelope import Envelope

from sandbox import SECRET, Sandbox, Switches
from sandbox.envelope import parse_envelope
from sandbox.errors import refused
from sentry.dsn import parse_dsn
from sentry.envelopes import MAX_EVENT_BYTES, UnusableEventError, event_document, parcel
from sentry.errors import SentryConfigurationError, SentryRequestError
from sentry.event_submission import (
    Outcome,
    SubmissionError,
    sentry_events,
    submit_event,
    submit_events,
)
from tests.conftest import NOW, ROOT

KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = "fedcba9876543210fedcba9876543210"
ID = "c0ffee00c0ffee00c0ffee00c0ffee00"
WHEN = datetime(2026, 7, 30, 10, 0, tzinfo=UTC)

Serve = Callable[..., Sandbox]


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"message": f"row {number}", "number": number, "timestamp": WHEN, **more} for number in range(count)
    ]


def made(row: dict[str, Any]) -> dict[str, Any]:
    """The document of a row, as the server reads it."""
    document: dict[str, Any] = orjson.loads(gzip.decompress(parcel(row, NOW).body).split(b"\n")[2])
    return document


def assert_once(server: Sandbox, expected: list[dict[str, Any]]) -> None:
    """Each row is on the server once; what was sent again was seen to be the same."""
    kept = [sent.document["extra"]["number"] for sent in server.ingested.events if not sent.duplicate]
    assert sorted(kept) == sorted(row["number"] for row in expected)


# The DSN.


@pytest.mark.parametrize(
    ("text", "url", "secret"),
    [
        (f"https://{KEY}@o1.ingest.us.sentry.io/42", "https://o1.ingest.us.sentry.io/api/42/envelope/", None),
        (f"https://{KEY}:{OTHER_KEY}@sentry.io/42", "https://sentry.io/api/42/envelope/", OTHER_KEY),
        (f"https://{KEY}@example.com:8443/a/b/42/", "https://example.com:8443/a/b/api/42/envelope/", None),
        (f"https://{KEY}@Example.com/api/42", "https://example.com/api/api/42/envelope/", None),
        (f" https://{KEY}:@[2001:db8::1]:9000/42\n", "https://[2001:db8::1]:9000/api/42/envelope/", None),
        (f"http://{KEY}@localhost:8000/1", "http://localhost:8000/api/1/envelope/", None),
        (f"http://{KEY}@[::1]/1", "http://[::1]/api/1/envelope/", None),
    ],
)
def test_a_dsn_says_where_and_with_which_key(text: str, url: str, secret: str | None) -> None:
    dsn = parse_dsn(text)
    assert (dsn.envelope_url, dsn.public_key, dsn.secret_key) == (url, KEY, secret)
    assert KEY not in repr(dsn)
    assert OTHER_KEY not in repr(dsn)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{KEY}@sentry.io/1", "does not begin with https"),
        (f"ftp://{KEY}@sentry.io/1", "does not begin with https"),
        ("https://sentry.io/1", "has no public key"),
        (f"https://{KEY}@/1", "names no host"),
        (f"https://{KEY}@sentry.io", "number of a project"),
        (f"https://{KEY}@sentry.io/backend", "number of a project"),
        (f"https://{KEY}@sentry.io/1?a={OTHER_KEY}", "goes on behind"),
        (f"https://{KEY},x=1@sentry.io/1", "letters that no key has"),
        (f"https://{KEY}:{OTHER_KEY} @sentry.io/1", "letters that no key has"),
        (f"https://{KEY}@sentry.io:port/1", "host or a port that is none"),
        (f"https://{KEY}@sentry.io:0/1", "port that is none"),
        (f"https://{KEY}@[2001:db8::1/1", "host or a port that is none"),
        (f"http://{KEY}:{OTHER_KEY}@sentry.example.com/1", "unencrypted to sentry.example.com"),
    ],
)
def test_what_is_wrong_with_a_dsn_is_said_without_its_keys(text: str, says: str) -> None:
    with pytest.raises(SentryConfigurationError, match=says) as raised:
        parse_dsn(text)
    assert KEY not in str(raised.value)
    assert OTHER_KEY not in str(raised.value)


def test_plain_http_to_another_host_is_for_those_who_ask_for_it() -> None:
    dsn = parse_dsn(f"http://{KEY}@sentry.example.com/1", allow_insecure=True)
    assert dsn.envelope_url == "http://sentry.example.com/api/1/envelope/"


def test_the_dsn_may_be_left_to_dlt_by_its_own_word(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve()
    monkeypatch.setenv("DESTINATION__SENTRY_EVENTS__DSN", server.dsn("backend"))
    destination = sentry_events(dsn=dlt.secrets.value)
    dlt.pipeline("to_sentry", destination=destination).run(rows(2), table_name="errors")
    assert_once(server, rows(2))


def test_without_a_dsn_nothing_is_sent() -> None:
    with pytest.raises(SentryConfigurationError, match="No DSN"):
        submit_events(rows(1))


@pytest.mark.parametrize("variable", ["SENTRY_DSN", "DESTINATION__SENTRY_EVENTS__DSN"])
def test_the_dsn_may_stand_in_the_environment(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    server = serve()
    monkeypatch.setenv(variable, server.dsn("backend"))
    assert submit_events(rows(3)).totals == {"accepted": 3}
    pipeline = dlt.pipeline("to_sentry", destination=sentry_events())
    pipeline.run(rows(5), table_name="errors")
    assert_once(server, rows(5))


# What a row becomes.


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"event_id": ID.upper()}, {"event_id": ID}),
        ({"eventID": str(UUID(ID))}, {"event_id": ID}),
        ({"event_id": UUID(ID)}, {"event_id": ID}),
        ({"timestamp": WHEN}, {"timestamp": "2026-07-30T10:00:00Z"}),
        ({"timestamp": datetime(2026, 7, 30, 10)}, {"timestamp": "2026-07-30T10:00:00Z"}),  # noqa: DTZ001
        (
            {"timestamp": WHEN.astimezone(timezone(timedelta(hours=2)))},
            {"timestamp": "2026-07-30T10:00:00Z"},
        ),
        ({"timestamp": "2026-07-30 12:00:00.25+02:00"}, {"timestamp": "2026-07-30T10:00:00.250000Z"}),
        ({"timestamp": "2026-07-30T10:00:00"}, {"timestamp": "2026-07-30T10:00:00Z"}),
        ({"timestamp": date(2026, 7, 30)}, {"timestamp": "2026-07-30T00:00:00Z"}),
        ({"timestamp": 1785405600.5}, {"timestamp": 1785405600.5}),
        ({"timestamp": 1785405600}, {"timestamp": 1785405600}),
        ({"timestamp": "1785405600.5"}, {"timestamp": "2026-07-30T10:00:00.500000Z"}),
        ({"timestamp": Decimal("1785405600.5")}, {"timestamp": "2026-07-30T10:00:00.500000Z"}),
        ({"timestamp": None}, {"timestamp": "2026-08-01T12:00:00Z"}),
        ({"level": "Warning"}, {"level": "warning"}),
        ({"level": "critical"}, {"level": "fatal"}),
        ({}, {"platform": "other"}),
        ({"platform": "python"}, {"platform": "python"}),
        ({"message": "Hello"}, {"logentry": {"formatted": "Hello"}}),
        ({"message": {"message": "Hi %s", "params": ["x"]}}, {"logentry": {"message": "Hi %s", "params": ["x"]}}),
        ({"logentry": "Hello"}, {"logentry": {"formatted": "Hello"}}),
        (
            {"logentry": '{"message": "Hi %s"}', "message": "Hi x"},
            {"logentry": {"message": "Hi %s", "formatted": "Hi x"}},
        ),
        ({"tags": {"a": "b", "n": 1, "t": True, "none": None}}, {"tags": {"a": "b", "n": "1", "t": "true"}}),
        ({"tags": [["a", "b"], ("c", "d")]}, {"tags": {"a": "b", "c": "d"}}),
        ({"tags": [{"key": "a", "value": "b"}]}, {"tags": {"a": "b"}}),
        ({"tags": '{"a": "b"}'}, {"tags": {"a": "b"}}),
        ({"tags": '[{"key": "a", "value": {"deep": 1}}]'}, {"tags": {"a": '{"deep":1}'}}),
        ({"user": {"id": 1, "geo": {"city": "Vienna"}}}, {"user": {"id": 1, "geo": {"city": "Vienna"}}}),
        ({"user": '{"email": "a@example.com"}'}, {"user": {"email": "a@example.com"}}),
        ({"user": "42"}, {"user": {"id": "42"}}),
        (
            {"user_id": 7, "user_email": "a@example.com", "user_username": "a", "user_ip_address": "::1"},
            {"user": {"id": 7, "email": "a@example.com", "username": "a", "ip_address": "::1"}},
        ),
        ({"user": {"id": "1"}, "user_id": 2, "user_email": "e"}, {"user": {"id": "1", "email": "e"}}),
        ({"extra": {"a": 1}, "order": 7}, {"extra": {"a": 1, "order": 7}}),
        ({"extra": '{"a": {"b": []}}'}, {"extra": {"a": {"b": []}}}),
        ({"extra": "text"}, {"extra": {"extra": "text"}}),
        ({"contexts": '{"os": {"name": "Linux"}}'}, {"contexts": {"os": {"name": "Linux"}}}),
        (
            {"release": "a@1", "environment": "prod", "dist": 3, "serverName": "w1", "transaction": "/x", "logger": "l"},
            {"release": "a@1", "environment": "prod", "dist": "3", "server_name": "w1", "transaction": "/x", "logger": "l"},
        ),
        ({"release": {"version": "a@1", "dateCreated": None}}, {"release": "a@1"}),
        ({"exception": {"type": "E", "value": "v"}}, {"exception": {"values": [{"type": "E", "value": "v"}]}}),
        ({"exception": [{"type": "E"}, {"type": "F"}]}, {"exception": {"values": [{"type": "E"}, {"type": "F"}]}}),
        ({"exception": '{"values": [{"type": "E"}]}'}, {"exception": {"values": [{"type": "E"}]}}),
        (
            {"exception_type": "E", "exception_value": "v"},
            {"exception": {"values": [{"type": "E", "value": "v"}]}},
        ),
        (
            {"exception": [{"type": "E"}], "exception_type": "F"},
            {"exception": {"values": [{"type": "E"}]}, "extra": {"exception_type": "F"}},
        ),
        ({"fingerprint": ["a", 1, "{{ default }}"]}, {"fingerprint": ["a", "1", "{{ default }}"]}),
        ({"fingerprint": '["a"]'}, {"fingerprint": ["a"]}),
        ({"fingerprint": "just-this"}, {"fingerprint": ["just-this"]}),
        ({"breadcrumbs": [{"message": "m"}]}, {"breadcrumbs": {"values": [{"message": "m"}]}}),
        ({"sdk": {"name": "s", "version": "1"}}, {"sdk": {"name": "s", "version": "1"}}),
        ({"request": '{"url": "https://x"}'}, {"request": {"url": "https://x"}}),
        ({"stacktrace": "Traceback ...", "type": "refund"}, {"extra": {"stacktrace": "Traceback ...", "type": "refund"}}),
        ({"packages": 3, "context": "cart", "date_created": "?"}, {"extra": {"packages": 3, "context": "cart", "date_created": "?"}}),
        ({"_dlt_id": "x", "_dlt_load_id": "y", "amount": Decimal("1.10")}, {"extra": {"amount": "1.10"}}),
        ({"when": WHEN, "raw": b"\xff", "nan": float("nan")}, {"extra": {"when": "2026-07-30T10:00:00Z", "raw": "\\xff", "nan": None}}),
    ],
)  # fmt: skip
def test_columns_are_mapped_by_their_names(row: dict[str, Any], expected: dict[str, Any]) -> None:
    document = made(row)
    assert {name: document.get(name) for name in expected} == expected
    assert ("extra" in document) == ("extra" in expected)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"event_id": "short"}, "event_id is 'short', but must be a UUID"),
        ({"level": "bad"}, "level is 'bad', but must be one of"),
        ({"timestamp": "yesterday"}, "timestamp is 'yesterday', but must be a moment"),
        ({"timestamp": 1785405600123}, "must be a moment"),
        ({"timestamp": True}, "must be a moment"),
        ({"timestamp": float("nan")}, "must be a moment"),
        ({"tags": "a,b"}, "tags is a value of type str"),
        ({"tags": [["a"]]}, "tags is a value of type list"),
        ({"contexts": [1]}, "contexts is a value of type list"),
        ({"exception": "Traceback"}, "exception is a value of type str"),
        ({"breadcrumbs": [1]}, "breadcrumbs is a value of type list"),
        ({"user": [1]}, "user is a value of type list"),
        ({"environment": ["a"]}, "environment is a value of type list"),
        ({"type": "transaction"}, "Transactions are no error events"),
        ({"huge": 2**64}, "64-bit"),
        ({"text": "\ud800"}, "surrogates"),
        ({"text": "x" * MAX_EVENT_BYTES}, "1,048,6[0-9]{2} bytes as JSON; Sentry takes at most 1,048,576"),
    ],
)
def test_a_row_that_cannot_be_an_event_is_refused_with_its_column(row: dict[str, Any], says: str) -> None:
    with pytest.raises(UnusableEventError, match=says):
        parcel(row, NOW)


def test_the_largest_event_is_taken(serve: Serve) -> None:
    server = serve()
    base = len(orjson.dumps(event_document({"text": "", "timestamp": WHEN}, NOW)))
    text = "x" * (MAX_EVENT_BYTES - base)
    largest, larger = ({"text": text + more, "timestamp": WHEN} for more in ("", "x"))
    outcomes = submit_events([largest, larger], dsn=server.dsn("backend"))
    assert [one.outcome for one in outcomes.rows] == ["accepted", "refused"]
    assert [len(sent.raw) for sent in server.ingested.events] == [MAX_EVENT_BYTES]


def test_the_same_row_is_the_same_event_for_all_time() -> None:
    row = {"message": "m", "n": 1, "timestamp": WHEN}
    assert made(row)["event_id"] == "75c53f8b2bab5a0c8257036f9eefb1d3"
    again = {"timestamp": WHEN, "n": 1, "message": "m", "_dlt_id": "any", "new_column": None}
    assert made(again)["event_id"] == made(row)["event_id"]
    assert made({**row, "n": 2})["event_id"] != made(row)["event_id"]
    assert UUID(made(row)["event_id"]).version == 5


def test_rows_as_this_source_loads_them_can_be_sent() -> None:
    loaded = {
        "event_id": ID, "date_created": WHEN, "issue_id": "7", "title": "E: v", "message": "", "platform": "python",
        "tags": [{"key": "level", "value": "error"}], "entries": [{"type": "exception", "data": {"values": []}}],
        "context": {"a": 1}, "packages": {"dlt": "1"}, "user": {"id": "1", "ip_address": None}, "culprit": "f",
        "type": "error", "errors": [], "metadata": {"type": "E"}, "release": "a@1", "_dlt_load_id": "1",
    }  # fmt: skip
    document = made(loaded)
    assert document["timestamp"] == "2026-07-30T10:00:00Z"
    assert document["logentry"] == {"formatted": "E: v"}
    assert document["modules"] == {"dlt": "1"}
    assert document["tags"] == {"level": "error"}
    assert document["extra"] == {
        "a": 1, "issue_id": "7", "entries": loaded["entries"], "errors": [], "metadata": {"type": "E"},
    }  # fmt: skip


def test_every_event_the_stand_in_shows_can_be_sent_back(serve: Serve) -> None:
    server = serve()
    pipeline = dlt.pipeline("loaded", destination="duckdb", dataset_name="d")
    from sentry import sentry_source  # noqa: PLC0415 - the face, only here

    source = sentry_source(
        auth_token=server.token, organization="acme", base_url=server.url, start_date="2026-07-01"
    )
    pipeline.run(source.with_resources("events"))
    with pipeline.sql_client() as client, client.execute_query("SELECT * FROM events") as cursor:
        names = [column[0] for column in cursor.description]
        loaded = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    assert loaded
    assert submit_events(loaded, dsn=server.dsn("frontend")).totals == {"accepted": len(loaded)}


_texts = st.text(st.characters(exclude_categories=[]), max_size=20)
_scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | _texts | st.binary(max_size=5)
    | st.datetimes() | st.dates() | st.times() | st.decimals() | st.uuids()
)  # fmt: skip
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts | st.integers(), inner, max_size=3),
    max_leaves=8,
)
_names = st.sampled_from(
    ["event_id", "timestamp", "level", "message", "logentry", "tags", "user", "user_id", "extra", "contexts", "release",
     "exception", "exception_type", "fingerprint", "breadcrumbs", "sdk", "request", "threads", "title", "date_created",
     "context", "packages", "type", "dateCreated", "_meta", "_dlt_id", "entries", "modules", "environment"]
) | _texts  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(_names, _values | _values.map(lambda value: json.dumps(value, default=str)), max_size=8)
)
def test_any_row_becomes_an_envelope_that_parses_or_is_refused(row: dict[str, Any]) -> None:
    try:
        packed = parcel(row, NOW)
    except UnusableEventError:
        return
    raw = gzip.decompress(packed.body)
    strict = parse_envelope(raw)
    ((kind, payload),) = strict.items
    assert (kind, strict.event_id) == ("event", packed.event_id)
    assert orjson.loads(payload)["event_id"] == packed.event_id
    (item,) = Envelope.deserialize(raw).items
    assert (item.get_event() or {})["event_id"] == packed.event_id
    assert parcel(row, NOW).event_id == packed.event_id


# On the wire.


@pytest.mark.parametrize("legacy", [False, True])
def test_an_event_is_sent_with_one_form_of_the_key_below_a_path(serve: Serve, legacy: bool) -> None:
    server = serve(switches=Switches(path_prefix="/tools/sentry"))
    assert submit_event({"message": "hello", "event_id": ID}, server.dsn("backend", legacy=legacy)) == ID
    (request,) = server.requests
    assert request.path == f"/tools/sentry/api/{server.world.project('backend').id}/envelope/"
    auth = request.headers["x-sentry-auth"]
    assert auth.startswith("Sentry sentry_version=7, sentry_client=dlt-sentry/1.0, sentry_key=")
    assert ("sentry_secret=" in auth) == legacy
    assert "authorization" not in request.headers
    assert request.headers["content-type"] == "application/x-sentry-envelope"
    assert request.headers["content-encoding"] == "gzip"
    assert server.ingested.events[0].document["logentry"] == {"formatted": "hello"}


def test_a_netrc_adds_no_second_form_of_the_key(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = serve()
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert submit_events(rows(1), dsn=server.dsn("backend")).totals == {"accepted": 1}


def test_the_protocol_version_is_a_setting(serve: Serve) -> None:
    server = serve()
    assert submit_event({"message": "m"}, server.dsn("backend"), version=5)
    assert "sentry_version=5" in server.requests[0].headers["x-sentry-auth"]
    with pytest.raises(SubmissionError, match=r"unsupported protocol version \(8\)"):
        submit_events(rows(500), dsn=server.dsn("backend"), version=8)
    assert len(server.requests) < 15


def test_the_outcome_of_every_row_is_returned_and_written(serve: Serve, tmp_path: Path) -> None:
    server, file = serve(), tmp_path / "outcomes.jsonl"
    file.write_text('{"row":"of an earlier run"}\n')
    given_rows = [{"event_id": ID, "message": "a"}, {"level": "bad"}, {"message": "b"}]
    outcomes = submit_events(given_rows, dsn=server.dsn("backend"), outcomes=file)
    assert str(outcomes) == "2 accepted, 1 refused, 0 unsure"
    assert outcomes.rows[0] == Outcome(0, ID, "accepted", 200)
    assert [one.outcome for one in outcomes.rows] == ["accepted", "refused", "accepted"]
    assert "level is 'bad'" in str(outcomes.rows[1].reason)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[1] == {"row": 0, "event_id": ID, "outcome": "accepted", "status": 200, "reason": None}
    assert [line["row"] for line in lines[1:]] == [0, 1, 2]


def test_a_file_of_outcomes_that_cannot_be_is_said_before_anything_is_sent(serve: Serve) -> None:
    server = serve()
    with pytest.raises(SentryConfigurationError, match="nowhere"):
        submit_events(rows(1), dsn=server.dsn("backend"), outcomes="nowhere/at/all")
    assert not server.requests


def test_one_event_that_is_refused_is_an_error(serve: Serve) -> None:
    server = serve()
    with pytest.raises(UnusableEventError, match="level"):
        submit_event({"level": "bad"}, server.dsn("backend"))
    server.fail_next(status=413, body=b'{"detail": "too large"}', content_type="application/json")
    with pytest.raises(SentryRequestError, match="413: too large"):
        submit_event({"message": "m"}, server.dsn("backend"))


def test_a_refused_key_ends_it_at_once(serve: Serve) -> None:
    server = serve()
    dsn = server.dsn("backend").replace(server.world.project("backend").public_key, OTHER_KEY)
    with pytest.raises(SubmissionError, match="unknown, disabled, or another project's") as raised:
        submit_events(rows(10_000), dsn=dsn)
    assert not raised.value.retry
    assert raised.value.status == 403
    assert len(server.requests) <= 8
    assert OTHER_KEY not in str(raised.value)


def test_a_redirect_is_not_followed(serve: Serve) -> None:
    server = serve()
    server.fail_next(10, status=302, headers={"Location": "https://example.com/"})
    with pytest.raises(SubmissionError, match="redirected, which is not followed"):
        submit_events(rows(10), dsn=server.dsn("backend"))


def test_a_page_that_is_no_answer_of_a_relay_is_no_success(serve: Serve) -> None:
    server = serve()
    server.fail_next(100, status=200, body=b"<html>Log in</html>")
    with pytest.raises(SubmissionError) as raised:
        submit_events(rows(10), dsn=server.dsn("backend"))
    assert "accepted" not in raised.value.outcomes.totals


def test_what_is_no_row_is_refused_as_one(serve: Serve) -> None:
    server = serve()
    outcomes = submit_events([*rows(2), "text", None, *rows(4)[2:]], dsn=server.dsn("backend"))  # type: ignore[list-item]
    assert outcomes.totals == {"accepted": 4, "refused": 2}
    assert_once(server, rows(4))


@pytest.mark.parametrize("status", [400, 403, 413, 500])
def test_a_row_that_the_server_refuses_does_not_keep_the_others(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    server = serve()
    _poison(monkeypatch, status)
    outcomes = submit_events([*rows(50), {"message": "poison"}, *rows(60)[50:]], dsn=server.dsn("backend"))
    assert_once(server, rows(60))
    poisoned = outcomes.rows[50]
    assert poisoned.outcome == ("unsure" if status == 500 else "refused")
    assert (poisoned.status, poisoned.reason) == (status, f"{status}: poisonous")


def test_an_event_that_the_server_says_it_has_is_there(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve()
    _poison(monkeypatch, 403, "An event with the same ID already exists")
    assert submit_events([{"message": "poison"}], dsn=server.dsn("backend")).totals == {"accepted": 1}


def _poison(monkeypatch: pytest.MonkeyPatch, status: int, detail: str = "poisonous") -> None:
    """Let the relay refuse events that carry the word."""
    from sandbox import relay  # noqa: PLC0415

    original = relay._document

    def read(raw: bytes) -> dict[str, object]:
        if b"poison" in raw:
            raise refused(status, detail)
        return original(raw)

    monkeypatch.setattr(relay, "_document", read)


# Under pressure.


@contextmanager
def storm(act: Callable[[], object], every: float, times: int) -> Iterator[None]:
    """Does something again and again beside the test."""

    def blow() -> None:
        for _ in range(times):
            act()
            time.sleep(every)

    thread = threading.Thread(target=blow)
    thread.start()
    yield
    thread.join()


def test_storms_of_429_lose_nothing_and_send_nothing_twice(serve: Serve) -> None:
    server = serve()
    started = time.monotonic()
    with storm(lambda: server.limit_ingest("error", seconds=1), every=1.1, times=3):
        outcomes = submit_events(rows(1500), dsn=server.dsn("backend"))
    assert time.monotonic() - started < 60
    assert outcomes.totals == {"accepted": 1500}
    assert_once(server, rows(1500))
    assert server.ingested.outcomes["duplicate", "event"] == 0
    assert 0 < server.ingested.outcomes["rate_limited", "event"] <= 4 * 4


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"X-Sentry-Rate-Limits": "1:error:organization"}, 1),
        ({"X-Sentry-Rate-Limits": "60:transaction:key, 1::organization:quota"}, 1),
        ({"X-Sentry-Rate-Limits": "60:transaction;span:organization"}, 0),
        ({"X-Sentry-Rate-Limits": "nonsense, 60, ::, x:error:key"}, 0),
    ],
)
def test_a_limit_told_with_a_success_is_obeyed(serve: Serve, headers: dict[str, str], wait: int) -> None:
    server = serve()
    server.fail_next(status=200, body=b'{"id": "x"}', content_type="application/json", headers=headers)
    submit_event({"message": "the last before the limit"}, server.dsn("backend"))
    server.fail_next(status=200, body=b'{"id": "x"}', content_type="application/json", headers=headers)
    started = time.monotonic()
    assert submit_events(rows(100), dsn=server.dsn("backend")).totals == {"accepted": 100}
    assert wait <= time.monotonic() - started < wait + 50


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "1"},
        {"Retry-After": "0"},
        {"Retry-After": "Wed, 01 Jan 2025 00:00:00 GMT"},
        {"Retry-After": "60", "X-Sentry-Rate-Limits": "1:error:key"},
    ],
)
def test_a_429_says_how_long_to_wait(serve: Serve, headers: dict[str, str]) -> None:
    server = serve()
    server.fail_next(status=429, headers=headers)
    started = time.monotonic()
    submit_event({"message": "m"}, server.dsn("backend"))
    assert 1 <= time.monotonic() - started < 50


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "100"}, {"X-Sentry-Rate-Limits": "190::key"}])
def test_a_limit_beyond_the_bound_ends_it_without_waiting(serve: Serve, headers: dict[str, str]) -> None:
    server = serve()
    server.fail_next(1000, status=429, headers=headers)
    started = time.monotonic()
    with pytest.raises(SubmissionError, match="max_wait") as raised:
        submit_events(rows(100), dsn=server.dsn("backend"), max_wait=50)
    assert time.monotonic() - started < 50
    assert raised.value.retry
    assert set(raised.value.outcomes.totals) == {"unsure"}


def test_all_waits_together_are_bounded(serve: Serve) -> None:
    server = serve()
    server.fail_next(1000, status=429, headers={"Retry-After": "1"})
    started = time.monotonic()
    with pytest.raises(SubmissionError, match="all waits together"):
        submit_events(rows(10), dsn=server.dsn("backend"), max_total_wait=2.5)
    assert 1.9 < time.monotonic() - started < 50


def test_an_overloaded_server_gets_the_events_again(serve: Serve) -> None:
    server = serve()
    with storm(lambda: server.overload_ingest(3), every=0.1, times=5):
        assert submit_events(rows(400), dsn=server.dsn("backend")).totals == {"accepted": 400}
    assert_once(server, rows(400))


@pytest.mark.parametrize("drop", ["before", "body"])
def test_broken_connections_lose_nothing_and_make_nothing_twice(serve: Serve, drop: Any) -> None:
    server = serve()
    with storm(lambda: server.fail_next(3, status=200, body=b'{"id": "cut"}', drop=drop), every=0.1, times=5):
        assert submit_events(rows(400), dsn=server.dsn("backend")).totals == {"accepted": 400}
    assert_once(server, rows(400))


@pytest.mark.parametrize("seed", range(3))
def test_in_any_weather_each_event_is_on_the_server_once(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    server, dice = serve(), random.Random(seed)  # noqa: S311 - weather, no secrets
    answers_lost = _lose_answers(monkeypatch, dice)

    def weather() -> None:
        kinds: list[Callable[[], None]] = [
            lambda: server.overload_ingest(dice.randrange(30)),
            lambda: server.fail_next(dice.randrange(8), status=dice.choice([500, 502, 504])),
            lambda: server.fail_next(dice.randrange(8), drop="before"),
            lambda: server.fail_next(dice.randrange(8), status=200, body=b'{"id": "x"}', drop="body"),
            lambda: server.fail_next(dice.randrange(8), status=429, headers={"Retry-After": "1"}),
        ]
        dice.choice(kinds)()

    with storm(weather, every=0.1, times=20):
        while True:
            try:
                outcomes = submit_events(rows(300), dsn=server.dsn("backend"))
            except SubmissionError as error:
                assert error.retry  # noqa: PT017 - it is raised in some weathers only
            else:
                break
    assert set(outcomes.totals) <= {"accepted", "unsure"}
    monkeypatch.undo()
    server.unlimit_ingest()
    server.clear_hooks()
    submit_events(rows(300), dsn=server.dsn("backend"))
    assert_once(server, rows(300))
    assert answers_lost
    assert server.ingested.outcomes["duplicate", "event"] > 0


def _lose_answers(monkeypatch: pytest.MonkeyPatch, dice: random.Random) -> list[str]:
    """Let the relay keep some events and answer as if it had not."""
    from sandbox.relay import Relay  # noqa: PLC0415

    keep, lost = Relay._handle, list[str]()

    def handle(self: Relay, project: Any, envelope: Any) -> Any:
        answer = keep(self, project, envelope)
        if dice.random() < 0.05:
            lost.append(envelope.event_id)
            raise refused(502, "bad gateway")
        return answer

    monkeypatch.setattr(Relay, "_handle", handle)
    return lost


def test_trouble_that_stays_ends_it_and_what_was_sent_is_known(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    submit_events(rows(10), dsn=server.dsn("backend"))
    server.overload_ingest(100_000)
    with pytest.raises(SubmissionError, match="Nothing is wrong with the events") as raised:
        submit_events(rows(500), dsn=server.dsn("backend"), outcomes=tmp_path / "o")
    assert raised.value.retry
    assert set(raised.value.outcomes.totals) == {"unsure"}
    assert len((tmp_path / "o").read_text().splitlines()) == len(raised.value.outcomes.rows) <= 4
    server.unlimit_ingest()
    submit_events(rows(500), dsn=server.dsn("backend"))
    assert_once(server, rows(500))


def test_a_server_that_is_not_there_is_said(serve: Serve) -> None:
    with pytest.raises(SubmissionError, match=r"no answer from 127\.0\.0\.1:9 \(ConnectionError\)") as raised:
        submit_events(rows(10), dsn=f"http://{KEY}@127.0.0.1:9/1")
    assert raised.value.retry


# Interrupted, and sent again.

KILLED = """
import os, sys
sys.path.insert(0, {root!r})
import dlt
from datetime import UTC, datetime
from sentry.event_submission import sentry_events, submit_events

when = datetime(2026, 7, 30, 10, tzinfo=UTC)
rows = [{{"message": f"row {{n}}", "number": n, "timestamp": when}} for n in range(3000)]
if sys.argv[1] == "function":
    submit_events(rows, outcomes="outcomes")
else:
    pipeline = dlt.pipeline("to_sentry", destination=sentry_events(outcomes="outcomes"))
    pipeline.run([] if pipeline.has_pending_data else rows, table_name="errors")
"""


@pytest.mark.parametrize("form", ["function", "pipeline"])
def test_after_a_kill_each_event_is_on_the_server_once(serve: Serve, tmp_path: Path, form: str) -> None:
    server = serve()
    (tmp_path / "send.py").write_text(KILLED.format(root=str(ROOT)))
    command = [sys.executable, "send.py", form]
    environment = {**os.environ, "SENTRY_DSN": server.dsn("backend")}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment)
    while server.ingested["event"] < 1200:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = server.ingested["event"]
    assert before < 3000
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert_once(server, [{"number": number} for number in range(3000)])
    if form == "pipeline":  # finished batches are not sent again
        assert server.ingested["event"] - before <= 3000 - 1000


def test_a_refused_row_never_keeps_a_load_from_its_end(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    destination = sentry_events(dsn=server.dsn("backend"), outcomes=tmp_path / "o")
    pipeline = dlt.pipeline("to_sentry", destination=destination)
    info = pipeline.run([*rows(5), {"level": "bad"}], table_name="errors")
    assert not info.has_failed_jobs
    assert not pipeline.has_pending_data
    assert_once(server, rows(5))
    assert destination.totals == {"accepted": 5, "refused": 1}
    assert [one.outcome for one in destination.refused] == ["refused"]
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "o").read_text().splitlines()]
    assert len([reason for reason in reasons if reason]) == 1


def test_nested_values_and_camel_case_arrive_as_they_are(serve: Serve) -> None:
    server = serve()
    row = {"eventID": ID, "tags": {"a": "b"}, "myColumn": {"Deep": [{"aB": 1}]}, "dateCreated": WHEN}
    dlt.pipeline("to_sentry", destination=sentry_events(dsn=server.dsn("backend"))).run([row], table_name="t")
    (sent,) = server.ingested.events
    assert sent.document == {
        "event_id": ID, "tags": {"a": "b"}, "extra": {"myColumn": {"Deep": [{"aB": 1}]}}, "platform": "other",
        "timestamp": "2026-07-30T10:00:00Z",
    }  # fmt: skip


def test_a_load_into_an_overloaded_server_is_sent_again_by_dlt(serve: Serve) -> None:
    server = serve()
    server.overload_ingest(45)
    pipeline = dlt.pipeline("to_sentry", destination=sentry_events(dsn=server.dsn("backend")))
    pipeline.run(rows(20), table_name="errors")
    assert_once(server, rows(20))


def test_a_load_with_a_refused_key_is_done_when_the_key_is_right(serve: Serve) -> None:
    server = serve()
    wrong = server.dsn("backend").replace(server.world.project("backend").public_key, OTHER_KEY)
    with pytest.raises(PipelineStepFailed) as raised:
        dlt.pipeline("to_sentry", destination=sentry_events(dsn=wrong)).run(rows(20), table_name="errors")
    assert OTHER_KEY not in str(raised.value)
    pipeline = dlt.pipeline("to_sentry", destination=sentry_events(dsn=server.dsn("backend")))
    assert pipeline.has_pending_data
    pipeline.load()
    assert_once(server, rows(20))


# What must not be told.


def test_the_keys_are_nowhere_but_in_the_header(
    serve: Serve, everything_logged: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    everything_logged.set_level("DEBUG")
    server = serve()
    dsn, key = server.dsn("backend", legacy=True), server.world.project("backend").public_key
    wrong = server.dsn("frontend", legacy=True).replace(server.world.project("frontend").public_key, key)
    destination = sentry_events(dsn=dsn, outcomes=tmp_path / "o")
    pipeline = dlt.pipeline("to_sentry", destination=destination)
    info = pipeline.run(rows(3), table_name="errors")
    told = [
        repr(destination),
        str(info),
        repr(pipeline),
        str(pipeline.last_trace),
        json.dumps(info.asdict(), default=str),
    ]
    server.fail_next(100, status=400, body=json.dumps({"detail": f"what is {dsn}?"}).encode())
    for attempt in (dsn, wrong):
        with pytest.raises(SubmissionError) as raised:
            submit_events(rows(3), dsn=attempt)
        told += [
            str(raised.value),
            repr(raised.value),
            repr(raised.value.outcomes),
            repr(raised.value.__context__),
        ]
        server.clear_hooks()
    told += [everything_logged.text]
    told += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert "POST envelope" in everything_logged.text
    for text in told:
        assert key not in text
        assert SECRET not in text
