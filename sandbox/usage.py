"""Numbers by hour: what was accepted or dropped, and the sessions of releases. All follow from ids.

The hour that is not over yet counts for the part that has passed, so the last bucket of a series grows.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from .dates import DAY
from .dice import roll
from .holdings import Holdings
from .model import Project, Release

HOUR = 3_600
ACCEPTED_ERRORS = ("error", "accepted", "none")
MADE_UP: tuple[tuple[str, str, str], ...] = (
    ("error", "filtered", "web-crawlers"),
    ("error", "rate_limited", "key_quota"),
    ("error", "client_discard", "sample_rate"),
    ("attachment", "accepted", "none"),
    ("replay", "accepted", "none"),
    ("monitor", "accepted", "none"),
)
MOST = {"attachment": 4_000_000}
ENVIRONMENTS = ("production", "staging")
LIFETIME = 45 * DAY


def _in_hours(per_day: int, start: int, end: int) -> int:
    """What falls between two moments of one day when so much falls on the whole day."""
    midnight = start // DAY * DAY
    return per_day * (end - midnight) // DAY - per_day * (start - midnight) // DAY


def _days(start: int, end: int) -> Iterator[tuple[int, int, int]]:
    at = start
    while at < end:
        day = at // DAY
        stop = min(end, (day + 1) * DAY)
        yield day, at, stop
        at = stop


def outcome_kinds(world: Holdings, project: Project) -> list[tuple[str, str, str]]:
    """The kinds of outcomes a project has: category, outcome, reason."""
    added = {one.kind for one in world.extras.outcomes if one.project_id == project.id}
    return [ACCEPTED_ERRORS, *MADE_UP, *sorted(added - {ACCEPTED_ERRORS, *MADE_UP})]


def outcomes(world: Holdings, project: Project, kind: tuple[str, str, str], start: int, end: int) -> int:
    """How much of one kind a project had between two moments; nothing lies ahead or beyond the retention."""
    start, end = max(start, world.horizon), min(end, world.seconds_now + 1)
    total = sum(
        one.amount
        for one in world.extras.outcomes
        if one.project_id == project.id and one.kind == kind and start <= one.at < end
    )
    if end <= start:
        return total
    if kind == ACCEPTED_ERRORS:
        low, high = bisect_left(project.timeline, (start,)), bisect_left(project.timeline, (end,))
        return total + max(0, high - low)
    if kind not in MADE_UP:
        return total
    salt, most = MADE_UP.index(kind) + 1, MOST.get(kind[0], 60)
    for day, since, until in _days(start, end):
        busy = roll(int(project.id) * 100_003 + day, salt, 10) > 2
        total += _in_hours(roll(int(project.id) * 100_003 + day, salt + 20, most), since, until) * busy
    return total


@dataclass(frozen=True)
class Sessions:
    """Sessions of a release in a time, and how many of them crashed."""

    sessions: int = 0
    crashed: int = 0

    @property
    def users(self) -> int:
        """Distinct users; fewer than sessions, and no sum of the parts in the real API either."""
        return (self.sessions * 3 + 4) // 5

    @property
    def crashed_users(self) -> int:
        """Distinct users who had a crash."""
        return min(self.users, (self.crashed * 3 + 4) // 5)

    @property
    def crash_free_sessions(self) -> float | None:
        """The share of sessions that did not crash; None without sessions."""
        return 1 - self.crashed / self.sessions if self.sessions else None

    @property
    def crash_free_users(self) -> float | None:
        """The share of users who had no crash; None without users."""
        return 1 - self.crashed_users / self.users if self.users else None

    def __add__(self, other: "Sessions") -> "Sessions":
        return Sessions(self.sessions + other.sessions, self.crashed + other.crashed)


def percent(share: float | None) -> float | None:
    """A share as a percentage."""
    return None if share is None else round(100 * share, 6)


def session_releases(world: Holdings, project: Project) -> list[str]:
    """The versions that a project has sessions of."""
    own = [release.version for release in world.releases.values() if project in release.projects]
    added = {one.kind[0] for one in world.extras.sessions if one.project_id == project.id}
    return [*own, *sorted(added - set(own))]


def session_environments(world: Holdings, project: Project, version: str) -> list[str]:
    """The environments that a release has sessions in."""
    added = {o.kind[1] for o in world.extras.sessions if (o.project_id, o.kind[0]) == (project.id, version)}
    return [*ENVIRONMENTS, *sorted(added - set(ENVIRONMENTS))]


def sessions(
    world: Holdings, project: Project, version: str, environment: str | None, start: int, end: int
) -> Sessions:
    """The sessions of a release between two moments, in one environment or in all."""
    if environment is None:
        names = session_environments(world, project, version)
        return sum((sessions(world, project, version, name, start, end) for name in names), Sessions())
    start, end = max(start, world.horizon), min(end, world.seconds_now + 1)
    release = world.releases.get(version)
    counted = _made_up(project, release, environment, start, end) if release else Sessions()
    for one in world.extras.sessions:
        if (one.project_id, *one.kind[:2]) == (project.id, version, environment) and start <= one.at < end:
            counted += Sessions(one.amount, one.crashed)
    return counted


def _made_up(project: Project, release: Release, environment: str, start: int, end: int) -> Sessions:
    """Sessions from the day a release was made on, for some weeks; some days have none."""
    if project not in release.projects or environment not in ENVIRONMENTS:
        return Sessions()
    first = release.created // DAY * DAY
    total = crashed = 0
    seed = (release.id * 1_009 + int(project.id)) * 100_003
    salt = ENVIRONMENTS.index(environment) + 50
    for day, since, until in _days(max(start, first), min(end, first + LIFETIME)):
        per_day = roll(seed + day, salt, 90) if roll(seed + day, salt + 10, 4) else 0
        total += _in_hours(per_day, since, until)
        crashed += _in_hours(per_day // 15, since, until)
    return Sessions(total, min(total, crashed))


def project_stat(world: Holdings, project: Project, stat: str, start: int, end: int) -> int:
    """One count of a project between two moments: received, rejected, blacklisted or generated events."""
    parts = {
        "generated": [ACCEPTED_ERRORS],
        "rejected": [MADE_UP[1]],
        "blacklisted": [MADE_UP[0]],
        "received": [ACCEPTED_ERRORS, *MADE_UP[:2]],
    }
    return sum(outcomes(world, project, kind, start, end) for kind in parts[stat])
