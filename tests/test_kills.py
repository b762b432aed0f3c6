"""Processes that are killed: whatever the moment, the next runs end with every row, once, and read little again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sandbox import Sandbox
from sentry import history_left
from tests.conftest import NOW, Script, access, lists_events
from tests.warehouse import Warehouse, assert_same, truth_of

SIZE = {"projects": 2, "issues": 10, "events": 240, "days": 40}
BEGIN = (NOW - timedelta(days=40)).date().isoformat()
TABLES = ("projects", "issues", "events")
BACKFILL = (
    "--resources", *TABLES, "--start-date", BEGIN, "--chunk-events", "60", "--progress", "none",
)  # fmt: skip

LAUNCHER = """
import functools, importlib, itertools, os, sys
import sentry_pipeline

place, number, when, about, number_of_signal, *arguments = sys.argv[1:]
module, _, path = place.partition(":")
owner = importlib.import_module(module)
*outer, name = path.split(".")
for part in outer:
    owner = getattr(owner, part)
original = getattr(owner, name)
calls = itertools.count(1)

def is_it(given):
    text = " ".join(str(getattr(item, "_file_name", item)) for item in given)
    return about in text and next(calls) == int(number)

@functools.wraps(original)
def deadly(*given, **named):
    due = is_it(given)
    if due and when == "before":
        os.kill(os.getpid(), int(number_of_signal))
    result = original(*given, **named)
    if due and when == "after":
        os.kill(os.getpid(), int(number_of_signal))
    return result

