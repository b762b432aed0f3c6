"""Pages: three families of cursors, and the Link header that carries them.

Every paginated answer has both links, also the last page, and tells by `results` whether a link leads
anywhere:

    <URL?&cursor=100:-1:1>; rel="previous"; results="false"; cursor="100:-1:1",
    <URL?&cursor=100:1:0>; rel="next"; results="true"; cursor="100:1:0"
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from .errors import bad_request, internal_error
from .params import Params

MAX_PAGE = 100

Row = TypeVar("Row")


class Cursor(NamedTuple):
    """A place in a listing. What `value` and `offset` mean is up to the listing."""

    value: int = 0
    offset: int = 0
    is_prev: bool = False

    def __str__(self) -> str:
        """The text clients get; to them it is opaque."""
        return f"{self.value}:{self.offset}:{int(self.is_prev)}"


class Step(NamedTuple):
    """A cursor to hand out, and whether there are rows behind it."""

    cursor: Cursor
    results: bool


@dataclass(slots=True)
class Page(Generic[Row]):
    """One page of a listing."""

    rows: Sequence[Row]
    previous: Step
    next: Step
    hits: int | None = None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What the client asked for: how many rows, and from where."""

    limit: int
    cursor: Cursor | None

    @classmethod
    def read(cls, params: Params, *, size: int = MAX_PAGE, old: bool = False) -> "PageRequest":
        """Read `per_page` and `cursor`; what is out of range is a 400, on old servers a 500."""
        limit = size
        if (text := params.get("per_page")) is not None:
            limit = min(size, _number(text, minimum=0 if old else 1, old=old))
        return cls(limit, read_cursor(params, old=old))


def read_cursor(params: Params, *, old: bool = False) -> Cursor | None:
    """The cursor of a request, if it has one."""
    text = params.get("cursor")
    if not text:
        return None
    bits = text.split(":")
    try:
        value, offset, is_prev = int(bits[0]), int(bits[1]), bool(int(bits[2]))
    except (ValueError, IndexError):
        raise _invalid("Invalid cursor parameter.", old=old) from None
    if len(bits) != 3:
        raise _invalid("Invalid cursor parameter.", old=old)
    return Cursor(value, offset, is_prev)


def _number(text: str, *, minimum: int, old: bool) -> int:
    try:
        number = int(text)
    except ValueError:
        raise _invalid("Invalid per_page parameter.", old=old) from None
    if not minimum <= number <= MAX_PAGE:
        raise _invalid(f"Invalid per_page value. Must be between 1 and {MAX_PAGE}.", old=old)
    return number


def _invalid(detail: str, *, old: bool) -> Exception:
    return internal_error() if old else bad_request(detail)


def offset_page(rows: Sequence[Row], request: PageRequest) -> Page[Row]:
    """A page by SQL offset: the cursor is `page size : page number : 0`."""
    cursor = request.cursor or Cursor()
    number, size = cursor.offset, cursor.value or request.limit
    start = number * size
    if start < 0:
        raise bad_request("Pagination offset cannot be negative")
    return Page(
        rows[start : start + min(size, request.limit)],
        Step(Cursor(request.limit, number - 1, is_prev=True), number > 0),
        Step(Cursor(request.limit, number + 1), len(rows) > start + request.limit),
    )


def row_page(fetch: Callable[[int, int], Sequence[Row]], request: PageRequest) -> Page[Row]:
    """A page of events: the cursor is `0 : absolute row : 0`.

    Nothing pins the end, so newer events push rows to the next page and they come twice.

    Args:
        fetch: Gives up to so many rows from an absolute row on: `fetch(offset, count)`.
        request: The page asked for.
    """
    offset, limit = request.cursor.offset if request.cursor else 0, request.limit
    if offset < 0:
        raise bad_request("Pagination offset cannot be negative")
    rows = fetch(offset, limit + 1)
    return Page(
        rows[:limit],
        Step(Cursor(0, max(0, offset - limit), is_prev=True), offset > 0),
        Step(Cursor(0, offset + limit), len(rows) > limit),
    )


def keyset_page(rows: Sequence[Row], key: Callable[[Row], int], request: PageRequest) -> Page[Row]:
    """A page of a list newest first: the cursor is `key : rows of that key already given : 0`."""
    cursor, limit = request.cursor or Cursor(), request.limit
    keys = [-key(row) for row in rows]
    start = (bisect_left(keys, -cursor.value) if cursor.value else 0) + cursor.offset
    if limit == 0:
        # Old servers: per_page=0 gives an empty page that says there is more, for ever.
        return Page(rows[:0], Step(cursor._replace(is_prev=True), results=False), Step(cursor, results=True))
    return _by_score(rows, keys, start, limit, cursor)


def sequence_page(rows: Sequence[Row], scores: Sequence[int], request: PageRequest) -> Page[Row]:
    """A page of issues: the cursor is `score of the next row : how many of that score before it : 0`.

    The list is made anew for each page: a row whose score rises above the cursor is skipped.
    """
    cursor, limit = request.cursor or Cursor(), request.limit
    falling = [-score for score in scores]
    if cursor.value:
        position = bisect_left(falling, -cursor.value) + cursor.offset
    else:
        position = (len(falling) if cursor.is_prev else 0) + cursor.offset
    start = max(position - limit, 0) if cursor.is_prev else max(position, 0)
    return _by_score(rows, falling, start, limit, cursor)


def _by_score(rows: Sequence[Row], falling: list[int], start: int, limit: int, cursor: Cursor) -> Page[Row]:
    """The rows from `start` on; `falling` holds the scores with the sign turned, so that they rise."""
    if not rows:
        here = Cursor(cursor.value, cursor.offset)
        return Page([], Step(here._replace(is_prev=True), results=False), Step(here, results=False))
    last = len(rows) - 1
    start = min(start, len(rows))
    stop = min(start + limit, len(rows))
    before, after = falling[min(start, last)], falling[min(stop, last)]
    return Page(
        rows[start:stop],
        Step(Cursor(-before, start - bisect_left(falling, before, hi=start), is_prev=True), start > 0),
        Step(Cursor(-after, stop - bisect_left(falling, after, hi=stop)), stop < len(rows)),
    )


def link_header(page: Page[Row], url: str, query: str) -> str:
    """The Link header of a page; the URL keeps every parameter but the cursor."""
    return ", ".join(
        f'<{url}?{query}&cursor={step.cursor}>; rel="{name}"; '
        f'results="{"true" if step.results else "false"}"; cursor="{step.cursor}"'
        for name, step in (("previous", page.previous), ("next", page.next))
    )
