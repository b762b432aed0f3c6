"""What dlt does to rows on their way to the destinations, and what they make of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import dlt
import pytest

from sandbox import Sandbox
from sandbox.access import READ_SCOPES
from sentry.destinations import sentry_events, sentry_issues
from sentry.envelopes import made_id
from tests.conftest import ROOT


def run(rows: Any, target: Any, name: str, tmp_path: Any) -> None:
    dlt.pipeline(name, pipelines_dir=str(tmp_path / name)).run(rows, destination=target, table_name="rows")


def test_a_value_of_another_type_than_the_one_before_is_taken_as_it_was_given(
    serve: Callable[..., Sandbox], tmp_path: Any
) -> None:
    server = serve()
    world = server.world
    member = next(member for member in world.members if member.user_id)
    target = sentry_issues(server.add_token(scopes=(*READ_SCOPES, "event:write")), "acme", server.url)
    rows = [
        {"issue_id": int(world.issues[0].id), "assigned_to": int(str(member.user_id))},
        {"issue_id": world.issues[1].id, "assigned_to": f"team:{world.teams[0].id}"},
        {"issue_id": world.issues[2].id, "has_seen": True},
        {"issue_id": world.issues[3].id, "has_seen": "maybe"},
        {"issue_id": world.issues[4].id, "colour": "red"},
    ]
    run(rows, target, "issues", tmp_path)
    assert target.totals == {"applied": 3, "refused": 2}
    reasons = {refused.issue_id: refused.reason or "" for refused in target.refused}
    assert "neither true nor false" in reasons[world.issues[3].id]
    assert "cannot have the column colour" in reasons[world.issues[4].id]
    assert world.issues[1].assignee is not None


def test_an_event_keeps_its_fields_and_its_id_whatever_a_pipeline_has_seen_before(
    serve: Callable[..., Sandbox], tmp_path: Any
) -> None:
    server = serve()
    dsn = server.dsn(server.world.projects[0])
    second = {"n": "x", "message": "two", "user": {"id": "bob"}, "fingerprint": ["a"]}
    run(
        [{"n": 1, "message": 1, "user": "alice", "fingerprint": "b"}, second],
        sentry_events(dsn),
        "events",
        tmp_path,
    )
    run([second], sentry_events(dsn), "again", tmp_path)
    ids = [sent.event_id for sent in server.ingested.events]
    assert ids.count(made_id(second)) == 2
    sent = next(sent.document for sent in server.ingested.events if sent.event_id == made_id(second))
    assert sent["user"] == {"id": "bob"}
    assert sent["fingerprint"] == ["a"]
    assert sent["logentry"] == {"formatted": "two"}


@pytest.mark.parametrize("kind", ["issues", "events"])
def test_lists_that_became_tables_are_refused_before_anything_is_sent(
    serve: Callable[..., Sandbox], tmp_path: Any, kind: str
) -> None:
    server = serve()

    @dlt.resource(max_table_nesting=2, name="nested")
    def nested() -> Iterator[Any]:
        yield [{"issue_id": "5001", "message": "a", "tags": [{"key": "k", "value": "v"}]}]

    target = (
        sentry_events(server.dsn(server.world.projects[0]))
        if kind == "events"
        else sentry_issues(server.token, "acme", server.url)
    )
    pipeline = dlt.pipeline(kind, pipelines_dir=str(tmp_path))
    with pytest.raises(Exception, match="Give the resource max_table_nesting=0"):
        pipeline.run(nested(), destination=target)
    assert not server.ingested.events
    assert not [request for request in server.requests if request.is_write]
    pipeline.abort_packages()
    pipeline.run([{"issue_id": "1", "message": "b"}], destination=target, table_name="plain")
    assert sum(target.totals.values()) == 1


def test_objects_that_dlt_took_apart_are_put_together(serve: Callable[..., Sandbox], tmp_path: Any) -> None:
    server = serve()

    @dlt.resource(max_table_nesting=2, name="nested")
    def nested() -> Iterator[Any]:
        yield [{"message": "a", "tags": {"job": "export"}, "contexts": {"os": {"name": "Linux"}}}]

    dlt.pipeline("nested", pipelines_dir=str(tmp_path)).run(
        nested(), destination=sentry_events(server.dsn(server.world.projects[0]))
    )
    (sent,) = server.ingested.events
    assert sent.document["tags"] == {"job": "export"}
    assert sent.document["contexts"]["os"]["name"] == "Linux"


LOAD = """
import sys, dlt
from sentry.destinations import sentry_events, sentry_issues

kind, place, token, *ids = sys.argv[1:]
if kind == "events":
    rows = [{"event_id": f"{number:032x}", "message": f"row {number}"} for number in range(300)]
    target = sentry_events(place, batch_size=30)
else:
    rows = [{"issue_id": one, "status": "resolved" if at % 2 else "ignored"} for at, one in enumerate(ids)]
    target = sentry_issues(token, "acme", place, batch_size=10)
pipeline = dlt.pipeline(kind, pipelines_dir="pipelines", destination=target)
if pipeline.has_pending_data:
    pipeline.load()
else:
    pipeline.run(rows, table_name="rows")
"""


def done(server: Sandbox) -> int:
    """Events taken, or changes made, so far."""
    return len(server.ingested.events) + sum(request.is_write for request in server.requests)


@pytest.mark.parametrize(("kind", "number"), [("events", 1), ("events", 45), ("issues", 1), ("issues", 5)])
def test_a_load_killed_half_way_is_finished_by_the_next_run_and_nothing_is_done_twice(
    serve: Callable[..., Sandbox], tmp_path: Any, kind: str, number: int
) -> None:
    server = serve(issues=60, events=80)
    world = server.world
    (tmp_path / "load.py").write_text(LOAD)
    (tmp_path / "sentry").symlink_to(ROOT / "sentry")
    token = server.add_token(scopes=(*READ_SCOPES, "event:write"))
    place = server.dsn(world.projects[0]) if kind == "events" else server.url
    command = [sys.executable, "load.py", kind, place, token, *(issue.id for issue in world.issues)]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    while running.poll() is None and done(server) < number:
        time.sleep(0.001)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait(timeout=60) == -signal.SIGKILL
    assert subprocess.run(command, cwd=tmp_path, timeout=60, check=False).returncode == 0
    if kind == "events":
        stored = [sent.event_id for sent in server.ingested.events if not sent.duplicate]
        assert sorted(stored) == [f"{at:032x}" for at in range(300)]
    else:
        wanted = ["resolved" if at % 2 else "ignored" for at in range(len(world.issues))]
        assert [issue.status for issue in world.issues] == wanted
