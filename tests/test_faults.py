"""Servers and networks in trouble: what passes is survived, what stays ends the run in a bounded time and harms nothing."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import duckdb
import pytest

import sentry_pipeline
from sandbox import Faults, Sandbox, Switches, World
from sandbox.faults import FOREVER, HARMLESS, TRANSIENT
from sentry import failures_of
from tests.conftest import SMALL, Script, lists_events
from tests.faults import ENVIRONMENT, REQUEST_TIMEOUT, Setting, grow, load_and_compare, rehearse
from tests.warehouse import Warehouse, truth_of

CORE = ("projects", "teams", "releases", "issues", "events")

GONE = {
    "status": 410,
    "body": b'{"message":"This API no longer exists."}',
    "content_type": "application/json",
}

SHORT = Faults(probability=1 / 3, pace=REQUEST_TIMEOUT / 5, seconds=8)


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def only(*kinds: str, **settings: Any) -> Switches:
    return Switches(faults=Faults(**{**vars(SHORT), "kinds": kinds, **settings}))


def always(*kinds: str, **settings: Any) -> Switches:
    return only(*kinds, **{"probability": 1, "in_a_row": FOREVER, **settings})


# What passes


@pytest.mark.parametrize("kind", TRANSIENT + HARMLESS)
def test_each_kind_alone_is_survived(serve: Callable[..., Sandbox], warehouse: Warehouse, kind: str) -> None:
    slow = {"drip": 2, "no_answer": 4, "rate_limited": 2, "unavailable": 2, "too_many_at_once": 6, "snuba": 6}
    most = slow.get(kind, FOREVER)
    server = serve(events=100, switches=only(kind, most=most))
    grow(server)
    load_and_compare(server, warehouse, Setting(1))
    assert server.faults_injected.keys() == {kind}
    assert server.faults_injected[kind] >= 2


@pytest.mark.parametrize("seed", range(3))
def test_all_kinds_together_leave_the_default_tables_right(warehouse: Warehouse, seed: int) -> None:
    assert rehearse(warehouse.folder, Setting(seed)).total() > 0


@pytest.mark.parametrize("seed", range(2))
def test_all_kinds_together_leave_all_tables_right(warehouse: Warehouse, seed: int) -> None:
    assert rehearse(warehouse.folder, Setting(seed, all_tables=True)).total() > 0


def test_a_load_by_the_script_with_faults_ends_well_and_says_no_more_than_ever(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    world = World.build(**{**SMALL, "now": datetime.now(UTC) - timedelta(seconds=1)})
    server = serve(world=world, switches=only(*TRANSIENT, probability=0.1, most=2))
    done = script(server, "--progress", "none")
    assert done.returncode == 0
    assert done.stderr == ""
    assert server.faults_injected
    assert rows(tmp_path, "SELECT count(*) FROM sentry_data.events") == [(len(truth_of(server)["events"]),)]


@pytest.mark.parametrize("kind", ["broken_gzip", "cut_gzip", "closed_in_body", "cut_json", "reset_in_body"])
def test_a_broken_body_is_asked_for_again(
    serve: Callable[..., Sandbox], warehouse: Warehouse, kind: str
) -> None:
    server = serve(switches=always(kind, most=2, path_contains="/teams/"))
    warehouse.load(server, "teams")
    asked = [request.path for request in server.requests if request.path.endswith("/teams/")]
    assert len(asked) == 3
    assert len(warehouse.column("SELECT id FROM teams")) == len(truth_of(server)["teams"])


def test_a_body_that_drips_is_given_up_long_before_its_end(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=always("drip", most=1, path_contains="/teams/", seconds=60))
    began = time.monotonic()
    warehouse.load(server, "teams")
    assert time.monotonic() - began < 15
    assert len(warehouse.column("SELECT id FROM teams")) == len(truth_of(server)["teams"])


def test_chance_refusals_for_size_do_not_multiply_the_requests(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=only("snuba"))
    enough = 2000

    def mend(request: object) -> None:
        if len(server.requests) > enough:
            server.inject(None)

    server.on_request(mend)
    warehouse.load(server, *CORE)
    warehouse.assert_events_equal_truth(server)
    assert len(server.requests) < enough


def test_a_clock_that_jumps_keeps_no_request_waiting_for_long(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(events=100, switches=only("clock_ahead", "clock_behind", "too_many_at_once", most=8))
    began = time.monotonic()
    warehouse.load(server, "teams", "events", start_date="2026-07-01")
    assert time.monotonic() - began < 60
    warehouse.assert_events_equal_truth(server)


def test_a_server_that_starts_again_in_the_middle_is_waited_for(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.2")
    world = World.build(**SMALL)
    with Sandbox(world=world) as first:
        port = int(first.url.rpartition(":")[2])

        def restart() -> Sandbox:
            first.stop()
            return Sandbox(world=world, port=port).start()

        second = after(first, "/events/", 3, restart)
        warehouse.load(first, *CORE)
    server = second[0]
    try:
        assert [request for request in server.requests if lists_events(request)]
        warehouse.assert_events_equal_truth(server)
    finally:
        server.stop()


# What stays


@pytest.mark.parametrize("kind", ["repeated_cursor", "repeated_page", "empty_page"])
def test_a_listing_that_never_ends_is_an_error(
    serve: Callable[..., Sandbox], warehouse: Warehouse, kind: str
) -> None:
    server = serve(switches=always(kind, path_contains="/teams/"))
    act_in_time(lambda: warehouse.load(server, "teams", "members"), server, seconds=20)
    (said,) = failures_of(warehouse.pipeline)["teams"].values()
    assert "listing organizations/acme/teams/" in said
    assert "its end cannot be reached" in said
    assert len(warehouse.column("SELECT id FROM members")) == len(truth_of(server)["members"])
    server.inject(None)
    warehouse.load(server, "teams")
    assert len(warehouse.column("SELECT id FROM teams")) == len(truth_of(server)["teams"])


def test_a_body_without_end_is_given_up_and_said_and_the_next_run_brings_the_rows(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    server = serve(switches=always("endless_body", path_contains="/acme/teams/", seconds=60))
    began = time.monotonic()
    done = script(server, "--resources", "teams", "members", SOURCES__SENTRY__MAX_RESPONSE_MEGABYTES="1")
    assert time.monotonic() - began < 30
    assert done.returncode == 1
    assert "larger than 1 MB" in done.stderr
    assert "Traceback" not in done.stderr
    truth = truth_of(server)
    assert rows(tmp_path, "SELECT count(*) FROM sentry_data.members") == [(len(truth["members"]),)]
    server.inject(None)
    assert script(server, "--resources", "teams").returncode == 0
    assert rows(tmp_path, "SELECT count(*) FROM sentry_data.teams") == [(len(truth["teams"]),)]


def test_events_behind_a_body_without_end_are_read_in_smaller_windows(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=always("endless_body", most=1, path_contains="/backend/events/"))
    warehouse.load(server, "events", max_response_megabytes=1)
    assert server.faults_injected == {"endless_body": 1}
    warehouse.assert_events_equal_truth(server)


REFUSING = ("internal_error", "unavailable", "reset_before", "no_answer", "html_as_json", "rate_limited_bare")


@pytest.mark.parametrize(
    ("begins", "trouble"),
    [("at the start", kind) for kind in ("gone", "no_answer", "unavailable")]
    + [("in the middle", kind) for kind in ("gone", *REFUSING)],
)
def test_a_server_that_is_down_for_good_ends_the_run_and_harms_nothing(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path, trouble: str, begins: str
) -> None:
    world = World.build(**{**SMALL, "now": datetime.now(UTC) - timedelta(seconds=1)})
    server = serve(world=world)
    arguments = ("--resources", *CORE, "--progress", "none", "--start-date", "2000-01-01")
    patience = {"RUNTIME__REQUEST_MAX_ATTEMPTS": "2", "RUNTIME__REQUEST_TIMEOUT": "0.3"}
    assert script(server, *arguments).returncode == 0
    before = loaded(tmp_path), progress(tmp_path)
    world.add_events(25, at=world.now, issue=world.issues[0])
    world.clock.advance(1)

    def strike() -> None:
        if trouble == "gone":
            server.stop()
        else:
            server.inject(Faults(probability=1, kinds=(trouble,), in_a_row=FOREVER, seconds=5))

    if begins == "at the start":
        strike()
    else:
        after(server, "/events/", 2, strike)
    began = time.monotonic()
    done = script(server, *arguments, **patience)
    assert time.monotonic() - began < 30
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if "WARNING" not in line]
    assert len(said) == 1, done.stderr
    assert said[0].startswith("sentry_pipeline.py: ")
    assert "Traceback" not in done.stdout + done.stderr
    assert (loaded(tmp_path), progress(tmp_path)) == before


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_page_that_is_switched_off_in_the_middle_is_said_and_loses_nothing(
    serve: Callable[..., Sandbox],
    warehouse: Warehouse,
    everything_logged: pytest.LogCaptureFixture,
    number: int,
) -> None:
    server = serve(projects=1, events=100)
    grow(server)
    pages = 0

    def strike(request: object) -> None:
        nonlocal pages
        pages += lists_events(request)
        if pages == number and lists_events(request):
            server.fail_next(1, path_contains="/events/", **GONE)  # type: ignore[arg-type]

    server.on_request(strike)
    warehouse.load(server, "events", "teams")
    assert "Skipped events of project backend: Sentry answered 410" in everything_logged.text
    assert "What was loaded before stays." in everything_logged.text
    assert len(warehouse.column("SELECT id FROM teams")) == len(truth_of(server)["teams"])
    server.clear_hooks()
    grow(server)
    warehouse.load(server, "events")
    warehouse.assert_events_equal_truth(server)


def test_an_endpoint_that_stays_switched_off_is_a_skipped_table(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=always("brown_out", path_contains="/acme/members/"))
    warehouse.load(server, "teams", "members")
    assert warehouse.column("SELECT table_name FROM _sentry_skipped") == ["members"]
    assert len(warehouse.column("SELECT id FROM teams")) == len(truth_of(server)["teams"])


# Names that do not resolve


def test_a_name_that_now_and_then_does_not_resolve_is_survived(
    serve: Callable[..., Sandbox], warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(
        events=100, switches=only("reset_after", probability=0.5)
    )  # so that names are looked up often
    asked, look_up = [0], socket.getaddrinfo

    def flaky(host: Any, *arguments: Any, **named: Any) -> Any:
        if host == "localhost":
            asked[0] += 1
            if asked[0] % 3 == 1:
                unresolved()
        return look_up("127.0.0.1" if host == "localhost" else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", flaky)
    warehouse.load(server, base_url=server.url.replace("127.0.0.1", "localhost"))
    warehouse.assert_equals_truth(server)
    assert asked[0] >= 6


def test_a_name_that_never_resolves_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    look_up = socket.getaddrinfo

    def failing(host: Any, *arguments: Any, **named: Any) -> Any:
        return unresolved() if str(host).endswith(".invalid") else look_up(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    monkeypatch.setenv("SENTRY_AUTH_TOKEN", "sntryu_0123456789")
    began = time.monotonic()
    status = sentry_pipeline.main(
        ["--base-url", "https://sentry.invalid", "--organization", "acme", "--progress", "none"]
    )
    assert status != 0
    assert time.monotonic() - began < 10
    told = capsys.readouterr().err
    assert "sentry.invalid cannot be reached" in told
    assert len(told.splitlines()) == 1
    with duckdb.connect(str(tmp_path / "sentry.duckdb")) as connection:
        assert connection.execute("SELECT * FROM information_schema.tables").fetchall() == []


def unresolved() -> NoReturn:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


# Clocks that differ


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_server_whose_date_is_an_hour_off_costs_a_warning_and_no_row(
    serve: Callable[..., Sandbox],
    warehouse: Warehouse,
    everything_logged: pytest.LogCaptureFixture,
    hours: int,
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    world = World.build(**{**SMALL, "now": now})
    world.add_events(5, at=now - timedelta(minutes=30), issue=world.issues[0])
    server = serve(world=world, switches=always("clock_ahead" if hours > 0 else "clock_behind"))
    warehouse.load(server, *CORE)
    assert re.search(r"clock .* and Sentry's .* differ by 3[56]\d\d s", everything_logged.text)
    read_to_the_end = len(warehouse.column("SELECT event_id FROM events")) == len(world.events)
    assert read_to_the_end == (hours > 0)
    server.inject(None)
    world.add_events(5, at=now - timedelta(minutes=10), issue=world.issues[1])
    warehouse.load(server, *CORE)
    warehouse.assert_events_equal_truth(server)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_machine_whose_clock_is_an_hour_off_costs_a_warning_and_no_row(
    serve: Callable[..., Sandbox],
    warehouse: Warehouse,
    everything_logged: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    hours: int,
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    world = World.build(**{**SMALL, "now": now})
    world.add_events(5, at=now - timedelta(minutes=30), issue=world.issues[0])
    server = serve(world=world)

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(hours=hours)

    with monkeypatch.context() as patched:
        patched.setattr("sentry.run.datetime", Wrong)
        warehouse.load(server, *CORE)
    assert re.search(r"clock .* and Sentry's .* differ by 3[56]\d\d s", everything_logged.text)
    world.add_events(5, at=now - timedelta(minutes=10), issue=world.issues[1])
    warehouse.load(server, *CORE)
    warehouse.assert_events_equal_truth(server)


# Helpers


def after(server: Sandbox, ending: str, number: int, act: Callable[[], Any]) -> list[Any]:
    """Stops the server, if that is the act, or does something else, at the nth request whose path ends so.

    It happens in a thread of its own, as a server cannot wait for its own end; returns what the act returns.
    """
    seen: list[object] = []
    results: list[Any] = []

    def run() -> None:
        results.append(act())

    def strike(request: object) -> None:
        if str(getattr(request, "path", "")).endswith(ending):
            seen.append(request)
            if len(seen) == number:
                acting = threading.Thread(target=run, daemon=True)
                acting.start()

    server.on_request(strike)
    return results


def act_in_time(act: Callable[[], object], server: Sandbox, *, seconds: float) -> None:
    """Do something that ends in time; if it does not the server is mended, so that it can, and the test fails."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - raised again below
            raised.append(error)

    acting = threading.Thread(target=run, daemon=True)
    acting.start()
    acting.join(seconds)
    if acting.is_alive():
        server.inject(None)
        acting.join(seconds)
        pytest.fail(f"no end after {seconds} s and {len(server.requests)} requests")
    if raised:
        raise raised[0]


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "sentry.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def loaded(folder: Path) -> dict[str, list[str]]:
    """Every row of every table in the destination, dlt's own included."""
    names = rows(
        folder, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'sentry_data'"
    )
    return {
        name: sorted(str(row) for row in rows(folder, f'SELECT * FROM sentry_data."{name}"'))
        for (name,) in names
    }


def progress(folder: Path) -> Any:
    """What the pipeline remembers of what it has read."""
    (state,) = (folder / "dlt").glob("pipelines/sentry/state.json")
    return json.loads(state.read_text())["sources"]
