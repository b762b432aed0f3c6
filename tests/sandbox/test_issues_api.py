"""Issue lists and details."""

from collections import Counter

import pytest

from sandbox import World

from .client import Client, Links
from .conftest import NOW, SMALL, Start

ISSUES = "/organizations/acme/issues/"
HOUR = 3_600
T0 = int(NOW.timestamp())


def ids(rows: list[dict[str, object]]) -> set[object]:
    return {row["id"] for row in rows}


def empty_world(projects: int = 1) -> World:
    return World.build(projects=projects, issues=0, events=0, now=NOW)


def test_without_query_only_unresolved_issues_are_listed(shared: Client) -> None:
    rows = shared.rows(ISSUES, project="-1")
    assert {row["status"] for row in rows} == {"unresolved"}
    assert len(rows) < 12
    assert len(shared.rows(ISSUES, project="-1", query="")) == 12


@pytest.mark.parametrize(
    ("word", "status"), [("resolved", "resolved"), ("ignored", "ignored"), ("archived", "ignored")]
)
def test_a_status_can_be_asked_for(start: Start, word: str, status: str) -> None:
    client = start()
    client.server.world.resolve(client.server.world.issues[0])
    client.server.world.archive(client.server.world.issues[1])
    rows = client.rows(ISSUES, project="-1", query=f"is:{word}")
    assert {row["status"] for row in rows} == {status}


def test_numbers_are_those_of_the_window_and_lifetime_is_beside_them(start: Start) -> None:
    world = empty_world()
    issue = world.add_issue(project="backend", at=T0 - 50 * HOUR)
    world.add_event(project="backend", issue=issue, at=T0 - 2 * HOUR, user={"id": 1})
    world.add_event(project="backend", issue=issue, at=T0 - HOUR, user={"id": 1})
    window = {"start": "2026-08-01T09:00:00", "end": "2026-08-01T12:00:00"}
    (row,) = start(world).rows(ISSUES, project="-1", query="", **window)
    assert (row["count"], row["userCount"]) == ("2", 1)
    assert (row["firstSeen"], row["lastSeen"]) == ("2026-08-01T10:00:00Z", "2026-08-01T11:00:00Z")
    assert row["lifetime"]["count"] == "3"
    assert row["lifetime"]["firstSeen"] == "2026-07-30T10:00:00Z"
    assert row["lifetime"]["lastSeen"] == "2026-08-01T11:00:00Z"
    assert row["filtered"] is None


def test_the_window_holds_its_start_but_not_its_end(start: Start) -> None:
    world = empty_world()
    issue = world.add_issue(project="backend", at=T0 - HOUR)
    client = start(world)
    ask = {"project": "-1", "query": ""}
    assert client.rows(ISSUES, **ask, start="2026-08-01T11:00:00", end="2026-08-01T11:00:01")
    assert not client.rows(ISSUES, **ask, start="2026-08-01T10:00:00", end="2026-08-01T11:00:00")
    assert ids(client.rows(ISSUES, **ask, start="2026-08-01T11:00:00Z", end=str(T0))) == {issue.id}
    assert client.rows(ISSUES, **ask, start="2026-08-01T13:00:00+02:00", end="2026-08-01T13:00:01+02:00")


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"start": "2026-08-01T00:00:00"}, "start and end are both required"),
        ({"end": "2026-08-01T00:00:00"}, "start and end are both required"),
        ({"start": "2026-08-01T00:00:00", "end": "2026-08-01T00:00:00"}, "start must be before end"),
        ({"start": "yesterday", "end": "2026-08-01T00:00:00"}, "not a valid ISO8601"),
        ({"start": "2026-08-01T00:00:00 02:00", "end": "2026-08-02T00:00:00"}, "not a valid ISO8601"),
        ({"statsPeriod": "14"}, "Invalid statsPeriod"),
        ({"statsPeriod": ""}, "Invalid statsPeriod"),
        ({"groupStatsPeriod": "7d"}, "groupStatsPeriod"),
        ({"sort": "oldest"}, "Invalid sort"),
        ({"limit": "all"}, "Invalid limit"),
        ({"query": "is:unresolved OR is:resolved"}, "Boolean"),
        ({"query": "project:elsewhere"}, "not actively selected"),
        ({"group": "abc"}, "integers"),
    ],
)
def test_what_makes_no_sense_is_refused(shared: Client, params: dict[str, str], text: str) -> None:
    assert text in str(shared.detail(ISSUES, 400, project="-1", **params))


