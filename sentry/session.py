"""How one request is sent: what is tried again, what a refusal means, what the log says of it.

Sentry's own pages: https://docs.sentry.io/api/ratelimits/, https://docs.sentry.io/api/auth/.
"""

from __future__ import annotations

import json
import logging
import random
import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import orjson
import requests
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers.requests.session import Session
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from . import errors
from .log import logger
from .settings import API_PREFIX, MAX_RATE_LIMIT_WAIT, ORGANIZATION_TOKEN_PREFIX, TOKEN_PAGE

_BACKEND_TROUBLE = re.compile(
    r"time[d]?[ -]?out|query.*too large|too many (rows|simultaneous)|please try again|overloaded",
    re.IGNORECASE,
)


class SentrySession(Session):
    """A requests session that turns every refusal into a ``SentryRequestError`` and retries what may pass.

    Attempts, back-off and time-outs are dlt's own settings (``[runtime] request_max_attempts``,
    ``request_backoff_factor``, ``request_max_retry_delay``, ``request_timeout``), see
    https://dlthub.com/docs/general-usage/http/requests.
    """

    def __init__(self, runtime: RuntimeConfiguration, token: str) -> None:
        super().__init__(timeout=runtime.request_timeout, raise_for_status=False)
        self.sent = 0
        self._runtime = runtime
        self._token = token
        self._retrying = Retrying(
            stop=stop_after_attempt(runtime.request_max_attempts),
            retry=retry_if_exception(lambda error: getattr(error, "retry", False)),
            wait=self._wait,
            before_sleep=_log_retry,
            reraise=True,
        )

    def send(
        self,
        request: requests.PreparedRequest,
        *,
        retry: bool = True,
        scope: str | None = None,
        expected: type = object,
        **kwargs: Any,
    ) -> requests.Response:
        """Send, and send again while that may help.

        Args:
            request: What to send.
            retry: False: once only.
            scope: The scope that it takes, for the message of a 403.
            expected: What the answer is, ``list`` or ``dict``; anything else is a broken answer.
            kwargs: As requests takes them.

        Raises:
            SentryRequestError: No usable answer, also after all attempts.
        """
        if not retry:
            return self._send_once(request, scope, expected, **kwargs)
        response: requests.Response = self._retrying(self._send_once, request, scope, expected, **kwargs)
        return response

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Follow redirects of GET within one host only (a renamed project); others would carry the token away.

        Raises:
            SentryRedirectError: The redirect leads to another host, or is the answer to a change.
        """
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        asked, given = urlsplit(resp.url), urlsplit(urljoin(resp.url, target))
        if resp.request.method == "GET" and (asked.scheme, asked.netloc) == (given.scheme, given.netloc):
            return target
        raise errors.SentryRedirectError(
            f"Sentry redirects {path_of(resp.url)} to {given.scheme}://{given.netloc}. Redirects to another "
            "address are not followed, because the token would go there. If that address is right, set base_url "
            "to it.",
            path=path_of(resp.url),
            status=resp.status_code,
        )

    def _send_once(
        self, request: requests.PreparedRequest, scope: str | None, expected: type, **kwargs: Any
    ) -> requests.Response:
        path, started = path_of(request.url), time.monotonic()
        self.sent += 1
        try:
            response: requests.Response = super().send(request, **kwargs)  # type: ignore[no-untyped-call]
        except requests.RequestException as error:
            raise _connection_error(path, request.url, error) from None
        _log_answer(request, response, time.monotonic() - started)
        if not response.ok:
            raise refusal(response, path, scope, self._token)
        _parse_body(response, path, expected)
        return response

    def _wait(self, attempt: RetryCallState) -> float:
        error = attempt.outcome.exception() if attempt.outcome else None
        asked = getattr(error, "wait", None)
        if asked is not None:
            return float(asked) + random.uniform(0, 0.25)  # noqa: S311 - spreads clients, keeps no secret
        longest = self._runtime.request_max_retry_delay
        delay = self._runtime.request_backoff_factor * 2.0 ** (attempt.attempt_number - 1)
        return float(min(longest, delay * random.uniform(0.75, 1.25)))  # noqa: S311 - as above


def server_time(response: requests.Response) -> datetime | None:
    """The server's clock when it answered, from the ``Date`` header; None where there is none."""
    try:
        moment = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


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
        kind, cure = errors.SentryGoneError, "This server has switched the endpoint off."
    elif status == 429:
        kind, wait = errors.SentryRateLimitError, _seconds_to_reset(response)
        cure = "The limit was met again after every wait; run at another time or with fewer parallel jobs."
    elif status >= 500:
        kind, wait = errors.SentryServerError, _retry_after(response)
        cure = "The server is in trouble, or cannot answer this request; see its log, or try again later."
    return kind(f"{said.rstrip('.')}. {cure}".strip(), path=path, status=status, wait=wait)


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


