"""Parents that could not be read although others could: asked for again by later runs, until they can be had.

Else one issue without access would keep all others of its project from counting as read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .windows import Window, union


class Debts:
    """What is owed of single parents.

    Args:
        state: Where it is kept; changed in place.
    """

    def __init__(self, state: dict[str, dict[str, Any]]) -> None:
        self._state = state

    def debtors(self) -> dict[str, dict[str, str]]:
        """The parents, by id, with what ``owe`` was told of them."""
        return {name: debt["about"] for name, debt in self._state.items()}

    def owe(self, name: str, about: Mapping[str, str], windows: Iterable[Window]) -> None:
        """Note that a parent could not be read in some windows, besides those that are owed of it already."""
        parts = [[window.start, window.end] for window in self.with_owed(name, [*windows])]
        self._state[name] = {"about": dict(about), "windows": parts}

    def with_owed(self, name: str, windows: Iterable[Window]) -> list[Window]:
        """The windows that a run reads of a parent, together with those that are owed of it."""
        owed = self._state.get(name, {}).get("windows", ())
        return union([*windows, *(Window(start, end) for start, end in owed)])

    def pay(self, name: str) -> None:
        """Note that nothing of a parent is owed any more."""
        self._state.pop(name, None)
