"""How error events are read: of each project's windows, in the way that is soonest, and counted.

See https://docs.sentry.io/api/events/list-a-projects-error-events/.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import errors
from .client import Row
from .endpoints import EVENTS
from .event_ids import Ids, known_events, listed_together, parts_of
from .event_scans import event_scan
from .log import logger
from .progress import Progress
from .rows import table_row
from .run import Project, Run
from .scans import Scan, Seen, WindowsIgnoredError
from .selection import note_failure
from .settings import DAYS_THAT_FAIL, FULL_PAGE_SIZE, LISTED_DAYS, PAGE_SIZE
from .table import Table, column_name
from .tails import Tails
from .ways import Way, alone, best_way
from .windows import DAY, HOUR, Window, even_parts, union


def read_events(run: Run, progress: Progress, project: Project, *, full: bool) -> Iterator[list[Row]]:
    """The events of one project in this run's windows, each once.

    Args:
        run: The extraction.
        progress: What the table has read so far.
        project: Whose events.
        full: With their bodies, or just the simple form.

    Raises:
        SentryRequestError: A page could not be had.
    """
    scan = event_scan(run, project, full=full, when_ignored=progress.note_ignored_windows)
    reader = _Reader(run, project, scan, full, Tails(progress.tails, progress.lookback))
    plan = progress.plan(run.project_ids, sweeps=False)
    for window in reversed(plan[project.id]):
        sharing = [project_id for project_id, windows in plan.items() if window in windows]
        yield from _read_window(reader, progress, sharing, window)
    progress.finish()


@dataclass
class _Given:
    """What of a window was given, also when its reading ended in the middle.

    Attributes:
        down_to: All from there on was given.
        ids: Events that were given below, and may come again when the rest is read once more.
        keeps: Whether something failed, so that all ids are kept.
        events: How many were given.
    """

    down_to: int
    ids: set[str] = field(default_factory=set)
    keeps: bool = False
    events: int = 0

    def fresh(self, rows: list[Row]) -> list[Row]:
        """The rows that were not given before."""
        fresh = [row for row in rows if str(row["eventID"]) not in self.ids]
        self.ids.update(str(row["eventID"]) for row in fresh)
        self.events += len(fresh)
        return fresh

    def note(self, second: int) -> None:
        """All from a second on was given."""
        self.down_to = second
        if not self.keeps:
            self.ids.clear()


def _read_window(
    reader: _Reader, progress: Progress, sharing: list[str], window: Window
) -> Iterator[list[Row]]:
    """A window's events; where it cannot be read, those of its halves, down to the day that cannot be."""
    run, project, given = reader.run, reader.project, _Given(window.end)
    pending, failed, in_a_row = [window], list[Window](), 0
    error: errors.SentryRequestError | None = None
    while pending:
        piece = pending.pop()
        given.down_to, before = piece.end, given.events
        try:
            oldest = yield from _events_of(reader, sharing if piece == window else [project.id], piece, given)
        except errors.SentryRequestError as failure:
            if not progress.merges:
                raise
            run.failures.check(failure)
            error, given.keeps = failure, True
            rest = Window(piece.start, given.down_to)
            progress.cover([project.id], Window(given.down_to, piece.end))
            if rest.seconds > DAY:
                pending += even_parts(rest, 2)[::-1]
                continue
            failed.append(rest)
            in_a_row += 1
            if in_a_row >= DAYS_THAT_FAIL:
                failed += pending
                pending = []
        else:
            in_a_row = in_a_row if given.events == before else 0
            progress.cover([project.id], piece)
            if piece == window and (oldest is None or oldest >= run.now - LISTED_DAYS * DAY - HOUR):
                _warn_of_a_short_list(run, progress, project, window)
    if error is not None and failed:
        gap = union(failed)
        note_failure(run, EVENTS.name, f"project {project.slug}, {' and '.join(map(str, gap))}", error)
        for part in gap:
            progress.note_failed(project.id, part)


def _events_of(
    reader: _Reader, sharing: list[str], window: Window, given: _Given
) -> Generator[list[Row], None, int | None]:
    """The events of a window; returns the second of the oldest one."""
    run, project = reader.run, reader.project
    oldest: int | None = None
    together = listed_together(run, project, sharing, window)
    for part in parts_of(run, together, window):
        ids, seen = (yield from known_events(run, project, together, window, part)), Seen()
        start = part.start if ids is None else reader.tails.unchanged(project.id, part, ids)
        for rows in reader.rows(ids, Window(start, part.end), seen):
            _check_project(rows, project)
            oldest = min([*reader.scan.seconds(rows), *([] if oldest is None else [oldest])], default=None)
            yield [event_row(EVENTS, run, row, project) for row in given.fresh(rows)]
        if part.end == run.now:
            is_whole = ids is not None and not _owed(ids, seen, start)
            reader.tails.note(project.id, part, ids if is_whole else None)
        given.note(part.start)
    return oldest


