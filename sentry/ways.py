"""Which of Sentry's listings brings a project's events soonest: its own pages, or those of its issues.

On sentry.io a project's pages are allowed once a second, those of issues fifteen times; but the page of an issue
that has two events brings two, where a page of the project brings ten. Without limits the project's pages win, as
several windows are read at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from . import errors
from .client import Row
from .counts import Counted, Hours
from .event_scans import event_scan, issue_scan
from .fanout import Ended, streamed
from .issues import issues_with_counts
from .log import logger
from .run import Project, Run
from .scans import Scan
from .settings import FULL_PAGE_SIZE, LONG_SLICE_PAGES, PAGE_SIZE, SLICE_PAGES
from .windows import HOUR, Window


@dataclass(frozen=True)
class Part:
    """A window of a listing, small enough to be read page by page."""

    scan: Scan
    window: Window


@dataclass(frozen=True)
class Way:
    """A way to a project's events.

    Attributes:
        parts: What is read, one part beside the other where ``in_parallel``.
        requests: How many requests that takes.
        seconds: How long, by what is known of limits and latency.
        in_parallel: Whether several parts may be read at a time.
    """

    parts: list[Part]
    requests: int
    seconds: float
    in_parallel: bool = True

    def pages(self, run: Run) -> Iterator[list[Row]]:
        """The rows, page by page, unchecked, in no certain order; of issues that are gone by now there are none.

        Raises:
            WindowsIgnoredError: The server answers for all times.
            SentryRequestError: A page could not be had.
        """
        if not self.in_parallel:
            for part in self.parts:
                yield from part.scan.walk(part.window)
            return
        for _, page in streamed(run, lambda part: part.scan.walk(part.window), self.parts):
            if not isinstance(page, Ended):
                yield page
            elif page.error is not None and not isinstance(page.error, errors.SentryNotFoundError):
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
    window, events = counted.window, counted.events
    scan, page = event_scan(run, project, full=full), FULL_PAGE_SIZE if full else PAGE_SIZE
    governor, requests = run.client.governor, -(-events // page)
    if not governor.has_met(scan.path):
        next(scan.walk(window), None)  # tells what limits there are
    seconds = governor.seconds_for(scan.path, requests)
    if seconds > governor.seconds_for(
        issue_scan(run, "0", full=full).path, requests
    ):  # were all its pages full
        by_issues = _by_issues(run, project, window, page, full=full)
        if by_issues is not None:
            logger.info(
                "%s: %s events by pages of the project: %s requests, %.0f s; by pages of issues: %s, %.0f s.",
                *(project.slug, events, requests, seconds, by_issues.requests, by_issues.seconds),
            )
            if by_issues.seconds < seconds:
                return by_issues
    in_parallel = governor.parallel_for(scan.path) > 1
    most = (SLICE_PAGES if in_parallel else LONG_SLICE_PAGES) * page
    return Way(
        [Part(scan, part) for part in slices(window, counted.hours, most)], requests, seconds, in_parallel
    )


def _by_issues(run: Run, project: Project, window: Window, page: int, *, full: bool) -> Way | None:
    """By the pages of the issues with an event in the window, those with most events first."""
    try:
        found = sorted(issues_with_counts(run, project, window), key=lambda issue: issue.events, reverse=True)
    except (errors.SentryBadRequestError, errors.SentryPermissionError) as refusal:
        logger.info("%s: not reading events by issues: %s", project.slug, refusal)
        return None
    parts, requests = [], 0
    for issue in found:
        scan, count = issue_scan(run, issue.id, full=full), -(-issue.events // (SLICE_PAGES * page))
        parts += [Part(scan, part) for part in even_parts(window, count)]
        requests += -(-issue.events // page)
    return Way(
        parts, requests, run.client.governor.seconds_for(issue_scan(run, "0", full=full).path, requests)
    )


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
