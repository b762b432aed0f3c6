"""How one request is sent: what is tried again, and what the log says of it."""

from __future__ import annotations

import json
import logging
import random
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin, urlsplit

import orjson
import requests
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers.requests.session import Session
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from . import errors
from .limits import Governor
from .log import logger
from .refusals import connection_error, path_of, refusal
from .settings import READ_BYTES


class SentrySession(Session):
    """A requests session that turns every refusal into a ``SentryRequestError`` and retries what may pass.

    Attempts, back-off and time-outs are dlt's own settings (``[runtime] request_max_attempts``,
    ``request_backoff_factor``, ``request_max_retry_delay``, ``request_timeout``), see
    https://dlthub.com/docs/general-usage/http/requests.
    """

    def __init__(self, runtime: RuntimeConfiguration, token: str, governor: Governor) -> None:
        super().__init__(timeout=runtime.request_timeout, raise_for_status=False)
        self._governor = governor
        self._is_under_way = False
        self._waits_for_limit = False
        self._runtime = runtime
        self._token = token
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
        if self._is_under_way:  # requests follows a redirect
            redirected: requests.Response = super().send(request, **kwargs)  # type: ignore[no-untyped-call]
            return redirected
        if not retry:
            return self._send_once(request, scope, expected, **kwargs)
        if not repeatable:
            retrying = self._retrying_limits
        else:
            retrying = self._retrying_as_much if divisible else self._retrying
        response: requests.Response = retrying(self._send_once, request, scope, expected, **kwargs)
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
        path = path_of(request.url)
        with self._governor.turn(str(request.method), path) as turn:
            self._is_under_way = True
            try:
                response: requests.Response = super().send(request, **{**kwargs, "stream": True})  # type: ignore[no-untyped-call]
                _read_whole(response)
            except requests.RequestException as error:
                raise connection_error(path, request.url, error) from None
            finally:
                self._is_under_way = False
            turn.response = response
        _log_answer(request, response, time.monotonic() - turn.began)
        if not response.ok:
            raise refusal(response, path, scope, self._token)
        _parse_body(response, path, expected)
        return response

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


def _read_whole(response: requests.Response) -> None:
    """Read the body in large pieces: requests takes 10 KB at a time, and threads wait for each other at each."""
    response._content = b"".join(response.iter_content(READ_BYTES))
    response._content_consumed = True  # type: ignore[attr-defined]


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


def parsed_json(content: bytes) -> Any:
    """The parsed content; None where it is no JSON.

    What the strict parser refuses may still be what Sentry's own one writes: NaN, lone surrogates.
    """
    for parse in (orjson.loads, json.loads):
        with suppress(ValueError):
            return parse(content)
    return None


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
