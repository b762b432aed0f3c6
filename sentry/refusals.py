"""What a refusal means: which error it is, and what the user can do about it.

See https://docs.sentry.io/api/auth/, https://docs.sentry.io/api/ratelimits/.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from . import errors
from .settings import API_PREFIX, MAX_RATE_LIMIT_WAIT, ORGANIZATION_TOKEN_PREFIX, TOKEN_PAGE

_BACKEND_TROUBLE = re.compile(
    r"time[d]?[ -]?out|query.*too large|too many (rows|simultaneous)|please try again|overloaded",
    re.IGNORECASE,
)


def refusal(
    response: requests.Response, path: str, scope: str | None, token: str
) -> errors.SentryRequestError:
    """The error that an answer other than success stands for, with the cure in its message."""
    status, detail = response.status_code, _detail(response).replace(token, "[token]")
    said = f"Sentry answered {status} on {path}" + (f": {detail}" if detail else "")
    kind: type[errors.SentryRequestError] = errors.SentryRequestError
    wait, cure = None, ""
    if status == 400 and _BACKEND_TROUBLE.search(detail):
        kind, cure = errors.SentryBackendBusyError, "Its back-end is overloaded; try again later."
    elif status == 400:
        kind = errors.SentryBadRequestError
    elif status == 401:
        kind = errors.SentryAuthenticationError
        cure = (
            "Check the token: it may be mistyped, expired or revoked, belong to another server or region, or "
            f"lack single sign-on. Make a new one at {TOKEN_PAGE} if in doubt."
        )
    elif status == 403:
        kind, cure = (
            errors.SentryPermissionError,
            _permission_cure(response, scope, token),
        )
    elif status == 404:
        kind = errors.SentryNotFoundError
        cure = (
            "It is not there, or not for this token, or this server or plan does not have it. Check the "
            "spelling of organization and project, and that base_url names the right region "
            "(https://us.sentry.io or https://de.sentry.io)."
        )
    elif status == 410:
        kind = errors.SentryGoneError
        cure = (
            "This server has switched the endpoint off: leave its table out, or look for a newer version of this "
            "source."
        )
    elif status == 429:
        kind, wait = errors.SentryRateLimitError, _seconds_to_reset(response)
        cure = "The limit was met again after every wait; run at another time or with fewer parallel jobs."
    elif status >= 500:
        kind, wait = errors.SentryServerError, _retry_after(response)
        cure = "The server is in trouble, or cannot answer this request; see its log, or try again later."
    error = kind(f"{said.rstrip('.')}. {cure}".strip(), path=path, status=status, wait=wait)
    if kind is errors.SentryBadRequestError:
        error.fields = _fields(response)
    return error


def connection_error(path: str, url: str | None, error: Exception) -> errors.SentryRequestError:
    """The error for a request that got no answer at all, or one that broke off."""
    host = urlsplit(url or "").netloc
    if "TLS CA certificate bundle" in str(error):  # a plain OSError of requests, before it connects
        failed = errors.SentryConnectionError(
            f"The certificates to verify {host} with are not there. Check the file that REQUESTS_CA_BUNDLE or "
            "CURL_CA_BUNDLE names; verification cannot be switched off.",
            path=path,
        )
        failed.retry = False
        return failed
    if isinstance(error, requests.exceptions.SSLError) and "WRONG_VERSION_NUMBER" in str(error):
        failed = errors.SentryConnectionError(
            f"{host} does not speak https. If it is a server of your own network, write http:// in base_url.",
            path=path,
        )
        failed.retry = False
        return failed
    if isinstance(error, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)):
        failed = errors.SentryConnectionError(
            f"The certificate of {host} could not be verified. For a private certificate authority set "
            "REQUESTS_CA_BUNDLE to its file; verification cannot be switched off.",
            path=path,
        )
        failed.retry = False
        return failed
    what = {
        requests.exceptions.ConnectTimeout: "did not accept a connection in time",
        requests.exceptions.ReadTimeout: "did not answer in time",
        urllib3.exceptions.ReadTimeoutError: "stopped in the middle of its answer",
        urllib3.exceptions.ProtocolError: "cut its answer short",
        zlib.error: "sent a body that cannot be unpacked",
    }.get(type(error), "cannot be reached, or broke the connection")
    failed = errors.SentryConnectionError(
        f"{host} {what} ({path}). Check base_url, the network and the proxy settings, then run again.",
        path=path,
    )
    failed.is_too_much = isinstance(error, requests.exceptions.ReadTimeout)
    return failed


def _permission_cure(response: requests.Response, scope: str | None, token: str) -> str:
    if token.startswith(ORGANIZATION_TOKEN_PREFIX):
        return (
            "Organization tokens (sntrys_...) carry only the scope org:ci and cannot read issues or events. "
            f"Make a personal token or an internal integration instead: {TOKEN_PAGE}."
        )
    challenge = re.search(r'scope="([^"]+)"', response.headers.get("WWW-Authenticate", ""))
    if "html" in response.headers.get("Content-Type", ""):
        return (
            "That page came from a proxy or an address filter before Sentry: ask for this machine's access."
        )
    if scope:
        return f"The token lacks the scope {scope}, or its user has no access there."
    if challenge:
        return f"The token needs one of the scopes {challenge.group(1)}, and its user access there."
    return "The token lacks a scope, or its user has no access there."


def _detail(response: requests.Response) -> str:
    """The server's own words: ``detail`` is a text, an object with a message, or something else entirely."""
    try:
        body = response.json()
    except ValueError:
        return ""
    if isinstance(body, dict):
        body = body.get("detail", body.get("message", body.get("error", body)))
    if isinstance(body, dict):
        body = body.get("message") or body.get("code") or "; ".join(f"{key}: {body[key]}" for key in body)
    return " ".join(str(body).split())[:500]


