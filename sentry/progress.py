"""What a table has read and what this run reads of it: covered intervals per project, in dlt's resource state.

One function decides it all: wanted minus covered, plus the look-back. So a project that joins later, an
earlier start date and a gap get exactly what they miss. dlt's incremental cursor keeps the outer interval and
joins an external scheduler's (https://dlthub.com/docs/general-usage/incremental-loading).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dlt
from dlt.extract import DltResource
from dlt.extract.incremental import Incremental

from .backfill import LEFT, Left, Plan, chunk, left_of, span_of, within
from .errors import SentryConfigurationError
from .run import Run
from .settings import HISTORY_DAYS, SHORTEST_RETENTION_SECONDS, SWEEP_SLACK_SECONDS
from .windows import DAY, HOUR, Window, floor_seconds, sentry_time, still_missing, subtract, union


@dataclass(frozen=True)
class Choices:
    """What the user asked for.

    Attributes:
        start: First moment of history wanted; None: ``HISTORY_DAYS`` before the run.
        end: Given: exactly start to end, and progress stays as it is.
        lookback: Seconds before what is covered that are read again.
        sweep_interval: Hours between two readings of everything; 0: every run.
        chunk_events: How many events of history one load brings at the most, as Sentry counts them; 0: all.
        newest_first: Whether a history that is brought in several loads begins with its end.
        again: Given: just these windows are read, by project, whether they were read before or not.
    """

    start: datetime | None
    end: datetime | None
    lookback: int
    sweep_interval: float
    chunk_events: int = 0
    newest_first: bool = True
    again: Mapping[str, list[Window]] | None = None


@dataclass(frozen=True)
class Kind:
    """How the rows of a table age and change.

    Attributes:
        since: Given: rows do not age out, and this is the first second of history, whatever ``start`` says.
        lookback: Seconds of look-back at the least, for rows that change after they were read.
        retained: Whether rows go when the server forgets the events of their time.
        chunked: Whether a long history is brought in several loads.
    """

    since: int | None = None
    lookback: int = 0
    retained: bool = False
    chunked: bool = False


class Progress:
    """The progress of the resource that is being extracted.

    Args:
        choices: What the user asked for.
        run: The extraction; its pinned end is the end of what is read.
        kind: How the table's rows age and change.
    """

    def __init__(self, choices: Choices, run: Run, kind: Kind) -> None:
        resource = dlt.current.resource()
        self._name = resource.name
        self._cursor = _bound_cursor(resource)
        self._state = dlt.current.resource_state()
        self._metrics = dlt.current.resource_metrics()
        self._covered: dict[str, list[list[int]]] = self._state.setdefault("covered", {})
        self._read_at: dict[str, int] = self._state.setdefault("read_at", {})
        self._choices = choices
        self._run = run
        self._now = run.now
        self._kind = kind
        self._lookback = max(choices.lookback, kind.lookback)
        self._disposition = disposition_of(resource)
        self._sweeps = False
        self._swept = Window(0, 0)
        self._kept_since = 0
        self._read: set[tuple[str, Window]] = set()
        self._held: list[tuple[list[str], Window]] | None = None
        self._exact = _exact_window(self._cursor)
        self._chunked = kind.chunked and choices.chunk_events > 0 and choices.again is None
        self._chunked = self._chunked and self._exact is None and self._disposition != "replace"
        self._warn_of_limits()

    @property
    def wanted(self) -> Window:
        """All that the table should hold in the end, or exactly the range asked for."""
        if self._exact is not None:
            return self._exact
        if self._kind.since is not None:
            return Window(self._kind.since, self._now)
        start = self._choices.start
        first = self._now - HISTORY_DAYS * DAY if start is None else floor_seconds(start)
        if first >= self._now:
            raise SentryConfigurationError(f"start_date {sentry_time(first)} UTC lies in the future.")
        return Window(first, self._now)

    @property
    def only_adds(self) -> bool:
        """Whether rows are appended: then none may be given twice, not even over two runs."""
        return self._disposition == "append"

    @property
    def is_sweep(self) -> bool:
        """Whether the plan of this run is to read everything again."""
        return self._sweeps

    @property
    def swept(self) -> tuple[Window, set[str]]:
        """What the sweep has read whole, but for what the server may have forgotten, and of which projects."""
        whole = {project_id for project_id, window in self._read if window == self._swept}
        return self._swept.intersect(Window(self._kept_since, self._now)), whole

    def plan(self, project_ids: Iterable[str], *, sweeps: bool = True) -> Plan:
        """What this run reads of each project, oldest first: all that is wanted in a sweep, else what is missing.

        One run has one plan for a table: it is not made again once something of it was read.
        """
        self._sweeps = sweeps and self._is_sweep_due()
        ids = list(project_ids)
        return self._run.once(("plan", self._name), lambda: self._make_plan(ids))

    def _make_plan(self, project_ids: list[str]) -> Plan:
        if self._sweeps:
            plan = self._within_retention({project_id: [self.wanted] for project_id in project_ids})
            self._swept = span_of(plan)
            return plan
        missing = {project_id: self._missing(project_id) for project_id in project_ids}
        if not self._chunked:
            return self._within_retention(missing)
        return self._first_chunk(missing)

    def _is_sweep_due(self) -> bool:
        """Whether the last time that everything was read is too long ago."""
        if self._exact is not None or self.only_adds or self._choices.again is not None:
            return False
        swept_at = self._state.get("swept_at")
        due = self._choices.sweep_interval * 3600 - SWEEP_SLACK_SECONDS
        return swept_at is None or self._now - swept_at >= due

    def _missing(self, project_id: str) -> list[Window]:
        if self._choices.again is not None:
            return union(self._choices.again.get(project_id, ()))
        if self._exact is not None or self._disposition == "replace":
            return [self.wanted]
        return still_missing(self.wanted, self._windows(project_id), self._lookback_of(project_id))

    def _lookback_of(self, project_id: str) -> int:
        """None where rows are only added, or where what is newest was old already when it was read."""
        newest = self._newest(project_id)
        is_settled = newest + self._lookback <= self._read_at.get(project_id, newest)
        return 0 if self.only_adds or is_settled else self._lookback

    def _first_chunk(self, missing: Plan) -> Plan:
        """As much of what is missing as one load should bring; says in the metrics what is left then."""
        gaps = {project_id: self._gaps(project_id) for project_id in missing}
        fresh = {project_id for project_id in missing if self._is_fresh(project_id)}
        long = any(self._unread(project_id) > 2 * HOUR for project_id in missing.keys() - fresh)
        if self._state.get("reads_whole") or not (long or any(gaps.values())):
            return self._within_retention(missing)
        plan = self._within_retention(
            {
                project_id: gaps[project_id] if project_id in fresh else missing[project_id]
                for project_id in missing
            }
        )
        stuck = self._stuck()
        moving = {project_id: plan[project_id] for project_id in plan if project_id not in stuck} or plan
        if not any(moving.values()):
            moving = plan
        span, reading = span_of(moving), [project_id for project_id, windows in moving.items() if windows]
        hours = self._run.count(reading, span) if reading else {}
        chosen = chunk(moving, hours, self._choices.chunk_events, newest_first=self._choices.newest_first)
        left = left_of(moving, chosen, hours, self.wanted) if moving is not plan or not stuck else None
        if left is None and fresh:
            left = Left(days=0.0, wanted_days=round(self.wanted.seconds / DAY, 2), events=0)
        if left is not None:
            self._metrics[LEFT] = asdict(left)
        part = within(plan, chosen)
        self._state["tried"] = {
            project_id: [[window.start, window.end] for window in windows]
            for project_id, windows in part.items()
        }
        return part

    def _stuck(self) -> set[str]:
        """Projects of which the last run could not read what it wanted to: they must not keep others waiting."""
        tried: dict[str, list[list[int]]] = self._state.get("tried", {})
        return {
            project_id
            for project_id, windows in tried.items()
            for start, end in windows
            if subtract(Window(start, end), self._windows(project_id))
        }

    def _newest(self, project_id: str) -> int:
        return max((window.end for window in self._windows(project_id)), default=0)

    def _gaps(self, project_id: str) -> list[Window]:
        """What is missing before the newest moment that was read."""
        wanted = self.wanted
        newest = min(wanted.end, self._newest(project_id))
        return subtract(Window(wanted.start, max(wanted.start, newest)), self._windows(project_id))

    def _unread(self, project_id: str) -> int:
        return sum(window.seconds for window in subtract(self.wanted, self._windows(project_id)))

    def _is_fresh(self, project_id: str) -> bool:
        """Whether a project was read to its end so lately that this can wait until history is in."""
        return self._now - self._newest(project_id) < max(self._lookback, HOUR)

    def _within_retention(self, plan: Plan) -> Plan:
        """The plan without what the server has forgotten; says once which days are lost."""
        oldest = span_of(plan).start
        if not self._kind.retained or not oldest or oldest >= self._now - SHORTEST_RETENTION_SECONDS:
            return plan
        horizon = self._run.oldest_answered(oldest)
        if horizon is None:
            self._warn_of_unknown_retention(oldest)
            self._kept_since = self._now - HISTORY_DAYS * DAY
            return plan
        forgotten = Window(oldest, horizon)
        lost = {
            part
            for project_id, windows in plan.items()
            for window in windows
            for part in subtract(window.intersect(forgotten), self._windows(project_id))
        }
        if lost:
            first = min(part.start for part in lost)
            self._run.warn_once(
                f"History is wanted from {sentry_time(first)} UTC, but this server answers only from "
                f"{sentry_time(horizon)} UTC: it has forgotten the {(horizon - first) / DAY:.1f} days between, and "
                "they are not loaded. What was loaded before stays."
            )
        for project_id, windows in plan.items():
            for window in windows:
                self.cover([project_id], window.intersect(forgotten))
        return within(plan, Window(horizon, self._now if self._exact is None else self._exact.end))

    def hold(self) -> None:
        """Note nothing as read until ``settle``: what hangs on the rows is still to be read."""
        self._held = []

    def settle(self, without: Collection[str]) -> None:
        """Note what was held back, but for projects of which something could not be read."""
        held, self._held = self._held or [], None
        for project_ids, window in held:
            self.cover([project_id for project_id in project_ids if project_id not in without], window)
        self._sweeps = self._sweeps and not without

    def start_over_for(self, name: str, values: Collection[str]) -> None:
        """Read everything again if what is asked for has grown since the last run."""
        known = set(self._state.get(name, []))
        if self._exact is None:
            if set(values) - known:
                self._covered.clear()
                self._state.pop("swept_at", None)
            self._state[name] = sorted(values)

    def reads_whole(self) -> None:
        """Note that the server ignores windows: reading a history in parts would read it over and over."""
        if self._chunked:
            self._run.warn_once(
                "This server ignores start and end in its lists of events, so that a history cannot be read in "
                "parts: what is left of it comes in one load."
            )
        self._state["reads_whole"] = True

    def cover(self, project_ids: Iterable[str], window: Window) -> None:
        """Note that a window was read whole."""
        if self._held is not None:
            self._held.append((list(project_ids), window))
            return
        self._read |= {(project_id, window) for project_id in project_ids}
        if self._exact is None:
            for project_id in project_ids:
                if window.end >= self._newest(project_id):
                    self._read_at[project_id] = self._now
                merged = union([*self._windows(project_id), window])
                self._covered[project_id] = [[part.start, part.end] for part in merged]

    def _warn_of_limits(self) -> None:
        if self._exact is not None and self._exact.end > self._now:
            self._run.warn_once(
                f"The end of the range asked for, {sentry_time(self._exact.end)} UTC, is not reached yet: what "
                f"comes after {sentry_time(self._now)} is not in it."
            )

    def _warn_of_unknown_retention(self, oldest: int) -> None:
        if oldest < self._now - HISTORY_DAYS * DAY:
            self._run.warn_once(
                f"History is wanted from {sentry_time(oldest)} UTC. This server does not tell how far back it "
                "answers; what it has forgotten cannot be loaded."
            )

    def pass_unfiltered(self) -> None:
        """Keep dlt's own filter off: it would drop the old rows that a sweep or a newcomer brings."""
        self._cursor.advance(None)

    def finish(self) -> None:
        """Move the cursor to the end of what was read, and note a sweep if it was one."""
        if self._exact is None:
            newest = max(map(self._newest, self._covered), default=0)
            end = newest if self._chunked and newest else self._now
            self._cursor.advance(datetime.fromtimestamp(end, UTC))
            if self._sweeps:
                self._state["swept_at"] = self._now

    def _windows(self, project_id: str) -> list[Window]:
        return [Window(start, end) for start, end in self._covered.get(project_id, [])]


