"""Limits: Sentry's are kept before it has to refuse, the user's always; a refusal is waited out, and told."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox import Limit, Sandbox, Switches
from sentry import DEFAULT_TABLES, SentryConfigurationError, errors, repair, sentry_source, verify
from sentry.client import SentryClient
from sentry.config import connect
from sentry.limits import Governor
from tests.conftest import Script
from tests.test_moving_rows import on_nth
from tests.warehouse import Warehouse, truth_of

MOVING: dict[str, Any] = {"now": None}
"""A server whose clock moves, as real ones' do: only its resets come true as they were told."""

JSON = "application/json"

TOO_OFTEN = (
    b'{"detail":"You are attempting to use this endpoint too frequently. Limit is 40 requests in 1 seconds"}'
)

TOO_MANY = b'{"detail":"You are attempting to go above the allowed concurrency for this endpoint."}'

OF_ISSUES = "/issues/"

PER_SECOND = "SOURCES__SENTRY__MAX_REQUESTS_PER_SECOND"


class Traffic:
    """What a server sees from here on: when requests come, and how many are under way then."""

    def __init__(self, server: Sandbox) -> None:
        self.arrivals: list[float] = []
        self.under_way: list[int] = []
        self._server = server
        server.clear_requests()
        server.on_request(self._note)

    def _note(self, request: object) -> None:
        self.arrivals.append(time.monotonic())
        self.under_way.append(len(self.arrivals) - len(self._server.requests))


def statuses(server: Sandbox, part: str = "") -> list[int]:
    """What requests whose path contains a text were answered, in the order of the answers."""
    return [request.status for request in server.requests if part in request.path]


def access(server: Sandbox) -> dict[str, Any]:
    return {"auth_token": server.token, "organization": "acme", "base_url": server.url}


def client(server: Sandbox, **bounds: Any) -> SentryClient:
    return SentryClient(connect(server.token, "acme", server.url, None, allow_insecure=False, **bounds))


def issue_events_of(server: Sandbox, table: str, warehouse: Warehouse) -> None:
    """The table holds every event that has an issue, once."""
    arrived = warehouse.column(f"SELECT event_id FROM {table} ORDER BY 1")
    assert arrived == sorted(row["event_id"] for row in truth_of(server)["events"] if row["issue_id"])


# Sentry's limits