setattr(owner, name, deadly)
sys.exit(sentry_pipeline.main(arguments))
"""
"""Runs the script in a process that sends itself a signal before or after the nth call of a function."""

EXTRACTED = "dlt.extract.storage:ExtractStorage.commit_new_load_package"
NORMALIZED = "dlt.common.storages.load_storage:LoadStorage.commit_new_load_package"
LOADED = "dlt.common.storages.load_storage:LoadStorage.complete_load_package"
MARKED = "dlt.common.storages.load_package:PackageStorage.complete_loading_package"
STARTED = "dlt.common.storages.load_package:PackageStorage.start_job"
DONE = "dlt.common.storages.load_package:PackageStorage.complete_job"
COPIED = "dlt.destinations.impl.duckdb.duck:DuckDbCopyJob.run"
MERGED = "dlt.destinations.job_client_impl:SqlLoadJob.run"
COMMITTED = "dlt.destinations.impl.duckdb.sql_client:DuckDbSqlClient.commit_transaction"
NOTED = "dlt.destinations.job_client_impl:SqlJobClientBase.complete_load"
NORMALIZING = "dlt.normalize.normalize:Normalize._collect_and_update_progress"


@dataclass(frozen=True)
class Request:
    """The moment before the nth request whose path ends so is answered."""

    ending: str
    number: int


@dataclass(frozen=True)
class Call:
    """The moment before or after the nth call of a function, counting the calls about something."""

    place: str
    number: int = 1
    when: str = "before"
    about: str = ""


Moment = Request | Call


@dataclass(frozen=True)
class Undisturbed:
    """What a back-fill does that nobody kills: listing requests in all and of its largest load, rows after each load."""

    requests: int
    of_a_load: int
    steps: set[int]


@pytest.fixture
def kill(script: Script, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the script and lets it die at a moment: ``kill(server, Request("/events/", 3), *arguments)``."""
    (tmp_path / "deadly.py").write_text(LAUNCHER)

    def run(
        server: Sandbox, moment: Moment, *arguments: str, by: signal.Signals = signal.SIGKILL
    ) -> subprocess.CompletedProcess[str]:
        command = ["sentry_pipeline.py"]
        if isinstance(moment, Call):
            command = [
                "deadly.py", moment.place, str(moment.number), moment.when, moment.about, str(by.value),
            ]  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, *command, *arguments],
            cwd=tmp_path, env={**os.environ, **access(server)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        seen: list[str] = []

        def strike(request: object) -> None:
            path = str(getattr(request, "path", ""))
            if isinstance(moment, Request) and path.endswith(moment.ending):
                seen.append(path)
                if len(seen) == moment.number:
                    os.kill(process.pid, by)

        server.on_request(strike)
        try:
            out, err = process.communicate(timeout=120)
        finally:
            server.clear_hooks()
        if by is signal.SIGKILL and process.returncode != -by:
            raise LookupError(f"{moment} never came: {process.returncode}, {err}")
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


def listings(server: Sandbox) -> int:
    """How often a project's events were asked for."""
    return sum(lists_events(request) for request in server.requests)


def undisturbed(server: Sandbox, folder: Path, order: str) -> Undisturbed:
    """Load the same into another file, in this process."""
    server.clear_requests()
    warehouse = Warehouse(folder, "undisturbed")
    settings: dict[str, Any] = {"start_date": BEGIN, "chunk_events": 60, "backfill_order": order}
    warehouse.load(server, *TABLES, **settings)
    counts, requests = [loaded(warehouse)], [0, listings(server)]
    while left := history_left(warehouse.pipeline):
        warehouse.load(server, *left, **settings)
        counts.append(loaded(warehouse))
        requests.append(listings(server))
    server.clear_requests()
    of_a_load = max(after - before for before, after in pairwise(requests))
    return Undisturbed(requests[-1], of_a_load, {0, *counts})


def loaded(warehouse: Warehouse) -> int:
    """How many events are there; no event is there twice."""
    if "events" not in warehouse.tables():
        return 0
    (row,) = warehouse.rows(
        "SELECT count(*) AS rows, count(DISTINCT (project_id, event_id)) AS keys FROM events"
    )
    assert row["rows"] == row["keys"]
    return int(row["rows"])


def assert_equals_truth(folder: Path, server: Sandbox) -> None:
    """What the script has loaded is what the server has: projects, issues with their counts, events with their tags."""
    warehouse = Warehouse(folder, "sentry")
    truth = truth_of(server)
    assert sorted(warehouse.column("SELECT id FROM projects")) == sorted(
        row["id"] for row in truth["projects"]
    )
    arrived = warehouse.rows("SELECT id, count, status FROM issues")
    assert_same(
        {row["id"]: (row["count"], row["status"]) for row in arrived},
        {row["id"]: (row["count"], row["status"]) for row in truth["issues"]},
    )
    assert len(arrived) == len(truth["issues"])
    warehouse.assert_events_equal_truth(server)


def assert_nothing_is_left_behind(folder: Path) -> None:
    """Neither a package that waits nor a folder of an extraction that never ended."""
    work = folder / "dlt" / "pipelines" / "sentry"
    assert {path.name for path in (work / "normalize").iterdir()} == {"extracted", ".version"}
    assert {path.name for path in (work / "load").iterdir()} == {"new", "normalized", "loaded", ".version"}
    for place in ("normalize/extracted", "load/new", "load/normalized"):
        assert not list((work / place).iterdir()), place


HISTORIES = {
    "while-reading": (
        "newest",
        [
            Request("/events/", 1),
            Request("/events/", 10),
            Request("/events-timeseries/", 1),
            Request("/projects/", 2),
            Request("/events/", 5),
        ],
    ),
    "between-reading-and-loading": (
        "newest",
        [
            Call(EXTRACTED),
            Call(EXTRACTED, number=2, when="after"),
            Call(NORMALIZING, when="after"),
            Call(NORMALIZED),
            Call("sentry_pipeline:history_left", when="after"),
        ],
    ),
    "while-loading": (
        "oldest",
        [
            Call(STARTED),
            Call(DONE, about="events."),
            Call(COMMITTED, number=2),
            Call(MERGED, when="after", about="events."),
            Call(COPIED, number=2, about="events."),
        ],
    ),
    "at-the-end-of-a-load": (
        "oldest",
        [
            Call(NOTED),
            Call(NOTED, when="after"),
            Call(LOADED, number=2),
            Call(LOADED, number=2, when="after"),
            Call("sentry_pipeline:history_left", number=2),
        ],
    ),
}
"""The order of a back-fill and the moments of its kills: what one left is found by the next."""


@pytest.mark.parametrize(("order", "moments"), HISTORIES.values(), ids=HISTORIES.keys())
def test_a_back_fill_killed_five_times_brings_every_row_once_and_reads_no_load_twice_per_kill(
    serve: Callable[..., Sandbox],
    kill: Callable[..., subprocess.CompletedProcess[str]],
    script: Script,
    tmp_path: Path,
    order: str,
    moments: list[Moment],
) -> None:
    server = serve(**SIZE)
    usual = undisturbed(server, tmp_path, order)
    assert len(usual.steps) > 4
    arguments = (*BACKFILL, "--backfill-order", order)
    before = 0
    for moment in moments:
        kill(server, moment, *arguments)
        now = loaded(Warehouse(tmp_path, "sentry"))
        assert now in usual.steps, moment
        assert now >= before, moment
        before = now
    done = script(server, *arguments)
    assert done.returncode == 0, done.stderr
    assert_equals_truth(tmp_path, server)
    assert_nothing_is_left_behind(tmp_path)
    # The clock stands still, so that all processes cut the history alike: no constant is needed.
    assert listings(server) <= usual.requests + len(moments) * usual.of_a_load


NARROW = [
    pytest.param(Call(NORMALIZED, number=2, when="after"), id="normalized-not-removed"),
    pytest.param(Call("os:rmdir", when="after", about="new_jobs"), id="half-removed"),
    pytest.param(Call(MARKED, number=2, when="after"), id="marked-not-moved"),
    pytest.param(Call(COPIED, number=2, when="after", about="events."), id="copied-not-noted"),
    pytest.param(Call("os:replace", number=2, about="load/new/"), id="package-half-written"),
    pytest.param(Call("os:replace", number=2, about=".pending_transitions"), id="note-half-written"),
    pytest.param(Call("os:replace", about="applied_schema_updates"), id="tables-made-not-noted"),
]


@pytest.mark.parametrize("moment", NARROW)
def test_a_kill_between_two_steps_that_dlt_takes_for_one_is_mended_by_the_next_run(
    serve: Callable[..., Sandbox],
    kill: Callable[..., subprocess.CompletedProcess[str]],
    script: Script,
    tmp_path: Path,
    moment: Moment,
) -> None:
    server = serve(**{**SIZE, "events": 120, "days": 20})
    kill(server, moment, *BACKFILL)
    done = script(server, *BACKFILL)
    assert done.returncode == 0, done.stderr
    assert_equals_truth(tmp_path, server)
    assert_nothing_is_left_behind(tmp_path)


@pytest.mark.parametrize(
    "moments",
    [
        [Request("/events/", 2), Call(EXTRACTED, when="after"), Call(MERGED, about="events.")],
        [Request("/issues/", 1), Call(NORMALIZED), Call(DONE, about="events.")],
    ],
    ids=["reading-committing-merging", "listing-normalizing-copying"],
)
def test_later_runs_killed_while_events_go_on_arriving_lose_and_double_nothing(
    serve: Callable[..., Sandbox],
    kill: Callable[..., subprocess.CompletedProcess[str]],
    script: Script,
    tmp_path: Path,
    moments: list[Moment],
) -> None:
    server = serve(**{**SIZE, "events": 60})
    usual = ("--resources", *TABLES, "--progress", "none")
    assert script(server, *usual).returncode == 0
    for moment in moments:
        events_arrive(server)
        kill(server, moment, *usual)
        loaded(Warehouse(tmp_path, "sentry"))
    events_arrive(server)
    done = script(server, *usual)
    assert done.returncode == 0, done.stderr
    assert_equals_truth(tmp_path, server)
    assert_nothing_is_left_behind(tmp_path)


def events_arrive(server: Sandbox) -> None:
    """Two hours pass; events of an old issue, of a new one, and one that is late by less than the look-back."""
    world = server.world
    late = world.now - timedelta(minutes=50)
    world.advance(seconds=7200)
    world.add_events(25, at=world.now - timedelta(minutes=3), issue=world.issues[0])
    world.add_issue(project=world.projects[1], at=world.now - timedelta(minutes=90), events=3)
    world.add_event(project=world.issues[1].project, issue=world.issues[1], at=late)
    world.advance(seconds=5)


def test_a_killed_repair_is_finished_by_the_next_one(
    serve: Callable[..., Sandbox],
    kill: Callable[..., subprocess.CompletedProcess[str]],
    script: Script,
    tmp_path: Path,
) -> None:
    server = serve(**{**SIZE, "events": 60})
    usual = ("--resources", *TABLES, "--progress", "none")
    assert script(server, *usual).returncode == 0
    for days in (3, 11):
        server.world.add_events(15, at=NOW - timedelta(days=days), issue=server.world.issues[0])
    moments = [Request("/events/", 2), Call(EXTRACTED, when="after"), Call(DONE, about="events.")]
    for moment in moments:
        kill(server, moment, "repair", "--progress", "none")
        assert loaded(Warehouse(tmp_path, "sentry")) in (60, 90)
    done = script(server, "repair", "--progress", "none")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"0 of them missing here, 0 only here\.$", done.stdout)
    Warehouse(tmp_path, "sentry").assert_events_equal_truth(server)
    assert_nothing_is_left_behind(tmp_path)