def by_window(missing: Mapping[str, Iterable[Window]]) -> dict[Window, list[str]]:
    """Group projects by the windows they miss, newest window first, so that one request can serve many."""
    groups: dict[Window, list[str]] = {}
    for project_id, windows in missing.items():
        for window in windows:
            groups.setdefault(window, []).append(project_id)
    return dict(sorted(groups.items(), reverse=True))


def _exact_window(cursor: Incremental[Any]) -> Window | None:
    """The range that the user or an external scheduler asked for; None in a normal run."""
    if cursor.end_value is None:
        return None
    start: datetime | None = cursor.initial_value
    end: datetime = cursor.end_value
    return Window.between(start or end - timedelta(days=HISTORY_DAYS), end)


def cursor_of(resource: DltResource) -> Incremental[Any] | None:
    """The cursor of a resource: hints wrap it, or not, depending on where they were given."""
    wrapper: Any = resource.incremental
    return getattr(wrapper, "incremental", wrapper)  # type: ignore[no-any-return]


def _bound_cursor(resource: DltResource) -> Incremental[Any]:
    cursor = cursor_of(resource)
    assert cursor is not None  # noqa: S101 - only resources with a cursor have progress
    return cursor


def disposition_of(resource: DltResource) -> str:
    """How the rows of a resource are written: merge, append or replace."""
    hint: Any = resource.write_disposition
    return str(hint.get("disposition", "merge") if isinstance(hint, dict) else hint)