def test_a_load_meets_no_limit_of_sentry_io(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve(switches=Switches.saas(), events=150, issues=30, projects=3, **MOVING)
    warehouse.load(server)
    assert set(statuses(server)) == {200}
    warehouse.assert_equals_truth(server)


def test_tables_below_issues_keep_the_limits_of_their_own(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches.saas(), issues=15, **MOVING)
    warehouse.load(server, "issue_events", "issue_details", "project_users")
    assert (
        statuses(server).count(429) <= 1
    )  # on a machine so busy that requests come later than they were sent
    issue_events_of(server, "issue_events", warehouse)
    details = sorted(warehouse.column("SELECT id FROM issue_details"))
    assert details == sorted(row["id"] for row in truth_of(server)["issues"])


def test_limits_below_the_published_ones_are_kept_as_soon_as_an_answer_tells_them(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    limits = {"default": Limit(5, 1, 2), "issue-events": Limit(8, 1, 1)}
    server = serve(
        switches=Switches(rate_limits=limits, latency=0.03), issues=24, events=40, projects=1, **MOVING
    )
    warehouse.load(server, "teams", "members", "environments", "issue_events")
    issue_events_of(server, "issue_events", warehouse)
    assert set(statuses(server, "/acme/teams/") + statuses(server, "/acme/members/")) == {200}
    # Before the first answer nobody knows that one at a time is allowed, so that up to eight are sent at once.
    answers = [request.status for request in server.requests if "/events/" in request.path]
    refused = [number for number, status in enumerate(answers) if status == 429]
    assert len(refused) <= 7
    assert max(refused, default=0) < 2 * 8


@pytest.mark.parametrize("hours", [-30, 0, 30])
def test_a_reset_is_waited_for_by_the_servers_clock_however_wrong_that_is(
    serve: Callable[..., Sandbox], everything_logged: pytest.LogCaptureFixture, hours: int
) -> None:
    server = serve(switches=Switches(rate_limits={"default": Limit(4, 2, None)}), **MOVING)
    server.world.advance(seconds=hours * 3600)
    traffic, api = Traffic(server), client(server)
    for _ in range(10):
        api.get("organizations/acme/teams/", expected=list)
    assert statuses(server) == [200] * 10
    assert traffic.arrivals[-1] - traffic.arrivals[0] > 2  # ten requests take three windows
    waits = [float(text) for text in re.findall(r"waiting ([\d.]+) s for", everything_logged.text)]
    assert 2 <= len(waits) <= 10
    assert max(waits) <= 2 + 1.1  # the window, and the second that the Date header leaves open


def test_an_answer_whose_clock_is_wrong_makes_nobody_wait_long() -> None:
    governor, path = Governor(8), "organizations/acme/teams/"
    with governor.turn("GET", path) as turn:
        turn.response = answer(limit=40, remaining=0, reset=math.ceil(time.time()) + 1)
        turn.response.headers["Date"] = formatdate(time.time() - 3600, usegmt=True)
    began = time.monotonic()
    with governor.turn("GET", path):
        assert time.monotonic() - began < 6


def test_others_who_use_a_limit_a_little_cost_hardly_a_refusal(serve: Callable[..., Sandbox]) -> None:
    server = serve(switches=Switches.saas(), **MOVING)
    server.others_use("issue-events", 4)
    ask_for_events_of_issues(server, 40)
    assert statuses(server, OF_ISSUES).count(200) == 40
    assert statuses(server, OF_ISSUES).count(429) <= 2


def test_answers_that_come_out_of_order_do_not_give_back_what_others_have_used() -> None:
    governor, path = Governor(16), "organizations/acme/issues/1/events/"
    reset = math.ceil(time.time()) + 1
    with ExitStack() as under_way:
        for number in range(
            8
        ):  # the last of them leaves first: Remaining is 3 in its answer, 10 in the first one's
            turn = under_way.enter_context(governor.turn("GET", path))
            turn.response = answer(limit=15, remaining=10 - number, reset=reset)
    for _ in range(3):
        with governor.turn("GET", path):
            pass
    with governor.turn("GET", path):
        assert time.time() >= reset


def answer(**values: int) -> requests.Response:
    made = requests.Response()
    made.status_code = 200
    made.headers["Date"] = formatdate(usegmt=True)
    made.headers.update({f"X-Sentry-Rate-Limit-{name.title()}": str(value) for name, value in values.items()})
    return made


def ask_for_events_of_issues(server: Sandbox, requests: int) -> None:
    api, issues = client(server), server.world.issues
    paths = [f"organizations/acme/issues/{issues[n % len(issues)].id}/events/" for n in range(requests)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: list(api.listing(path)), paths))


def test_a_load_beside_others_who_use_the_limits_is_complete(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches.saas(), issues=15, **MOVING)
    for view, used in {"default": 25, "issue-events": 6, "organization-issues": 5}.items():
        server.others_use(view, used)
    warehouse.load(server)
    warehouse.load(server, "issue_events")
    warehouse.assert_equals_truth(server)
    issue_events_of(server, "issue_events", warehouse)


def test_two_loads_at_once_with_one_token_share_its_limits(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches.saas(), issues=20, **MOVING)
    both = [warehouse, Warehouse(warehouse.folder, "other")]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda each: each.load(server, "projects", "issues", "issue_events"), both))
    for each in both:
        issue_events_of(server, "issue_events", each)
        assert set(each.issues()) == {row["id"] for row in truth_of(server)["issues"]}
    assert statuses(server).count(429) <= 1


# Refusals


