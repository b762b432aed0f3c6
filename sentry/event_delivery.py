"""How an event gets to the relay: what is waited for, what is tried again, what ends the whole submission.

See https://develop.sentry.dev/sdk/foundations/transport/rate-limiting/.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import requests
import urllib3
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.sources.helpers.requests.session import Session

from .bodies import ENCODING, read_body
from .config import is_plain_and_local
from .connections import BoundedAdapter
from .dsn import Dsn, DsnAuth
from .envelopes import Parcel
from .errors import SentryRequestError
from .log import logger
from .settings import RELAY_MEGABYTES, TIMEOUTS_PER_ANSWER

ERROR_CATEGORY = "error"
"""The category of data that error events count for."""

UNTOLD_WAIT = 60.0
"""A 429 that does not say how long: SDKs wait a minute."""

SHORTEST_WAIT = 1.0
"""Limits are told in whole seconds; with less, a limit of 0 seconds would be met again and again at once."""

_HEADERS = {"Content-Type": "application/x-sentry-envelope", "Content-Encoding": "gzip"}
_ALREADY_THERE = re.compile(r"already exists", re.IGNORECASE)
_KEY_STATUSES = frozenset({301, 302, 303, 307, 308, 401, 403, 404})

_PROBE = b'{}\n{"type":"client_report"}\n{"timestamp":0,"discarded_events":[]}\n'
"""An envelope that stores nothing, counts for no quota, and is refused only if every envelope is."""


class StoppedError(SentryRequestError):
    """No further event can be sent: not a row is at fault, but the key, the server or its limits.

    Attributes:
        tried: The last answer to the event at hand; None when it was not sent.
    """

    tried: Answer | None = None


@dataclass(frozen=True)
class Answer:
    """What came back for one envelope.

    Attributes:
        status: The HTTP status; None when no answer came.
        detail: The server's own words, without keys.
        event_id: The id it gave the event.
        is_json: Whether it was an answer of a relay, rather than of something before it.
        wait: Seconds for which the server wants nothing more; None when it does not say.
    """

    status: int | None
    detail: str = ""
    event_id: str | None = None
    is_json: bool = False
    wait: float | None = None

    @property
    def is_accepted(self) -> bool:
        """It is there. Sentry takes an id again and drops it; some servers say so instead."""
        if self.status is None or self.may_pass:
            return False
        return 200 <= self.status < 300 or (
            self.status in (400, 403, 409) and bool(_ALREADY_THERE.search(self.detail))
        )

    @property
    def may_pass(self) -> bool:
        """The same envelope may be taken later: no answer, one cut short, a server in trouble."""
        if self.status is None or self.status == 408 or self.status >= 500:
            return True
        return 200 <= self.status < 300 and not self.is_json

    def __str__(self) -> str:
        if self.status is None:
            return self.detail
        return f"{self.status}: {self.detail}" if self.detail else str(self.status)


class Brakes:
    """Holds all threads while the server wants to be left alone, and tells when that takes too long.

    Args:
        max_wait: The longest wait, in seconds.
        max_total_wait: How long all waits may take together.
    """

    def __init__(self, max_wait: float, max_total_wait: float) -> None:
        self._max_wait = max_wait
        self._left = max_total_wait
        self._until = self._paid_until = 0.0
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def successor(self, max_wait: float, max_total_wait: float) -> Brakes:
        """Brakes for the next submission, which keep to what the server has asked for in this one."""
        brakes = Brakes(max_wait, max_total_wait)
        brakes._until = self._until
        return brakes

    def press(self, seconds: float) -> None:
        """Let nothing go out for so long; the longest of several counts."""
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def hold(self) -> None:
        """Wait until sending is allowed.

        Raises:
            StoppedError: It would take too long, or another thread has met something that stops all.
        """
        while not self.stopped.is_set():
            wait = self._pay()
            if wait <= 0:
                return
            self.stopped.wait(wait)
        raise StoppedError("Stopped.", path="")

    def _pay(self) -> float:
        """Seconds still to wait; those that no other thread has been waiting for already are counted."""
        with self._lock:
            now = time.monotonic()
            wait = self._until - now
            if wait <= 0:
                return 0.0
            new = max(0.0, self._until - max(now, self._paid_until))
            if wait > self._max_wait or new > self._left:
                raise _too_long(wait, self._max_wait)
            self._left -= new
            self._paid_until = self._until
            return wait


class _RelaySession(Session):
    """Follows no redirect; requests would read the body of one whole, to see where it leads."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None."""
        del resp


