"""Query parameters of a request, in their order."""

from collections.abc import Sequence
from urllib.parse import urlencode


class Params:
    """Query parameters; a repeated name keeps all its values, and the last one counts alone."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.pairs = list(pairs)
        self._last = dict(self.pairs)

    def get(self, name: str) -> str | None:
        """The value of a parameter, None when it is absent; present and empty is the empty text."""
        return self._last.get(name)

    def all(self, name: str) -> list[str]:
        """Every value of a parameter that may be repeated."""
        return [value for key, value in self.pairs if key == name]

    def flag(self, name: str) -> bool:
        """Whether a switch is on: only `1` and `true` are."""
        return (self._last.get(name) or "").lower() in {"1", "true"}

    def without(self, name: str) -> str:
        """The query text with one parameter left out."""
        return urlencode([pair for pair in self.pairs if pair[0] != name])
