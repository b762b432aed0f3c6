"""Which of Sentry's listings brings a project's events soonest: its own pages, or those of its issues.

On sentry.io a project's pages are allowed once a second, those of issues fifteen times; but the page of an issue
that has two events brings two, where a page of the project brings ten. Without limits the project's pages win, as
several windows are read at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from . import errors
from .client import Row
from .counts import Counted, Hours
from .event_scans import event_ids, event_path, event_scan, issue_scan, single_event
from .fanout import Ended, streamed
from .issues import issues_with_counts
from .log import logger
from .run import Project, Run
from .scans import Seen
from .settings import FULL_PAGE_SIZE, LONG_SLICE_PAGES, PAGE_SIZE, SLICE_PAGES
from .windows import HOUR, Window


@dataclass(frozen=True)
class Part:
    """Something to be read page by page, beside others.

    Attributes:
        pages: Reads it.
        may_be_gone: Whether it may have been deleted since it was found.
    """

    pages: Callable[[], Iterator[list[Row]]]
    may_be_gone: bool = False


@dataclass(frozen=True)
class Way:
    """A way to a project's events.

    Attributes:
        parts: What is read.
        requests: How many requests that takes.
        seconds: How long, by what is known of limits and latency.
        in_parallel: Whether several parts may be read at a time.
    """

    parts: list[Part]
    requests: int
    seconds: float
    in_parallel: bool = True

    def pages(self, run: Run) -> Iterator[list[Row]]:
        """The rows, page by page, unchecked, in no certain order.

        Raises:
            WindowsIgnoredError: The server answers for all times.
            SentryRequestError: A page could not be had.
        """
        if not self.in_parallel:
            for part in self.parts:
                yield from part.pages()
            return
        for part, page in streamed(run, lambda part: part.pages(), self.parts):
            if not isinstance(page, Ended):
                yield page
            elif page.error is not None and not (
                part.may_be_gone and isinstance(page.error, errors.SentryNotFoundError)
            ):
                raise page.error


def best_way(run: Run, project: Project, counted: Counted, *, full: bool) -> Way:
    """The way that brings the events of a window soonest.

    Args:
        run: The extraction.
        project: Whose events.
        counted: When they happened, and how many they are.
        full: With their bodies.

    Raises:
        WindowsIgnoredError: The server answers for all times.
        SentryRequestError: The issues cannot be asked for.
    """
    scan, page = event_scan(run, project, full=full), FULL_PAGE_SIZE if full else PAGE_SIZE
    governor, requests = run.client.governor, -(-counted.events // page)
    if not governor.has_met(scan.path):
        next(scan.walk(counted.window), None)  # tells what limits there are
    seconds = governor.seconds_for(scan.path, requests)
    if seconds > governor.seconds_for(_issue_path(run), requests):  # were all pages of issues full
        by_issues = _by_issues(run, project, counted, page, full=full)
        if by_issues is not None:
            logger.info(
                "%s: %s events by pages of the project: %s requests, %.0f s; by pages of issues: %s, %.0f s.",
                *(project.slug, counted.events, requests, seconds, by_issues.requests, by_issues.seconds),
            )
            if by_issues.seconds < seconds:
                return by_issues
    in_parallel = governor.parallel_for(scan.path) > 1
    most = (SLICE_PAGES if in_parallel else LONG_SLICE_PAGES) * page
    parts = [Part(partial(scan.walk, part)) for part in slices(counted.window, counted.hours, most)]
    return Way(parts, requests, seconds, in_parallel)


def _by_issues(run: Run, project: Project, counted: Counted, page: int, *, full: bool) -> Way | None:
    """By the pages of the issues with an event in the window, and one by one what has no issue."""
    window, governor = counted.window, run.client.governor
    try:
        issues = list(issues_with_counts(run, project, window))
        is_all = sum(issue.events for issue in issues) == counted.events
        single = [] if is_all or not full else list(_ids_without_issue(run, project, window))
    except (
        errors.SentryBadRequestError,
        errors.SentryPermissionError,
        errors.SentryNotFoundError,
    ) as refusal:
        logger.info("%s: not reading events by issues: %s", project.slug, refusal)
        return None
    of_issues = [
        Part(partial(issue_scan(run, issue.id, full=full).walk, part), may_be_gone=True)
        for issue in sorted(issues, key=lambda issue: issue.events, reverse=True)
        for part in even_parts(window, -(-issue.events // (SLICE_PAGES * page)))
    ]
    alone = [Part(partial(_alone, run, project, event_id), may_be_gone=True) for event_id in single]
    requests = sum(-(-issue.events // page) for issue in issues)
    seconds = governor.seconds_for(_issue_path(run), requests)
    if alone:
        seconds = max(seconds, governor.seconds_for(event_path(run, project, single[0]), len(single)))
    return Way(_mixed(of_issues, alone), requests + len(single), seconds)


def _ids_without_issue(run: Run, project: Project, window: Window) -> Iterator[str]:
    for rows in event_ids(run, project, "issue:unknown").read(window):
        yield from (str(row["id"]) for row in rows)


def _alone(run: Run, project: Project, event_id: str) -> Iterator[list[Row]]:
    yield [single_event(run, project, event_id)]


def _mixed(many: list[Part], few: list[Part]) -> list[Part]:
    """Both, the few spread among the many: they have a limit of their own, which is to be used all along."""
    places = [
        (index / (len(parts) + 1), part) for parts in (many, few) for index, part in enumerate(parts, 1)
    ]
    return [part for _, part in sorted(places, key=lambda place: place[0])]


def missed(run: Run, project: Project, window: Window, seen: Seen, *, full: bool) -> Iterator[list[Row]]:
    """The events of a window that are not among those seen, whatever hides them; they count as seen then.

    Args:
        run: The extraction.
        project: Whose events.
        window: When they happened.
        seen: The events that came.
        full: With their bodies.

    Raises:
        SentryRequestError: Something could not be read.
    """
    scan, ids = event_scan(run, project, full=full), event_ids(run, project)
    try:
        owed = [str(row["id"]) for rows in ids.read(window) for row in rows if str(row["id"]) not in seen]
    except (
        errors.SentryBadRequestError,
        errors.SentryPermissionError,
        errors.SentryNotFoundError,
    ) as refusal:
        logger.info("Not looking into Explore: %s", refusal)
        yield from scan.settle(window, seen)
        return
    if not full:
        if owed:
            yield from scan.settle(window, seen)
        return
    way = Way([Part(partial(_alone, run, project, event_id), may_be_gone=True) for event_id in owed], 0, 0.0)
    for rows in way.pages(run):
        yield scan.fresh(rows, window, seen)


def _issue_path(run: Run) -> str:
    return issue_scan(run, "0", full=True).path


def slices(window: Window, hours: Hours | None, events: int) -> list[Window]:
    """A window cut up so that no part holds many more events than wished for, newest first.

    Args:
        window: The window.
        hours: How many events there are, by the second in which their hour begins; None if nobody knows.
        events: How many of them a part may hold; in an hour that holds more they are taken to lie evenly.
    """
    parts: list[Window] = []
    end, held = window.end, 0
    for hour, count in sorted((hours or {}).items(), reverse=True):
        later = Window(hour + HOUR, end)
        if held and held + count > events and later.seconds:
            parts.append(later)
            end, held = later.start, 0
        held += count
        if count > events and (dense := Window(hour, end).intersect(window)).seconds:
            parts += even_parts(dense, -(-count // events))
            end, held = dense.start, 0
    return [*parts, rest] if (rest := Window(window.start, end)).seconds else parts


def even_parts(window: Window, count: int) -> list[Window]:
    """A window in so many parts of about equal length, newest first; fewer where it has fewer seconds."""
    count = max(1, min(count, window.seconds))
    edges = [window.start + window.seconds * part // count for part in range(count + 1)]
    return [Window(start, end) for start, end in pairwise(edges)][::-1]