def _fields(response: requests.Response) -> dict[str, str]:
    """What the validation of a body says by field, nested ones as ``statusDetails.inRelease``."""
    try:
        body = response.json()
    except ValueError:
        return {}
    if not isinstance(body, dict) or body.keys() & {"detail", "error", "message"}:
        return {}
    return dict(_named_problems(body))


def _named_problems(problems: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, problem in problems.items():
        if isinstance(problem, dict):
            yield from _named_problems(problem, f"{prefix}{name}.")
        else:
            said = problem if isinstance(problem, list) else [problem]
            yield f"{prefix}{name}", " ".join(map(str, said))[:500]


def _seconds_to_reset(response: requests.Response) -> float | None:
    """Seconds until the rate limit's window ends, by the server's own clock; None: back off instead.

    Sentry's web API sends no ``Retry-After`` (a proxy before it may). A limit on concurrent requests has no
    useful reset; it is met where requests remain in the window.
    """
    if response.headers.get("X-Sentry-Rate-Limit-Remaining", "0") != "0":
        return None
    try:
        reset = float(response.headers["X-Sentry-Rate-Limit-Reset"])
    except (KeyError, ValueError):
        return _retry_after(response)
    now = server_time(response)
    return min(MAX_RATE_LIMIT_WAIT, max(1.0, reset - (now.timestamp() if now else time.time())))


def _retry_after(response: requests.Response) -> float | None:
    try:
        return min(MAX_RATE_LIMIT_WAIT, max(0.0, float(response.headers["Retry-After"])))
    except (KeyError, ValueError):
        return None


def header_number(response: requests.Response, name: str) -> int | None:
    """The whole number in a header of an answer; None where there is none."""
    text = response.headers.get(name, "")
    return int(text) if text.isdecimal() else None


def server_time(response: requests.Response) -> datetime | None:
    """The server's clock when it answered, from the ``Date`` header; None where there is none."""
    try:
        moment = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def path_of(url: str | bytes | None) -> str:
    """The path below ``/api/0/``, without parameters: what messages and logs name."""
    text = url.decode() if isinstance(url, bytes) else url or ""
    return urlsplit(text).path.partition(f"{API_PREFIX}/")[2] or "/"