SIGNALS = {
    "interrupted-while-reading": (signal.SIGINT, Request("/events/", 10)),
    "terminated-while-reading": (signal.SIGTERM, Request("/events/", 3)),
    "interrupted-while-normalizing": (signal.SIGINT, Call(NORMALIZING)),
    "terminated-while-normalizing": (signal.SIGTERM, Call(NORMALIZING)),
    "interrupted-while-loading": (signal.SIGINT, Call(STARTED, about="events__tags.")),
    "terminated-while-loading": (signal.SIGTERM, Call(STARTED, about="events__tags.")),
}


def test_a_back_fill_told_to_stop_stops_says_so_and_is_resumed(
    serve: Callable[..., Sandbox],
    kill: Callable[..., subprocess.CompletedProcess[str]],
    script: Script,
    tmp_path: Path,
) -> None:
    server = serve(**SIZE)
    usual = undisturbed(server, tmp_path, "newest")
    for name, (by, moment) in SIGNALS.items():
        stopped = kill(server, moment, *BACKFILL, by=by)
        assert stopped.returncode == 1, (name, stopped.stderr)
        assert "Interrupted. Rows and progress are as before" in stopped.stderr, name
        assert "Traceback" not in stopped.stderr, name
        assert loaded(Warehouse(tmp_path, "sentry")) in usual.steps - {240}, name
    done = script(server, *BACKFILL)
    assert done.returncode == 0, done.stderr
    assert_equals_truth(tmp_path, server)
    assert_nothing_is_left_behind(tmp_path)
    assert listings(server) <= usual.requests + len(SIGNALS) * usual.of_a_load


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_a_load_is_merged_ends_the_run_after_it(
    serve: Callable[..., Sandbox],
    kill: Callable[..., subprocess.CompletedProcess[str]],
    by: signal.Signals,
) -> None:
    server = serve(**{**SIZE, "events": 120})
    merge_of_the_second_load = Call(STARTED, number=4, about="events.")
    stopped = kill(server, merge_of_the_second_load, *BACKFILL, by=by)
    assert stopped.returncode == 1
    assert "Interrupted." in stopped.stderr


