"""Rows as events to a Sentry project: from Python with ``submit_events``, from a pipeline with ``sentry_events``.

See https://develop.sentry.dev/sdk/data-model/envelopes/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson
from dlt.common.destination.exceptions import DestinationTerminalException, DestinationTransientException
from dlt.common.schema import TTableSchema
from dlt.common.typing import TSecretStrValue

from .dsn import Dsn, HiddenText, find_dsn
from .envelopes import OLDEST_AGE, Parcel, UnusableEventError, parcel
from .errors import SentryConfigurationError, SentryError, SentryRequestError
from .event_delivery import Answer, Brakes, Delivery, StoppedError
from .log import logger
from .settings import MAX_RATE_LIMIT_WAIT
from .written_rows import RowDestination, as_given

PROTOCOL_VERSION = 7
"""Sentry's newest, since 2014."""

MAX_TOTAL_WAIT = 600.0
"""Waits of one submission, or of one batch of a load, together; after that it is for a scheduler to try again."""

THREADS = 4
"""Connections at once: a relay answers within tens of milliseconds, mostly spent on the way."""

ROWS_AT_ONCE = 64
"""Rows between two writings of the outcomes: what a kill leaves unwritten."""

BATCH_ROWS = 500
"""Rows of one batch of a load. dlt remembers finished batches, so this is what a broken load sends again."""

Result = Literal["accepted", "refused", "unsure"]


@dataclass(frozen=True)
class Outcome:
    """What became of one row.

    Attributes:
        row: Its number among the rows given, from 0; in a load, among those of its batch.
        event_id: The id that the server returned; for an event that it did not take, the id it was to have.
        outcome: "accepted": the server has it, and may still drop it by its filters and quotas. "refused": it
            will not take it. "unsure": no answer that settles it; sending it again makes no second event.
        status: The HTTP status; None when nothing was sent, or no answer came.
        reason: Why it was not accepted.
    """

    row: int
    event_id: str | None
    outcome: Result
    status: int | None = None
    reason: str | None = None


@dataclass
class Outcomes:
    """What became of all rows, in their order; rows that were not sent any more have no outcome."""

    rows: list[Outcome] = field(default_factory=list)

    @property
    def totals(self) -> Counter[Result]:
        """How many rows have each outcome."""
        return Counter(one.outcome for one in self.rows)

    @property
    def refused(self) -> list[Outcome]:
        """The rows that were not accepted."""
        return [one for one in self.rows if one.outcome != "accepted"]

    def __str__(self) -> str:
        totals = self.totals
        return f"{totals['accepted']:,} accepted, {totals['refused']:,} refused, {totals['unsure']:,} unsure"


class SubmissionError(SentryRequestError):
    """The submission ended before its last row; no row is to blame for that.

    Attributes:
        outcomes: What became of the rows up to there.
        retry: Whether the same submission may go through later, without a change.
    """

    def __init__(self, message: str, stop: StoppedError, outcomes: Outcomes) -> None:
        super().__init__(message, path=stop.path, status=stop.status, wait=stop.wait)
        self.outcomes = outcomes
        self.retry = stop.retry


def submit_events(  # noqa: PLR0913 - settings, given by keyword
    rows: Iterable[Mapping[str, Any]],
    *,
    dsn: str | None = None,
    version: int = PROTOCOL_VERSION,
    outcomes: str | Path | None = None,
    max_wait: float = MAX_RATE_LIMIT_WAIT,
    max_total_wait: float = MAX_TOTAL_WAIT,
    allow_insecure: bool = False,
) -> Outcomes:
    """Send rows, or documents in Sentry's event schema, to a project. ``event_document`` says how a row is read.

    A row that cannot be an event or is refused is recorded, and the next one follows. Sending the same rows again
    makes no second events, as their ids are the same.

    Args:
        rows: Any number; they are taken as they are sent, in this thread.
        dsn: The project's; else ``[destination.sentry_events] dsn``, else ``SENTRY_DSN``.
        version: The version of Sentry's protocol.
        outcomes: A file that gets one JSON line per row, behind what it holds.
        max_wait: The longest wait, in seconds, that the server may ask for.
        max_total_wait: How long all waits may take together, in seconds.
        allow_insecure: Accept plain http to hosts other than loopback.

    Raises:
        SentryConfigurationError: The DSN or the file of outcomes is not usable; nothing was sent.
        SubmissionError: The key is refused, or the server stayed out of reach or overloaded beyond the bounds.
    """
    target = find_dsn(dsn, allow_insecure=allow_insecure)
    return _submit(rows, target, version, outcomes, Brakes(max_wait, max_total_wait))


