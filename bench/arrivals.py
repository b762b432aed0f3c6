"""When events come in, counted from a moment at which no arm is lucky."""

from __future__ import annotations

import time
from collections import Counter


class Arrivals:
    """How many events have come by when."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._in_second: Counter[int] = Counter()

    def start(self) -> None:
        """Begin to count now."""
        self._started = time.perf_counter()

    def note(self, count: int) -> None:
        """So many events have come now."""
        self._in_second[int(time.perf_counter() - self._started)] += count

    @property
    def by_second(self) -> list[int]:
        """Events that came in each second."""
        return [self._in_second[second] for second in range(max(self._in_second, default=-1) + 1)]


def wait_for_mid_minute() -> None:
    """Sentry counts 60 requests a clock minute: whoever starts late in one soon gets a second allowance.

    The middle of a minute is what a start at any moment comes to on average.
    """
    time.sleep((30 - time.time()) % 60)
