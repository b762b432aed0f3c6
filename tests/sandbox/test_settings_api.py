"""Settings of projects and of the organization, and the feedback of the old dialog."""

from .client import Client
from .conftest import NOW, Start

PROJECT = "/projects/acme/backend/"
ORGANIZATION = "/organizations/acme/"
FEEDBACK = f"{PROJECT}user-feedback/"
T0 = int(NOW.timestamp())


def test_repositories_are_active_ones_unless_asked(shared: Client) -> None:
    path = f"{ORGANIZATION}repos/"
    assert [row["name"] for row in shared.rows(path)] == ["acme/gateway", "acme/shop"]
    assert [row["name"] for row in shared.rows(path, status="deleted")] == ["acme/attic"]
    assert len(shared.rows(path, status="")) == 3
    assert shared.rows(path, status="colour") == []
    assert len(shared.rows(path, query="SHOP")) == 1


def test_commits_of_a_repository_are_newest_first(shared: Client) -> None:
    repository = shared.server.world.extras.repositories[0]
    rows = shared.rows(f"{ORGANIZATION}repos/{repository.id}/commits/", per_page=20)
    dates = [row["dateCreated"] for row in rows]
    assert dates == sorted(dates, reverse=True)
    assert len(dates) > 20
    assert shared.get(f"{ORGANIZATION}repos/1/commits/").status_code == 404


def test_integrations_leave_their_configuration_out_when_told(shared: Client) -> None:
    path = f"{ORGANIZATION}integrations/"
    assert all(row["configData"] for row in shared.rows(path))
    assert all(row["configData"] is None for row in shared.rows(path, includeConfig="0"))
    assert [row["provider"]["key"] for row in shared.rows(path, providerKey="slack")] == ["slack"]


def test_dashboards_show_widgets_one_by_one(shared: Client) -> None:
    rows = shared.rows(f"{ORGANIZATION}dashboards/", per_page=1)
    assert [row["prebuiltId"] for row in rows] == [None, 1, None]
    assert all("widgets" not in row for row in rows)
    detail = shared.get(f"{ORGANIZATION}dashboards/{rows[0]['id']}/").json()
    assert len(detail["widgets"]) == len(rows[0]["widgetDisplay"]) == 2
    assert shared.get(f"{ORGANIZATION}dashboards/1/").status_code == 404


def test_a_project_can_have_several_teams(start: Start) -> None:
    client = start()
    world = client.server.world
    before = {row["id"] for row in client.get(f"{ORGANIZATION}users/", project="101").json()}
    world.share_project("backend", world.teams[0])
    assert [row["slug"] for row in client.rows(f"{PROJECT}teams/")] == ["on-call", "platform"]
    assert len(client.get(PROJECT).json()["teams"]) == 2
    after = {row["id"] for row in client.get(f"{ORGANIZATION}users/", project="101").json()}
    assert before < after


def test_a_member_can_join_a_team(start: Start) -> None:
    client = start()
    world = client.server.world
    member = next(one for one in world.members if "platform" not in one.teams)
    world.join_team(member, world.teams[0])
    rows = client.rows(f"/teams/acme/{world.teams[0].id}/members/")
    assert member.id in {row["id"] for row in rows}
    assert {row["teamSlug"] for row in rows} == {"platform"}
    assert client.get("/teams/acme/nobody/members/").status_code == 404


def test_who_is_invited_is_in_a_team_without_a_user(shared: Client) -> None:
    rows = [
        row
        for team in ("platform", "growth", "on-call")
        for row in shared.rows(f"/teams/acme/{team}/members/")
    ]
    assert [row["pending"] for row in rows if row["user"] is None] == [True]


def test_users_are_those_of_member_projects_without_link(shared: Client) -> None:
    own = shared.get(f"{ORGANIZATION}users/")
    every = shared.get(f"{ORGANIZATION}users/", project="-1").json()
    assert "Link" not in own.headers
    assert {row["id"] for row in own.json()} < {row["id"] for row in every}
    assert all(row["user"] for row in every)


def test_keys_are_filtered_by_status(shared: Client) -> None:
    assert [row["isActive"] for row in shared.rows(f"{PROJECT}keys/")] == [True, False]
    assert [row["isActive"] for row in shared.rows(f"{PROJECT}keys/", status="inactive")] == [False]


def test_ownership_without_rules_has_no_dates(shared: Client) -> None:
    assert shared.get(f"{PROJECT}ownership/").json()["schema"]["$version"] == 1
    row = shared.get("/projects/acme/mobile/ownership/").json()
    assert (row["raw"], row["dateCreated"], row["isActive"]) == (None, None, True)


def test_a_filter_is_a_flag_or_a_list(shared: Client) -> None:
    rows = [
        row
        for slug in ("backend", "frontend")
        for row in shared.get(f"/projects/acme/{slug}/filters/").json()
    ]
    assert {type(row["active"]) for row in rows if row["id"] == "legacy-browsers"} == {bool, list}


def test_one_symbol_source_can_be_named(shared: Client) -> None:
    rows = shared.get(f"{PROJECT}symbol-sources/").json()
    assert {row["type"] for row in rows} == {"http", "s3"}
    assert rows[0]["password"] == {"hidden-secret": True}
    assert shared.get(f"{PROJECT}symbol-sources/", id=rows[1]["id"]).json() == rows[1]
    assert shared.get(f"{PROJECT}symbol-sources/", id="none").status_code == 404


def test_feedback_about_resolved_issues_is_taken_from_pages_already_cut(start: Start) -> None:
    client = start()
    world = client.server.world
    resolved = world.resolve(world.add_issue(project="backend", at=T0 - 900))
    open_one = world.add_issue(project="backend", at=T0 - 900)
    for number in range(6):
        issue = open_one if number < 2 else resolved
        world.add_user_report("backend", event=issue.timeline[0][2], number=number, at=T0 - 60 + number)
    pages = client.pages(FEEDBACK, per_page=2)
    assert [len(page) for page in pages][:3] == [0, 0, 2]
    every = client.rows(FEEDBACK, per_page=2, status="")
    told = {row["id"] for row in world.truth("user_feedback")["user_feedback"] if row["project_id"] == "101"}
    assert {row["id"] for row in every} == told
    assert client.get(FEEDBACK, status="resolved").status_code == 400


def test_feedback_may_be_about_an_event_that_is_gone(shared: Client) -> None:
    row = shared.rows(FEEDBACK, status="")[-1]
    assert (row["issue"], row["user"], row["event"]["id"]) == (None, None, None)
    assert row["event"]["eventID"] == row["eventID"]
    newest = shared.rows(FEEDBACK, status="")[0]
    assert newest["issue"]["id"]
