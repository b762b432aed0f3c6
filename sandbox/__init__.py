"""A local stand-in for Sentry: the web API and the relay over real HTTP, from a world in memory.

    from sandbox import Sandbox, Switches, World

    with Sandbox(world=World.build(seed=1), switches=Switches()) as server:
        print(server.url, server.token)

`World` is what the server knows, `Switches` say how it behaves, `Sandbox` serves it. Every secret in an
answer contains `SECRET`, so that a test can prove that none of them travelled on.
"""

from .catalog import SECRET
from .exchange import RecordedRequest
from .extras import CheckIn, Comment, Commit, Deploy, Monitor, Replay, Repository, UserReport
from .faults import Faults
from .ingested import Ingested, SentEvent
from .model import Environment, Event, Issue, Member, Organization, Project, Release, Team
from .server import Sandbox
from .switches import Limit, Switches
from .world import World

__all__ = [
    "SECRET",
    "CheckIn",
    "Comment",
    "Commit",
    "Deploy",
    "Environment",
    "Event",
    "Faults",
    "Ingested",
    "Issue",
    "Limit",
    "Member",
    "Monitor",
    "Organization",
    "Project",
    "RecordedRequest",
    "Release",
    "Replay",
    "Repository",
    "Sandbox",
    "SentEvent",
    "Switches",
    "Team",
    "UserReport",
    "World",
]
