"""Events of many shapes reach a real server, written by others, as they were collected."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import dlt
import pytest

from sentry.event_submission import SubmissionError, sentry_events, submit_events
from tests.bugsink import Bugsink, BugsinkUnavailableError, install, running

EVENTS = int(os.environ.get("BUGSINK_EVENTS", "1000"))

Shape = Callable[[random.Random], dict[str, Any]]


@pytest.fixture(scope="module")
def bugsink(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bugsink]:
    try:
        binaries = install(pytestconfig.cache.mkdir("bugsink"))
    except BugsinkUnavailableError as error:
        pytest.skip(str(error))
    with running(binaries, tmp_path_factory.mktemp("bugsink")) as server:
        yield server


def frames(dice: random.Random, count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"function": f"step_{number}", "filename": f"app/part{number % 7}.py", "lineno": dice.randrange(1, 999), **more}
        for number in range(count)
    ]  # fmt: skip


def python(dice: random.Random) -> dict[str, Any]:
    shown = {
        "abs_path": "/srv/app/part.py", "module": "app.part", "in_app": True, "context_line": "    raise E(x)",
        "pre_context": ["def f(x):"], "post_context": [""], "vars": {"x": "'1'", "deep": {"a": [1, None, "b"]}},
    }  # fmt: skip
    cause = {
        "type": "KeyError",
        "value": "'id'",
        "module": "builtins",
        "stacktrace": {"frames": frames(dice, 3)},
    }
    last = {
        "type": "OrderError", "value": f"order {dice.randrange(99)} lost", "module": "app.errors", "thread_id": 7,
        "mechanism": {"type": "logging", "handled": True}, "stacktrace": {"frames": frames(dice, 5, **shown)},
    }  # fmt: skip
    return {"platform": "python", "exception": {"values": [cause, last]}, "modules": {"dlt": "1.31.0"}}


def javascript(dice: random.Random) -> dict[str, Any]:
    where = {
        "abs_path": "https://example.com/static/app.1f2e.min.js",
        "colno": dice.randrange(9999),
        "in_app": True,
    }
    thrown = {
        "type": "TypeError",
        "value": "x is undefined",
        "stacktrace": {"frames": frames(dice, 9, **where)},
    }
    return {
        "platform": "javascript", "exception": {"values": [thrown]},
        "request": {"url": "https://example.com/a?b=1", "headers": [["User-Agent", "Mozilla/5.0 Firefox/140.0"]]},
        "contexts": {"browser": {"name": "Firefox", "version": "140.0", "type": "browser"}},
    }  # fmt: skip


def native(dice: random.Random) -> dict[str, Any]:
    stack = [
        {"instruction_addr": hex(0x7F0000000000 + dice.randrange(1 << 20)), "symbol_addr": "0x7f0000000000",
         "package": "/usr/lib/libc.so.6"}
        for _ in range(12)
    ]  # fmt: skip
    image = {
        "type": "elf", "code_file": "/usr/lib/libc.so.6", "image_addr": "0x7f0000000000", "image_size": 1_000_000,
        "debug_id": str(UUID(int=dice.getrandbits(128))), "code_id": "f00d",
    }  # fmt: skip
    crash = {
        "type": "SIGSEGV",
        "value": "Segfault",
        "stacktrace": {"frames": stack, "registers": {"rip": "0x7f0000000010"}},
    }
    return {
        "platform": "native",
        "level": "fatal",
        "exception": {"values": [crash]},
        "debug_meta": {"images": [image]},
    }


def java(dice: random.Random) -> dict[str, Any]:
    thread = {
        "id": 1,
        "name": "main",
        "crashed": True,
        "current": True,
        "stacktrace": {"frames": frames(dice, 4)},
    }
    thrown = {
        "type": "NullPointerException",
        "module": "java.lang",
        "thread_id": 1,
        "stacktrace": {"frames": frames(dice, 4)},
    }
    return {"platform": "java", "threads": {"values": [thread]}, "exception": {"values": [thrown]}}


def unicode(dice: random.Random) -> dict[str, Any]:
    words = [
        "Grüße",
        "日本語",
        "🤖👩‍👩‍👧",
        "שלום",
        "a\u0301",
        "\u200b",
        "\x00\x07\x1b",
        '"\\',
        "\u2028\r\n\t",
    ]
    text = " ".join(dice.sample(words, len(words)))
    return {
        "logentry": {"formatted": text}, "tags": {"größe": "ß"}, "extra": {text: text}, "environment": "prüfung",
        "user": {"username": "Ωmega", "email": "müller@example.com"}, "transaction": "/straße/{id}",
    }  # fmt: skip


def breadcrumbs(dice: random.Random) -> dict[str, Any]:
    crumbs = [
        {"timestamp": 1785405600.25 + number, "type": "http", "category": "fetch", "level": "info",
         "message": f"GET /{dice.randrange(99)}", "data": {"status_code": 200, "url": "/x", "nested": {"a": [1]}}}
        for number in range(100)
    ]  # fmt: skip
    return {
        "platform": "javascript",
        "logentry": {"formatted": "with crumbs"},
        "breadcrumbs": {"values": crumbs},
    }


def large(dice: random.Random) -> dict[str, Any]:
    chunks = {f"chunk_{number}": dice.randbytes(2000).hex() for number in range(110)}
    return {"logentry": {"formatted": "900 KB"}, "extra": {**chunks, "padding": "x" * 450_000}}


def template(dice: random.Random) -> dict[str, Any]:
    name = f"user {dice.randrange(9)}"
    entry = {"message": "Hello %s, %s", "params": [name, "again"], "formatted": f"Hello {name}, again"}
    return {"logentry": entry, "logger": "app.greeter", "level": "info"}


def tags(dice: random.Random) -> dict[str, Any]:
    made = {f"tag.{number}": f"value-{dice.randrange(5)}" for number in range(50)}
    return {"logentry": {"formatted": "tagged"}, "tags": made}


def request(dice: random.Random) -> dict[str, Any]:
    return {
        "logentry": {"formatted": "failed request"},
        "request": {
            "method": "POST", "url": "https://example.com/cart", "query_string": [["a", "1"], ["b", ""]],
            "data": {"items": [dice.randrange(9), {"sku": "ü"}]}, "headers": [["Host", "example.com"]],
            "cookies": [["theme", "dark"]], "env": {"REMOTE_ADDR": "10.0.0.1"},
        },
    }  # fmt: skip


def user(dice: random.Random) -> dict[str, Any]:
    person = {
        "id": str(dice.randrange(999)), "email": "a@example.com", "username": "a", "ip_address": "2001:db8::1",
        "name": "A", "geo": {"country_code": "AT", "city": "Vienna", "region": "Vienna"}, "data": {"plan": "team"},
    }  # fmt: skip
    return {"logentry": {"formatted": "by a user"}, "user": person}


def contexts(dice: random.Random) -> dict[str, Any]:
    trace = {
        "trace_id": f"{dice.getrandbits(128):032x}",
        "span_id": f"{dice.getrandbits(64):016x}",
        "op": "task",
    }
    return {
        "logentry": {"formatted": "somewhere"},
        "contexts": {
            "os": {"name": "Linux", "version": "6.1", "type": "os"}, "runtime": {"name": "CPython", "version": "3.13"},
            "device": {"family": "Server", "memory_size": 1 << 34}, "trace": trace, "job": {"attempt": 3, "queue": "q"},
        },
    }  # fmt: skip


def fingerprint(dice: random.Random) -> dict[str, Any]:
    return {
        "logentry": {"formatted": "grouped"},
        "fingerprint": ["{{ default }}", f"shard-{dice.randrange(3)}"],
    }


def extra(dice: random.Random) -> dict[str, Any]:
    deep: Any = "end"
    for number in range(30):
        deep = {f"level{number}": [deep]}
    numbers: list[Any] = [0, -1, 2**53 + 1, 2**63 - 1, 1e-300, 0.1, dice.random(), True, None, [], {}]
    return {
        "logentry": {"formatted": "extras"},
        "extra": {"deep": deep, "numbers": numbers, "": "empty name"},
    }


def deployed(dice: random.Random) -> dict[str, Any]:
    return {
        "logentry": {"formatted": "deployed"}, "release": f"shop@1.{dice.randrange(4)}.0+build", "dist": "42",
        "environment": "production", "server_name": "web-7.example.com", "transaction": "/cart/{id}",
    }  # fmt: skip


def csharp(dice: random.Random) -> dict[str, Any]:
    group = [
        {"type": "AggregateException", "value": "two failed",
         "mechanism": {"type": "chained", "exception_id": 0, "is_exception_group": True}},
        {"type": "TimeoutException", "value": f"after {dice.randrange(9)} s", "stacktrace": {"frames": frames(dice, 2)},
         "mechanism": {"type": "chained", "exception_id": 1, "parent_id": 0, "source": "InnerExceptions[0]"}},
    ]  # fmt: skip
    return {"platform": "csharp", "exception": {"values": group}}


def deep_stack(dice: random.Random) -> dict[str, Any]:
    thrown = {"type": "RecursionError", "value": "too deep", "stacktrace": {"frames": frames(dice, 250)}}
    return {"platform": "python", "exception": {"values": [thrown]}}


def levels(dice: random.Random) -> dict[str, Any]:
    level = dice.choice(["debug", "info", "warning", "error", "fatal"])
    return {"logentry": {"formatted": level}, "level": level, "logger": "root", "culprit": "app in main"}


def minimal(dice: random.Random) -> dict[str, Any]:
    return {"timestamp": 1785405600.125 + dice.randrange(1000)}


def sdk(dice: random.Random) -> dict[str, Any]:
    package = {"name": "pypi:sentry-sdk", "version": "2.75.0"}
    known = {"name": "sentry.python", "version": "2.75.0", "packages": [package], "integrations": ["logging"]}
    return {"platform": "python", "sdk": known, "stacktrace": {"frames": frames(dice, 2)}}


SHAPES: tuple[Shape, ...] = (
    python, javascript, native, java, unicode, breadcrumbs, large, template, tags, request, user, contexts,
    fingerprint, extra, deployed, csharp, deep_stack, levels, minimal, sdk,
)  # fmt: skip


def collected(count: int, seed: int = 1) -> dict[str, dict[str, Any]]:
    """Events of Sentry's schema, by their id; shape after shape."""
    dice = random.Random(seed)  # noqa: S311 - shapes, no secrets
    made = [
        {
            "event_id": f"{dice.getrandbits(128):032x}",
            "timestamp": f"2026-07-30T10:{number // 60 % 60:02}:{number % 60:02}.5Z",
            "platform": "other",
            **SHAPES[number % len(SHAPES)](dice),
        }
        for number in range(count)
    ]
    return {document["event_id"]: document for document in made}


