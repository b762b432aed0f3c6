"""The series of Explore."""

from itertools import pairwise
from typing import Any

import pytest

from sandbox import World

from .client import Client
from .conftest import NOW, Start
from .test_explore_api import ALL, DAY, HOUR, T0, small_world

SERIES = "/organizations/acme/events-timeseries/"
MORNING = {"start": "2026-08-01T08:30:00", "end": "2026-08-01T12:00:00"}


def points(answer: dict[str, Any], at: int = 0) -> list[int]:
    return [point["value"] for point in answer["timeSeries"][at]["values"]]


def test_a_series_counts_the_events_of_each_interval(start: Start) -> None:
    answer = start(small_world()).get(SERIES, **ALL, **MORNING, interval=HOUR).json()
    (series,) = answer["timeSeries"]
    assert points(answer) == [0, 1, 2, 1]
    assert [point["timestamp"] for point in series["values"]] == [
        (T0 - hours * HOUR) * 1_000 for hours in (4, 3, 2, 1)
    ]
    assert not any(point["incomplete"] for point in series["values"])
    assert (series["yAxis"], series["meta"]) == (
        "count()",
        {"valueType": "integer", "valueUnit": None, "interval": HOUR * 1_000},
    )
    edges = {"start": (T0 - 12_600) * 1_000, "end": T0 * 1_000}
    assert answer["meta"] == {"dataset": "errors", **edges}


def test_only_events_inside_the_window_count(start: Start) -> None:
    client = start(small_world())
    window = {"start": "2026-08-01T10:00:01", "end": "2026-08-01T11:00:00"}
    answer = client.get(SERIES, **ALL, **window, interval=HOUR).json()
    assert points(answer) == [1]
    assert answer["timeSeries"][0]["values"][0]["timestamp"] == (T0 - 2 * HOUR) * 1_000


@pytest.mark.parametrize("interval", [1, 7, 60, 3_600, 86_400])
def test_windows_that_meet_count_every_event_once(start: Start, interval: int) -> None:
    client = start(small_world())
    edges = [T0 - 3 * HOUR, T0 - 2 * HOUR, T0 - 2 * HOUR + 90, T0 - HOUR + 1]
    counted = [
        sum(points(client.get(SERIES, **ALL, start=a, end=b, interval=interval).json()))
        for a, b in pairwise(edges)
    ]
    assert counted == [1, 1, 2]


def test_a_series_counts_what_the_project_events_list(shared: Client) -> None:
    for project in shared.server.world.projects:
        window = {"start": "2026-07-20T00:00:00", "end": "2026-07-28T00:00:00"}
        answer = shared.get(SERIES, dataset="errors", project=project.slug, interval=DAY, **window).json()
        listed = shared.rows(f"/projects/acme/{project.slug}/events/", **window)
        days = [row["dateCreated"][:10] for row in listed]
        assert points(answer) == [days.count(f"2026-07-{day}") for day in range(20, 28)]


def test_users_are_counted_once(start: Start) -> None:
    client = start(small_world())
    answer = client.get(SERIES, **ALL, **MORNING, interval=HOUR, yAxis=["count_unique(user)", "count()"])
    assert points(answer.json()) == [0, 1, 2, 0]
    assert points(answer.json(), 1) == [0, 1, 2, 1]
    whole = client.get(SERIES, **ALL, **MORNING, interval=DAY, yAxis="count_unique(user)").json()
    assert points(whole) == [2]


def test_the_interval_that_is_not_over_is_incomplete(start: Start) -> None:
    client = start(small_world())
    client.server.world.advance(seconds=1_800)
    window = {"start": "2026-08-01T11:00:00", "end": "2026-08-01T13:00:00"}
    (series,) = client.get(SERIES, **ALL, **window, interval=HOUR).json()["timeSeries"]
    assert [point["incomplete"] for point in series["values"]] == [False, True]
    assert series["values"][1]["incompleteReason"] == "NOT_ELAPSED"


@pytest.mark.parametrize(
    ("period", "interval"),
    [("90d", DAY), ("30d", 4 * HOUR), ("14d", HOUR), ("24h", 300), ("1h", 900)],
)
@pytest.mark.parametrize("asked", [{}, {"interval": "0"}, {"interval": "soon"}, {"interval": "-60"}])
def test_without_a_good_interval_there_is_one_for_the_window(
    shared: Client, period: str, interval: int, asked: dict[str, str]
) -> None:
    (series,) = shared.get(SERIES, **ALL, **asked, statsPeriod=period).json()["timeSeries"]
    assert series["meta"]["interval"] == interval * 1_000
    first, second = (point["timestamp"] for point in series["values"][:2])
    assert second - first == interval * 1_000


