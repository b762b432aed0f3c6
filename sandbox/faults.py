"""Requests that fail by chance, in every way in which servers and the networks before them are known to fail.

    Switches(faults=Faults(probability=0.05, seed=7))

Each reading request of the web API is drawn for; one that is hit gets what its kind says, and asked again it is
drawn for anew. What is drawn depends on the seed, the path, the parameters and how often they were asked: not on
the order in which threads ask. Answers that are refusals anyway are left as they are.

**Kinds that a reader survives by asking again** (`TRANSIENT`), as long as they pass:

* `rate_limited`, `too_many_at_once`: 429 with Sentry's headers; `rate_limited_bare`: a proxy's, without any
* `internal_error` (500), `bad_gateway` (502, HTML), `unavailable` (503, with `Retry-After`), `snuba` (the 400 by
  which Sentry tells that its back-end did not manage the query)
* `reset_before`, `reset_in_body`, `reset_after`: the connection is reset before, in or just behind the answer;
  `closed_in_body`: it ends regularly before the length that was announced
* `no_answer`: nothing comes until the reader gives up; `drip`: a byte now and then
* `cut_json`: a whole answer with half of its JSON; `html_as_json`: a page of HTML called JSON; `broken_gzip`,
  `cut_gzip`: a packed body that is damaged, or lacks its end
* `repeated_cursor`: `next` is the cursor that was asked for, or leads to the first page once more; `repeated_page`:
  `next` is a new cursor for the same page

**Kinds that are no failure** (`HARMLESS`), and must change nothing:

* `json_as_html`: the right JSON under `text/html`
* `empty_page`: a page without rows whose `next` has the rows
* `clock_ahead`, `clock_behind`: the `Date` header is wrong. Where that is behind, the answer by which a reader pins
  the end of its windows lets it end that much earlier, and what is younger is the next run's

**Kinds that a reader takes for an answer** (`FINAL`): it asks otherwise, or goes on without the table, the project
or the window and says so. No row may count as read that did not come, so that a later run brings it.

* `brown_out`: a 410, by which Sentry says that an endpoint is switched off, for a minute or for good
* `endless_body`: a body that goes on as long as somebody reads; the same request could bring it again

Any of them stays for good with `probability=1` and `in_a_row=FOREVER`: then a reader has to give up and say why,
at once (`repeated_cursor`) or after a bounded number of attempts (the others).
"""

import gzip
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.types import ASGIApp, Message, Scope

from .clock import Clock
from .dates import http_date
from .errors import internal_error, query_timeout, refuse
from .exchange import Exchange, IncomingRequest

TRANSIENT = (
    "rate_limited",
    "too_many_at_once",
    "rate_limited_bare",
    "internal_error",
    "bad_gateway",
    "unavailable",
    "snuba",
    "reset_before",
    "reset_in_body",
    "reset_after",
    "closed_in_body",
    "no_answer",
    "drip",
    "cut_json",
    "html_as_json",
    "broken_gzip",
    "cut_gzip",
    "repeated_cursor",
    "repeated_page",
)
HARMLESS = ("json_as_html", "empty_page", "clock_ahead", "clock_behind")
FINAL = ("brown_out", "endless_body")
KINDS = TRANSIENT + HARMLESS + FINAL

FOREVER = 1 << 30

HTML = "text/html"
JSON = "application/json"
PACKED = {"content-encoding": "gzip"}
NOTHING: Mapping[str, str] = MappingProxyType({})

FIRST_CURSOR = 10**15
"""Cursors made up here: no listing is as long."""

FIRST_PAGE = f"0:{FIRST_CURSOR}:0"
"""A cursor for the page that is asked for without one."""

FILLER = b" " * 65_536
"""What an endless body goes on with; JSON may end in any number of spaces."""

_NEXT = re.compile(r'(<[^>]*cursor=)[^>&]*(>; rel="next"; results=")\w+("; cursor=")[^"]*')
_QUERIES = re.compile(r"/(events|issues|stats_v2|stats|sessions|replays|tags|events-timeseries)/")


@dataclass(frozen=True)
class Faults:
    """Which requests fail, and how.

    Attributes:
        probability: Of a request that is asked for the first time, or again.
        seed: What the draw depends on.
        kinds: Which kinds there are, each as likely; where one makes no sense, another one is taken.
        path_contains: Only requests whose path contains this.
        in_a_row: After so many failures of the same request it succeeds; readers make a few attempts only.
        most: How often each kind happens at the most.
        pace: Seconds between two bytes of a `drip`.
        seconds: How long `no_answer`, `drip` and `endless_body` take at the most, if the reader does not give up.
        skew: How far the clock is off for `clock_ahead` and `clock_behind`, in seconds.
    """

    probability: float = 0.05
    seed: int = 1
    kinds: tuple[str, ...] = TRANSIENT + HARMLESS
    path_contains: str = ""
    in_a_row: int = 3
    most: int = FOREVER
    pace: float = 1.0
    seconds: float = 60.0
    skew: float = 3600.0

    def __post_init__(self) -> None:
        unknown = set(self.kinds) - set(KINDS)
        if unknown:
            raise ValueError(
                f"No such kind of fault: {', '.join(sorted(unknown))}. There are {', '.join(KINDS)}."
            )


