"""Cursors and the Link header."""

import pytest

from sandbox import Sandbox, World

from .client import Client, Links
from .conftest import NOW, SMALL, Start

EVENTS = "/projects/acme/backend/events/"
ISSUES = "/organizations/acme/issues/"
PROJECTS = "/organizations/acme/projects/"


def test_the_last_page_still_carries_a_next_link(shared: Client) -> None:
    answer = shared.get(PROJECTS)
    links = Links.of(answer)
    assert not links.more
    assert links.cursor == "100:1:0"


def test_previous_comes_first_and_says_that_there_is_none(shared: Client) -> None:
    header = shared.get(PROJECTS).headers["Link"]
    assert header.index('rel="previous"') < header.index('rel="next"')
    assert 'rel="previous"; results="false"; cursor="100:-1:1"' in header


def test_the_link_without_query_begins_with_a_lone_ampersand(shared: Client) -> None:
    assert "/projects/?&cursor=100:1:0>" in shared.get(PROJECTS).headers["Link"]


def test_links_keep_repeated_parameters_and_name_another_host(shared: Client) -> None:
    params = [("project", "101"), ("project", "102"), ("query", ""), ("limit", "1")]
    links = Links.of(shared.get(ISSUES, params))
    assert links["next"][0].startswith("http://internal.sentry.invalid/api/0/organizations/acme/issues/?")
    assert links.params["project"] == ["101", "102"]
    assert links.params["query"] == [""]


@pytest.mark.parametrize("per_page", [1, 2, 100])
def test_listings_by_offset_are_complete(shared: Client, per_page: int) -> None:
    slugs = [row["slug"] for row in shared.rows(PROJECTS, per_page=per_page)]
    assert sorted(slugs) == ["backend", "frontend", "mobile"]


@pytest.mark.parametrize("per_page", [1, 7, 100])
def test_events_are_complete_and_newest_first(shared: Client, per_page: int) -> None:
    rows = shared.rows(EVENTS, per_page=per_page)
    keys = [(row["dateCreated"], row["eventID"]) for row in rows]
    assert keys == sorted(keys, reverse=True)
    assert len(keys) == len(shared.server.world.project("backend").timeline)


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_issues_are_complete_by_score(shared: Client, limit: int) -> None:
    rows = shared.rows(ISSUES, project="-1", query="", limit=limit)
    assert len({row["id"] for row in rows}) == len(rows) == 12
    assert [row["lastSeen"] for row in rows] == sorted((row["lastSeen"] for row in rows), reverse=True)


def test_the_three_families_of_cursors(shared: Client) -> None:
    assert Links.of(shared.get(PROJECTS, per_page=1)).cursor == "1:1:0"
    assert Links.of(shared.get(EVENTS, per_page=7)).cursor == "0:7:0"
    second = shared.rows(ISSUES, project="-1", query="")[1]
    score = shared.server.world.issue(second["id"]).timeline[-1][0] * 1_000
    assert Links.of(shared.get(ISSUES, project="-1", query="", limit=1)).cursor == f"{score}:0:0"


