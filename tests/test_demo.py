"""The demo, as `make demo` runs it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.conftest import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("sentry", "sandbox", "sentry_pipeline.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "sentry_pipeline.py", "--demo"],
        cwd=folder, env=os.environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_two_demos_answer_three_questions_and_lose_and_double_nothing(folder: Path) -> None:
    first = demo(folder)
    assert first.returncode == 0, first.stderr
    for question in ("hit most users this week?", "brought most new issues?", "errors per day and project?"):
        assert question in first.stdout
    assert first.stdout.count(" 0 missing, 0 doubled") == 4
    second = demo(folder)
    assert second.returncode == 0, second.stderr
    assert second.stdout.count(" 0 missing, 0 doubled") == 4
    with duckdb.connect(str(folder / "demo" / "sentry.duckdb"), read_only=True) as connection:
        query = "SELECT count(*), count(DISTINCT event_id) FROM sentry_data.events"
        ((rows, distinct),) = connection.execute(query).fetchall()
        query = "SELECT count(DISTINCT issue_id) FROM sentry_data.events WHERE release = 'shop@2.0.0'"
        ((real_issues,),) = connection.execute(query).fetchall()
    assert rows == distinct > 1_550
    assert real_issues >= 12
    told = subprocess.run(
        [Path(sys.executable).parent / "dlt", "--non-interactive", "pipeline", "--pipelines-dir", "demo/pipelines",
         "sentry_demo", "info"],
        cwd=folder, env=os.environ, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "sentry_demo" in told.stdout


def test_a_second_demo_beside_a_running_one_says_so(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (folder / "demo").mkdir()
        identity = {"born": "2126-01-01T00:00:00+00:00", "port": taken.getsockname()[1]}
        (folder / "demo" / "server.json").write_text(json.dumps(identity))
        done = demo(folder)
    assert done.returncode == 2
    assert "cannot be used" in done.stderr
    assert len(done.stderr.splitlines()) == 1