def _connection_error(
    path: str, url: str | None, error: requests.RequestException
) -> errors.SentryRequestError:
    host = urlsplit(url or "").netloc
    if isinstance(error, requests.exceptions.SSLError) and "WRONG_VERSION_NUMBER" in str(error):
        failed = errors.SentryConnectionError(
            f"{host} does not speak https. If it is a server of your own network, write http:// in base_url.",
            path=path,
        )
        failed.retry = False
        return failed
    if isinstance(error, requests.exceptions.SSLError):
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
        requests.exceptions.ChunkedEncodingError: "cut its answer short",
        requests.exceptions.ContentDecodingError: "sent a body that cannot be unpacked",
    }.get(type(error), "cannot be reached, or broke the connection")
    return errors.SentryConnectionError(
        f"{host} {what} ({path}). Check base_url, the network and the proxy settings, then run again.",
        path=path,
    )


def _parse_body(response: requests.Response, path: str, expected: type) -> None:
    """Parse once, here, where a body that was cut short or lost can still be asked for again."""
    if response.status_code == 204:
        return
    parsed = _json(response.content)
    if parsed is None or not isinstance(parsed, expected):
        kind = response.headers.get("Content-Type", "no content type")
        wanted = {"list": "a list", "dict": "an object"}.get(expected.__name__, "JSON")
        raise errors.SentryResponseError(
            f"The answer to {path} is not {wanted} ({kind}, {len(response.content)} bytes): it was cut short, or "
            "a proxy or another server answered. Check that base_url is a Sentry server.",
            path=path,
            status=response.status_code,
        )
    response.json = lambda **_: parsed  # type: ignore[method-assign]


def _json(content: bytes) -> Any:
    """The parsed content; None where it is no JSON.

    What the strict parser refuses may still be what Sentry's own one writes: NaN, lone surrogates.
    """
    for parse in (orjson.loads, json.loads):
        with suppress(ValueError):
            return parse(content)
    return None


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


def path_of(url: str | bytes | None) -> str:
    """The path below ``/api/0/``, without parameters: what messages and logs name."""
    text = url.decode() if isinstance(url, bytes) else url or ""
    return urlsplit(text).path.partition(f"{API_PREFIX}/")[2] or "/"


def _log_answer(request: requests.PreparedRequest, response: requests.Response, seconds: float) -> None:
    if logger.isEnabledFor(logging.DEBUG):
        limits = {
            name.lower().removeprefix("x-sentry-rate-limit-"): value
            for name, value in response.headers.items()
            if name.lower().startswith("x-sentry-rate-limit-")
        }
        logger.debug(
            "%s %s ?%s -> %s, %s bytes, %.0f ms, next page: %s, rate limit: %s",
            request.method,
            path_of(request.url),
            urlsplit(str(request.url)).query,
            response.status_code,
            len(response.content),
            seconds * 1000,
            response.links.get("next", {}).get("results", "unpaged"),
            limits or "none",
        )


def _log_retry(attempt: RetryCallState) -> None:
    error = attempt.outcome.exception() if attempt.outcome else None
    wait = attempt.next_action.sleep if attempt.next_action else 0.0
    logger.info("%s Trying again in %.1f s (attempt %s).", error, wait, attempt.attempt_number + 1)
