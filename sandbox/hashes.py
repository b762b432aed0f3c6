"""The hashes that events of an issue were grouped by: mostly one, for some issues a few pages of them."""

from .dice import roll
from .holdings import Holdings
from .lists import visible_slice
from .model import Event, Issue

MANY_EVERY = 6


def hash_of(issue: Issue, event: Event) -> str:
    """The hash of one event of an issue."""
    number = int(issue.id)
    variants = 1 if number % MANY_EVERY else 11 + roll(number, 71, 20)
    return f"{roll(number, 72 + roll(event.seed, 73, variants), 1 << 40):032x}"


def latest_by_hash(world: Holdings, issue: Issue) -> dict[str, Event]:
    """The newest event of each hash, newest first."""
    found: dict[str, Event] = {}
    for entry in reversed(visible_slice(world, issue)):
        found.setdefault(hash_of(issue, entry[2]), entry[2])
    return found
