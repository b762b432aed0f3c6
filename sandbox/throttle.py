"""Rate limits: fixed windows and concurrent requests, told in headers on every answer.

The web API never sends `Retry-After`: a client waits for `Reset`, which is a time of the server's
clock (the `Date` header), or backs off when it was one request too many at a time.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from .answers import Answer
from .clock import Clock
from .switches import Limit, Switches


@dataclass
class _Use:
    window: int = -1
    count: int = 0
    running: int = 0


@dataclass
class Ticket:
    """A request that was counted: its headers, and its refusal if it came too often."""

    use: _Use | None = None
    headers: dict[str, str] = field(default_factory=dict)
    refusal: Answer | None = None


class Throttle:
    """Counts requests by owner and view."""

    def __init__(self, switches: Switches, clock: Clock) -> None:
        self._switches = switches
        self._clock = clock
        self._limits: Mapping[str, Limit] | None = switches.limits
        self._uses: dict[tuple[str, str], _Use] = {}

    def enter(self, owner: str, view: str) -> Ticket:
        """Count a request; the ticket is to be given back by `leave`."""
        if self._limits is None:
            return Ticket()
        group = view if view in self._limits else "default"
        limit = self._limits.get(group)
        if limit is None:
            return Ticket()
        use = self._uses.setdefault((owner, group), _Use())
        ticks = self._clock.ticks()
        window = math.floor(ticks / limit.window)
        if window != use.window:
            use.window, use.count = window, 0
        use.count += 1
        use.running += 1
        remaining = (window + 1) * limit.window - ticks
        ticket = Ticket(use, self._headers(limit, use, remaining))
        if use.count > limit.limit:
            ticket.refusal = self._refusal(
                "You are attempting to use this endpoint too frequently. "
                f"Limit is {limit.limit} requests in {limit.window} seconds"
            )
        elif limit.concurrent is not None and use.running > limit.concurrent:
            ticket.refusal = self._refusal(
                "You are attempting to go above the allowed concurrency for this endpoint. "
                f"Concurrency limit is {limit.concurrent}"
            )
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The request is answered."""
        if ticket.use:
            ticket.use.running -= 1

    def _headers(self, limit: Limit, use: _Use, remaining: float) -> dict[str, str]:
        headers = {
            "X-Sentry-Rate-Limit-Limit": str(limit.limit),
            "X-Sentry-Rate-Limit-Remaining": str(max(0, limit.limit - use.count)),
            "X-Sentry-Rate-Limit-Reset": str(math.ceil(self._clock.now.timestamp() + remaining)),
        }
        if limit.concurrent is not None:
            headers["X-Sentry-Rate-Limit-ConcurrentLimit"] = str(limit.concurrent)
            headers["X-Sentry-Rate-Limit-ConcurrentRemaining"] = str(max(0, limit.concurrent - use.running))
        return headers

    def _refusal(self, text: str) -> Answer:
        body: object = text if self._switches.rate_limit_body == "string" else {"detail": text}
        return Answer(orjson.dumps(body), 429, content_type=self._switches.rate_limit_content_type)
