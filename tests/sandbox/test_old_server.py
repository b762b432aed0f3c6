"""A server of version 9.1, before Snuba."""

import pytest

from sandbox import World

from .client import Client, Links
from .conftest import NOW, SMALL, Start

ISSUES = "/projects/acme/backend/issues/"
EVENTS = "/projects/acme/backend/events/"
RELEASES = "/organizations/acme/releases/"
T0 = int(NOW.timestamp())


@pytest.fixture
def old(start: Start) -> Client:
    return start(World.build(**SMALL), old_server=True)


def test_organization_issues_cannot_be_read(old: Client) -> None:
    path = "/organizations/acme/issues/"
    assert old.get(path).status_code == 400
    assert old.get(path, project="101").status_code == 500
    assert old.get(path, project="-1").status_code == 403
    assert old.get(RELEASES, project="-1").status_code == 403


def test_issues_have_paths_without_organization_only(old: Client) -> None:
    issue = old.server.world.issues[0]
    assert old.get(f"/organizations/acme/issues/{issue.id}/").status_code == 404
    assert old.get(f"/organizations/acme/issues/{issue.id}/events/").status_code == 404
    assert old.get(f"/issues/{issue.id}/").json()["id"] == issue.id
    assert {row["eventID"] for row in old.rows(f"/issues/{issue.id}/events/")} == {
        e[1] for e in issue.timeline
    }


def test_project_issues_know_no_dates_and_no_lifetime(old: Client) -> None:
    answer = old.get(ISSUES, query="", start="2020-01-01T00:00:00", end="2020-01-02T00:00:00", per_page="7")
    rows = answer.json()
    assert len(rows) == 4
    assert all("lifetime" not in row and "substatus" not in row for row in rows)
    assert all(isinstance(row["count"], str) for row in rows)
    assert answer.headers["X-Hits"] == "4"
    assert len(old.pages(ISSUES, query="", limit=3)) == 2
    assert {row["status"] for row in old.rows(ISSUES)} == {"unresolved"}


def test_counts_lag_behind(old: Client) -> None:
    issue = old.server.world.issues[0]
    before = issue.times_seen
    old.server.world.add_event(project=issue.project, issue=issue)
    assert old.rows(ISSUES, query=issue.short_id)[0]["count"] == str(before + 1)
    shown = {row["id"]: row["count"] for row in old.rows(ISSUES, query="")}
    assert shown[issue.id] == str(before)
    old.server.world.advance(seconds=11)
    shown = {row["id"]: row["count"] for row in old.rows(ISSUES, query="")}
    assert shown[issue.id] == str(before + 1)


def test_project_events_are_always_full_and_blind_to_dates(old: Client) -> None:
    old.server.world.add_events(157, at=T0 - 3_600, project="backend")
    rows = old.rows(EVENTS, start="2020-01-01T00:00:00", end="2020-01-02T00:00:00")
    assert all("entries" in row and row["id"] != row["eventID"] for row in rows)
    expected = {
        row["event_id"] for row in old.server.world.truth()["events"] if row["project_slug"] == "backend"
    }
    assert {row["eventID"] for row in rows} == expected
    assert len(rows) == len(expected)
    assert Links.of(old.get(EVENTS, per_page=5)).cursor.split(":")[0].startswith("17855")


def test_events_of_one_second_are_lost_and_repeated_at_the_edge_of_a_page(old: Client) -> None:
    (event, *_) = old.server.world.add_events(120, at=T0 - 3_600)
    assert event.issue
    ids = [row["eventID"] for row in old.rows(f"/issues/{event.issue.id}/events/")]
    assert len(ids) == 120
    assert len(set(ids)) < 120


def test_issue_events_know_windows_but_not_half_of_one(old: Client) -> None:
    (event, *_) = old.server.world.add_events(3, at=T0 - 3_600)
    assert event.issue
    path = f"/issues/{event.issue.id}/events/"
    assert len(old.rows(path, start="2026-08-01T11:00:00", end="2026-08-01T11:00:01")) == 3
    assert old.rows(path, start="2026-08-01T10:00:00", end="2026-08-01T11:00:00") == []
    assert old.get(path, start="2026-08-01T10:00:00").status_code == 500


@pytest.mark.parametrize("params", [{"cursor": "abc"}, {"per_page": "101"}, {"per_page": "many"}])
def test_bad_paging_is_an_internal_error(old: Client, params: dict[str, str]) -> None:
    answer = old.get(EVENTS, **params)
    assert answer.status_code == 500
    assert answer.json()["detail"] == "Internal Error"
    assert old.get(ISSUES, sort="sideways").status_code == 500


def test_a_page_of_none_never_ends(old: Client) -> None:
    answer = old.get(EVENTS, per_page="0")
    assert answer.json() == []
    assert Links.of(answer).more


def test_releases_are_ordered_by_the_date_released_and_found_by_prefix(old: Client) -> None:
    rows = old.rows(RELEASES, status="")
    dates = [row["dateReleased"] or row["dateCreated"] for row in rows]
    assert dates == sorted(dates, reverse=True)
    assert old.rows(RELEASES, query="ightly") == []
    assert len(old.rows(RELEASES, query="nightly")) == 1


def test_a_project_knows_an_environment_without_a_name(old: Client) -> None:
    assert "" in {row["name"] for row in old.get("/projects/acme/backend/environments/").json()}
    answer = old.get("/organizations/acme/environments/", visibility="all")
    assert "" not in {row["name"] for row in answer.json()}
    assert "Link" not in answer.headers


def test_both_forms_of_times_are_in_one_list(old: Client) -> None:
    assert {len(row["dateCreated"]) for row in old.rows(EVENTS)} == {20, 24}


def test_there_are_no_links_and_no_rate_headers(old: Client) -> None:
    answer = old.get("/organizations/acme/")
    assert "links" not in answer.json()
    assert not [name for name in answer.headers if "rate-limit" in name.lower()]
    assert "role" in old.rows("/organizations/acme/members/")[0]


@pytest.mark.parametrize(
    "path",
    [
        "monitors/",
        "stats_v2/",
        "sessions/",
        "replays/",
        "detectors/",
        "workflows/",
        "monitors/backups/checkins/",
    ],
)
def test_what_came_later_is_not_there(old: Client, path: str) -> None:
    answer = old.get(f"/organizations/acme/{path}")
    assert (answer.status_code, answer.content) == (404, b"")


def test_tags_of_the_organization_want_what_there_is_not(old: Client) -> None:
    assert old.get("/organizations/acme/tags/").status_code == 500


@pytest.mark.parametrize("part", ["comments/", "hashes/", "tags/", "tags/level/values/", "external-issues/"])
def test_parts_of_an_issue_are_on_the_path_without_organization(old: Client, part: str) -> None:
    issue = max(old.server.world.issues, key=lambda issue: len(issue.timeline))
    assert old.get(f"/organizations/acme/issues/{issue.id}/{part}").status_code == 404
    assert old.get(f"/issues/{issue.id}/{part}").status_code == 200


@pytest.mark.parametrize(
    "part", ["teams/", "keys/", "hooks/", "tags/", "users/", "user-feedback/", "filters/"]
)
def test_settings_of_a_project_answer_as_ever(old: Client, part: str) -> None:
    assert old.get(f"/projects/acme/backend/{part}").status_code == 200


def test_members_need_their_scope_and_users_do_not(old: Client) -> None:
    reader = Client(old.server, old.server.add_token(scopes=["org:read"]))
    assert reader.get("/organizations/acme/members/").status_code == 403
    assert reader.get("/organizations/acme/users/").status_code == 200
