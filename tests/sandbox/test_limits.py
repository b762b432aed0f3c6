"""Rate limits, brown-outs, and failures to order."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from sandbox import Limit, Switches

from .client import Client
from .conftest import NOW, Start

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


def test_users_are_counted_apart_and_integrations_together(start: Start) -> None:
    client = start(rate_limits={"default": (1, 60, None)})
    server = client.server
    assert client.get("/organizations/").status_code == 200
    assert Client(server, server.add_token()).get("/organizations/").status_code == 200
    bots = [Client(server, server.add_token(kind="integration")) for _ in range(2)]
    assert [bot.get("/organizations/").status_code for bot in bots] == [200, 429]


def test_too_many_at_once_are_refused(start: Start) -> None:
    client = start(latency=0.1, rate_limits={"project-events": Limit(100, 60, 1)})
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: Client(client.server).get(EVENTS), range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 429, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert "Concurrency limit is 1" in refused.json()["detail"]


def test_one_after_the_other_is_never_too_many_at_once(start: Start) -> None:
    client = start(rate_limits={"project-events": Limit(1_000, 60, 1)})
    assert {client.get(EVENTS, per_page=1).status_code for _ in range(100)} == {200}


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
