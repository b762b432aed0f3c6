"""What can go wrong, as one tree: every message says what happened, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType


class SentryError(Exception):
    """Anything this source raises on purpose."""


class SentryConfigurationError(SentryError):
    """A setting is missing or makes no sense; nothing was sent for it."""


class SentryStateError(SentryError):
    """The pipeline's state belongs to another organization or another server."""


class SentryRequestError(SentryError):
    """A request did not bring a usable answer.

    Attributes:
        path: The path that was asked, below ``/api/0/``, without parameters.
        status: The HTTP status, or None where no answer came.
        retry: Whether the same request may succeed later.
        wait: Seconds that the server asked to wait before the next try, or None.
        fields: Of a 400 that says which fields of the body are wrong: what is wrong with each, else empty.
    """

    status: int | None = None
    retry = False
    is_too_much = False
    """Whether the server did not manage the request in its time: one for less may do."""
    fields: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self, message: str, *, path: str, status: int | None = None, wait: float | None = None
    ) -> None:
        super().__init__(message)
        self.path = path
        self.status = status if status is not None else type(self).status
        self.wait = wait
        self.is_too_much = type(self).is_too_much or status == HTTPStatus.GATEWAY_TIMEOUT


class SentryConnectionError(SentryRequestError):
    """No answer: host unreachable, connection broken, time-out, or a body cut short."""

    retry = True


class SentryResponseError(SentryRequestError):
    """An answer that is no JSON although it says success: a body cut short, or a proxy's page."""

    retry = True


class SentryServerError(SentryRequestError):
    """Sentry, or a proxy before it, answered 5xx."""

    retry = True


class SentryRateLimitError(SentryRequestError):
    """429: too many requests, or too many at once."""

    status = 429
    retry = True


class SentryBackendBusyError(SentryRequestError):
    """400 with a text that speaks of a time-out or of a query too large: trouble of the back-end, not of ours.

    See https://github.com/getsentry/sentry/blob/master/src/sentry/api/utils.py (``handle_query_errors``).
    """

    status = 400
    retry = True
    is_too_much = True


class SentryBadRequestError(SentryRequestError):
    """400: a parameter that this server does not take."""

    status = 400


class SentryAuthenticationError(SentryRequestError):
    """401: the token is missing, wrong, expired, or stopped by single sign-on."""

    status = 401


class SentryPermissionError(SentryRequestError):
    """403: the token lacks a scope, or its user lacks access."""

    status = 403


class SentryNotFoundError(SentryRequestError):
    """404: no such thing, no access to it, a feature that is off, or the wrong region."""

    status = 404


class SentryGoneError(SentryRequestError):
    """410: the endpoint is deprecated and switched off, for good or for a minute."""

    status = 410


class SentryRedirectError(SentryRequestError):
    """A redirect to another host, or from https to http: not followed, the token would go with it."""


class SentryPaginationError(SentryRequestError):
    """The server's cursors do not lead to an end."""
