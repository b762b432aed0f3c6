"""What an organization holds beside projects, people, releases, issues and events.

Things that change while a server runs are kept as objects. Settings are kept in the shape the API shows
them in.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from .model import Member, Project, Row

CheckInStatus = Literal["ok", "error", "missed", "timeout", "in_progress"]


@dataclass(slots=True, eq=False)
class Repository:
    """A repository; one that was deleted is listed when asked for."""

    id: str
    name: str
    created: int
    status: Literal["active", "pending_deletion"] = "active"
    provider: str = "github"

    @property
    def deleted(self) -> bool:
        """Whether lists hide it unless asked."""
        return self.status != "active"


@dataclass(slots=True, eq=False)
class Commit:
    """A commit of a release. Without a repository it came with the release alone."""

    sha: str
    message: str | None
    created: int
    repository: Repository | None
    author: Member | str | None
    files: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Deploy:
    """A release going to an environment."""

    id: str
    environment: str
    name: str | None
    started: int | None
    finished: int
    url: str | None = None


@dataclass(slots=True, eq=False)
class ReleaseFile:
    """An artifact of a release."""

    id: str
    name: str
    dist: str | None
    size: int
    sha1: str
    created: int


@dataclass(slots=True, eq=False)
class Comment:
    """A comment on an issue."""

    id: str
    author: Member
    text: str
    created: int


@dataclass(slots=True, eq=False)
class UserReport:
    """Feedback of the old crash-report dialog; its issue may be gone."""

    id: str
    project: Project
    event_id: str
    issue_id: str | None
    name: str
    email: str
    comments: str
    created: int


@dataclass(slots=True, eq=False)
class CheckIn:
    """One run of a monitored job; an unfinished one changes its status later."""

    id: str
    status: CheckInStatus
    environment: str
    added: int
    duration: int | None
    updated: int
    expected: int | None


@dataclass(slots=True, eq=False)
class Monitor:
    """A cron monitor with its check-ins, oldest first."""

    id: str
    slug: str
    name: str
    project: Project
    created: int
    config: Row
    owner: Member | None = None
    status: Literal["active", "disabled"] = "active"
    checkins: list[CheckIn] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Replay:
    """A session replay: the moments its segments arrived at. Archiving wipes the rest."""

    id: str
    project: Project
    segments: list[int]
    user: int
    environment: str
    release: str | None
    archived: bool = False
    errors: list[str] = field(default_factory=list)

    @property
    def started(self) -> int:
        """When it began."""
        return self.segments[0]


@dataclass(slots=True)
class Quantity:
    """Something counted beside what is made up: outcomes or sessions of one hour."""

    project_id: str
    at: int
    kind: tuple[str, str, str]
    amount: int
    crashed: int = 0


class Extras:
    """The lists, by what they hang on."""

    def __init__(self, seed: int) -> None:
        self.random = Random(f"extras-{seed}")  # Apart from the world's own, which it must not disturb.
        self.repositories: list[Repository] = []
        self.commits: defaultdict[str, list[Commit]] = defaultdict(list)
        self.deploys: defaultdict[str, list[Deploy]] = defaultdict(list)
        self.files: defaultdict[str, list[ReleaseFile]] = defaultdict(list)
        self.comments: defaultdict[str, list[Comment]] = defaultdict(list)
        self.links: defaultdict[str, list[Row]] = defaultdict(list)
        self.reports: defaultdict[str, list[UserReport]] = defaultdict(list)
        self.more_teams: defaultdict[str, list[str]] = defaultdict(list)
        self.ownership: dict[str, Row] = {}
        self.hooks: defaultdict[str, list[Row]] = defaultdict(list)
        self.sources: defaultdict[str, list[Row]] = defaultdict(list)
        self.debug_files: defaultdict[str, list[Row]] = defaultdict(list)
        self.integrations: list[Row] = []
        self.installations: list[Row] = []
        self.monitors: list[Monitor] = []
        self.detectors: list[Row] = []
        self.workflows: list[Row] = []
        self.replays: list[Replay] = []
        self.dashboards: list[Row] = []
        self.saved_queries: list[Row] = []
        self.outcomes: list[Quantity] = []
        self.sessions: list[Quantity] = []
        self._last_id = 800_000

    def next_id(self) -> str:
        """A number that was not given before."""
        self._last_id += 1
        return str(self._last_id)

    def merge_issues(self, lost: str, kept: str) -> None:
        """Move what hangs on an issue to the one it was merged into."""
        self.comments[kept] += self.comments.pop(lost, [])
        self.links[kept] += [link | {"issueId": kept} for link in self.links.pop(lost, [])]
        for reports in self.reports.values():
            for report in reports:
                if report.issue_id == lost:
                    report.issue_id = kept

    def hex(self, digits: int) -> str:
        """A made-up hash."""
        return f"{self.random.getrandbits(4 * digits):0{digits}x}"

    def uuid(self) -> str:
        """A made-up UUID with dashes."""
        text = self.hex(32)
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
