"""The governor: how often, and how many at once, Sentry is asked; one for all threads that use a token.

Sentry counts requests in buckets, in fixed windows, and tells on each answer what is left
(https://docs.sentry.io/api/ratelimits/). The governor begins with the published numbers, takes what the answers
say for better, and keeps below both, because a refused request counts too and people's browsers share the bucket.
Self-hosted servers have no limits and send no such headers: there only the user's own bounds hold.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import requests

from .log import logger
from .refusals import header_number, server_time
from .settings import ASSUMED_LATENCY_SECONDS, MAX_PARALLEL, MAX_RATE_LIMIT_WAIT, RATE_SLACK, RECOVERY_ANSWERS


@dataclass(frozen=True)
class Limit:
    """So many requests in a window of so many seconds, and so many at once."""

    requests: int
    seconds: float
    parallel: int


OTHERS = Limit(40, 1, 25)
"""What sentry.io told on answers of August 2026 where an endpoint has no limit of its own."""

LONGEST_SHORT_WAIT = 5.0
"""Seconds: a server may have longer windows than the published ones of a second."""

PUBLISHED: Mapping[str, tuple[str, Limit]] = {
    "project events": (r"projects/[^/]+/[^/]+/events/", Limit(60, 60, 1)),
    "event": (r"projects/[^/]+/[^/]+/events/[^/]+/", Limit(5, 1, 25)),
    "issue events": (r"(organizations/[^/]+/)?issues/[^/]+/events/.*", Limit(15, 1, 25)),
    "issues": (r"organizations/[^/]+/issues/", Limit(10, 1, 25)),
    "project issues": (r"projects/[^/]+/[^/]+/issues/", Limit(5, 1, 25)),
    "issue": (r"(organizations/[^/]+/)?issues/[^/]+/", Limit(5, 1, 25)),
    "project users": (r"projects/[^/]+/[^/]+/users/", Limit(5, 60, 25)),
    "tags": (r"(organizations|projects)/.*tags/.*", Limit(10, 1, 10)),
    "usage": (r"organizations/[^/]+/stats_v2/", Limit(20, 1, 25)),
    "explore": (r"organizations/[^/]+/events/", Limit(30, 1, 15)),
}
"""Buckets by name: the paths that share one, and its limit in the code of Sentry (src/sentry/issues/endpoints)."""


@dataclass(frozen=True)
class Tally:
    """What was sent: requests, how many of them met a limit (429), and seconds in which limits were waited for."""

    requests: int = 0
    refused: int = 0
    waited: float = 0.0

    def since(self, before: Tally) -> Tally:
        """What came after an earlier tally."""
        return Tally(
            self.requests - before.requests, self.refused - before.refused, self.waited - before.waited
        )


class Governor:
    """Lets threads send when Sentry's limits and the user's bounds allow it.

    Args:
        max_parallel: Requests under way at once, at the most.
        max_requests_per_second: Requests in a second, at the most; 0: as many as Sentry allows.
    """

    def __init__(self, max_parallel: int = MAX_PARALLEL, max_requests_per_second: float = 0.0) -> None:
        self._changed = threading.Condition()
        self._buckets: dict[str, _Bucket] = {}
        self._clock = _ServerClock()
        self._is_limited = True
        self._running = 0
        self._tally = Tally()
        self._waiting = 0
        self._waits_since = 0.0
        self._bound = 0.0
        self._own: _Rate | None = None
        self.bound(max_parallel, max_requests_per_second)

    def bound(self, max_parallel: int, max_requests_per_second: float) -> None:
        """Take other bounds of the user's."""
        with self._changed:
            self.max_parallel = max_parallel
            if max_requests_per_second != self._bound:
                self._bound = max_requests_per_second
                self._own = _Rate.per_second(max_requests_per_second) if max_requests_per_second else None

    @property
    def tally(self) -> Tally:
        """What was sent so far."""
        with self._changed:
            return self._tally

    @contextmanager
    def turn(self, method: str, path: str) -> Iterator[Turn]:
        """Wait until a request may be sent; it is under way until the end of the block.

        Args:
            method: Its method.
            path: Its path below ``/api/0/``.
        """
        with self._changed:
            bucket = self._bucket(method, path)
            self._wait_for(bucket)
            self._running += 1
            self._tally = replace(self._tally, requests=self._tally.requests + 1)
            turn = Turn(bucket, time.monotonic(), bucket.enter(time.monotonic()))
            if self._own:
                self._own.take(turn.began)
        try:
            yield turn
        finally:
            with self._changed:
                self._note(turn)
                self._running -= 1
                bucket.running -= 1
                self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait after a refusal for a limit, and count that."""
        over: threading.Event | None = getattr(_thread, "over", None)
        with self._changed:
            self._begin_to_wait()
        try:
            if over is None:
                time.sleep(seconds)
            else:
                over.wait(seconds)
        finally:
            with self._changed:
                self._end_to_wait()
        _check_wanted()

    def wake(self) -> None:
        """Let all that wait look again whether their answers are still wanted."""
        with self._changed:
            self._changed.notify_all()

    def seconds_for(self, path: str, requests: int) -> float:
        """How long so many GET requests will take, by what is known of limits and latency.

        Args:
            path: Their path below ``/api/0/``.
            requests: How many.
        """
        with self._changed:
            seconds = self._bucket("GET", path).seconds_for(requests, self.max_parallel, time.monotonic())
            return max(seconds, requests / self._own.per_second_allowed if self._own else 0.0)

    def has_met(self, path: str) -> bool:
        """Whether a GET request of that kind was answered, so that its limit is known."""
        with self._changed:
            return self._bucket("GET", path).is_met

    def parallel_for(self, path: str) -> int:
        """How many GET requests of a path may be under way at once."""
        with self._changed:
            return min(self.max_parallel, self._bucket("GET", path).parallel)

    def _bucket(self, method: str, path: str) -> _Bucket:
        name, limit = next(
            ((name, limit) for name, (pattern, limit) in PUBLISHED.items() if re.fullmatch(pattern, path)),
            ("others", OTHERS),
        )
        key = f"{method} {name}"
        if key not in self._buckets:
            self._buckets[key] = _Bucket(key, limit if self._is_limited else None)
        return self._buckets[key]

    def _wait_for(self, bucket: _Bucket) -> None:
        while delay := self._delay(bucket, time.monotonic()):
            _check_wanted()
            if math.isinf(delay):
                self._changed.wait()
                continue
            logger.debug("%s: waiting %.2f s for a limit.", bucket.name, delay)
            self._begin_to_wait()
            try:
                self._changed.wait(delay)
            finally:
                self._end_to_wait()

    def _delay(self, bucket: _Bucket, now: float) -> float:
        if self._running >= self.max_parallel:
            return math.inf
        return max(bucket.delay(now), self._own.delay(now) if self._own else 0.0)

    def _begin_to_wait(self) -> None:
        if not self._waiting:
            self._waits_since = time.monotonic()
        self._waiting += 1

    def _end_to_wait(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            waited = time.monotonic() - self._waits_since
            self._tally = replace(self._tally, waited=self._tally.waited + waited)

    def _note(self, turn: Turn) -> None:
        response, now = turn.response, time.monotonic()
        if response is None:
            return
        bucket, told = turn.bucket, _Told.by(response)
        bucket.note_latency(now - turn.began)
        if response.status_code == requests.codes.too_many_requests:
            self._tally = replace(self._tally, refused=self._tally.refused + 1)
        if told.limit is None:
            if response.ok:
                self._is_limited = False
                bucket.lift()
            return
        self._is_limited = True
        moment = server_time(response)
        reset = None
        if moment is not None and told.reset is not None:
            self._clock.see(moment.timestamp(), turn.began, now)
            reset = min(now + bucket.longest_wait, self._clock.here(told.reset))
        bucket.correct(
            told, turn.number, reset, is_refusal=response.status_code == requests.codes.too_many_requests
        )


class NotWantedError(Exception):
    """A thread waited to send something that nobody waits for any more."""


_thread = threading.local()


@contextmanager
def wanted_until(over: threading.Event) -> Iterator[None]:
    """Let this thread's waits for limits end with an event."""
    _thread.over = over
    try:
        yield
    finally:
        _thread.over = None


