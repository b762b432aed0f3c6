"""Which redirects are followed: those of GET within one host, for the token goes with them."""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

import requests

from . import errors
from .refusals import path_of


def redirect_target(response: requests.Response) -> str:
    """Where a redirect leads, such as to a project that was renamed.

    Raises:
        SentryRedirectError: To another host, port or scheme, or it is the answer to a change.
    """
    path, asked = path_of(response.url), urlsplit(response.url)
    try:
        given = urlsplit(urljoin(response.url, response.headers["Location"].strip()))
        is_same = _origin(given) == _origin(asked)
        address = f"{given.scheme}://{given.hostname}{f':{given.port}' if given.port else ''}"
    except ValueError:
        is_same, address = False, "an address that is none"
    if response.request.method == "GET" and is_same:
        # our own host as we wrote it: who connects may read the server's text in another way
        return urlunsplit((asked.scheme, asked.netloc, given.path, given.query, ""))
    if is_same:
        said = "Changes are not sent again elsewhere. Check base_url, its path prefix included."
    else:
        said = (
            "Redirects to another address are not followed, because the token would go there. If that address is "
            "right, set base_url to it."
        )
    raise errors.SentryRedirectError(
        f"Sentry redirects {path} to {address}. {said}", path=path, status=response.status_code
    )


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None, bool]:
    """Scheme, host and port of a URL, and whether it names a user."""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port, "@" in parts.netloc
