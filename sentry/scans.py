"""How a newest-first listing is read so that rows which move between two pages are neither lost nor doubled.

Sentry's cursors of such listings are offsets: a row that is added above the position makes one come twice, a
row that is deleted above it makes one vanish. So a scan does not walk along cursors where it can help it:
after a page it asks for a new window that ends with the last second it saw. Each request is then the first
page of its own window, and nothing that happens above can shift it. Cursors are left for what a window cannot
split well, seconds that hold much of a page, and for old servers that ignore ``start`` and ``end``; what came
that way is checked by a second, cheaper look, and read again where that shows more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from . import errors
from .client import Page, Parameters, Row, SentryClient
from .session import logger
from .settings import MAX_PASSES, PAGES_PER_CHECK, SEAM_SHARE
from .windows import Window, floor_seconds


@dataclass(frozen=True)
class Scan:
    """A newest-first listing and what is needed to read windows of it.

    Attributes:
        client: Whom to ask.
        path: The listing's path below ``/api/0/``.
        scope: The scope that reading it takes.
        key_of: A row's key, unique in the listing.
        time_of: The moment by which the listing is ordered and windowed; None where a row has none.
        params: Query parameters besides the window.
        cheap_params: The same for a pass that only looks which rows there are.
        ordered: Whether an old server, too, orders it by that moment.
    """

    client: SentryClient
    path: str
    scope: str
    key_of: Callable[[Row], str]
    time_of: Callable[[Row], datetime | None]
    params: Parameters = field(default_factory=lambda: MappingProxyType({}))
    cheap_params: Parameters = field(default_factory=lambda: MappingProxyType({}))
    ordered: bool = True

    def read(self, window: Window) -> Iterator[list[Row]]:
        """All rows of a window, each once, newest first, page by page.

        Raises:
            SentryRequestError: A page could not be had.
            SentryPaginationError: The listing kept changing, or its cursors run in a circle.
        """
        end, seen = window.end, set[str]()
        while end > window.start:
            rest = Window(window.start, end)
            pages = 0
            oldest: int | None = None
            for page in self._pages(rest, self.params):
                if self._ignores(rest, page):
                    logger.info("This server ignores start and end on %s; reading all of it.", self.path)
                    yield from self._read_whole(rest, seen)
                    return
                pages += 1
                yield self._fresh(page.rows, rest, seen)
                oldest = min(filter(None, map(self._second_of, page.rows)), default=oldest)
                if self._narrows(page, oldest, end, pages):
                    break
            else:
                oldest = None
            reached = window.start if oldest is None else oldest
            if pages > 1:
                yield from self._checked(Window(reached, end), seen)
            if oldest is None:
                return
            end = oldest + 1
            seen = {self.key_of(row) for row in page.rows if self._second_of(row) in (oldest, None)}

    def _narrows(self, page: Page, oldest: int | None, end: int, pages: int) -> bool:
        """Whether the next request should be a new window rather than this one's next page.

        The last second has to be read again then, so that is worth while only if it holds little of the page.
        """
        if not page.has_next or oldest is None or oldest + 1 >= end:
            return False
        again = sum(self._second_of(row) in (oldest, None) for row in page.rows)
        return again * SEAM_SHARE <= len(page.rows) or pages >= PAGES_PER_CHECK

    def _checked(self, window: Window, seen: set[str]) -> Iterator[list[Row]]:
        """What a walk along cursors over this window has missed because rows moved meanwhile."""
        for _ in range(MAX_PASSES):
            look = self._pages(window, self.cheap_params or self.params)
            if all(self.key_of(row) in seen for page in look for row in self._inside(page.rows, window)):
                return
            for page in self._pages(window, self.params):
                yield self._fresh(page.rows, window, seen)
        raise self._never_settled(window)

    def _read_whole(self, window: Window, seen: set[str]) -> Iterator[list[Row]]:
        """The window's rows from a server that ignores windows: from the newest row down to its start."""
        for _ in range(MAX_PASSES):
            pages = 0
            for page in self._down_to(window.start, self.params):
                pages += 1
                yield self._fresh(page.rows, window, seen)
            look = self._down_to(window.start, self.cheap_params or self.params) if pages > 1 else ()
            if all(self.key_of(row) in seen for page in look for row in self._inside(page.rows, window)):
                return
        raise self._never_settled(window)

    def _down_to(self, start: int, params: Parameters) -> Iterator[Page]:
        for page in self.client.pages(self.path, params, scope=self.scope):
            yield page
            newest = max(filter(None, map(self._second_of, page.rows)), default=start)
            if self.ordered and newest < start:
                return

    def _pages(self, window: Window, params: Parameters) -> Iterator[Page]:
        return self.client.pages(self.path, {**params, **window.parameters()}, scope=self.scope)

    def _ignores(self, window: Window, page: Page) -> bool:
        """Whether rows lie outside the window: then this server does not know ``start`` and ``end``.

        Some listings count the end as inside.
        """
        seconds = filter(None, map(self._second_of, page.rows))
        return any(not window.start <= second <= window.end for second in seconds)

    def _fresh(self, rows: list[Row], window: Window, seen: set[str]) -> list[Row]:
        """The rows inside the window that were not given before; they count as given from here on."""
        fresh = {key: row for row in self._inside(rows, window) if (key := self.key_of(row)) not in seen}
        seen.update(fresh)
        return list(fresh.values())

    def _inside(self, rows: list[Row], window: Window) -> list[Row]:
        seconds = map(self._second_of, rows)
        return [
            row
            for row, second in zip(rows, seconds, strict=True)
            if second is None or window.start <= second < window.end
        ]

    def _second_of(self, row: Row) -> int | None:
        time = self.time_of(row)
        return None if time is None else floor_seconds(time)

    def _never_settled(self, window: Window) -> errors.SentryPaginationError:
        return errors.SentryPaginationError(
            f"The rows of {self.path} kept moving while they were read ({window}): {MAX_PASSES} passes did not "
            "agree. Run again at a quieter time.",
            path=self.path,
        )
