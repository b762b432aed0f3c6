"""Updating, merging, discarding and deleting issues."""

from typing import Any

import pytest
import requests

from sandbox import SECRET, Issue, World

from .client import Client
from .conftest import NOW, SMALL, Start

ISSUES = "/organizations/acme/issues/"
BACKEND = "/projects/acme/backend/issues/"
EVERYTHING = ["event:admin", "event:read", "org:read", "project:read", "member:read"]
HOUR = 3_600
T0 = int(NOW.timestamp())


def writer(client: Client, *scopes: str, **token: Any) -> Client:
    return Client(client.server, client.server.add_token(scopes=scopes or EVERYTHING, **token))


@pytest.fixture
def client(start: Start) -> Client:
    return writer(start())


def of_project(client: Client, slug: str, n: int = 1) -> list[Issue]:
    found = [issue for issue in client.server.world.issues if issue.project.slug == slug]
    for issue in found:
        issue.status, issue.substatus = "unresolved", "ongoing"
    client.server.world.changed()
    return found[:n]


def put_one(client: Client, issue: Issue, **body: Any) -> requests.Response:
    return client.put(f"{ISSUES}{issue.id}/", body)


def put_many(client: Client, issues: list[Issue], body: Any) -> requests.Response:
    return client.put(ISSUES, body, id=[issue.id for issue in issues], project="-1")


def listed(client: Client, issue: Issue) -> dict[str, Any]:
    rows: list[dict[str, Any]] = client.rows(ISSUES, project="-1", query="")
    return next(row for row in rows if row["id"] == issue.id)


def test_one_issue_is_updated_and_comes_back_whole(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    before = client.get(f"{ISSUES}{issue.id}/").json()
    answer = put_one(client, issue, status="resolved", assignedTo="user1@example.com", priority="high")
    assert answer.status_code == 200
    row = answer.json()
    assert (row["id"], row["status"], row["substatus"], row["priority"]) == (
        issue.id,
        "resolved",
        None,
        "high",
    )
    assert row["assignedTo"]["email"] == "user1@example.com"
    assert (row["count"], row["lastSeen"]) == (before["count"], before["lastSeen"])
    assert "activity" not in row
    after = client.get(f"{ISSUES}{issue.id}/").json()
    assert {name: after[name] for name in row} == row
    assert [one["type"] for one in after["activity"]][:3] == ["assigned", "set_resolved", "set_priority"]
    assert after["activity"][0]["user"]["email"] == "user1@example.com"
    shown = listed(client, issue)
    assert (shown["status"], shown["priority"], shown["lastSeen"]) == ("resolved", "high", before["lastSeen"])


@pytest.mark.parametrize("scope", ["event:read", "project:admin", "org:admin"])
def test_reading_is_not_enough(start: Start, scope: str) -> None:
    client = writer(start(), scope)
    issue = client.server.world.issues[0]
    for answer in (
        put_one(client, issue, status="resolved"),
        put_many(client, [issue], {"status": "resolved"}),
        client.put(BACKEND, {"status": "resolved"}, id=issue.id),
        client.delete(f"{ISSUES}{issue.id}/"),
        client.delete(ISSUES, id=issue.id),
    ):
        assert answer.status_code == 403
        assert "insufficient_scope" in answer.headers["WWW-Authenticate"]


def test_writing_is_not_enough_to_delete_or_discard(start: Start) -> None:
    client = writer(start(), "event:write")
    (issue,) = of_project(client, "backend")
    assert client.delete(f"{ISSUES}{issue.id}/").status_code == 403
    assert client.delete(ISSUES, id=issue.id).status_code == 403
    answer = put_one(client, issue, discard=True)
    problem = {"discard": ["You do not have permission to discard events"]}
    assert (answer.status_code, answer.json()) == (400, problem)
    assert put_one(client, issue, hasSeen=True).status_code == 200


def test_a_token_of_the_organization_updates_nothing(start: Start) -> None:
    client = writer(start(), kind="org")
    assert put_one(client, client.server.world.issues[0], hasSeen=True).status_code == 403


def test_a_merged_id_leads_to_its_parent_alone_but_is_skipped_in_bulk(client: Client) -> None:
    child, parent = of_project(client, "backend", 2)
    client.server.world.merge(child, into=parent)
    assert put_one(client, child, status="resolved").json()["id"] == parent.id
    assert parent.status == "resolved"
    assert put_many(client, [child], {"status": "unresolved"}).status_code == 204
    assert parent.status == "resolved"


def test_what_is_deleted_cannot_be_updated(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    client.server.world.delete_issue(issue)
    assert put_one(client, issue, status="resolved").status_code == 404
    assert put_many(client, [issue], {"status": "resolved"}).status_code == 204


def test_a_bulk_update_answers_what_is_different(client: Client) -> None:
    issues = of_project(client, "backend", 2)
    answer = client.put(
        ISSUES, {"status": "resolved", "colour": "red"}, id=[*(i.id for i in issues), 999_999]
    )
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "resolved", "statusDetails": {}, "inbox": None},
    )
    assert {issue.status for issue in issues} == {"resolved"}
    assert put_many(client, issues, {"colour": "red"}).json() == {}