class Delivery:
    """Sends envelopes to one DSN, from several threads.

    Args:
        dsn: Where to.
        version: The version of Sentry's protocol.
        brakes: What holds all threads.
    """

    def __init__(self, dsn: Dsn, version: int, brakes: Brakes) -> None:
        self._dsn = dsn
        self._brakes = brakes
        self._auth = DsnAuth(dsn, version)
        self._runtime = resolve_configuration(RuntimeConfiguration())
        self._sessions: list[Session] = []
        self._of_thread = threading.local()
        self._proven = False

    def close(self) -> None:
        """Close all connections."""
        for session in self._sessions:
            session.close()

    def deliver(self, parcel: Parcel) -> Answer:
        """Send an event until it is taken or refused, or no more is to be done for it.

        Returns:
            The last answer. One that ``may_pass`` leaves open whether the event is there.

        Raises:
            StoppedError: No event can be sent any more.
        """
        failures = 0
        answer: Answer | None = None
        while True:
            self._hold(answer)
            answer = self._post(parcel.body)
            if answer.status == 429:
                continue  # the brakes are on, and they bound how often
            if not answer.may_pass:
                break
            failures += 1
            if failures >= self._runtime.request_max_attempts:
                break
            logger.info("%s: no success (%s); trying again.", parcel.event_id, answer)
            self._brakes.press(max(answer.wait or 0.0, self._back_off(failures)))
        self._judge(answer)
        if answer.may_pass:  # others are taken: the trouble may be over by now
            self._hold(answer)
            answer = self._post(parcel.body)
        return answer

    def _hold(self, tried: Answer | None) -> None:
        try:
            self._brakes.hold()
        except StoppedError as stop:
            stop.tried = tried
            raise

    def _judge(self, answer: Answer) -> None:
        """Find out whether an event that was not taken is alone in that.

        Raises:
            StoppedError: An envelope that has nothing of the event meets the same.
        """
        if answer.is_accepted:
            self._proven = True
            return
        if self._proven and not answer.may_pass and answer.status not in _KEY_STATUSES:
            return
        probe = self._post(_PROBE, packed=False)
        if probe.status == answer.status or (answer.may_pass and probe.may_pass):
            stop = StoppedError(
                f"{self._dsn.host} does not take events: {answer}. {_cure(answer)}",
                path=self._dsn.envelope_url.partition(self._dsn.host)[2],
                status=answer.status,
            )
            stop.tried = answer
            stop.retry = answer.may_pass
            raise stop
        self._proven = True

    def _post(self, body: bytes, *, packed: bool = True) -> Answer:
        headers = _HEADERS if packed else {"Content-Type": _HEADERS["Content-Type"]}
        started = time.monotonic()
        try:
            response = self._session.post(
                self._dsn.envelope_url,
                data=body,
                headers=headers | {"Accept-Encoding": ENCODING},
                auth=self._auth,
                allow_redirects=False,
                stream=True,
            )
            read_body(response, RELAY_MEGABYTES, TIMEOUTS_PER_ANSWER * float(self._runtime.request_timeout))
        except (SentryRequestError, OSError, urllib3.exceptions.HTTPError, zlib.error) as error:
            return Answer(None, f"no answer from {self._dsn.host} ({type(error).__name__})")
        answer = self._read(response)
        if answer.wait and (answer.status == 429 or answer.is_accepted):
            self._brakes.press(answer.wait)
        if logger.isEnabledFor(logging.DEBUG):
            milliseconds = (time.monotonic() - started) * 1000
            logger.debug(
                "POST envelope, %s bytes -> %s, %.0f ms, wait: %s",
                len(body),
                answer,
                milliseconds,
                answer.wait or "none",
            )
        return answer

    def _read(self, response: requests.Response) -> Answer:
        body: Any = None
        with suppress(ValueError):
            body = orjson.loads(response.content)
        fields = body if isinstance(body, dict) else {}
        said = [fields.get("detail") or fields.get("message") or response.headers.get("X-Sentry-Error") or ""]
        said += fields["causes"] if isinstance(fields.get("causes"), list) else []
        detail = "" if response.ok else " - ".join(" ".join(str(part).split()) for part in said if part)
        if response.is_redirect:
            detail = "redirected, which is not followed because the key would go there"
        return Answer(
            response.status_code,
            self._dsn.scrub(detail)[:500],
            str(fields["id"]).replace("-", "") if fields.get("id") else None,
            isinstance(body, dict),
            wait_told(response),
        )

    @property
    def _session(self) -> Session:
        """The session of this thread: a requests session is not made for several."""
        if not hasattr(self._of_thread, "session"):
            session = _RelaySession(timeout=self._runtime.request_timeout, raise_for_status=False)
            session.trust_env = not is_plain_and_local(
                self._dsn.envelope_url
            )  # no proxy on the way to this machine
            session.mount(self._dsn.envelope_url, BoundedAdapter())
            self._sessions.append(session)
            self._of_thread.session = session
        session_of_thread: Session = self._of_thread.session
        return session_of_thread

    def _back_off(self, failures: int) -> float:
        delay = self._runtime.request_backoff_factor * 2.0 ** (failures - 1)
        return float(min(self._runtime.request_max_retry_delay, delay * random.uniform(0.75, 1.25)))  # noqa: S311 - spreads clients


