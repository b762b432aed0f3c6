"""Slices of a timeline: which events lie in a window, and what that says of an issue."""

from bisect import bisect_left
from typing import NamedTuple

from .dates import Window
from .holdings import Holdings
from .model import Entry, Issue, Project


def bounds(world: Holdings, owner: Project | Issue, window: Window | None) -> tuple[int, int]:
    """Where in a timeline a window begins and ends; events beyond the retention never count."""
    timeline = owner.timeline
    start, end = world.horizon, None
    if window is not None:
        start, end = max(start, window.start), window.end
    low = 0
    if timeline and timeline[0][0] < start:
        low = bisect_left(timeline, (start,))
    high = len(timeline)
    if end is not None and timeline and timeline[-1][0] >= end:
        high = bisect_left(timeline, (end,))
    return low, max(low, high)


def visible_slice(world: Holdings, owner: Project | Issue) -> list[Entry]:
    """The events of a project or an issue that the server still answers for, oldest first."""
    low, high = bounds(world, owner, None)
    return owner.timeline[low:high]


class Numbers(NamedTuple):
    """What the events of an issue inside a window add up to."""

    events: int
    users: int
    first: Entry
    last: Entry


def numbers(
    world: Holdings, issue: Issue, window: Window | None, environments: frozenset[str] = frozenset()
) -> Numbers | None:
    """The numbers of an issue in a window, None when no event of it lies there."""
    low, high = bounds(world, issue, window)
    if environments:
        chosen = [entry for entry in issue.timeline[low:high] if entry[2].environment in environments]
        return Numbers(len(chosen), _users(chosen), chosen[0], chosen[-1]) if chosen else None
    if low == high:
        return None
    users = issue.users_cache.get((low, high))
    if users is None:
        users = issue.users_cache[low, high] = _users(issue.timeline[low:high])
    return Numbers(high - low, users, issue.timeline[low], issue.timeline[high - 1])


def _users(entries: list[Entry]) -> int:
    return len({entry[2].user for entry in entries if entry[2].user is not None})
