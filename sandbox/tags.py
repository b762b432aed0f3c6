"""Tags added up: which keys and values the events of a project or an issue carry, how often and when."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import md5

from .dates import Window
from .holdings import Holdings
from .lists import bounds
from .model import Event, Issue, Project, Row
from .paint import outline_of

PROTECTED = ("level", "logger", "server_name", "site", "url", "release", "environment")


@dataclass(slots=True)
class TagValue:
    """One value of a tag."""

    value: str
    count: int = 0
    first: int = 0
    last: int = 0

    def add(self, at: int, count: int = 1, first: int | None = None) -> None:
        """Count events up to a moment."""
        begun = at if first is None else first
        self.first = min(self.first, begun) if self.count else begun
        self.last = max(self.last, at)
        self.count += count


@dataclass(slots=True)
class TagKey:
    """One tag with all its values."""

    key: str
    values: dict[str, TagValue] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many events carry it."""
        return sum(value.count for value in self.values.values())

    @property
    def name(self) -> str:
        """The label shown for it."""
        return self.key.replace(".", " ").replace("_", " ").title()

    def newest_first(self) -> list[TagValue]:
        """The values, those seen last first."""
        return sorted(self.values.values(), key=lambda value: (-value.last, value.value))

    def most_common(self, limit: int) -> list[TagValue]:
        """The values seen most."""
        return sorted(self.values.values(), key=lambda value: (-value.count, value.value))[:limit]


Tags = dict[str, TagKey]


def count_tags(events: Iterable[Event]) -> Tags:
    """The tags of some events by key."""
    found: Tags = {}
    for event in events:
        for key, value in outline_of(event).tags:
            tag = found.setdefault(key, TagKey(key))
            tag.values.setdefault(value, TagValue(value)).add(event.at)
    return dict(sorted(found.items()))


def tags_of(
    world: Holdings,
    owner: Project | Issue,
    window: Window | None = None,
    environments: frozenset[str] = frozenset(),
) -> Tags:
    """The tags of a project's or an issue's events that lie in a window."""
    low, high = bounds(world, owner, window)
    events = (entry[2] for entry in owner.timeline[low:high])
    return count_tags(event for event in events if not environments or event.environment in environments)


def together(parts: Iterable[Tags]) -> Tags:
    """The tags of several owners as one."""
    found: Tags = {}
    for part in parts:
        for key, tag in part.items():
            into = found.setdefault(key, TagKey(key))
            for value in tag.values.values():
                into.values.setdefault(value.value, TagValue(value.value)).add(
                    value.last, value.count, value.first
                )
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class EndUser:
    """A customer of a project, as its events name it."""

    tag_value: str
    ident: str | None
    username: str
    email: str
    ip: str

    @property
    def hash(self) -> str:
        """The key Sentry gives it."""
        return md5(self.tag_value.encode(), usedforsecurity=False).hexdigest()

    def row(self) -> Row:
        """The shape of the API."""
        return {
            "id": self.ident,
            "tagValue": self.tag_value,
            "identifier": self.ident or "",
            "username": self.username,
            "email": self.email,
            "name": self.username.title(),
            "ipAddress": self.ip,
            "avatarUrl": f"https://avatars.example.com/{self.hash}",
            "hash": self.hash,
            "dateCreated": None,
        }


def end_user(tag_value: str) -> EndUser:
    """The customer behind the value of a `user` tag, such as `id:17`."""
    kind, _, ident = tag_value.partition(":")
    if kind != "id":
        return EndUser(tag_value, None, "", "", ident)
    number = int(ident) if ident.isdigit() else 0
    address = f"203.0.113.{1 + number % 254}"
    return EndUser(tag_value, ident, f"user{ident}", f"user{ident}@example.com", address)


def end_users(world: Holdings, project: Project) -> list[EndUser]:
    """The customers seen in a project, and one known by its address alone."""
    low, high = bounds(world, project, None)
    seen = {entry[2].user for entry in project.timeline[low:high] if entry[2].user}
    if not seen:
        return []
    return [*(end_user(value) for value in sorted(seen)), end_user(f"ip:198.51.100.{int(project.id) % 254}")]
