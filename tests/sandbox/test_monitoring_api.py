"""Cron monitors and check-ins, detectors, workflows, replays."""

import json

from sandbox import SECRET

from .client import Client, Links
from .conftest import NOW, Start

ORGANIZATION = "/organizations/acme/"
MONITORS = f"{ORGANIZATION}monitors/"
REPLAYS = f"{ORGANIZATION}replays/"
DAY = 86_400
T0 = int(NOW.timestamp())


def test_monitors_in_trouble_come_first_unless_sorted_by_name(start: Start) -> None:
    client = start()
    slugs = [row["slug"] for row in client.rows(MONITORS, project="-1")]
    assert (slugs[0], slugs[-1]) == ("backups", "archive-sync")
    names = [row["name"] for row in client.rows(MONITORS, project="-1", sort="name", per_page=2)]
    assert names == sorted(names)
    client.server.world.add_checkin("backups", "ok")
    client.server.world.add_checkin("mobile-nightly", "error")
    assert client.rows(MONITORS, project="-1")[0]["slug"] == "mobile-nightly"


def test_monitors_are_those_of_member_projects_unless_asked(shared: Client) -> None:
    own = {row["project"]["slug"] for row in shared.rows(MONITORS)}
    every = {row["project"]["slug"] for row in shared.rows(MONITORS, project="-1")}
    assert every - own == {"mobile"}


def test_both_ends_of_a_window_of_checkins_belong_to_it(start: Start) -> None:
    client = start()
    monitor = client.server.world.add_monitor("backend", "hourly")
    for age in (30, 20, 10):
        client.server.world.add_checkin(monitor, at=T0 - age)
    path = f"{MONITORS}hourly/checkins/"
    rows = client.rows(path, start=str(T0 - 30), end=str(T0 - 20))
    assert [row["dateAdded"] for row in rows] == ["2026-08-01T11:59:40Z", "2026-08-01T11:59:30Z"]
    assert len(client.rows(path, per_page=1)) == 3
    assert client.rows(f"{MONITORS}{monitor.id}/checkins/") == client.rows(path)
    assert client.get(f"{MONITORS}nothing/checkins/").status_code == 404


def test_a_checkin_in_progress_ends_later_under_the_same_date(start: Start) -> None:
    client = start()
    world = client.server.world
    checkin = world.add_checkin("backups", "in_progress")
    path = f"{MONITORS}backups/checkins/"
    before = client.rows(path)[0]
    world.advance(seconds=90)
    world.finish_checkin(checkin, "error", duration=90_000)
    after = client.rows(path)[0]
    assert (before["status"], before["duration"]) == ("in_progress", None)
    assert (after["id"], after["status"], after["duration"]) == (before["id"], "error", 90_000)
    assert before["dateAdded"] == after["dateAdded"] != after["dateUpdated"]


def test_checkins_are_kept_for_30_days(shared: Client) -> None:
    assert len(shared.server.world.monitor("backups").checkins) == 5
    assert len(shared.rows(f"{MONITORS}backups/checkins/")) == 4


def test_detectors_need_a_user(shared: Client) -> None:
    token = shared.server.add_token(kind="org")
    assert Client(shared.server, token).get(f"{ORGANIZATION}detectors/").status_code == 401
    bot = Client(shared.server, shared.server.add_token(kind="integration"))
    assert bot.get(f"{ORGANIZATION}detectors/").status_code == 200


def test_detectors_tell_how_many_they_are_and_are_sorted(shared: Client) -> None:
    answer = shared.get(f"{ORGANIZATION}detectors/", project="-1", per_page=2)
    ids = [row["id"] for row in shared.rows(f"{ORGANIZATION}detectors/", project="-1", per_page=2)]
    assert int(answer.headers["X-Hits"]) == len(ids)
    assert ids == sorted(ids, key=int)
    assert ids[::-1] == [
        row["id"] for row in shared.rows(f"{ORGANIZATION}detectors/", project="-1", sortBy="-id")
    ]
    assert shared.get(f"{ORGANIZATION}detectors/", sortBy="colour").status_code == 400


def test_an_uptime_detector_shows_the_headers_it_sends(shared: Client) -> None:
    rows = shared.rows(f"{ORGANIZATION}detectors/", project="-1")
    uptime = next(row for row in rows if row["type"] == "uptime_domain_failure")
    query = uptime["dataSources"][0]["queryObj"]
    assert SECRET in dict(query["headers"])["authorization"]
    assert None in {row["projectId"] for row in rows}


def test_workflows_that_watch_nothing_vanish_when_a_project_is_named(shared: Client) -> None:
    names = [row["name"] for row in shared.rows(f"{ORGANIZATION}workflows/", project="-1")]
    assert names == ["Mail about new issues", "Call the hook"]
    assert len(shared.rows(f"{ORGANIZATION}workflows/", project="backend")) == 1
    action = shared.rows(f"{ORGANIZATION}workflows/")[1]["actionFilters"][0]["actions"][0]
    assert SECRET in json.dumps(action["config"])


def test_replays_come_inside_an_object_page_by_page(shared: Client) -> None:
    answer = shared.get(REPLAYS, project="-1", per_page=5)
    assert len(answer.json()["data"]) == 5
    assert Links.of(answer).cursor == "0:5:0"
    first = shared.get(REPLAYS, project="-1").json()["data"]
    begun = [row["started_at"] for row in first if row["started_at"]]
    assert begun == sorted(begun, reverse=True)
    assert all("-" not in row["id"] for row in first)


def test_an_archived_replay_has_nothing_left(start: Start) -> None:
    client = start()
    world = client.server.world
    replay = world.archive_replay(world.add_replay("backend"))
    world.advance(seconds=60)
    row = next(row for row in client.get(REPLAYS).json()["data"] if row["id"] == replay.id)
    assert (row["is_archived"], row["tags"], row["user"]["id"]) == (True, [], "Archived Replay")
    assert (row["started_at"], row["finished_at"], row["releases"]) == (None, None, None)


def test_a_running_replay_grows_and_a_window_cuts_it(start: Start) -> None:
    client = start()
    world = client.server.world
    replay = world.add_replay("backend", at=T0 - 12, segments=2)
    world.advance(seconds=30)
    world.extend_replay(replay, 3)
    world.advance(seconds=30)

    def read(**window: str) -> list[tuple[str, int]]:
        rows = client.get(REPLAYS, **window).json()["data"]
        return [(r["finished_at"], r["count_segments"]) for r in rows if r["id"] == replay.id]

    assert read() == [("2026-08-01T12:00:30", 5)]
    assert read(start=str(T0 - 60), end=str(T0)) == [("2026-08-01T11:59:53", 2)]
    assert read(start=str(T0), end=str(T0 + 60)) == []
