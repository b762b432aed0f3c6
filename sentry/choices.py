"""What the user asked of a table, as settings and as hints on its dlt resource, and how its rows age."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dlt.extract import DltResource
from dlt.extract.incremental import Incremental

from .settings import HISTORY_DAYS
from .windows import Window


@dataclass(frozen=True)
class Choices:
    """What the user asked for.

    Attributes:
        start: First moment of history wanted; None: ``HISTORY_DAYS`` before the run.
        end: Given: exactly start to end, and progress stays as it is.
        lookback: Seconds before what is covered that are read again.
        sweep_interval: Hours between two readings of everything; 0: every run.
        chunk_events: How many events of history one load brings at the most, as Sentry counts them; 0: all.
        newest_first: Whether a history that is brought in several loads begins with its end.
        again: Given: just these windows are read, by project, whether they were read before or not.
    """

    start: datetime | None
    end: datetime | None
    lookback: int
    sweep_interval: float
    chunk_events: int = 0
    newest_first: bool = True
    again: Mapping[str, list[Window]] | None = None


@dataclass(frozen=True)
class Kind:
    """How the rows of a table age and change.

    Attributes:
        since: Given: rows do not age out, and this is the first second of history, whatever ``start`` says.
        lookback: Seconds of look-back at the least, for rows that change after they were read.
        retained: Whether rows go when the server forgets the events of their time.
        chunked: Whether a long history is brought in several loads.
    """

    since: int | None = None
    lookback: int = 0
    retained: bool = False
    chunked: bool = False


def exact_window(cursor: Incremental[Any]) -> Window | None:
    """The range that the user or an external scheduler asked for; None in a normal run."""
    if cursor.end_value is None:
        return None
    start: datetime | None = cursor.initial_value
    end: datetime = cursor.end_value
    return Window.between(start or end - timedelta(days=HISTORY_DAYS), end)


def cursor_of(resource: DltResource) -> Incremental[Any] | None:
    """The cursor of a resource: hints wrap it, or not, depending on where they were given."""
    wrapper: Any = resource.incremental
    return getattr(wrapper, "incremental", wrapper)  # type: ignore[no-any-return]


def bound_cursor(resource: DltResource) -> Incremental[Any]:
    """The cursor of a resource that surely has one."""
    cursor = cursor_of(resource)
    assert cursor is not None  # noqa: S101 - only resources with a cursor have progress
    return cursor


def disposition_of(resource: DltResource) -> str:
    """How the rows of a resource are written: merge, append or replace."""
    hint: Any = resource.write_disposition
    return str(hint.get("disposition", "merge") if isinstance(hint, dict) else hint)
