"""What a table has read and what this run reads of it: covered intervals per project, in dlt's resource state.

One function decides it all: wanted minus covered, plus the look-back. So a project that joins later, an
earlier start date and a gap get exactly what they miss. dlt's incremental cursor keeps the outer interval and
joins an external scheduler's (https://dlthub.com/docs/general-usage/incremental-loading).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dlt
from dlt.extract import DltResource
from dlt.extract.incremental import Incremental

from .errors import SentryConfigurationError
from .run import Run
from .settings import HISTORY_DAYS, SWEEP_SLACK_SECONDS
from .windows import Window, floor_seconds, sentry_time, still_missing, union


@dataclass(frozen=True)
class Choices:
    """What the user asked for.

    Attributes:
        start: First moment of history wanted; None: ``HISTORY_DAYS`` before the run.
        end: Given: exactly start to end, and progress stays as it is.
        lookback: Seconds before what is covered that are read again.
        sweep_interval: Hours between two readings of everything; 0: every run.
    """

    start: datetime | None
    end: datetime | None
    lookback: int
    sweep_interval: float


class Progress:
    """The progress of the resource that is being extracted.

    Args:
        choices: What the user asked for.
        run: The extraction; its pinned end is the end of what is read.
        lookback: Seconds of look-back at the least, for tables whose rows change after they were read.
        since: For tables whose rows do not age out: the first second of history, whatever ``start`` says.
    """

    def __init__(
        self, choices: Choices, run: Run, *, since: int | None = None, lookback: int | None = None
    ) -> None:
        resource = dlt.current.resource()
        self._cursor = _bound_cursor(resource)
        self._state = dlt.current.resource_state()
        self._covered: dict[str, list[list[int]]] = self._state.setdefault("covered", {})
        self._choices = choices
        self._now = run.now
        self._since = since
        self._lookback = max(choices.lookback, lookback or 0)
        self._disposition = disposition_of(resource)
        self._sweeps = False
        self._held: list[tuple[list[str], Window]] | None = None
        self._exact = _exact_window(self._cursor)
        self._warn_of_limits(run)

    @property
    def wanted(self) -> Window:
        """All that the table should hold in the end, or exactly the range asked for."""
        if self._exact is not None:
            return self._exact
        if self._since is not None:
            return Window(self._since, self._now)
        start = self._choices.start
        first = self._now - HISTORY_DAYS * 86_400 if start is None else floor_seconds(start)
        if first >= self._now:
            raise SentryConfigurationError(f"start_date {sentry_time(first)} UTC lies in the future.")
        return Window(first, self._now)

    @property
    def only_adds(self) -> bool:
        """Whether rows are appended: then none may be given twice, not even over two runs."""
        return self._disposition == "append"

    def _is_sweep_due(self) -> bool:
        """Whether the last time that everything was read is too long ago."""
        if self._exact is not None or self.only_adds:
            return False
        swept_at = self._state.get("swept_at")
        due = self._choices.sweep_interval * 3600 - SWEEP_SLACK_SECONDS
        return swept_at is None or self._now - swept_at >= due

    def plan(self, project_ids: Iterable[str], *, sweeps: bool = True) -> dict[str, list[Window]]:
        """What this run reads of each project: all that is wanted in a sweep, else what is missing."""
        self._sweeps = sweeps and self._is_sweep_due()
        if self._sweeps:
            return {project_id: [self.wanted] for project_id in project_ids}
        return {project_id: self.missing(project_id) for project_id in project_ids}

    def missing(self, project_id: str) -> list[Window]:
        """What this run reads of a project, oldest first."""
        if self._exact is not None or self._disposition == "replace":
            return [self.wanted]
        lookback = 0 if self.only_adds else self._lookback
        return still_missing(self.wanted, self._windows(project_id), lookback)

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

    def cover(self, project_ids: Iterable[str], window: Window) -> None:
        """Note that a window was read whole."""
        if self._held is not None:
            self._held.append((list(project_ids), window))
            return
        if self._exact is None:
            for project_id in project_ids:
                merged = union([*self._windows(project_id), window])
                self._covered[project_id] = [[part.start, part.end] for part in merged]

    def _warn_of_limits(self, run: Run) -> None:
        if self._exact is not None and self._exact.end > self._now:
            run.warn_once(
                f"The end of the range asked for, {sentry_time(self._exact.end)} UTC, is not reached yet: what "
                f"comes after {sentry_time(self._now)} is not in it."
            )
        if self._since is None and self.wanted.start < self._now - HISTORY_DAYS * 86_400:
            run.warn_once(
                f"History is wanted from {sentry_time(self.wanted.start)} UTC. Sentry keeps errors for 30 or "
                f"{HISTORY_DAYS} days (a server of your own as long as it is told to); what it has forgotten "
                "cannot be loaded."
            )

    def pass_unfiltered(self) -> None:
        """Keep dlt's own filter off: it would drop the old rows that a sweep or a newcomer brings."""
        self._cursor.advance(None)

    def finish(self) -> None:
        """Move the cursor to the end of this run, and note a sweep if it was one."""
        if self._exact is None:
            self._cursor.advance(datetime.fromtimestamp(self._now, UTC))
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
