"""Secrets: where the token goes, what stays silent about it, and what a hostile server can do."""

from __future__ import annotations

import base64
import gzip
import http.client
import http.server
import json
import logging
import os
import pickle
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import dlt
import pytest
import trustme
from dlt.pipeline.exceptions import PipelineStepFailed

from sandbox import Sandbox
from sandbox.access import READ_SCOPES
from sentry import errors, sentry_source, verify
from sentry.access import check_access
from sentry.actions import list_events, list_issues, submit_events, update_issue
from sentry.client import SentryClient
from sentry.config import connect
from sentry.destinations import sentry_events, sentry_issues
from sentry.dsn import find_dsn
from sentry.errors import SentryError
from sentry.planner import plan
from sentry.scrub import Scrub
from tests.conftest import Script
from tests.warehouse import Warehouse

TOKEN = "sntryu_" + "0123456789abcdef" * 4

JSON = MappingProxyType({"Content-Type": "application/json"})


@dataclass(frozen=True)
class Asked:
    """A request that a server got."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Answer:
    """What a server sends; a body that is an iterator is sent as it comes, without a length."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Callable[[], Iterator[bytes]] = b"[]"


class Listener:
    """A small server that remembers what it was asked."""

    def __init__(self, answer: Callable[[Asked], Answer], tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                with suppress(OSError):  # the client has gone
                    super().handle_one_request()

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                asked = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
                listener.asked.append(asked)
                given = answer(asked)
                self.send_response(given.status)
                for name, value in given.headers.items():
                    self.send_header(name, value)
                if isinstance(given.body, bytes):
                    if "Content-Length" not in given.headers:
                        self.send_header("Content-Length", str(len(given.body)))
                    self.end_headers()
                    self.wfile.write(given.body)
                    return
                self.end_headers()
                for part in given.body():
                    self.wfile.write(part)

            do_PUT = do_DELETE = do_POST = do_CONNECT = do_GET  # noqa: N815 - as http.server wants them

            def log_message(self, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                pass  # a client that does not believe the certificate

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self.server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def tokens(self) -> list[str | None]:
        """The authorization that came with each request."""
        return [asked.headers.get("Authorization") for asked in self.asked]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


Listen = Callable[..., Listener]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Starts servers: ``listen(Answer(...), tls=...)`` or ``listen(function)``."""
    with ExitStack() as stack:

        def start(answer: Answer | Callable[[Asked], Answer], tls: ssl.SSLContext | None = None) -> Listener:
            listener = Listener((lambda _: answer) if isinstance(answer, Answer) else answer, tls)
            stack.callback(listener.close)
            return listener

        yield start


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "sentry.example.com").configure_cert(context)
    return context


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    return str(tmp_path / "authority.pem")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def client_of(url: str, **settings: Any) -> SentryClient:
    return SentryClient(connect(TOKEN, "acme", url, None, **{"allow_insecure": False, **settings}))


def refused(url: str, **settings: Any) -> errors.SentryRequestError:
    """The error that asking a server ends with."""
    with pytest.raises(errors.SentryRequestError) as caught:
        client_of(url, **settings).get("things/", expected=object)
    return caught.value


# Answers are bounded in size

TOO_LARGE = (
    "The answer to things/ is larger than 1 MB, the most that is read of one answer. If that is right, set "
    "max_response_megabytes higher; else look at what stands before Sentry, whose answers are smaller."
)
PACKED = MappingProxyType({"Content-Encoding": "gzip"})


def bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(bytes(1_000_000)) for _ in range(megabytes)), packer.flush()])


def test_an_answer_that_is_announced_too_large_is_not_read_and_not_asked_for_again(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_TIMEOUT", "0.5")
    ended = threading.Event()

    def body() -> Iterator[bytes]:
        ended.wait(5)
        yield b""

    server = listen(Answer(headers={"Content-Length": "1000001"}, body=body))
    error = refused(server.url, max_response_megabytes=1)
    ended.set()
    assert str(error) == TOO_LARGE
    assert len(server.asked) == 1


def test_an_answer_that_grows_too_large_is_not_read_on(listen: Listen) -> None:
    server = listen(Answer(body=lambda: (b" " * 100_000 for _ in range(1000))))
    assert str(refused(server.url, max_response_megabytes=1)) == TOO_LARGE
    assert len(server.asked) == 1


def test_a_small_answer_that_unpacks_to_a_huge_one_takes_no_memory(listen: Listen) -> None:
    server = listen(Answer(headers=PACKED, body=bomb(200)))
    client_of(server.url)
    tracemalloc.start()
    try:
        assert str(refused(server.url, max_response_megabytes=1)) == TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [302, 500])
def test_the_bound_holds_for_redirects_and_refusals_too(listen: Listen, status: int) -> None:
    server = listen(Answer(status, {**PACKED, "Location": "/api/0/things/"}, bomb(20)))
    assert str(refused(server.url, max_response_megabytes=1)) == TOO_LARGE


def test_the_bound_is_a_setting_of_all_that_is_done_with_sentry(
    serve: Callable[..., Sandbox], warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    warehouse.load(server, "events")
    monkeypatch.setenv("SOURCES__SENTRY__MAX_RESPONSE_MEGABYTES", "1")
    server.rewrite(lambda _, body: body + b" " * 1_000_001)
    place: dict[str, Any] = {"auth_token": server.token, "organization": "acme", "base_url": server.url}
    for act in (
        lambda: verify(warehouse.pipeline, **place),
        lambda: check_access(**place),
        lambda: plan(warehouse.pipeline, ["events"], **place),
        lambda: list(list_issues("backend", **place)),
        lambda: list(list_events("1", **place)),
        lambda: update_issue("1", {"status": "resolved"}, **place),
        lambda: warehouse.pipeline.run(sentry_source(**place)),
    ):
        with pytest.raises((SentryError, PipelineStepFailed), match="is larger than 1 MB"):
            act()
    warehouse.pipeline.abort_packages()
    monkeypatch.setenv("SOURCES__SENTRY__MAX_RESPONSE_MEGABYTES", "3")
    assert check_access(**place).organization == "acme"


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b'["' + b"x" * 900_000 + b'"]'),
        gzip.compress(b'["' + b"x" * 450_000) + gzip.compress(b"x" * 450_000 + b'"]'),
        gzip.compress(b'["' + b"x" * 900_000 + b'"]') + bytes(100),
    ],
    ids=["packed", "in two parts", "filled up"],
)
def test_an_answer_within_the_bound_is_read_whole(listen: Listen, body: bytes) -> None:
    def pieces() -> Iterator[bytes]:
        yield from (body[at : at + 301] for at in range(0, len(body), 301))

    for answer in (Answer(headers=PACKED, body=body), Answer(headers=PACKED, body=pieces)):
        url = listen(answer).url
        assert client_of(url, max_response_megabytes=1).get("things/", expected=list) == ["x" * 900_000]


def test_an_answer_in_chunks_is_read_whole(listen: Listen) -> None:
    def body() -> Iterator[bytes]:
        for part in (b"[1,", b" " * 300_000, b"2]", b""):
            yield b"%x\r\n%b\r\n" % (len(part), part)

    url = listen(Answer(headers={"Transfer-Encoding": "chunked"}, body=body)).url
    assert client_of(url).get("things/", expected=list) == [1, 2]


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (Answer(headers=PACKED, body=gzip.compress(b"[1]")[:-4]), "cut its answer short"),
        (Answer(headers={"Content-Length": "100"}, body=b"[1]"), "cut its answer short"),
        (Answer(headers=PACKED, body=b"[1]"), "sent a body that cannot be unpacked"),
        (Answer(headers={"Content-Encoding": "br"}), "sent a body that cannot be unpacked"),
    ],
    ids=["packed and cut", "cut", "not packed", "packed in another way"],
)
def test_a_body_that_is_broken_is_asked_for_again(listen: Listen, answer: Answer, what: str) -> None:
    server = listen(answer)
    host = server.url.removeprefix("http://")
    assert str(refused(server.url)) == (
        f"{host} {what} (things/). Check base_url, the network and the proxy settings, then run again."
    )
    assert len(server.asked) == 5
    assert server.asked[0].headers["Accept-Encoding"] == "gzip"


def test_a_body_that_comes_a_byte_now_and_then_is_given_up(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(1000):
            time.sleep(0.02)
            yield b" "

    monkeypatch.setenv("RUNTIME__REQUEST_TIMEOUT", "0.25")
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "2")
    server = listen(Answer(body=drip))
    started = time.monotonic()
    error = refused(server.url)
    assert time.monotonic() - started < 15
    host = server.url.removeprefix("http://")
    assert str(error) == (
        f"{host} did not send its whole answer within 1.25 s (things/). Check the network and the proxy settings, or "
        "set request_timeout higher under [runtime] (a body may take 5 times as long), then run again."
    )
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "endless",
    [b"X-Filler: ", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["a header that goes on", "told to continue again and again"],
)
def test_an_answer_whose_head_has_no_end_is_given_up(monkeypatch: pytest.MonkeyPatch, endless: bytes) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_TIMEOUT", "0.2")
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "2")
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0.1")
    connections: list[socket.socket] = []

    def drip(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connections.append(listener.accept()[0])
                threading.Thread(target=trickle, args=(connections[-1],), daemon=True).start()

    def trickle(connection: socket.socket) -> None:
        head = b"" if endless.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n"
        with suppress(OSError):
            connection.sendall(head)
            for _ in range(200):
                for byte in range(0, len(endless), 8):
                    connection.sendall(endless[byte : byte + 8])
                    time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        error = refused(f"http://{host}")
        assert time.monotonic() - began < 8
        listener.shutdown(socket.SHUT_RDWR)
    assert str(error) == (
        f"{host} did not answer in time (things/). Check base_url, the network and the proxy settings, then run again."
    )
    assert len(connections) == 2


def test_a_body_that_stops_in_its_middle_is_given_up(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_TIMEOUT", "0.1")
    ended = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"[1,"
        ended.wait(5)

    server = listen(Answer(body=body))
    error = refused(server.url)
    ended.set()
    assert "stopped in the middle of its answer (things/)" in str(error)
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    "bad",
    [
        Answer(headers={"Content-Length": "2000000"}, body=b"[" + b" " * 1_999_998 + b"]"),
        Answer(302, {"Location": "http://sentry.example.com/"}, b"x" * 100_000),
        Answer(headers={"Content-Encoding": "br"}, body=b"x" * 100_000),
    ],
    ids=["too large", "redirected", "not to be unpacked"],
)
def test_an_answer_that_is_not_read_keeps_no_connection(listen: Listen, bad: Answer) -> None:
    server = listen(lambda asked: Answer() if "good" in asked.path else bad)
    client = client_of(server.url, max_parallel=1, max_response_megabytes=1)
    done: list[Any] = []

    def ask() -> None:
        for _ in range(3):
            with suppress(errors.SentryRequestError):
                client.get("bad/", retry=False)
        done.append(client.get("good/", expected=list))

    thread = threading.Thread(target=ask, daemon=True)  # which would wait for a connection for ever
    thread.start()
    thread.join(5)
    assert done == [[]]


# Redirects

ELSEWHERE = {
    "another host": "http://localhost:{port}/api/0/things/",
    "another port": "http://127.0.0.1:{port}/api/0/things/",
    "another scheme": "https://127.0.0.1:{home}/api/0/things/",
    "without a scheme": "//127.0.0.1:{port}/api/0/things/",
    "with three slashes": "///127.0.0.1:{port}/api/0/things/",
    "with a user": "http://user:secret@127.0.0.1:{port}/api/0/things/",
    "with our host as its user": "http://127.0.0.1:{home}@127.0.0.1:{port}/api/0/things/",
    "with a user of our host": "http://user:secret@127.0.0.1:{home}/api/0/things/",
    "with a backslash": "http://127.0.0.1:{home}\\@127.0.0.1:{port}/api/0/things/",
    "with backslashes": "\\\\127.0.0.1:{port}/api/0/things/",
    "with a tab": "\t//127.0.0.1:{port}/api/0/things/",
    "no port": "http://127.0.0.1:{port}0000/",
    "no address": "http://[::1/",
    "another protocol": "ftp://127.0.0.1:{port}/",
}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("kind", ELSEWHERE)
def test_no_redirect_takes_the_token_elsewhere(listen: Listen, kind: str, status: int) -> None:
    evil = listen(Answer())
    home: Listener = listen(
        lambda _: Answer(status, {"Location": ELSEWHERE[kind].format(port=evil.port, home=home.port)})
    )
    client = client_of(home.url)
    for ask in (
        lambda: client.get("things/", expected=list),
        lambda: client.send("PUT", "things/", json={"a": 1}),
        lambda: client.send("DELETE", "things/", repeatable=False),
    ):
        with suppress(errors.SentryRedirectError, errors.SentryNotFoundError):
            ask()
    assert evil.asked == []
    assert {token for token in home.tokens if token} == {f"Bearer {TOKEN}"}
    if "slash" not in kind:  # these are paths of our own host to some readers
        assert len(home.asked) == 3


def test_a_redirect_that_leaves_says_where_to_without_its_user(listen: Listen) -> None:
    server = listen(Answer(302, {"Location": f"https://user:word@evil.example.com:444/?token={TOKEN}"}))
    assert str(refused(server.url)) == (
        "Sentry redirects things/ to https://evil.example.com:444. Redirects to another address are not followed, "
        "because the token would go there. If that address is right, set base_url to it."
    )


def test_a_redirect_from_https_to_http_is_refused(
    listen: Listen, tls: ssl.SSLContext, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    evil = listen(Answer())
    home: Listener = listen(lambda _: Answer(302, {"Location": f"http://127.0.0.1:{home.port}/"}), tls=tls)
    assert f"to http://127.0.0.1:{home.port}. Redirects to another address" in str(refused(home.url))
    home = listen(lambda _: Answer(307, {"Location": evil.url}), tls=tls)
    assert f"to {evil.url}. Redirects to another address" in str(refused(home.url))
    assert evil.asked == []


def test_a_chain_that_first_stays_and_then_leaves_is_refused(listen: Listen) -> None:
    evil = listen(Answer())
    ways = {"/api/0/things/": "/api/0/moved/", "/api/0/moved/": "../again/", "/api/0/again/": evil.url}
    home: Listener = listen(lambda asked: Answer(302, {"Location": ways[asked.path]}))
    assert f"Sentry redirects again/ to {evil.url}" in str(refused(home.url))
    assert [asked.path for asked in home.asked] == list(ways)
    assert evil.asked == []


def test_a_redirect_within_the_host_keeps_the_token(listen: Listen) -> None:
    home: Listener = listen(
        lambda asked: (
            Answer()
            if asked.path.endswith("moved/")
            else Answer(302, {"Location": f"{home.url}/api/0/moved/"})
        )
    )
    assert client_of(home.url).get("things/", expected=list) == []
    assert home.tokens == [f"Bearer {TOKEN}"] * 2


def test_a_redirect_is_followed_to_the_host_as_we_wrote_it(listen: Listen) -> None:
    home: Listener = listen(
        lambda asked: (
            Answer()
            if "moved" in asked.path
            else Answer(302, {"Location": f"HTTP://LocalHost:{home.port}/api/0/moved/?a=b#c"})
        )
    )
    answer = client_of(f"http://localhost:{home.port}").response("things/", expected=list)
    assert answer.url == f"http://localhost:{home.port}/api/0/moved/?a=b"


def test_a_redirect_in_a_circle_has_an_end(listen: Listen) -> None:
    server = listen(Answer(302, {"Location": "/api/0/things/"}))
    assert str(refused(server.url)) == (
        "Sentry redirects things/ again and again. Check base_url and the proxy before Sentry."
    )
    assert len(server.asked) == 6


def test_a_change_is_not_sent_again_after_a_redirect(listen: Listen) -> None:
    server = listen(Answer(307, {"Location": "/api/0/moved/"}))
    with pytest.raises(errors.SentryRedirectError) as error:
        client_of(server.url).send("PUT", "things/", json={"a": 1})
    assert str(error.value) == (
        f"Sentry redirects things/ to {server.url}. Changes are not sent again elsewhere. Check base_url, its path "
        "prefix included."
    )
    assert len(server.asked) == 1


def test_of_a_link_to_another_host_only_the_cursor_is_taken(listen: Listen) -> None:
    evil = listen(Answer())

    def answer(asked: Asked) -> Answer:
        more = "cursor" not in asked.path
        link = f'<{evil.url}/?cursor=0:1:0&a=b>; rel="next"; results="{str(more).lower()}"; cursor="0:1:0"'
        return Answer(headers={"Link": link})

    home: Listener = listen(answer)
    assert len(list(client_of(home.url).pages("things/"))) == 2
    assert home.asked[1].path == "/api/0/things/?cursor=0%3A1%3A0"
    assert evil.asked == []


# Certificates, proxies, .netrc


def test_a_private_authority_is_trusted_when_requests_is_told(
    listen: Listen, tls: ssl.SSLContext, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = listen(Answer(), tls=tls)
    host = server.url.removeprefix("https://")
    message = (
        f"The certificate of {host} could not be verified. For a private certificate authority set "
        "REQUESTS_CA_BUNDLE to its file; verification cannot be switched off."
    )
    assert str(refused(server.url)) == message
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, bundle)
        assert client_of(server.url).get("things/", expected=list) == []
        monkeypatch.setenv(name, "")  # nothing to verify with is no way around
        assert str(refused(server.url)) == message
        monkeypatch.delenv(name)
    assert server.tokens == [f"Bearer {TOKEN}"] * 2


def test_another_hosts_certificate_is_refused(
    listen: Listen, authority: trustme.CA, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example.com").configure_cert(context)
    server = listen(Answer(), tls=context)
    assert "could not be verified" in str(refused(server.url))
    assert server.asked == []


def test_verification_cannot_be_switched_off(
    listen: Listen, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = listen(Answer(), tls=tls)
    with pytest.raises(TypeError, match="unexpected keyword argument 'verify'"):
        sentry_source(auth_token=TOKEN, base_url=server.url, verify=False)  # type: ignore[call-arg]
    for name in ("SOURCES__SENTRY__VERIFY", "SOURCES__SENTRY__ALLOW_INSECURE", "PYTHONHTTPSVERIFY"):
        monkeypatch.setenv(name, "0" if name == "PYTHONHTTPSVERIFY" else "true")
    for settings in ({}, {"allow_insecure": True}):
        assert "could not be verified" in str(refused(server.url, **settings))
    assert server.asked == []


def test_certificates_that_are_not_there_are_said(
    listen: Listen, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = listen(Answer(), tls=tls)
    host = server.url.removeprefix("https://")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    assert str(refused(server.url)) == (
        f"The certificates to verify {host} with are not there. Check the file that REQUESTS_CA_BUNDLE or "
        "CURL_CA_BUNDLE names; verification cannot be switched off."
    )
    (tmp_path / "empty.pem").write_text("")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "empty.pem"))
    assert "could not be verified" in str(refused(server.url))


def test_an_entry_in_netrc_does_not_replace_the_token(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password other\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server = listen(
        lambda asked: Answer() if "moved" in asked.path else Answer(302, {"Location": "/api/0/moved/"})
    )
    client = client_of(server.url)
    client.get("things/", expected=list)
    client.get("moved/", expected=list)
    assert server.tokens == [f"Bearer {TOKEN}"] * 3


def tunnel(target: int) -> tuple[socket.socket, list[bytes]]:
    """A proxy for https: connects to one port whatever host is asked for, and keeps what it can read."""
    listener = socket.create_server(("127.0.0.1", 0))
    heads: list[bytes] = []

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def serve() -> None:
        client, _ = listener.accept()
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        heads.append(head)
        server = socket.create_connection(("127.0.0.1", target))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=copy, args=(client, server), daemon=True).start()
        copy(server, client)

    threading.Thread(target=serve, daemon=True).start()
    return listener, heads


def test_a_proxy_is_used_and_does_not_see_the_token(
    listen: Listen, tls: ssl.SSLContext, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = listen(Answer(), tls=tls)
    proxy, heads = tunnel(server.port)
    with proxy:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:word@127.0.0.1:{proxy.getsockname()[1]}")
        assert client_of("https://sentry.example.com").get("things/", expected=list) == []
    assert heads[0].startswith(b"CONNECT sentry.example.com:443 ")
    assert TOKEN.encode() not in heads[0]
    assert server.tokens == [f"Bearer {TOKEN}"]


def test_what_goes_to_this_machine_unencrypted_takes_no_proxy(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = listen(Answer(body=b"[1]")), listen(Answer())
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    assert client_of(server.url).get("things/", expected=list) == []
    assert proxy.asked == []


def test_a_proxy_that_fails_is_named_without_its_password(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = listen(Answer(407))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("://", "://someone:word@"))
    assert str(refused("https://sentry.example.com")) == (
        "sentry.example.com cannot be reached, or broke the connection (things/). Check base_url, the network and "
        "the proxy settings, then run again."
    )


# Nothing repeats the token


def forms(secret: str) -> list[str]:
    """What must not be found anywhere: parts of the secret, and what encodings make of it."""
    core = secret[-40:]
    encoded = [base64.b64encode(f"{' ' * shift}{secret}".encode())[8:-8].decode() for shift in range(3)]
    return [core[:20], core[20:], quote(secret, safe=""), secret.encode().hex(), secret[::-1], *encoded]


def assert_silent(text: str | bytes, *secrets: str) -> None:
    content = text.encode() if isinstance(text, str) else text
    for secret in secrets:
        for form in forms(secret):
            assert form.encode() not in content, (
                f"{form} in {content[max(0, content.find(form.encode()) - 200) :][:400]!r}"
            )


def assert_files_are_silent(folder: Path, *secrets: str) -> None:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    for path in files:
        if path.name == "secrets.toml":
            continue
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        assert_silent(content, *secrets)


@pytest.fixture
def all_logs(
    caplog: pytest.LogCaptureFixture, everything_logged: pytest.LogCaptureFixture
) -> pytest.LogCaptureFixture:
    """What all loggers say, down to the last detail, those of requests' own parts included."""
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "requests", "dlt"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    return everything_logged


def test_a_load_and_all_that_is_asked_beside_it_leave_no_trace_of_the_token(
    serve: Callable[..., Sandbox],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    all_logs: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = serve(events=20, issues=4)
    token = server.add_token(scopes=(*READ_SCOPES, "event:write"))
    monkeypatch.setenv("SOURCES__SENTRY__AUTH_TOKEN", token)
    monkeypatch.setenv("SENTRY_AUTH_TOKEN", token)
    monkeypatch.setenv("RUNTIME__LOG_LEVEL", "DEBUG")
    place: dict[str, Any] = {"organization": "acme", "base_url": server.url}
    pipeline = dlt.pipeline(
        "test",
        destination=dlt.destinations.duckdb(str(tmp_path / "test.duckdb")),
        dataset_name="sentry_data",
        pipelines_dir=str(tmp_path / "pipelines"),
    )
    source = sentry_source(**place)  # dlt names its columns as the active pipeline's destination wants them
    info = pipeline.run(source, loader_file_format="insert_values")
    trace: Any = pipeline.last_trace
    shown: list[Any] = [source, *source.resources.values(), pipeline, info, trace, pipeline.state]
    shown += [trace.asdict(), pickle.dumps(trace)]
    shown += [verify(pipeline, **place), check_access(**place), plan(pipeline, ["events", "issues"], **place)]
    shown += [list(list_issues("backend", **place)), list(list_events(server.world.issues[0].id, **place))]
    shown += [update_issue(server.world.issues[0].id, {"status": "resolved"}, **place)]
    shown += [sentry_issues(), connect(token, "acme", server.url, None, allow_insecure=False)]
    client = client_of(server.url)
    shown += [client, client._rest, client._rest.auth, client._rest.session, Scrub(token)]
    for one in shown:
        assert_silent(repr(one), token, TOKEN)
        assert_silent(one if isinstance(one, bytes) else str(one), token, TOKEN)
    with pipeline.sql_client() as sql:
        for table in pipeline.default_schema.tables:
            with suppress(dlt.destinations.exceptions.DatabaseUndefinedRelation):
                assert_silent(repr(sql.execute_sql(f"SELECT * FROM {table}")), token)
    assert "GET /api/0/organizations/acme/" in all_logs.text  # urllib3 tells of it
    assert "Making GET request" in all_logs.text
    assert_silent(all_logs.text, token)
    assert_silent("".join(capsys.readouterr()), token)
    assert_files_are_silent(tmp_path, token)


def test_the_script_and_dlts_own_commands_show_no_token_whatever_fails(
    serve: Callable[..., Sandbox], script: Script, tmp_path: Path
) -> None:
    server = serve()
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "secrets.toml").write_text(f'[sources.sentry]\nauth_token = "{server.token}"\n')
    place = {"SENTRY_URL": server.url, "SENTRY_ORG": "acme", "RUNTIME__LOG_LEVEL": "DEBUG"}
    echo = json.dumps({"detail": f"{'x' * 470} {server.token}"}).encode()
    server.fail_next(99, status=403, body=echo, content_type="application/json", path_contains="/issues/")
    (tmp_path / ".dlt" / "config.toml").write_text("[sources.sentry]\nstrict = true\n")
    failed = script(None, "--resources", "teams", "issues", "-v", "--debug", **place)
    assert failed.returncode == 2, failed.stderr
    assert "-> 200" in failed.stderr
    assert "Traceback (most recent call last)" in failed.stderr
    command = [str(Path(sys.executable).parent / "dlt"), "-v", "pipeline", "sentry", "trace"]
    trace = subprocess.run(
        command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert "extract" in trace.stdout
    for run in (failed, trace):
        assert_silent(run.stdout + run.stderr, server.token)
    assert_files_are_silent(tmp_path, server.token)


LONG = "x" * 480
"""Before a token, so that a text cut to 500 letters would hold its beginning."""


def echoes(token: str) -> dict[str, Answer]:
    basic = base64.b64encode(f"{token}:".encode()).decode()
    link = f'<http://sentry.example.com/?cursor={token}>; rel="next"; results="true"; cursor="{token}"'
    body = json.dumps({"detail": f"{LONG}{token}", token: token}).encode()
    return {
        **{
            f"{status} detail": Answer(status, JSON, body)
            for status in (400, 401, 403, 404, 410, 429, 500, 503)
        },
        "400 fields": Answer(400, JSON, json.dumps({"status": [f"{LONG} {token}"], token: [token]}).encode()),
        "400 busy": Answer(400, JSON, json.dumps({"detail": f"Query timeout {token}"}).encode()),
        "403 nested": Answer(403, JSON, json.dumps({"detail": {"code": token}}).encode()),
        "403 basic": Answer(403, JSON, json.dumps({"detail": f"You sent {basic}"}).encode()),
        "403 header": Answer(403, {"WWW-Authenticate": f'Bearer scope="{token}"'}, b"{}"),
        "403 html": Answer(403, {"Content-Type": "text/html"}, f"<p>{token}</p>".encode()),
        "200 html": Answer(200, {"Content-Type": f"text/html; x={token}"}, f"<p>{token}</p>".encode()),
        "302 elsewhere": Answer(302, {"Location": f"https://{token}.example.com/{token}"}),
        "302 no address": Answer(302, {"Location": f"https://{token}:x/{token}"}),
        "302 here": Answer(302, {"Location": f"/api/0/{token}/"}),
        "link": Answer(200, {"Link": link}),
        "encoding": Answer(200, {"Content-Encoding": token}),
    }


@pytest.mark.parametrize("kind", list(echoes("")))
@pytest.mark.parametrize(
    "token", [TOKEN, "sntrys_" + base64.b64encode(b'{"org": "acme?>?>?>"}').decode() + "_" + "c2Vj/mV0" * 8]
)
def test_a_server_that_repeats_the_token_gets_it_into_no_message(
    listen: Listen, all_logs: pytest.LogCaptureFixture, kind: str, token: str
) -> None:
    server = listen(echoes(token)[kind])
    client = SentryClient(connect(token, "acme", server.url, None, allow_insecure=False))
    with pytest.raises(errors.SentryRequestError) as caught:
        for _ in client.pages("things/", {"query": "a"}):
            pass
    error = caught.value
    told = [str(error), repr(error), *map(str, error.fields.items()), *traceback.format_exception(error)]
    assert_silent("\n".join(told) + all_logs.text, token)
    if "detail" in kind:
        assert f"{LONG}[token]" in str(error)


def test_a_row_that_holds_the_token_is_loaded_without_it(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    server.rewrite(lambda path, body: body.replace(b'"Backend"', json.dumps(f"<{server.token}>").encode()))
    name = next(team.name for team in server.world.teams)
    server.clear_hooks()
    server.rewrite(
        lambda path, body: body.replace(json.dumps(name).encode(), json.dumps(f"<{server.token}>").encode())
    )
    warehouse.load(server, "teams")
    assert "<[token]>" in warehouse.column("SELECT name FROM teams")
    assert_files_are_silent(warehouse.folder, server.token)


def test_a_word_that_is_short_enough_to_stand_in_rows_is_left_in_them() -> None:
    assert Scrub("word").text("words") == "words"


KEY = "0123456789abcdef0123456789abcdef"
OLD_KEY = "fedcba9876543210fedcba9876543210"


@pytest.mark.parametrize("status", [302, 400, 401, 403, 429, 500])
def test_the_keys_of_a_dsn_stay_silent(
    listen: Listen,
    all_logs: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    body = json.dumps({"detail": f"key {KEY} and {OLD_KEY}", "causes": [f"{LONG}{KEY}{OLD_KEY}"]}).encode()
    evil = listen(Answer())
    headers = {**JSON, "Retry-After": "1000", "X-Sentry-Error": KEY, "Location": evil.url}
    server = listen(Answer(status, headers, body))
    dsn = server.url.replace("://", f"://{KEY}:{OLD_KEY}@") + "/1"
    monkeypatch.setenv("DESTINATION__SENTRY_EVENTS__DSN", dsn)
    with pytest.raises(SentryError) as caught:
        submit_events([{"message": "x"}], outcomes=tmp_path / "outcomes.jsonl")
    pipeline = dlt.pipeline(
        "back", destination=sentry_events(dsn=dsn), pipelines_dir=str(tmp_path / "pipelines")
    )
    told = [*traceback.format_exception(caught.value), repr(find_dsn(dsn)), repr(pipeline)]
    told += [repr(sentry_events(dsn=dsn)), str(sentry_events(dsn=dsn))]
    if status < 429:  # dlt sends the others again, and waits in between
        with pytest.raises(PipelineStepFailed) as failed:
            pipeline.run([{"message": "x"}], table_name="rows")
        trace: Any = pipeline.last_trace
        told += [*traceback.format_exception(failed.value), repr(trace), repr(trace.asdict())]
        told += [repr(pipeline.state), pickle.dumps(trace).decode("latin-1")]
    assert_silent("".join(told) + all_logs.text, KEY, OLD_KEY)
    assert_files_are_silent(tmp_path, KEY, OLD_KEY)
    assert all(KEY in asked.headers["X-Sentry-Auth"] for asked in server.asked)
    assert evil.asked == []
