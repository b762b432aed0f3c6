"""What the newest hour held when it was read: while Sentry names the same events, it is not read again."""

from __future__ import annotations

import hashlib
from typing import Any

from .event_ids import Ids
from .windows import Window


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
        """From when on a window has to be read: its start, or where what was read before still is as it was."""
        start, end, digest = self._noted.get(project_id, (0, 0, ""))
        is_look_back = start == window.start and start < end <= window.end
        if is_look_back and digest == _digest(Window(start, end), ids):
            return int(end)
        return window.start

    def note(self, project_id: str, window: Window, ids: Ids | None) -> None:
        """Note what a window that was read ends with; None where that is not known."""
        tail = Window(window.end - self._lookback, window.end)
        if ids is None or tail.start < window.start:
            self._noted.pop(project_id, None)
        else:
            self._noted[project_id] = [tail.start, tail.end, _digest(tail, ids)]


def _digest(window: Window, ids: Ids) -> str:
    inside = sorted(
        f"{event_id} in {known.issue}"  # an issue that was merged gives its events another one
        for event_id, known in ids.items()
        if window.start <= known.second < window.end
    )
    return hashlib.sha256(" ".join(inside).encode()).hexdigest()[:32]
