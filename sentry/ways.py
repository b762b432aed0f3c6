"""Which of Sentry's lists brings a project's events soonest: its own pages, or those of its issues.

On sentry.io a project's pages are allowed once a second, those of issues fifteen times; but the page of an issue
that has two events brings two, where a page of the project brings ten. Without limits the project's pages win, as
several windows are read at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from . import errors
from .client import Row
from .endpoints import EVENTS
from .event_ids import Ids
from .event_scans import event_path, event_scan, issue_scan, single_event
from .fanout import Ended, streamed_in_batches
from .log import logger
from .run import Project, Run
from .settings import FULL_PAGE_SIZE, LONG_SLICE_PAGES, PAGE_SIZE, SLICE_PAGES
from .windows import Window


@dataclass(frozen=True)
class Part:
    """Something to be read page by page, beside others.

    Attributes:
        pages: Reads it.
        may_be_gone: Whether it may have been deleted since it was found.
    """

    pages: Callable[[], Iterator[list[Row]]]
    may_be_gone: bool = False

    def bears(self, error: Exception) -> bool:
        """Whether an error at its end is no failure."""
        return self.may_be_gone and isinstance(error, errors.SentryNotFoundError)


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
        """The rows, one or several pages at a time, unchecked, in no certain order.

        Raises:
            WindowsIgnoredError: The server answers for all times.
            SentryRequestError: A page could not be had.
        """
        if not self.in_parallel:
            for part in self.parts:
                yield from part.pages()
            return
        for batch in streamed_in_batches(run, lambda part: part.pages(), self.parts):
            if rows := [row for _, page in batch if not isinstance(page, Ended) for row in page]:
                yield rows
            for part, page in batch:
                if isinstance(page, Ended) and page.error is not None and not part.bears(page.error):
                    raise page.error


def best_way(run: Run, project: Project, ids: Ids, window: Window, *, full: bool) -> Way:
    """The way that brings the events of a window soonest.

    Args:
        run: The extraction.
        project: Whose events.
        ids: Which they are.
        window: When they happened.
        full: With their bodies.

    Raises:
        WindowsIgnoredError: The server answers for all times.
        SentryRequestError: A page could not be had.
    """
    scan, page = event_scan(run, project, full=full), FULL_PAGE_SIZE if full else PAGE_SIZE
    governor = run.client.governor
    if not governor.has_met(scan.path):
        next(scan.walk(window), None)  # tells what limits there are
    in_parallel = governor.parallel_for(scan.path) > 1
    most = (SLICE_PAGES if in_parallel else LONG_SLICE_PAGES) * page
    parts = [
        Part(partial(scan.walk, part))
        for part in _cut(window, [known.second for known in ids.values()], most)
    ]
    requests = -(-len(ids) // page)
    by_project = Way(parts, requests, governor.seconds_for(scan.path, requests), in_parallel)
    by_issues = _by_issues(run, project, ids, window, full=full)
    logger.info(
        "%s: %s events by pages of the project: %s requests, %.0f s; by pages of issues: %s, %.0f s.",
        *(project.slug, len(ids), requests, by_project.seconds, by_issues.requests, by_issues.seconds),
    )
    return by_issues if by_issues.seconds < by_project.seconds else by_project


def alone(run: Run, project: Project, event_id: str) -> Part:
    """An event that no list shows, to be read alone: with its body, as lists show it."""

    def pages() -> Iterator[list[Row]]:
        try:
            yield run.rejects.with_key(EVENTS, [single_event(run, project, event_id)], "eventID")
        except errors.SentryServerError as failure:  # a list may still show it
            logger.info("Not read alone: %s", failure)

    return Part(pages, may_be_gone=True)


def _by_issues(run: Run, project: Project, ids: Ids, window: Window, *, full: bool) -> Way:
    """By the pages of the issues, those with most events first, and one by one what has no issue."""
    page, governor = FULL_PAGE_SIZE if full else PAGE_SIZE, run.client.governor
    seconds_of: dict[str, list[int]] = {}
    for known in ids.values():
        if known.issue is not None:
            seconds_of.setdefault(known.issue, []).append(known.second)
    parts = [
        Part(partial(issue_scan(run, issue, full=full).walk, part), may_be_gone=True)
        for issue, seconds in sorted(seconds_of.items(), key=lambda item: len(item[1]), reverse=True)
        for part in _cut(window, seconds, SLICE_PAGES * page)
    ]
    requests = sum(-(-len(seconds) // page) for seconds in seconds_of.values())
    single = [event_id for event_id, known in ids.items() if known.issue is None]
    seconds = governor.seconds_for(issue_scan(run, "0", full=full).path, requests)
    if single and full:
        seconds = max(seconds, governor.seconds_for(event_path(run, project, single[0]), len(single)))
        parts = _mixed(parts, [alone(run, project, event_id) for event_id in single])
    return Way(parts, requests + len(single), seconds)


def _cut(window: Window, seconds: list[int], most: int) -> list[Window]:
    """A window cut so that each part holds about so many of these seconds, newest first; one second stays whole."""
    parts, end = [], window.end
    for edge in sorted(seconds, reverse=True)[most - 1 :: most]:
        if window.start < edge < end:
            parts.append(Window(edge, end))
            end = edge
    return [*parts, Window(window.start, end)]


def _mixed(many: list[Part], few: list[Part]) -> list[Part]:
    """Both, the few spread among the many: they have a limit of their own, which is to be used all along."""
    places = [
        (index / (len(parts) + 1), part) for parts in (many, few) for index, part in enumerate(parts, 1)
    ]
    return [part for _, part in sorted(places, key=lambda place: place[0])]
