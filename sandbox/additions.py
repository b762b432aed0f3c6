"""How tests change what hangs on projects, releases, issues and monitors."""

from datetime import datetime

from .dates import seconds
from .extras import (
    CheckIn,
    CheckInStatus,
    Comment,
    Commit,
    Deploy,
    Monitor,
    Quantity,
    ReleaseFile,
    Replay,
    Repository,
    UserReport,
)
from .holdings import Holdings
from .model import Event, Issue, Member, Project, Release, Row, Team

Moment = datetime | float | None

CRONTAB: Row = {
    "schedule_type": "crontab",
    "schedule": "0 * * * *",
    "checkin_margin": 5,
    "max_runtime": 30,
    "timezone": "UTC",
    "failure_issue_threshold": 1,
    "recovery_threshold": 1,
    "alert_rule_id": None,
}


class Additions(Holdings):
    """Adding and changing; every method may be called while the world is served."""

    def add_repository(self, name: str, *, deleted: bool = False, at: Moment = None) -> Repository:
        """Add a repository."""
        with self.lock:
            made = Repository(self.extras.next_id(), name, seconds(at, self.organization.created))
            made.status = "pending_deletion" if deleted else "active"
            self.extras.repositories.append(made)
            self.changed()
            return made

    def add_commit(
        self,
        release: "str | Release",
        message: str | None = "A change",
        *,
        repository: Repository | None = None,
        author: "Member | str | None" = None,
        at: Moment = None,
        files: tuple[str, ...] = (),
    ) -> Commit:
        """Add a commit to a release: its author is a member, an e-mail address, or not known."""
        with self.lock:
            owner = self.release(release)
            changes = [(self.extras.next_id(), name, "M") for name in files]
            sha, when = self.extras.hex(40), seconds(at, self.seconds_now)
            made = Commit(sha, message, when, repository, author, changes)
            self.extras.commits[owner.version].append(made)
            owner.commit_count = len(self.extras.commits[owner.version])
            self.changed()
            return made

    def add_deploy(
        self, release: "str | Release", environment: str = "production", *, at: Moment = None
    ) -> Deploy:
        """Deploy a release now, or at a moment."""
        with self.lock:
            owner, when = self.release(release), seconds(at, self.seconds_now)
            number = self.extras.next_id()
            name = None if int(number) % 4 == 0 else f"{owner.version} to {environment}"
            started = None if int(number) % 3 == 0 else when - 60
            made = Deploy(number, environment, name, started, when, f"https://deploys.example.com/{number}")
            self.extras.deploys[owner.version].append(made)
            self.changed()
            return made

    def add_release_file(self, release: "str | Release", name: str, *, at: Moment = None) -> ReleaseFile:
        """Add an artifact to a release."""
        with self.lock:
            owner, when = self.release(release), seconds(at, self.seconds_now)
            number = self.extras.next_id()
            dist = "ios-17" if int(number) % 5 == 0 else None
            made = ReleaseFile(number, name, dist, 900 + int(number) % 7_000, self.extras.hex(40), when)
            self.extras.files[owner.version].append(made)
            self.changed()
            return made

    def add_comment(
        self, issue: "str | Issue", text: str, *, author: Member | None = None, at: Moment = None
    ) -> Comment:
        """Comment on an issue; no event comes with it."""
        with self.lock:
            found = self.issue(issue)
            writer = author or next(member for member in self.members if not member.pending)
            made = Comment(self.extras.next_id(), writer, text, seconds(at, self.seconds_now))
            self.extras.comments[found.id].append(made)
            self.changed()
            return made

    def add_external_link(self, issue: "str | Issue", name: str) -> Row:
        """Link an issue to an issue of a custom integration."""
        with self.lock:
            found, number = self.issue(issue), self.extras.next_id()
            made: Row = {
                "id": number,
                "issueId": found.id,
                "serviceType": "tracker-app",
                "displayName": name,
                "webUrl": f"https://tracker.example.com/{number}",
            }
            self.extras.links[found.id].append(made)
            self.changed()
            return made

    def add_user_report(
        self,
        project: "str | Project",
        *,
        comments: str = "It broke",
        event: Event | None = None,
        number: int = 1,
        at: Moment = None,
    ) -> UserReport:
        """Add feedback of the crash-report dialog about an event, or about one that is gone."""
        with self.lock:
            owner = self.project(project)
            made = UserReport(
                self.extras.next_id(),
                owner,
                event.event_id if event else self.extras.hex(32),
                event.issue.id if event and event.issue else None,
                f"User {number}",
                f"user{number}@example.com",
                comments,
                seconds(at, self.seconds_now),
            )
            self.extras.reports[owner.id].append(made)
            self.changed()
            return made

    def add_monitor(
        self, project: "str | Project", slug: str, *, owner: Member | None = None, at: Moment = None
    ) -> Monitor:
        """Add a cron monitor that expects a check-in each hour."""
        with self.lock:
            key, when = self.extras.uuid(), seconds(at, self.seconds_now)
            made = Monitor(key, slug, slug.title(), self.project(project), when, dict(CRONTAB), owner)
            self.extras.monitors.append(made)
            self.changed()
            return made

    def monitor(self, name: "str | Monitor") -> Monitor:
        """A monitor by id or slug.

        Raises:
            KeyError: There is none.
        """
        for monitor in self.monitors:
            if name in {monitor, monitor.id, monitor.slug}:
                return monitor
        raise KeyError(name)

    def add_checkin(
        self,
        monitor: "str | Monitor",
        status: CheckInStatus = "ok",
        *,
        environment: str = "production",
        duration: int | None = None,
        at: Moment = None,
    ) -> CheckIn:
        """Add a check-in, dated by its arrival; one in progress is finished by `finish_checkin`."""
        with self.lock:
            when, owner = seconds(at, self.seconds_now), self.monitor(monitor)
            expected = when // 3_600 * 3_600 if owner.checkins else None
            made = CheckIn(self.extras.uuid(), status, environment, when, duration, when, expected)
            owner.checkins.append(made)
            owner.checkins.sort(key=lambda one: one.added)
            self.changed()
            return made

    def finish_checkin(
        self, checkin: CheckIn, status: CheckInStatus = "ok", *, duration: int = 1_000
    ) -> CheckIn:
        """End a check-in that was in progress; the date it was added does not change."""
        with self.lock:
            checkin.status, checkin.duration, checkin.updated = status, duration, self.seconds_now
            self.changed()
            return checkin

    def add_replay(
        self,
        project: "str | Project",
        *,
        at: Moment = None,
        segments: int = 3,
        user: int = 1,
        environment: str = "production",
        release: str | None = None,
    ) -> Replay:
        """Add a replay that began at a moment, with a segment every five seconds."""
        with self.lock:
            begun, owner = seconds(at, self.seconds_now), self.project(project)
            times = [begun + 5 * number for number in range(segments)]
            made = Replay(self.extras.hex(32), owner, times, user, environment, release)
            self.extras.replays.append(made)
            self.changed()
            return made

    def extend_replay(self, replay: Replay, segments: int = 1) -> Replay:
        """Let a replay go on: segments arrive now."""
        with self.lock:
            replay.segments.extend([self.seconds_now] * segments)
            self.changed()
            return replay

    def archive_replay(self, replay: Replay) -> Replay:
        """Archive a replay: lists show its id and nothing else."""
        with self.lock:
            replay.archived = True
            self.changed()
            return replay

    def share_project(self, project: "str | Project", team: Team) -> None:
        """Let one more team own a project."""
        with self.lock:
            self.extras.more_teams[self.project(project).id].append(team.id)
            self.changed()

    def join_team(self, member: Member, team: Team) -> None:
        """Let a member join a team."""
        with self.lock:
            member.teams.append(team.slug)
            self.changed()

    def add_outcome(
        self,
        project: "str | Project",
        category: str = "error",
        outcome: str = "rate_limited",
        reason: str = "key_quota",
        *,
        quantity: int = 1,
        at: Moment = None,
    ) -> None:
        """Count something that was accepted or not, beside what is made up."""
        with self.lock:
            when, owner = seconds(at, self.seconds_now), self.project(project).id
            self.extras.outcomes.append(Quantity(owner, when, (category, outcome, reason), quantity))
            self.changed()

    def add_sessions(
        self,
        project: "str | Project",
        release: str,
        environment: str = "production",
        *,
        sessions: int = 1,
        crashed: int = 0,
        at: Moment = None,
    ) -> None:
        """Count sessions of a release, beside what is made up."""
        with self.lock:
            when, owner = seconds(at, self.seconds_now), self.project(project).id
            kind = (release, environment, "")
            self.extras.sessions.append(Quantity(owner, when, kind, sessions, crashed))
            self.changed()