def test_a_refusal_for_too_many_at_once_halves_what_is_under_way_and_the_load_goes_on(
    serve: Callable[..., Sandbox], warehouse: Warehouse, everything_logged: pytest.LogCaptureFixture
) -> None:
    server = serve(switches=Switches(latency=0.03), issues=30)
    refusal = {"status": 429, "body": TOO_MANY, "content_type": JSON, "path_contains": "/events/"}
    left = {"X-Sentry-Rate-Limit-Limit": "100", "X-Sentry-Rate-Limit-Remaining": "5"}
    on_nth(server, "/events/", {3}, lambda: server.fail_next(1, headers=left, **refusal))  # type: ignore[arg-type]
    traffic = Traffic(server)
    warehouse.load(server, "issue_events")
    issue_events_of(server, "issue_events", warehouse)
    (most,) = map(int, re.findall(r"issue events: at most (\d) at once from here on", everything_logged.text))
    assert most <= 4
    at = statuses(server).index(429)
    assert max(traffic.under_way) > most
    assert max(traffic.under_way[at + 2 * 8 :]) <= most  # those that were under way have been answered


def test_one_at_a_time_where_sentry_allows_no_more_is_found_and_the_load_is_complete(
    serve: Callable[..., Sandbox], warehouse: Warehouse, everything_logged: pytest.LogCaptureFixture
) -> None:
    limits = {"default": Limit(1000, 1, 100), "issue-events": Limit(1000, 1, 1)}
    server = serve(switches=Switches(rate_limits=limits, latency=0.03), issues=20)
    warehouse.load(server, "issue_events")
    issue_events_of(server, "issue_events", warehouse)
    assert "issue events: at most 1 at once from here on" in everything_logged.text


def refuse_teams_once(server: Sandbox) -> int:
    """Answer the next request for teams with a 429; returns when its window ends."""
    reset = math.ceil(time.time()) + 2
    server.fail_next(
        1, status=429, body=TOO_OFTEN, headers=told(reset), content_type=JSON, path_contains="/teams/"
    )
    return reset


def test_after_a_refusal_for_too_many_a_request_waits_for_the_reset(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(**MOVING)
    reset = refuse_teams_once(server)
    moments: list[float] = []
    server.on_request(lambda request: moments.append(time.time()) if "/teams/" in request.path else None)
    warehouse.load(server, "teams")
    assert statuses(server, "/teams/") == [429, 200]
    assert moments[1] >= reset
    assert len(warehouse.column("SELECT id FROM teams")) == len(truth_of(server)["teams"])


def told(reset: int) -> dict[str, str]:
    """The headers of a limit that is used up until a moment."""
    values = {"Limit": 40, "Remaining": 0, "Reset": reset, "ConcurrentLimit": 25, "ConcurrentRemaining": 25}
    return {f"X-Sentry-Rate-Limit-{name}": str(value) for name, value in values.items()}


def test_a_refusal_that_tells_nothing_is_followed_by_longer_and_longer_waits(
    serve: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.2")
    server = serve(switches=Switches(rate_limits=None))
    server.fail_next(3, status=429, body=b"<h1>slow down</h1>", path_contains="/teams/")
    traffic = Traffic(server)
    client(server).get("organizations/acme/teams/", expected=list)
    assert statuses(server) == [429, 429, 429, 200]
    waits = [later - earlier for earlier, later in pairwise(traffic.arrivals)]
    assert all(wait >= 0.75 * 0.2 * 2**number for number, wait in enumerate(waits))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (TOO_OFTEN, JSON),
        (b'"You are attempting to use this endpoint too frequently."', JSON),
        (b'"You are attempting to use this endpoint too frequently."', "text/html"),
        (b"<html><h1>Too Many Requests</h1></html>", "text/html"),
        (b"", "text/html"),
    ],
    ids=["object", "text", "text-as-html", "page", "nothing"],
)
def test_a_refusal_of_any_shape_is_no_end(
    serve: Callable[..., Sandbox], warehouse: Warehouse, body: bytes, content_type: str
) -> None:
    server = serve()
    for path in ("/acme/", "/projects/", "/issues/", "/backend/events/", "/releases/"):
        server.fail_next(2, status=429, body=body, content_type=content_type, path_contains=path)
    warehouse.load(server)
    assert statuses(server).count(429) == 10
    warehouse.assert_equals_truth(server)


def test_limits_refused_time_and_again_are_an_error_that_says_so(serve: Callable[..., Sandbox]) -> None:
    server = serve()
    server.fail_next(99, status=429, body=TOO_OFTEN, content_type=JSON)
    with pytest.raises(errors.SentryRateLimitError, match="limit was met again after every wait"):
        client(server).get("organizations/acme/")