@pytest.mark.parametrize(
    "anew", [("--full-refresh",), ("--write-disposition", "replace")], ids=["refresh", "replace"]
)
@pytest.mark.parametrize(
    "moment",
    [
        Call(COPIED, about="events."),
        Call(COPIED, when="after", about="events."),
        Call(COPIED, when="after", about="events__tags."),
        Call(DONE, when="after", about="events__tags."),
    ],
    ids=["uncopied", "copied", "tags copied", "tags noted"],
)
def test_a_new_start_killed_while_it_loads_loses_nothing_with_the_next_plain_run(
    serve: Callable[..., Sandbox],
    kill: Callable[..., subprocess.CompletedProcess[str]],
    script: Script,
    tmp_path: Path,
    moment: Moment,
    anew: tuple[str, ...],
) -> None:
    server = serve(**{**SIZE, "events": 60})
    usual = ("--resources", "events", "--progress", "none")
    assert script(server, *usual).returncode == 0
    kill(server, moment, *usual, *anew)
    done = script(server, *usual)
    assert done.returncode == 0, done.stderr
    Warehouse(tmp_path, "sentry").assert_events_equal_truth(server)


TABLES_EMPTIED = "dlt.common.storages.load_storage:LoadStorage.commit_schema_update"


@pytest.mark.parametrize(
    "how", [(), ("--write-disposition", "replace"), ("--full-refresh",)], ids=["merge", "replace", "refresh"]
)
@pytest.mark.parametrize(
    ("first", "again"),
    [
        (
            Call(COPIED, when="after", about="events__tags."),
            Call("pathlib:Path.replace", about="jobs/events"),
        ),
        (
            Call(COPIED, when="after", about="events__tags."),
            Call("pathlib:Path.replace", number=2, about="jobs/events"),
        ),
        (Call(COPIED, when="after", about="events__tags."), Call(TABLES_EMPTIED)),
        (Call(COPIED, when="after", about="events."), Call(COPIED, when="after", about="events.")),
        (Call("os:replace", about="applied_schema_updates"), Call(COPIED, when="after", about="events.")),
    ],
    ids=["before the first file is put back", "before the last", "emptied", "copied again", "while emptied"],
)
def test_the_run_that_puts_a_killed_load_right_may_be_killed_itself(
    serve: Callable[..., Sandbox],
    kill: Callable[..., subprocess.CompletedProcess[str]],
    script: Script,
    tmp_path: Path,
    how: tuple[str, ...],
    first: Call,
    again: Call,
) -> None:
    server = serve(**{**SIZE, "events": 60})
    usual = ("--resources", "events", "--progress", "none")
    if how:
        assert script(server, *usual).returncode == 0
    kill(server, first, *usual, *how)
    kill(server, again, *usual)
    done = script(server, *usual)
    assert done.returncode == 0, done.stderr
    Warehouse(tmp_path, "sentry").assert_events_equal_truth(server)
    assert_nothing_is_left_behind(tmp_path)
