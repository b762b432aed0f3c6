"""The programs of the sandbox, run as a user runs them, against a server that keeps what it is sent."""

from __future__ import annotations

import gzip
import itertools
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sentry_sdk.envelope import Envelope

from sandbox.programs import PROGRAMS, ProgramError, run_all

ROOT = Path(__file__).resolve().parents[1]
NAMES = [program.name for program in PROGRAMS]
RELEASE = "shop@1.5.0"

Event = dict[str, Any]


class Collector(ThreadingHTTPServer):
    """Takes envelopes for any project and keeps them under the project's name."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.status = status
        self.envelopes: dict[int, list[Envelope]] = {}
        self.lock = threading.Lock()

    def dsn(self, project: int) -> str:
        return f"http://{'0' * 31}1@127.0.0.1:{self.server_port}/{project}"

    def keep(self, path: str, body: bytes) -> None:
        project = int(path.split("/")[2])
        with self.lock:
            self.envelopes.setdefault(project, []).append(Envelope.deserialize(body))

    def events(self, project: int) -> list[Event]:
        items = (item for envelope in self.envelopes.get(project, []) for item in envelope.items)
        return [item.payload.json for item in items if item.type == "event" and item.payload.json]


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Encoding"] == "gzip"
        self.server.keep(self.path, gzip.decompress(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def collector(status: int = 200) -> Iterator[Collector]:
    with Collector(status) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Arrived:
    """What all programs sent for one seed, each to a project of its own, and how many they say they sent."""

    def __init__(self, server: Collector, seed: int, first_project: int = 1) -> None:
        self.server = server
        projects = dict(zip(NAMES, itertools.count(first_project), strict=False))
        dsns = {name: server.dsn(project) for name, project in projects.items()}
        self.sent = run_all(dsns, release=RELEASE, environment="staging", seeds=[seed])
        self.events = {name: server.events(project) for name, project in projects.items()}

    def all(self) -> list[Event]:
        return [event for name in NAMES for event in self.events[name]]

    def raised(self) -> dict[str, Counter[tuple[object, ...]]]:
        return {name: Counter(map(raised, events)) for name, events in self.events.items()}


@pytest.fixture(scope="module")
def arrived() -> Iterator[Arrived]:
    with collector() as server:
        yield Arrived(server, seed=1)


def start(name: str, dsn: str, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"sandbox.programs.{name}", "--dsn", dsn, *more]
    surroundings = {**os.environ, **environment}
    return subprocess.run(
        command, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=30, check=False
    )


def chain(event: Event) -> tuple[str, ...]:
    """The types of an event's exceptions, the last one raised at the end; empty for a plain message."""
    return tuple(value["type"] for value in event.get("exception", {}).get("values", []))


def chains(events: list[Event]) -> Counter[tuple[str, ...]]:
    return Counter(chain(event) for event in events)


def raised(event: Event) -> tuple[object, ...]:
    """What the program was told, without what differs in each run (times, ids, memory addresses)."""
    values = event.get("exception", {}).get("values", [])
    message = event.get("message") or event.get("logentry", {}).get("formatted")
    return (event["level"], message, *((value["type"], value["value"]) for value in values))


def issue(event: Event) -> tuple[object, ...]:
    """What makes two events one issue: its fingerprint, where it was raised, or its template."""
    if "fingerprint" in event:
        return tuple(event["fingerprint"])
    places = [
        (
            value["type"],
            *(frame["function"] for frame in value["stacktrace"]["frames"] if frame.get("in_app")),
        )
        for value in event.get("exception", {}).get("values", [])
        if value.get("stacktrace")
    ]
    return tuple(places) if places else (event["logentry"]["message"],)


def one(events: list[Event], *types: str) -> Event:
    return next(event for event in events if chain(event) == types)


def breadcrumbs(event: Event) -> list[Mapping[str, Any]]:
    crumbs: list[Mapping[str, Any]] = event.get("breadcrumbs", {}).get("values", [])
    return crumbs