def test_nothing_found_is_no_content_whatever_the_body_says(client: Client) -> None:
    answer = client.put(ISSUES, {"status": "nonsense"}, id="999999")
    assert (answer.status_code, answer.content) == (204, b"")
    nobody = writer(client, member_of=[])
    assert nobody.put(ISSUES, {"status": "resolved"}).status_code == 204


def test_issues_of_projects_one_is_no_member_of_are_skipped_unless_asked_for(client: Client) -> None:
    backend = client.server.world.project("backend")
    (mobile,) = of_project(client, "mobile")
    member = writer(client, member_of=[backend.id])
    assert member.put(ISSUES, {"status": "resolved"}, id=mobile.id).status_code == 204
    assert listed(client, mobile)["status"] == "unresolved"
    assert member.put(ISSUES, {"status": "resolved"}, id=mobile.id, project="-1").status_code == 200
    assert listed(client, mobile)["status"] == "resolved"


def test_more_than_a_thousand_ids_are_refused(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    many = [("id", issue.id), *(("id", str(number)) for number in range(1_000))]
    url = f"{client.server.url}/api/0{ISSUES}"
    assert client.session.put(url, json={"status": "resolved"}, params=many).status_code == 400
    assert issue.status == "unresolved"
    assert client.session.put(url, json={"status": "resolved"}, params=many[:1_000]).status_code == 200
    assert client.put(ISSUES, {"status": "resolved"}, id="BACKEND-1").status_code == 400


def test_without_ids_everything_the_search_finds_is_updated(client: Client) -> None:
    world = client.server.world
    of_project(client, "backend")
    archived = world.archive(world.issues[0])
    old = {issue.id for issue in world.issues if issue.status == "unresolved"}
    window = {"start": "2026-08-01T11:59:58", "end": "2026-08-01T11:59:59", "limit": "1"}
    assert client.put(ISSUES, {"priority": "low"}, project="-1", **window).status_code == 200
    assert {issue.id for issue in world.issues if issue.priority_locked_at} == old
    client.put(ISSUES, {"status": "resolved"}, project="-1", query="is:ignored")
    assert archived.status == "resolved"
    client.put(BACKEND, {"priority": "high"}, query="")
    assert {issue.project.slug for issue in world.issues if issue.priority == "high"} >= {"backend"}
    assert client.put(ISSUES, {"status": "resolved"}, project="-1", query="a OR b").status_code == 400


def test_ids_that_match_nothing_once_fell_back_to_the_search(start: Start) -> None:
    client = writer(start(bulk_ids_fall_back_to_search=True))
    (issue,) = of_project(client, "backend")
    assert client.put(ISSUES, {"status": "resolved"}, id=issue.id).status_code == 200
    assert [one.status for one in client.server.world.issues].count("resolved") < 6
    assert client.put(ISSUES, {"status": "resolved"}, id="999999", project="-1").status_code == 200
    assert {one.status for one in client.server.world.issues} <= {"resolved", "ignored"}


def test_issues_of_a_project_are_updated_on_the_deprecated_path(client: Client) -> None:
    backend, mobile = *of_project(client, "backend"), *of_project(client, "mobile")
    answer = client.put(BACKEND, {"status": "ignored"}, id=[backend.id, mobile.id])
    assert answer.headers["X-Sentry-Replacement-Endpoint"].endswith("/issues/")
    assert (backend.status, backend.substatus) == ("ignored", "archived_forever")
    assert mobile.status == "unresolved"
    assert client.put(BACKEND, {"status": "resolved"}, id=backend.id, status="unresolved").status_code == 204
    answer = client.put(f"/issues/{backend.id}/", {"status": "unresolved"})
    assert answer.json()["status"] == "unresolved"
    assert answer.headers["X-Sentry-Deprecation-Date"]


def test_an_old_server_updates_issues_of_a_project_and_single_ones(start: Start) -> None:
    client = writer(start(World.build(**SMALL), old_server=True))
    (issue,) = of_project(client, "backend")
    assert put_one(client, issue, status="resolved").status_code == 404
    answer = client.put(f"/issues/{issue.id}/", {"status": "ignored", "priority": "high", "substatus": "no"})
    assert answer.json()["status"] == "ignored"
    assert "priority" not in answer.json()
    assert issue.priority_locked_at is None
    assert client.put(BACKEND, {"status": "resolved"}, id=issue.id).json()["status"] == "resolved"
    assert client.put(ISSUES, {"status": "resolved"}, id=issue.id).status_code == 400
    assert client.delete(f"/issues/{issue.id}/").status_code == 202


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"status": "open"}, {"status": ['"open" is not a valid choice.']}),
        ({"status": None}, {"status": ["This field may not be null."]}),
        ({"status": "resolved", "substatus": "ongoing"}, {"substatus": ["*"]}),
        ({"status": "ignored", "substatus": "escalating"}, {"substatus": ["*"]}),
        ({"substatus": "sleeping"}, {"substatus": ['"sleeping" is not a valid choice.']}),
        ({"priority": "urgent"}, {"priority": ['"urgent" is not a valid choice.']}),
        ({"hasSeen": "maybe"}, {"hasSeen": ["Must be a valid boolean."]}),
        ({"isPublic": None}, {"isPublic": ["This field may not be null."]}),
        (
            {"assignedTo": "user999@example.com"},
            {"assignedTo": ["User is not a member of this organization"]},
        ),
        ({"assignedTo": "424242"}, {"assignedTo": ["User is not a member of this organization"]}),
        ({"assignedTo": "team:999"}, {"assignedTo": ["Team is not a member of this organization"]}),
        ({"assignedTo": "robot:1"}, {"assignedTo": ["User is not a member of this organization"]}),
        ({"assignedTo": ["1"]}, {"assignedTo": ["*"]}),
        ({"assignedTo": None}, {"assignedTo": ["This field may not be null."]}),
        ({"discard": True, "status": "resolved"}, {"nonFieldErrors": ["*"]}),
        ({"statusDetails": "soon"}, {"statusDetails": {"nonFieldErrors": ["*"]}}),
        ({"status": "open", "priority": "urgent"}, {"status": ["*"], "priority": ["*"]}),
        ({"statusDetails": {"inRelease": "0.0.0"}}, {"statusDetails": {"inRelease": ["*"]}}),
        ({"statusDetails": {"inRelease": ""}}, {"statusDetails": {"inRelease": ["*"]}}),
        ({"statusDetails": {"ignoreWindow": 10_081}}, {"statusDetails": {"ignoreWindow": ["*"]}}),
        ({"statusDetails": {"ignoreUserWindow": 10_081}}, {"statusDetails": {"ignoreUserWindow": ["*"]}}),
        ({"statusDetails": {"ignoreDuration": "long"}}, {"statusDetails": {"ignoreDuration": ["*"]}}),
        (
            {"statusDetails": {"inCommit": {"commit": "abc", "repository": "acme/nowhere"}}},
            {"statusDetails": {"inCommit": {"repository": ["*"]}}},
        ),
        ([], {"nonFieldErrors": ["Invalid data. Expected a dictionary, but got list."]}),
        ("resolved", {"nonFieldErrors": ["*"]}),
        (7, {"nonFieldErrors": ["*"]}),
    ],
)
def test_what_makes_no_sense_is_told_by_field_and_changes_nothing(
    client: Client, body: Any, problem: Any
) -> None:
    (issue,) = of_project(client, "backend")
    before = (issue.status, issue.substatus, issue.priority, issue.assignee, len(issue.activity))
    for answer in (client.put(f"{ISSUES}{issue.id}/", body), put_many(client, [issue], body)):
        assert answer.status_code == 400
        assert _blurred(answer.json(), problem) == problem
    assert (issue.status, issue.substatus, issue.priority, issue.assignee, len(issue.activity)) == before


