"""Requests that fail by chance: what each kind looks like on the wire, how often it comes, and what is left alone."""

import gzip
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox import Faults, faults
from sandbox.faults import FOREVER, KINDS

from .client import Client, Links
from .conftest import Start

TEAMS = "/organizations/acme/teams/"
ISSUES = "/organizations/acme/issues/"


def failing(start: Start, kind: str, **chosen: Any) -> Client:
    return start(faults=Faults(**{"probability": 1, "kinds": (kind,), "in_a_row": FOREVER, **chosen}))


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("rate_limited", 429, "too frequently"),
        ("too_many_at_once", 429, "concurrency"),
        ("rate_limited_bare", 429, "<h1>"),
        ("internal_error", 500, "Internal Error"),
        ("bad_gateway", 502, "<h1>"),
        ("unavailable", 503, "<h1>"),
        ("snuba", 400, "Query timeout. Please try again."),
        ("brown_out", 410, "This API no longer exists."),
        ("html_as_json", 200, "<h1>"),
    ],
)
def test_refusals_have_their_status_and_words(start: Start, kind: str, status: int, words: str) -> None:
    answer = failing(start, kind).get(ISSUES)
    assert answer.status_code == status
    assert words in answer.text


def test_a_429_tells_sentrys_limits_or_none(start: Start) -> None:
    told = failing(start, "rate_limited").get(TEAMS).headers
    assert told["X-Sentry-Rate-Limit-Remaining"] == "0"
    assert told["X-Sentry-Rate-Limit-Limit"] == "100000"
    told = failing(start, "too_many_at_once").get(TEAMS).headers
    assert (told["X-Sentry-Rate-Limit-Remaining"], told["X-Sentry-Rate-Limit-ConcurrentRemaining"]) == (
        "1",
        "0",
    )
    told = failing(start, "rate_limited_bare").get(TEAMS).headers
    assert not [name for name in told if name.lower().startswith("x-sentry-rate")]


def test_a_server_without_limits_sends_no_429_with_headers(start: Start) -> None:
    client = start(rate_limits=None, faults=Faults(1, kinds=("rate_limited", "too_many_at_once")))
    assert client.get(TEAMS).status_code == 200
    assert client.server.faults_injected == Counter()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset_before", requests.ConnectionError),
        ("reset_in_body", requests.exceptions.ChunkedEncodingError),
        ("closed_in_body", requests.exceptions.ChunkedEncodingError),
        ("broken_gzip", requests.exceptions.ContentDecodingError),
        ("cut_json", requests.exceptions.JSONDecodeError),
    ],
)
def test_broken_answers_break_in_the_reader(start: Start, kind: str, error: type[Exception]) -> None:
    client = failing(start, kind)
    with pytest.raises(error):
        client.get(TEAMS).json()


def test_a_reset_is_a_reset_and_a_close_is_none(start: Start) -> None:
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        failing(start, "reset_before").get(TEAMS)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        failing(start, "closed_in_body").get(TEAMS)


def test_a_reset_behind_the_answer_leaves_it_whole(start: Start) -> None:
    client = failing(start, "reset_after")
    # each in a session of its own: the connection is no use to the next one
    assert [len(Client(client.server).get(TEAMS).json()) for _ in range(3)] == [3, 3, 3]
    assert client.server.faults_injected == {"reset_after": 3}


def test_a_packed_body_lacks_its_end(start: Start) -> None:
    client = failing(start, "cut_gzip")
    answer = client.session.get(f"{client.server.url}/api/0{TEAMS}", stream=True, timeout=10)
    assert answer.headers["Content-Encoding"] == "gzip"
    with pytest.raises(EOFError):
        gzip.decompress(answer.raw.read(decode_content=False))


def test_no_answer_comes_until_the_reader_gives_up(start: Start) -> None:
    client = failing(start, "no_answer")
    with pytest.raises(requests.ReadTimeout):
        client.session.get(f"{client.server.url}/api/0{TEAMS}", timeout=0.2)


def test_a_body_drips_and_ends_whole_if_somebody_waits(start: Start) -> None:
    client = failing(start, "drip", pace=0.05, seconds=0.4)
    began = time.monotonic()
    assert len(client.get(TEAMS).json()) == 3
    assert time.monotonic() - began >= 0.4


