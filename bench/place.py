"""Where an arm is measured: a fresh server, an empty folder, and the check that the work was done."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from .figures import Figures
from .process import run_program
from .setup import Setup
from .stand_in import ROOT, StandIn


@dataclass(frozen=True)
class Place:
    """A fresh server and an empty folder for one arm."""

    server: StandIn
    folder: Path

    def run(self, *arguments: str, settings: Mapping[str, str] | None = None) -> Figures:
        """Run one of our programs; its figures, and the requests that it has sent."""
        self.server.ask("clear")
        return run_program(arguments, self.server, self.folder, settings) | self.sent()

    def give_shipped_settings(self) -> None:
        """Put the configuration that comes with the source where dlt looks for it."""
        (self.folder / ".dlt").mkdir()
        shutil.copy(ROOT / ".dlt" / "config.toml", self.folder / ".dlt")

    def sent(self) -> Figures:
        """Requests since the last `clear`."""
        counts: dict[str, dict[str, int]] = self.server.ask("counts")
        by_kind = {kind: sum(statuses.values()) for kind, statuses in counts.items()}
        return {
            "requests": sum(by_kind.values()),
            "requests_by_kind": by_kind,
            "refused": sum(statuses.get("429", 0) for statuses in counts.values()),
        }

    def rows(self, file: str) -> Figures:
        """How many events and tags are in a DuckDB file."""
        with duckdb.connect(str(self.folder / file), read_only=True) as connection:
            return {
                name: connection.table(f"sentry_data.{table}").count("*").fetchall()[0][0]
                for name, table in (("events", "events"), ("tags", "events__tags"))
            }


@contextmanager
def place(setup: Setup) -> Iterator[Place]:
    """Start a server of this setup, and make a folder that goes when the arm is done."""
    with StandIn(setup) as server, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield Place(server, Path(folder))


def check(figures: Figures, truth: Figures, *names: str) -> Figures:
    """Pass figures on if they hold as many rows as the server.

    Raises:
        ValueError: They do not, so that what was measured is not the work.
    """
    for name in names:
        if figures[name] != truth[name]:
            raise ValueError(f"{figures[name]:,} {name} arrived, the server has {truth[name]:,}.")
    return figures