@dataclass(frozen=True)
class Reply:
    """The answer as it would have been."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_listing(self) -> bool:
        """Whether it is a page of a listing that tells of its next one."""
        return _NEXT.search(self.headers.get("link", "")) is not None


class Injector:
    """Lets requests fail, and counts how.

    Args:
        faults: Which, and how.
        clock: The server's clock.

    Attributes:
        injected: How often each kind has happened.
    """

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self.injected: Counter[str] = Counter()
        self._faults = faults
        self._clock = clock
        self._asked: Counter[str] = Counter()
        self._in_a_row: Counter[str] = Counter()
        self._cursors: dict[str, str | None] = {FIRST_PAGE: None}

    async def answer(self, request: IncomingRequest, scope: Scope, app: ASGIApp, exchange: Exchange) -> None:
        """Answer a request, or let it fail."""
        cursor = self._real_cursor(request)
        query = [(name, value) for name, value in request.params if name != "cursor"]
        if cursor is not None:
            query.append(("cursor", cursor))
        reply = await _reply(app, {**scope, "query_string": urlencode(query).encode()})
        key = f"{request.path}?{urlencode(sorted(query))}"
        self._asked[key] += 1
        dice = Random(f"{self._faults.seed} {key} {self._asked[key]}")
        kind = self._draw(key, request, reply, dice)
        if kind is None:
            await exchange.answer(reply.status, reply.headers, reply.body)
            return
        self.injected[kind] += 1
        anew = f"0:{FIRST_CURSOR + dice.randrange(1, FIRST_CURSOR)}:0"
        self._cursors[anew] = cursor
        failing = _Failing(self._faults, self._clock, exchange, reply, cursor or FIRST_PAGE, anew)
        await _FAILURES[kind](failing)

    def _draw(self, key: str, request: IncomingRequest, reply: Reply, dice: Random) -> str | None:
        faults = self._faults
        is_hit = dice.random() < faults.probability and faults.path_contains in request.path
        if reply.status == 200 and is_hit and self._in_a_row[key] < faults.in_a_row:
            fitting = [
                kind
                for kind in faults.kinds
                if self.injected[kind] < faults.most and _fits(kind, request, reply)
            ]
            if fitting:
                self._in_a_row[key] += 1
                return dice.choice(fitting)
        self._in_a_row[key] = 0
        return None

    def _real_cursor(self, request: IncomingRequest) -> str | None:
        given = dict(request.params).get("cursor")
        return self._cursors.get(given, given) if given else None


def _fits(kind: str, request: IncomingRequest, reply: Reply) -> bool:
    """Whether a kind makes sense for a request."""
    if kind in {"repeated_cursor", "repeated_page"}:
        return reply.is_listing
    if kind == "empty_page":
        return reply.is_listing and _emptied(reply.body) is not None
    if kind == "rate_limited":
        return "x-sentry-rate-limit-limit" in reply.headers
    if kind == "too_many_at_once":
        return "x-sentry-rate-limit-concurrentlimit" in reply.headers
    return kind != "snuba" or _QUERIES.search(request.path) is not None


def _emptied(body: bytes) -> bytes | None:
    """A page without its rows; None where it is not known where they are."""
    page: Any = orjson.loads(body)
    if isinstance(page, list):
        return b"[]"
    if isinstance(page, dict) and isinstance(page.get("data"), list):
        return orjson.dumps({**page, "data": []})
    return None


@dataclass(frozen=True)
class _Failing:
    """A request that is to fail, with a method for each kind.

    Attributes:
        again: A cursor that the reader may have seen for the page asked for.
        anew: A cursor for that page that it has not seen.
    """

    faults: Faults
    clock: Clock
    exchange: Exchange
    reply: Reply
    again: str
    anew: str

    async def rate_limited(self) -> None:
        # Both limits' numbers stay those of the server, so that the reader learns no wrong ones.
        told = {
            "x-sentry-rate-limit-remaining": "0",
            "x-sentry-rate-limit-reset": str(self.clock.seconds + 1),
        }
        await self._refuse_for_limit("You are attempting to use this endpoint too frequently.", told)

    async def too_many_at_once(self) -> None:
        told = {"x-sentry-rate-limit-remaining": "1", "x-sentry-rate-limit-concurrentremaining": "0"}
        await self._refuse_for_limit("You are attempting to go above the allowed concurrency.", told)

    async def _refuse_for_limit(self, detail: str, told: Mapping[str, str]) -> None:
        limits = {
            name: value
            for name, value in self.reply.headers.items()
            if name.startswith("x-sentry-rate-limit-")
        }
        answer = refuse(429, detail).answer
        await self.exchange.answer(429, {"content-type": JSON, **limits, **told}, answer.body)

    async def rate_limited_bare(self) -> None:
        await self._page(429, "429 Too Many Requests")

    async def internal_error(self) -> None:
        await self.exchange.answer(500, {"content-type": JSON}, internal_error().answer.body)

    async def bad_gateway(self) -> None:
        await self._page(502, "502 Bad Gateway")

    async def unavailable(self) -> None:
        await self._page(503, "503 Service Unavailable", **{"retry-after": "1"})

    async def snuba(self) -> None:
        await self.exchange.answer(400, {"content-type": JSON}, query_timeout().answer.body)

    async def brown_out(self) -> None:
        body = orjson.dumps({"message": "This API no longer exists."})
        await self.exchange.answer(410, {"content-type": JSON}, body)

    async def html_as_json(self) -> None:
        await self._page(200, "Please log in", **{"content-type": JSON})

    async def _page(self, status: int, title: str, **headers: str) -> None:
        body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>".encode()
        await self.exchange.answer(status, {"content-type": HTML, **headers}, body)

    async def reset_before(self) -> None:
        await self.exchange.break_off(reset=True)

    async def reset_in_body(self) -> None:
        await self._cut(at=len(self.reply.body) // 2, reset=True)

    async def reset_after(self) -> None:
        await self._cut(at=len(self.reply.body), reset=True)

    async def closed_in_body(self) -> None:
        await self._cut(at=len(self.reply.body) // 2, reset=False)

    async def _cut(self, *, at: int, reset: bool) -> None:
        await self.exchange.cut(self.reply.status, self.reply.headers, self.reply.body, at=at, reset=reset)

    async def no_answer(self) -> None:
        await self.exchange.keep_waiting(self.faults.seconds)

    async def drip(self) -> None:
        await self.exchange.drip(
            self.reply.status,
            self.reply.headers,
            self.reply.body,
            pace=self.faults.pace,
            seconds=self.faults.seconds,
        )

    async def endless_body(self) -> None:
        headers = {name: value for name, value in self.reply.headers.items() if name != "content-length"}
        await self.exchange.never_end(
            self.reply.status, headers, self.reply.body, filler=FILLER, seconds=self.faults.seconds
        )

    async def cut_json(self) -> None:
        await self._answer(self.reply.body[: len(self.reply.body) // 2])

    async def broken_gzip(self) -> None:
        packed = bytearray(gzip.compress(self.reply.body))
        packed[10:14] = b"\xff\xff\xff\xff"  # the head of the first block: of a type that does not exist
        await self._answer(bytes(packed), PACKED)

    async def cut_gzip(self) -> None:
        packed = gzip.compress(self.reply.body)
        await self._answer(packed[: len(packed) // 2], PACKED)

    async def repeated_cursor(self) -> None:
        await self._answer(headers=self._link_to(self.again))

    async def repeated_page(self) -> None:
        await self._answer(headers=self._link_to(self.anew))

    async def empty_page(self) -> None:
        await self._answer(_emptied(self.reply.body), self._link_to(self.anew))

    def _link_to(self, cursor: str) -> dict[str, str]:
        return {"link": _NEXT.sub(rf"\g<1>{cursor}\g<2>true\g<3>{cursor}", self.reply.headers["link"])}

    async def json_as_html(self) -> None:
        await self._answer(headers={"content-type": HTML})

    async def clock_ahead(self) -> None:
        await self._answer(headers=self._date(self.faults.skew))

    async def clock_behind(self) -> None:
        await self._answer(headers=self._date(-self.faults.skew))

    def _date(self, skew: float) -> dict[str, str]:
        return {"date": http_date(self.clock.now + timedelta(seconds=skew))}

    async def _answer(self, body: bytes | None = None, headers: Mapping[str, str] = NOTHING) -> None:
        """The reply with another body, or with other headers."""
        sent = self.reply.body if body is None else body
        await self.exchange.answer(self.reply.status, {**self.reply.headers, **headers}, sent)


_FAILURES: Mapping[str, Callable[[_Failing], Awaitable[None]]] = MappingProxyType(
    {kind: getattr(_Failing, kind) for kind in KINDS}
)


async def _reply(app: ASGIApp, scope: Scope) -> Reply:
    """The answer of the application, kept back."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))