def mechanism(value: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = value["mechanism"]
    return found


def test_every_event_a_program_counts_arrives(arrived: Arrived) -> None:
    assert arrived.sent == len(arrived.all())
    assert 40 <= arrived.sent <= 80
    assert all(arrived.events.values())
    assert len({event["event_id"] for event in arrived.all()}) == arrived.sent


def test_the_events_are_12_to_20_issues(arrived: Arrived) -> None:
    issues = Counter((name, issue(event)) for name in NAMES for event in arrived.events[name])
    assert 12 <= len(issues) <= 20
    assert max(issues.values()) > 1


def test_an_envelope_holds_one_event_and_nothing_else(arrived: Arrived) -> None:
    for envelopes in arrived.server.envelopes.values():
        assert [[item.type for item in envelope.items] for envelope in envelopes] == [["event"]] * len(
            envelopes
        )


def test_every_event_names_its_release_environment_and_job(arrived: Arrived) -> None:
    for name in NAMES:
        for event in arrived.events[name]:
            assert (event["release"], event["environment"]) == (RELEASE, "staging")
            assert event["tags"]["job"] == name
            assert event["platform"] == "python"


def test_users_are_invented_and_nothing_of_the_machine_is_told(arrived: Arrived) -> None:
    users = [event["user"] for event in arrived.all() if event.get("user")]
    assert users
    for user in users:
        assert user == {"id": user["id"], "email": f"user{user['id']}@example.com"}
    assert {event["server_name"] for event in arrived.all()} == {"worker-1"}
    assert not any("sys.argv" in event.get("extra", {}) for event in arrived.all())


def test_frames_name_the_program_and_not_main(arrived: Arrived) -> None:
    for name in NAMES:
        for event in arrived.events[name]:
            for value in event.get("exception", {}).get("values", []):
                frames = value.get("stacktrace", {}).get("frames", [])
                ours = {frame["module"] for frame in frames if frame.get("in_app")}
                assert ours <= {f"sandbox.programs.{name}"}
            if "exception" in event:
                assert event["exception"]["values"][-1]["stacktrace"]["frames"]


def test_csv_import_reports_each_kind_of_bad_row_and_a_fingerprinted_message(arrived: Arrived) -> None:
    events = arrived.events["csv_import"]
    kinds = chains(events)
    assert set(kinds) == {("ValueError",), ("InvalidOperation",), ("UnicodeDecodeError",), ()}
    skipped = kinds.total() - 1
    (message,) = (event for event in events if not chain(event))
    assert message["fingerprint"] == ["delivery-note", "rows-skipped"]
    assert message["level"] == "warning"
    assert message["message"].startswith(f"{skipped} of ")
    for event in events:
        assert event["user"]["email"].endswith("@example.com")
        assert event["tags"]["supplier"] in {"northfield", "old-mill"}
    assert any("is in stock" in crumb["message"] for crumb in breadcrumbs(message))
    assert all("row" in event["contexts"] for event in events if chain(event))


def test_order_totals_sends_chains_with_and_without_from(arrived: Arrived) -> None:
    events = arrived.events["order_totals"]
    assert set(chains(events)) == {
        ("KeyError", "PriceMissingError", "OrderNotBilledError"),
        ("ValueError", "VoucherError"),
        ("KeyError", "ZeroDivisionError"),
    }
    for event in events:
        assert [crumb["category"] for crumb in breadcrumbs(event)] == ["order", "voucher"]
        assert event["user"]["id"]
    foreign = one(events, "KeyError", "ZeroDivisionError")
    assert foreign["tags"]["currency"] in {"DKK", "SEK", "NOK"}


def test_price_lookups_sends_time_outs_and_exception_groups(arrived: Arrived) -> None:
    events = arrived.events["price_lookups"]
    group = ("JSONDecodeError", "JSONDecodeError", "ExceptionGroup")
    assert set(chains(events)) == {("CancelledError", "TimeoutError"), ("JSONDecodeError",), group}
    *children, root = one(events, *group)["exception"]["values"]
    assert mechanism(root)["is_exception_group"] is True
    assert {mechanism(child)["parent_id"] for child in children} == {mechanism(root)["exception_id"]}
    assert {mechanism(child)["source"] for child in children} == {"exceptions[0]", "exceptions[1]"}
    assert all(event["tags"]["supplier"] for event in events)


def test_thumbnails_keeps_each_thread_s_user_and_reports_the_unhandled_one(arrived: Arrived) -> None:
    events = arrived.events["thumbnails"]
    assert set(chains(events)) == {("error",), ("RuntimeError",)}
    assert {value["module"] for event in events for value in event["exception"]["values"]} >= {
        "struct",
        "zlib",
    }
    for event in events:
        if chain(event) == ("error",):
            assert [crumb["category"] for crumb in breadcrumbs(event)] == ["upload"]
            assert event["user"]["id"]
            assert event["tags"]["picture.bytes"] in {"few", "many"}
    unhandled = one(events, "RuntimeError")
    assert mechanism(unhandled["exception"]["values"][0]) == {"type": "threading", "handled": False}
    assert unhandled["tags"]["thumbnail.size"] == "4x4"


def test_nightly_report_only_logs(arrived: Arrived) -> None:
    source = (ROOT / "sandbox" / "programs" / "nightly_report.py").read_text(encoding="utf-8")
    assert "sentry_sdk" not in source
    events = arrived.events["nightly_report"]
    assert set(chains(events)) == {("StatisticsError",), ("CycleError",), ()}
    assert {event["logger"] for event in events} == {"shop.report"}
    assert one(events, "StatisticsError")["extra"] == {"receipts": 0}
    assert one(events, "CycleError")["level"] == "fatal"
    message = one(events)
    assert message["logentry"]["message"] == "The stock-take of %s is %d days old"
    assert [crumb["type"] for crumb in breadcrumbs(message)].count("log") == len(breadcrumbs(message)) > 5


def test_ledger_retry_tells_its_attempts_as_breadcrumbs(arrived: Arrived) -> None:
    events = arrived.events["ledger_retry"]
    assert set(chains(events)) == {("OperationalError", "LedgerBusyError"), ("IntegrityError",)}
    busy = one(events, "OperationalError", "LedgerBusyError")
    assert busy["fingerprint"] == ["ledger", "busy"]
    assert busy["exception"]["values"][0]["value"] == "database is locked"
    arrival, *attempts = breadcrumbs(busy)
    assert (arrival["type"], arrival["category"]) == ("log", "shop.ledger")
    assert [crumb["message"] for crumb in attempts] == [f"attempt {n}: database is locked" for n in (1, 2, 3)]
    twice = one(events, "IntegrityError")
    assert "fingerprint" not in twice
    assert "UNIQUE constraint failed" in twice["exception"]["values"][0]["value"]


def test_the_same_seed_brings_the_same_exceptions_and_another_one_others(arrived: Arrived) -> None:
    with collector() as server:
        again = Arrived(server, seed=1)
        other = Arrived(server, seed=2, first_project=11)
    assert again.raised() == arrived.raised()
    for name in NAMES:
        assert set(chains(other.events[name])) == set(chains(arrived.events[name]))
    assert other.raised() != arrived.raised()


def test_a_program_prints_one_line_and_contacts_nothing_but_its_dsn() -> None:
    with collector() as server, collector() as elsewhere:
        nobody = f"http://127.0.0.1:{elsewhere.server_port}"
        surroundings = {
            "SENTRY_DSN": elsewhere.dsn(9),
            "SENTRY_SPOTLIGHT": nobody,
            "no_proxy": "",
            "NO_PROXY": "",
        }
        proxies = {"HTTP_PROXY": nobody, "http_proxy": nobody, "ALL_PROXY": nobody}
        done = start("csv_import", server.dsn(1), **surroundings, **proxies)
        assert (done.returncode, done.stderr) == (0, "")
        events = server.events(1)
        assert done.stdout == f"csv_import: {len(events)} events sent\n"
        assert {(event["release"], event["environment"]) for event in events} == {
            ("shop@1.4.0", "production")
        }
        assert elsewhere.envelopes == {}


def test_a_server_that_refuses_is_a_failure_with_its_reason() -> None:
    with collector(status=403) as server, pytest.raises(ProgramError, match=r"ledger_retry: .* status_403"):
        run_all({"ledger_retry": server.dsn(1)})


def test_a_dsn_that_is_none_is_a_usage_error() -> None:
    done = start("order_totals", "localhost:9000")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is no DSN" in done.stderr


def test_a_program_still_running_at_the_time_out_is_a_failure() -> None:
    with collector() as server, pytest.raises(ProgramError, match="time-out"):
        run_all({"price_lookups": server.dsn(1)}, timeout=0.01)


def test_an_unknown_program_is_refused() -> None:
    with pytest.raises(ValueError, match="no such program: tea_break"):
        run_all({"tea_break": "http://key@127.0.0.1:9/1"})


def test_each_program_has_a_module_and_one_line() -> None:
    for program in PROGRAMS:
        assert (ROOT / program.module.replace(".", "/")).with_suffix(".py").is_file()
        assert program.description
        assert "\n" not in program.description