def test_an_interval_may_be_written_as_a_period(shared: Client) -> None:
    (series,) = shared.get(SERIES, **ALL, statsPeriod="7d", interval="6h").json()["timeSeries"]
    assert series["meta"]["interval"] == 6 * HOUR * 1_000


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"dataset": ""}, "dataset must be one of"),
        ({"dataset": "discover"}, "dataset must be one of"),
        ({"yAxis": "p95(transaction.duration)"}, "is not a function"),
        ({"start": "2026-08-01T00:00:00", "end": "2026-08-01T00:00:00"}, "start must be before end"),
        ({"start": "2026-08-01T00:00:00"}, "both required"),
        ({"start": "2026-01-01T00:00:00", "end": "2026-05-03T12:00:00"}, "more recent date range"),
        ({"statsPeriod": "14d", "interval": 60}, "would create too many results"),
        ({"topEvents": "0", "groupBy": "project", "sort": "-count()"}, "at least 1"),
        ({"topEvents": "11", "groupBy": "project", "sort": "-count()"}, "up to 10"),
        ({"topEvents": "some", "groupBy": "project", "sort": "-count()"}, "an integer"),
        ({"topEvents": "3", "sort": "-count()"}, "groupBy is a required"),
        ({"topEvents": "3", "groupBy": "project"}, "sort is a required"),
        ({"topEvents": "3", "groupBy": "timestamp", "sort": "-count()"}, "Cannot group by timestamp"),
        ({"topEvents": "3", "groupBy": "project", "sort": "-level"}, "orderby must also be"),
    ],
)
def test_what_makes_no_sense_is_refused(shared: Client, params: dict[str, Any], text: str) -> None:
    answer = shared.get(SERIES, {**ALL, **params})
    assert answer.status_code == 400
    assert text in answer.json()["detail"]


def test_the_dataset_has_to_be_named(shared: Client) -> None:
    assert "dataset must be one of" in str(shared.detail(SERIES, 400, project="-1"))


def test_no_series_has_more_points_than_the_limit(start: Start) -> None:
    client = start(small_world(), max_points=100)
    window = {"start": "2026-08-01T00:00:00", "interval": 60, **ALL}
    (series,) = client.get(SERIES, **window, end="2026-08-01T01:40:00").json()["timeSeries"]
    assert len(series["values"]) == 100
    text = (
        "Your interval and date range would create too many results. Use a larger interval, "
        "or a smaller date range."
    )
    assert client.detail(SERIES, 400, **window, end="2026-08-01T01:40:01") == text


def test_a_start_before_the_retention_is_moved_to_it(start: Start) -> None:
    world = small_world()
    world.add_event(project="backend", at=world.horizon)
    world.add_event(project="backend", at=world.horizon - 1)
    window = {"start": "2026-01-01T00:00:00", "end": "2026-05-03T13:00:00"}
    answer = start(world).get(SERIES, **ALL, **window, interval=HOUR).json()
    assert points(answer) == [1]
    assert answer["meta"]["start"] == world.horizon * 1_000


def test_the_projects_are_chosen_as_everywhere(start: Start) -> None:
    client = start(small_world())
    day = {"dataset": "errors", "interval": DAY, "start": "2026-08-01T00:00:00", "end": "2026-08-01T12:00:00"}
    assert points(client.get(SERIES, **day).json()) == [3]
    assert points(client.get(SERIES, **day, project="-1").json()) == [4]
    assert points(client.get(SERIES, **day, project=["backend", "102"]).json()) == [4]
    assert client.get(SERIES, **day, project=["101", "999"]).status_code == 403
    nobody = Client(client.server, client.server.add_token(member_of=[]))
    assert nobody.get(SERIES, **day).json() == {"timeSeries": []}
    assert points(client.get(SERIES, **day, environment="production").json()) == [1]
    assert client.get(SERIES, **day, environment="mars").status_code == 404


def test_the_top_groups_have_series_of_their_own(start: Start) -> None:
    client = start(small_world())
    top = {"topEvents": 1, "sort": "-count()", **ALL, **MORNING, "interval": HOUR}
    first, others = client.get(SERIES, **top, groupBy="project").json()["timeSeries"]
    assert first["groupBy"] == [{"key": "project", "value": "backend"}]
    assert [point["value"] for point in first["values"]] == [0, 1, 2, 0]
    assert (first["meta"]["isOther"], first["meta"]["order"]) == (False, 0)
    assert [point["value"] for point in others["values"]] == [0, 0, 0, 1]
    assert (others["meta"]["isOther"], others["meta"]["order"]) == (True, 1)
    alone = client.get(SERIES, **top, groupBy="project", excludeOther="1").json()["timeSeries"]
    assert alone == [first]
    rising = client.get(SERIES, **{**top, "sort": "count()"}, groupBy="project.id").json()["timeSeries"]
    assert rising[0]["groupBy"] == [{"key": "project.id", "value": 102}]


@pytest.mark.parametrize("group", ["project", "project.id", "issue.id", "level"])
def test_the_groups_together_are_all_events(shared: Client, group: str) -> None:
    asked = {**ALL, "statsPeriod": "90d", "interval": DAY}
    whole = points(shared.get(SERIES, **asked).json())
    parts = shared.get(SERIES, **asked, topEvents=2, groupBy=group, sort="-count").json()
    assert [sum(values) for values in zip(*(points(parts, at) for at in range(3)), strict=True)] == whole
    assert sum(whole) == len(shared.server.world.truth("events")["events"])


def test_without_groups_there_is_one_series_of_nothing(start: Start) -> None:
    client = start(World.build(projects=1, issues=0, events=0, now=NOW))
    top = {"topEvents": 5, "groupBy": "project", "sort": "-count()"}
    (series,) = client.get(SERIES, **ALL, **MORNING, **top, interval=HOUR).json()["timeSeries"]
    assert [point["value"] for point in series["values"]] == [0, 0, 0, 0]
    assert "groupBy" not in series


def test_other_datasets_have_no_series(shared: Client) -> None:
    answer = shared.get(SERIES, dataset="spans", project="-1", query="span.op:db", yAxis="epm()").json()
    assert (answer["meta"]["dataset"], answer["timeSeries"]) == ("spans", [])