def _blurred(told: Any, expected: Any) -> Any:
    """What was told, with a star where any text will do."""
    if isinstance(told, dict) and isinstance(expected, dict):
        return {name: _blurred(value, expected.get(name)) for name, value in told.items()}
    return ["*"] if expected == ["*"] and told else told


def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    url = f"{client.server.url}/api/0{ISSUES}{issue.id}/"
    json_type = {"Content-Type": "application/json"}
    assert client.session.put(url, data=b"{", headers=json_type).status_code == 400
    assert client.session.put(url, data=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.session.put(url).status_code == 200


def test_an_update_can_be_repeated(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    body = {"status": "ignored", "assignedTo": "team:21", "priority": "high", "hasSeen": True}
    first = put_one(client, issue, **body).json()
    noted = len(issue.activity)
    assert put_one(client, issue, **body).json() == first
    assert len(issue.activity) == noted


@pytest.mark.parametrize(
    ("before", "body", "after"),
    [
        ("unresolved", {"status": "ignored"}, ("ignored", "archived_forever")),
        ("unresolved", {"status": "muted"}, ("ignored", "archived_forever")),
        (
            "unresolved",
            {"status": "ignored", "substatus": "archived_until_escalating"},
            ("ignored", "archived_until_escalating"),
        ),
        (
            "unresolved",
            {"status": "ignored", "statusDetails": {"ignoreCount": 5}},
            ("ignored", "archived_until_condition_met"),
        ),
        (
            "unresolved",
            {"status": "ignored", "ignoreDuration": 5},
            ("ignored", "archived_until_condition_met"),
        ),
        ("ignored", {"status": "unresolved", "substatus": "ongoing"}, ("unresolved", "ongoing")),
        ("resolved", {"status": "unresolved"}, ("unresolved", "regressed")),
        ("unresolved", {"status": "unresolved", "substatus": "escalating"}, ("unresolved", "ongoing")),
        ("unresolved", {"substatus": "escalating"}, ("unresolved", "ongoing")),
        ("unresolved", {"status": "resolvedInNextRelease"}, ("resolved", None)),
    ],
)
def test_each_status_has_its_substatus(
    client: Client, before: Any, body: dict[str, Any], after: tuple[str, str | None]
) -> None:
    (issue,) = of_project(client, "backend")
    issue.status = before
    row = put_one(client, issue, **body).json()
    assert (row["status"], row["substatus"]) == after


def test_conditions_to_ignore_an_issue_are_shown(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    sent = {"ignoreDuration": 30, "ignoreCount": 5, "ignoreWindow": 10_080}
    row = put_one(client, issue, status="ignored", statusDetails=sent).json()
    details = row["statusDetails"]
    assert details["ignoreUntil"] == "2026-08-01T12:30:00Z"
    assert (details["ignoreCount"], details["ignoreWindow"], details["ignoreUserCount"]) == (5, 10_080, None)
    assert details["actor"]["email"] == "user1@example.com"
    assert put_one(client, issue, status="unresolved").json()["statusDetails"] == {}


def test_an_issue_is_resolved_in_a_release(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    releases = client.server.world.releases.values()
    version = next(one.version for one in releases if issue.project in one.projects)
    latest = client.server.world.add_release("backend@9.9.9", "backend", at=T0 + HOUR)
    answer = put_many(client, [issue], {"status": "resolved", "statusDetails": {"inNextRelease": True}})
    assert answer.json()["statusDetails"]["inNextRelease"] is True
    assert answer.json()["activity"][0]["type"] == "set_resolved_in_release"
    backend = {"id": issue.id, "project": issue.project.id}
    body = {"status": "resolved", "statusDetails": {"inRelease": "latest"}}
    assert client.put(ISSUES, body, **backend).json()["statusDetails"]["inRelease"] == latest.version
    body = {"status": "resolved", "statusDetails": {"inRelease": version}}
    assert client.put(ISSUES, body, **backend).json()["statusDetails"]["inRelease"] == version
    assert client.get(f"{ISSUES}{issue.id}/").json()["statusDetails"]["inRelease"] == version


def test_an_update_must_make_sense_in_every_project_chosen(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    client.server.world.add_release("backend@9.9.9", "backend")
    body = {"status": "resolved", "statusDetails": {"inRelease": "backend@9.9.9"}}
    assert put_many(client, [issue], body).status_code == 400
    assert client.put(ISSUES, body, id=issue.id, project=issue.project.id).status_code == 200


def test_an_issue_is_resolved_in_a_commit(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    world = client.server.world
    repository = world.add_repository("acme/ledger")
    commit = world.add_commit(next(iter(world.releases)), repository=repository)
    named = {"commit": commit.sha, "repository": "acme/ledger"}
    answer = put_many(client, [issue], {"status": "resolved", "statusDetails": {"inCommit": named}})
    assert answer.json()["statusDetails"]["inCommit"] == named
    wrong = {"status": "resolved", "statusDetails": {"inCommit": named | {"commit": "0" * 40}}}
    assert put_many(client, [issue], wrong).status_code == 400


def test_issues_of_several_projects_are_not_resolved_in_a_release(client: Client) -> None:
    issues = [*of_project(client, "backend"), *of_project(client, "frontend")]
    client.server.world.add_release("shared@1", "backend")
    for project in ("frontend", "mobile"):
        client.server.world.add_release("shared@1", project)
    for body in (
        {"status": "resolvedInNextRelease"},
        {"status": "resolved", "statusDetails": {"inNextRelease": True}},
        {"status": "resolved", "statusDetails": {"inUpcomingRelease": True}},
        {"status": "resolved", "statusDetails": {"inRelease": "shared@1"}},
    ):
        answer = put_many(client, issues, body)
        detail = {"detail": "Cannot set resolved for multiple projects."}
        assert (answer.status_code, answer.json()) == (400, detail)
    assert {issue.status for issue in issues} == {"unresolved"}


@pytest.mark.parametrize("form", ["{user_id}", "user:{user_id}", "{email}", "{name}"])
def test_a_member_is_assigned_in_every_form(client: Client, form: str) -> None:
    (issue,) = of_project(client, "backend")
    member = client.server.world.add_member("user77@example.com")
    named = form.format(user_id=member.user_id, email=member.email, name=member.name)
    assert put_many(client, [issue], {"assignedTo": named}).json() == {
        "assignedTo": {"type": "user", "id": member.user_id, "name": member.name, "email": member.email}
    }
    assert listed(client, issue)["assignedTo"]["id"] == member.user_id


def test_a_team_is_assigned_and_an_issue_unassigned(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    team = client.server.world.teams[0]
    row = put_one(client, issue, assignedTo=f"team:{team.id}").json()
    assert row["assignedTo"] == {"type": "team", "id": team.id, "name": team.name}
    assert put_many(client, [issue], {"assignedTo": ""}).json() == {"assignedTo": None}
    assert listed(client, issue)["assignedTo"] is None
    assert [note["type"] for note in issue.activity] == ["assigned", "unassigned"]


def test_an_invitation_is_nobody_to_assign_to(client: Client) -> None:
    invited = client.server.world.add_member("user88@example.com", pending=True)
    assert put_one(client, of_project(client, "backend")[0], assignedTo=invited.email).status_code == 400


def test_what_one_user_has_seen_another_has_not(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    other = writer(client, user=client.server.world.add_member("user77@example.com"))
    assert put_one(client, issue, hasSeen=True, isBookmarked=True).json()["hasSeen"] is True
    mine, theirs = listed(client, issue), listed(other, issue)
    columns = ("hasSeen", "isBookmarked", "isSubscribed")
    assert [mine[name] for name in columns] == [True, True, True]
    assert [theirs[name] for name in columns] == [False, False, False]
    assert mine["subscriptionDetails"] == {"reason": "bookmarked"}
    detail = other.get(f"{ISSUES}{issue.id}/").json()
    assert [person["email"] for person in detail["seenBy"]] == ["user1@example.com"]
    assert [person["email"] for person in detail["participants"]] == ["user1@example.com"]
    row = put_one(client, issue, hasSeen=False, isBookmarked=False).json()
    assert [row[name] for name in columns] == [False, False, False]


def test_a_subscription_comes_and_goes(client: Client) -> None:
    issues = of_project(client, "backend", 2)
    answer = put_many(client, issues, {"isSubscribed": True})
    assert answer.json() == {"isSubscribed": True, "subscriptionDetails": {"reason": "unknown"}}
    assert listed(client, issues[1])["isSubscribed"] is True
    put_many(client, issues, {"isSubscribed": False})
    assert listed(client, issues[1])["isSubscribed"] is False


def test_a_bot_bookmarks_but_sees_nothing(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    bot = writer(client, kind="integration")
    row = put_one(bot, issue, hasSeen=True, isBookmarked=True, status="resolved").json()
    assert (row["hasSeen"], row["isBookmarked"], row["status"]) == (False, True, "resolved")
    assert client.get(f"{ISSUES}{issue.id}/").json()["isBookmarked"] is False


def test_a_public_issue_has_a_secret_link_that_is_new_each_time(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    share = put_many(client, [issue], {"isPublic": True}).json()["shareId"]
    assert SECRET in share
    row = listed(client, issue)
    assert (row["isPublic"], row["shareId"]) == (True, share)
    assert put_one(client, issue, isPublic=True).json()["shareId"] != share
    assert put_many(client, [issue], {"isPublic": False}).json() == {"isPublic": False, "shareId": None}
    assert listed(client, issue)["isPublic"] is False


def test_a_review_is_noted_once(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    for _ in range(2):
        assert put_many(client, [issue], {"inbox": False}).json() == {"inbox": False}
    assert [note["type"] for note in issue.activity] == ["mark_reviewed"]


def test_issues_are_merged_into_the_one_seen_most(client: Client) -> None:
    world = client.server.world
    issues = [world.add_issue(project="backend", at=T0 - HOUR, events=n) for n in (1, 5, 2)]
    assert put_many(client, issues, {"merge": True}).json() == {
        "merge": {"parent": issues[1].id, "children": [issues[2].id, issues[0].id]}
    }
    assert client.get(f"{ISSUES}{issues[0].id}/").json()["id"] == issues[1].id
    assert listed(client, issues[1])["lifetime"]["count"] == "8"
    assert put_many(client, issues, {"merge": True}).json() == {"merge": True}


def test_issues_are_not_merged_across_projects_but_the_rest_is_done(client: Client) -> None:
    issues = [*of_project(client, "backend"), *of_project(client, "frontend")]
    answer = put_many(client, issues, {"merge": True, "priority": "low"})
    detail = {"detail": "Merging across multiple projects is not supported"}
    assert (answer.status_code, answer.json()) == (400, detail)
    assert {issue.priority for issue in issues} == {"low"}


def test_feedback_is_neither_merged_nor_discarded(client: Client) -> None:
    feedback = [client.server.world.add_feedback(project="backend", at=T0 - HOUR) for _ in range(2)]
    for body, what in (({"merge": True}, "merged"), ({"discard": True}, "discarded")):
        answer = put_many(client, feedback, body)
        assert (answer.status_code, answer.json()) == (400, [f"Only error issues can be {what}."])


def test_a_discarded_issue_is_gone(client: Client) -> None:
    first, second = of_project(client, "backend", 2)
    answer = put_many(client, [first], {"discard": True})
    assert (answer.status_code, answer.content) == (204, b"")
    assert put_one(client, second, discard=True).status_code == 204
    assert first.deleted
    assert second.deleted


def test_a_plan_without_discarding_says_so(start: Start) -> None:
    client = writer(start(features_off=frozenset({"discard"})))
    answer = put_one(client, client.server.world.issues[0], discard=True)
    assert (answer.status_code, answer.json()) == (400, {"detail": ["You do not have that feature enabled"]})


def test_issues_are_deleted(client: Client) -> None:
    first, second, third = of_project(client, "backend", 3)
    answer = client.delete(f"{ISSUES}{first.id}/")
    assert (answer.status_code, answer.content) == (202, b"")
    assert client.get(f"{ISSUES}{first.id}/").status_code == 404
    assert client.delete(f"{ISSUES}{first.id}/").status_code == 404
    assert client.delete(ISSUES, id=[second.id, "999999"]).status_code == 204
    assert client.delete(BACKEND, id=third.id).status_code == 204
    assert [issue.deleted for issue in (first, second, third)] == [True, True, True]


def test_without_ids_all_that_the_search_finds_is_deleted(client: Client) -> None:
    world = client.server.world
    of_project(client, "backend")
    kept = world.resolve(world.issues[0])
    assert client.delete(ISSUES, project="-1").status_code == 204
    assert {issue.status for issue in world.issues} <= {"resolved", "ignored"}
    assert kept in world.issues


def test_a_slow_server_only_begins_to_delete_and_to_merge(start: Start) -> None:
    client = writer(start(slow_endings=True))
    world = client.server.world
    gone, child, parent = of_project(client, "backend", 3)
    client.delete(f"{ISSUES}{gone.id}/")
    put_many(client, [child, parent], {"merge": True})
    assert gone.pending == "pending_deletion"
    assert {child.pending, parent.pending} == {"pending_merge", None}
    assert client.get(f"{ISSUES}{gone.id}/").status_code == 404
    world.delete_issue(gone)
    assert gone.deleted


def test_what_was_sent_is_recorded(client: Client) -> None:
    (issue,) = of_project(client, "backend")
    server = client.server
    server.clear_requests()
    server.fail_next(1, status=503)
    for _ in range(2):
        client.put(ISSUES, {"status": "resolved"}, id=[issue.id, "7"], project="-1")
    client.delete(ISSUES, id=issue.id)
    client.get(ISSUES)
    writes = [request for request in server.requests if request.is_write]
    assert [(one.method, one.status) for one in writes] == [("PUT", 503), ("PUT", 200), ("DELETE", 204)]
    assert [one.request_json for one in writes] == [{"status": "resolved"}, {"status": "resolved"}, None]
    assert writes[1].values("id") == [issue.id, "7"]
    assert writes[1].path == "/api/0/organizations/acme/issues/"
    assert [one.body for one in writes] == [None, None, None]


def test_updates_count_for_the_limits_of_their_view(start: Start) -> None:
    client = writer(start(rate_limits={"issue-detail": (1, 60, None)}))
    issue = client.server.world.issues[0]
    assert put_one(client, issue, hasSeen=True).status_code == 200
    assert put_one(client, issue, hasSeen=True).status_code == 429


def test_a_method_that_a_path_does_not_know_is_refused(client: Client) -> None:
    assert client.put("/organizations/acme/projects/", {}).status_code == 405
