"""Rows that cannot be loaded because they lack their key: kept aside, for a table of their own."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .client import Row
from .log import logger
from .table import Table


@dataclass(frozen=True)
class Reject:
    """A row that cannot be loaded.

    Attributes:
        table: Where it belongs.
        row: As the server gave it.
        reason: Why it cannot be loaded.
    """

    table: Table
    row: Row
    reason: str


class Rejects:
    """The rejected rows of one extraction, until the table that is being read takes them along."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Reject] = []

    def with_key(self, table: Table, rows: Iterable[Row], *names: str) -> list[Row]:
        """The rows that have all these fields; the others are rejected.

        Args:
            table: Where they belong.
            rows: As the server gave them.
            names: Fields without which a row cannot be told from others.
        """
        found = []
        for row in rows:
            missing = [name for name in names if is_missing(row.get(name))]
            if missing:
                self.note(table, row, missing)
            else:
                found.append(row)
        return found

    def note(self, table: Table, row: Row, missing: Iterable[str]) -> None:
        """Reject a row that lacks some fields."""
        reason = f"no {' and no '.join(missing)}"
        logger.info("%s: Sentry sent a row with %s, which cannot be told from others.", table.name, reason)
        with self._lock:
            self._waiting.append(Reject(table, row, reason))

    def take(self) -> list[Reject]:
        """Those that nobody has taken yet."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken


def is_missing(value: Any, *, may_be_empty: bool = False) -> bool:
    """Whether a field says nothing that a row could be told by: null, no number, the empty text.

    Args:
        value: The field.
        may_be_empty: Whether the empty text says something.
    """
    is_no_number = isinstance(value, float) and not math.isfinite(value)
    return value is None or is_no_number or (value == "" and not may_be_empty)