def _submit(
    rows: Iterable[Mapping[str, Any]], target: Dsn, version: int, outcomes: str | Path | None, brakes: Brakes
) -> Outcomes:
    with ExitStack() as stack:
        file = stack.enter_context(_opened(outcomes)) if outcomes else None
        delivery = stack.enter_context(closing(Delivery(target, version, brakes)))
        submission = _Submission(target, delivery, brakes, file)
        submission.send(rows)
    return submission.outcomes


def submit_event(
    document: Mapping[str, Any],
    dsn: str | None = None,
    version: int = PROTOCOL_VERSION,
    *,
    allow_insecure: bool = False,
) -> str:
    """Send one event and give the id that the server returned.

    Args:
        document: A row, or a document in Sentry's event schema.
        dsn: As for ``submit_events``.
        version: The version of Sentry's protocol.
        allow_insecure: Accept plain http to hosts other than loopback.

    Raises:
        SentryConfigurationError: The DSN is not usable.
        UnusableEventError: The document cannot be an event; nothing was sent.
        SentryRequestError: The server did not take it.
    """
    parcel(document, datetime.now(UTC))
    (outcome,) = submit_events([document], dsn=dsn, version=version, allow_insecure=allow_insecure).rows
    if outcome.outcome != "accepted" or outcome.event_id is None:
        raise SentryRequestError(
            f"Sentry did not take the event: {outcome.reason}.", path="", status=outcome.status
        )
    return outcome.event_id