@dataclass(frozen=True)
class _Reader:
    """Reads the events of a project.

    Attributes:
        run: The extraction.
        project: Whose events.
        scan: The project's own listing.
        full: With their bodies.
        tails: What the newest hour held when it was read before.
    """

    run: Run
    project: Project
    scan: Scan
    full: bool
    tails: Tails

    def rows(self, ids: Ids | None, window: Window, seen: Seen) -> Iterator[list[Row]]:
        """The events of a window, each once, in the way that is soonest; all of those that Explore names.

        Args:
            ids: Which events there are, also outside of the window; None if nobody tells.
            window: When they happened.
            seen: Takes the events that came.
        """
        if ids is not None:
            ids = {event_id: known for event_id, known in ids.items() if known.second >= window.start}
        try:
            for rows in self._pages(ids, window):
                yield self.scan.fresh(rows, window, seen)
        except WindowsIgnoredError:
            for rows in self.scan.read(window):
                yield self.scan.fresh(rows, window, seen)
        if ids:
            yield from self._missed(ids, window, seen)

    def _pages(self, ids: Ids | None, window: Window) -> Iterator[list[Row]]:
        if ids is not None and not ids:
            return iter(())
        if ids is None or len(ids) <= (FULL_PAGE_SIZE if self.full else PAGE_SIZE):
            return self.scan.read(window)
        return best_way(self.run, self.project, ids, window, full=self.full).pages(self.run)

    def _missed(self, ids: Ids, window: Window, seen: Seen) -> Iterator[list[Row]]:
        """The events that Explore names and that did not come: read alone; where there is no body, from a list."""
        owed = _owed(ids, seen)
        if owed and self.full:
            logger.info("%s: %s events did not come, such as %s.", self.project.slug, len(owed), owed[0])
            parts = [alone(self.run, self.project, event_id) for event_id in owed]
            for rows in Way(parts, len(parts), 0.0).pages(self.run):
                yield self.scan.fresh(rows, window, seen)
        if owed := _owed(ids, seen):
            seconds = union(Window(ids[event_id].second, ids[event_id].second + 1) for event_id in owed)
            for part in seconds if len(seconds) <= len(ids) // PAGE_SIZE else [window]:
                yield from self.scan.settle(part, seen)
        if owed := _owed(ids, seen):
            self.run.warn_once(
                f"{self.project.slug}: Explore names {len(owed):,} events that Sentry does not show otherwise, "
                f"such as {owed[0]}: they were deleted meanwhile, or cannot be loaded."
            )


def _owed(ids: Ids, seen: Seen, since: int = 0) -> list[str]:
    return [event_id for event_id, known in ids.items() if event_id not in seen and known.second >= since]


def _warn_of_a_short_list(run: Run, progress: Progress, project: Project, read: Window) -> None:
    """Some servers of 2019 to 2025 list no events older than a week, and do not say so.

    Args:
        run: The extraction.
        progress: What is wanted.
        project: Whose events were read.
        read: A window that has brought none older than that.
    """
    listed_from = (run.now - LISTED_DAYS * DAY) // HOUR * HOUR - HOUR
    hidden = read.intersect(Window(0, listed_from)).full_hours()
    if not hidden.seconds or not run.count([project.id], hidden):
        return
    older = run.count([project.id], Window(progress.wanted.start, listed_from).full_hours()) or {}
    run.warn_once(
        f"{project.slug}: this server counts {sum(older.values()):,} events older than {LISTED_DAYS} days and does "
        "not list them, so they cannot be loaded. Run at least once a week, or update the server."
    )


def unknown_documents(rows: list[Row]) -> set[str]:
    """Nested fields that the catalogue does not know yet: without a hint dlt would make tables of them."""
    return {
        name
        for row in rows
        for name, value in row.items()
        if isinstance(value, (dict, list)) and column_name(name) not in _NESTED_COLUMNS
    }


_NESTED_COLUMNS = {column.name for column in EVENTS.columns if column.type == "json"} | {"tags"}


def _check_project(rows: list[Row], project: Project) -> None:
    """A slug that was given to another project since the listing would file its events under the wrong id."""
    given = {str(row["projectID"]) for row in rows if isinstance(row.get("projectID"), (str, int))}
    strangers = {name for name in given if name.isdecimal()} - {project.id}
    if strangers:
        raise errors.SentryRequestError(
            f"The slug {project.slug} went from project {project.id} to {', '.join(sorted(strangers))} while "
            "events were read. Nothing was loaded; run again.",
            path=f"projects/{project.slug}/events/",
        )


def event_row(table: Table, run: Run, event: Row, project: Project) -> Row:
    """The event as it is loaded, with its issue, release, environment and level as columns."""
    listed = event.get("tags")
    tags = {
        str(tag.get("key")): tag.get("value")
        for tag in (listed if isinstance(listed, list) else ())
        if isinstance(tag, dict)
    }
    return table_row(
        table,
        run,
        event,
        project_id=project.id,
        project_slug=project.slug,
        issue_id=event.get("groupID"),
        release=_version(event.get("release")) or tags.get("release"),
        environment=event.get("environment") or tags.get("environment"),
        level=event.get("level") or tags.get("level"),
        dateCreated=event.get("dateCreated") or event.get("dateReceived"),
    )


def _version(release: Any) -> Any:
    """A release is an object in some bodies, its version in others."""
    return release.get("version") if isinstance(release, dict) else release
