"""What the newest hour held when it was read: up to where Sentry names the same events, it is not read again."""

from __future__ import annotations

import hashlib
from typing import Any

from .event_ids import Ids
from .settings import TAIL_STEPS
from .windows import Window, even_parts


class Tails:
    """Notes on the newest part of what was read, per project; a view on the resource's state.

    Args:
        noted: The state.
        lookback: Seconds before what was read that are read again, where something has changed there.
    """

    def __init__(self, noted: dict[str, Any], lookback: int) -> None:
        self._noted = noted
        self._lookback = lookback

    def unchanged(self, project_id: str, window: Window, ids: Ids) -> int:
        """From when on a window has to be read: up to there it holds what it held when it was read before."""
        start, end, digests = self._noted.get(project_id, (0, 0, []))
        if start != window.start or not start < end <= window.end:
            return window.start
        for part, digest in zip(_steps(Window(start, end)), digests, strict=True):
            if _digest(part, ids) != digest:
                return part.start
        return int(end)

    def note(self, project_id: str, window: Window, ids: Ids | None) -> None:
        """Note what a window that was read ends with; None where that is not known."""
        tail = Window(window.end - self._lookback, window.end)
        if ids is None or tail.start < window.start:
            self._noted.pop(project_id, None)
        else:
            digests = [_digest(part, ids) for part in _steps(tail)]
            self._noted[project_id] = [tail.start, tail.end, digests]


def _steps(tail: Window) -> list[Window]:
    """A tail in parts, oldest first: most of what comes late is late by seconds or minutes."""
    return even_parts(tail, TAIL_STEPS)[::-1]


def _digest(window: Window, ids: Ids) -> str:
    inside = sorted(
        f"{event_id} in {known.issue}"  # an issue that was merged gives its events another one
        for event_id, known in ids.items()
        if window.start <= known.second < window.end
    )
    return hashlib.sha256(" ".join(inside).encode()).hexdigest()[:16]
