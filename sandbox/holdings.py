"""What there is: the lists of an organization, its clock, and finding things in it."""

import threading
from datetime import UTC, datetime
from random import Random

from .clock import Clock
from .dates import DAY
from .extras import Extras, Monitor, Replay
from .model import Environment, Event, Issue, Member, Organization, Project, Release, Serialized, Team


class Holdings:
    """An organization with all that Sentry knows of it: the lists, the clock, the look-ups."""

    def __init__(self, *, seed: int = 1, now: datetime | None = None) -> None:
        self.lock = threading.RLock()
        self.clock = Clock(now.replace(tzinfo=UTC) if now and now.tzinfo is None else now)
        self.random = Random(seed)
        self.extras = Extras(seed)
        self.retention_days = 90
        self.whole_seconds = True
        self.version = 0
        self.organization = Organization("4501", "acme", "Acme", self.seconds_now - 900 * DAY)
        self.teams: list[Team] = []
        self.members: list[Member] = []
        self.all_projects: dict[str, Project] = {}
        self.environments: dict[str, Environment] = {}
        self.releases: dict[str, Release] = {}
        self.all_issues: dict[str, Issue] = {}
        self.moved_slugs: dict[str, Project] = {}
        self.grouped: dict[tuple[str, str], Issue] = {}
        self.last_search: tuple[object, object] = (None, None)
        self.last_selection: tuple[object, object] = (None, None)
        self.simple_events: dict[Event, Serialized] = {}
        self.full_events: dict[Event, Serialized] = {}
        self._ids = {
            "project": 100,
            "issue": 5000,
            "release": 700,
            "environment": 300,
            "row": 0,
            "member": 40,
            "share": 0,
        }

    @property
    def now(self) -> datetime:
        """The server's time; it can be set."""
        return self.clock.now

    @now.setter
    def now(self, moment: datetime) -> None:
        self.clock.set(moment)

    def advance(self, *, seconds: float) -> None:
        """Let time pass on the server."""
        self.clock.advance(seconds)

    @property
    def seconds_now(self) -> int:
        """The server's time in whole unix seconds."""
        return self.clock.seconds

    @property
    def horizon(self) -> int:
        """The oldest second the server still answers for."""
        return self.seconds_now - self.retention_days * DAY

    @property
    def projects(self) -> list[Project]:
        """The projects, in the order they were added."""
        with self.lock:
            return [project for project in self.all_projects.values() if project.active]

    @property
    def issues(self) -> list[Issue]:
        """The issues that lists can show: neither merged away nor deleted, nor about to be."""
        with self.lock:
            return [one for one in self.all_issues.values() if not one.hidden and one.project.active]

    @property
    def events(self) -> list[Event]:
        """The error events of all projects, oldest first within a project."""
        with self.lock:
            return [entry[2] for project in self.projects for entry in project.timeline]

    @property
    def monitors(self) -> list[Monitor]:
        """The cron monitors of the projects there are."""
        return [monitor for monitor in self.extras.monitors if monitor.project.active]

    @property
    def replays(self) -> list[Replay]:
        """The replays of the projects there are, in the order they were added."""
        return [replay for replay in self.extras.replays if replay.project.active]

    def teams_of(self, project: Project) -> list[Team]:
        """The teams that own a project, its first one first."""
        others = set(self.extras.more_teams[project.id]) - {project.team.id}
        return [project.team, *(team for team in self.teams if team.id in others)]

    def reports_of(self, issue: Issue) -> int:
        """How many pieces of old feedback an issue has."""
        return sum(report.issue_id == issue.id for report in self.extras.reports[issue.project.id])

    def release(self, name: "str | Release") -> Release:
        """A release by its version.

        Raises:
            KeyError: There is none.
        """
        return name if isinstance(name, Release) else self.releases[name]

    def project(self, name: "str | Project") -> Project:
        """A project by slug or id.

        Raises:
            KeyError: There is none.
        """
        if isinstance(name, Project):
            return name
        for project in self.projects:
            if name in {project.slug, project.id}:
                return project
        raise KeyError(name)

    def issue(self, name: "str | Issue") -> Issue:
        """An issue by id or short id; one that was merged leads to where it went.

        Raises:
            KeyError: There is none, it was deleted, or its merge or deletion has begun.
        """
        found = name if isinstance(name, Issue) else self.all_issues.get(name)
        if found is None:
            found = next((issue for issue in self.issues if issue.short_id == str(name).upper()), None)
        while found is not None and found.merged_into is not None:
            found = found.merged_into
        if found is None or found.hidden or not found.project.active:
            raise KeyError(name)
        return found

    def next_id(self, kind: str) -> int:
        """A number that was not given before."""
        self._ids[kind] += 1
        return self._ids[kind]

    def changed(self) -> None:
        """Note that something is different now."""
        self.version += 1
