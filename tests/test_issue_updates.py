"""Rows about issues go back to Sentry: what is sent, what is left alone, what becomes of each row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import dlt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import Issue, RecordedRequest, Sandbox, Switches, World
from sentry.client import SentryClient
from sentry.config import Connection
from sentry.destinations import sentry_issues
from sentry.errors import SentryConfigurationError, SentryRedirectError, SentryRequestError
from sentry.issue_calls import IssueCalls
from sentry.issue_outcomes import Outcomes
from sentry.issue_updates import update_issues
from tests.conftest import SMALL
from tests.contract import Contract, find_contract

ISSUES = "/api/0/organizations/acme/issues/"
SCOPES = ("org:read", "project:read", "event:admin")

Serve = Callable[..., Sandbox]
Row = dict[str, Any]


def writer(server: Sandbox, *scopes: str, **token: Any) -> Row:
    """Settings that write to a server."""
    made = server.add_token(scopes=scopes or SCOPES, **token)
    return {"auth_token": made, "organization": "acme", "base_url": server.url}


def update(server: Sandbox, rows: list[Row], *, scopes: tuple[str, ...] = SCOPES, **more: Any) -> Outcomes:
    return update_issues(rows, **writer(server, *scopes), **more)


def open_issues(server: Sandbox, project: str | None = None) -> list[Issue]:
    """Issues as if they were just found, of one project or of all."""
    for issue in server.world.issues:
        issue.status, issue.substatus, issue.status_details, issue.assignee = (
            "unresolved",
            "ongoing",
            {},
            None,
        )
        issue.priority = "medium"
    server.world.changed()
    return [issue for issue in server.world.issues if project in (None, issue.project.slug)]


def writes(server: Sandbox) -> list[RecordedRequest]:
    return [request for request in server.requests if request.is_write]


def results(told: Outcomes) -> list[str]:
    return [one.outcome for one in told.rows]


def on_change(server: Sandbox, do: Callable[[], Any]) -> None:
    """Do something before each change is answered."""

    def before(request: Any) -> None:
        if request.method != "GET":
            do()

    server.on_request(before)


def reason(told: Outcomes) -> str:
    """Why the only row was refused."""
    (row,) = told.rows
    assert row.outcome == "refused", row
    return str(row.reason)


# what is sent


def test_equal_changes_share_a_call_and_a_single_one_goes_alone(serve: Serve) -> None:
    server = serve()
    issues = open_issues(server)
    rows: list[Row] = [{"issue_id": issue.id, "status": "resolved"} for issue in issues[:5]]
    rows += [{"id": int(issues[5].id), "priority": "high", "statusDetails": None}]
    told = update(server, rows)
    assert results(told) == ["applied"] * 6
    assert [(one.method, one.path) for one in writes(server)] == [
        ("PUT", ISSUES),
        ("PUT", f"{ISSUES}{issues[5].id}/"),
    ]
    bulk, single = writes(server)
    assert sorted(bulk.values("id")) == sorted(issue.id for issue in issues[:5])
    assert (bulk.request_json, single.request_json) == ({"status": "resolved"}, {"priority": "high"})
    assert [issue.status for issue in issues[:6]] == ["resolved"] * 5 + ["unresolved"]
    assert issues[5].priority == "high"


def test_replaying_the_same_rows_sends_nothing(serve: Serve) -> None:
    server = serve()
    world = server.world
    issues = open_issues(server, "backend")
    member, team = world.add_member("user77@example.com"), world.teams[0]
    world.add_release("backend@9", "backend")
    rows: list[Row] = [
        {"issue_id": issues[0].id, "status": "ignored", "status_details": {"ignoreDuration": 30, "ignoreCount": 5}},
        {"issue_id": issues[1].id, "status": "resolved", "statusDetails": '{"inRelease": "backend@9"}'},
        {"issue_id": issues[2].id, "status": "resolvedInNextRelease", "assigned_to": f"team:{team.id}"},
        {"issue_id": issues[3].id, "assigned_to": member.email, "has_seen": True, "is_subscribed": True},
        {"issue_id": issues[4].id, "status": "ignored", "substatus": "archived_until_escalating", "is_public": True},
        {"issue_id": issues[5].id, "is_bookmarked": True, "status": "resolved", "status_details": {"inRelease": "latest"}},
    ]  # fmt: skip
    assert set(results(update(server, rows))) == {"applied"}
    world.advance(seconds=600)
    before = [(issue.status_details, issue.share_id, len(issue.activity)) for issue in issues]
    server.clear_requests()
    assert set(results(update(server, rows))) == {"unchanged"}
    assert writes(server) == []
    assert before == [(issue.status_details, issue.share_id, len(issue.activity)) for issue in issues]


def test_a_longer_snooze_is_not_taken_for_the_same(serve: Serve) -> None:
    server = serve()
    issue = open_issues(server)[0]
    for minutes, outcome in ((600, "applied"), (600, "unchanged"), (1200, "applied"), (60, "applied")):
        row = {"issue_id": issue.id, "status": "ignored", "status_details": {"ignore_duration": minutes}}
        assert results(update(server, [row])) == [outcome]


def test_rows_about_the_same_issue_are_one_change_in_which_the_last_word_wins(serve: Serve) -> None:
    server = serve()
    issue = open_issues(server)[0]
    rows: list[Row] = [
        {"issue_id": issue.id, "status": "ignored", "status_details": {"ignoreCount": 5}, "priority": "low"},
        {"issue_id": issue.id, "assigned_to": ""},
        {"issue_id": issue.id, "status": "resolved", "priority": None},
    ]
    assert results(update(server, rows)) == ["applied"] * 3
    (sent,) = writes(server)
    assert sent.request_json == {"priority": "low", "assignedTo": "", "status": "resolved"}


def test_what_is_so_already_is_not_sent_along(serve: Serve) -> None:
    server = serve()
    issue = open_issues(server, "backend")[0]
    update(server, [{"issue_id": issue.id, "status": "resolvedInNextRelease", "is_public": True}])
    link, details = issue.share_id, issue.status_details
    update(server, [{"issue_id": issue.id, "status": "resolved", "is_public": True, "priority": "high"}])
    assert writes(server)[-1].request_json == {"priority": "high"}
    assert (issue.share_id, issue.status_details, issue.priority) == (link, details, "high")


def test_release_kinds_go_project_by_project(serve: Serve) -> None:
    server = serve()
    issues = open_issues(server)
    for project in server.world.projects:
        server.world.add_release(f"{project.slug}@9", project)
    told = update(server, [{"id": issue.id, "status": "resolvedInNextRelease"} for issue in issues])
    assert set(results(told)) == {"applied"}
    assert sorted(request.values("project") for request in writes(server)) == sorted(
        [project.id] for project in server.world.projects
    )
    assert all("inNextRelease" in issue.status_details for issue in issues)


def test_a_release_that_one_project_lacks_refuses_the_rows_of_that_project_only(serve: Serve) -> None:
    server = serve()
    issues = open_issues(server)
    server.world.add_release("backend@9", "backend")
    row = {"status": "resolved", "status_details": {"inRelease": "backend@9"}}
    told = update(server, [{"issue_id": issue.id, **row} for issue in issues])
    for issue, one in zip(issues, told.rows, strict=True):
        if issue.project.slug == "backend":
            assert (one.outcome, issue.status) == ("applied", "resolved")
        else:
            assert (one.outcome, issue.status) == ("refused", "unresolved")
            assert one.reason == "statusDetails.inRelease: Unable to find a release with the given version."
    assert len(writes(server)) == 2


@pytest.mark.parametrize("form", ["{id}", "user:{id}", "{email}", "{name}"])
def test_an_issue_is_assigned_and_given_back(serve: Serve, form: str) -> None:
    server = serve()
    issues = open_issues(server)[:3]
    member = server.world.add_member("user77@example.com")
    wanted = form.format(id=member.user_id, email=member.email, name=member.name)
    assert (
        results(update(server, [{"id": one.id, "assigned_to": wanted} for one in issues])) == ["applied"] * 3
    )
    assert {one.assignee.id for one in issues if one.assignee} == {member.user_id}
    assert (
        results(update(server, [{"id": one.id, "assigned_to": None} for one in issues])) == ["unchanged"] * 3
    )
    assert results(update(server, [{"id": one.id, "assignedTo": ""} for one in issues])) == ["applied"] * 3
    assert {one.assignee for one in issues} == {None}


# what is refused


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "BACKEND-1"}, "id 'BACKEND-1' is not the number of an issue"),
        ({"id": ""}, "id '' is not the number"),
        ({"id": 0}, "id 0 is not the number"),
        ({"id": True}, "id True is not the number"),
        ({"id": 5.5}, "id 5.5 is not the number"),
        ({"id": "9" * 19}, "is not the number"),
        ({"id": "٣"}, "is not the number"),
        ({"status": "resolved"}, "issue_id is missing"),
        ({"id": 1, "issue_id": 2}, "issue_id and id differ"),
        ({"id": 1, "hasSeen": True, "has_seen": False}, "has_seen is given twice"),
        ({"id": 1, "status": "open"}, "status 'open' is none of resolved, unresolved, ignored"),
        ({"id": 1, "substatus": "ongoing"}, "substatus needs a status"),
        ({"id": 1, "status": "resolved", "substatus": "ongoing"}, "does not fit the status resolved"),
        ({"id": 1, "status_details": {"ignoreCount": 1}}, "status_details needs a status"),
        ({"id": 1, "status": "resolved", "status_details": {"ignoreCount": 1}}, "ignoreCount does not fit"),
        ({"id": 1, "status": "ignored", "status_details": {"inRelease": "1"}}, "inRelease does not fit"),
        ({"id": 1, "status": "ignored", "status_details": "{"}, "is no JSON"),
        ({"id": 1, "status": "ignored", "status_details": "[]"}, "is no object"),
        ({"id": 1, "status": "ignored", "status_details": {"until": 1}}, "status_details.until is none of"),
        ({"id": 1, "status": "ignored", "status_details": {"ignoreCount": 0}}, "not a positive whole number"),
        ({"id": 1, "status": "ignored", "status_details": {"ignoreCount": True}}, "not a positive whole"),
        (
            {"id": 1, "status": "ignored", "status_details": {"ignoreWindow": 10_081}},
            "at most 10,080 minutes",
        ),
        ({"id": 1, "status": "ignored", "status_details": {"ignoreUserWindow": 10_081}}, "at most 10,080"),
        ({"id": 1, "status": "resolved", "status_details": {"inNextRelease": False}}, "can only be true"),
        ({"id": 1, "status": "resolved", "status_details": {"inRelease": " "}}, "is no version"),
        ({"id": 1, "status": "resolved", "status_details": {"inCommit": "abc"}}, "a commit and a repository"),
        (
            {"id": 1, "status": "resolved", "status_details": {"inRelease": "1", "inNextRelease": True}},
            "has several of",
        ),
        ({"id": 1, "assigned_to": "robot:1"}, "assigned_to 'robot:1' is neither"),
        ({"id": 1, "assigned_to": "team:core"}, "is neither user:<id>, team:<id>"),
        ({"id": 1, "assigned_to": " "}, "is neither"),
        ({"id": 1, "assigned_to": ["1"]}, "is neither"),
        ({"id": 1, "priority": "urgent"}, "priority 'urgent' is none of low, medium, high"),
        ({"id": 1, "has_seen": "maybe"}, "has_seen 'maybe' is neither true nor false"),
        ({"id": 1, "delete": True}, "delete needs allow_destructive=True"),
        ({"id": 1, "discard": True}, "discard needs allow_destructive=True"),
        ({"id": 1, "merge_into": 2}, "merge needs allow_destructive=True"),
        ({"id": 1, "merge_into": 1}, "merge_into names the issue itself"),
        ({"id": 1, "delete": True, "status": "resolved"}, "delete must stand alone"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_before_anything_is_sent(
    serve: Serve, row: Row, message: str
) -> None:
    server = serve()
    assert message in reason(update(server, [row]))
    assert server.requests == []


def test_an_unknown_column_is_an_error_that_names_it_and_the_known_ones(serve: Serve) -> None:
    server = serve()
    rows = [{"id": server.world.issues[0].id, "stauts": "resolved", "_dlt_id": "x", "titel": None}]
    with pytest.raises(
        SentryConfigurationError, match=r"column stauts\. These are allowed: issue_id, id, status,"
    ):
        update(server, rows)
    assert server.requests == []


def test_ids_that_are_not_there_are_refused_and_do_not_keep_the_others_back(serve: Serve) -> None:
    server = serve()
    kept, merged, deleted, parent = open_issues(server, "backend")[:4]
    server.world.merge(merged, into=parent)
    server.world.delete_issue(deleted)
    told = update(
        server, [{"id": one, "priority": "low"} for one in (kept.id, merged.id, deleted.id, 999_999)]
    )
    assert results(told) == ["applied", "refused", "refused", "refused"]
    assert told.rows[3].reason == "not found, or no access to it"
    assert (kept.priority, parent.priority) == ("low", "medium")


def test_a_bad_value_is_named_with_its_field_and_blocks_nobody(serve: Serve) -> None:
    server = serve()
    issues = open_issues(server)
    rows = [{"id": issue.id, "assigned_to": "nobody@example.com"} for issue in issues[:4]]
    rows += [{"id": issue.id, "priority": "low"} for issue in issues[4:]]
    told = update(server, rows)
    assert Counter(results(told)) == {"refused": 4, "applied": len(issues) - 4}
    assert told.rows[0].reason == "assignedTo: User is not a member of this organization"


def test_a_400_without_fields_splits_the_call_until_the_bad_row_is_alone(serve: Serve) -> None:
    server = serve()
    issues = open_issues(server, "backend")
    bad = issues[2].id
    detail = b'{"detail": "That one is special."}'

    def refuse(request: Any) -> None:
        named = [value for name, value in request.params if name == "id"]
        if request.method == "PUT" and (bad in named or f"/{bad}/" in request.path):
            server.fail_next(status=400, body=detail, content_type="application/json")

    server.on_request(refuse)
    told = update(server, [{"id": issue.id, "status": "resolved"} for issue in issues])
    assert Counter(results(told)) == {"refused": 1, "applied": len(issues) - 1}
    assert "That one is special." in str(told.refused[0].reason)
    assert [issue.id for issue in issues if issue.status != "resolved"] == [bad]


def test_an_assignee_whom_one_project_does_not_take_is_refused_there_only(serve: Serve) -> None:
    server = serve()
    issues = open_issues(server)
    frontend = server.world.project("frontend")
    problem = b'{"assignedTo": ["Cannot assign to a team without access to the project"]}'

    def refuse(request: Any) -> None:
        if request.method == "PUT" and ("project", frontend.id) in request.params:
            server.fail_next(status=400, body=problem, content_type="application/json")

    server.on_request(refuse)
    team = f"team:{server.world.teams[0].id}"
    told = update(server, [{"id": issue.id, "assigned_to": team} for issue in issues])
    for issue, one in zip(issues, told.rows, strict=True):
        assert (one.outcome == "refused") == (issue.project is frontend) == (issue.assignee is None)
    assert told.refused[0].reason == "assignedTo: Cannot assign to a team without access to the project"
    assert len(writes(server)) == 3


def test_204_is_nothing_found(serve: Serve) -> None:
    server = serve()
    issues = open_issues(server)[:2]
    on_change(server, lambda: server.fail_next(status=204, body=b""))
    told = update(server, [{"id": issue.id, "status": "resolved"} for issue in issues])
    assert [one.reason for one in told.rows] == ["not found, or no access to it"] * 2


def test_a_token_without_the_scope_is_told_so_once(serve: Serve) -> None:
    server = serve(issues=150)
    rows = [{"id": issue.id, "status": "resolved"} for issue in open_issues(server)]
    told = update(server, rows, scopes=("org:read", "event:read"))
    assert set(results(told)) == {"refused"}
    assert "lacks the scope event:write" in str(told.rows[0].reason)
    assert len(writes(server)) == 1


@pytest.mark.parametrize("body", [b"<html>no</html>", b'{"detail":"no"}'])
def test_one_change_that_is_forbidden_keeps_no_other_from_its_effect(serve: Serve, body: bytes) -> None:
    server = serve()
    issues = open_issues(server)
    kind = "text/html" if b"html" in body else "application/json"

    def forbid(request: Any) -> None:
        if request.method == "PUT" and f"/{issues[0].id}/" in request.path:
            server.fail_next(1, status=403, body=body, content_type=kind)

    server.on_request(forbid)
    rows = [{"id": issues[0].id, "priority": "high"}] + [
        {"id": one.id, "status": "resolved"} for one in issues[1:]
    ]
    told = update(server, rows)
    assert told.totals == {"refused": 1, "applied": len(issues) - 1}


def test_one_issue_that_sentry_fails_on_keeps_no_other_from_its_effect(serve: Serve) -> None:
    server = serve()
    issues = open_issues(server)
    poison = issues[2].id

    def fail(request: Any) -> None:
        if request.method == "PUT" and (("id", poison) in request.params or f"/{poison}/" in request.path):
            server.fail_next(
                1, status=500, body=b'{"detail":"Internal Error"}', content_type="application/json"
            )

    server.on_request(fail)
    told = update(server, [{"id": issue.id, "status": "resolved"} for issue in issues])
    assert told.totals == {"refused": 1, "applied": len(issues) - 1}
    assert "Sentry fails on it whenever it is sent" in str(told.refused[0].reason)
    assert told.refused[0].issue_id == issues[2].id


def test_rows_about_the_same_issue_do_not_share_a_refusal(serve: Serve) -> None:
    server = serve()
    first, second = open_issues(server)[:2]
    rows = [
        {"id": first.id, "priority": "high"},
        {"id": first.id, "assigned_to": "nobody@example.org"},
        {"id": second.id, "priority": "high"},
    ]
    told = update(server, rows)
    assert results(told) == ["applied", "refused", "applied"]
    assert (first.priority, second.priority) == ("high", "high")


def test_an_ending_that_is_said_twice_is_done_once(serve: Serve) -> None:
    server = serve()
    issue = open_issues(server)[0]
    told = update(server, [{"id": issue.id, "delete": True}] * 2, allow_destructive=True)
    assert sorted(results(told)) == ["applied", "unchanged"]


def test_issues_that_vanish_between_look_and_change_harm_no_others(serve: Serve) -> None:
    server = serve(switches=Switches(bulk_ids_fall_back_to_search=True))
    issues = open_issues(server)
    doomed, others = issues[:2], issues[2:]

    def vanish(request: Any) -> None:
        if request.method == "PUT":
            for issue in doomed:
                server.world.delete_issue(issue)

    server.on_request(vanish)
    update(server, [{"id": issue.id, "status": "resolved"} for issue in doomed])
    assert {issue.status for issue in others} == {"unresolved"}


def test_a_file_of_outcomes_that_cannot_be_written_is_told_before_anything_is_sent(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve()
    row = {"id": open_issues(server)[0].id, "status": "resolved"}
    with pytest.raises(SentryConfigurationError, match="cannot be written: No such file or directory"):
        update(server, [row], outcomes=str(tmp_path / "nowhere" / "told.jsonl"))
    assert not server.requests


def test_a_text_with_nul_is_refused_unsent(serve: Serve) -> None:
    server = serve()
    told = update(server, [{"id": open_issues(server)[0].id, "assigned_to": "a\0b"}])
    assert "holds a NUL" in reason(told)
    assert not writes(server)


def test_a_refused_row_names_its_issue_in_every_form(serve: Serve) -> None:
    told = update(serve(), [{"issueId": 7, "status": "x"}, {"id": "A-1"}, {"status": "x"}])
    assert [one.issue_id for one in told.rows] == ["7", "A-1", None]


def test_a_wrong_token_is_an_error(serve: Serve) -> None:
    server = serve()
    with pytest.raises(SentryRequestError, match="Check the token"):
        update_issues(
            [{"id": 1, "status": "resolved"}], auth_token="x", organization="acme", base_url=server.url
        )


def test_what_sentry_takes_and_does_not_do_is_refused(serve: Serve) -> None:
    server = serve()
    issues = open_issues(server)[:3]
    for issue in issues:
        server.world.archive(issue)
    rows = [{"id": one.id, "status": "ignored", "substatus": "archived_forever"} for one in issues]
    told = update(server, rows)
    assert {one.reason for one in told.rows} == {"Sentry took the change and left substatus as it was"}
    bot = writer(server, kind="integration")
    told = update_issues([{"id": one.id, "has_seen": True, "priority": "low"} for one in issues], **bot)
    assert {one.reason for one in told.rows} == {"Sentry took the change and left hasSeen as it was"}


# never without ids


ODD_IDS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([None, "", " ", "0", 0, -1, "-1", True, 1.5, "5001,5002", "BACKEND-1", "[]", []]),
    st.integers(4_990, 5_020),
    st.integers(4_990, 5_020).map(str),
    st.text(max_size=4),
)
ODD_VALUES = {
    "status": st.sampled_from(["resolved", "unresolved", "ignored", "resolvedInNextRelease", "x", None]),
    "priority": st.sampled_from(["low", "high", "", None]),
    "assigned_to": st.sampled_from(["", None, "user:9041", "team:21", "nobody@example.com"]),
    "has_seen": st.sampled_from([True, False, None]),
    "merge_into": st.one_of(st.none(), ODD_IDS),
    "delete": st.sampled_from([None, False, True]),
}
ODD_ROWS = st.lists(st.fixed_dictionaries({}, optional={"issue_id": ODD_IDS, **ODD_VALUES}), max_size=12)


@pytest.fixture(scope="module")
def hazardous() -> Iterator[Sandbox]:
    """A server of the time when ids that matched nothing fell back to the search."""
    world = World.build(**SMALL)
    with Sandbox(world=world, switches=Switches(bulk_ids_fall_back_to_search=True)) as server:
        yield server


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ODD_ROWS, destructive=st.booleans())
def test_no_call_without_ids_can_leave(hazardous: Sandbox, rows: list[Row], destructive: bool) -> None:
    hazardous.clear_requests()
    named = {str(row["issue_id"]) for row in rows if isinstance(row.get("issue_id"), int | str)}
    named |= {str(row["merge_into"]) for row in rows if isinstance(row.get("merge_into"), int | str)}
    before = {issue.id: _state(issue) for issue in hazardous.world.issues}
    told = update(hazardous, rows, allow_destructive=destructive)
    assert len(told.rows) == len(rows)
    for request in writes(hazardous):
        ids = request.values("id")
        if request.path == ISSUES:
            assert request.method == "PUT"
            assert 0 < len(ids) <= 100
            assert all(one.isdigit() for one in ids)
            assert set(ids) <= named
        else:
            assert request.path.removeprefix(ISSUES).rstrip("/") in named
    changed = {
        issue.id
        for issue in hazardous.world.all_issues.values()
        if before.get(issue.id, _state(issue)) != _state(issue)
    }
    assert changed <= named


def _state(issue: Issue) -> tuple[Any, ...]:
    return (
        issue.status,
        issue.priority,
        issue.assignee,
        len(issue.seen_by),
        issue.deleted,
        issue.merged_into,
    )


@given(ids=st.lists(st.sampled_from(["", " ", "x", "-1", "²", "5001"]), max_size=101))
def test_the_guard_lets_no_blank_through(ids: list[str]) -> None:
    if ids and len(ids) <= 100 and set(ids) == {"5001"}:
        return
    with pytest.raises(ValueError, match="needs the ids"):
        IssueCalls(MagicMock()).change_many(ids, ["1"], {"status": "resolved"})


def test_ids_that_match_nothing_never_reach_a_server_that_falls_back_to_its_search(serve: Serve) -> None:
    server = serve(switches=Switches(bulk_ids_fall_back_to_search=True))
    open_issues(server)
    told = update(server, [{"id": number, "status": "resolved"} for number in (999_998, 999_999)])
    assert set(results(told)) == {"refused"}
    assert writes(server) == []


# many, and in trouble


def many_kinds(server: Sandbox, count: int) -> tuple[list[Row], dict[str, Row]]:
    """Rows of mixed kinds about so many issues, and what each shall be like; in no order, as a warehouse gives them."""
    world = server.world
    project = world.projects[0]
    issues = [world._new_issue(project, None, world.seconds_now) for _ in range(count)]
    member = world.add_member("user99@example.com")
    kinds: list[Row] = [
        {"status": "resolved"},
        {"status": "ignored", "substatus": "archived_until_escalating"},
        {"status": "ignored", "status_details": {"ignoreCount": 10, "ignoreWindow": 60}},
        {"status": "resolved", "status_details": {"inNextRelease": True}},
        {"priority": "high"},
        {"assigned_to": f"user:{member.user_id}", "priority": "low"},
        {"has_seen": True},
        {"status": "resolved", "assigned_to": f"team:{world.teams[0].id}"},
    ]
    wanted = {issue.id: kinds[number % len(kinds)] for number, issue in enumerate(issues)}
    return [{"issue_id": one, **kind} for one, kind in wanted.items()], wanted


def assert_as_wanted(server: Sandbox, wanted: dict[str, Row]) -> None:
    for issue_id, kind in wanted.items():
        issue = server.world.all_issues[issue_id]
        assert issue.status == kind.get("status", "unresolved")
        assert issue.substatus == kind.get("substatus", issue.substatus)
        assert issue.priority == kind.get("priority", "medium")
        assert (issue.assignee is not None) == ("assigned_to" in kind)
        assert bool(issue.seen_by) == kind.get("has_seen", False)
        details = kind.get("status_details", {})
        assert {name: issue.status_details[name] for name in details} == details


def least_requests(wanted: dict[str, Row]) -> int:
    """One look per 100 issues, one call per 100 issues with the same change, and the organization."""
    kinds = Counter(json.dumps(kind, sort_keys=True) for kind in wanted.values())
    return 1 + -(-len(wanted) // 100) + sum(-(-count // 100) for count in kinds.values())


@pytest.mark.parametrize("count", [800, 10_000])
def test_many_updates_of_mixed_kinds_take_hardly_more_requests_than_they_must(
    serve: Serve, count: int
) -> None:
    server = serve()
    rows, wanted = many_kinds(server, count)
    told = update(server, rows)
    assert told.totals == {"applied": count}
    assert_as_wanted(server, wanted)
    assert told.requests_sent == len(server.requests)
    assert told.requests_sent <= 1.1 * least_requests(wanted)
    server.clear_requests()
    assert update(server, rows).totals == {"unchanged": count}
    assert writes(server) == []


@pytest.mark.parametrize("body", ["object", "string"])
def test_a_storm_of_429_loses_nothing(serve: Serve, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentry.session.time.sleep", lambda _: None)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    server = serve()
    rows, wanted = many_kinds(server, 160)
    detail: Any = "Too many" if body == "string" else {"detail": "Too many"}

    def storm(request: Any) -> None:
        if request.method == "PUT":
            seen[request.path, str(request.params)] += 1
            if seen[request.path, str(request.params)] <= 3:
                server.fail_next(status=429, body=json.dumps(detail).encode())

    seen: Counter[tuple[str, str]] = Counter()
    server.on_request(storm)
    assert update(server, rows).totals == {"applied": 160}
    assert_as_wanted(server, wanted)
    assert Counter(one.status for one in writes(server)) == {429: 24, 200: 8}


@pytest.mark.parametrize(
    "failure", [{"status": 503}, {"drop": "before"}, {"status": 200, "drop": "body", "body": b"{}"}]
)
def test_trouble_on_the_way_is_tried_again(serve: Serve, failure: Row) -> None:
    server = serve()
    rows, wanted = many_kinds(server, 80)
    numbers = Counter[str]()

    def fail(request: Any) -> None:
        numbers[request.method] += 1
        if numbers[request.method] % 3 == 1:
            server.fail_next(**failure)

    server.on_request(fail)
    assert update(server, rows).totals == {"applied": 80}
    server.clear_hooks()
    assert_as_wanted(server, wanted)


def test_trouble_that_stays_is_an_error_and_doing_it_again_does_the_rest(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve()
    rows, wanted = many_kinds(server, 80)
    path = tmp_path / "outcomes.jsonl"
    calls = Counter[str]()

    def die(request: Any) -> None:
        calls[request.method] += 1
        if calls["PUT"] > 4:
            server.fail_next(drop="before")

    server.on_request(die)
    with pytest.raises(SentryRequestError, match="cannot be reached"):
        update(server, rows, outcomes=path)
    server.clear_hooks()
    server.clear_requests()
    told = update(server, rows, outcomes=path)
    assert told.totals == {"applied": 40, "unchanged": 40}
    assert len(writes(server)) == 4
    assert_as_wanted(server, wanted)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert Counter(line["outcome"] for line in lines) == {"applied": 80, "unchanged": 40}
    assert lines[0].keys() == {"row", "issue_id", "outcome", "reason"}


def test_no_redirect_takes_a_change_or_the_token_elsewhere(serve: Serve) -> None:
    server, other = serve(), serve()
    issue = open_issues(server)[0]
    for status in (301, 302, 307, 308):
        on_change(
            server,
            partial(server.fail_next, status=status, body=b"", headers={"location": f"{other.url}{ISSUES}"}),
        )
        with pytest.raises(SentryRedirectError, match="Redirects to another address"):
            update(server, [{"id": issue.id, "status": "resolved"}])
        server.clear_hooks()
    assert other.requests == []


# servers that differ


def test_an_old_server_is_changed_issue_by_issue(serve: Serve) -> None:
    server = serve(switches=Switches(old_server=True))
    issues = open_issues(server)
    rows: list[Row] = [{"id": issue.id, "status": "resolved"} for issue in issues[:3]]
    rows += [{"id": issues[3].id, "priority": "high"}, {"id": 999_999, "status": "resolved"}]
    told = update(server, rows)
    assert results(told) == ["applied"] * 3 + ["refused"] * 2
    assert told.rows[3].reason == "Sentry took the change and left priority as it was"
    assert {request.path for request in writes(server)} == {f"/api/0/issues/{one.id}/" for one in issues[:4]}
    assert len(writes(server)) == 4
    server.clear_requests()
    assert results(update(server, rows[:3])) == ["unchanged"] * 3
    assert writes(server) == []


@pytest.mark.parametrize(
    "switches", [Switches(region="de"), Switches(path_prefix="/sentry", no_lifetime=True)]
)
def test_regions_and_path_prefixes_make_no_difference(serve: Serve, switches: Switches) -> None:
    server = serve(switches=switches)
    issues = open_issues(server)
    told = update(server, [{"id": issue.id, "status": "resolved"} for issue in issues])
    assert set(results(told)) == {"applied"}
    assert {issue.status for issue in issues} == {"resolved"}


def test_a_server_without_searches_across_projects_is_asked_project_by_project(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_PROJECT", "backend")  # what is read does not bound what is written
    server = serve(switches=Switches(no_multi_project=True))
    issues = open_issues(server)
    told = update(server, [{"id": issue.id, "status": "resolved"} for issue in issues])
    assert set(results(told)) == {"applied"}
    assert {issue.status for issue in issues} == {"resolved"}
    assert all(len(request.values("project")) == 1 for request in writes(server))


def test_a_dry_run_only_looks(serve: Serve) -> None:
    server = serve()
    issues = open_issues(server)
    rows: list[Row] = [
        {"id": issues[0].id, "status": "resolved"},
        {"id": issues[1].id, "status": "unresolved"},
        {"id": issues[2].id, "delete": True},
        {"id": issues[3].id, "merge_into": issues[4].id},
        {"id": 999_999, "status": "resolved"},
    ]
    told = update(server, rows, dry_run=True, allow_destructive=True)
    assert results(told)[:3] == ["would apply", "unchanged", "would apply"]
    assert results(told)[4] == "refused"
    assert told.rows[0].reason == 'would send {"status": "resolved"}'
    assert writes(server) == []


# endings


def test_issues_are_deleted_and_discarded_one_by_one(serve: Serve) -> None:
    server = serve()
    first, second, third = open_issues(server)[:3]
    rows: list[Row] = [{"id": first.id, "delete": True}, {"id": second.id, "discard": True}]
    rows += [{"id": first.id, "status": "resolved"}, {"id": third.id, "delete": False, "status": "resolved"}]
    told = update(server, rows, allow_destructive=True)
    assert results(told) == ["applied", "applied", "refused", "applied"]
    assert told.rows[2].reason == "an earlier row ends the issue: delete"
    assert (first.deleted, second.deleted, third.status) == (True, True, "resolved")
    server.clear_requests()
    assert results(update(server, rows[:2], allow_destructive=True)) == ["unchanged"] * 2
    assert writes(server) == []


def test_issues_are_merged_and_the_parent_is_the_one_that_sentry_chooses(serve: Serve) -> None:
    server = serve()
    world = server.world
    big, small, tiny = (world.add_issue(project="backend", events=n) for n in (9, 4, 2))
    other = world.add_issue(project="frontend", events=3)
    rows = [{"id": one.id, "merge_into": small.id} for one in (big, tiny, other)]
    told = update(server, [*rows, {"id": tiny.id, "merge_into": 999_999}], allow_destructive=True)
    assert results(told) == ["applied", "applied", "refused", "refused"]
    assert told.rows[0].reason == f"Sentry chose {big.id} as the parent, as it has the most events"
    assert told.rows[2].reason == "only issues of one project can be merged"
    assert (small.merged_into, tiny.merged_into, big.merged_into) == (big, big, None)
    server.clear_requests()
    again = update(server, rows[:2], allow_destructive=True)
    assert results(again) == ["unchanged", "unchanged"]
    assert writes(server) == []


def test_an_old_server_deletes_but_does_not_merge(serve: Serve) -> None:
    server = serve(switches=Switches(old_server=True))
    first, second, third = open_issues(server)[:3]
    rows: list[Row] = [{"id": first.id, "delete": True}, {"id": second.id, "merge_into": third.id}]
    told = update(server, rows, allow_destructive=True)
    assert [(one.outcome, one.reason) for one in told.rows] == [
        ("applied", None),
        ("refused", "this old server merges issues only in its own pages"),
    ]
    assert first.deleted


def test_many_issues_are_merged_in_several_calls(serve: Serve) -> None:
    server = serve()
    world = server.world
    parent = world.add_issue(project="backend", events=5)
    children = [world.add_issue(project="backend", events=1) for _ in range(250)]
    told = update(
        server, [{"id": one.id, "merge_into": parent.id} for one in children], allow_destructive=True
    )
    assert told.totals == {"applied": 250}
    assert parent.times_seen == 255
    assert [len(request.values("id")) for request in writes(server)] == [100, 100, 53]


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("ending", ["delete", "discard", "merge"])
def test_an_ending_without_an_answer_is_looked_at_before_it_is_tried_again(
    serve: Serve, ending: str, done: bool
) -> None:
    server = serve()
    world = server.world
    issue, parent = (world.add_issue(project="backend", events=n) for n in (1, 5))
    row: Row = (
        {"id": issue.id, "merge_into": parent.id} if ending == "merge" else {"id": issue.id, ending: True}
    )
    tries: list[str] = []

    def lose_the_first(request: Any) -> None:
        if request.method != "GET":
            tries.append(request.method)
            if len(tries) == 1:
                if done:
                    world.merge(issue, into=parent) if ending == "merge" else world.delete_issue(issue)
                server.fail_next(drop="before")

    server.on_request(lose_the_first)
    assert results(update(server, [row], allow_destructive=True)) == ["applied"]
    assert len(tries) == (1 if done else 2)
    assert issue.gone


def test_endings_are_not_sent_again_blindly_but_after_a_429_they_are(serve: Serve) -> None:
    server = serve()
    issue = open_issues(server)[0]
    token = server.add_token(scopes=SCOPES)
    client = SentryClient(Connection(server.url, token))
    path = f"organizations/acme/issues/{issue.id}/"
    server.fail_next(status=503)
    with pytest.raises(SentryRequestError, match="503"):
        client.send("DELETE", path, repeatable=False)
    assert len(server.requests) == 1
    headers = {"X-Sentry-Rate-Limit-Remaining": "1"}
    server.fail_next(status=429, headers=headers)
    assert client.send("DELETE", path, repeatable=False).status_code == 202
    assert [request.status for request in server.requests] == [503, 429, 202]


def test_a_token_that_may_not_delete_is_told_so(serve: Serve) -> None:
    server = serve()
    issue = open_issues(server)[0]
    told = update(
        server, [{"id": issue.id, "delete": True}], scopes=("org:read", "event:write"), allow_destructive=True
    )
    assert "lacks the scope event:admin" in reason(told)


# the destination


def load(rows: list[Row], target: sentry_issues, name: str = "back", **options: Any) -> dlt.Pipeline:
    pipeline = dlt.pipeline(name)
    pipeline.run(rows, destination=target, table_name="updates", **options)
    return pipeline


def test_the_destination_applies_rows_of_any_load(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    issues = open_issues(server)
    path = tmp_path / "outcomes.jsonl"
    target = sentry_issues(**writer(server), outcomes=str(path))
    rows: list[Row] = [{"issue_id": issue.id, "status": "resolved"} for issue in issues[:6]]
    rows += [{"issueId": int(issues[6].id), "status": "ignored", "statusDetails": {"ignoreCount": 5}}]
    rows += [{"issue_id": issues[7].id, "assigned_to": None, "priority": "urgent"}]
    load(rows, target)
    assert target.totals == {"applied": 7, "refused": 1}
    assert [one.issue_id for one in target.refused] == [issues[7].id]
    assert len(path.read_text().splitlines()) == 8
    assert issues[6].status_details["ignoreCount"] == 5
    assert len(writes(server)) == 2
    server.clear_requests()
    load(rows[:7], sentry_issues(**writer(server)))
    assert writes(server) == []


@pytest.mark.parametrize("file_format", ["typed-jsonl", "parquet"])
def test_both_file_formats_carry_the_rows(serve: Serve, file_format: Any) -> None:
    server = serve()
    issue, other = open_issues(server)[:2]
    server.world.assign(issue, server.world.teams[0])
    target = sentry_issues(**writer(server), loader_file_format=file_format)
    rows: list[Row] = [
        {"issue_id": issue.id, "assigned_to": "", "status": None},
        {"issue_id": other.id, "status": "ignored", "status_details": {"ignoreCount": 3}, "has_seen": True},
    ]
    load(rows, target)
    assert target.totals == {"applied": 2}, target.refused
    assert (issue.assignee, issue.status) == (None, "unresolved")
    assert other.status_details["ignoreCount"] == 3


def test_the_destination_takes_its_settings_from_where_the_source_finds_them(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    issue = open_issues(server)[0]
    settings = writer(server)
    monkeypatch.setenv("SOURCES__SENTRY__AUTH_TOKEN", settings["auth_token"])
    monkeypatch.setenv("SOURCES__SENTRY__BASE_URL", server.url)
    monkeypatch.setenv("SENTRY_ORG", "acme")
    monkeypatch.setenv("DESTINATION__SENTRY_ISSUES__DRY_RUN", "true")
    target = sentry_issues()
    load([{"issue_id": issue.id, "status": "resolved"}], target)
    assert target.totals == {"would apply": 1}
    monkeypatch.setenv("DESTINATION__SENTRY_ISSUES__DRY_RUN", "false")
    load([{"issue_id": issue.id, "status": "resolved"}], target)
    assert issue.status == "resolved"
    assert update_issues([{"id": issue.id, "status": "resolved"}]).totals == {"unchanged": 1}


def test_the_destination_is_found_by_its_name_and_shows_no_token(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, everything_logged: pytest.LogCaptureFixture
) -> None:
    server = serve()
    issue = open_issues(server)[0]
    settings = writer(server)
    monkeypatch.setenv("DESTINATION__SENTRY_ISSUES__AUTH_TOKEN", settings["auth_token"])
    monkeypatch.setenv("DESTINATION__SENTRY_ISSUES__BASE_URL", server.url)
    monkeypatch.setenv("DESTINATION__SENTRY_ISSUES__ORGANIZATION", "acme")
    pipeline = dlt.pipeline("back", destination="sentry.destinations.sentry_issues")
    info = pipeline.run([{"issue_id": issue.id, "status": "resolved"}], table_name="updates")
    assert issue.status == "resolved"
    assert dlt.attach("back").destination.destination_name == "sentry_issues"
    target = sentry_issues(**settings)
    shown = f"{info} {pipeline.last_trace} {target!r} {target} {everything_logged.text}"
    assert settings["auth_token"] not in shown


def test_a_row_with_an_unknown_column_is_refused_and_the_next_load_goes_on(serve: Serve) -> None:
    server = serve()
    issue = open_issues(server)[0]
    target = sentry_issues(**writer(server))
    load([{"issue_id": issue.id, "stauts": "resolved"}, {"issue_id": issue.id, "priority": "low"}], target)
    assert target.totals == {"refused": 1, "applied": 1}
    assert "column stauts" in str(target.refused[0].reason)
    pipeline = load([{"issue_id": issue.id, "status": "resolved"}], target)
    assert issue.status == "resolved"
    assert not pipeline.has_pending_data


def test_a_load_that_was_broken_off_half_way_is_finished_by_the_next_run(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, everything_logged: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")
    server = serve()
    rows, wanted = many_kinds(server, 80)
    calls = Counter[str]()

    def die(request: Any) -> None:
        calls[request.method] += 1
        if calls["PUT"] > 4:
            server.fail_next(drop="before")

    server.on_request(die)
    settings = writer(server)
    with pytest.raises(Exception, match="cannot be reached"):
        load(rows, sentry_issues(**settings))
    server.clear_hooks()
    server.clear_requests()
    pipeline = dlt.pipeline("back")
    assert pipeline.has_pending_data
    target = sentry_issues(**settings)
    pipeline.run(destination=target)
    assert target.totals == {"applied": 40, "unchanged": 40}
    assert_as_wanted(server, wanted)
    assert len(writes(server)) == 4
    assert settings["auth_token"] not in everything_logged.text


def test_without_a_valid_token_the_load_waits_for_the_next_run(serve: Serve) -> None:
    server = serve()
    issue = open_issues(server)[0]
    rows = [{"issue_id": issue.id, "status": "resolved"}]
    with pytest.raises(Exception, match="Check the token"):
        load(rows, sentry_issues("sntryu_wrong", "acme", server.url))
    assert len(server.requests) == 1
    dlt.pipeline("back").run(destination=sentry_issues(**writer(server)))
    assert issue.status == "resolved"


def test_dlt_sends_the_batch_again_after_trouble(serve: Serve) -> None:
    server = serve()
    rows, wanted = many_kinds(server, 16)
    server.fail_next(7, drop="before", path_contains="/issues/")
    load(rows, sentry_issues(**writer(server)))
    assert_as_wanted(server, wanted)


# the published contract


@pytest.mark.skipif(find_contract() is None, reason="Sentry's published OpenAPI file is not here")
def test_every_request_conforms_to_the_published_contract(serve: Serve) -> None:
    server = serve()
    issues = open_issues(server)
    rows: list[Row] = [{"id": issue.id, "status": "resolved", "assigned_to": ""} for issue in issues[:4]]
    rows += [{"id": issues[4].id, "delete": True}, {"id": issues[5].id, "discard": True}]
    rows += [{"id": issues[6].id, "merge_into": issues[7].id}, {"id": issues[8].id, "has_seen": True}]
    update(server, rows, allow_destructive=True)
    path = find_contract()
    assert path
    contract = Contract(path)
    assert len(server.requests) > 6
    assert [problem for request in server.requests for problem in contract.check(request)] == []
    published = json.loads(Path(path).read_text())["paths"]
    bodies = published["/api/0/organizations/{organization_id_or_slug}/issues/{issue_id}/"]["put"][
        "requestBody"
    ]
    known = bodies["content"]["application/json"]["schema"]["properties"]
    assert all((request.request_json or {}).keys() <= known.keys() for request in writes(server))
