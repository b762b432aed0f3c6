"""What became of each row about an issue: collected, counted, and written as JSON lines where wanted."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from .errors import SentryConfigurationError

Result = Literal["applied", "unchanged", "refused", "would apply"]


@dataclass(frozen=True)
class Outcome:
    """What became of one row.

    Attributes:
        row: Its place among the rows that were handed over together, counted from 0.
        issue_id: The issue as the row names it.
        outcome: ``applied``; ``unchanged``, because the issue was like that; ``refused``, by the checks or by
            Sentry; ``would apply``, in a dry run.
        reason: Why, or what would be sent; None where there is nothing to say.
    """

    row: int
    issue_id: str | None
    outcome: Result
    reason: str | None = None


class Outcomes:
    """The outcomes of some rows.

    Args:
        path: A file that each of them is appended to as a line of JSON, as soon as it is known.

    Attributes:
        rows: The outcomes, in the order in which they became known.
        requests_sent: Requests that it took, retries included.

    Raises:
        SentryConfigurationError: The file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.rows: list[Outcome] = []
        self.requests_sent = 0
        self._path = Path(path) if path is not None else None
        if self._path:
            try:
                self._path.open("a", encoding="utf-8").close()  # a failure comes before anything is sent
            except OSError as error:
                raise SentryConfigurationError(
                    f"The file of outcomes {self._path} cannot be written: {error.strerror}. Nothing was sent. "
                    "Name a file in a folder that exists."
                ) from None

    def add(
        self, rows: Iterable[int], issue_id: str | None, outcome: Result, reason: str | None = None
    ) -> None:
        """Note the outcome of rows about the same issue."""
        known = [Outcome(row, issue_id, outcome, reason) for row in rows]
        self.rows += known
        if self._path and known:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(f"{json.dumps(asdict(one), ensure_ascii=False)}\n" for one in known)

    @property
    def totals(self) -> Counter[str]:
        """How many rows had which outcome."""
        return Counter(one.outcome for one in self.rows)

    @property
    def refused(self) -> list[Outcome]:
        """The rows that were refused."""
        return [one for one in self.rows if one.outcome == "refused"]

    def __str__(self) -> str:
        """The totals in words."""
        return ", ".join(f"{count} {name}" for name, count in sorted(self.totals.items())) or "no rows"