def test_a_window_before_the_retention_is_empty(shared: Client) -> None:
    window = {"start": "2020-01-01T00:00:00", "end": "2020-02-01T00:00:00"}
    assert shared.rows(ISSUES, project="-1", query="", **window) == []


def test_stats_period_wins_and_moves_with_the_clock(start: Start) -> None:
    world = empty_world()
    world.add_issue(project="backend", at=T0 - 30 * 60)
    client = start(world)
    window = {"start": "2020-01-01T00:00:00", "end": "2020-01-02T00:00:00"}
    assert client.rows(ISSUES, project="-1", query="", statsPeriod="1h", **window)
    world.advance(seconds=HOUR)
    assert not client.rows(ISSUES, project="-1", query="", statsPeriod="1h")


def test_sort_by_date_and_new_look_at_the_window(start: Start) -> None:
    world = empty_world()
    early = world.add_issue(project="backend", at=T0 - 3 * HOUR)
    late = world.add_issue(project="backend", at=T0 - 2 * HOUR)
    world.add_event(project="backend", issue=early, at=T0 - HOUR)
    client = start(world)
    assert [row["id"] for row in client.rows(ISSUES, project="-1", sort="date")] == [early.id, late.id]
    assert [row["id"] for row in client.rows(ISSUES, project="-1", sort="new")] == [late.id, early.id]


def test_a_direct_hit_has_no_link(shared: Client) -> None:
    event = shared.server.world.issues[0].timeline[0][2]
    for params in (
        {"query": event.event_id},
        {"query": shared.server.world.issues[0].short_id, "shortIdLookup": "1"},
    ):
        answer = shared.get(ISSUES, project="-1", **params)
        assert answer.headers["X-Sentry-Direct-Hit"] == "1"
        assert "Link" not in answer.headers
        assert [row["id"] for row in answer.json()] == [shared.server.world.issues[0].id]


def test_groups_are_given_whatever_the_query_says(shared: Client) -> None:
    wanted = [issue.id for issue in shared.server.world.issues[:2]]
    answer = shared.get(ISSUES, [("project", "-1"), *(("group", one) for one in wanted)])
    assert [row["id"] for row in answer.json()] == wanted
    ask = {"group": wanted, "query": "is:resolved nothing", "statsPeriod": "1m", "limit": 1}
    answer = shared.get(ISSUES, project="-1", **ask)
    assert ([row["id"] for row in answer.json()], "Link" in answer.headers) == (wanted, False)
    assert answer.json()[0]["count"] == answer.json()[0]["lifetime"]["count"] != "0"


def test_groups_that_cannot_be_shown_are_left_out(start: Start) -> None:
    world = empty_world(2)
    kept, merged, deleted, merging, deleting = (
        world.add_issue(project="backend", at=T0 - HOUR) for _ in range(5)
    )
    foreign = world.add_issue(project="frontend", at=T0 - HOUR)
    world.merge(merged, into=kept)
    world.delete_issue(deleted)
    world.begin_merge(merging, into=kept)
    world.begin_deletion(deleting)
    client = start(world)
    named = [one.id for one in (deleting, merging, deleted, merged, kept, foreign, kept)]
    ask = [("query", ""), *(("group", one) for one in [*named, "424242", "-3"])]
    assert ids(client.get(ISSUES, [*ask, ("project", "-1")]).json()) == {kept.id, foreign.id}
    assert [row["id"] for row in client.get(ISSUES, [*ask, ("project", "backend")]).json()] == [kept.id]
    assert [row["id"] for row in client.get(ISSUES, ask).json()] == [kept.id]  # no member of the other
    for bad in ("abc", "", "1.5", "BACKEND-1"):
        assert client.detail(ISSUES, 400, project="-1", group=[kept.id, bad]) == "Group ids must be integers"


def test_a_group_that_aged_out_is_shown_with_the_numbers_that_outlive_its_events(start: Start) -> None:
    world = empty_world()
    issue = world.add_issue(project="backend", at=T0 - 80 * 24 * HOUR, events=3)
    world.advance(seconds=20 * 24 * HOUR)
    client = start(world)
    (row,) = client.get(ISSUES, project="-1", group=issue.id).json()
    assert [row[name] for name in ("count", "userCount", "firstSeen", "lastSeen")] == ["0", 0, None, None]
    seen = "2026-05-13T12:00:00Z"
    lifetime = {"count": "3", "userCount": 0, "firstSeen": seen, "lastSeen": seen}
    assert row["lifetime"] == lifetime | {"stats": None}
    assert client.get(f"{ISSUES}{issue.id}/").status_code == 200


