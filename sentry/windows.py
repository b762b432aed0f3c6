"""Windows of time as values, and the arithmetic of what was read and what is still wanted.

A window is half-open and counted in whole UTC seconds, which is how Sentry answers ``start`` and ``end``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from .settings import FIRST_RELEASE

HOUR = 3600

DAY = 86_400


@dataclass(frozen=True, order=True)
class Window:
    """All moments from ``start`` up to, not including, ``end``; both are whole seconds since 1970 (UTC)."""

    start: int
    end: int

    @classmethod
    def between(cls, start: datetime, end: datetime) -> Window:
        """The window that holds every moment from ``start`` to ``end``; a started second belongs to it."""
        return cls(floor_seconds(start), -(-_microseconds(end) // 1_000_000))

    @property
    def seconds(self) -> int:
        """Length in seconds, never negative."""
        return max(0, self.end - self.start)

    def __str__(self) -> str:
        return f"{sentry_time(self.start)} to {sentry_time(self.end)} UTC"

    def intersect(self, other: Window) -> Window:
        """What both hold; empty (0 seconds) where they do not meet."""
        start = max(self.start, other.start)
        return Window(start, max(start, min(self.end, other.end)))

    def full_hours(self) -> Window:
        """The full hours in it; empty where there is none."""
        start, end = -(-self.start // HOUR) * HOUR, self.end // HOUR * HOUR
        return Window(start, max(start, end))

    def parameters(self) -> dict[str, str]:
        """``start`` and ``end`` as every Sentry version reads them: naive UTC, whole seconds."""
        return {"start": sentry_time(self.start), "end": sentry_time(self.end)}


def sentry_time(seconds: int) -> str:
    """A moment as text without a zone: old servers misread ``+hh:mm`` and all read naive times as UTC."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def floor_seconds(moment: datetime) -> int:
    """Whole seconds since 1970 at or before a moment; one without a zone is UTC."""
    return _microseconds(moment) // 1_000_000


def parse_time(value: Any) -> datetime | None:
    """A moment as Sentry writes it, with or without fraction; None for what is no moment."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def likely_time(value: Any, now: int) -> datetime | None:
    """A moment at which something can have happened; None for what is none.

    A row that says it is of the year 1 or 9999 is not outside of the window that the server shows it in: nobody
    knows when it was.

    Args:
        value: As Sentry writes it.
        now: The present, in seconds since 1970.
    """
    moment = parse_time(value)
    return moment if moment and FIRST_RELEASE <= floor_seconds(moment) <= now + DAY else None


def _microseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def even_parts(window: Window, count: int) -> list[Window]:
    """A window in so many parts of about equal length, newest first; fewer where it has fewer seconds."""
    count = max(1, min(count, window.seconds))
    edges = [window.start + window.seconds * part // count for part in range(count + 1)]
    return [Window(start, end) for start, end in pairwise(edges)][::-1]


def union(windows: Iterable[Window]) -> list[Window]:
    """The same moments as the fewest windows, oldest first; empty windows go."""
    merged: list[Window] = []
    for window in sorted(window for window in windows if window.seconds):
        if merged and window.start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(merged[-1].end, window.end))
        else:
            merged.append(window)
    return merged


def subtract(wanted: Window, covered: Iterable[Window]) -> list[Window]:
    """What of ``wanted`` no window of ``covered`` holds, oldest first."""
    missing: list[Window] = []
    start = wanted.start
    for window in union(covered):
        if window.start > start:
            missing.append(Window(start, min(window.start, wanted.end)))
        start = max(start, window.end)
    missing.append(Window(start, wanted.end))
    return [window for window in missing if window.seconds]


def still_missing(wanted: Window, covered: Iterable[Window], lookback: int) -> list[Window]:
    """What a run reads: wanted minus covered, and the last ``lookback`` seconds of what is covered again.

    Args:
        wanted: From the first moment of history to the pinned end of this run.
        covered: What earlier runs have read whole.
        lookback: Seconds before the newest covered moment that are read again, for rows that came late.
    """
    covered = union(window.intersect(wanted) for window in covered)
    missing = subtract(wanted, covered)
    if covered and lookback > 0:
        newest = covered[-1].end
        missing.append(Window(max(newest - lookback, wanted.start), newest))
    return union(missing)
