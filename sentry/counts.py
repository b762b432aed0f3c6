"""How many error events Sentry itself counts, by hour, and how far back it answers; no event is read for that.

Two endpoints can tell: the time series (https://docs.sentry.io/api/explore/query-explore-events-in-timeseries-format/)
and the table of events (https://docs.sentry.io/api/explore/query-explore-events-in-table-format/), which servers
before 2025 have instead. Servers before Snuba have neither.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from . import errors
from .client import SentryClient
from .log import logger
from .settings import ALL_ACCESSIBLE, COUNTED_AT_ONCE, PAGE_SIZE
from .windows import HOUR, Window, floor_seconds, parse_time

Hours = dict[int, int]
"""Events by the second in which their hour begins."""


class EventCounter:
    """Asks an organization's server for numbers of error events.

    Args:
        client: Whom to ask.
        organization: Slug of the organization.
        is_old: Whether the server may be too old to know the endpoints, so that one try has to do.
    """

    def __init__(self, client: SentryClient, organization: str, *, is_old: bool) -> None:
        self._client = client
        self._path = f"organizations/{organization}/"
        self._retry = not is_old
        self._lock = threading.RLock()
        self._ways: list[Callable[[Sequence[str], Window], Hours]] = [self._from_series, self._from_table]
        self._oldest: dict[int, int | None] = {}

    def hours(self, project_ids: Sequence[str], window: Window) -> Hours | None:
        """The events of some projects together, by hour; an hour without any is left out.

        Args:
            project_ids: Which projects; ``-1`` stands for all.
            window: Of when; counted are the whole hours that it touches.

        Returns:
            Numbers of events by the second in which the hour begins; None if this server does not count.

        Raises:
            SentryBadRequestError: The server may answer for one project at a time only.
            SentryPermissionError: One of the projects cannot be read.
        """
        start, end = window.start // HOUR * HOUR, -(-window.end // HOUR) * HOUR
        parts = [
            Window(first, min(end, first + COUNTED_AT_ONCE)) for first in range(start, end, COUNTED_AT_ONCE)
        ]
        found: Hours = {}
        for part in parts:
            try:
                counted = self._ask(project_ids, part)
            except errors.SentryBadRequestError as refusal:
                if not _is_beyond_retention(refusal):
                    raise
                counted = {}
            except errors.SentryRequestError as refusal:
                if not refusal.is_too_much:
                    raise
                counted = self._in_halves(project_ids, part, refusal)
            if counted is None:
                return None
            found |= counted
        return {hour: count for hour, count in found.items() if count}

    def _in_halves(
        self, project_ids: Sequence[str], window: Window, refusal: errors.SentryRequestError
    ) -> Hours | None:
        """The same from two requests for less; None where an hour is too much already."""
        logger.info("Counting less at once: %s", refusal)
        middle = (window.start + window.end) // 2 // HOUR * HOUR
        if middle <= window.start:
            return None
        older = self.hours(project_ids, Window(window.start, middle))
        newer = None if older is None else self.hours(project_ids, Window(middle, window.end))
        return None if older is None or newer is None else older | newer

    def oldest(self, project_id: str, first: int, now: int) -> int | None:
        """From when on the server answers for error events: ``first``, or the edge of its retention.

        The edge is found by halving, to the hour, and given a little too early rather than too late.

        Args:
            project_id: Any project: all have the same retention.
            first: The first second wanted.
            now: The server's time; it surely answers for the hour before.

        Returns:
            Seconds since 1970; None if this server does not tell.
        """
        with self._lock:
            if first not in self._oldest:
                self._oldest[first] = self._find_oldest([project_id], first, now)
            return self._oldest[first]

    def _find_oldest(self, project_ids: Sequence[str], first: int, now: int) -> int | None:
        answered = self._answers(project_ids, first)
        if answered is None or answered:
            return None if answered is None else first
        refused, known = 0, (now - first) // HOUR
        while known - refused > 1:
            middle = (refused + known) // 2
            if self._answers(project_ids, first + middle * HOUR):
                known = middle
            else:
                refused = middle
        return first + refused * HOUR

    def _answers(self, project_ids: Sequence[str], second: int) -> bool | None:
        try:
            return None if self._ask(project_ids, Window(second, second + 2 * HOUR)) is None else True
        except errors.SentryBadRequestError as refusal:
            if _is_beyond_retention(refusal):
                return False
            raise
        except errors.SentryPermissionError:
            return None
        except errors.SentryRequestError as refusal:
            if refusal.is_too_much:  # it would be there
                return True
            raise

    def _ask(self, project_ids: Sequence[str], window: Window) -> Hours | None:
        """Ask in the first way that this server knows; ways it does not know are not tried again."""
        with self._lock:
            while self._ways:
                try:
                    return self._ways[0](project_ids, window)
                except errors.SentryRequestError as refusal:
                    if _is_beyond_retention(refusal) or not _is_lacking(refusal, project_ids):
                        raise
                    logger.info("Not counting events that way: %s", refusal)
                    self._ways.pop(0)
                except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as odd:
                    logger.info("Not counting events that way, the answer has another shape: %r", odd)
                    self._ways.pop(0)
            return None

    def _from_series(self, project_ids: Sequence[str], window: Window) -> Hours:
        body = self._client.get(
            f"{self._path}events-timeseries/",
            {
                "dataset": "errors",
                "yAxis": "count()",
                "interval": str(HOUR),
                "project": project_ids,
                **window.parameters(),
            },
            scope="org:read",
            retry=self._retry,
            divisible=True,
        )
        found: Hours = {}
        for series in body.get("timeSeries") or ():
            points = [(_seconds(point["timestamp"]), point.get("value")) for point in series["values"]]
            step = points[1][0] - points[0][0] if len(points) > 1 else HOUR
            if step <= 0 or HOUR % step or (series.get("meta") or {}).get("dataScanned") == "partial":
                raise errors.SentryBadRequestError("Sentry counted otherwise than by hour.", path=self._path)
            for second, count in points:
                hour = second // HOUR * HOUR
                found[hour] = found.get(hour, 0) + int(count or 0)
        return found

    def _from_table(self, project_ids: Sequence[str], window: Window) -> Hours:
        found: Hours = {}
        pages = self._client.pages(
            f"{self._path}events/",
            {
                "dataset": "errors",
                "field": ["timestamp.to_hour", "count()"],
                "sort": "timestamp.to_hour",
                "project": project_ids,
                "per_page": str(PAGE_SIZE),
                **window.parameters(),
            },
            scope="org:read",
            rows_at="data",
            retry=self._retry,
            divisible=True,
        )
        for page in pages:
            for row in page.rows:
                time = parse_time(row.get("timestamp.to_hour"))
                if time is not None:
                    hour = floor_seconds(time) // HOUR * HOUR
                    found[hour] = found.get(hour, 0) + int(row.get("count()") or 0)
        return found


def events_in(hours: Mapping[int, int], window: Window) -> int:
    """How many of the events counted lie in the hours that a window touches."""
    return sum(count for hour, count in hours.items() if hour < window.end and hour + HOUR > window.start)


def _seconds(timestamp: float) -> int:
    """Sentry's examples show milliseconds, some versions send seconds."""
    return int(timestamp / 1000 if timestamp > 100_000_000_000 else timestamp)


def _is_beyond_retention(refusal: errors.SentryRequestError) -> bool:
    return refusal.status == 400 and "date range" in str(refusal).lower()


def _is_lacking(refusal: errors.SentryRequestError, project_ids: Sequence[str]) -> bool:
    """Whether the server or plan lacks this way of asking; else it may be about some of the projects."""
    if refusal.is_too_much:
        return False
    is_about_one = len(project_ids) == 1 and tuple(project_ids) != ALL_ACCESSIBLE
    if refusal.status in (400, 403):
        return is_about_one and refusal.status == 400
    return refusal.status != 401
