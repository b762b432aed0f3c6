"""How one request is sent: what is tried again, and what the log says of it."""

from __future__ import annotations

import json
import logging
import random
import time
import zlib
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import requests
import urllib3
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers.requests.session import Session
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from . import errors
from .bodies import ENCODING, read_body
from .config import Connection, is_plain_and_local
from .limits import Governor
from .log import logger
from .redirects import redirect_target
from .refusals import connection_error, path_of, refusal
from .scrub import Scrub
from .settings import MAX_REDIRECTS, TIMEOUTS_PER_ANSWER
from .storable import finite_or_not


class SentrySession(Session):
    """A requests session that turns every refusal into a ``SentryRequestError`` and retries what may pass.

    Attempts, back-off and time-outs are dlt's own settings (``[runtime] request_max_attempts``,
    ``request_backoff_factor``, ``request_max_retry_delay``, ``request_timeout``), see
    https://dlthub.com/docs/general-usage/http/requests.
    """

    def __init__(self, runtime: RuntimeConfiguration, connection: Connection, governor: Governor) -> None:
        super().__init__(timeout=runtime.request_timeout, raise_for_status=False)
        self.headers["Accept-Encoding"] = ENCODING
        self._governor = governor
        self._of_environment: dict[tuple[str, ...], Any] = {}
        self._waits_for_limit = False
        self._runtime = runtime
        self._connection = connection
        self._scrub = Scrub(connection.token)
        self._retrying = Retrying(
            stop=stop_after_attempt(runtime.request_max_attempts),
            retry=retry_if_exception(_may_pass),
            wait=self._wait,
            before_sleep=_log_retry,
            sleep=self._sleep,
            reraise=True,
        )
        self._retrying_as_much = self._retrying.copy(
            retry=retry_if_exception(
                lambda error: _may_pass(error) and not getattr(error, "is_too_much", False)
            )
        )
        self._retrying_limits = self._retrying.copy(
            retry=retry_if_exception(lambda error: isinstance(error, errors.SentryRateLimitError))
        )

    def send(  # noqa: PLR0913 - a request has as many parts
        self,
        request: requests.PreparedRequest,
        *,
        retry: bool = True,
        repeatable: bool = True,
        divisible: bool = False,
        scope: str | None = None,
        expected: type = object,
        **kwargs: Any,
    ) -> requests.Response:
        """Send, and send again while that may help.

        Args:
            request: What to send.
            retry: False: once only.
            repeatable: False: sent again only where it was certainly not carried out, that is after a 429.
            divisible: Whether the caller will ask for less where this turns out to be too much for the server.
            scope: The scope that it takes, for the message of a 403.
            expected: What the answer is, ``list`` or ``dict``; anything else is a broken answer.
            kwargs: As requests takes them.

        Raises:
            SentryRequestError: No usable answer, also after all attempts.
        """
        if not retry:
            return self._send_once(request, scope, expected, **kwargs)
        if not repeatable:
            retrying = self._retrying_limits
        else:
            retrying = self._retrying_as_much if divisible else self._retrying
        response: requests.Response = retrying(self._send_once, request, scope, expected, **kwargs)
        return response

    def merge_environment_settings(  # type: ignore[override]  # the result is a plain dictionary
        self, url: str, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """What requests finds out of the environment: proxies, certificates. It reads all of it for each request.

        So it is found out once for each host, by a session that lives as long as a run.
        """
        parts = urlsplit(url)
        key = (parts.scheme, parts.netloc, repr((proxies, stream, verify, cert)))
        if key not in self._of_environment:
            self._of_environment[key] = super().merge_environment_settings(url, proxies, stream, verify, cert)
        return {**self._of_environment[key]}

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: requests follows no redirect, as it would take the token along, or one of the user's ``.netrc``."""
        del resp
        return None

    def _send_once(
        self, request: requests.PreparedRequest, scope: str | None, expected: type, **kwargs: Any
    ) -> requests.Response:
        path = path_of(request.url)
        with self._governor.turn(str(request.method), path) as turn:
            try:
                response = self._answer(request, **kwargs)
            except (OSError, urllib3.exceptions.HTTPError, zlib.error) as error:
                raise connection_error(path, request.url, error) from None
            turn.response = response
        _log_answer(request, response, time.monotonic() - turn.began)
        if not response.ok:
            raise refusal(response, path, scope, self._connection.token)
        _parse_body(response, path, expected)
        _check_cursor(response, path)
        return response

    def _answer(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """The answer, read, without the token; redirects within the host are followed.

        Raises:
            SentryRedirectError: A redirect leads elsewhere, is the answer to a change, or has no end.
        """
        if is_plain_and_local(request.url):
            kwargs["proxies"] = {}
        for _ in range(MAX_REDIRECTS + 1):
            response: requests.Response = super().send(request, **{**kwargs, "stream": True})  # type: ignore[no-untyped-call]
            read_body(
                response,
                self._connection.max_response_megabytes,
                TIMEOUTS_PER_ANSWER * float(self._runtime.request_timeout),
            )
            self._scrub.response(response)
            if not response.is_redirect:
                return response
            request = request.copy()
            request.url = redirect_target(response)
        raise errors.SentryRedirectError(
            f"Sentry redirects {path_of(request.url)} again and again. Check base_url and the proxy before Sentry.",
            path=path_of(request.url),
        )

    def _wait(self, attempt: RetryCallState) -> float:
        error = attempt.outcome.exception() if attempt.outcome else None
        self._waits_for_limit = isinstance(error, errors.SentryRateLimitError)
        asked = getattr(error, "wait", None)
        if asked is not None:
            return float(asked) + random.uniform(0, 0.25)  # noqa: S311 - spreads clients, keeps no secret
        longest = self._runtime.request_max_retry_delay
        delay = self._runtime.request_backoff_factor * 2.0 ** (attempt.attempt_number - 1)
        return float(min(longest, delay * random.uniform(0.75, 1.25)))  # noqa: S311 - as above

    def _sleep(self, seconds: float) -> None:
        if self._waits_for_limit:
            self._governor.pause(seconds)
        else:
            time.sleep(seconds)


def _may_pass(error: BaseException) -> bool:
    return bool(getattr(error, "retry", False))


def _parse_body(response: requests.Response, path: str, expected: type) -> None:
    """Parse once, here, where a body that was cut short or lost can still be asked for again."""
    if response.status_code == 204 or (response.status_code == 202 and not response.content):
        return
    parsed = parsed_json(response.content)
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


def _check_cursor(response: requests.Response, path: str) -> None:
    """A page that names itself as the next one is a broken answer: the same request may bring a good one."""
    link = response.links.get("next", {})
    asked = dict(parse_qsl(urlsplit(response.url).query)).get("cursor")
    if asked is not None and link.get("results") == "true" and link.get("cursor") == asked:
        error = errors.SentryPaginationError(
            f"Sentry gave the cursor {asked} twice while listing {path}: its end cannot be reached. Run again; if "
            "it stays, the server (or a proxy before it) does not page correctly.",
            path=path,
        )
        error.retry = True
        raise error


def parsed_json(content: bytes) -> Any:
    """The parsed content; None where it is no JSON.

    What the strict parser refuses may still be what Sentry's own one writes: NaN, lone surrogates. Whole numbers
    beyond 64 bits become floating-point ones, as they do in Sentry's own pipeline.
    """
    for parse in (orjson.loads, _parsed_leniently):
        with suppress(ValueError, RecursionError):
            return parse(content)
    return None


def _parsed_leniently(content: bytes) -> Any:
    return json.loads(content, parse_float=finite_or_not, parse_constant=finite_or_not)


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