def test_a_body_goes_on_for_as_long_as_somebody_reads(start: Start) -> None:
    client = failing(start, "endless_body", seconds=20)
    answer = client.session.get(f"{client.server.url}/api/0{TEAMS}", stream=True, timeout=10)
    assert (
        sum(len(part) for part, _ in zip(answer.iter_content(10_000), range(500), strict=False)) > 4_000_000
    )
    answer.close()
    client.server.inject(None)
    assert client.get(TEAMS).status_code == 200


def test_cursors_lead_back_or_on_and_the_rows_are_not_lost(start: Start) -> None:
    client = failing(start, "repeated_cursor")
    first = Links.of(client.get(ISSUES, limit=5))
    assert (first.more, Links.of(client.get(ISSUES, limit=5, cursor=first.cursor)).cursor) == (
        True,
        first.cursor,
    )
    expected = [row["id"] for row in start().rows(ISSUES, limit=5)]
    for kind in ("repeated_page", "empty_page", "repeated_cursor"):
        client = failing(start, kind, in_a_row=2)
        pages = client.pages(ISSUES, limit=5)
        assert list(dict.fromkeys(row["id"] for page in pages for row in page)) == expected
        assert [] in pages or kind != "empty_page"
        assert client.server.faults_injected[kind] >= 2


def test_clocks_and_content_types_may_be_wrong_and_the_rows_right(start: Start) -> None:
    assert failing(start, "clock_ahead").get(TEAMS).headers["Date"] == "Sat, 01 Aug 2026 13:00:00 GMT"
    assert (
        failing(start, "clock_behind", skew=60).get(TEAMS).headers["Date"] == "Sat, 01 Aug 2026 11:59:00 GMT"
    )
    answer = failing(start, "json_as_html").get(TEAMS)
    assert (answer.headers["Content-Type"], len(answer.json())) == ("text/html", 3)


def test_the_same_seed_lets_the_same_requests_fail(start: Start) -> None:
    def statuses(seed: int) -> list[int]:
        client = start(faults=Faults(0.5, seed, kinds=("bad_gateway",), in_a_row=FOREVER))
        return [client.get(TEAMS, number=number % 10).status_code for number in range(30)]

    first = statuses(1)
    assert statuses(1) == first
    assert statuses(2) != first
    assert 8 <= first.count(502) <= 22


def test_a_request_comes_through_after_so_many_failures_in_a_row(start: Start) -> None:
    client = failing(start, "bad_gateway", in_a_row=2)
    assert [client.get(TEAMS).status_code for _ in range(6)] == [502, 502, 200, 502, 502, 200]


def test_a_kind_happens_no_more_often_than_it_may_and_where_it_may(start: Start) -> None:
    client = failing(start, "bad_gateway", most=2, path_contains="/teams/")
    assert client.get(ISSUES).status_code == 200
    assert [client.get(TEAMS).status_code for _ in range(3)] == [502, 502, 200]
    assert client.server.faults_injected == {"bad_gateway": 2}


def test_refusals_writes_and_the_truth_are_left_alone(start: Start) -> None:
    client = failing(start, "bad_gateway")
    assert client.get("/organizations/nobody/teams/").status_code == 404
    assert client.put(ISSUES, {"status": "resolved"}, id=client.server.world.issues[0].id).status_code != 502
    assert requests.get(f"{client.server.url}/__truth__", timeout=10).status_code == 200
    assert client.server.faults_injected == Counter()


def test_every_kind_has_an_explanation() -> None:
    assert [kind for kind in KINDS if f"`{kind}`" not in str(faults.__doc__)] == []


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="No such kind of fault: flood"):
        Faults(kinds=("flood",))


def test_the_program_takes_a_probability() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "sandbox", "--events", "20", "--issues", "2", "--faults", "1"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = dict(process.stdout.readline().split() for _ in range(1))
        try:
            session = requests.Session()
            broken = 0
            for _ in range(6):
                try:
                    answer = session.get(f"{told['URL']}/api/0/", timeout=0.3)
                    broken += answer.status_code != 200
                except requests.RequestException:
                    broken += 1
            assert broken
        finally:
            process.terminate()
