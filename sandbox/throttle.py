"""Rate limits: fixed windows and concurrent requests, told in headers on every answer.

A window begins at each multiple of its length on the unix clock and ends at `Reset`, a whole second of the
server's clock (the `Date` header). The web API never sends `Retry-After`: a client waits for `Reset`, or
backs off when it was one request too many at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from .answers import Answer
from .clock import Clock
from .switches import Limit, Switches


@dataclass
class _Bucket:
    """What is counted for one caller: requests in the window of this number, and those under way."""

    window: int = -1
    count: int = 0
    running: int = 0


@dataclass
class Ticket:
    """A request that was counted: its headers, and its refusal if it came too often."""

    bucket: _Bucket | None = None
    headers: dict[str, str] = field(default_factory=dict)
    refusal: Answer | None = None


class Throttle:
    """Counts requests by who sends them, view and method."""

    def __init__(self, switches: Switches, clock: Clock) -> None:
        self._switches = switches
        self._clock = clock
        self._limits: Mapping[str, Limit] | None = switches.limits
        self._buckets: dict[tuple[str, str, str], _Bucket] = {}
        self._others: dict[str, int] = {}

    def others_use(self, view: str, per_window: int) -> None:
        """Count so many requests of somebody else in each window of a view, from its beginning on."""
        self._others[self._group(view)] = per_window

    def clear_others(self) -> None:
        """Nobody else sends requests any more."""
        self._others.clear()

    def enter(self, owner: str, view: str, method: str) -> Ticket:
        """Count a request; the ticket is to be given back by `leave`.

        A request refused takes no place among those that run at the same time.
        """
        group = self._group(view)
        limit = (self._limits or {}).get(group)
        if limit is None:
            return Ticket()
        bucket = self._buckets.setdefault((owner, group, method), _Bucket())
        window = int(self._clock.ticks()) // limit.window
        if window != bucket.window:
            bucket.window, bucket.count = window, 0
        bucket.count += 1
        used = bucket.count + self._others.get(group, 0)
        refusal = self._too_many(limit, used, bucket.running)
        bucket.running += refusal is None
        return Ticket(None if refusal else bucket, self._headers(limit, used, bucket), refusal)

    def leave(self, ticket: Ticket) -> None:
        """The request is answered."""
        if ticket.bucket:
            ticket.bucket.running -= 1

    def _group(self, view: str) -> str:
        return view if view in (self._limits or {}) else "default"

    def _too_many(self, limit: Limit, used: int, running: int) -> Answer | None:
        if used > limit.limit:
            return self._refusal(
                "You are attempting to use this endpoint too frequently. "
                f"Limit is {limit.limit} requests in {limit.window} seconds"
            )
        if limit.concurrent is not None and running >= limit.concurrent:
            return self._refusal(
                "You are attempting to go above the allowed concurrency for this endpoint. "
                f"Concurrency limit is {limit.concurrent}"
            )
        return None

    def _headers(self, limit: Limit, used: int, bucket: _Bucket) -> dict[str, str]:
        headers = {
            "X-Sentry-Rate-Limit-Limit": str(limit.limit),
            "X-Sentry-Rate-Limit-Remaining": str(max(0, limit.limit - used)),
            "X-Sentry-Rate-Limit-Reset": str(self._clock.told((bucket.window + 1) * limit.window)),
        }
        if limit.concurrent is not None:
            free = max(0, limit.concurrent - bucket.running)
            headers["X-Sentry-Rate-Limit-ConcurrentLimit"] = str(limit.concurrent)
            headers["X-Sentry-Rate-Limit-ConcurrentRemaining"] = str(free)
        return headers

    def _refusal(self, text: str) -> Answer:
        body: object = text if self._switches.rate_limit_body == "string" else {"detail": text}
        return Answer(orjson.dumps(body), 429, content_type=self._switches.rate_limit_content_type)
