"""When the relay refuses what is well-formed: quotas by category, and overload.

https://develop.sentry.dev/sdk/expected-features/rate-limiting/
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from .clock import Clock
from .errors import ApiError, refused

RATE_LIMITED = (
    "Sentry dropped data due to a quota or internal rate limit being reached. "
    "This will not affect your application. See https://docs.sentry.io/product/accounts/quotas/ "
    "for more information."
)
NEVER_LIMITED = "internal"

_CATEGORIES = {
    "event": "error",
    "sessions": "session",
    "check_in": "monitor",
    "replay_event": "replay",
    "replay_recording": "replay",
    "replay_video": "replay",
    "raw_security": "security",
    "client_report": NEVER_LIMITED,
}


def category_of(kind: str) -> str:
    """The category of data that an item of an envelope counts for."""
    return _CATEGORIES.get(kind, kind)


@dataclass(frozen=True)
class Quota:
    """A quota that is used up until `until`, for some categories; for all when none is named."""

    categories: tuple[str, ...]
    until: float
    reason: str
    told_on_200: bool = False

    def covers(self, category: str) -> bool:
        """Whether it holds for a category."""
        return category != NEVER_LIMITED and (not self.categories or category in self.categories)

    def header(self, now: float) -> str:
        """Its part of `X-Sentry-Rate-Limits`."""
        parts = [str(self.seconds(now)), ";".join(self.categories), "organization", self.reason]
        return ":".join(parts if self.reason else parts[:3])

    def seconds(self, now: float) -> int:
        """How long it still holds."""
        return max(1, math.ceil(self.until - now))


@dataclass
class Backpressure:
    """The quotas that are used up now, and how many requests an overloaded relay still turns away."""

    clock: Clock
    quotas: list[Quota] = field(default_factory=list)
    overloaded: int = 0

    def limit(self, categories: Iterable[str], seconds: float, reason: str, *, told_on_200: bool) -> None:
        """Use a quota up for some time."""
        self.quotas.append(Quota(tuple(categories), self.clock.ticks() + seconds, reason, told_on_200))

    def clear(self) -> None:
        """Take everything again."""
        self.quotas.clear()
        self.overloaded = 0

    def check_load(self) -> None:
        """Turn a request away while overloaded.

        Raises:
            ApiError: 503.
        """
        if self.overloaded > 0:
            self.overloaded -= 1
            raise refused(503, "failed to queue envelope")

    def over(self, category: str) -> list[Quota]:
        """The quotas that forbid a category now."""
        return [quota for quota in self._active() if quota.covers(category)]

    def refusal(self, quotas: Iterable[Quota]) -> ApiError:
        """429, with how long to wait in both headers."""
        found = list(dict.fromkeys(quotas))
        longest = max(quota.seconds(self.clock.ticks()) for quota in found)
        return refused(429, RATE_LIMITED, headers={"Retry-After": str(longest), **self.header(found)})

    def told_on_200(self) -> dict[str, str]:
        """What an answer to something taken says of the quotas."""
        return self.header([quota for quota in self._active() if quota.told_on_200])

    def header(self, quotas: list[Quota]) -> dict[str, str]:
        """`X-Sentry-Rate-Limits` for some quotas; nothing for none."""
        now = self.clock.ticks()
        text = ", ".join(quota.header(now) for quota in quotas)
        return {"X-Sentry-Rate-Limits": text} if text else {}

    def _active(self) -> list[Quota]:
        now = self.clock.ticks()
        return [quota for quota in self.quotas if quota.until > now]
