"""Settings that follow from a project's own fields, and what a server still holds of a list."""

from .catalog import SECRET
from .dates import DAY
from .dice import pick
from .extras import CheckIn, Monitor
from .model import Project, Row

CHECKINS_KEPT = 30 * DAY
LEGACY_BROWSERS = ("ie", "opera", "safari", "edge", "firefox", "chrome", "android", "opera_mini")


def key_ids(project: Project) -> dict[bool, str]:
    """The ids of a project's keys, by whether they are active."""
    return {True: project.public_key, False: project.public_key[::-1]}


def key_secret(project: Project, *, active: bool) -> str:
    """The secret of a key, as old DSNs have it; a real relay does not look at it."""
    return f"{SECRET}-key-{project.id}-{int(active)}"


def ownership_of(known: dict[str, Row], project: Project) -> Row:
    """The rules of a project, or what stands for none."""
    nothing: Row = {
        "raw": None,
        "fallthrough": True,
        "dateCreated": None,
        "lastUpdated": None,
        "isActive": True,
        "autoAssignment": "Auto Assign to Issue Owner",
        "codeownersAutoSync": True,
        "schema": None,
    }
    return known.get(project.id, nothing)


def filters_of(project: Project) -> list[Row]:
    """Which filters are on."""
    number = int(project.id)
    browsers = list(LEGACY_BROWSERS[: number % 5]) if number % 2 else False
    return [
        {"id": "browser-extensions", "active": pick(number, 1, (True, False))},
        {"id": "filtered-transaction", "active": True},
        {"id": "legacy-browsers", "active": browsers},
        {"id": "localhost", "active": pick(number, 2, (True, False))},
        {"id": "web-crawlers", "active": True},
    ]


def kept_checkins(now: int, monitor: Monitor) -> list[CheckIn]:
    """The check-ins that the server still has, oldest first."""
    return [checkin for checkin in monitor.checkins if checkin.added >= now - CHECKINS_KEPT]
