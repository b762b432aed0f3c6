"""Events that were sent, kept in a file: a server started again with it has them again."""

from pathlib import Path

import orjson

from .ingest import accept_event
from .model import Event, Row
from .world import World


class Journal:
    """A file with one line for each event taken in."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, event: Event, payload: Row) -> None:
        """Write an event down."""
        line = {
            "project": event.project.id,
            "event_id": event.event_id,
            "received": event.received,
            "payload": payload,
        }
        with self._path.open("ab") as file:
            file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def replay(self, world: World) -> int:
        """Take all events in again, as they came; tells how many.

        A line cut off by a crash, and what belongs to a project that is no more, is left out.
        """
        if not self._path.exists():
            return 0
        count, written = 0, self._path.read_bytes()
        if written and not written.endswith(b"\n"):
            self._path.write_bytes(written + b"\n")
        for line in written.splitlines():
            try:
                noted = orjson.loads(line)
                project = world.project(noted["project"])
            except (orjson.JSONDecodeError, KeyError):
                continue
            accept_event(world, project, noted["payload"], noted["event_id"], received=noted["received"])
            count += 1
        return count
