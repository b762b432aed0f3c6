"""What came in through the relay, as tests look at it."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from .model import Project

Outcome = Literal["accepted", "duplicate", "rate_limited", "refused", "overloaded"]


@dataclass(frozen=True)
class SentEvent:
    """An event the relay has taken.

    Attributes:
        project: The project it was sent to.
        event_id: Its id: that of the envelope, or of the document sent to the store endpoint.
        raw: The document, byte by byte as it was sent.
        duplicate: Whether the project had an event of this id, so that nothing was stored.
    """

    project: Project
    event_id: str
    raw: bytes
    duplicate: bool

    @property
    def document(self) -> Any:
        """The document as JSON."""
        return orjson.loads(self.raw)


class Ingested(Counter[str]):
    """How many items of each kind the relay has taken.

    Attributes:
        events: Every event taken, in the order they came, with what was sent.
        outcomes: How many items of which kind went which way; a request that was refused or turned away as
            a whole counts once, under the empty kind.
    """

    def __init__(self, kinds: "Counter[str] | None" = None) -> None:
        super().__init__(kinds or {})
        self.events: list[SentEvent] = []
        self.outcomes: Counter[tuple[Outcome, str]] = Counter()

    def copy(self) -> "Ingested":
        """A copy that stays as it is."""
        made = Ingested(self)
        made.events, made.outcomes = list(self.events), Counter(self.outcomes)
        return made
