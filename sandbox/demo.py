"""The demo: two weeks of a made-up organization, real exceptions of small programs, and three questions.

The folder `demo/` keeps what makes it one server over many runs: when it was made, its port, and the events
that programs have sent to it.
"""

import contextlib
import json
import shutil
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import dlt

from sentry.errors import SentryConfigurationError

from .clock import Clock
from .programs import PROGRAMS, run_all
from .server import HOST, Sandbox
from .world import World

FOLDER = Path("demo")
LONGEST_AGE = timedelta(days=30)
SIZE = {"seed": 7, "projects": 3, "issues": 60, "events": 1500, "days": 14}

QUESTIONS = (
    (
        "Which issues hit most users this week?",
        """
        SELECT i.short_id AS issue, i.title, count(DISTINCT t.value) AS users, count(DISTINCT e.event_id) AS events
        FROM events AS e
        JOIN issues AS i ON i.id = e.issue_id
        JOIN events__tags AS t ON t._dlt_parent_id = e._dlt_id AND t.key = 'user'
        WHERE e.date_created >= (SELECT max(date_created) FROM events) - INTERVAL 7 DAY
        GROUP BY i.short_id, i.title ORDER BY users DESC, issue LIMIT 5
        """,
    ),
    (
        "Which release brought most new issues?",
        """
        SELECT release, count(*) AS new_issues, min(first_event) AS since
        FROM (
            SELECT issue_id, arg_min(release, date_created) AS release, min(date_created) AS first_event
            FROM events WHERE issue_id IS NOT NULL AND release IS NOT NULL GROUP BY issue_id
        )
        GROUP BY release ORDER BY new_issues DESC, release LIMIT 5
        """,
    ),
    (
        "How many errors per day and project?",
        """
        PIVOT (SELECT date_trunc('day', date_created)::DATE AS day, project_slug FROM events)
        ON project_slug USING count(*) GROUP BY day ORDER BY day
        """,
    ),
)


class Demo:
    """The stand-in while it serves the demo.

    Attributes:
        settings: What `sentry_source` needs to read it.
    """

    def __init__(self) -> None:
        born, port = _identity()
        world = World.build(**SIZE, now=born)
        world.clock = Clock()
        try:
            self._server = Sandbox(world=world, port=port, journal=FOLDER / "sent-events.jsonl")
        except OSError as error:
            raise SentryConfigurationError(
                f"The demo's port {port} cannot be used ({error.strerror}): another demo may be running. End it, "
                f"or remove the folder {FOLDER}."
            ) from None
        self.settings = {
            "auth_token": self._server.token,
            "organization": world.organization.slug,
            "base_url": self._server.url,
        }

    def __enter__(self) -> "Demo":
        self._server.start()
        try:
            self._run_programs()
        except BaseException:
            self._server.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    def pipeline(self, progress: Any) -> dlt.Pipeline:
        """The demo's own pipeline, its state in the folder too: it never meets a user's or another demo's."""
        folder = FOLDER.resolve()
        return dlt.pipeline(
            "sentry_demo",
            pipelines_dir=str(folder / "pipelines"),
            destination=dlt.destinations.duckdb(str(folder / "sentry.duckdb")),
            dataset_name="sentry_data",
            progress=progress,
        )

    def report(self, pipeline: dlt.Pipeline) -> bool:
        """Print the answers, and whether the warehouse has all that the server has, each row once."""
        for question, sql in QUESTIONS:
            _say(f"\n{question}\n")
            _print_table(*_query(pipeline, sql))
        truth, complete = self._server.world.truth(), True
        _say("\nIs everything there, once?\n")
        for table, key in (
            ("projects", "id"),
            ("releases", "version"),
            ("issues", "id"),
            ("events", "event_id"),
        ):
            _, rows = _query(pipeline, f"SELECT {key} FROM {table}")  # noqa: S608 - the names stand above
            missing = {row[key] for row in truth[table]} - {row[0] for row in rows}
            doubled = len(rows) - len(set(rows))
            complete = complete and not missing and not doubled
            _say(f"  {table:9} {len(rows):>6,} loaded, {len(missing)} missing, {doubled} doubled\n")
        return complete

    def _run_programs(self) -> None:
        """Let them fail in earnest, one third of them in each project, and wait until their second is over."""
        projects = self._server.world.projects
        dsns = {
            program.name: self._server.dsn(projects[at % len(projects)])
            for at, program in enumerate(PROGRAMS)
        }
        sent = run_all(dsns, release="shop@2.0.0", seeds=[int(time.time())])
        _say(f"{len(dsns)} small programs have failed and sent {sent} events through sentry-sdk.\n")
        time.sleep(1.1)


def _identity() -> tuple[datetime, int]:
    """When this demo was made and where it listens; a demo of a month ago starts anew."""
    file = FOLDER / "server.json"
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
        known = json.loads(file.read_text())
        born = datetime.fromisoformat(known["born"])
        if datetime.now(UTC) - born < LONGEST_AGE:
            return born, int(known["port"])
        _say(f"The demo of {born:%Y-%m-%d} is too old; a new one begins in the folder {FOLDER}.\n")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    born, port = datetime.now(UTC).replace(microsecond=0), _free_port()
    file.write_text(json.dumps({"born": born.isoformat(), "port": port}))
    return born, port


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _query(pipeline: dlt.Pipeline, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    with pipeline.sql_client() as client, client.execute_query(sql) as cursor:
        return [column[0] for column in cursor.description], cursor.fetchall()


def _print_table(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    cells = [names, *([_shown(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        _say(
            "  "
            + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            + "\n"
        )


def _shown(value: Any) -> str:
    text = value.strftime("%Y-%m-%d") if hasattr(value, "strftime") else str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _say(text: str) -> None:
    print(text, end="")  # noqa: T201 - this is what the demo is for
