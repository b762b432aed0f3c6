"""Series: usage of the organization, release health, counts of a project."""

from typing import Any

import pytest

from .client import Client
from .conftest import NOW, Start

STATS = "/organizations/acme/stats_v2/"
SESSIONS = "/organizations/acme/sessions/"
DAY = 86_400
T0 = int(NOW.timestamp())
USAGE: dict[str, Any] = {"field": "sum(quantity)", "groupBy": "category", "interval": "1d"}
HEALTH: dict[str, Any] = {"field": "sum(session)", "interval": "1d", "project": "-1"}


def test_a_given_end_belongs_to_the_range(shared: Client) -> None:
    row = shared.get(STATS, USAGE | {"start": "2026-07-01T00:00:00", "end": "2026-07-02T00:00:00"}).json()
    assert row["intervals"] == ["2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z"]
    row = shared.get(STATS, USAGE | {"start": "2026-07-01T06:00:00", "end": "2026-07-01T23:59:59"}).json()
    assert (row["start"], row["intervals"]) == ("2026-07-01T00:00:00Z", ["2026-07-01T00:00:00Z"])


def test_an_end_ahead_of_now_is_the_next_minute(shared: Client) -> None:
    row = shared.get(STATS, USAGE | {"start": "2026-07-31T00:00:00", "end": "2026-08-01T23:59:59"}).json()
    assert row["end"] == "2026-08-01T12:01:00Z"
    assert len(row["intervals"]) == 2


def test_grouped_by_project_there_are_totals_only(shared: Client) -> None:
    params = [("groupBy", "project"), ("groupBy", "category"), ("field", "sum(quantity)"), ("project", "-1")]
    row = shared.get(STATS, [*params, ("statsPeriod", "7d")]).json()
    assert "intervals" not in row
    assert all(set(group) == {"by", "totals"} for group in row["groups"])
    assert {group["by"]["project"] for group in row["groups"]} == {101, 102, 103}


def test_intervals_add_up(shared: Client) -> None:
    window = {"start": "2026-07-20T00:00:00", "end": "2026-07-29T23:59:59", "groupBy": "outcome"}
    params = {**USAGE, **window, "category": "error", "project": "101"}
    for_days = shared.get(STATS, params).json()["groups"]
    for_hours = shared.get(STATS, params | {"interval": "1h"}).json()["groups"]
    for group, finer in zip(for_days, for_hours, strict=True):
        assert group["by"] == finer["by"]
        assert sum(group["series"]["sum(quantity)"]) == sum(finer["series"]["sum(quantity)"])
        assert group["totals"] == finer["totals"]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"interval": "2d"}, "less than one day"),
        ({"interval": "30m"}, "multiple of the minimum interval"),
        ({"interval": "5h"}, "divide one day"),
        ({"field": "sum(colour)"}, "Invalid field"),
        ({"groupBy": "colour"}, "Invalid groupBy"),
        ({"groupBy": "outcome"}, "must have category"),
        ({"start": "2026-05-03T12:00:00", "end": "2026-06-01T00:00:00"}, "more recent"),
        ({"statsPeriod": "90d"}, "more recent"),
    ],
)
def test_what_cannot_be_asked_is_refused(shared: Client, params: dict[str, str], text: str) -> None:
    period = {} if "start" in params else {"statsPeriod": "14d"}
    assert text in str(shared.detail(STATS, 400, **{**USAGE, **period, **params}))


def test_too_many_points_are_refused(start: Start) -> None:
    client = start(max_points=100)
    assert client.get(STATS, USAGE | {"statsPeriod": "4d", "interval": "1h"}).status_code == 200
    assert "too many results" in str(
        client.detail(STATS, 400, **USAGE | {"statsPeriod": "5d", "interval": "1h"})
    )
    assert "too many results" in str(
        client.detail(SESSIONS, 400, **HEALTH | {"statsPeriod": "5d", "interval": "1h"})
    )


