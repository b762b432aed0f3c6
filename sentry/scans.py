"""How a newest-first listing is read so that rows which move between two pages are neither lost nor doubled.

Sentry's cursors of such listings are offsets: a row that is added above the position makes one come twice, a
row that is deleted above it makes one vanish. So a scan does not walk along cursors where it can help it:
after a page it asks for a new window that ends with the last second it saw. Each request is then the first
page of its own window, and nothing that happens above can shift it. Cursors are left for what a window cannot
split well, seconds that hold much of a page, for listings in another order, and for old servers that ignore
``start`` and ``end``; what came that way is checked by a second, cheaper look, and read again where that shows
more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from . import errors
from .client import Page, Parameters, Row, SentryClient
from .log import logger
from .rows import unseen
from .settings import MAX_PASSES, PAGES_PER_CHECK, SEAM_SHARE, SHORTEST_REACH_SECONDS
from .windows import Window, even_parts, floor_seconds, union

Seen = dict[str, int | None]
"""Keys that were given, with their second."""


Item = TypeVar("Item")


class WindowsIgnoredError(Exception):
    """The server answered for all times where it was asked for a window."""


@dataclass(frozen=True)
class Scan:
    """A newest-first listing and what is needed to read windows of it.

    Attributes:
        client: Whom to ask.
        path: The listing's path below ``/api/0/``.
        scope: The scope that reading it takes.
        key_of: A row's key, unique in the listing.
        time_of: The moment by which the listing is ordered and windowed; None where a row has none.
        usable: Gives those of some rows that have a key.
        other_time_of: What stands in for it where the server does not apply the window.
        params: Query parameters besides the window.
        cheap_params: The same for a look that only tells which rows there are.
        ordered: Whether it is surely ordered by that moment: only then can a window be narrowed by it.
        rows_at: The field with the rows, where the answer is an object.
        when_ignored: Called where the server turns out to ignore windows.
    """

    client: SentryClient
    path: str
    scope: str
    key_of: Callable[[Row], str]
    time_of: Callable[[Row], datetime | None]
    usable: Callable[[list[Row]], list[Row]] = lambda rows: rows
    other_time_of: Callable[[Row], datetime | None] = lambda _: None
    params: Parameters = field(default_factory=lambda: MappingProxyType({}))
    cheap_params: Parameters = field(default_factory=lambda: MappingProxyType({}))
    ordered: bool = True
    rows_at: str | None = None
    when_ignored: Callable[[], None] = lambda: None

    def read(self, window: Window) -> Iterator[list[Row]]:
        """All rows of a window, each once, newest first, page by page.

        Raises:
            SentryRequestError: A page could not be had.
            SentryPaginationError: The listing kept changing, or its cursors run in a circle.
        """
        seen: Seen = {}
        end, reach = window.end, window.seconds
        while end > window.start:
            seen = {key: second for key, second in seen.items() if second is None or second < end}
            part = Window(max(window.start, end - reach), end)
            try:
                rest = yield from self._read_down(part, seen)
            except errors.SentryRequestError as refusal:
                reach = self._smaller(part, refusal)
            else:
                end = part.start if rest is None else rest
                reach = min(2 * reach, window.seconds)  # a refusal by chance must not make all windows small

    def walk(self, window: Window) -> Iterator[list[Row]]:
        """All pages of a window along the server's cursors, unchecked: for who knows which rows have to come.

        Raises:
            WindowsIgnoredError: This server does not know windows.
            SentryRequestError: A page could not be had.
        """
        try:
            for page in self._pages(window, self.params):
                if self._ignores(window, page):
                    raise WindowsIgnoredError
                yield page.rows
        except errors.SentryRequestError as refusal:
            middle = window.end - self._smaller(window, refusal)
            yield from self.walk(Window(middle, window.end))
            yield from self.walk(Window(window.start, middle))

    def fresh(self, rows: list[Row], window: Window, seen: Seen, *, whole: bool = False) -> list[Row]:
        """The rows inside the window that were not given before; they count as given from here on."""
        fresh: dict[str, Row] = {}
        for row in rows:
            key, second = self.key_of(row), self._second_of(row)
            if second is None and whole:
                second = _floor(self.other_time_of(row))
            if key not in seen and (second is None or window.start <= second < window.end):
                fresh[key] = row
                seen[key] = second
        return list(fresh.values())

    def settle(self, window: Window, seen: Seen) -> Iterator[list[Row]]:
        """What of a window is not among the rows that were given: a cheap look finds it, and only that is read.

        Rows that come after that look are the next run's.

        Raises:
            SentryRequestError: A page could not be had.
            SentryPaginationError: The listing kept changing.
        """
        owed = self._owed(window, seen)
        for _ in range(MAX_PASSES):
            for part in union(owed.values()):
                for rows in self.read(part):
                    yield self.fresh(rows, part, seen)
            owed = {key: part for key, part in owed.items() if key not in seen}
            if not owed:
                return
        if owed.keys() & self._owed(window, seen).keys():
            raise self._moving(window)

    def _owed(self, window: Window, seen: Seen) -> dict[str, Window]:
        """The rows that a cheap look shows and that were not given, each with a window around it and the next."""
        owed: dict[str, Window] = {}
        run: dict[str, int] = {}
        for rows in replace(self, params=self.cheap_params or self.params).read(window):
            for row in rows:
                key, second = self.key_of(row), self._second_of(row)
                if second is not None and key not in seen:
                    run[key] = second
                elif run:
                    owed |= _spanned(run)
                    run = {}
        return owed | _spanned(run)

    def _smaller(self, window: Window, refusal: errors.SentryRequestError) -> int:
        """Half of a window that was too much for the server, in seconds; any other refusal is raised."""
        if not (refusal.is_too_much and is_divisible(window)):
            raise refusal
        logger.info("Reading %s in smaller windows: %s", self.path, refusal)
        return max(SHORTEST_REACH_SECONDS, window.seconds // 2)

    def _read_down(self, window: Window, seen: Seen) -> Generator[list[Row], None, int | None]:
        """Read from the end of a window down to where a smaller window can go on.

        Returns:
            The end of that smaller window; None if nothing is left.
        """
        oldest: int | None = None
        pages = 0
        for page in self._pages(window, self.params):
            if self._ignores(window, page):
                logger.info("This server ignores start and end on %s; reading all of it.", self.path)
                self.when_ignored()
                yield from self._read_whole(window, seen)
                return None
            pages += 1
            yield self.fresh(page.rows, window, seen)
            oldest = min(self.seconds(page.rows), default=oldest)
            if oldest is not None and self._narrows(page, oldest, window.end, pages):
                if pages > 1:
                    yield from self._settled(Window(oldest + 1, window.end), seen)  # oldest is read again
                return oldest + 1
        if pages > 1:
            yield from self._settled(window, seen)
        return None

    def _narrows(self, page: Page, oldest: int, end: int, pages: int) -> bool:
        """Whether the next request should be a new window rather than this one's next page.

        The last second has to be read again then, so that is worth while only if it holds little of the page.
        """
        if not (self.ordered and page.has_next and oldest + 1 < end):
            return False
        again = sum(self._second_of(row) in (oldest, None) for row in page.rows)
        return again * SEAM_SHARE <= len(page.rows) or pages >= PAGES_PER_CHECK

    def _settled(self, window: Window, seen: Seen, *, whole: bool = False) -> Iterator[list[Row]]:
        """What a walk along cursors over this window has missed because rows moved meanwhile.

        What one look shows has to be brought; rows that come after that look are the next run's.
        """
        owed = self._keys(window, whole=whole) - seen.keys()
        for _ in range(MAX_PASSES):
            if not owed:
                return
            for page in self._walk(window, self.params, whole=whole):
                yield self.fresh(page.rows, window, seen, whole=whole)
            owed -= seen.keys()
        if owed & self._keys(window, whole=whole):
            raise self._moving(window)

    def _moving(self, window: Window) -> errors.SentryPaginationError:
        return errors.SentryPaginationError(
            f"The rows of {self.path} kept moving while they were read ({window}): {MAX_PASSES} readings "
            "did not agree. Run again at a quieter time.",
            path=self.path,
        )

    def _read_whole(self, window: Window, seen: Seen) -> Iterator[list[Row]]:
        """The window's rows from a server that ignores windows: from the newest row down to its start."""
        pages = 0
        for page in self._walk(window, self.params, whole=True):
            pages += 1
            yield self.fresh(page.rows, window, seen, whole=True)
        if pages > 1:
            yield from self._settled(window, seen, whole=True)

    def _keys(self, window: Window, *, whole: bool) -> set[str]:
        """Which rows a cheap look shows."""
        return {
            self.key_of(row)
            for page in self._walk(window, self.cheap_params or self.params, whole=whole)
            for row in page.rows
            if (second := self._second_of(row)) is not None and window.start <= second < window.end
        }

    def _walk(self, window: Window, params: Parameters, *, whole: bool) -> Iterator[Page]:
        if not whole:
            yield from self._pages(window, params)
            return
        for page in self.client.pages(self.path, params, scope=self.scope):
            yield replace(page, rows=self.usable(page.rows))
            if self.ordered and max(self.seconds(page.rows), default=window.start) < window.start:
                return

    def _pages(self, window: Window, params: Parameters) -> Iterator[Page]:
        for page in self.client.pages(
            self.path,
            {**params, **window.parameters()},
            scope=self.scope,
            rows_at=self.rows_at,
            divisible=is_divisible(window),
        ):
            yield replace(page, rows=self.usable(page.rows))

    def _ignores(self, window: Window, page: Page) -> bool:
        """Whether rows lie outside the window: then this server does not know ``start`` and ``end``.

        Some listings count the end as inside.
        """
        return any(not window.start <= second <= window.end for second in self.seconds(page.rows))

    def seconds(self, rows: list[Row]) -> list[int]:
        """The seconds of those rows that have one."""
        return [second for second in map(self._second_of, rows) if second is not None]

    def _second_of(self, row: Row) -> int | None:
        return _floor(self.time_of(row))


