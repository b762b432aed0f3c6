"""Rate limits, brown-outs, and failures to order."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from sandbox import Limit, Switches, World

from .client import Client
from .conftest import NOW, SMALL, Start

EVENTS = "/projects/acme/backend/events/"
ISSUES = "/organizations/acme/issues/"


def test_each_answer_tells_the_limits(shared: Client) -> None:
    headers = shared.get("/organizations/").headers
    assert int(headers["X-Sentry-Rate-Limit-Limit"]) > 1_000
    assert int(headers["X-Sentry-Rate-Limit-ConcurrentLimit"]) > 10
    assert int(headers["X-Sentry-Rate-Limit-Reset"]) >= NOW.timestamp()


def test_a_server_without_limits_sends_no_headers(start: Start) -> None:
    headers = start(rate_limits=None).get("/organizations/").headers
    assert not [name for name in headers if "rate-limit" in name.lower()]


def test_too_many_requests_are_refused_until_the_window_ends(start: Start) -> None:
    client = start(rate_limits={"project-events": Limit(2, 60, None)})
    assert [client.get(EVENTS).status_code for _ in range(3)] == [200, 200, 429]
    answer = client.get(EVENTS)
    assert answer.json()["detail"].endswith("Limit is 2 requests in 60 seconds")
    assert answer.headers["X-Sentry-Rate-Limit-Remaining"] == "0"
    assert "X-Sentry-Rate-Limit-ConcurrentLimit" not in answer.headers
    assert "Retry-After" not in answer.headers
    client.server.world.advance(seconds=int(answer.headers["X-Sentry-Rate-Limit-Reset"]) - NOW.timestamp())
    assert client.get(EVENTS).status_code == 200


def test_views_are_counted_apart(start: Start) -> None:
    client = start(rate_limits={"default": Limit(100, 60), "organization-issues": Limit(1, 60)})
    assert [client.get(ISSUES).status_code for _ in range(2)] == [200, 429]
    assert client.get("/organizations/").status_code == 200


def test_a_user_an_organization_and_an_address_have_one_bucket_each(start: Start) -> None:
    client = start(rate_limits={"default": (1, 60, None)})
    server = client.server

    def statuses(*tokens: str) -> list[int]:
        return [Client(server, token).get("/organizations/").status_code for token in tokens]

    other = server.world.members[1]
    assert statuses(server.token, server.add_token()) == [200, 429]
    assert statuses(server.add_token(user=other), server.add_token(user=other)) == [200, 429]
    assert statuses(*(server.add_token(kind="integration") for _ in range(2))) == [200, 429]
    assert statuses(server.add_token(kind="org"), "no token at all") == [403, 429]


def test_methods_are_counted_apart(start: Start) -> None:
    client = start(rate_limits={"organization-issues": Limit(1, 60)})
    editor = Client(client.server, client.server.add_token(scopes=["event:write"]))
    assert [editor.get(ISSUES).status_code for _ in range(2)] == [200, 429]
    assert editor.put(ISSUES, {"status": "resolved"}, id="5001").status_code == 200


def test_windows_begin_and_end_with_the_minutes_of_the_server(start: Start) -> None:
    for now in (None, NOW):
        client = start(World.build(**{**SMALL, "now": now}), rate_limits={"project-events": Limit(1, 60)})
        client.server.world.now = NOW + timedelta(seconds=30)
        answer = client.get(EVENTS)
        assert 0 < wait_of(answer) <= 30
        if now is None:
            assert int(answer.headers["X-Sentry-Rate-Limit-Reset"]) == NOW.timestamp() + 60
        refused = client.get(EVENTS)
        assert refused.status_code == 429
        client.server.world.advance(seconds=wait_of(refused))
        assert client.get(EVENTS).status_code == 200


def wait_of(answer: requests.Response) -> int:
    """How long a client has to wait, by the server's own clock."""
    reset = int(answer.headers["X-Sentry-Rate-Limit-Reset"])
    return reset - int(parsedate_to_datetime(answer.headers["Date"]).timestamp())


def test_who_waits_for_the_reset_by_the_unix_clock_is_let_in(start: Start) -> None:
    client = start(World.build(**{**SMALL, "now": None}), rate_limits={"project-events": Limit(1, 1)})
    answer = client.get(EVENTS)
    while answer.status_code == 200:
        answer = client.get(EVENTS)
    reset = int(answer.headers["X-Sentry-Rate-Limit-Reset"])
    assert wait_of(answer) <= 1
    while time.time() < reset:
        time.sleep(max(0.0, reset - time.time()))
    assert client.get(EVENTS).status_code == 200