@pytest.mark.parametrize(
    ("switches", "part", "max_parallel"),
    [(Switches(), "environments", 1), (Switches.saas(), "events", 8)],
    ids=["by-the-user", "by-sentry"],
)
def test_a_redirect_is_followed_where_one_request_at_a_time_is_allowed(
    serve: Callable[..., Sandbox], switches: Switches, part: str, max_parallel: int
) -> None:
    server = serve(switches=switches)
    old = server.world.projects[0].slug
    server.world.rename_project(old, "renamed")
    api = client(server, max_parallel=max_parallel)
    done = threading.Event()

    def read() -> None:
        list(api.listing(f"projects/acme/{old}/{part}/"))
        done.set()

    threading.Thread(target=read, daemon=True).start()
    assert done.wait(5), "it waits for itself"


# The user's bounds


@pytest.mark.parametrize("most", [1, 3, 8])
def test_a_server_without_limits_sees_as_many_requests_at_once_as_the_user_allows(
    serve: Callable[..., Sandbox], warehouse: Warehouse, most: int
) -> None:
    server = serve(switches=Switches(rate_limits=None, latency=0.05), issues=16)
    traffic = Traffic(server)
    warehouse.load(server, "projects", "teams", "issues", "events", "issue_events", max_parallel=most)
    warehouse.assert_events_equal_truth(server)
    issue_events_of(server, "issue_events", warehouse)
    assert max(traffic.under_way) <= most
    assert max(traffic.under_way) > most / 2


def test_requests_per_second_are_bounded_over_all_tables(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(rate_limits=None), issues=15)
    traffic, started = Traffic(server), time.monotonic()
    tables = ("teams", "members", "projects", "issues", "events", "issue_events")
    warehouse.load(server, *tables, max_parallel=3, max_requests_per_second=10)
    warehouse.assert_events_equal_truth(server)
    assert len(traffic.arrivals) > 25
    for number, arrival in enumerate(traffic.arrivals):
        assert arrival - started >= number // 10
        within = [other for other in traffic.arrivals[number:] if other < arrival + 1]
        assert len(within) <= 10 + 4  # of which three were under way when that second began


@pytest.mark.parametrize("rate", [0.5, 1.5, 4, 20])
def test_a_bound_on_requests_per_second_holds_for_fractions_too(rate: float) -> None:
    governor = Governor(8, rate)
    turns = max(3, int(rate) + 3)

    def take(_: int) -> float:
        with governor.turn("GET", "organizations/acme/teams/") as turn:
            return turn.began

    with ThreadPoolExecutor(4) as pool:
        began = sorted(pool.map(take, range(turns)))
    most = math.ceil(rate)
    assert all(
        later - earlier > most / rate - 0.01 for earlier, later in zip(began, began[most:], strict=False)
    )


def test_a_bound_between_whole_numbers_is_not_passed_within_a_second() -> None:
    governor, began = Governor(8, 2.99), []
    for _ in range(7):
        with governor.turn("GET", "organizations/acme/teams/") as turn:
            began.append(turn.began)
    assert all(later - earlier > 0.99 for earlier, later in zip(began, began[3:], strict=False))


def test_a_bound_on_requests_per_second_holds_over_one_source_after_the_other(
    serve: Callable[..., Sandbox],
) -> None:
    server = serve(switches=Switches(rate_limits=None))
    traffic, clients = Traffic(server), []
    for _ in range(4):
        clients.append(client(server, max_requests_per_second=1))
        clients[-1].get("organizations/acme/teams/", expected=list)
    assert traffic.arrivals[-1] - traffic.arrivals[0] > 2.9


