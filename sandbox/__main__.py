"""`python -m sandbox`: the stand-in in the foreground."""

import argparse
import sys
import threading
from collections.abc import Mapping

from .faults import Faults
from .server import Sandbox
from .switches import GENEROUS, SAAS, Limit, Switches
from .world import World

LIMITS: dict[str, Mapping[str, Limit] | None] = {"none": None, "generous": GENEROUS, "saas": SAAS}


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="sandbox", description="A local stand-in for Sentry.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--seed", type=int, default=1, help="what the made-up data depend on")
    parser.add_argument("--projects", type=int, default=3, help="how many projects")
    parser.add_argument("--issues", type=int, default=120, help="how many issues")
    parser.add_argument("--events", type=int, default=6000, help="how many events")
    parser.add_argument("--days", type=int, default=14, help="over how many days the events are spread")
    parser.add_argument("--old", action="store_true", help="behave as a server of version 9.1")
    parser.add_argument(
        "--latency", type=float, default=0.0, help="seconds each request takes", metavar="SECONDS"
    )
    parser.add_argument(
        "--limits", choices=tuple(LIMITS), default="generous", help="rate limits; saas: those of sentry.io"
    )
    parser.add_argument(
        "--faults",
        type=float,
        default=0.0,
        help="how likely each reading request fails, in one of all ways that pass",
        metavar="PROBABILITY",
    )
    given = parser.parse_args()
    world = World.build(
        seed=given.seed, projects=given.projects, issues=given.issues, events=given.events, days=given.days
    )
    switches = Switches(
        old_server=given.old,
        latency=given.latency,
        rate_limits=LIMITS[given.limits],
        faults=Faults(given.faults, given.seed) if given.faults else None,
    )
    with Sandbox(world=world, switches=switches, port=given.port) as server:
        sys.stdout.write("".join(f"{line}\n" for line in _address(server)))
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stdout.write("stopped\n")


def _address(server: Sandbox) -> list[str]:
    return [
        f"URL           {server.url}",
        f"organization  {server.world.organization.slug}",
        f"token         {server.token}",
        *(f"DSN           {server.dsn(project)}" for project in server.world.projects),
    ]


if __name__ == "__main__":
    main()