def as_stored(document: dict[str, Any]) -> dict[str, Any]:
    """Moments are written in one form; all else stays as it is."""
    moment = document["timestamp"]
    return {**document, "timestamp": moment.replace(".5Z", ".500000Z") if isinstance(moment, str) else moment}


def test_a_thousand_events_of_twenty_shapes_arrive_whole(bugsink: Bugsink) -> None:
    assert len(SHAPES) == 20
    sent, dsn = collected(EVENTS), bugsink.project("whole")
    started = time.monotonic()
    outcomes = submit_events(sent.values(), dsn=dsn)
    print(f"{EVENTS} events in {time.monotonic() - started:.1f} s")
    assert [one.event_id for one in outcomes.rows] == list(sent)
    assert outcomes.totals == {"accepted": EVENTS}
    stored = bugsink.events(dsn)
    assert stored.keys() == sent.keys()
    for event_id, document in sent.items():
        assert stored[event_id] == as_stored(document)


def test_rows_of_a_warehouse_arrive_by_a_load_once_however_often_it_is_repeated(bugsink: Bugsink) -> None:
    dsn = bugsink.project("load")
    pipeline = dlt.pipeline("to_bugsink", destination=sentry_events(dsn=dsn))
    rows = [
        {"message": f"job {number} failed", "level": "warning", "tags": json.dumps({"job": f"j{number}"}),
         "user_email": "a@example.com", "exception_type": "JobError", "exception_value": "no rows", "cost": 1.5}
        for number in range(30)
    ]  # fmt: skip
    for _ in range(2):
        pipeline.run(rows, table_name="failures")
    stored = bugsink.events(dsn).values()
    assert sorted(one["tags"]["job"] for one in stored) == sorted(f"j{number}" for number in range(30))
    for one in stored:
        assert one["exception"] == {"values": [{"type": "JobError", "value": "no rows"}]}
        assert (one["level"], one["user"], one["extra"]) == (
            "warning",
            {"email": "a@example.com"},
            {"cost": 1.5},
        )


def test_a_key_that_the_server_does_not_know_ends_it(bugsink: Bugsink) -> None:
    dsn, key = bugsink.project("key"), "0" * 31 + "1"
    wrong = dsn.replace(dsn.split("//")[1].split("@")[0], key)
    with pytest.raises(SubmissionError, match="unknown, disabled") as raised:
        submit_events(collected(40).values(), dsn=wrong)
    assert key not in str(raised.value)
    assert not bugsink.events(dsn)
