"""How a listing of Sentry is read: the client, its pages, the cursors between them.

See https://docs.sentry.io/api/pagination/.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast
from urllib.parse import parse_qsl, urlsplit

import requests
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.common.jsonpath import TJsonPath, compile_path
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import HeaderLinkPaginator

from . import errors
from .config import Connection, server_identity
from .connections import BoundedAdapter
from .limits import governor_of
from .refusals import path_of
from .session import SentrySession
from .settings import API_PREFIX, MOST_PAGES_IN_VAIN, PAGE_SIZE
from .storable import marked

Row = dict[str, Any]
Parameters = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Page:
    """One answer of a listing.

    Attributes:
        rows: The rows as the server gave them; an empty page may stand in the middle of a listing.
        has_next: Whether the server says that more follows.
        body: The answer that the rows were in.
    """

    rows: list[Row]
    has_next: bool
    body: Any = None


class SentryPaginator(HeaderLinkPaginator):
    """Follows Sentry's ``Link`` header, which differs from the usual one.

    Both relations are always there, also on the last page; only ``results`` tells whether more follows::

        Link: <https://sentry.io/...?cursor=0:0:1>; rel="previous"; results="false"; cursor="0:0:1",
              <https://sentry.io/...?cursor=0:100:0>; rel="next"; results="true"; cursor="0:100:0"

    The address in it may name another host than the one we asked (a gateway, a proxy), so just the opaque
    cursor is taken and our own parameters are sent again. A cursor that was given before means that the
    listing would never end: an error, because stopping there would lose rows in silence.
    """

    def __init__(self) -> None:
        super().__init__()
        self._cursors: set[str] = set()
        self._in_vain = 0
        self._last = b""

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        """Take the next cursor from the answer; without a ``Link`` header the answer was all."""
        is_news = bool(data) and response.content != self._last
        self._in_vain, self._last = 0 if is_news else self._in_vain + 1, response.content
        if self._in_vain > MOST_PAGES_IN_VAIN:
            raise errors.SentryPaginationError(
                f"Sentry gave {MOST_PAGES_IN_VAIN} pages without news while listing {path_of(response.url)}, and "
                "always a new cursor: its end cannot be reached. Run again; if it stays, the server (or a proxy "
                "before it) does not page correctly.",
                path=path_of(response.url),
            )
        link = response.links.get(self.links_next_key, {})
        cursor = link.get("cursor") or dict(parse_qsl(urlsplit(link.get("url", "")).query)).get("cursor")
        more = link.get("results") == "true"
        if more and (cursor is None or cursor in self._cursors):
            said = "no cursor" if cursor is None else f"the cursor {cursor} twice"
            raise errors.SentryPaginationError(
                f"Sentry gave {said} while listing {path_of(response.url)}: its end cannot be reached. Run "
                "again; if it stays, the server (or a proxy before it) does not page correctly.",
                path=path_of(response.url),
            )
        self._next_reference = cursor if more else None
        self._cursors.add(cursor or "")

    def update_request(self, request: requests.Request) -> None:
        """Send our own parameters again, with the new cursor."""
        if self._next_reference is not None:
            request.params = {**request.params, "cursor": self._next_reference}


class SentryClient:
    """Sentry's web API below one base URL, read with one token.

    Args:
        connection: Server and token.
        base_url: Another base URL than the connection's: that of the organization's region.

    Attributes:
        base_url: The base URL.
        governor: Decides when a request may be sent.
    """

    def __init__(self, connection: Connection, base_url: str | None = None) -> None:
        self.base_url = base_url or connection.base_url
        self._connection = connection
        self._runtime = resolve_configuration(RuntimeConfiguration())
        self._of_thread = threading.local()
        # connections are shared by all threads: each thread's session would open its own
        self._adapter = BoundedAdapter(pool_maxsize=connection.max_parallel, pool_block=True)
        self.governor = governor_of(
            server_identity(connection.base_url),
            connection.token,
            connection.max_parallel,
            connection.max_requests_per_second,
        )

    def back_off(self, attempt: int) -> float:
        """Seconds to wait before another try after a failure, longer with each; by dlt's settings."""
        longest = float(self._runtime.request_max_retry_delay)
        return min(longest, float(self._runtime.request_backoff_factor * 2.0**attempt))

    @property
    def _rest(self) -> RESTClient:
        """The REST client of this thread: a requests session is not made for several."""
        if not hasattr(self._of_thread, "rest"):
            session = SentrySession(self._runtime, self._connection, self.governor)
            session.mount(self.base_url, self._adapter)
            self._of_thread.rest = RESTClient(
                base_url=f"{self.base_url}{API_PREFIX}",
                headers={"Accept": "application/json"},
                auth=BearerTokenAuth(self._connection.token),
                session=session,
                data_selector=_selector("$"),
                config=self._runtime,
            )
        return cast(RESTClient, self._of_thread.rest)

    def get(  # noqa: PLR0913 - a request has as many parts
        self,
        path: str,
        params: Parameters | None = None,
        *,
        scope: str | None = None,
        expected: type[Any] = dict,
        retry: bool = True,
        divisible: bool = False,
    ) -> Any:
        """One answer, parsed.

        Args:
            path: Below ``/api/0/``, with its trailing slash.
            params: Query parameters.
            scope: The scope that reading it takes, for the message of a 403.
            expected: What it is, ``dict`` or ``list``.
            retry: Whether a failure that may pass is tried again.
            divisible: Whether the caller will ask for less where this turns out to be too much for the server.

        Raises:
            SentryRequestError: No usable answer.
        """
        return self.response(
            path, params, scope=scope, expected=expected, retry=retry, divisible=divisible
        ).json()

    def response(  # noqa: PLR0913 - as above
        self,
        path: str,
        params: Parameters | None = None,
        *,
        scope: str | None = None,
        expected: type[Any] = dict,
        retry: bool = True,
        divisible: bool = False,
    ) -> requests.Response:
        """As ``get``, with headers and status."""
        return self._rest.get(
            path, params=dict(params or {}), scope=scope, expected=expected, retry=retry, divisible=divisible
        )

    def send(  # noqa: PLR0913 - a request has as many parts
        self,
        method: Literal["PUT", "DELETE"],
        path: str,
        params: Parameters | None = None,
        *,
        json: Any = None,
        scope: str | None = None,
        repeatable: bool = True,
    ) -> requests.Response:
        """Change something; redirects are not followed, and the answer may have no body (202, 204).

        Args:
            method: How.
            path: Below ``/api/0/``, with its trailing slash.
            params: Query parameters.
            json: The body.
            scope: The scope that it takes, for the message of a 403.
            repeatable: Whether doing it twice is the same as doing it once. If not, it is sent again only after
                a 429; after any other failure the caller has to find out what became of it.

        Raises:
            SentryRequestError: It was refused, or what became of it is not known.
        """
        return self._rest.request(
            path,
            method=method,
            params=dict(params or {}),
            json=json,
            scope=scope,
            expected=dict,
            repeatable=repeatable,
        )

    def pages(  # noqa: PLR0913 - a listing has as many parts
        self,
        path: str,
        params: Parameters | None = None,
        *,
        scope: str | None = None,
        rows_at: str | None = None,
        retry: bool = True,
        divisible: bool = False,
    ) -> Iterator[Page]:
        """All pages of a listing, to its end.

        Args:
            path: Below ``/api/0/``, with its trailing slash.
            params: Query parameters, the same on each page.
            scope: The scope that reading it takes, for the message of a 403.
            rows_at: The field with the rows, where the answer is an object.
            retry: Whether a failure that may pass is tried again.
            divisible: Whether the caller will ask for less where this turns out to be too much for the server.

        Raises:
            SentryRequestError: A page could not be had.
            SentryPaginationError: The cursors run in a circle.
        """
        for page in self._rest.paginate(
            path,
            params=dict(params or {}),
            paginator=SentryPaginator(),
            hooks={"response": []},  # errors are ours: RESTClient raises none of its own then
            data_selector=_selector(rows_at or "$"),
            scope=scope,
            expected=dict if rows_at else list,
            retry=retry,
            divisible=divisible,
        ):
            more, body = bool(page.paginator.has_next_page), page.response.json()
            rows = page if rows_at is None else body.get(rows_at)
            yield Page(rows=_rows(rows, path), has_next=more, body=body)

    def listing(
        self, path: str, params: Parameters | None = None, *, scope: str | None = None
    ) -> Iterator[list[Row]]:
        """The rows of all pages, page by page, asked for with Sentry's largest page."""
        for page in self.pages(path, {"per_page": str(PAGE_SIZE), **(params or {})}, scope=scope):
            yield page.rows


@cache
def _selector(path: str) -> TJsonPath:
    """Parsed once: dlt would parse it again for each page."""
    return compile_path(path)


def _rows(page: Any, path: str) -> list[Row]:
    """The rows; what is no object has no key, and so becomes a row to be rejected."""
    if not isinstance(page, list):
        raise errors.SentryResponseError(
            f"The answer to {path} is not a list of objects. Check that base_url is a Sentry server.",
            path=path,
        )
    return [marked(row) if isinstance(row, dict) else {"": row} for row in page]
