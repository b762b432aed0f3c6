"""How far back the server answers for error events, as it was found out; kept in the state for a day."""

from __future__ import annotations

import dlt

from .run import Run
from .settings import SWEEP_SLACK_SECONDS
from .windows import DAY


def oldest_answered(run: Run, first: int) -> int | None:
    """From when on the server answers: ``first``, or the edge of its retention.

    Finding the edge takes a dozen requests, so it is asked for once a day, or when more is wanted than before.

    Args:
        run: The extraction.
        first: The first second wanted.

    Returns:
        Seconds since 1970; None if this server does not tell.
    """
    known = dlt.current.source_state().setdefault("retention", {})
    is_old = run.now - known.get("asked_at", 0) >= DAY - SWEEP_SLACK_SECONDS
    if is_old or first < known["from"]:
        oldest = run.oldest_answered(first)
        if oldest is None:
            return None
        known.update(asked_at=run.now, age=None if oldest <= first else run.now - oldest, **{"from": first})
    return first if known["age"] is None else max(first, run.now - int(known["age"]))
