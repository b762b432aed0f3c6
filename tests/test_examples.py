"""The examples: each does what it says, against the stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import Issue, Sandbox
from tests.conftest import NOW, ROOT, Script

DAY = 86_400
T0 = int(NOW.timestamp())

Example = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def example(tmp_path: Path) -> Example:
    """Runs an example as a process of its own in the folder of the warehouse: ``example(server, "--apply")``."""

    def run(server: Sandbox, token: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        access = {"SENTRY_AUTH_TOKEN": token, "SENTRY_URL": server.url, "SENTRY_ORG": "acme"}
        return subprocess.run(
            [sys.executable, str(ROOT / "examples" / "resolve_fixed_issues.py"), *arguments],
            cwd=tmp_path,
            env={**os.environ, **access},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def issue_of_release(server: Sandbox, release: str, *, days_ago: int) -> Issue:
    world = server.world
    issue = world.add_issue(project="backend", at=T0 - 13 * DAY)
    world.add_event(project="backend", issue=issue, at=T0 - days_ago * DAY, release=release)
    return issue


def test_issues_that_a_release_fixed_are_resolved_in_it(
    serve: Callable[..., Sandbox], script: Script, example: Example, tmp_path: Path
) -> None:
    server = serve(issues=4, events=10)
    world = server.world
    for issue in world.issues:
        world.resolve(issue)
    for version, days_ago in (("backend@7", 14), ("backend@8", 10), ("backend@9", 2)):
        world.add_release(version, "backend", at=T0 - days_ago * DAY)
    fixed = issue_of_release(server, "backend@7", days_ago=11)
    open_still = issue_of_release(server, "backend@8", days_ago=3)
    seen_since_in_an_old_release = issue_of_release(server, "backend@7", days_ago=1)
    world.add_event(project="backend", issue=open_still, at=T0 - 3_600, release="backend@9")
    loaded = script(server, "--resources", "issues", "events", "releases")
    assert loaded.returncode == 0, loaded.stderr
    token = server.add_token(scopes=("org:read", "event:write"))

    server.clear_requests()
    shown = example(server, token)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines() == [
        f"{fixed.short_id}  last seen 2026-07-21, fixed in backend@8",
        "1 would apply",
    ]
    assert not any(request.is_write for request in server.requests)

    done = example(server, token, "--apply", "--outcomes", "outcomes.jsonl")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1 applied"
    assert (fixed.status, fixed.status_details["inRelease"]) == ("resolved", "backend@8")
    assert {open_still.status, seen_since_in_an_old_release.status} == {"unresolved"}
    assert json.loads((tmp_path / "outcomes.jsonl").read_text())["issue_id"] == fixed.id

    server.clear_requests()
    again = example(server, token, "--apply")
    assert again.stdout.splitlines()[-1] == "1 unchanged"
    assert not any(request.is_write for request in server.requests)

    later = example(server, token, "--days", "30")
    assert later.stdout == "No issue looks fixed.\n"
    refused = example(server, server.add_token(scopes=("org:read", "event:read")), "--apply")
    assert refused.stdout.splitlines()[-1] == "1 unchanged"


def test_a_token_that_may_not_write_ends_with_status_1(
    serve: Callable[..., Sandbox], script: Script, example: Example
) -> None:
    server = serve(issues=4, events=10)
    server.world.add_release("backend@8", "backend", at=T0 - 10 * DAY)
    issue_of_release(server, "backend@7", days_ago=11)
    server.world.add_event(project="backend", at=T0 - 60)
    assert script(server, "--resources", "issues", "events", "releases").returncode == 0
    done = example(server, server.token, "--apply")
    assert done.returncode == 1
    assert "lacks the scope event:write" in done.stderr
