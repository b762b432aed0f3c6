"""Servers and clients for the tests of the stand-in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox import Sandbox, Switches, World

from .client import Client

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
SMALL: dict[str, Any] = {"projects": 3, "issues": 12, "events": 260, "now": NOW}

Start = Callable[..., Client]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a server with a small world of its own and gives a client for it."""
    with ExitStack() as stack:

        def make(world: World | None = None, *, record_bodies: bool = False, **switches: Any) -> Client:
            known = world or World.build(**SMALL)
            server = Sandbox(world=known, switches=Switches(**switches), record_bodies=record_bodies)
            return Client(stack.enter_context(server))

        yield make


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """One server for tests that only read."""
    with Sandbox(world=World.build(**SMALL)) as server:
        yield Client(server)
