"""What failed for good while the rest of a run went on: reported, and read again by the next run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import dlt

from . import errors
from .log import logger
from .settings import MOST_FAILURES

FAILED = "failed"
"""The name under which a table's metrics say what failed."""

_MAY_BE_ABOUT_ONE_THING = (
    errors.SentryConnectionError,
    errors.SentryResponseError,
    errors.SentryServerError,
    errors.SentryBackendBusyError,
    errors.SentryBadRequestError,
    errors.SentryPaginationError,
)


class Failures:
    """The failures of one extraction.

    Args:
        check_server: Asks the server for something that is always there; raises if it does not answer.
        strict: Whether any failure ends the run.
    """

    def __init__(self, check_server: Callable[[], None], *, strict: bool) -> None:
        self._check_server = check_server
        self._strict = strict
        self._lock = threading.Lock()
        self._passed_over = 0

    def check(self, error: errors.SentryRequestError) -> None:
        """Find out whether going on makes sense after a failure.

        Raises:
            SentryRequestError: The error, where it does not: it is about access, the server is down, or the user
                wants strictness.
        """
        if self._strict or not may_be_about_one_thing(error):
            raise error
        try:
            self._check_server()
        except errors.SentryRequestError:
            raise error from None

    def pass_over(self, what: str, error: errors.SentryRequestError) -> None:
        """Go on without something, and say so.

        Args:
            what: What could not be read.
            error: Why.

        Raises:
            SentryRequestError: The error, where going on makes no sense, also because too much has failed already.
        """
        self.check(error)
        with self._lock:
            self._passed_over += 1
            if self._passed_over > MOST_FAILURES:
                raise error
        logger.error("%s could not be read and is passed over; the next run tries it again. %s", what, error)


def may_be_about_one_thing(error: errors.SentryRequestError) -> bool:
    """Whether an error need not be about the token, the address, or the server as a whole."""
    if isinstance(error, errors.SentryConnectionError):
        return error.retry  # else its certificate, or no https at all
    is_other_status = type(error) is errors.SentryRequestError and error.status is not None
    return is_other_status or isinstance(error, _MAY_BE_ABOUT_ONE_THING)


def failures_of(pipeline: dlt.Pipeline) -> dict[str, dict[str, str]]:
    """What the last run of a pipeline could not read although it should be there, while it loaded the rest.

    Such a run ends well for dlt. A program that wants to be told raises then::

        pipeline.run(source)
        if failed := failures_of(pipeline):
            raise RuntimeError(failed)

    Args:
        pipeline: A pipeline that has run the source.

    Returns:
        By table: what of it could not be read (empty text: all of it) and why. Empty when nothing failed.
    """
    trace = pipeline.last_trace
    extracted = trace.last_extract_info if trace else None
    found: dict[str, dict[str, str]] = {}
    for load_id, steps in extracted.metrics.items() if extracted else ():
        for step in steps:
            for name, resource in step["resource_metrics"].items():
                noted: Any = resource.custom_metrics or {}
                # dlt keeps the metrics of an earlier run of the same source where a table was not read in this one
                if noted.get("load_id") == load_id and noted.get(FAILED):
                    found[name] = dict(noted[FAILED])
    return found