def _check_wanted() -> None:
    over = getattr(_thread, "over", None)
    if over is not None and over.is_set():
        raise NotWantedError


@dataclass
class Turn:
    """A request under way; its answer is to be put into ``response``."""

    bucket: _Bucket
    began: float
    number: int
    response: requests.Response | None = None


_governors: WeakValueDictionary[tuple[str, str], Governor] = WeakValueDictionary()
_governors_lock = threading.Lock()


def governor_of(server: str, token: str, max_parallel: int, max_requests_per_second: float) -> Governor:
    """The governor that all clients with this token share in this process; the newest bounds hold."""
    with _governors_lock:
        governor = _governors.get((server, token))
        if governor is None:
            governor = _governors[server, token] = Governor()
        governor.bound(max_parallel, max_requests_per_second)
        return governor


class _Rate:
    """A moving window: never more than so many requests within so many seconds, wherever these begin."""

    def __init__(self, requests: int, seconds: float) -> None:
        self.requests = requests
        self.seconds = seconds
        self._taken: deque[float] = deque()

    @classmethod
    def per_second(cls, requests: float) -> _Rate:
        whole = math.ceil(requests)
        return cls(whole, whole / requests)

    @property
    def per_second_allowed(self) -> float:
        return self.requests / self.seconds

    def left(self, now: float) -> int:
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()
        return self.requests - len(self._taken)

    def delay(self, now: float) -> float:
        left = self.left(now)
        return 0.0 if left > 0 else self._taken[-left] + self.seconds - now

    def take(self, now: float) -> None:
        self._taken.append(now)