class sentry_events(RowDestination):  # noqa: N801 - users call it like dlt's own destinations, which are classes too
    """A destination of dlt that sends every row of a load, of whatever table, as an event to a Sentry project.

    ``dlt.pipeline("to_sentry", destination=sentry_events(dsn=...))``; what is not given here is read from
    ``[destination.sentry_events]`` of dlt's files, or the environment (``DESTINATION__SENTRY_EVENTS__...``). A
    refused row ends no load: it is warned of, counted, and written to ``outcomes``. When the server stays out of
    reach or overloaded beyond the bounds, dlt sends the batch again; when it refuses the key, the load fails and
    stays pending until the next run. Both are harmless: a row sent again is the same event.

    Args:
        dsn: The project's; else ``SENTRY_DSN``.
        version: The version of Sentry's protocol (default 7).
        outcomes: A file that gets one JSON line per row, behind what it holds; a batch that is sent again writes
            again.
        max_wait: The longest wait, in seconds, that the server may ask for (default 120).
        max_total_wait: How long all waits of a batch may take together, in seconds (default 600).
        allow_insecure: Accept plain http to hosts other than loopback.
        options: As ``dlt.destination`` takes them, such as ``batch_size``.

    Attributes:
        totals: How many rows of finished batches had which outcome so far.
        refused: Their rows that were not accepted.
    """

    def __init__(  # noqa: PLR0913 - settings
        self,
        dsn: str | None = None,
        *,
        version: int | None = None,
        outcomes: str | Path | None = None,
        max_wait: float | None = None,
        max_total_wait: float | None = None,
        allow_insecure: bool | None = None,
        **options: Any,
    ) -> None:
        self.totals: Counter[Result] = Counter()
        self.refused: list[Outcome] = []
        self._brakes = Brakes(MAX_RATE_LIMIT_WAIT, MAX_TOTAL_WAIT)
        settings = {
            "dsn": HiddenText(dsn) if isinstance(dsn, str) else dsn,
            "version": version,
            "outcomes": str(outcomes) if outcomes else None,
            "max_wait": max_wait,
            "max_total_wait": max_total_wait,
            "allow_insecure": allow_insecure,
        }
        defaults = {
            "destination_callable": self._writer(),
            "loader_file_format": "typed-jsonl",
            "batch_size": BATCH_ROWS,
            "max_parallel_load_jobs": 1,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        super().__init__(**{**defaults, **options, **given})

    def _writer(self) -> Callable[..., None]:
        """The function that dlt calls with batches of rows, with settings from its configuration."""

        def sentry_events(  # noqa: PLR0913 - dlt passes settings by name
            items: Any,
            table: TTableSchema,
            dsn: TSecretStrValue | None = None,
            version: int = PROTOCOL_VERSION,
            outcomes: str | None = None,
            max_wait: float = MAX_RATE_LIMIT_WAIT,
            max_total_wait: float = MAX_TOTAL_WAIT,
            allow_insecure: bool = False,  # noqa: FBT001, FBT002
        ) -> None:
            rows = as_given(items if isinstance(items, list) else items.to_pylist())  # of a parquet file
            try:
                target = find_dsn(dsn, allow_insecure=allow_insecure)
                # the batches of a load keep to the same limits
                self._brakes = self._brakes.successor(max_wait, max_total_wait)
                done = _submit(rows, target, version, outcomes, self._brakes)
            except SentryError as error:
                passes = getattr(error, "retry", False)
                failed = DestinationTransientException if passes else DestinationTerminalException
                raise failed(f"{table['name']}: {error}") from None
            self.totals += done.totals
            self.refused += done.refused

        return sentry_events


sentry_events.register()


class _Submission:
    """One run over rows: numbers them, spreads them over threads, keeps what became of them."""

    def __init__(self, dsn: Dsn, delivery: Delivery, brakes: Brakes, file: BinaryIO | None) -> None:
        self._dsn = dsn
        self._delivery = delivery
        self._brakes = brakes
        self._file = file
        self._redated: list[int] = []
        self._stop: StoppedError | None = None
        self.outcomes = Outcomes()

    def send(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Send all rows.

        Raises:
            SubmissionError: Not all could be sent.
        """
        numbered = enumerate(rows)
        with ThreadPoolExecutor(THREADS, thread_name_prefix="sentry-events") as threads:
            try:
                while self._stop is None and (some := list(islice(numbered, ROWS_AT_ONCE))):
                    self._keep(one for one in threads.map(self._send_row, some) if one)
            finally:
                self._brakes.stopped.set()  # an interrupt does not wait for what the threads wait for
        self._report()
        if self._stop:
            raise SubmissionError(f"{self._stop} Up to there: {self.outcomes}.", self._stop, self.outcomes)

    def _send_row(self, numbered: tuple[int, Mapping[str, Any]]) -> Outcome | None:
        """Send one row; None when it was not sent because the submission has ended."""
        number, row = numbered
        try:
            packed = parcel(row, datetime.now(UTC))
        except UnusableEventError as error:
            return Outcome(number, None, "refused", reason=str(error))
        if packed.is_redated:
            self._redated.append(number)
        try:
            return _outcome(number, packed, self._delivery.deliver(packed))
        except StoppedError as stop:
            if not self._brakes.stopped.is_set():
                self._stop = stop
                self._brakes.stopped.set()
            return _outcome(number, packed, stop.tried) if stop.tried else None

    def _keep(self, outcomes: Iterator[Outcome]) -> None:
        for outcome in outcomes:
            self.outcomes.rows.append(outcome)
            if self._file:
                self._file.write(orjson.dumps(asdict(outcome), option=orjson.OPT_APPEND_NEWLINE))
        if self._file:
            self._file.flush()

    def _report(self) -> None:
        """One line in the log for what was sent, and one each for what a user should know."""
        logger.info("Events to %s, project %s: %s.", self._dsn.host, self._dsn.project_id, self.outcomes)
        lost = self.outcomes.refused
        if lost:
            logger.warning(
                "%s of %s events were not accepted; the first is row %s: %s",
                f"{len(lost):,}",
                f"{len(self.outcomes.rows):,}",
                lost[0].row,
                lost[0].reason,
            )
        if self._redated:
            logger.warning(
                "%s events are older than %s days or lie ahead: Sentry dates them to the moment they come in.",
                f"{len(self._redated):,}",
                OLDEST_AGE.days,
            )


def _outcome(number: int, packed: Parcel, answer: Answer) -> Outcome:
    if answer.is_accepted:
        return Outcome(number, answer.event_id or packed.event_id, "accepted", answer.status)
    settled = not answer.may_pass and answer.status != 429
    return Outcome(
        number, packed.event_id, "refused" if settled else "unsure", answer.status, str(answer) or None
    )


def _opened(path: str | Path) -> BinaryIO:
    try:
        return Path(path).open("ab")
    except OSError as error:
        raise SentryConfigurationError(
            f"The outcomes cannot be written to {path}: {error.strerror}. Name a file in a folder that exists."
        ) from None
