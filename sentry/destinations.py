"""Destinations of dlt that take rows back to Sentry; https://dlthub.com/docs/dlt-ecosystem/destinations/destination."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dlt.common.destination.exceptions import DestinationTerminalException, DestinationTransientException
from dlt.common.schema import TTableSchema
from dlt.common.typing import TSecretStrValue

from . import errors
from .dsn import HiddenText
from .event_submission import sentry_events
from .issue_outcomes import Outcome, Outcomes
from .issue_updates import IssueUpdates, connection_from
from .settings import ROWS_PER_BATCH
from .written_rows import RowDestination, as_given

__all__ = ["sentry_events", "sentry_issues"]

Write = Callable[..., None]


class sentry_issues(RowDestination):  # noqa: N801 - users call it like dlt's own destinations, which are classes too
    """Changes issues in Sentry: rows as ``update_issues`` takes them, loaded into any table name.

    Settings stand in dlt's configuration under ``[destination.sentry_issues]``, or in the environment as
    ``DESTINATION__SENTRY_ISSUES__...``; server, token and organization are also taken from where ``sentry_source``
    finds them. A row that is refused ends no load: it is warned of, counted, and written to ``outcomes``. When
    Sentry cannot be reached for longer than the retries last, dlt sends the batch again, which is harmless. Without
    a valid token the load fails and stays pending: the next run sends it.

    Args:
        auth_token: As for ``update_issues``, and so are the others.
        organization: Slug or id.
        base_url: Host or URL of the server.
        allow_destructive: Carry out rows that merge, discard or delete.
        dry_run: Only look, and say what would be done.
        allow_insecure: Allow plain http to hosts other than this machine.
        outcomes: A file that the outcome of each row is appended to, as a line of JSON.
        options: As ``dlt.destination`` takes them, such as ``batch_size``.

    Attributes:
        totals: How many rows had which outcome so far.
        refused: The rows that were refused so far.
    """

    def __init__(  # noqa: PLR0913 - settings
        self,
        auth_token: str | None = None,
        organization: str | None = None,
        base_url: str | None = None,
        *,
        allow_destructive: bool | None = None,
        dry_run: bool | None = None,
        allow_insecure: bool | None = None,
        outcomes: str | None = None,
        **options: Any,
    ) -> None:
        self.totals: Counter[str] = Counter()
        self.refused: list[Outcome] = []
        self._updates: tuple[tuple[Any, ...], IssueUpdates] | None = None
        settings = {
            "auth_token": None if auth_token is None else HiddenText(auth_token),
            "organization": organization,
            "base_url": base_url,
            "allow_destructive": allow_destructive,
            "dry_run": dry_run,
            "allow_insecure": allow_insecure,
            "outcomes": outcomes,
        }
        defaults = {
            "destination_callable": self._writer(),
            "loader_file_format": "typed-jsonl",
            "batch_size": ROWS_PER_BATCH,
            "max_parallel_load_jobs": 1,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        super().__init__(**{**defaults, **options, **given})

    def __repr__(self) -> str:
        """Without settings: dlt would show the token among them."""
        return f"sentry_issues(totals={dict(self.totals)})"

    def _writer(self) -> Write:
        """The function that dlt calls with batches of rows, with settings from its configuration."""

        def sentry_issues(  # noqa: PLR0913 - dlt passes settings by name
            items: Any,
            table: TTableSchema,
            auth_token: TSecretStrValue | None = None,
            organization: str | None = None,
            base_url: str | None = None,
            allow_destructive: bool = False,  # noqa: FBT001, FBT002
            dry_run: bool = False,  # noqa: FBT001, FBT002
            allow_insecure: bool = False,  # noqa: FBT001, FBT002
            outcomes: str | None = None,
        ) -> None:
            del table
            place = (auth_token, organization, base_url, allow_insecure)
            try:
                told = Outcomes(outcomes)
            except errors.SentryConfigurationError as error:
                raise DestinationTerminalException(str(error)) from error
            rows = as_given(items if isinstance(items, list) else items.to_pylist())  # of a parquet file
            try:
                self._apply(rows, told, (*place, allow_destructive, dry_run))
            except errors.SentryError as error:
                passes = getattr(error, "retry", False)
                failed = DestinationTransientException if passes else DestinationTerminalException
                raise failed(str(error)) from error
            finally:
                self.totals += told.totals
                self.refused += told.refused

        return sentry_issues

    def _apply(self, items: Sequence[Mapping[str, Any]], told: Outcomes, settings: tuple[Any, ...]) -> None:
        if self._updates is None or self._updates[0] != settings:
            *place, allow_destructive, dry_run = settings
            updates = IssueUpdates(
                connection_from(*place), allow_destructive=allow_destructive, dry_run=dry_run
            )
            self._updates = settings, updates
        self._updates[1].apply(items, told)


sentry_issues.register()
