"""What all tests share: a clean place to run in, the stand-in server, a warehouse to load into."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox import Sandbox, Switches, World
from sentry.tuning import DUCKDB_VARIABLE
from tests.warehouse import Warehouse

ROOT = Path(__file__).parent.parent

Script = Callable[..., subprocess.CompletedProcess[str]]

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)

ACCESS = ("SENTRY_AUTH_TOKEN", "SENTRY_URL", "SENTRY_ORG", "SENTRY_PROJECT", "SENTRY_DSN")

SMALL: dict[str, Any] = {"seed": 1, "projects": 2, "issues": 12, "events": 60, "days": 14, "now": NOW}
"""A world that is read in a moment, with a clock that stands still until a test moves it."""


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings or the pipelines of this machine, or waits between two tries."""
    for name in (*ACCESS, DUCKDB_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("RUNTIME__REQUEST_TIMEOUT", "20")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def serve() -> Iterator[Callable[..., Sandbox]]:
    """Starts stand-in servers: ``serve(world=..., switches=..., **world arguments)``."""
    with ExitStack() as stack:

        def start(world: World | None = None, switches: Switches | None = None, **size: Any) -> Sandbox:
            chosen = world or World.build(**{**SMALL, **size})
            return stack.enter_context(Sandbox(world=chosen, switches=switches or Switches()))

        yield start


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Catches what dlt and this source log, down to the last detail."""
    loggers = [logging.getLogger("dlt"), logging.getLogger("dlt.sentry")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    loggers[0].addHandler(caplog.handler)
    yield caplog
    loggers[0].removeHandler(caplog.handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """An empty DuckDB file and a pipeline that loads into it."""
    return Warehouse(tmp_path)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Runs the script as a process of its own in an empty folder: ``script(server, "--list")``."""
    for name in ("sentry", "sandbox", "sentry_pipeline.py"):
        (tmp_path / name).symlink_to(ROOT / name)

    def run(server: Sandbox | None, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return python(tmp_path, server, "sentry_pipeline.py", *arguments, **environment)

    return run


@pytest.fixture
def program(tmp_path: Path) -> Script:
    """Runs a program's text as a process of its own in an empty folder: ``program(server, "import sentry")``."""

    def run(server: Sandbox, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "program.py").write_text(text)
        return python(tmp_path, server, "program.py", PYTHONPATH=str(ROOT), **environment)

    return run


def python(
    folder: Path, server: Sandbox | None, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with access to a server."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **(access(server) if server else {}), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def access(server: Sandbox) -> dict[str, str]:
    """What tells the script where a server is, and lets it in."""
    return dict(zip(ACCESS, (server.token, server.url, "acme"), strict=False))


def lists_events(request: object) -> bool:
    """Whether a request asks for a project's or an issue's events; Explore's path ends alike."""
    path = str(getattr(request, "path", ""))
    return path.endswith("/events/") and ("/projects/" in path or "/issues/" in path)
