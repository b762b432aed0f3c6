"""What a stand-in server is to be: its world, its limits, its latency."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True)
class Setup:
    """A world and how it is served.

    Attributes:
        events: How many events.
        issues: How many issues they belong to.
        projects: How many projects.
        days: Over how many days the events are spread.
        saas: Whether it has the rate limits of sentry.io; else it has none, as a self-hosted server.
        latency: Seconds that each request takes besides its work.
        behind: Seconds that the server's clock is behind this machine's.
    """

    events: int
    issues: int
    projects: int = 3
    days: int = 14
    saas: bool = False
    latency: float = 0.0
    behind: int = 0

    def divided(self, divisor: int) -> Setup:
        """The same with so many times fewer events and issues."""
        issues = max(self.projects, self.issues // divisor)
        return replace(self, events=self.events // divisor, issues=issues)

    def to_json(self) -> str:
        """As text, for the server's process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Setup:
        """From such text."""
        return cls(**json.loads(text))
