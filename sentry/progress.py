"""What a table has read and what this run reads of it: covered intervals per project, in dlt's resource state.

One function decides it all: wanted minus covered, plus the look-back. So a project that joins later, an
earlier start date and a gap get exactly what they miss. dlt's incremental cursor keeps the outer interval and
joins an external scheduler's (https://dlthub.com/docs/general-usage/incremental-loading).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

import dlt

from .backfill import (
    LEFT,
    Left,
    Plan,
    Reading,
    chunk,
    history,
    left_of,
    seconds_of,
    span_of,
    whose_turn,
    within,
)
from .choices import Choices, Kind, bound_cursor, disposition_of, exact_window
from .debts import Debts
from .errors import SentryConfigurationError
from .retention import oldest_answered
from .run import Run
from .settings import HISTORY_DAYS, SHORTEST_RETENTION_SECONDS, SWEEP_SLACK_SECONDS
from .windows import DAY, HOUR, Window, floor_seconds, sentry_time, still_missing, subtract, union


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
        self._cursor = bound_cursor(resource)
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
        self._due: set[str] = set()
        self._swept = Window(0, 0)
        self._kept_since = 0
        self._read: set[tuple[str, Window]] = set()
        self._held: list[tuple[list[str], Window]] | None = None
        self._exact = exact_window(self._cursor)
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
            raise SentryConfigurationError(
                f"start_date {sentry_time(first)} UTC lies in the future. Give an earlier one."
            )
        return Window(first, self._now)

    @property
    def debts(self) -> Debts:
        """What earlier runs could not read of single parents."""
        return Debts({} if self._exact is not None else self._state.setdefault("debts", {}))

    @property
    def tails(self) -> dict[str, Any]:
        """Notes on what the newest hour held when it was read."""
        is_apart = self._exact is not None or self._choices.again is not None
        return {} if is_apart else cast("dict[str, Any]", self._state.setdefault("tails", {}))

    @property
    def lookback(self) -> int:
        """Seconds before what was read that are read again."""
        return self._lookback

    @property
    def only_adds(self) -> bool:
        """Whether rows are appended: then none may be given twice, not even over two runs."""
        return self._disposition == "append"

    @property
    def merges(self) -> bool:
        """Whether rows that are given once more do no harm."""
        return self._disposition == "merge"

    @property
    def swept(self) -> tuple[Window, set[str]]:
        """What a sweep has read whole, but for what the server may have forgotten, and of which projects."""
        whole = {project_id for project_id, window in self._read if window == self._swept}
        return self._swept.intersect(Window(self._kept_since, self._now)), whole & self._due

    @property
    def marks(self) -> bool:
        """Whether rows that a sweep does not show any more are to be marked: they stay only under merge."""
        return bool(self._due) and self.merges

    def plan(self, project_ids: Iterable[str], *, sweeps: bool = True) -> Plan:
        """What this run reads of each project, oldest first: all that is wanted in a sweep, else what is missing.

        One run has one plan for a table: it is not made again once something of it was read.
        """
        ids = list(project_ids)
        if sweeps:
            self._due = {project_id for project_id in ids if self._is_sweep_due(project_id)}
        return self._run.once(("plan", self._name), lambda: self._make_plan(ids))

    def _make_plan(self, project_ids: list[str]) -> Plan:
        if self._due:
            whole = self._forget_lost({project_id: [self.wanted] for project_id in self._due})
            self._swept = span_of(whole)
            rest = {project_id: self._missing(project_id) for project_id in project_ids}
            return self._forget_lost(rest) | whole
        missing = {project_id: self._missing(project_id) for project_id in project_ids}
        return self._first_chunk(missing) if self._chunked else self._forget_lost(missing)

    def _is_sweep_due(self, project_id: str) -> bool:
        """Whether all of a project was read too long ago, or less than is wanted now."""
        if self._exact is not None or self.only_adds or self._choices.again is not None:
            return False
        swept_at, start = self._state.get("swept", {}).get(project_id, (None, 0))
        due = self._choices.sweep_interval * HOUR - SWEEP_SLACK_SECONDS
        return swept_at is None or start > self.wanted.start or self._now - swept_at >= due

    def _missing(self, project_id: str) -> list[Window]:
        if self._choices.again is not None:
            return union(self._choices.again.get(project_id, ()))
        if self._exact is not None or self._disposition == "replace":
            return [self.wanted]
        return still_missing(self.wanted, self._windows(project_id), self._lookback_of(project_id))

    def _lookback_of(self, project_id: str) -> int:
        """Seconds; 0 where rows are only added, or where what is newest was old already when it was read."""
        newest = self._newest(project_id)
        is_settled = newest + self._lookback <= self._read_at.get(project_id, newest)
        return 0 if self.only_adds or is_settled else self._lookback

    def _first_chunk(self, missing: Plan) -> Plan:
        """As much of what is missing as one load should bring; says in the metrics what is left then."""
        stuck = self._stuck()
        projects = {
            project_id: Reading(
                missing=[part for window in windows for part in subtract(window, self._failed(project_id))],
                owed=history(self.wanted, [*self._windows(project_id), *self._failed(project_id)]),
                is_fresh=self._is_fresh(project_id),
                is_stuck=project_id in stuck,
            )
            for project_id, windows in missing.items()
        }
        long, others = whose_turn(projects)
        if self._state.get("reads_whole") or not long:
            self._state.pop("tried", None)
            self._run.failed.pop(self._name, None)  # a later run of the same source tries them again
            return self._forget_lost(
                {project_id: reading.missing for project_id, reading in projects.items()}
            )
        long = self._forget_lost(long)
        hours = self._run.count(sorted(long), span_of(long)) if any(long.values()) else {}
        chosen = chunk(long, hours, self._choices.chunk_events, newest_first=self._choices.newest_first)
        self._note_left(left_of(long, chosen, hours, self.wanted), projects)
        part = within(long, chosen)
        self._state["tried"] = {
            project_id: [[window.start, window.end] for window in windows]
            for project_id, windows in part.items()
        }
        return part | others

    def _note_left(self, left: Left | None, projects: Mapping[str, Reading]) -> None:
        """What is left goes into the metrics, with what was owed before: a run that pays nothing off is stuck."""
        if left is None and any(reading.is_fresh and reading.owed for reading in projects.values()):
            left = Left(days=0.0, wanted_days=round(self.wanted.seconds / DAY, 2), events=0)
        if left is not None:
            self._metrics[LEFT] = {
                **asdict(left),
                "load_id": self._run.load_id,
                "source": dlt.current.source_schema().name,
                "wanted": [self.wanted.start, self.wanted.end],
                "owed": {project_id: seconds_of(reading.owed) for project_id, reading in projects.items()},
                "failed": {
                    project_id: [[part.start, part.end] for part in self._failed(project_id)]
                    for project_id in projects
                },
            }

    def _stuck(self) -> set[str]:
        """Projects of which earlier runs could not read what they tried: they must not keep others waiting."""
        tried: dict[str, list[list[int]]] = self._state.get("tried", {})
        failed = {
            project_id
            for project_id, windows in tried.items()
            for start, end in windows
            if subtract(Window(start, end), [*self._windows(project_id), *self._failed(project_id)])
        }
        not_tried_again = {
            project_id for project_id in self._state.get("stuck", ()) if not tried.get(project_id)
        }
        self._state["stuck"] = sorted(failed | not_tried_again)
        return failed | not_tried_again

    def _newest(self, project_id: str) -> int:
        return max((window.end for window in self._windows(project_id)), default=0)

    def _is_fresh(self, project_id: str) -> bool:
        """Whether a project was read to its end so lately that this can wait until history is in."""
        return self._now - self._newest(project_id) < max(self._lookback, HOUR)

    def _forget_lost(self, plan: Plan) -> Plan:
        """The plan without what the server has forgotten, which counts as read; says once which days are lost."""
        oldest = span_of(plan).start
        is_surely_kept = not self._due and oldest >= self._now - SHORTEST_RETENTION_SECONDS
        if not self._kind.retained or not oldest or is_surely_kept:
            return plan
        horizon = oldest_answered(self._run, oldest)
        if horizon is None:
            self._warn_of_unknown_retention(oldest)
            self._kept_since = self._now - SHORTEST_RETENTION_SECONDS
            return plan
        forgotten = Window(oldest, horizon)
        self._warn_of_lost_days(plan, forgotten)
        for project_id, windows in plan.items():
            for window in windows:
                self.cover([project_id], window.intersect(forgotten))
        return within(plan, Window(horizon, self._now if self._exact is None else self._exact.end))

    def _warn_of_lost_days(self, plan: Plan, forgotten: Window) -> None:
        """Say which days cannot be loaded, unless it was said before of as early a start."""
        told: int | None = self._state.get("told_of")
        lost = [
            part
            for project_id, windows in plan.items()
            for window in windows
            for part in subtract(window.intersect(forgotten), self._windows(project_id))
        ]
        if lost and (told is None or forgotten.start < told):
            self._run.warn_once(
                f"This server has no events before {sentry_time(forgotten.end)} UTC any more, so the "
                f"{forgotten.seconds / DAY:.1f} days wanted from {sentry_time(forgotten.start)} UTC on cannot be "
                "loaded. Rows that were loaded before stay."
            )
            if self._exact is None:
                self._state["told_of"] = forgotten.start

    def hold(self) -> None:
        """Note nothing as read until ``settle``: what hangs on the rows is still to be read."""
        self._held = []

    def settle(self, without: Collection[str]) -> None:
        """Note what was held back, but for projects of which something could not be read."""
        held, self._held = self._held or [], None
        for project_ids, window in held:
            self.cover([project_id for project_id in project_ids if project_id not in without], window)
        self._due -= set(without)

    def note_failed(self, project_id: str, window: Window) -> None:
        """Note that a window cannot be read: the rest of a long history goes first, then it is tried again."""
        if self._chunked:
            failed = self._run.failed.setdefault(self._name, {})
            failed[project_id] = union([*failed.get(project_id, ()), window])
            if LEFT in self._metrics:
                self._metrics[LEFT]["failed"][project_id] = [
                    [part.start, part.end] for part in failed[project_id]
                ]

    def _failed(self, project_id: str) -> list[Window]:
        return self._run.failed.get(self._name, {}).get(project_id, [])

    def start_over_for(self, name: str, values: Collection[str]) -> None:
        """Read everything again if what is asked for has grown since the last run."""
        known = set(self._state.get(name, []))
        if self._exact is None:
            if set(values) - known:
                self._covered.clear()
                self._state.pop("swept", None)
            self._state[name] = sorted(values)

    def note_ignored_windows(self) -> None:
        """Note that the server ignores windows: reading a history in parts would read it over and over."""
        if LEFT in self._metrics and not self._state.get("reads_whole"):
            self._run.warn_once(
                "This server ignores start and end in its lists of events, so that a history cannot be read in "
                "parts: what is left of it comes in one load."
            )
        self._state["reads_whole"] = True

    def cover(self, project_ids: Iterable[str], window: Window) -> None:
        """Note that a window was read whole."""
        window = window.intersect(Window(0, self._now))  # what has not come yet is never read
        if not window.seconds:
            return
        if self._held is not None:
            self._held.append((list(project_ids), window))
            return
        for project_id in project_ids:
            self._read.add((project_id, window))
            if self._exact is None:
                self._note_when_read(project_id, window)
                merged = union([*self._windows(project_id), window])
                self._covered[project_id] = [[part.start, part.end] for part in merged]

    def _note_when_read(self, project_id: str, window: Window) -> None:
        newest = self._newest(project_id)
        holds_lookback = not newest or window.start <= max(self.wanted.start, newest - self._lookback)
        if window.end >= newest and holds_lookback:
            self._read_at[project_id] = self._now

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
            swept: dict[str, list[int]] = self._state.setdefault("swept", {})
            swept |= {project_id: [self._now, self.wanted.start] for project_id in self.swept[1]}

    def _windows(self, project_id: str) -> list[Window]:
        return [Window(start, end) for start, end in self._covered.get(project_id, [])]


def by_window(missing: Mapping[str, Iterable[Window]]) -> dict[Window, list[str]]:
    """Group projects by the windows they miss, newest window first, so that one request can serve many."""
    groups: dict[Window, list[str]] = {}
    for project_id, windows in missing.items():
        for window in windows:
            groups.setdefault(window, []).append(project_id)
    return dict(sorted(groups.items(), reverse=True))