def test_more_than_a_page_of_groups_is_one_answer(start: Start) -> None:
    world = empty_world()
    wanted = [world.add_issue(project="backend", at=T0 - HOUR).id for _ in range(130)]
    answer = start(world).get(ISSUES, project="-1", group=wanted)
    assert [row["id"] for row in answer.json()] == wanted


def test_collapse_takes_numbers_out(shared: Client) -> None:
    row = shared.get(ISSUES, project="-1", limit=1, collapse="stats").json()[0]
    assert not {"count", "userCount", "firstSeen", "lastSeen", "stats"} & row.keys()
    row = shared.get(ISSUES, project="-1", limit=1, collapse="lifetime").json()[0]
    assert "lifetime" not in row
    row = shared.get(ISSUES, project="-1", limit=1, collapse="base").json()[0]
    assert row.keys() == {"id"}


def test_expand_adds_columns_and_sessions_fail(shared: Client) -> None:
    row = shared.get(
        ISSUES, [("project", "-1"), ("limit", "1"), ("expand", "inbox"), ("expand", "owners")]
    ).json()[0]
    assert {"inbox", "owners"} <= row.keys()
    assert shared.get(ISSUES, project="-1", expand="sessions").status_code == 500


def test_an_event_level_query_fills_filtered(shared: Client) -> None:
    rows = shared.rows(ISSUES, project="-1", query="environment:production")
    assert rows
    assert all(row["filtered"]["count"] == row["count"] for row in rows)


def test_time_terms_filter_the_issue(start: Start) -> None:
    world = empty_world()
    old = world.add_issue(project="backend", at=T0 - 30 * HOUR)
    new = world.add_issue(project="backend", at=T0 - HOUR, events=3)
    client = start(world)
    assert ids(client.rows(ISSUES, project="-1", query="lastSeen:>=2026-08-01T00:00:00")) == {new.id}
    assert ids(client.rows(ISSUES, project="-1", query="firstSeen:+24h")) == {old.id}
    assert ids(client.rows(ISSUES, project="-1", query="timesSeen:>2")) == {new.id}


def test_an_unknown_environment_is_not_found(shared: Client) -> None:
    assert shared.get(ISSUES, project="-1", environment="mars").status_code == 404
    rows = shared.rows(ISSUES, project="-1", query="", environment="staging")
    assert 0 < len(rows) <= 12


@pytest.mark.parametrize(
    "query",
    ["", "issue.category:error", "lastSeen:>=2026-01-01T00:00:00 issue.category:error firstSeen:>2020-01-01"],
)
def test_the_counts_of_a_window_are_those_of_the_events_listed_in_it(start: Start, query: str) -> None:
    client = start()
    client.server.world.add_feedback(project="backend", at=T0 - HOUR)
    window = {"start": "2026-07-22T03:14:15", "end": "2026-07-29T16:17:18"}
    listed = [
        row["groupID"]
        for project in client.server.world.projects
        for row in client.rows(f"/projects/acme/{project.slug}/events/", **window)
    ]
    rows = client.rows(ISSUES, project="-1", query=query, limit=3, **window)
    assert len(listed) > 50
    assert {row["id"]: int(row["count"]) for row in rows} == Counter(filter(None, listed))


def test_feedback_is_hidden_unless_asked_for(start: Start) -> None:
    client = start()
    feedback = client.server.world.add_feedback(project="backend", at=T0 - HOUR)
    assert feedback.id not in ids(client.rows(ISSUES, project="-1", query=""))
    assert ids(client.rows(ISSUES, project="-1", query="issue.category:feedback")) == {feedback.id}
    errors = client.rows(ISSUES, project="-1", query="is:unresolved issue.category:error")
    assert ids(errors) == ids(client.rows(ISSUES, project="-1", query="is:unresolved"))
    assert feedback.timeline[0][1] not in {row["id"] for row in client.rows("/projects/acme/backend/events/")}


def test_a_change_without_event_leaves_the_numbers_alone(start: Start) -> None:
    client = start()
    world = client.server.world
    issue = next(issue for issue in world.issues if issue.status == "unresolved")
    before = client.get(f"{ISSUES}{issue.id}/").json()
    world.assign(issue, world.members[0])
    world.resolve(issue)
    after = client.get(f"{ISSUES}{issue.id}/").json()
    assert (after["status"], after["substatus"]) == ("resolved", None)
    assert after["assignedTo"]["email"] == "user1@example.com"
    assert after["lastSeen"] == before["lastSeen"]
    assert [note["type"] for note in after["activity"]][:2] == ["set_resolved", "assigned"]


