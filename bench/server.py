"""The stand-in Sentry as a process of its own: `python -m bench.server '{"events": 600, "issues": 30}'`.

Its first line says where it is. Then it takes commands, a line each, and answers each with a line of JSON:

    advance SECONDS      let time pass
    add N SECONDS        N new events over all projects and the last so many seconds
    counts               requests so far, by kind and status
    clear                forget them
    truth                how many rows a full reading would bring
    quit                 stop; so does the end of the input
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson

from sandbox import Sandbox, Switches, World
from sandbox.clock import Clock

from .setup import Setup

KINDS = {
    "project events": re.compile(r"/projects/[^/]+/[^/]+/events/$"),
    "issue events": re.compile(r"/issues/[^/]+/events/$"),
    "single events": re.compile(r"/projects/[^/]+/[^/]+/events/[^/]+/$"),
    "issues": re.compile(r"/organizations/[^/]+/issues/$"),
    "counts and ids": re.compile(r"/organizations/[^/]+/events(-timeseries|-stats)?/$"),
}
"""What requests are for, by path; all others are "other"."""

NEWEST = 120
"""No added event is younger than so many seconds, as none of the made-up ones is."""


def main() -> None:
    """Serve until told to stop."""
    setup = Setup.from_json(sys.argv[1])
    limits = Switches.saas().rate_limits if setup.saas else None
    # Links name the server itself, as the stock source follows them.
    switches = Switches(rate_limits=limits, latency=setup.latency, link_host="")
    with Sandbox(world=make_world(setup), switches=switches) as server:
        _answer({"url": server.url, "token": server.token, "organization": server.world.organization.slug})
        commands = Commands(server)
        for line in sys.stdin:
            name, *numbers = line.split()
            if name == "quit":
                return
            _answer(commands.known[name](*map(int, numbers)))


def make_world(setup: Setup) -> World:
    """The world of a setup, its clock moving."""
    now = datetime.now(UTC) - timedelta(seconds=setup.behind)
    world = World.build(
        seed=1, projects=setup.projects, issues=setup.issues, events=setup.events, days=setup.days, now=now
    )
    world.clock = Clock()
    world.clock.advance(-setup.behind)
    return world


class Commands:
    """What can be asked of the server."""

    def __init__(self, server: Sandbox) -> None:
        self._server = server
        self._random = Random(2)  # noqa: S311 - made-up data
        self.known: dict[str, Callable[..., Any]] = {
            "advance": self.advance,
            "add": self.add,
            "counts": self.counts,
            "clear": self.clear,
            "truth": self.truth,
        }

    def advance(self, seconds: int) -> dict[str, Any]:
        """Let time pass."""
        self._server.world.advance(seconds=seconds)
        return {}

    def add(self, count: int, seconds: int) -> dict[str, Any]:
        """Add events to known issues; says how many by project, and to how many issues."""
        world = self._server.world
        issues = {
            project.id: [one for one in world.issues if one.project is project] for project in world.projects
        }
        by_project: Counter[str] = Counter()
        changed = set()
        for _ in range(count):
            project = self._random.choice(world.projects)
            issue = self._random.choice(issues[project.id])
            at = world.seconds_now - self._random.randrange(NEWEST, seconds)
            world.add_event(project=project, issue=issue, at=at, received=at, environment="production")
            by_project[project.slug] += 1
            changed.add(issue.id)
        return {"by_project": by_project, "issues": len(changed)}

    def counts(self) -> dict[str, dict[str, int]]:
        """Requests by kind and status."""
        found: dict[str, Counter[str]] = {}
        for request in self._server.requests:
            found.setdefault(kind_of(request.path), Counter())[str(request.status)] += 1
        return {kind: dict(statuses) for kind, statuses in found.items()}

    def clear(self) -> dict[str, Any]:
        """Forget the requests so far."""
        self._server.clear_requests()
        return {}

    def truth(self) -> dict[str, Any]:
        """Rows of events and their tags, and events by project."""
        events: list[dict[str, Any]] = self._server.world.truth("events")["events"]
        return {
            "events": len(events),
            "tags": sum(len(event["tags"]) for event in events),
            "by_project": Counter(event["project_slug"] for event in events),
        }


def kind_of(path: str) -> str:
    """What a request is for."""
    return next((kind for kind, pattern in KINDS.items() if pattern.search(path)), "other")


def _answer(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