def _spanned(run: dict[str, int]) -> dict[str, Window]:
    return dict.fromkeys(run, Window(min(run.values()), max(run.values()) + 1)) if run else {}


def is_divisible(window: Window) -> bool:
    """Whether a smaller window may be asked for where this one is too much for the server."""
    return window.seconds > SHORTEST_REACH_SECONDS


def in_smaller_windows(window: Window, read: Callable[[Window], Iterator[Item]]) -> Iterator[Item]:
    """What ``read`` gives for a window; where that is too much for the server, for its halves, the newer one first.

    Args:
        window: The window.
        read: Reads a window; it may have given some when it fails, and gives those again then.

    Raises:
        SentryRequestError: It failed otherwise, or for a window that is short enough.
    """
    try:
        yield from read(window)
    except errors.SentryRequestError as refusal:
        if not (refusal.is_too_much and is_divisible(window)):
            raise
        logger.info("Asking in smaller windows: %s", refusal)
        for half in even_parts(window, 2):
            yield from in_smaller_windows(half, read)


def until_settled(
    pages: Callable[[], Iterator[Page]], seen: set[str], usable: Callable[[list[Row], str], list[Row]]
) -> Iterator[list[Row]]:
    """All pages, again while that shows a row that had moved from a page to come to one that was read.

    An issue moves so when the server forgets its first event in the window, or when others of the same second
    go; any row of a listing by offset does when one above it goes.

    Args:
        pages: Reads all of them.
        seen: The ids that were given before; those given here are added.
        usable: Gives those of some rows that have a field.
    """
    for _ in range(MAX_PASSES):
        count = fresh = 0
        for page in pages():
            rows = unseen(usable(page.rows, "id"), "id", seen)
            count, fresh = count + 1, fresh + len(rows)
            yield rows
        if count <= 1 or not fresh:
            return
    logger.warning("New rows came while a listing was read %s times; the next run reads on.", MAX_PASSES)


def _floor(time: datetime | None) -> int | None:
    return None if time is None else floor_seconds(time)