def wait_told(response: requests.Response) -> float | None:
    """Seconds for which the relay wants no error events; None when it does not say.

    ``X-Sentry-Rate-Limits`` is told with any status and comes before ``Retry-After``::

        X-Sentry-Rate-Limits: 60:error;default:organization:error_usage_exceeded, 2700::key

    Each part has seconds, categories (none: all), scope, and more that is of no use here.
    """
    limits = [part.strip().split(":") for part in response.headers.get("X-Sentry-Rate-Limits", "").split(",")]
    waits = [_seconds(limit[0]) for limit in limits if len(limit) > 1 and _is_ours(limit[1])]
    told = max((wait for wait in waits if wait is not None), default=None)
    if told is None and response.status_code in (429, 503):
        told = _seconds(response.headers.get("Retry-After", ""))
    if response.status_code == 429:
        return max(SHORTEST_WAIT, UNTOLD_WAIT if told is None else told)
    return told


def _is_ours(categories: str) -> bool:
    return not categories.strip() or ERROR_CATEGORY in categories.strip().lower().split(";")


def _seconds(text: str) -> float | None:
    """Seconds, also of a date, which HTTP allows for ``Retry-After``."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (TypeError, ValueError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if seconds == seconds and seconds != float("inf") else None  # noqa: PLR0124 - NaN


def _too_long(wait: float, max_wait: float) -> StoppedError:
    bound = f"a wait of {max_wait:.0f} s at most" if wait > max_wait else "the time for all waits together"
    stop = StoppedError(
        f"Sentry takes no events for the next {wait:.0f} s: a quota is used up, or it is overloaded. That is "
        f"beyond {bound} (max_wait, max_total_wait); send the rest later.",
        path="",
        status=429,
        wait=wait,
    )
    stop.retry = True
    return stop


def _cure(answer: Answer) -> str:
    if answer.status in (401, 403):
        return (
            "The key of the DSN is unknown, disabled, or another project's; the right one stands in Sentry under "
            "Settings > Projects > Client Keys (DSN)."
        )
    if answer.status == 404 or (answer.status is not None and 300 <= answer.status < 400):
        return (
            "There is no relay at that address: check host, path and project of the DSN. Servers before Sentry "
            "20.6 take no envelopes."
        )
    if answer.may_pass:
        return "Nothing is wrong with the events; send the rest again later, which makes no event twice."
    return (
        "It refuses every envelope, so the setting at fault is not in a row: check DSN and protocol version."
    )