def test_a_bound_in_the_environment_holds_for_verify_and_repair(
    serve: Callable[..., Sandbox], warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(switches=Switches(rate_limits=None))
    warehouse.load(server, "events")
    issue = server.world.issues[0]
    server.world.add_event(project=issue.project, issue=issue, at=issue.first_seen)
    monkeypatch.setenv(PER_SECOND, "4")
    traffic, started = Traffic(server), time.monotonic()
    assert verify(warehouse.pipeline, **access(server)).missing == 1
    sent = len(traffic.arrivals)
    assert sent >= 4
    assert all(arrival - started >= number // 4 for number, arrival in enumerate(traffic.arrivals))
    started = time.monotonic()
    assert repair(warehouse.pipeline, **access(server), loader_file_format="parquet").brought == 1
    assert len(traffic.arrivals) > sent + 4
    assert all(arrival - started >= number // 4 for number, arrival in enumerate(traffic.arrivals[sent:]))
    warehouse.assert_events_equal_truth(server)


@pytest.mark.parametrize(
    "setting",
    [
        {"max_parallel": 0},
        {"max_parallel": -1},
        {"max_requests_per_second": -0.1},
        {"max_requests_per_second": math.nan},
        {"max_requests_per_second": math.inf},
    ],
    ids=str,
)
def test_a_bound_that_is_none_is_named(
    monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse, setting: Mapping[str, float]
) -> None:
    ((name, value),) = setting.items()
    known = {"auth_token": "sntryu_0", "organization": "acme", "base_url": "http://127.0.0.1:9"}
    with pytest.raises(SentryConfigurationError, match=rf"^{name} must be \d or more, not "):
        sentry_source(**known, **setting)  # type: ignore[arg-type]
    monkeypatch.setenv(f"SOURCES__SENTRY__{name.upper()}", str(value))
    with pytest.raises(SentryConfigurationError, match=rf"^{name} must be \d or more, not "):
        verify(warehouse.pipeline, **known)  # type: ignore[arg-type]


# What is told


def test_the_trace_tells_requests_refusals_and_waits_of_each_run(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(rate_limits={"default": Limit(8, 1, None)}), **MOVING)
    server.fail_next(2, status=429, body=TOO_OFTEN, content_type=JSON, path_contains="/teams/")
    warehouse.load(server)
    noted = [metrics for name, metrics in warehouse.metrics().items() if name in DEFAULT_TABLES]
    assert max(metrics["requests_of_run"] for metrics in noted) == len(server.requests)
    assert max(metrics["rate_limited_of_run"] for metrics in noted) == statuses(server).count(429) >= 2
    assert max(metrics["seconds_waited_of_run"] for metrics in noted) > 0
    server.clear_requests()
    warehouse.load(server, "members")
    (metrics,) = warehouse.metrics().values()
    assert metrics["requests_of_run"] == len(server.requests) < 5
    assert metrics["rate_limited_of_run"] == 0


def test_the_wait_after_a_refusal_counts_as_waited(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(**MOVING)
    refuse_teams_once(server)
    warehouse.load(server, "teams")
    assert warehouse.metrics()["teams"]["rate_limited_of_run"] == 1
    assert warehouse.metrics()["teams"]["seconds_waited_of_run"] >= 0.9


def last_line(printed: str) -> str:
    return printed.splitlines()[-1]


def test_the_scripts_last_line_tells_the_seconds_waited_for_limits_where_there_were_any(
    serve: Callable[..., Sandbox], script: Script, tmp_path: Path
) -> None:
    limited = serve(switches=Switches(rate_limits={"default": Limit(8, 1, None)}), **MOVING)
    done = script(limited)
    assert done.returncode == 0, done.stderr
    told = re.search(
        r"^[\d,]+ requests, [\d.]+ s \(([\d.]+) s of them waiting for limits, (\d+) requests refused by Sentry's\), "
        r"into duckdb",
        last_line(done.stdout),
    )
    assert told, done.stdout
    assert float(told[1]) > 0
    assert int(told[2]) == statuses(limited).count(429)
    elsewhere = ("--dataset-name", "free")
    free = script(serve(), "--resources", "teams", *elsewhere, DLT_DATA_DIR=str(tmp_path / "free"))
    assert re.search(r"^[\d,]+ requests, [\d.]+ s, into duckdb", last_line(free.stdout))


def test_waiting_for_the_users_own_bound_is_not_told_as_sentrys_limit(
    serve: Callable[..., Sandbox], warehouse: Warehouse, everything_logged: pytest.LogCaptureFixture
) -> None:
    server = serve(switches=Switches(rate_limits=None))
    warehouse.load(server, "teams", "members", max_requests_per_second=2)
    assert "for Sentry's limit" not in everything_logged.text