def test_equal_scores_are_told_apart_by_the_offset(start: Start) -> None:
    world = World.build(projects=1, issues=0, events=0, now=NOW)
    for _ in range(5):
        world.add_issue(project="backend", at=NOW.timestamp() - 60)
    client = start(world)
    pages = client.pages(ISSUES, project="-1", query="", limit=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert len({row["id"] for page in pages for row in page}) == 5


@pytest.mark.parametrize("path", [EVENTS, PROJECTS, ISSUES])
@pytest.mark.parametrize("cursor", ["abc", "1:2", "1:2:3:4", "x:0:0"])
def test_a_bad_cursor_is_refused(shared: Client, path: str, cursor: str) -> None:
    assert shared.detail(path, 400, cursor=cursor) == "Invalid cursor parameter."


@pytest.mark.parametrize("per_page", ["0", "101", "-1", "many"])
def test_a_page_size_out_of_range_is_refused(shared: Client, per_page: str) -> None:
    assert "per_page" in str(shared.detail(EVENTS, 400, per_page=per_page))


def test_issue_lists_cut_their_limit_without_a_word(start: Start) -> None:
    client = start(World.build(projects=1, issues=130, events=130, now=NOW))
    assert len(client.get(ISSUES, project="-1", query="", limit=500).json()) == 100


def test_unpaginated_answers_have_no_link(shared: Client) -> None:
    for path in (
        "/organizations/acme/environments/",
        "/projects/acme/backend/environments/",
        "/organizations/acme/",
    ):
        assert "Link" not in shared.get(path).headers


def test_a_new_event_between_two_pages_lets_one_come_twice(start: Start) -> None:
    client = start()
    first = client.get(EVENTS, per_page=5)
    client.server.world.add_event(project="backend", at=NOW)
    second = client.get(EVENTS, per_page=5, cursor=Links.of(first).cursor)
    assert first.json()[-1]["eventID"] == second.json()[0]["eventID"]


def test_a_pinned_end_keeps_new_events_out(start: Start) -> None:
    client = start()
    window = {"start": "2026-07-01T00:00:00", "end": "2026-08-01T12:00:00"}
    first = client.get(EVENTS, per_page=5, **window)
    client.server.world.add_event(project="backend", at=NOW)
    second = client.get(EVENTS, per_page=5, cursor=Links.of(first).cursor, **window)
    assert not {row["id"] for row in first.json()} & {row["id"] for row in second.json()}


def test_a_deleted_issue_lets_events_be_missed(start: Start) -> None:
    client = start()
    world = client.server.world
    whole = [row["eventID"] for row in client.rows(EVENTS)]
    first = client.get(EVENTS, per_page=5)
    world.delete_event(world.project("backend").by_id[whole[0]])
    second = client.get(EVENTS, per_page=5, cursor=Links.of(first).cursor)
    assert whole[5] not in {row["eventID"] for row in [*first.json(), *second.json()]}


def test_an_issue_bumped_between_two_pages_is_skipped_without_an_end(start: Start) -> None:
    client = start()
    world = client.server.world
    whole = [row["id"] for row in client.rows(ISSUES, project="-1", query="")]
    first = client.get(ISSUES, project="-1", query="", limit=4)
    world.add_event(project=world.issue(whole[6]).project, issue=whole[6], at=NOW.timestamp() - 1)
    rest = client.rows(ISSUES, project="-1", query="", limit=4, cursor=Links.of(first).cursor)
    assert whole[6] not in {row["id"] for row in [*first.json(), *rest]}


def test_a_hook_moves_data_before_the_answer(start: Start) -> None:
    client = start()
    world = client.server.world
    asked = []
    client.server.on_request(
        lambda request: asked.append((request.path, world.add_project(f"p{len(asked)}")))
    )
    assert "p0" in {row["slug"] for row in client.rows(PROJECTS)}
    client.server.clear_hooks()
    client.rows(PROJECTS)
    assert [path for path, _ in asked] == ["/api/0/organizations/acme/projects/"]


@pytest.mark.parametrize("path", [EVENTS, PROJECTS, ISSUES, "/organizations/acme/releases/"])
def test_empty_pages_in_the_middle_lose_nothing(start: Start, path: str) -> None:
    params = {"project": "-1", "query": ""} if path == ISSUES else {}
    expected = [row["id"] for row in start(World.build(**SMALL)).rows(path, **params)]
    pages = start(World.build(**SMALL), empty_pages=True).pages(path, **params)
    assert [row["id"] for page in pages for row in page] == expected
    assert [] in pages[1:-1]


def test_a_repeating_cursor_repeats_from_the_second_page_on(start: Start) -> None:
    client = start(repeat_cursor=True)
    first = Links.of(client.get(EVENTS, per_page=2))
    second = Links.of(client.get(EVENTS, per_page=2, cursor=first.cursor))
    assert second.more
    assert second.cursor == first.cursor


def test_a_cursor_beyond_the_end_gives_an_empty_last_page(shared: Client) -> None:
    for path, cursor in ((EVENTS, "0:99999:0"), (PROJECTS, "100:50:0"), (ISSUES, "1:500:0")):
        answer = shared.get(path, cursor=cursor)
        assert answer.json() == []
        assert not Links.of(answer).more


def test_what_a_hook_raises_is_raised_when_the_server_stops() -> None:
    server = Sandbox(world=World.build(**SMALL)).start()
    server.on_request(lambda _: server.world.project("nowhere"))
    assert Client(server).get(PROJECTS).status_code == 200
    with pytest.raises(KeyError):
        server.stop()