def test_too_many_at_once_are_refused_at_once(start: Start) -> None:
    client = start(latency=0.8, rate_limits={"project-events": Limit(100, 60, 1)})
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: Client(client.server).get(EVENTS), range(3)))
    assert [request.status for request in client.server.requests] == [429, 429, 200]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert "Concurrency limit is 1" in refused.json()["detail"]
    assert refused.headers["X-Sentry-Rate-Limit-ConcurrentRemaining"] == "0"


def test_one_after_the_other_is_never_too_many_at_once(start: Start) -> None:
    client = start(rate_limits={"project-events": Limit(1_000, 60, 1)})
    assert {client.get(EVENTS, per_page=1).status_code for _ in range(100)} == {200}


def test_others_use_up_a_share_of_each_window(start: Start) -> None:
    limits = {"project-events": Limit(5, 60), "organization-issues": Limit(5, 60), "default": Limit(2, 60)}
    client = start(rate_limits=limits)
    server = client.server
    server.others_use("project-events", 3)
    server.others_use("issue-detail", 1)  # It has no limit of its own here.
    for _ in range(2):
        answers = [client.get(EVENTS) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        left = [answer.headers["X-Sentry-Rate-Limit-Remaining"] for answer in answers]
        assert left == ["1", "0", "0"]
        server.world.advance(seconds=60)
    assert client.get(ISSUES).headers["X-Sentry-Rate-Limit-Remaining"] == "4"
    assert [client.get("/organizations/").status_code for _ in range(2)] == [200, 429]
    server.clear_others()
    server.world.advance(seconds=60)
    assert [client.get(EVENTS).status_code for _ in range(6)] == [200] * 5 + [429]


def test_a_refusal_may_be_a_bare_string_called_html(start: Start) -> None:
    client = start(
        rate_limits={"default": Limit(0, 60)}, rate_limit_body="string", rate_limit_content_type="text/html"
    )
    answer = client.get("/organizations/")
    assert isinstance(answer.json(), str)
    assert answer.headers["Content-Type"].startswith("text/html")


def test_saas_has_the_limits_seen_there() -> None:
    limits = Switches.saas().limits
    assert limits is not None
    assert limits["default"] == (40, 1, 25)
    assert limits["project-events"] == (60, 60, 1)


def test_a_brown_out_answers_gone_with_the_deprecation(start: Start) -> None:
    client = start(brown_out=frozenset({"/projects/acme/backend/issues/"}))
    answer = client.get("/projects/acme/backend/issues/")
    assert (answer.status_code, answer.json()) == (410, {"message": "This API no longer exists."})
    assert answer.headers["X-Sentry-Deprecation-Date"]
    assert client.get(ISSUES).status_code == 200


def test_the_next_requests_fail_as_ordered(start: Start) -> None:
    client = start()
    client.server.fail_next(2, status=502, path_contains="/events/", headers={"X-Via": "proxy"})
    assert client.get(ISSUES).status_code == 200
    answers = [client.get(EVENTS) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [502, 502, 200]
    assert answers[0].headers["Content-Type"] == "text/html"
    assert answers[0].headers["X-Via"] == "proxy"


def test_a_connection_closes_without_an_answer(start: Start) -> None:
    client = start()
    client.server.fail_next(1, drop="before")
    with pytest.raises(requests.ConnectionError):
        client.get("/organizations/")
    assert client.get("/organizations/").status_code == 200
    assert [request.status for request in client.server.requests] == [0, 200]


def test_a_connection_closes_in_the_middle_of_a_body(start: Start) -> None:
    client = start()
    client.server.fail_next(1, status=200, body=b"[" + b" " * 1_000 + b"]", drop="body")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.get("/organizations/")
    assert client.get("/organizations/").status_code == 200


def test_requests_are_recorded(start: Start) -> None:
    client = start(record_bodies=True)
    answer = client.get(ISSUES, [("project", "101"), ("project", "102"), ("query", "")])
    (request,) = client.server.requests
    assert (request.method, request.path) == ("GET", "/api/0/organizations/acme/issues/")
    assert request.params == [("project", "101"), ("project", "102"), ("query", "")]
    assert request.headers["authorization"] == f"Bearer {client.server.token}"
    assert (request.status, request.bytes_sent, request.body) == (200, len(answer.content), answer.content)
    assert request.response_headers["link"] == answer.headers["Link"]
    client.server.clear_requests()
    assert client.server.requests == []


def test_the_date_is_the_servers(start: Start) -> None:
    client = start()
    assert client.get("/organizations/").headers["Date"] == "Sat, 01 Aug 2026 12:00:00 GMT"
    client.server.world.advance(seconds=90)
    client.server.fail_next(1)
    assert client.get("/organizations/").headers["Date"] == "Sat, 01 Aug 2026 12:01:30 GMT"


def test_the_truth_is_served_and_not_recorded(start: Start) -> None:
    client = start()
    truth = requests.get(f"{client.server.url}/__truth__", timeout=10).json()
    assert truth == client.server.world.truth()
    assert client.server.requests == []
