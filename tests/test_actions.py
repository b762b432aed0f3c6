"""Actions on the command line: what they print, what they change in Sentry, how they fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sandbox import Sandbox, Switches
from sandbox.access import READ_SCOPES
from tests.conftest import NOW, Script

SERVERS = pytest.mark.parametrize("switches", [Switches(), Switches(old_server=True)], ids=["newest", "old"])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def event(number: int = 0) -> dict[str, Any]:
    return {
        "event_id": f"{number:032x}",
        "timestamp": (NOW - timedelta(minutes=number)).isoformat(),
        "platform": "python",
        "level": "error",
        "logentry": {"formatted": f"The {number}th thing went wrong"},
        "tags": {"shop": "north"},
    }


def test_an_event_from_a_file_is_sent_and_its_id_printed(
    serve: Callable[..., Sandbox], script: Script, tmp_path: Any
) -> None:
    server = serve()
    (tmp_path / "event.json").write_text(json.dumps(event(7)))
    dsn = server.dsn(server.world.projects[0])
    done = script(None, "submit-event", "--dsn", dsn, "--event-json", "event.json", "--sentry-version", "7")
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout) == [{"id": f"{7:032x}"}]
    (sent,) = server.ingested.events
    assert sent.document["tags"] == {"shop": "north"}


def test_several_events_are_sent_and_a_refused_one_is_told_with_status_1(
    serve: Callable[..., Sandbox], script: Script, tmp_path: Any
) -> None:
    server = serve()
    documents = [event(1), {**event(2), "event_id": "not an id"}, event(3)]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, documents)))
    done = script(
        None, "submit-event", "--event-json", "events.jsonl", "--outcomes", "told.jsonl",
        SENTRY_DSN=server.dsn(server.world.projects[0]),
    )  # fmt: skip
    assert done.returncode == 1
    assert [line.get("outcome", "accepted") for line in lines(done.stdout)] == [
        "accepted",
        "refused",
        "accepted",
    ]
    assert "3 events: 2 accepted, 1 refused" in done.stderr
    assert len(lines((tmp_path / "told.jsonl").read_text())) == 3
    assert len(server.ingested.events) == 2


def test_json_as_other_programs_write_it_is_taken(
    serve: Callable[..., Sandbox], script: Script, tmp_path: Any
) -> None:
    server = serve()
    one = '{"message": "a\u2028b", "extra": {"rate": NaN}}\n{"message": "c"}\n'
    (tmp_path / "events.jsonl").write_bytes(b"\xef\xbb\xbf" + one.encode())
    dsn = server.dsn(server.world.projects[0])
    done = script(None, "submit-event", "--dsn", dsn, "--event-json", "events.jsonl")
    assert done.returncode == 0, done.stderr
    assert len(server.ingested.events) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "holds no event"),
        (b"[1]", "holds no event"),
        (b"{", "is no JSON"),
        (b'{"message": "\xe4"}', "is no JSON"),
        (None, "cannot be read"),
    ],
)
def test_a_file_without_an_event_is_wrong_use(
    script: Script, tmp_path: Any, text: bytes | None, message: str
) -> None:
    if text is not None:
        (tmp_path / "event.json").write_bytes(text)
    dsn = "http://abc@127.0.0.1:1/1"
    done = script(None, "submit-event", "--dsn", dsn, "--event-json", "event.json")
    assert done.returncode == 2
    assert message in done.stderr


@SERVERS
def test_an_issue_is_changed_by_what_was_given_and_nothing_else(
    serve: Callable[..., Sandbox], script: Script, switches: Switches
) -> None:
    server = serve(switches=switches)
    issue = server.world.issues[0]
    member = next(member for member in server.world.members if member.user_id)
    token = server.add_token(scopes=(*READ_SCOPES, "event:write"))
    done = script(
        server, "update-issue", issue.id, "--status", "resolved", "--assigned-to", f"user:{member.user_id}",
        "--is-bookmarked", SENTRY_AUTH_TOKEN=token,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (shown,) = lines(done.stdout)
    assert (shown["id"], shown["status"], shown["isBookmarked"]) == (issue.id, "resolved", True)
    (write,) = [request for request in server.requests if request.is_write]
    assert write.request_json == {
        "status": "resolved",
        "assignedTo": f"user:{member.user_id}",
        "isBookmarked": True,
    }
    assert issue.status == "resolved"


def test_a_change_that_makes_no_sense_or_meets_no_issue_sends_nothing(
    serve: Callable[..., Sandbox], script: Script
) -> None:
    server = serve()
    child, parent = [issue for issue in server.world.issues if issue.project is server.world.projects[0]][:2]
    server.world.merge(child, into=parent)
    for arguments, message in (
        ([child.id, "--status", "resolved"], f"was merged into {parent.id}; change that one"),
        (["999999", "--status", "resolved"], "is not there"),
        ([parent.id], "Say what is to be changed"),
        ([parent.id, "--status", "done"], "status"),
        (["abc", "--status", "resolved"], "abc"),
    ):
        done = script(server, "update-issue", *arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
    assert not [request for request in server.requests if request.is_write]


@SERVERS
def test_the_issues_of_a_project_are_listed_as_sentry_implies_or_as_asked(
    serve: Callable[..., Sandbox], script: Script, switches: Switches
) -> None:
    server = serve(switches=switches, issues=250, events=260)
    project = server.world.projects[0]
    mine = [issue for issue in server.world.issues if issue.project is project]
    server.world.resolve(mine[0])
    for arguments, expected in (
        ([], {issue.id for issue in mine if issue.status == "unresolved"}),
        (["--query", ""], {issue.id for issue in mine}),
        (["--query", "is:resolved"], {issue.id for issue in mine if issue.status == "resolved"}),
        (["--query", mine[3].short_id, "--short-id-lookup"], {mine[3].id}),
    ):
        done = script(server, "list-issues", project.slug, *arguments, "--stats-period", "14d")
        assert done.returncode == 0, done.stderr
        rows = lines(done.stdout)
        assert sorted(row["id"] for row in rows) == sorted(expected)
        assert all(row["stats"] for row in rows)
        assert switches.old_server or all("14d" in row["stats"] for row in rows)


@SERVERS
def test_all_events_of_an_issue_are_listed_with_their_bodies(
    serve: Callable[..., Sandbox], script: Script, switches: Switches
) -> None:
    server = serve(switches=switches)
    issue = server.world.issues[0]
    server.world.add_events(130, at=NOW - timedelta(hours=3), issue=issue)
    done = script(server, "list-events", issue.id)
    assert done.returncode == 0, done.stderr
    rows = lines(done.stdout)
    assert sorted(row["eventID"] for row in rows) == sorted(entry[1] for entry in issue.timeline)
    assert all({"entries", "packages", "contexts", "dateReceived"} <= row.keys() for row in rows)


def test_actions_have_help_and_say_what_is_wrong(serve: Callable[..., Sandbox], script: Script) -> None:
    helped = script(None, "list-issues", "--help")
    assert helped.returncode == 0
    assert "Sentry implies is:unresolved" in " ".join(helped.stdout.split())
    for arguments, message in (
        (["list-issues"], "the following arguments are required: PROJECT"),
        (["list-issues", "backend", "--stats-period", "1y"], "--stats-period is 24h, 14d or empty"),
        (["list-issues", "nowhere"], "No project nowhere in acme"),
        (["list-events", "123456789"], "answered 404"),
        (["submit-event", "--dsn", "x", "--event-json", "-"], ""),
    ):
        done = script(serve(), *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert message in done.stderr
        assert "Traceback" not in done.stderr
