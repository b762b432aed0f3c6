"""What time it is on the server: real and moving, or fixed until a test moves it."""

import math
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The server's clock.

    A fixed clock makes a world repeatable. Rate limits must still open again for a client that really
    waits, so `ticks` goes on in real time beside a fixed clock, and jumps with it.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self._fixed = now
        self._made = time.monotonic()
        self._shift = timedelta(0)

    @property
    def now(self) -> datetime:
        """The server's time, in UTC."""
        return (self._fixed or datetime.now(UTC)) + self._shift

    @property
    def seconds(self) -> int:
        """The server's time in whole unix seconds, as its `Date` header tells it."""
        return int(self.now.timestamp())

    def set(self, now: datetime) -> None:
        """Put the clock to `now`; a moving clock moves on from there."""
        if self._fixed is None:
            self._shift = now - datetime.now(UTC)
        else:
            self._fixed, self._shift = now, timedelta(0)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._shift += timedelta(seconds=seconds)

    def ticks(self) -> float:
        """Unix seconds that never stand still: the server's time, and what passed since it was fixed."""
        passed = 0.0 if self._fixed is None else time.monotonic() - self._made
        return self.now.timestamp() + passed

    def told(self, tick: int) -> int:
        """When `ticks` will be so far, in the seconds that clients are told.

        Clients take it together with the `Date` header. A fixed clock stays behind the ticks, so that there
        it is the `Date` and the real time to go, rounded up.
        """
        if self._fixed is None:
            return tick
        return self.seconds + max(0, math.ceil(tick - self.ticks()))
