"""Making up a world: projects, people, releases, issues and events, all from one seed."""

from random import Random
from typing import TYPE_CHECKING

from . import catalog
from .dates import DAY
from .dice import event_id
from .model import Event, Issue, Member, Project, Release, Team

if TYPE_CHECKING:
    from .world import World

QUIET_END = 120  # No made-up event is younger, so that a look-back or a lag decides nothing by chance.
BURST_EVERY, BURST_SIZE = 400, 12
UNGROUPED_EVERY = 100
RELEASES_PER_PROJECT = 4


def populate(world: "World", *, projects: int, issues: int, events: int, days: int) -> None:
    """Fill an empty world."""
    _people(world)
    owners = [_project(world, at) for at in range(projects)]
    for at, owner in enumerate(owners):
        _environments(world, owner)
        _releases(world, owner, at)
    if owners and issues:
        groups = [_issue(world, owners[at % projects]) for at in range(issues)]
        _events(world, groups, max(events, issues), days)
        for group in groups:
            _history(world, group)


def _people(world: "World") -> None:
    for slug, name in catalog.TEAMS:
        world.add_team(slug, name)
    for number, role in enumerate(("owner", "manager", "member", "member", "member"), start=1):
        world.add_member(f"user{number}@example.com", role=role)
    world.add_member("invited1@example.com", pending=True)


def _project(world: "World", at: int) -> Project:
    base = catalog.PROJECT_NAMES[at % len(catalog.PROJECT_NAMES)]
    slug = base if at < len(catalog.PROJECT_NAMES) else f"{base}-{at}"
    project = world.add_project(slug, platform=catalog.PLATFORMS[at % len(catalog.PLATFORMS)])
    project.bookmarked = at == 1
    return project


def _environments(world: "World", project: Project) -> None:
    for name in catalog.ENVIRONMENTS:
        world.add_environment(name, project)
    world.add_environment(catalog.HIDDEN_ENVIRONMENT, project, hidden=True)


def _releases(world: "World", project: Project, at: int) -> None:
    random, now = world.random, world.seconds_now
    versions = [f"{project.slug}@1.{minor}.0" for minor in range(RELEASES_PER_PROJECT)]
    if at < len(catalog.ODD_VERSIONS):
        versions.append(catalog.ODD_VERSIONS[at])
    for place, version in enumerate(versions):
        created = now - (len(versions) - place) * 20 * DAY + random.randrange(DAY)
        released = created + 3_600 if random.random() < 0.6 else None
        release = world.add_release(version, project, at=created, released=released)
        release.commit_count = random.randrange(40)
        release.author = random.choice([member for member in world.members if not member.pending])
        release.status = "archived" if place == 0 and at == 0 else "open"


def _issue(world: "World", project: Project) -> Issue:
    issue = world.add_issue(project=project, at=world.seconds_now - 1, events=0)
    issue.level = world.random.choice(catalog.LEVELS)
    return issue


def _events(world: "World", groups: list[Issue], count: int, days: int) -> None:
    """Spread events over the days; a few issues get most of them, and some seconds hold a burst."""
    random = world.random
    end = world.seconds_now - QUIET_END
    start = end - days * DAY
    times = sorted(random.randrange(start, end) for _ in range(count))
    for at in range(0, count - BURST_SIZE, BURST_EVERY):
        times[at : at + BURST_SIZE] = [times[at]] * BURST_SIZE
    shares = [1 / (place + 1) ** 0.8 for place in range(len(groups))]
    chosen = groups + random.choices(groups, weights=shares, k=count - len(groups))
    random.shuffle(chosen)
    versions = _versions_by_project(world)
    for group in groups:
        group.first_seen, group.last_seen = end, 0
    for number, (at, group) in enumerate(zip(times, chosen, strict=True)):
        lonely = number % UNGROUPED_EVERY == UNGROUPED_EVERY - 1 and group.times_seen > 0
        world.file(_event(world, random, group, at, versions[group.project.id], lonely=lonely))


def _versions_by_project(world: "World") -> dict[str, list[Release]]:
    return {
        project.id: [release for release in world.releases.values() if project in release.projects]
        for project in world.projects
    }


def _event(
    world: "World", random: Random, group: Issue, at: int, releases: list[Release], *, lonely: bool
) -> Event:
    late = random.randrange(3 * DAY) if random.random() < 0.01 else random.randrange(30)
    event = Event(
        event_id(random),
        group.project,
        None if lonely else group,
        at,
        min(at + late, world.seconds_now - 60),
        random.choice(releases).version if random.random() < 0.92 else None,
        random.choices((*catalog.ENVIRONMENTS, None), weights=(70, 15, 8, 7))[0],
        group.level if random.random() < 0.9 else random.choice(catalog.LEVELS),
    )
    event.user = f"id:{random.randrange(1, 400)}" if random.random() < 0.95 else None
    event.millis = random.randrange(1, 1_000) if random.random() < 0.5 else 0
    event.row = world.next_id("row")
    return event


def _history(world: "World", issue: Issue) -> None:
    """Give an issue a state, and to some a past that the events still held do not cover."""
    random = world.random
    if issue.last_seen == 0:  # All its events were drawn as ungrouped.
        issue.first_seen = issue.last_seen = world.seconds_now - QUIET_END
    if random.random() < 0.1:
        issue.times_seen += random.randrange(50, 5_000)
        issue.first_seen -= random.randrange(100, 400) * DAY
    issue.priority = random.choice(("low", "medium", "medium", "high"))
    state = random.random()
    if state < 0.2:
        world.resolve(issue)
    elif state < 0.3:
        world.archive(issue)
    elif state < 0.45:
        people: list[Member | Team] = [member for member in world.members if not member.pending]
        world.assign(issue, random.choice([*world.teams, *people]))
    else:
        issue.substatus = "ongoing"