def test_an_event_into_a_resolved_issue_opens_it_again(start: Start) -> None:
    client = start()
    issue = client.server.world.resolve(client.server.world.issues[0])
    client.server.world.advance(seconds=60)
    client.server.world.add_event(project=issue.project, issue=issue)
    row = client.get(f"{ISSUES}{issue.id}/").json()
    assert (row["status"], row["substatus"]) == ("unresolved", "regressed")


def test_a_merged_issue_leads_to_its_parent(start: Start) -> None:
    client = start()
    world = client.server.world
    child, parent = [issue for issue in world.issues if issue.project.slug == "backend"][:2]
    event, total = child.timeline[0][2], child.times_seen + parent.times_seen
    world.merge(child, into=parent)
    assert child.id not in ids(client.rows(ISSUES, project="-1", query=""))
    answer = client.get(f"{ISSUES}{child.id}/")
    assert (answer.status_code, answer.json()["id"], answer.json()["count"]) == (200, parent.id, str(total))
    assert client.get(f"/projects/acme/backend/events/{event.event_id}/").json()["groupID"] == parent.id


def test_a_deleted_issue_is_gone_with_its_events(start: Start) -> None:
    client = start()
    issue = client.server.world.issues[0]
    event = issue.timeline[0][2]
    client.server.world.delete_issue(issue)
    assert client.get(f"{ISSUES}{issue.id}/").status_code == 404
    assert client.get(f"/projects/acme/{issue.project.slug}/events/{event.event_id}/").status_code == 404
    assert issue.id not in ids(client.rows(ISSUES, project="-1", query=""))


def test_an_issue_ages_out_of_lists_but_keeps_its_detail(start: Start) -> None:
    world = empty_world()
    issue = world.add_issue(project="backend", at=T0 - 89 * 24 * HOUR)
    client = start(world)
    assert client.rows(ISSUES, project="-1", query="")
    world.advance(seconds=2 * 24 * HOUR)
    assert client.rows(ISSUES, project="-1", query="") == []
    row = client.get(f"{ISSUES}{issue.id}/").json()
    assert (row["count"], row["lastSeen"]) == ("1", "2026-05-04T12:00:00Z")
    assert world.truth()["issues"] == []


def test_a_detail_answers_to_the_short_id_too(shared: Client) -> None:
    issue = shared.server.world.issues[3]
    assert shared.get(f"{ISSUES}{issue.short_id}/").json()["id"] == issue.id
    assert shared.detail(f"{ISSUES}999999/", 404) == "The requested resource does not exist"


def test_hits_are_estimated_and_capped(shared: Client) -> None:
    headers = shared.get(ISSUES, project="-1", query="", limit=3).headers
    assert (headers["X-Hits"], headers["X-Max-Hits"]) == ("12", "1000")


def test_a_server_without_lifetime(start: Start) -> None:
    assert "lifetime" not in start(no_lifetime=True).get(ISSUES, project="-1").json()[0]


def test_a_server_without_multi_project_streams(start: Start) -> None:
    client = start(no_multi_project=True)
    text = "You do not have the multi project stream feature enabled"
    assert client.detail(ISSUES, 400, project="-1") == text
    assert client.get(ISSUES, project=client.server.world.projects[0].id).status_code == 200


def test_the_list_of_a_project_is_deprecated_and_blind_to_dates(start: Start) -> None:
    client = start(World.build(**SMALL))
    path = "/projects/acme/backend/issues/"
    answer = client.get(path, query="", start="2020-01-01T00:00:00", end="2020-01-02T00:00:00")
    assert len(answer.json()) == 4
    assert "lifetime" not in answer.json()[0]
    assert Links.of(answer)
    assert answer.headers["X-Sentry-Deprecation-Date"]
    assert answer.headers["X-Sentry-Replacement-Endpoint"].endswith("/issues/")
    assert client.get(path, statsPeriod="7d").status_code == 400


def test_both_forms_of_times_can_be_mixed(start: Start) -> None:
    client = start(simple_dates=False)
    forms = {len(row["lastSeen"]) for row in client.rows(ISSUES, project="-1", query="")}
    assert forms == {len("2026-08-01T00:00:48Z"), len("2026-08-01T00:00:48.734Z")}
    shown = {row["eventID"]: row["dateCreated"] for row in client.rows("/projects/acme/backend/events/")}
    truth = client.server.world.truth()["events"]
    assert shown == {
        row["event_id"]: row["date_created"] for row in truth if row["project_slug"] == "backend"
    }
