"""A real server that takes Sentry's events and was written by others: https://www.bugsink.com.

It pins libraries that ours are not, so it lives in an environment of its own, made once below pytest's cache. It
checks each event against Sentry's published schema (``VALIDATE_ON_DIGEST = "strict"``) before it keeps it, and is
done with it before it answers (``TASK_ALWAYS_EAGER``). Its tables are read straight from its SQLite file.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from filelock import FileLock

PACKAGE = "bugsink==2.6.1"
START_TIMEOUT = 60

CONFIGURATION = """
from bugsink.settings.default import *

SECRET_KEY = "only-for-tests-" + "x" * 50
DATABASES["default"]["NAME"] = {database!r}
DATABASES["snappea"]["NAME"] = {queue!r}
SNAPPEA = {{"TASK_ALWAYS_EAGER": True}}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
BUGSINK = {{
    "BASE_URL": {url!r},
    "SINGLE_USER": True,
    "PHONEHOME": False,
    "VALIDATE_ON_DIGEST": "strict",
    "INGEST_STORE_BASE_DIR": {ingestion!r},
    "MAX_EVENTS_PER_PROJECT_PER_5_MINUTES": 1_000_000,
    "MAX_EVENTS_PER_PROJECT_PER_HOUR": 1_000_000,
    "MAX_EVENTS_PER_5_MINUTES": 1_000_000,
    "MAX_EVENTS_PER_HOUR": 1_000_000,
}}
"""

PROJECT = (
    "from projects.models import Project; "
    "print('DSN', Project.objects.create(name={name!r}, slug={name!r}, alert_on_new_issue=False).dsn)"
)


class BugsinkUnavailableError(Exception):
    """It cannot be installed here, which is no fault of ours."""


@dataclass
class Bugsink:
    """A running server.

    Attributes:
        url: Its base URL.
    """

    url: str
    binaries: Path
    place: Path

    def project(self, name: str) -> str:
        """Make a project and give its DSN."""
        printed = self._manage("shell", "-v", "0", "-c", PROJECT.format(name=name))
        return next(line.removeprefix("DSN ") for line in printed.splitlines() if line.startswith("DSN "))

    def events(self, dsn: str) -> dict[str, Any]:
        """The documents that the server keeps, by event id."""
        project_id = dsn.rpartition("/")[2]
        with closing(sqlite3.connect(self.place / "db.sqlite3")) as database:
            rows = database.execute(
                "SELECT event_id, data FROM events_event WHERE project_id = ?", [int(project_id)]
            ).fetchall()
        assert len({event_id for event_id, _ in rows}) == len(rows)
        return {event_id.replace("-", ""): json.loads(data) for event_id, data in rows}

    def migrate(self) -> None:
        """Make its tables."""
        self._manage("migrate", "--verbosity", "0")
        self._manage("migrate", "--verbosity", "0", "--database", "snappea")

    def _manage(self, *arguments: str) -> str:
        run = subprocess.run(
            [str(self.binaries / "bugsink-manage"), *arguments],
            cwd=self.place,
            env=environment(self.place),
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr[-3000:]
        return run.stdout


def environment(place: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("SENTRY_DSN", "PYTHONPATH")}
    return {**kept, "PYTHONPATH": str(place), "DJANGO_SETTINGS_MODULE": "bugsink_conf"}


def install(cache: Path) -> Path:
    """The folder with its programs, installed once per Python.

    Raises:
        BugsinkUnavailableError: The packages cannot be had.
    """
    home = cache / f"{PACKAGE.replace('==', '-')}-python{sys.version_info.major}.{sys.version_info.minor}"
    binaries, done = home / "bin", home / "installed"
    with FileLock(f"{home}.lock"):
        if done.exists():
            return binaries
        venv.create(home, with_pip=True, clear=True)
        command = [
            str(binaries / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--retries=1",
            PACKAGE,
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise BugsinkUnavailableError(
                f"{PACKAGE} cannot be installed: {run.stderr.strip().splitlines()[-1:]}"
            )
        done.touch()
    return binaries


@contextmanager
def running(binaries: Path, place: Path) -> Iterator[Bugsink]:
    """A server with an empty database, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Bugsink(f"http://127.0.0.1:{port}", binaries, place)
    (place / "bugsink_conf.py").write_text(
        CONFIGURATION.format(
            database=str(place / "db.sqlite3"),
            queue=str(place / "snappea.sqlite3"),
            ingestion=str(place / "ingestion"),
            url=server.url,
        )
    )
    server.migrate()
    command = [str(binaries / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--threads", "4", "bugsink.wsgi"]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=place, env=environment(place), stdout=log, stderr=log)
    try:
        _wait_for(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(START_TIMEOUT)


def _wait_for(server: Bugsink, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_TIMEOUT
    while time.monotonic() < until and process.poll() is None:
        try:
            requests.get(f"{server.url}/health/ready", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError((server.place / "log").read_text()[-3000:])
