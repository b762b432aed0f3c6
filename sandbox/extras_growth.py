"""Making up what hangs on projects, releases, issues and monitors, from a seed of its own."""

from typing import TYPE_CHECKING

from . import extras_settings as settings
from .dates import DAY
from .extras import CheckInStatus, Repository
from .model import Issue, Member, Project, Release

if TYPE_CHECKING:
    from .world import World

HOUR = 3_600
MESSAGES = ("fix: handle empty carts", "feat: faster search", "chore: update libraries", "refactor prices")
SOURCE_FILES = ("shop/cart.py", "shop/prices.py", "gateway/http.py", "app/list.js", "README.md")
TROUBLES: tuple[CheckInStatus, ...] = ("ok", "missed", "timeout", "error")
COMMENTS = ("Seen this before", "Deploying a fix", "Only happens with old carts", "Assigned to platform")


def populate(world: "World") -> None:
    """Fill a made-up world."""
    if not world.projects:
        return
    repositories = _repositories(world)
    for release in list(world.releases.values()):
        _release(world, release, repositories)
    for project in world.projects:
        settings.of_project(world, project)
        _monitors(world, project)
        _replays(world, project)
        _reports(world, project)
    for issue in world.issues:
        _issue(world, issue)
    settings.of_organization(world)


def people(world: "World") -> list[Member]:
    """The members who have a user."""
    return [member for member in world.members if not member.pending]


def _repositories(world: "World") -> list[Repository]:
    names = ("acme/shop", "acme/gateway")
    kept = [world.add_repository(name, at=world.seconds_now - 600 * DAY) for name in names]
    world.add_repository("acme/attic", deleted=True, at=world.seconds_now - 800 * DAY)
    return kept


def _release(world: "World", release: Release, repositories: list[Repository]) -> None:
    random, wanted = world.extras.random, release.commit_count
    authors: list[Member | str | None] = [*people(world), "outsider1@example.com", None]
    for number in range(wanted):
        message = None if random.random() < 0.05 else f"{random.choice(MESSAGES)} ({number})"
        world.add_commit(
            release,
            message,
            repository=random.choice(repositories) if random.random() < 0.9 else None,
            author=random.choice(authors),
            at=release.created - number * HOUR - 60,
            files=tuple(random.sample(SOURCE_FILES, k=random.randrange(3))),
        )
    for number, environment in enumerate(("staging", "production")[: random.randrange(3)]):
        world.add_deploy(release, environment, at=release.created + (number + 1) * HOUR)
    for name in ("~/app.js", "~/app.js.map", "~/vendor é.js")[: random.randrange(4)]:
        world.add_release_file(release, name, at=release.created + 60)


def _issue(world: "World", issue: Issue) -> None:
    random = world.extras.random
    for _ in range(random.choice((0, 0, 0, 1, 2))):
        at = min(issue.first_seen + random.randrange(DAY), world.seconds_now - 1)
        author = random.choice(people(world))
        world.add_comment(issue, random.choice(COMMENTS), author=author, at=at)
    if random.random() < 0.15:
        world.add_external_link(issue, f"SHOP#{random.randrange(1, 900)}")


def _monitors(world: "World", project: Project) -> None:
    """A healthy monitor with an unfinished run, and in the first project a failing and a disabled one."""
    random, now = world.extras.random, world.seconds_now
    owner = random.choice(people(world))
    nightly = world.add_monitor(project, f"{project.slug}-nightly", owner=owner, at=now - 200 * DAY)
    for number in range(12):
        at = now - (12 - number) * 5 * HOUR
        world.add_checkin(nightly, "ok", duration=random.randrange(200, 90_000), at=at)
    world.add_checkin(nightly, "in_progress", environment="staging", at=now - 300)
    if project is not world.projects[0]:
        return
    failing = world.add_monitor(project, "backups", at=now - 150 * DAY)
    for number, status in enumerate(TROUBLES):
        world.add_checkin(failing, status, duration=None, at=now - (4 - number) * DAY)
    world.add_checkin(failing, "ok", duration=10, at=now - 45 * DAY)  # Past the 30 days they are kept.
    world.add_monitor(project, "archive-sync", at=now - 400 * DAY).status = "disabled"


def _replays(world: "World", project: Project) -> None:
    random, now = world.extras.random, world.seconds_now
    version = next((r.version for r in world.releases.values() if project in r.projects), None)
    for number in range(6):
        replay = world.add_replay(
            project,
            at=now - number * 2 * DAY - random.randrange(600, HOUR),
            segments=random.randrange(2, 9),
            user=random.randrange(1, 400),
            environment="staging" if number == 1 else "production",
            release=version if number % 2 == 0 else None,
        )
        if number == 2:
            replay.errors = [entry[1] for entry in project.timeline[:2]]
        if number == 4:
            world.archive_replay(replay)


def _reports(world: "World", project: Project) -> None:
    """Feedback about issues of every state; the newest half is about resolved ones where there are any."""
    issues = [issue for issue in world.issues if issue.project is project and issue.timeline]
    issues.sort(key=lambda issue: issue.status == "resolved")
    events = [issue.timeline[-1][2] for issue in (issues[:3] + issues[-3:] if len(issues) > 5 else issues)]
    for number, event in enumerate(events, start=1):
        at = world.seconds_now - (len(events) - number + 1) * DAY
        world.add_user_report(project, comments=f"It broke ({number})", event=event, number=number, at=at)
    world.add_user_report(project, comments="Gone by now", number=99, at=world.seconds_now - 40 * DAY)