def test_groups_beyond_the_points_are_left_out_without_a_word(start: Start) -> None:
    client = start(max_points=55)
    params = HEALTH | {"groupBy": "release", "statsPeriod": "9d"}
    row = client.get(SESSIONS, params).json()
    assert len(row["groups"]) == 55 // (len(row["intervals"]) + 1)
    assert "too granular" in str(client.detail(SESSIONS, 400, **params, per_page="10"))
    assert len(client.get(SESSIONS, params | {"per_page": "2"}).json()["groups"]) == 2


def test_the_last_day_is_not_over(start: Start) -> None:
    client = start()
    world = client.server.world
    params = HEALTH | {"start": "2026-08-01T00:00:00", "end": "2026-08-01T23:59:59", "groupBy": "project"}
    before = _sessions(client, params)
    world.add_sessions("backend", "backend@1.3.0", sessions=7, crashed=1)
    assert _sessions(client, params)[101] == before[101] + 7
    world.advance(seconds=11 * 3_600)
    assert sum(_sessions(client, params).values()) > sum(before.values()) + 7


def _sessions(client: Client, params: dict[str, Any]) -> dict[int, int]:
    groups = client.get(SESSIONS, params).json()["groups"]
    return {group["by"]["project"]: group["series"]["sum(session)"][0] for group in groups}


def test_rates_are_shares_or_null(shared: Client) -> None:
    fields = ["sum(session)", "crash_free_rate(session)", "crash_rate(user)", "p50(session.duration)"]
    params = [("field", name) for name in fields] + [("interval", "1d"), ("project", "-1")]
    params += [("groupBy", "release"), ("statsPeriod", "30d")]
    for group in shared.get(SESSIONS, params).json()["groups"]:
        series = group["series"]
        for count, rate in zip(series["sum(session)"], series["crash_free_rate(session)"], strict=True):
            assert (rate is None) == (count == 0)
            assert rate is None or 0 <= rate <= 1
        assert set(series["p50(session.duration)"]) == {None}


def test_sessions_by_status_add_up(shared: Client) -> None:
    params = HEALTH | {"statsPeriod": "7d"}
    whole = shared.get(SESSIONS, params).json()["groups"][0]["totals"]["sum(session)"]
    parts = shared.get(SESSIONS, params | {"groupBy": "session.status"}).json()["groups"]
    assert sum(group["totals"]["sum(session)"] for group in parts) == whole


def test_an_outcome_is_counted_where_it_happened(start: Start) -> None:
    client = start()
    window = {"start": "2026-07-31T00:00:00", "end": "2026-07-31T23:59:59", "project": "101"}
    client.server.world.add_outcome("backend", "profile", "accepted", "none", quantity=5, at=T0 - DAY)
    groups = client.get(STATS, {**USAGE, **window}).json()["groups"]
    assert {g["by"]["category"]: g["totals"]["sum(quantity)"] for g in groups}["profile"] == 5


def test_counts_of_a_project_are_points(shared: Client) -> None:
    path = "/projects/acme/backend/stats/"
    answer = shared.get(path)
    assert "Link" not in answer.headers
    assert len(answer.json()) == 25  # Both hours at the ends of a day count.
    day = T0 // DAY * DAY
    points = shared.get(path, since=day - 3 * DAY, until=day, resolution="1d").json()
    assert [at for at, _ in points] == [day - 3 * DAY, day - 2 * DAY, day - DAY, day]
    parts = {
        stat: shared.get(path, stat=stat, since=day - DAY, until=day - 1, resolution="1d").json()[0][1]
        for stat in ("received", "generated", "rejected", "blacklisted")
    }
    assert parts["received"] == parts["generated"] + parts["rejected"] + parts["blacklisted"]
    for bad in ({"stat": "colour"}, {"resolution": "2d"}, {"since": day, "until": day - 1}, {"since": "x"}):
        assert shared.get(path, bad).status_code == 400
