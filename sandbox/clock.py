"""What time it is on the server: real and moving, or fixed until a test moves it."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The server's clock.

    A fixed clock makes a world repeatable. Rate limits must still open again for a client that really
    waits, so `ticks` goes on in real time beside a fixed clock, and jumps with it.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self._fixed = now
        self._born = now
        self._shift = timedelta(0)

    @property
    def now(self) -> datetime:
        """The server's time, in UTC."""
        return (self._fixed or datetime.now(UTC)) + self._shift

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
        """Seconds for measuring how long a rate window has still to go."""
        if self._born is None:
            return self.now.timestamp()
        return time.monotonic() + (self.now - self._born).total_seconds()