@dataclass(frozen=True)
class _Told:
    """What an answer says of its bucket."""

    limit: int | None
    remaining: int | None
    reset: int | None
    parallel: int | None

    @classmethod
    def by(cls, response: requests.Response) -> _Told:
        names = ("Limit", "Remaining", "Reset", "ConcurrentLimit")
        return cls(*(header_number(response, f"X-Sentry-Rate-Limit-{name}") for name in names))


class _Bucket:
    """What is known of a bucket.

    Args:
        name: Its name.
        limit: Its published limit; None where this server has none.
    """

    def __init__(self, name: str, limit: Limit | None) -> None:
        self.name = name
        self.running = 0
        self._rate = _Rate(limit.requests, limit.seconds * (1 + RATE_SLACK)) if limit else None
        self._most = limit.parallel if limit else _UNBOUNDED
        self.parallel = self._most
        self._answers = 0
        self._entered = 0
        self._left = _UNBOUNDED
        self._window = 0
        self._reset = 0.0
        self._latency: float | None = None

    def delay(self, now: float) -> float:
        if self.running >= self.parallel:
            return math.inf
        if self._left <= 0 and now < self._reset:
            return self._reset - now
        return self._rate.delay(now) if self._rate else 0.0

    def enter(self, now: float) -> int:
        """Count a request; returns its number."""
        if now >= self._reset:
            self._left, self._window = _UNBOUNDED, 0
        self.running += 1
        self._left -= 1
        self._entered += 1
        if self._rate:
            self._rate.take(now)
        return self._entered

    def lift(self) -> None:
        """The server answers without a limit."""
        self._rate, self._left = None, _UNBOUNDED
        self._most = self.parallel = _UNBOUNDED

    def correct(self, told: _Told, number: int, reset: float | None, *, is_refusal: bool) -> None:
        """Take what the answer to a request says; those sent after that one are not counted in it.

        Args:
            told: What it says.
            number: Of the request.
            reset: When the window ends, by our clock.
            is_refusal: Whether it was refused.
        """
        if told.limit:
            if self._rate is None:
                self._rate = _Rate(told.limit, 1 + RATE_SLACK)
            self._rate.requests = told.limit
        if told.parallel and told.parallel != self._most:
            was_lowered = self.parallel < self._most
            self._most = told.parallel
            self.parallel = min(self.parallel, self._most) if was_lowered else self._most
        if told.remaining is not None and told.reset is not None and reset is not None:
            left = told.remaining - (self._entered - number)
            if told.reset > self._window:
                self._left, self._reset, self._window = left, reset, told.reset
            elif told.reset == self._window:  # answers overtake each other
                self._left, self._reset = min(self._left, left), reset
        self._adapt(is_concurrency_refusal=is_refusal and bool(told.remaining))

    def _adapt(self, *, is_concurrency_refusal: bool) -> None:
        """Half as many at once after a refusal for that; one more again after a while without."""
        if is_concurrency_refusal:
            self.parallel, self._answers = max(1, self.running // 2), 0
            logger.info("%s: at most %s at once from here on.", self.name, self.parallel)
            return
        self._answers += 1
        if self._answers >= RECOVERY_ANSWERS:
            self.parallel, self._answers = min(self._most, self.parallel + 1), 0

    @property
    def is_met(self) -> bool:
        return self._latency is not None

    @property
    def longest_wait(self) -> float:
        """Seconds to the end of a window, at the most; a ``Date`` that is wrong once would have it hours away."""
        return max(LONGEST_SHORT_WAIT, 1 + self._rate.seconds) if self._rate else MAX_RATE_LIMIT_WAIT

    def note_latency(self, seconds: float) -> None:
        self._latency = seconds if self._latency is None else 0.8 * self._latency + 0.2 * seconds

    def seconds_for(self, requests: int, max_parallel: int, now: float) -> float:
        latency = ASSUMED_LATENCY_SECONDS if self._latency is None else self._latency
        seconds = requests * latency / min(max_parallel, self.parallel)
        if self._rate:
            free = max(0, min(self._rate.left(now), self._left if now < self._reset else self._rate.requests))
            seconds = max(seconds, (requests - free) / self._rate.per_second_allowed)
        return seconds


_UNBOUNDED = 1 << 30


class _ServerClock:
    """Sentry's clock by ours: ``Date`` tells its whole second, and each answer narrows down the rest."""

    def __init__(self) -> None:
        self._lowest, self._highest = -math.inf, math.inf

    def see(self, second: float, sent: float, received: float) -> None:
        """An answer of that second was on its way between two moments of ours."""
        lowest, highest = second - received, second + 1 - sent
        self._lowest, self._highest = max(self._lowest, lowest), min(self._highest, highest)
        if self._lowest > self._highest:  # a clock was set
            self._lowest, self._highest = lowest, highest

    def here(self, moment: float) -> float:
        """When that moment has surely come, by our clock."""
        return moment - self._lowest
