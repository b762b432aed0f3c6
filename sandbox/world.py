"""What the server knows, and how tests change it while it serves."""

from bisect import insort
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from . import catalog, extras_growth, growth, paint
from .additions import Moment
from .dates import DAY, seconds
from .dice import base32
from .dice import event_id as new_event_id
from .endings import Endings
from .model import (
    Assignee,
    Environment,
    Event,
    Issue,
    Kind,
    Member,
    Project,
    Release,
    Row,
    Status,
    Stored,
    Team,
)
from .truth import truth_of

FUTURE_ALLOWED = 60
PAST_ALLOWED = 30 * DAY


class World(Endings):
    """An organization that can be changed; every method may be called while it is served.

    What is handed out may be read freely. It changes through these methods: the server keeps what it
    has rendered until they say that something is different.
    """

    @classmethod
    def build(
        cls,
        *,
        seed: int = 1,
        projects: int = 3,
        issues: int = 120,
        events: int = 6000,
        days: int = 14,
        now: datetime | None = None,
    ) -> "World":
        """Make up a world: the same arguments always give the same one.

        Args:
            seed: What the made-up data depend on.
            projects: How many projects.
            issues: How many issues, each with at least one event.
            events: How many events, spread over the last `days`; some share a second.
            days: How far back the events go.
            now: The server's time, which then stands still; None: the real time, moving.
        """
        world = cls(seed=seed, now=now)
        growth.populate(world, projects=projects, issues=issues, events=events, days=days)
        extras_growth.populate(world)
        return world

    def truth(self, *tables: str) -> dict[str, list[Row]]:
        """What a full reading of the API can see now, by table: of all tables, or of those named."""
        with self.lock:
            return truth_of(self, tables)

    def add_team(self, slug: str, name: str | None = None) -> Team:
        """Add a team."""
        with self.lock:
            team = Team(str(20 + len(self.teams)), slug, name or slug.title(), self.organization.created)
            self.teams.append(team)
            self.changed()
            return team

    def add_member(self, email: str, *, role: str = "member", pending: bool = False) -> Member:
        """Add a member, or invite one (`pending`), who then has no user."""
        with self.lock:
            number = self.next_id("member")
            name = email.partition("@")[0].replace("user", "User ")
            user_id = None if pending else str(9_000 + number)
            member = Member(str(number), user_id, email, name, role, self.seconds_now - 300 * DAY)
            member.teams = [self.teams[number % len(self.teams)].slug] if self.teams else []
            self.members.append(member)
            self.changed()
            return member

    def add_project(self, slug: str, *, platform: str = "python", name: str | None = None) -> Project:
        """Add a project without events; it gets a public key and belongs to the first team."""
        with self.lock:
            if not self.teams:
                self.add_team(*catalog.TEAMS[0])
            number = self.next_id("project")
            project = Project(
                id=str(number),
                slug=slug,
                name=name or slug.title(),
                platform=platform,
                created=self.seconds_now - 400 * DAY,
                team=self.teams[number % len(self.teams)],
                public_key=new_event_id(self.random),
            )
            self.all_projects[project.id] = project
            self.moved_slugs.pop(slug, None)
            self.changed()
            return project

    def add_environment(self, name: str, project: "str | Project", *, hidden: bool = False) -> Environment:
        """Make an environment known to a project; events do it by themselves."""
        with self.lock:
            owner = self.project(project)
            environment = self.environments.get(name)
            if environment is None:
                environment = Environment(str(self.next_id("environment")), name)
                self.environments[name] = environment
            if owner.id not in environment.project_ids:
                environment.project_ids[owner.id] = str(self.next_id("environment"))
                self.changed()
            if hidden:
                environment.hidden_in.add(owner.id)
            return environment

    def add_release(
        self,
        version: str,
        project: "str | Project",
        *,
        at: Moment = None,
        released: Moment = None,
        status: Literal["open", "archived"] = "open",
    ) -> Release:
        """Add a release, or one more project to the release of this version."""
        with self.lock:
            owner = self.project(project)
            release = self.releases.get(version)
            if release is None:
                when = None if released is None else seconds(released, 0)
                number = self.next_id("release")
                release = Release(number, version, seconds(at, self.seconds_now), when, status, [owner])
                self.releases[version] = release
            elif owner not in release.projects:
                release.projects.append(owner)
            self.changed()
            return release

    def delete_release(self, version: str) -> None:
        """Remove a release; its events keep the name."""
        with self.lock:
            del self.releases[version]
            self.changed()

    def add_issue(
        self, *, project: "str | Project", kind: Kind | None = None, at: Moment = None, events: int = 1
    ) -> Issue:
        """Add an issue with some events at one moment (default now); without events no list shows it."""
        with self.lock:
            owner, when = self.project(project), seconds(at, self.seconds_now)
            issue = self._new_issue(owner, kind, when)
            for _ in range(events):
                self.add_event(project=owner, issue=issue, at=when)
            return issue

    def _new_issue(self, project: Project, kind: Kind | None, at: int) -> Issue:
        number = self.next_id("issue")
        project.issue_numbers += 1
        issue = Issue(
            id=str(number),
            project=project,
            short_id=f"{project.prefix}-{base32(project.issue_numbers)}",
            kind=kind or paint.make_kind(self.random.getrandbits(60)),
            first_seen=at,
            last_seen=at,
            changed_at=at,
            substatus="new",
        )
        self.all_issues[issue.id] = issue
        self.changed()
        return issue

    def add_feedback(
        self, *, project: "str | Project", message: str = "It does not work", at: Moment = None
    ) -> Issue:
        """Add user feedback: an issue of the category that lists hide unless asked for."""
        with self.lock:
            owner, when = self.project(project), seconds(at, self.seconds_now)
            title = f"User Feedback: {message}"
            kind = Kind("default", title, "user", None, message, "", "", "")
            issue = self._new_issue(owner, kind, when)
            issue.category, issue.level = "feedback", "info"
            event = Event(new_event_id(self.random), owner, issue, when, self.seconds_now, level="info")
            # Feedback is no error event: the issue has it, the project's error events do not.
            insort(issue.timeline, (when, event.event_id, event))
            issue.times_seen = 1
            return issue

    def add_event(
        self,
        *,
        project: "str | Project",
        issue: "str | Issue | None" = None,
        at: Moment = None,
        event_id: str | None = None,
        release: str | None = None,
        environment: str | None = None,
        level: str = "error",
        user: Row | None = None,
        message: str | None = None,
        tags: Mapping[str, str] | None = None,
        received: Moment = None,
        body: bool = True,
        grouped: bool = True,
        stored: Stored | None = None,
    ) -> Event:
        """Add an event.

        An event id that the project already holds changes nothing: the first one wins. An event into a
        resolved issue opens it again.

        Args:
            project: Slug, id or project.
            issue: The issue it belongs to; None makes a new one.
            at: When it happened; default now.
            event_id: 32 hexadecimal digits; default made up.
            release: Version; it becomes a release of the organization when it is new.
            environment: Name; likewise.
            level: The level.
            user: The user, with at least an `id`.
            message: The message; default made up.
            tags: Tags beside the made-up ones.
            received: When the server got it; default now.
            body: False: the body is lost, the event is listed but its detail answers 404.
            grouped: False: it belongs to no issue.
            stored: The content as it was sent; default made up.
        """
        with self.lock:
            owner, when = self.project(project), seconds(at, self.seconds_now)
            key = event_id or new_event_id(self.random)
            if key in owner.by_id:
                return owner.by_id[key]
            group = self.issue(issue) if issue else self._new_issue(owner, None, when) if grouped else None
            event = Event(
                key,
                owner,
                group,
                when,
                seconds(received, max(when, self.seconds_now)),
                release,
                environment,
                level,
            )
            event.user = f"id:{user['id']}" if user and "id" in user else None
            event.row, event.has_body, event.stored = self.next_id("row"), body, stored
            if stored is None and (message is not None or user is not None or tags):
                event.stored = paint.spelled_out(event, message=message, user=user, tags=dict(tags or {}))
            self.file(event)
            return event

    def add_events(
        self,
        n: int,
        *,
        at: Moment = None,
        project: "str | Project | None" = None,
        issue: "str | Issue | None" = None,
        release: str | None = None,
        environment: str | None = None,
    ) -> list[Event]:
        """Add many events in one second; default: in the first project, in one new issue."""
        with self.lock:
            group = self.issue(issue) if issue else None
            owner = group.project if group else self.project(project or self.projects[0])
            group = group or self._new_issue(owner, None, seconds(at, self.seconds_now))
            return [
                self.add_event(project=owner, issue=group, at=at, release=release, environment=environment)
                for _ in range(n)
            ]

    def file(self, event: Event) -> None:
        """Put an event where lists, issues, releases and environments find it."""
        entry = (event.at, event.event_id, event)
        insort(event.project.timeline, entry)
        event.project.by_id[event.event_id] = event
        if event.release:
            release = self.releases.get(event.release)
            if release is None or event.project not in release.projects:
                release = self.add_release(event.release, event.project, at=event.received)
            release.first_event = min(release.first_event or event.at, event.at)
            release.last_event = max(release.last_event or event.at, event.at)
        if event.environment:
            self.add_environment(event.environment, event.project)
        if event.issue:
            insort(event.issue.timeline, entry)
            self._count(event.issue, event)
        self.changed()

    def _count(self, issue: Issue, event: Event) -> None:
        issue.times_seen += 1
        issue.first_seen = min(issue.first_seen, event.at)
        issue.last_seen = max(issue.last_seen, event.at)
        issue.users_cache.clear()
        if issue.status == "resolved" and event.at >= issue.changed_at:
            self._set_status(issue, "unresolved", "regressed", {})

    def _set_status(self, issue: Issue, status: Status, substatus: str | None, details: Row) -> None:
        kinds = {"unresolved": "set_regression", "resolved": "set_resolved", "ignored": "set_ignored"}
        issue.status, issue.substatus, issue.status_details = status, substatus, details
        self.note(issue, kinds[status])

    def resolve(self, issue: "str | Issue") -> Issue:
        """Resolve an issue."""
        with self.lock:
            found = self.issue(issue)
            self._set_status(found, "resolved", None, {})
            return found

    def archive(self, issue: "str | Issue") -> Issue:
        """Archive an issue until it escalates; the API calls that `ignored`."""
        with self.lock:
            found = self.issue(issue)
            self._set_status(found, "ignored", "archived_until_escalating", {})
            return found

    def assign(self, issue: "str | Issue", to: "Member | Team | None") -> Issue:
        """Assign an issue to a member or a team, or to nobody."""
        with self.lock:
            found = self.issue(issue)
            if isinstance(to, Member):
                found.assignee = Assignee("user", to.user_id or to.id, to.name, to.email)
            else:
                found.assignee = Assignee("team", to.id, to.name) if to else None
            self.note(found, "assigned" if to else "unassigned")
            return found

    def rename_project(self, project: "str | Project", new_slug: str) -> Project:
        """Give a project another slug; the API redirects from the old one."""
        with self.lock:
            found = self.project(project)
            self.moved_slugs[found.slug] = found
            self.moved_slugs.pop(new_slug, None)
            found.slug = new_slug
            self.changed()
            return found

    def remove_project(self, project: "str | Project") -> None:
        """Remove a project with everything in it."""
        with self.lock:
            found = self.project(project)
            found.active = False
            for release in list(self.releases.values()):
                release.projects = [owner for owner in release.projects if owner is not found]
                if not release.projects:
                    del self.releases[release.version]
            for environment in self.environments.values():
                environment.project_ids.pop(found.id, None)
            self.changed()

    def clamp(self, at: float, received: int) -> int:
        """When an event sent now happened: too far ahead or behind, it is dated by its arrival."""
        too_late, too_early = received + FUTURE_ALLOWED, received - PAST_ALLOWED
        return received if at > too_late or at < too_early else int(at)
