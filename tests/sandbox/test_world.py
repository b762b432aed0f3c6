"""The world: made from a seed, changed by tests, and told as truth."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from sandbox import Sandbox, World

from .client import Client
from .conftest import NOW, SMALL, Start

ROOT = Path(__file__).resolve().parents[2]
ISSUES = "/organizations/acme/issues/"


def test_the_same_arguments_make_the_same_world() -> None:
    assert World.build(**SMALL).truth() == World.build(**SMALL).truth()
    assert World.build(**SMALL).truth() != World.build(**{**SMALL, "seed": 2}).truth()


def test_tables_can_be_told_one_by_one() -> None:
    world = World.build(**SMALL)
    for name, rows in world.truth().items():
        assert world.truth(name) == {name: rows}


def test_a_world_has_the_size_asked_for() -> None:
    world = World.build(projects=8, issues=40, events=500, days=3, now=NOW)
    assert (len(world.projects), len(world.issues), len(world.events)) == (8, 40, 500)
    assert len({project.slug for project in world.projects}) == 8
    oldest = min(event.date for event in world.events)
    assert (NOW - oldest).days <= 3
    assert all(issue.timeline for issue in world.issues)


def test_six_thousand_events_are_made_in_less_than_a_second() -> None:
    begun = time.perf_counter()
    World.build(now=NOW)
    assert time.perf_counter() - begun < 1


def test_a_world_without_events_is_a_world() -> None:
    world = World.build(projects=0, issues=0, events=0, now=NOW)
    assert world.truth()["projects"] == []
    with Sandbox(world=world) as server:
        assert Client(server).get("/organizations/acme/projects/").json() == []


def test_a_clock_stands_still_or_moves() -> None:
    fixed = World.build(**SMALL)
    assert fixed.now == NOW
    fixed.advance(seconds=5)
    assert (fixed.now - NOW).total_seconds() == 5
    fixed.now = NOW
    assert fixed.now == NOW
    moving = World.build(projects=1, issues=1, events=1)
    assert abs((moving.now - datetime.now(UTC)).total_seconds()) < 5
    moving.now = NOW
    assert 0 <= (moving.now - NOW).total_seconds() < 5


@pytest.mark.parametrize("simple_dates", [True, False])
def test_the_truth_is_what_a_full_reading_sees(start: Start, simple_dates: bool) -> None:
    client = start(simple_dates=simple_dates)
    world = client.server.world
    world.add_feedback(project="backend", at=NOW.timestamp() - 60)
    world.merge(world.issues[0], into=world.issues[3])
    world.delete_issue(world.issues[1])
    truth = world.truth()
    issues = client.rows(ISSUES, project="-1", query="")
    read = {
        (row["id"], int(row["lifetime"]["count"]), row["lifetime"]["userCount"], row["status"])
        for row in issues
    }
    told = {(row["id"], row["count"], row["user_count"], row["status"]) for row in truth["issues"]}
    assert read == told
    assert {row["lifetime"]["firstSeen"] for row in issues} == {row["first_seen"] for row in truth["issues"]}
    assert {row["lifetime"]["lastSeen"] for row in issues} == {row["last_seen"] for row in truth["issues"]}
    events = [row for one in world.projects for row in client.rows(f"/projects/acme/{one.slug}/events/")]
    assert {(row["projectID"], row["id"], row["groupID"], row["dateCreated"]) for row in events} == {
        (row["project_id"], row["event_id"], row["issue_id"], row["date_created"]) for row in truth["events"]
    }
    tags = {row["id"]: [[tag["key"], tag["value"]] for tag in row["tags"]] for row in events}
    assert tags == {row["event_id"]: row["tags"] for row in truth["events"]}
    assert len(truth["feedback"]) == 1


def test_some_issues_count_more_than_the_events_kept(shared: Client) -> None:
    world = World.build(projects=1, issues=60, events=600, now=NOW)
    assert any(issue.times_seen > len(issue.timeline) for issue in world.issues)
    assert any(issue.times_seen == len(issue.timeline) for issue in world.issues)


def test_an_event_given_in_words_is_shown_so(start: Start) -> None:
    client = start()
    event = client.server.world.add_event(
        project="backend",
        event_id="f" * 32,
        release="backend@1.0.0",
        environment="staging",
        level="fatal",
        message="As told",
        user={"id": "5", "email": "user5@example.com"},
        tags={"colour": "green"},
    )
    row = client.get(f"/projects/acme/backend/events/{event.event_id}/").json()
    tags = {tag["key"]: tag["value"] for tag in row["tags"]}
    told = {
        "colour": "green",
        "release": "backend@1.0.0",
        "environment": "staging",
        "level": "fatal",
        "user": "id:5",
    }
    assert told.items() <= tags.items()
    assert (row["message"], row["user"]["email"]) == ("As told", "user5@example.com")
    assert client.server.world.add_event(project="backend", event_id="f" * 32) is event


def test_unknown_names_are_errors() -> None:
    world = World.build(**SMALL)
    with pytest.raises(KeyError):
        world.project("nowhere")
    with pytest.raises(KeyError):
        world.issue("0")


def test_the_command_line_serves_and_tells_where() -> None:
    command = [sys.executable, "-m", "sandbox", "--projects", "1", "--issues", "2", "--events", "5"]
    command += ["--latency", "0.1", "--limits", "saas"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = dict(process.stdout.readline().split(maxsplit=1) for _ in range(4))
        told = {name: value.strip() for name, value in lines.items()}
        answer = requests.get(
            f"{told['URL']}/api/0/organizations/{told['organization']}/",
            headers={"Authorization": f"Bearer {told['token']}"},
            timeout=10,
        )
        process.terminate()
    assert json.loads(answer.content)["slug"] == "acme"
    assert told["DSN"].startswith("http://")
    assert answer.elapsed.total_seconds() >= 0.1
    assert answer.headers["X-Sentry-Rate-Limit-Limit"] == "40"
