"""How requests are sent: paging, retries, refusals, and what is never shown."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from sandbox import Sandbox, Switches
from sentry import errors
from sentry.client import SentryClient
from sentry.config import connect
from tests.warehouse import truth_of

Answer = tuple[int, dict[str, str], bytes]


def client_of(url: str, token: str = "sntryu_0123456789") -> SentryClient:
    return SentryClient(connect(token, "acme", url, None, allow_insecure=False))


def reader(server: Sandbox, token: str | None = None) -> SentryClient:
    return client_of(server.url, token or server.token)


@pytest.fixture
def scripted() -> Iterator[Callable[[list[Answer]], tuple[str, list[str]]]]:
    """A server that gives prepared answers in turn, the last one for ever, and remembers what was asked."""
    servers: list[HTTPServer] = []

    def start(answers: list[Answer]) -> tuple[str, list[str]]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = answers[min(len(asked), len(answers) - 1)]
                asked.append(self.path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def link(cursor: str, results: str) -> dict[str, str]:
    return {
        "Link": '<http://elsewhere.invalid/?&cursor=0:0:1>; rel="previous"; results="false"; cursor="0:0:1", '
        f'<http://elsewhere.invalid/?&cursor={cursor}>; rel="next"; results="{results}"; cursor="{cursor}"'
    }


# Paging


def test_the_last_page_has_a_next_link_too_and_is_not_followed(
    scripted: Callable[..., tuple[str, list[str]]],
) -> None:
    url, asked = scripted(
        [(200, link("0:1:0", "true"), b'[{"id": 1}]'), (200, link("0:2:0", "false"), b'[{"id": 2}]')]
    )
    pages = list(client_of(url).pages("things/", {"query": ""}))
    assert [page.rows for page in pages] == [[{"id": 1}], [{"id": 2}]]
    assert [page.has_next for page in pages] == [True, False]
    assert len(asked) == 2


def test_own_parameters_are_sent_again_with_the_encoded_cursor_to_the_own_host(
    scripted: Callable[..., tuple[str, list[str]]],
) -> None:
    url, asked = scripted([(200, link("15414:0:0", "true"), b"[]"), (200, link("15414:1:0", "false"), b"[]")])
    list(client_of(url).pages("things/", {"query": "", "project": ["1", "2"]}))
    assert asked == [
        "/api/0/things/?query=&project=1&project=2",
        "/api/0/things/?query=&project=1&project=2&cursor=15414%3A0%3A0",
    ]


def test_an_empty_page_with_more_results_is_not_the_end(
    scripted: Callable[..., tuple[str, list[str]]],
) -> None:
    url, _ = scripted(
        [
            (200, link("100:1:0", "true"), b'[{"id": 1}]'),
            (200, link("100:2:0", "true"), b"[]"),
            (200, link("100:3:0", "false"), b'[{"id": 2}]'),
        ]
    )
    assert [row["id"] for page in client_of(url).pages("things/") for row in page.rows] == [1, 2]


def test_an_answer_without_a_link_header_is_one_page(scripted: Callable[..., tuple[str, list[str]]]) -> None:
    url, asked = scripted([(200, {}, b'[{"id": 1}]')])
    assert [page.has_next for page in client_of(url).pages("things/")] == [False]
    assert len(asked) == 1


def test_a_cursor_that_repeats_is_an_error_and_not_the_end(serve: Callable[..., Sandbox]) -> None:
    server = serve(issues=250, events=250, switches=Switches(repeat_cursor=True))
    with pytest.raises(
        errors.SentryPaginationError,
        match=r"gave the cursor .* twice while listing organizations/acme/issues/",
    ):
        list(
            reader(server).pages("organizations/acme/issues/", {"query": "", "project": "-1", "limit": "100"})
        )


def test_a_next_page_without_a_cursor_is_an_error_and_not_the_end(
    scripted: Callable[..., tuple[str, list[str]]],
) -> None:
    headers = {"Link": '<http://elsewhere.invalid/>; rel="next"; results="true"'}
    url, _ = scripted([(200, headers, b"[]")])
    with pytest.raises(errors.SentryPaginationError, match="gave no cursor while listing things/"):
        list(client_of(url).pages("things/"))


# Retries


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 500},
        {"status": 502},
        {"status": 503, "headers": {"Retry-After": "0"}},
        {"drop": "before"},
        {"drop": "body"},
        {"status": 200, "body": b'[{"id": "1"', "content_type": "application/json"},
        {"status": 200, "body": b"<html>please log in</html>"},
        {"status": 200, "body": b"", "content_type": "application/json"},
        {"status": 200, "body": b"null", "content_type": "application/json"},
        {"status": 200, "body": b'{"error": "x"}', "content_type": "application/json"},
        {
            "status": 400,
            "body": b'{"detail":"Query timeout. Please try again."}',
            "content_type": "application/json",
        },
    ],
    ids=[
        "500",
        "502",
        "503",
        "dropped",
        "cut-in-the-body",
        "json-cut-short",
        "html",
        "empty",
        "null",
        "an-object",
        "snuba-timeout",
    ],
)
def test_what_may_pass_is_tried_again(serve: Callable[..., Sandbox], failure: dict[str, object]) -> None:
    server = serve()
    server.fail_next(2, path_contains="teams", **failure)  # type: ignore[arg-type]
    teams = [row["slug"] for page in reader(server).listing("organizations/acme/teams/") for row in page]
    assert sorted(teams) == sorted(row["slug"] for row in truth_of(server)["teams"])
    assert len([request for request in server.requests if "teams" in request.path]) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.SentryBadRequestError),
        (401, errors.SentryAuthenticationError),
        (403, errors.SentryPermissionError),
        (404, errors.SentryNotFoundError),
        (410, errors.SentryGoneError),
    ],
)
def test_what_is_permanent_is_asked_once(
    serve: Callable[..., Sandbox], status: int, kind: type[errors.SentryRequestError]
) -> None:
    server = serve()
    server.fail_next(9, status=status, body=b'{"detail":"no"}', content_type="application/json")
    with pytest.raises(kind):
        reader(server).get("organizations/acme/teams/")
    assert len(server.requests) == 1


def test_attempts_are_bounded_and_the_error_names_the_path(serve: Callable[..., Sandbox]) -> None:
    server = serve()
    server.fail_next(99, status=503)
    with pytest.raises(errors.SentryServerError, match="Sentry answered 503 on organizations/acme/teams/"):
        list(reader(server).listing("organizations/acme/teams/"))
    assert len(server.requests) == 5


def test_a_429_waits_until_the_limit_resets_by_the_servers_own_clock(
    scripted: Callable[..., tuple[str, list[str]]],
) -> None:
    limited = {
        "Date": "Sat, 01 Aug 2026 12:00:00 GMT",
        "X-Sentry-Rate-Limit-Limit": "40",
        "X-Sentry-Rate-Limit-Remaining": "0",
        "X-Sentry-Rate-Limit-ConcurrentLimit": "1",
        "X-Sentry-Rate-Limit-ConcurrentRemaining": "0",
        "X-Sentry-Rate-Limit-Reset": "1785585601",
    }
    url, asked = scripted(
        [(429, limited, b'"You are attempting to use this endpoint too frequently"'), (200, {}, b"[]")]
    )
    started = time.monotonic()
    assert list(client_of(url).listing("things/")) == [[]]
    assert time.monotonic() - started >= 1
    assert len(asked) == 2


def test_a_429_without_headers_backs_off_within_the_attempts(
    scripted: Callable[..., tuple[str, list[str]]],
) -> None:
    url, asked = scripted([(429, {"Content-Type": "text/html"}, b"<h1>slow down</h1>")])
    with pytest.raises(errors.SentryRateLimitError, match="429 on things/"):
        client_of(url).get("things/")
    assert len(asked) == 5


def test_an_unreachable_host_is_one_error_with_the_host_in_it() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(
        errors.SentryConnectionError, match=rf"127\.0\.0\.1:{port} cannot be reached"
    ) as error:
        client_of(f"http://127.0.0.1:{port}").get("things/")
    assert error.value.__cause__ is None


# Redirects


def test_a_redirect_within_the_host_is_followed(serve: Callable[..., Sandbox]) -> None:
    server = serve()
    old = server.world.projects[0].slug
    server.world.rename_project(old, "renamed")
    rows = [row for page in reader(server).listing(f"projects/acme/{old}/environments/") for row in page]
    assert rows
    assert 302 in {request.status for request in server.requests}


def test_a_redirect_to_another_host_is_refused_and_the_token_stays(
    scripted: Callable[..., tuple[str, list[str]]],
) -> None:
    other, asked_there = scripted([(200, {}, b"[]")])
    url, _ = scripted([(302, {"Location": f"{other}/api/0/things/"}, b"")])
    with pytest.raises(
        errors.SentryRedirectError, match="address are not followed, because the token would go there"
    ):
        client_of(url).get("things/")
    assert asked_there == []


# Messages


def test_a_403_names_the_scope(serve: Callable[..., Sandbox]) -> None:
    server = serve()
    token = server.add_token(scopes=["org:read"])
    with pytest.raises(errors.SentryPermissionError, match="lacks the scope member:read"):
        list(reader(server, token).pages("organizations/acme/members/", scope="member:read"))


def test_a_403_for_an_organization_token_says_that_such_tokens_cannot_read_issues(
    serve: Callable[..., Sandbox],
) -> None:
    server = serve()
    token = server.add_token(kind="org")
    with pytest.raises(
        errors.SentryPermissionError,
        match=r"\(sntrys_\.\.\.\) carry only the scope org:ci and cannot read issues",
    ):
        reader(server, token).get("organizations/acme/", scope="org:read")


def test_a_wrong_token_says_what_to_check(serve: Callable[..., Sandbox]) -> None:
    with pytest.raises(
        errors.SentryAuthenticationError, match=r"401 on organizations/acme/: Invalid token\. Check the token"
    ):
        reader(serve(), "sntryu_" + "f" * 64).get("organizations/acme/")


def test_a_detail_that_is_an_object_is_read_too(scripted: Callable[..., tuple[str, list[str]]]) -> None:
    body = b'{"detail":{"code":"sso-required","message":"Must login via SSO","extra":{"loginUrl":"/auth/"}}}'
    url, _ = scripted([(401, {"Content-Type": "application/json"}, body)])
    with pytest.raises(errors.SentryAuthenticationError, match=r"401 on things/: Must login via SSO\."):
        client_of(url).get("things/")


def test_a_403_page_of_a_proxy_is_recognized(scripted: Callable[..., tuple[str, list[str]]]) -> None:
    url, _ = scripted([(403, {"Content-Type": "text/html"}, b"<html>Forbidden</html>")])
    with pytest.raises(errors.SentryPermissionError, match="came from a proxy or an address filter"):
        client_of(url).get("things/")


def test_a_404_with_an_empty_body_points_to_the_region(serve: Callable[..., Sandbox]) -> None:
    server = serve(switches=Switches(region="de"))
    with pytest.raises(errors.SentryNotFoundError, match="base_url names the right region"):
        client_of(server.region_urls["us"], server.token).get("organizations/acme/")


# Secrets


def test_the_token_is_in_no_log_line_and_in_no_error(
    serve: Callable[..., Sandbox], everything_logged: pytest.LogCaptureFixture
) -> None:
    server = serve()
    client = reader(server)
    list(client.listing("organizations/acme/teams/"))
    echo = json.dumps({"detail": f"bad token {server.token}"}).encode()
    server.fail_next(9, status=500, body=echo, content_type="application/json")
    with pytest.raises(errors.SentryServerError) as error:
        client.get("organizations/acme/")
    assert "organizations/acme/teams/ ?per_page=100 -> 200" in everything_logged.text
    assert "rate limit: {'limit'" in everything_logged.text
    assert server.token not in everything_logged.text
    assert "bad token [token]" in str(error.value)
    assert server.token not in str(error.value)
