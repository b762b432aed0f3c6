"""A request on its way to an endpoint, and the tools endpoints share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

import orjson

from .access import Access, chosen_projects
from .answers import Answer, json_answer
from .dates import Window
from .errors import ApiError, not_found, nothing_here, query_timeout
from .lists import bounds
from .model import Project
from .paging import MAX_PAGE, Page, PageRequest, Step, link_header, offset_page, row_page
from .params import Params
from .switches import Switches
from .world import World

Item = TypeVar("Item")

PLAIN = "/@:+$&=,;!()*'~"  # What the path of a link shows as it is.


@dataclass(frozen=True, slots=True)
class Site:
    """Where the server is found."""

    url: str
    region_url: str

    @property
    def origin(self) -> str:
        """Scheme and host, without the path prefix that paths have already."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated request."""

    world: World
    switches: Switches
    site: Site
    access: Access
    params: Params
    names: Mapping[str, str]
    path: str
    body: bytes = b""
    content_type: str = ""

    def organization(self) -> None:
        """Check the organization in the path, by slug or id."""
        known = self.world.organization
        if self.names["organization"] not in {known.slug, known.id}:
            raise not_found()

    def project(self) -> Project:
        """The project in the path, by slug or id.

        Raises:
            ApiError: 404 when there is none; 302 when it has another slug now.
        """
        name = self.names["project"]
        try:
            return self.world.project(name)
        except KeyError:
            moved = self.world.moved_slugs.get(name)
            if moved is None or not moved.active:
                raise not_found() from None
            raise self._moved(name, moved.slug) from None

    def _moved(self, old: str, new: str) -> ApiError:
        query = self.params.without("")
        url = self.path.replace(f"/{old}/", f"/{new}/", 1) + (f"?{query}" if query else "")
        detail = {
            "code": "resource-moved",
            "message": "Resource has been moved",
            "extra": {"url": url, "slug": new},
        }
        return ApiError(json_answer({"slug": new, "detail": detail}, status=302, headers={"Location": url}))

    def projects(self) -> list[Project]:
        """The projects an organization endpoint works on."""
        return chosen_projects(self.world, self.access, self.params, old=self.switches.old_server)

    def environments(self) -> frozenset[str]:
        """The environments asked for.

        Raises:
            ApiError: 404, when one of them is not known.
        """
        names = frozenset(self.params.all("environment"))
        if names - self.world.environments.keys():
            raise not_found()
        return names

    def scan(self, projects: Sequence[Project], window: Window | None) -> None:
        """Look through the events of projects in a window, as Snuba does for each page.

        Raises:
            ApiError: 400, when there are more than it can look through in time.
        """
        most = self.switches.most_scanned
        if most is None:
            return
        places = [bounds(self.world, project, window) for project in projects]
        if sum(high - low for low, high in places) > most:
            raise query_timeout()

    def page(
        self, page: Page[Item | None], shape: Callable[[Item], object], headers: dict[str, str] | None = None
    ) -> Answer:
        """A paginated answer: the rows in their API shape, and the Link header."""
        if self.switches.repeat_cursor and self.params.get("cursor") and page.next.results:
            value, offset, is_prev = (int(bit) for bit in (self.params.get("cursor") or "").split(":"))
            cursor = page.next.cursor._replace(value=value, offset=offset, is_prev=bool(is_prev))
            page.next = Step(cursor, results=True)
        query = self.params.without("cursor")
        url = f"{self.switches.link_host or self.site.origin}{quote(self.path, safe=PLAIN)}"
        links = {"Link": link_header(page, url, query)}
        body = orjson.dumps([shape(row) for row in page.rows if row is not None])
        return Answer(body, headers={**links, **(headers or {})})

    def page_request(self, size: int = MAX_PAGE) -> PageRequest:
        """How many rows the client wants, and from where."""
        return PageRequest.read(self.params, size=size, old=self.switches.old_server)

    def gapped(self, rows: Sequence[Item], limit: int) -> Sequence[Item | None]:
        """A listing, with rows filtered away in its middle when the switch says so."""
        return with_gap(rows, limit) if self.switches.empty_pages else rows

    def listing(
        self, rows: Sequence[Item], shape: Callable[[Item], object], headers: dict[str, str] | None = None
    ) -> Answer:
        """A listing paged by SQL offset, as most are."""
        request = self.page_request()
        return self.page(offset_page(self.gapped(rows, request.limit), request), shape, headers)

    def by_row(
        self, rows: Sequence[Item], shape: Callable[[Item], object], *, size: int = MAX_PAGE
    ) -> Answer:
        """A listing paged by the absolute row."""
        request = self.page_request(size)
        listed = self.gapped(rows, request.limit)
        return self.page(row_page(lambda offset, count: listed[offset : offset + count], request), shape)

    def not_on_old_servers(self) -> None:
        """Refuse an endpoint that old servers do not have."""
        if self.switches.old_server:
            raise nothing_here()


def with_gap(rows: Sequence[Item], limit: int) -> Sequence[Item | None]:
    """A listing from which a filter takes rows after the page is cut.

    The first page comes out short, the second empty with more behind it, as on lists that are filtered
    late or hold rows that are resolved by themselves.
    """
    if not rows:
        return rows
    half = min(limit, (len(rows) + 1) // 2)
    return [*rows[:half], *[None] * (2 * limit - half), *rows[half:]]
