"""The things a Sentry organization holds, as the stand-in keeps them.

Times are whole unix seconds. Ids are text where the API shows text.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import orjson

Row: TypeAlias = dict[str, object]
Status = Literal["unresolved", "resolved", "ignored"]
Pending = Literal["pending_merge", "pending_deletion"]


@dataclass(slots=True, eq=False)
class Organization:
    """The organization all data belong to."""

    id: str
    slug: str
    name: str
    created: int


@dataclass(slots=True, eq=False)
class Team:
    """A team; projects and members name it."""

    id: str
    slug: str
    name: str
    created: int


@dataclass(slots=True, eq=False)
class Member:
    """A member of the organization; an invitation not yet taken up has no user."""

    id: str
    user_id: str | None
    email: str
    name: str
    role: str
    created: int
    teams: list[str] = field(default_factory=list)

    @property
    def pending(self) -> bool:
        """Whether this is an invitation."""
        return self.user_id is None


@dataclass(slots=True, eq=False)
class Environment:
    """An environment of the organization; its projects know it by ids of their own."""

    id: str
    name: str
    project_ids: dict[str, str] = field(default_factory=dict)
    hidden_in: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Release:
    """A release; its version is unique in the organization."""

    id: int
    version: str
    created: int
    released: int | None
    status: Literal["open", "archived"]
    projects: "list[Project]"
    commit_count: int = 0
    author: Member | None = None
    first_event: int | None = None
    last_event: int | None = None


@dataclass(slots=True, eq=False)
class Event:
    """One error event. What lists and bodies show is made from its seed, or from `stored`."""

    event_id: str
    project: "Project"
    issue: "Issue | None"
    at: int
    received: int
    release: str | None = None
    environment: str | None = None
    level: str = "error"
    user: str | None = None
    millis: int = 0
    row: int = 0
    has_body: bool = True
    stored: "Stored | None" = None

    @property
    def seed(self) -> int:
        """What the made-up content of this event depends on."""
        return int(self.event_id[:15], 16)

    @property
    def date(self) -> datetime:
        """When it happened, by the clock of the client that sent it."""
        return datetime.fromtimestamp(self.at, UTC)


Entry: TypeAlias = tuple[int, str, Event]
Serialized: TypeAlias = tuple[object, orjson.Fragment]
"""What a row depends on, and the row."""


@dataclass(slots=True, eq=False)
class Project:
    """A project, with its events in order of time."""

    id: str
    slug: str
    name: str
    platform: str
    created: int
    team: Team
    public_key: str
    bookmarked: bool = False
    active: bool = True
    issue_numbers: int = 0
    timeline: list[Entry] = field(default_factory=list)
    by_id: dict[str, Event] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """What short ids of its issues begin with."""
        return self.slug.upper()


@dataclass(slots=True, eq=False)
class Kind:
    """What the events of an issue have in common."""

    type: Literal["error", "default"]
    title: str
    culprit: str
    exception: str | None
    value: str
    function: str
    module: str
    filename: str
    logger: str | None = None


@dataclass(slots=True, eq=False)
class Assignee:
    """Who an issue is assigned to."""

    type: Literal["user", "team"]
    id: str
    name: str
    email: str | None = None


@dataclass(slots=True, eq=False)
class Issue:
    """A group of events, with the numbers that outlive them.

    What differs by the one who looks is kept by the ids of users: when each saw it, who bookmarked it, and
    who subscribed, with the reason.
    """

    id: str
    project: Project
    short_id: str
    kind: Kind
    first_seen: int
    last_seen: int
    category: Literal["error", "feedback"] = "error"
    level: str = "error"
    status: Status = "unresolved"
    substatus: str | None = "ongoing"
    status_details: Row = field(default_factory=dict)
    priority: str = "medium"
    assignee: Assignee | None = None
    priority_locked_at: int | None = None
    share_id: str | None = None
    needs_review: bool = True
    seen_by: dict[str, int] = field(default_factory=dict)
    bookmarked_by: set[str] = field(default_factory=set)
    subscribers: dict[str, str] = field(default_factory=dict)
    times_seen: int = 0
    merged_into: "Issue | None" = None
    merging_into: "Issue | None" = None
    pending: Pending | None = None
    deleted: bool = False
    activity: list[Row] = field(default_factory=list)
    timeline: list[Entry] = field(default_factory=list)
    changed_at: int = 0
    users_cache: dict[tuple[int, int], int] = field(default_factory=dict)
    row_cache: tuple[object, object] = (None, None)

    @property
    def gone(self) -> bool:
        """Whether it has left the lists for good: merged or deleted."""
        return self.deleted or self.merged_into is not None

    @property
    def hidden(self) -> bool:
        """Whether no list shows it: it is gone, or a merge or deletion of it has begun."""
        return self.gone or self.pending is not None


@dataclass(slots=True)
class Outline:
    """What an event shows in lists."""

    type: str
    title: str
    message: str
    location: str | None
    culprit: str | None
    metadata: Row
    user: Row | None
    tags: list[tuple[str, str]]
    platform: str


@dataclass(slots=True)
class Body:
    """What only a full event shows."""

    entries: list[Row]
    contexts: object
    context: object
    packages: object
    sdk: object
    fingerprints: list[str]
    errors: list[Row] = field(default_factory=list)
    dist: str | None = None
    size: int | None = 8_000
    meta: Row = field(default_factory=dict)


@dataclass(slots=True)
class Stored:
    """The content of an event that was sent or spelled out, not made up."""

    outline: Outline
    body: Body
