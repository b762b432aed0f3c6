"""Hostile and odd data: nothing crashes, no row is lost, and what a value becomes is as documented."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sandbox import Sandbox, Switches
from sentry import failures_of
from tests import fuzz
from tests.conftest import Script
from tests.postgres import PostgresUnavailableError, running
from tests.test_destinations import PostgresWarehouse
from tests.warehouse import Warehouse, truth_of

Serve = Callable[..., Sandbox]
Row = dict[str, Any]

FEW: Row = {"issues": 3, "events": 12}

REPLACED = "\ufffd"


def change(server: Sandbox, part: str, edit: Callable[[list[Any]], Any]) -> None:
    """Let a function change the rows of each answer whose path, without slashes, ends or nearly ends with a part."""

    def rewrite(path: str, body: bytes) -> bytes:
        names = path.strip("/").split("/")
        if part not in names[-2:] or (names[-1] == "events" and names[-3:-1] == ["organizations", "acme"]):
            return body
        answer = json.loads(body)
        rows = answer if isinstance(answer, list) else [answer]
        edit(rows)
        return json.dumps(answer).encode()

    server.rewrite(rewrite)


def each(edit: Callable[[int, Row], object]) -> Callable[[list[Row]], None]:
    """Change each row, by its place in the answer."""

    def edit_all(rows: list[Row]) -> None:
        for place, row in enumerate(rows):
            edit(place, row)

    return edit_all


def set_in_all(**fields: Any) -> Callable[[list[Row]], None]:
    """Give each row these fields."""
    return each(lambda _, row: row.update(fields))


def assert_all_here(warehouse: Warehouse, server: Sandbox, *tables: str) -> None:
    """Every key of the truth is in the destination, once."""
    keys = {"events": ("event_id", "event_id"), "issues": ("id", "id"), "releases": ("version", "version")}
    for table in tables:
        column, name = keys[table]
        arrived = sorted(warehouse.column(f"SELECT {column} FROM {table}"))
        assert arrived == sorted(row[name] for row in truth_of(server)[table]), table


# Size


def test_bodies_of_a_megabyte_arrive_whole(serve: Serve, warehouse: Warehouse) -> None:
    server = serve(issues=2, events=4)
    change(server, "events", set_in_all(context={"dump": "x" * 1_000_000}, message="m" * 1_000_000))
    warehouse.load(server, "events")
    assert_all_here(warehouse, server, "events")
    assert set(warehouse.column("SELECT length(message) FROM events")) == {1_000_000}
    assert set(warehouse.column("SELECT length(context ->> 'dump') FROM events")) == {1_000_000}


def test_ten_thousand_tags_of_one_event_arrive(serve: Serve, warehouse: Warehouse) -> None:
    server = serve(issues=1, events=1)
    change(server, "events", set_in_all(tags=[{"key": f"k{n}", "value": str(n)} for n in range(10_000)]))
    warehouse.load(server, "events")
    assert warehouse.rows(
        "SELECT count(DISTINCT key) AS keys, sum(value::int) AS total FROM events__tags"
    ) == [{"keys": 10_000, "total": 49_995_000}]


@pytest.mark.parametrize("depth", [200, 600])
def test_what_is_nested_deep_stays_json_or_becomes_json_text(
    serve: Serve, warehouse: Warehouse, depth: int
) -> None:
    server = serve(**FEW)
    deep = fuzz.nested(depth)
    for part, field in (("events", "context"), ("issues", "metadata")):
        change(server, part, set_in_all(**{field: {"deep": deep}}))
    warehouse.load(server, "events", "issues")
    assert_all_here(warehouse, server, "events", "issues")
    for table, column in (("events", "context"), ("issues", "metadata")):
        value = json.loads(warehouse.column(f"SELECT {column} FROM {table}")[0])["deep"]
        levels = 0
        while isinstance(value, (dict, list)):
            value, levels = value["in"] if isinstance(value, dict) else value[0], levels + 1
            if isinstance(value, str) and value != "deep":
                value = json.loads(value)
        assert levels == depth


def test_json_that_no_parser_takes_is_a_broken_answer_and_no_crash(serve: Serve, script: Script) -> None:
    server = serve(**FEW)
    server.rewrite(lambda path, body: b"[" * 5000 + b"]" * 5000 if path.endswith("acme/teams/") else body)
    done = script(server, "--resources", "teams", "issues", "--progress", "none")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "The answer to organizations/acme/teams/ is not a list" in done.stderr


def test_what_hangs_on_a_release_with_odd_data_is_read(serve: Serve, warehouse: Warehouse) -> None:
    server = serve(**FEW)
    odd = {"data": fuzz.nested(600), "owner": {"name": "half \ud83d"}, "newGroups": 10**30}
    change(server, "releases", set_in_all(**odd))
    warehouse.load(server, "releases", "release_deploys", "release_commits")
    assert not failures_of(warehouse.pipeline)
    assert_all_here(warehouse, server, "releases")
    for table in ("release_deploys", "release_commits"):
        assert len(warehouse.column(f"SELECT id FROM {table}")) == len(truth_of(server)[table]), table


def test_rows_of_a_table_with_nested_secrets_may_be_nested_deep(serve: Serve, warehouse: Warehouse) -> None:
    server = serve(**FEW)
    secret = fuzz.nested(300)
    change(
        server,
        "issues",
        set_in_all(metadata={"in": fuzz.nested(700), "shareId": "hush", "a": [{"shareId": secret}]}),
    )
    warehouse.load(server, "issues")
    assert_all_here(warehouse, server, "issues")
    assert not any("shareId" in text for text in warehouse.column("SELECT metadata::text FROM issues"))


# Names


ODD_NAMES = [
    "a.b",
    "a b",
    "caf\u00e9",
    "\U0001f4a5",
    "",
    " ",
    "n" * 300,
    "select",
    "_dlt_id",
    "1st",
    "__proto__",
    "__",
]


def test_odd_names_stay_as_they_are_inside_json(serve: Serve, warehouse: Warehouse) -> None:
    server = serve(**FEW)
    odd = {name: number for number, name in enumerate(ODD_NAMES)}
    change(server, "events", set_in_all(context=odd))
    warehouse.load(server, "events")
    assert_all_here(warehouse, server, "events")
    assert json.loads(warehouse.column("SELECT context FROM events")[0]) == odd


@pytest.mark.parametrize("table", ["events", "issues"])
def test_each_oddly_named_field_of_a_row_gets_a_column_of_its_own(
    serve: Serve, warehouse: Warehouse, table: str
) -> None:
    server = serve(**FEW)
    change(server, table, set_in_all(**{name: f"value {number}" for number, name in enumerate(ODD_NAMES)}))
    warehouse.load(server, table)
    warehouse.load(server, table, lookback=90 * 86_400, sweep_interval=0)
    assert_all_here(warehouse, server, table)
    row = warehouse.rows(f"SELECT * FROM {table}")[0]
    assert {f"value {number}" for number in range(len(ODD_NAMES))} <= set(map(str, row.values()))
    assert len(set(warehouse.column(f"SELECT _dlt_id FROM {table}"))) == len(truth_of(server)[table])


@pytest.mark.parametrize("is_first", [True, False])
def test_of_names_that_become_one_column_sentrys_own_keeps_it_and_the_other_gets_its_own(
    serve: Serve, warehouse: Warehouse, is_first: bool
) -> None:
    server = serve(**FEW)

    def collide(rows: list[Row]) -> None:
        for row in rows:
            own, foreign = (
                dict(row),
                {"last_seen": "mine", "first_seen": "mine", "ID": "mine", "projectID": "mine"},
            )
            row.clear()
            row.update(foreign | own if is_first else own | foreign)

    change(server, "issues", collide)
    warehouse.load(server, "issues")
    row = warehouse.rows("SELECT last_seen_2, first_seen_2, id_2, project_id_2 FROM issues")[0]
    assert set(row.values()) == {"mine"}
    server.clear_hooks()
    assert_all_here(warehouse, server, "issues")
    assert sorted(warehouse.column("SELECT last_seen FROM issues")) == sorted(
        datetime.fromisoformat(row["last_seen"]) for row in truth_of(server)["issues"]
    )
    projects = {row["project_id"] for row in truth_of(server)["issues"]}
    assert set(warehouse.column("SELECT project_id FROM issues")) == projects


# Values


def test_nul_and_lone_surrogates_are_replaced_and_counted(
    serve: Serve, script: Script, tmp_path: Path
) -> None:
    server = serve(issues=1, events=3)
    change(
        server,
        "events",
        set_in_all(message="a\0b", culprit="half \ud83d", context={"k\0": ["\udca5", "fine \U0001f4a5"]}),
    )
    done = script(server, "--resources", "events", "--progress", "none")
    assert done.returncode == 0, done.stderr
    events = len(truth_of(server)["events"])
    assert f"{4 * events} values that databases cannot store" in done.stdout + done.stderr
    with duckdb.connect(str(tmp_path / "sentry.duckdb")) as connection:
        rows = connection.execute("SELECT message, culprit, context FROM sentry_data.events").fetchall()
    assert {row[:2] for row in rows} == {(f"a{REPLACED}b", f"half {REPLACED}")}
    assert json.loads(rows[0][2]) == {f"k{REPLACED}": [REPLACED, "fine \U0001f4a5"]}
    assert len(rows) == events


@pytest.mark.parametrize("raw", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_is_none_becomes_null_inside_of_json_too_and_is_counted(
    script: Script, serve: Serve, tmp_path: Path, raw: str
) -> None:
    server = serve(**FEW)
    change(server, "events", set_in_all(context={"load": [1.5, "@"]}))
    server.rewrite(lambda _, body: body.replace(b'"@"', raw.encode()))
    done = script(server, "--resources", "events", "--progress", "none")
    assert done.returncode == 0, done.stderr
    events = len(truth_of(server)["events"])
    assert f"{events} values that databases cannot store" in done.stdout
    with duckdb.connect(str(tmp_path / "sentry.duckdb")) as connection:
        rows = connection.execute("SELECT context FROM sentry_data.events").fetchall()
    assert [json.loads(row[0]) for row in rows] == [{"load": [1.5, None]}] * events


@pytest.mark.parametrize(
    ("raw", "count", "beside"),
    [
        ("NaN", None, None),
        ("Infinity", None, None),
        ("1e400", None, None),
        ("9223372036854775807", 2**63 - 1, None),
        ("9223372036854775808", None, "9.223372036854775808e+18"),
        ("123456789012345678901234567890", None, "1.23456789012345677877719597056e+29"),
        ('"123456789012345678901234567890"', None, "1.23456789012345678901234567890e+29"),
        ('"12"', 12, None),
        ("1.5", None, "1.5"),
        ("true", None, "True"),
        ('"many"', None, "many"),
        ('{"a": 1}', None, '{"a": 1}'),
        ("[1]", None, "[1]"),
        ('"2026-07-31T00:00:00Z"', None, '["2026-07-31T00:00:00Z"]'),
    ],
)
def test_what_a_number_of_issues_becomes(
    serve: Serve, warehouse: Warehouse, raw: str, count: Any, beside: str | None
) -> None:
    server = serve(issues=2, events=4)

    def rewrite(path: str, body: bytes) -> bytes:
        if not path.endswith("/issues/"):
            return body
        issues = json.loads(body)
        for issue in issues:
            issue["lifetime"]["count"] = "PLACE"
        return json.dumps(issues).replace('"PLACE"', raw).encode()

    server.rewrite(rewrite)
    warehouse.load(server, "issues")
    assert_all_here(warehouse, server, "issues")
    row = warehouse.rows("SELECT COLUMNS('^count') FROM issues")[0]
    assert row.pop("count") == count
    assert [str(value) for value in row.values()] == ([] if beside is None else [beside])


@pytest.mark.parametrize(
    ("value", "moment", "beside"),
    [
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC), None),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), None),
        ("0001-01-01T00:00:00+14:00", None, '["0001-01-01T00:00:00+14:00"]'),
        ("9999-12-31T23:59:59-12:00", None, '["9999-12-31T23:59:59-12:00"]'),
        (10**18, None, "[1000000000000000000]"),
        ("1000000000000000000", None, '["1000000000000000000"]'),
        (0, datetime(1970, 1, 1, tzinfo=UTC), None),
        ("yesterday", None, "yesterday"),
        ("", None, ""),
        (None, None, None),
        ({"$date": 1}, None, '{"$date": 1}'),
        (True, None, "True"),
    ],
)
def test_what_a_moment_becomes(
    serve: Serve, warehouse: Warehouse, value: Any, moment: datetime | None, beside: str | None
) -> None:
    server = serve(**FEW)
    change(server, "events", set_in_all(dateReceived=value, dateCreated=value))
    warehouse.load(server, "events")
    assert_all_here(warehouse, server, "events")
    row = warehouse.rows("SELECT COLUMNS('^date_received') FROM events")[0]
    assert row.pop("date_received") == moment
    assert [str(value) for value in row.values()] == ([] if beside is None else [beside])
    assert not failures_of(warehouse.pipeline)


@pytest.mark.parametrize(
    "value",
    ['"text"', "null", "plain", '{"a": "\\u0000"}', "[1, 2]", "2026-07-31T00:00:00Z", 5, 1.5, False, None],
)
def test_no_value_of_a_json_column_stops_a_load(serve: Serve, warehouse: Warehouse, value: Any) -> None:
    server = serve(**FEW)
    change(server, "issues", each(lambda place, row: row.update(metadata=value) if place else None))
    warehouse.load(server, "issues")
    assert_all_here(warehouse, server, "issues")
    found = warehouse.rows("SELECT COLUMNS('^metadata') FROM issues")
    kept = {str(part) for row in found for part in row.values() if part is not None}
    if value is not None:
        shown = str(value).replace("\\u0000", REPLACED).strip('"{')
        assert any(shown[:3] in part for part in kept)


def _set_news(values: list[Any], place: int, row: Row) -> None:
    row["news"] = values[place % len(values)]


def test_unknown_fields_may_change_their_type_from_row_to_row_and_run_to_run(
    serve: Serve, warehouse: Warehouse
) -> None:
    server = serve(**FEW)
    values = [
        "2026-07-31T00:00:00Z",
        10**18,
        "12345678901234567890123",
        {"a": 1},
        5,
        '"x"',
        "0001-01-01T00:00:00+14:00",
    ]
    for shift in (0, 2, 4):
        server.clear_hooks()
        for table in ("events", "issues"):
            change(server, table, each(partial(_set_news, values[shift:] + values[:shift])))
        warehouse.load(server, "events", "issues", lookback=90 * 86_400, sweep_interval=0)
        assert_all_here(warehouse, server, "events", "issues")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (
            [{"key": "d", "value": "2026-07-31T00:00:00Z"}, {"key": "x", "value": "abc"}],
            {("d", "2026-07-31T00:00:00Z"), ("x", "abc")},
        ),
        (
            [{"key": 5, "value": {"a": [1]}}, {"key": "n", "value": 10**30}],
            {("5", '{"a": [1]}'), ("n", "1e+30")},
        ),
        ([["k", "v"], "loose", None], {(None, '["k", "v"]'), (None, "loose"), (None, None)}),
        ({"browser": "Safari", "": None}, {("browser", "Safari"), ("", None)}),
        (5, {(None, "5")}),
        ([{"": 5, "_dlt_id": "x", "key": "k", "value": None}], {("k", None)}),
    ],
)
def test_tags_of_any_shape_become_rows_of_text(
    serve: Serve, warehouse: Warehouse, tags: Any, expected: set[tuple[Any, Any]]
) -> None:
    server = serve(**FEW)
    change(server, "events", set_in_all(tags=tags))
    warehouse.load(server, "events")
    assert_all_here(warehouse, server, "events")
    found = {(row["key"], row["value"]) for row in warehouse.rows("SELECT key, value FROM events__tags")}
    assert {
        (key, value and value.replace("1.0e", "1e").replace("1.000000000000000000000000000000e", "1e"))
        for key, value in found
    } == expected


def test_null_in_every_field_but_the_key_loses_no_row(serve: Serve, warehouse: Warehouse) -> None:
    server = serve(**FEW)
    keys = {"events": {"eventID"}, "issues": {"id", "lifetime"}, "releases": {"version"}}
    for table, kept in keys.items():
        change(server, table, each(partial(_empty, kept)))
    warehouse.load(server, *keys)
    assert_all_here(warehouse, server, *keys)
    assert not failures_of(warehouse.pipeline)


def _empty(kept: set[str], _: int, row: Row) -> None:
    row.update(dict.fromkeys(row.keys() - kept))


@pytest.mark.parametrize("odd", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2050-01-01T00:00:00Z"])
def test_dates_out_of_time_move_no_cursor_and_lose_no_later_row(
    serve: Serve, warehouse: Warehouse, odd: str
) -> None:
    server = serve(**FEW)

    def first_is_odd(rows: list[Row]) -> None:
        for row in rows[:1]:
            row |= {"dateCreated": odd, "lastSeen": odd}
            if "lifetime" in row:
                row["lifetime"]["lastSeen"] = odd

    change(server, "events", first_is_odd)
    change(server, "issues", first_is_odd)
    change(server, "releases", first_is_odd)
    for number in range(3):
        warehouse.load(server, "events", "issues", "releases")
        assert_all_here(warehouse, server, "events", "issues", "releases")
        server.world.advance(seconds=7200)
        server.world.add_event(project=server.world.projects[0], issue=server.world.issues[0])
        server.world.add_release(f"new@{number}", server.world.projects[0])
        server.world.advance(seconds=5)


# Rows


def test_rows_that_come_twice_in_a_page_with_other_contents_arrive_once(
    serve: Serve, warehouse: Warehouse
) -> None:
    server = serve(**FEW)

    def double(rows: list[Row]) -> None:
        rows += [{**row, "title": "twin", "name": "twin"} for row in rows if len(rows) > 0]

    for part in ("events", "issues", "releases", "members"):
        change(server, part, double)
    for _ in range(2):
        warehouse.load(server, "events", "issues", "releases", "members", sweep_interval=0)
        assert_all_here(warehouse, server, "events", "issues", "releases")
    assert len(warehouse.column("SELECT id FROM members")) == len(truth_of(server)["members"])


def test_only_rows_without_their_key_go_and_they_are_counted_and_kept(
    serve: Serve, script: Script, tmp_path: Path
) -> None:
    server = serve(**FEW)

    def spoil(rows: list[Any]) -> None:
        if rows and isinstance(rows[0], dict):
            rows += [
                {"name": "no key"},
                {"id": None, "eventID": "", "version": None, "name": "null"},
                None,
                5,
                "text",
                [1],
            ]

    for part in ("issues", "members", "releases"):
        change(server, part, spoil)
    done = script(server, "--resources", "issues", "members", "releases", "--progress", "none")
    assert done.returncode == 0, done.stderr
    assert "18 rows without their key, in _sentry_rejected" in done.stdout + done.stderr
    with duckdb.connect(str(tmp_path / "sentry.duckdb")) as connection:
        rejected = connection.execute(
            "SELECT table_name, reason, row FROM sentry_data._sentry_rejected ORDER BY 1, 3"
        ).fetchall()
        assert connection.execute("SELECT count(*) FROM sentry_data.members").fetchone() == (
            len(truth_of(server)["members"]),
        )
    assert {row[0] for row in rejected} == {"issues", "members", "releases"}
    assert {row[1] for row in rejected} == {"no id", "no version"}
    assert sum('"no key"' in row[2] for row in rejected) == 3


def test_an_event_whose_id_is_no_text_is_loaded_with_the_others(serve: Serve, warehouse: Warehouse) -> None:
    server = serve(**FEW)

    def alter(rows: list[Row]) -> None:
        rows += [{**row, "eventID": ["odd", row["eventID"]]} for row in rows[:1]]

    change(server, "events", alter)
    warehouse.load(server, "events")
    assert failures_of(warehouse.pipeline) == {}
    ids = set(warehouse.column("SELECT event_id FROM events"))
    assert ids > {event.event_id for event in server.world.events}


@pytest.mark.parametrize("key", [0, False, [], {}, 1.5, "a\0b", 10**25, ["x"], " "])
def test_keys_of_another_type_are_keys(serve: Serve, warehouse: Warehouse, key: Any) -> None:
    server = serve(**FEW)
    extra = {"id": key, "title": "odd key", "lifetime": {"count": "1"}}
    change(server, "issues", lambda rows: rows.append(extra) if len(rows) != 1 else None)
    warehouse.load(server, "issues", "members")
    assert warehouse.column("SELECT count(*) FROM issues WHERE title = 'odd key'") == [1]
    assert len(warehouse.column("SELECT id FROM issues")) == len(truth_of(server)["issues"]) + 1


def test_an_old_server_with_odd_dates_loses_no_issue(serve: Serve, warehouse: Warehouse) -> None:
    server = serve(switches=Switches(old_server=True), **FEW)
    change(server, "issues", set_in_all(lastSeen="0001-01-01T00:00:00Z"))
    warehouse.load(server, "issues")
    assert_all_here(warehouse, server, "issues")


# PostgreSQL, which refuses most


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    try:
        with running() as server:
            yield server.new_database("odd")
    except PostgresUnavailableError as missing:
        pytest.skip(str(missing))


def test_postgresql_takes_what_it_would_refuse(serve: Serve, tmp_path: Path, database: str) -> None:
    server = serve(**FEW)
    odd = {
        "message": "a\0b \ud800",
        "context": {"k\0": "\udc00", "n": 10**30, "deep": fuzz.nested(230)},
        "metadata": '"\\u0000"',
        "dateReceived": "0001-01-01T00:00:00Z",
        "n" * 300: "long",
        f"{'n' * 299}m": 10**30,
        "nan": float("nan"),
        "tags": [{"key": "\0", "value": "\ud800"}],
    }
    change(server, "events", set_in_all(**odd))
    change(server, "issues", set_in_all(**odd, firstSeen="9999-12-31T23:59:59Z"))
    warehouse = PostgresWarehouse(tmp_path, database)
    warehouse.load(server, "events", "issues")
    assert_all_here(warehouse, server, "events", "issues")
    assert set(warehouse.column("SELECT message FROM events")) == {f"a{REPLACED}b {REPLACED}"}
    assert {moment.year for moment in warehouse.column("SELECT date_received FROM events")} == {1}
    assert set(warehouse.column("SELECT value FROM events__tags")) == {REPLACED}
    long = [name for name in warehouse.rows("SELECT * FROM events")[0] if name.startswith("nnn")]
    assert len(long) == 2


# Many


def test_a_few_hundred_random_oddities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in fuzz.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    tally = fuzz.Tally()
    tables = (
        "projects",
        "members",
        "tags",
        "issues",
        "events",
        "releases",
        "monitors",
        "replays",
        "project_users",
    )
    fuzz.play("suite", tmp_path, tally, fuzz.Kind(clones=1, tables=tables))
    assert tally.inputs > 300
    assert tally.variants > 0


@pytest.mark.parametrize("raw", ["NaN", "Infinity", "1e999"])
def test_counts_that_are_no_numbers_are_not_believed_and_all_events_come(
    serve: Serve, warehouse: Warehouse, raw: str
) -> None:
    server = serve(**FEW)

    def rewrite(path: str, body: bytes) -> bytes:
        if not path.endswith("/events-timeseries/"):
            return body
        return re.sub(rb'"value": ?\d+', f'"value":{raw}'.encode(), body)

    server.rewrite(rewrite)
    warehouse.load(server, "events")
    assert_all_here(warehouse, server, "events")
