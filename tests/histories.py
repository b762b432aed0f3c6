"""Random histories of a Sentry organization, and what the destination must hold after each run of the source.

A history changes the stand-in's world in ways real organizations change, between runs and between the pages
of a run, and lets the source read it, whole or killed half-way. The model is the promise of the source, said
second by second: a run reads the seconds that are wanted and not covered, and the look-back once more. What
the server showed all through the run in these seconds must be in the destination; anything else there must
have been there before, unchanged, or have been shown during the run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import traceback
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import dlt
import duckdb
import requests
from dlt.common.storages.load_package import PackageStorage
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import sentry
from sandbox import Sandbox, Switches, World, api_issues
from sandbox.call import Call
from sandbox.exchange import IncomingRequest
from sandbox.model import Event, Issue
from sentry.leftovers import finish_earlier_run
from sentry.windows import Window, union
from tests.conftest import NOW
from tests.warehouse import Warehouse

BEGIN = NOW - timedelta(days=365)
"""The first moment of all histories: however far their clocks jump, they stay behind the real one."""

HOUR, DAY = 3600, 86_400
LOOKBACK = HOUR
EARLY_SWEEP = 300
"""How many seconds before its interval is over a sweep may come."""

MOST_RUNS = 5
MOST_CHUNKS = 60
CHILD_TIMEOUT = 60.0
KILLED, BROKEN = 9, 70

ENVIRONMENT = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "RUNTIME__REQUEST_BACKOFF_FACTOR": "0",
    "RUNTIME__REQUEST_TIMEOUT": "20",
    "LOAD__WORKERS": "1",
    "NORMALIZE__WORKERS": "1",
}
"""What makes dlt quiet and a small load fast."""

SERVERS = {
    "newest": Switches(missing_bodies=0.05),
    "mixed dates": Switches(simple_dates=False),
    "empty pages": Switches(empty_pages=True, simple_dates=False),
    "old": Switches(old_server=True),
    "ignores windows": Switches(ignores_event_windows=True, full_page_size=100),
    "one project at a time": Switches(no_multi_project=True, no_lifetime=True),
}

Rows = dict[Any, tuple[Any, ...]]


# What a history is made of


class Moment(NamedTuple):
    """A second near one that matters to somebody."""

    near: str
    offset: int

    def __repr__(self) -> str:
        return f"Moment({self.near!r}, {self.offset:+})"


class Move(NamedTuple):
    """A change of the world: what happens, to which, when, how often."""

    what: str
    pick: int
    at: Moment
    times: int


class Meanwhile(NamedTuple):
    """A move just before the nth request of a listing is answered."""

    listing: str
    nth: int
    move: Move


EDGES = ("now", "cursor", "look-back", "horizon", "start", "first event", "last event")
MOMENTS = st.builds(
    Moment,
    st.sampled_from(EDGES),
    st.sampled_from((0, -1, 1, -2, -59, 60, -600, -3599, -3600, -3601, -DAY, -6 * DAY, -20 * DAY)),
)
TIMES = st.sampled_from((1, 1, 1, 2, 3, 9, 30, 120, 300))
PICKS = st.integers(0, 7)
ARRIVALS = ("events", "events", "one event", "ungrouped event", "twin event", "issue", "issues", "release")
CHANGES = ("resolve", "archive", "assign", "merge", "merge", "delete issue", "delete event", "bump")


def moves(*kinds: str) -> st.SearchStrategy[Move]:
    """Moves of these kinds."""
    return st.builds(Move, st.sampled_from(kinds), PICKS, MOMENTS, TIMES)


MEANWHILE = st.lists(
    st.builds(
        Meanwhile,
        st.sampled_from(("issues", "issues", "events", "acme")),
        st.integers(1, 9),
        moves(*ARRIVALS, *CHANGES, "clock"),
    ),
    min_size=1,
    max_size=3,
)

JUMPS = st.sampled_from(
    (1, 59, 600, 3599, 3600, 3601, 7200, DAY - 301, DAY - 300, DAY, 3 * DAY, 20 * DAY, -1, -60, -1800)
)
STARTS = st.sampled_from((None, None, None, 1, 6, 13, 14, 40))
DEATHS = st.one_of(
    st.tuples(st.just("request"), st.integers(1, 15)),
    st.tuples(st.sampled_from(("normalize", "load")), st.just(1)),
    st.tuples(st.just("job"), st.integers(1, 6)),
    st.tuples(st.just("package"), st.just(1)),
    st.tuples(st.just("statement"), st.integers(1, 30)),
)
"""Where a process dies: before the nth call of something."""


@dataclass(frozen=True)
class Choice:
    """What the user asks of one run; ``start`` in days before the history, ``projects`` as places."""

    tables: tuple[str, ...] = ("projects", "issues", "events")
    start: int | None = None
    sweep_interval: float = 24
    projects: tuple[int, ...] | None = None
    lookback: int = LOOKBACK
    chunk_events: int = 0


CHOICES = st.builds(
    Choice,
    tables=st.sampled_from((("projects", "issues", "events"),) * 4 + (("issues",), ("events",))),
    start=STARTS,
    sweep_interval=st.sampled_from((24, 24, 0, 1)),
    projects=st.sampled_from((None, None, None, (0,), (1,), (0, 2))),
    lookback=st.sampled_from((LOOKBACK, LOOKBACK, LOOKBACK, 60, DAY)),
)


# What the server shows


@dataclass(frozen=True)
class Snapshot:
    """What the server shows at one moment.

    Attributes:
        events: Event rows by project and event id, as the destination should hold them.
        issues: Issue rows by id.
        seconds: When the events shown happened, of each issue, oldest first.
        gone: Issues that were deleted, each with None, or merged, each with what may stand in its row: the
            final parent; None as well where that was deleted.
        horizon: The oldest second that the server answers for.
    """

    events: Rows
    issues: Rows
    seconds: dict[str, list[int]]
    gone: dict[str, tuple[str | None, ...]]
    horizon: int

    @classmethod
    def of(cls, server: Sandbox) -> Snapshot:
        world = server.world
        with world.lock:
            truth = world.truth("projects", "issues", "events")
            issues = {row["id"]: _issue(server, row) for row in truth["issues"]}
            return cls(
                {(row["project_id"], row["event_id"]): _event(row) for row in truth["events"]},
                issues,  # type: ignore[arg-type]
                {
                    key: [entry[0] for entry in world.all_issues[key].timeline if entry[0] >= world.horizon]
                    for key in map(str, issues)
                },
                {issue.id: _heirs(issue) for issue in world.all_issues.values() if issue.gone},
                world.horizon,
            )


def _heirs(issue: Issue) -> tuple[str | None, ...]:
    heirs: list[str | None] = []
    last = issue
    while last.merged_into is not None:
        last = last.merged_into
        heirs.append(last.id)
    return (*heirs, None) if last.deleted else tuple(heirs[-1:])


def _milliseconds(text: Any) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000


def _event(row: Any) -> tuple[Any, ...]:
    return (
        row["issue_id"],
        row["project_slug"],
        _milliseconds(row["date_created"]),
        row["release"],
        row["environment"],
        row["level"],
        tuple(sorted((key, value) for key, value in row["tags"])),
    )


EVENT_TIME = 2


class _Issue(NamedTuple):
    """An issue's row: the numbers, and what else the list says of it."""

    numbers: tuple[Any, ...]
    words: tuple[Any, ...]


def _issue(server: Sandbox, row: Any) -> _Issue:
    world, old = server.world, server.switches.old_server
    issue = world.all_issues[row["id"]]
    # old servers count events ten seconds late
    uncounted = sum(entry[2].received > world.seconds_now - 10 for entry in issue.timeline) if old else 0
    assignee = issue.assignee
    return _Issue(
        (
            row["count"] - uncounted,
            row["user_count"],
            _milliseconds(row["first_seen"]),
            _milliseconds(row["last_seen"]),
        ),
        (
            row["project_id"],
            row["project_slug"],
            row["short_id"],
            row["status"],
            None if old else row["substatus"],
            assignee.type if assignee else None,
            assignee.id if assignee else None,
        ),
    )


# What the destination holds


@dataclass(frozen=True)
class Holding:
    """What the destination holds at one moment: events and issues as in ``Snapshot``, marks of issues."""

    events: Rows = field(default_factory=dict)
    issues: Rows = field(default_factory=dict)
    marks: Rows = field(default_factory=dict)
    loads: tuple[str, ...] = ()
    projects: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, database: duckdb.DuckDBPyConnection) -> Holding:
        """Read it, and look that nothing is there twice."""
        tables = {row[0] for row in database.execute("SELECT table_name FROM duckdb_tables()").fetchall()}

        def rows(table: str, columns: str) -> list[tuple[Any, ...]]:
            if table not in tables:
                return []
            return database.execute(f"SELECT {columns} FROM sentry_data.{table}").fetchall()

        tags: dict[str, list[tuple[str, str]]] = {}
        for parent, key, value in rows("events__tags", "_dlt_parent_id, key, value"):
            tags.setdefault(parent, []).append((key, value))
        events = [
            ((row[0], row[1]), (*row[2:-1], tuple(sorted(tags.pop(row[-1], [])))))
            for row in rows(
                "events",
                "project_id, event_id, issue_id, project_slug, epoch_ms(date_created), release, environment, "
                "level, _dlt_id",
            )
        ]
        assert not tags, f"tags without an event: {tags}"
        issues = rows(
            "issues",
            "id, count, user_count, epoch_ms(first_seen), epoch_ms(last_seen), project_id, project_slug, "
            "short_id, status, substatus, assigned_to_type, assigned_to_id, is_deleted, deleted_at::VARCHAR, "
            "merged_into",
        )
        return cls(
            _once("events", events),
            _once("issues", [(row[0], _Issue(row[1:5], row[5:12])) for row in issues]),
            {row[0]: row[12:] for row in issues},
            tuple(sorted(row[0] for row in rows("_dlt_loads", "load_id"))),
            dict(rows("projects", "id, _dlt_load_id")),
        )


def _once(table: str, rows: list[tuple[Any, Any]]) -> Rows:
    found = dict(rows)
    assert len(found) == len(rows), f"{len(rows) - len(found)} rows of {table} are there twice"
    return found


# What was promised


@dataclass
class Ledger:
    """What earlier runs have covered: windows by table and project; when each project was swept last."""

    covered: dict[tuple[str, str], list[tuple[int, int]]] = field(default_factory=dict)
    swept: dict[str, int] = field(default_factory=dict)

    def last_sweep(self, project: str) -> int | None:
        """When all issues of a project were read last."""
        return self.swept.get(project)


@dataclass
class Reading:
    """One run of the source, and what happened meanwhile.

    Attributes:
        choice: What the user asked for.
        start: The first second wanted; None: 90 days before the end.
        projects: Ids of the projects it reads.
        held: What the destination held before.
        shown: What the server showed, in the order of the changes.
        end: The second at which it was pinned.
    """

    choice: Choice
    start: int | None
    projects: set[str]
    held: Holding
    shown: list[Snapshot]
    end: int = 0

    @property
    def wanted(self) -> tuple[int, int]:
        return (self.end - 90 * DAY if self.start is None else self.start), self.end

    def wants(self, second: int) -> bool:
        """Whether a second lies in what the run wants at all."""
        return self.wanted[0] <= second < self.wanted[1]

    def reader(self, ledger: Ledger, table: str, project: str) -> Callable[[int], bool]:
        """Tells of a second whether this run has to read it, for a table and a project."""
        if project not in self.projects or table not in self.choice.tables:
            return lambda _: False
        if table == "issues" and self.must_sweep(ledger, project):
            return self.wants
        start, end = self.wanted
        windows = [
            (max(low, start), min(high, end))
            for low, high in ledger.covered.get((table, project), ())
            if max(low, start) < min(high, end)
        ]
        newest = max((high for _, high in windows), default=None)

        def reads(second: int) -> bool:
            covered = any(low <= second < high for low, high in windows)
            again = newest is not None and newest - self.choice.lookback <= second
            return self.wants(second) and (not covered or again)

        return reads

    def must_sweep(self, ledger: Ledger, project: str) -> bool:
        last = ledger.last_sweep(project)
        return last is None or self.end - last >= self.choice.sweep_interval * HOUR

    def note(self, ledger: Ledger) -> None:
        """What this run covered, once it is done."""
        sweeps = "issues" in self.choice.tables and any(
            ledger.last_sweep(project) is None
            or self.end - (ledger.last_sweep(project) or 0) >= self.choice.sweep_interval * HOUR - EARLY_SWEEP
            for project in self.projects
        )
        for project in self.projects:
            for table in self.choice.tables:
                ledger.covered.setdefault((table, project), []).append(self.wanted)
            if sweeps:
                ledger.swept[project] = self.end


def check(reading: Reading, ledger: Ledger, now: Holding, *, old_server: bool) -> None:
    """The destination holds what it must, and nothing else, after a run."""
    _check_events(reading, ledger, now)
    _check_issues(reading, ledger, now, old_server=old_server)
    if "issues" in reading.choice.tables:
        _check_marks(reading, ledger, now)
    if "projects" in reading.choice.tables:
        loads = [load for load in now.loads if load not in reading.held.loads]
        _same({project: now.projects.get(project) for project in reading.projects}, loads[0], "projects")


def _check_events(reading: Reading, ledger: Ledger, now: Holding) -> None:
    first, *later = reading.shown
    readers = {project: reading.reader(ledger, "events", project) for project in reading.projects}
    reads_events = "events" in reading.choice.tables
    for key, row in first.events.items():
        stays = all(key in snapshot.events for snapshot in later)
        if stays and key[0] in readers and readers[key[0]](row[EVENT_TIME] // 1000):
            shown = [snapshot.events[key] for snapshot in reading.shown]
            assert key in now.events, f"event {key} is missing: {shown[0]}"
            assert now.events[key] in shown, f"event {key} is {now.events[key]}, the server showed {shown}"
    for key, row in now.events.items():
        shown = [snapshot.events[key] for snapshot in reading.shown if key in snapshot.events]
        may_come = reads_events and key[0] in reading.projects and reading.wants(row[EVENT_TIME] // 1000)
        before = reading.held.events.get(key)
        assert row == before or (may_come and row in shown), (
            f"event {key} is {row}, before the run {before}, the server showed {shown}"
        )
    lost = reading.held.events.keys() - now.events.keys()
    assert not lost, f"events left the destination: {lost}"


def _check_issues(reading: Reading, ledger: Ledger, now: Holding, *, old_server: bool) -> None:
    readers = {project: reading.reader(ledger, "issues", project) for project in reading.projects}
    reads_issues = "issues" in reading.choice.tables

    def is_read(snapshot: Snapshot, key: str, project: str) -> bool:
        return key in snapshot.issues and any(map(readers[project], snapshot.seconds[key]))

    def may_come(snapshot: Snapshot, key: str) -> bool:
        if not reads_issues or key not in snapshot.issues:
            return False
        seconds = snapshot.seconds[key]
        if snapshot.issues[key][1][0] not in reading.projects:
            return False
        if old_server:  # it knows no windows, so an issue counts as seen all its life
            first = snapshot.issues[key][0][2] // 1000
            return seconds[-1] >= reading.wanted[0] and first < reading.end
        return bisect_left(seconds, reading.wanted[0]) < bisect_left(seconds, reading.end)

    for key, row in reading.shown[0].issues.items():
        project = row[1][0]
        if project in readers and all(is_read(snapshot, key, project) for snapshot in reading.shown):
            shown = [snapshot.issues[key] for snapshot in reading.shown]
            assert key in now.issues, f"issue {key} is missing: {shown[0]}"
            _assert_shown(key, now.issues[key], shown)
    for key, row in now.issues.items():
        if row != reading.held.issues.get(key):
            shown = [snapshot.issues[key] for snapshot in reading.shown if may_come(snapshot, key)]
            _assert_shown(key, row, shown, reading.held.issues.get(key))
    lost = reading.held.issues.keys() - now.issues.keys()
    assert not lost, f"issues left the destination: {lost}"


def _assert_shown(key: str, row: Any, shown: list[Any], before: Any = None) -> None:
    """The row was shown; its numbers may come from a later answer than the rest."""
    assert row[0] in [one[0] for one in shown] and row[1] in [one[1] for one in shown], (  # noqa: PT018
        f"issue {key} is {row}, before the run {before}, the server showed {shown}"
    )


def _check_marks(reading: Reading, ledger: Ledger, now: Holding) -> None:
    for key, mark in now.marks.items():
        project = now.issues[key][1][0]
        if project not in reading.projects:
            assert mark == reading.held.marks.get(key), f"the mark of issue {key} of another project changed"
            continue
        gone = [snapshot.gone.get(key) for snapshot in reading.shown]
        deleted, deleted_at, heir = mark
        message = f"issue {key} is marked {mark}; its heirs on the server: {gone}"
        assert bool(deleted) == bool(deleted_at), message
        assert not (deleted and heir), message
        if set(gone) == {None}:
            assert not deleted, message
            assert heir is None, message
        last = now.issues[key][0][3] // 1000
        inside = max(reading.wanted[0], reading.shown[-1].horizon) + DAY <= last < reading.end
        if None not in gone and len(set(gone)) == 1 and inside and reading.must_sweep(ledger, project):
            assert deleted or heir, message
            assert heir in (gone[0] or ()), message


def _check_repair(
    done: sentry.Repair, held: Holding, shown: Snapshot, now: Holding, covered: dict[str, list[Window]]
) -> None:
    """Nothing is owed any more in the hours that were compared, and nothing else has changed.

    Compared are the full hours that earlier runs have read.
    """
    start, end = int(done.after.start.timestamp()), int(done.after.end.timestamp())
    by_ids = done.before.how == "Sentry's lists"

    def hours(events: Rows) -> Counter[tuple[str, int]]:
        return Counter(
            (key[0], second // HOUR)
            for key, row in events.items()
            if start <= (second := row[EVENT_TIME] // 1000) < end
            and any(part.start <= second < part.end for part in covered.get(key[0], ()))
        )

    lacking = hours(shown.events) - hours(now.events)
    assert not lacking, f"a repair left hours that lack events: {lacking}"
    assert done.after.missing == 0, done.after
    missing = hours({key: shown.events[key] for key in shown.events.keys() - now.events.keys()})
    assert not (by_ids and missing), f"a repair by ids left hours that lack events: {missing}"
    for key, row in now.events.items():
        assert row in (held.events.get(key), shown.events.get(key)), f"a repair made event {key} {row}"
    assert held.events.keys() <= now.events.keys(), "events left the destination"
    assert (held.issues, held.marks) == (now.issues, now.marks), "a repair changed issues"


def _same(found: dict[str, Any], wanted: Any, what: str) -> None:
    others = {key: value for key, value in found.items() if value != wanted}
    assert not others, f"{what}: {others}, not {wanted}"


# A process that is killed


def in_child(work: Callable[[], object], death: tuple[str, int]) -> bool:
    """Do something in a copy of this process that dies at a point; returns whether it lived on.

    Raises:
        AssertionError: It failed, or it hangs.
    """
    channel, end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(channel)
        status = BROKEN
        try:
            _arm(*death)
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may come back from the copy
            os.write(end, traceback.format_exc()[-60_000:].encode())
        os._exit(status)
    os.close(end)
    status = _wait(child)
    with os.fdopen(channel, "rb") as said:
        message = said.read().decode()
    assert status in (0, KILLED), f"the copy of the process ended with {status}: {message}"
    return status == 0


def _wait(child: int) -> int:
    deadline = time.monotonic() + CHILD_TIMEOUT
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError("the copy of the process hangs")


def _arm(where: str, nth: int) -> None:
    """Die at the nth call of something."""
    owner, name = {
        "request": (requests.Session, "send"),
        "normalize": (dlt.Pipeline, "normalize"),
        "load": (dlt.Pipeline, "load"),
        "job": (PackageStorage, "complete_job"),
        "package": (PackageStorage, "complete_loading_package"),
        "statement": (DuckDbSqlClient, "execute_query"),
    }[where]
    original, calls = getattr(owner, name), 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            os._exit(KILLED)
        return original(*arguments, **named)

    setattr(owner, name, counted)


@contextmanager
def rows_a_page(most: int) -> Iterator[None]:
    """Servers cut pages without a word; small ones make scans of many pages out of few rows."""
    limit, page_request = api_issues._limit, Call.page_request
    with (
        mock.patch.object(api_issues, "_limit", lambda call: min(most, limit(call))),
        mock.patch.object(Call, "page_request", lambda call, size=100: page_request(call, min(most, size))),
    ):
        yield


# The histories


class Histories(RuleBasedStateMachine):
    """A history: the world changes, the source runs, the destination is looked at."""

    def __init__(self) -> None:
        super().__init__()
        shared_memory = Path("/dev/shm")  # noqa: S108
        self.folder = Path(
            tempfile.mkdtemp(prefix="history-", dir=shared_memory if shared_memory.is_dir() else None)
        )
        self.stack = ExitStack()
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.ledger = Ledger()
        self.unfinished: Reading | None = None
        self.cursor = int(BEGIN.timestamp())
        self.start = self.cursor - 14 * DAY
        self.runs = 0
        self.named = 0
        self.broken = False

    @initialize(
        server=st.sampled_from(sorted(SERVERS)),
        page=st.sampled_from((3, 3, 4, 100)),
        retention=st.sampled_from((30, 90)),
        tied=st.sampled_from((0, 9, 17)),
    )
    def begin(self, server: str, page: int, retention: int, tied: int) -> None:
        world = World.build(seed=1, projects=2, issues=3, events=10, days=14, now=BEGIN)
        world.retention_days = retention
        for _ in range(tied):
            world.add_issue(project=world.projects[tied % 2], at=BEGIN - timedelta(days=3))
        self.page = page
        self.stack.enter_context(rows_a_page(page))
        self.server = self.stack.enter_context(Sandbox(world=world, switches=SERVERS[server]))
        self.world = world
        self.open_database()

    def open_database(self) -> None:
        """Kept open, so that dlt's many connections cost little; closed before another process needs it."""
        self.database = duckdb.connect(str(self.folder / "test.duckdb"))
        self.database.execute("SET threads = 1")
        self.warehouse = Warehouse(self.folder)

    # changes

    @rule(move=moves(*ARRIVALS))
    def arrive(self, move: Move) -> None:
        self.make(move)

    @rule(move=moves(*CHANGES))
    def change(self, move: Move) -> None:
        self.make(move)

    @rule(what=st.sampled_from(("add", "add with history", "rename", "swap slugs", "remove")), pick=PICKS)
    def projects(self, what: str, pick: int) -> None:
        world, projects = self.world, self.world.projects
        self.named += 1
        if what.startswith("add"):
            project = world.add_project(f"project-{self.named}")
            for at in ("horizon", "cursor", "look-back") if what == "add with history" else ():
                world.add_issue(project=project, at=self.second(Moment(at, pick)), events=1 + pick)
        elif not projects:
            return
        elif what == "rename":
            world.rename_project(projects[pick % len(projects)], f"renamed-{self.named}")
        elif what == "remove":
            world.remove_project(projects[pick % len(projects)])
        elif len(projects) > 1:
            first, second = projects[0], projects[1 + pick % (len(projects) - 1)]
            slugs = first.slug, second.slug
            world.rename_project(first, "aside")
            world.rename_project(second, slugs[0])
            world.rename_project(first, slugs[1])

    @rule(seconds=JUMPS)
    def time_passes(self, seconds: int) -> None:
        self.world.advance(seconds=seconds)

    # runs

    @precondition(lambda self: self.runs < MOST_RUNS)
    @rule(choice=CHOICES)
    def run(self, choice: Choice) -> None:
        self.read(choice, [])

    @precondition(lambda self: self.runs < MOST_RUNS)
    @rule(choice=CHOICES, chunk_events=st.sampled_from((6, 40)))
    def run_in_chunks(self, choice: Choice, chunk_events: int) -> None:
        self.read(replace(choice, chunk_events=chunk_events), [])

    @precondition(lambda self: self.runs < MOST_RUNS)
    @rule(choice=CHOICES, meanwhile=MEANWHILE)
    def run_while_rows_move(self, choice: Choice, meanwhile: list[Meanwhile]) -> None:
        self.read(choice, meanwhile)

    @precondition(lambda self: self.runs < MOST_RUNS)
    @rule(choice=CHOICES, death=DEATHS, meanwhile=st.just([]) | MEANWHILE)
    def run_is_killed(self, choice: Choice, death: tuple[str, int], meanwhile: list[Meanwhile]) -> None:
        self.read(choice, meanwhile, death)

    @precondition(lambda self: self.runs < MOST_RUNS and self.holds_events())
    @rule(by_listing=st.booleans())
    def repair(self, by_listing: bool) -> None:
        self.broken = True
        self.finish_pending()
        self.runs += 1
        held, shown = Holding.of(self.database), Snapshot.of(self.server)
        try:
            done = sentry.repair(
                self.warehouse.pipeline,
                auth_token=self.server.token,
                organization="acme",
                base_url=self.server.url,
                by_listing=by_listing,
                loader_file_format="parquet",
            )
        except sentry.SentryConfigurationError as nothing:
            assert "no full hour" in str(nothing)  # noqa: PT017
        else:
            now = Holding.of(self.database)
            covered = {
                project: [part.full_hours() for part in union(Window(*window) for window in windows)]
                for (table, project), windows in self.ledger.covered.items()
                if table == "events"
            }
            _check_repair(done, held, shown, now, covered)
            for project, windows in done.before.gaps.items():
                read = self.ledger.covered.setdefault(("events", project), [])
                read.extend((window.start, window.end) for window in windows)
        self.broken = False

    def holds_events(self) -> bool:
        """Whether the events of some project were loaded."""
        return any(table == "events" for table, _ in self.ledger.covered)

    def teardown(self) -> None:
        try:
            if hasattr(self, "database") and not self.broken:
                self.read(Choice(sweep_interval=0), [])
        finally:
            if hasattr(self, "database"):
                self.database.close()
            self.stack.close()

    # how

    def read(self, choice: Choice, meanwhile: list[Meanwhile], death: tuple[str, int] | None = None) -> None:
        """Run the source once, and compare."""
        self.broken = True
        self.finish_pending()
        self.runs += 1
        reading = Reading(
            choice,
            None if choice.start is None else int(BEGIN.timestamp()) - choice.start * DAY,
            {project.id for project in self.chosen(choice)},
            Holding.of(self.database),
            [Snapshot.of(self.server)],
        )
        self.watch(reading, meanwhile)
        if death is None:
            self.load(choice)
            self.conclude(reading)
        else:
            self.database.close()
            in_child(lambda: self.load(choice), death)
            self.open_database()
            Holding.of(self.database)
            self.unfinished = reading
        self.server.clear_hooks()
        self.cursor, self.start = reading.end or self.cursor, reading.wanted[0]
        self.broken = False

    def finish_pending(self) -> None:
        """What the next run does first after one was killed: it ends its load, or lets go of it.

        What it lets go of may have reached some tables; the next run reads all of it again.
        """
        reading, self.unfinished = self.unfinished, None
        if reading is None:
            return
        pipeline = self.warehouse.pipeline
        finish_earlier_run(pipeline)
        now = Holding.of(self.database)
        if now.loads != reading.held.loads:
            self.conclude(reading)
        else:
            assert reading.held.events.keys() <= now.events.keys(), "events left the destination"
            assert reading.held.issues.keys() <= now.issues.keys(), "issues left the destination"

    def conclude(self, reading: Reading) -> None:
        old = self.server.switches.old_server
        check(reading, self.ledger, Holding.of(self.database), old_server=old)
        reading.note(self.ledger)

    def watch(self, reading: Reading, meanwhile: list[Meanwhile]) -> None:
        """Make the moves of a run at their requests, and note its pinned end."""
        counted: Counter[str] = Counter()

        def hook(request: IncomingRequest) -> None:
            listing = request.path.rstrip("/").rpartition("/")[2]
            counted[listing] += 1
            for at, nth, move in meanwhile:
                if (at, nth) == (listing, counted[listing]):
                    self.make(move)
                    reading.shown.append(Snapshot.of(self.server))
            if not reading.end and listing == "acme":
                reading.end = self.world.seconds_now

        self.server.on_request(hook)

    def load(self, choice: Choice) -> None:
        chosen = None if choice.projects is None else [project.slug for project in self.chosen(choice)]
        start = None if choice.start is None else (BEGIN - timedelta(days=choice.start)).isoformat()
        settings: dict[str, Any] = {
            "projects": chosen,
            "start_date": start,
            "sweep_interval": choice.sweep_interval,
            "lookback": choice.lookback,
            "chunk_events": choice.chunk_events,
        }
        tables: Iterable[str] = choice.tables
        for _ in range(MOST_CHUNKS):
            self.warehouse.load(self.server, *tables, **settings)
            tables = sentry.history_left(self.warehouse.pipeline)
            if not tables:
                return
        raise AssertionError(f"after {MOST_CHUNKS} loads there is history left of {tables}")

    def chosen(self, choice: Choice) -> list[Any]:
        """The projects a run reads; a place without a project counts from the beginning again."""
        projects = self.world.projects
        if choice.projects is None or not projects:
            return projects
        return [projects[place] for place in sorted({place % len(projects) for place in choice.projects})]

    def make(self, move: Move) -> None:
        """Change the world."""
        world = self.world
        with world.lock:
            getattr(self, "_" + move.what.replace(" ", "_"))(move)

    def second(self, moment: Moment, issue: Issue | None = None) -> int:
        """The second that a moment means now; servers take none that lies far ahead."""
        world = self.world
        seen = [entry[0] for entry in issue.timeline] if issue else []
        near = {
            "now": world.seconds_now,
            "cursor": self.cursor,
            "look-back": self.cursor - LOOKBACK,
            "horizon": world.horizon,
            "start": self.start,
            "first event": seen[0] if seen else world.seconds_now,
            "last event": seen[-1] if seen else world.seconds_now,
        }[moment.near]
        return min(near + moment.offset, world.seconds_now + 60)

    def issue(self, pick: int) -> Issue | None:
        """An issue, newest first."""
        issues = [issue for issue in self.world.issues if issue.timeline]
        return issues[-1 - pick % len(issues)] if issues else None

    def most(self, times: int) -> int:
        return min(times, 8 * self.page)

    # moves

    def _events(self, move: Move) -> None:
        issue = self.issue(move.pick)
        if issue:
            at = self.second(move.at, issue)
            self.world.add_events(self.most(move.times), at=at, issue=issue)

    def _one_event(self, move: Move) -> None:
        issue = self.issue(move.pick)
        if issue:
            self.world.add_event(
                project=issue.project,
                issue=issue,
                at=self.second(move.at, issue),
                user={"id": move.pick},
                environment=("production", "canary")[move.pick % 2],
                release=f"shop@{move.pick}",
            )

    def _bump(self, move: Move) -> None:
        issue = self.issue(move.pick)
        if issue:
            self.world.add_event(project=issue.project, issue=issue)

    def _ungrouped_event(self, move: Move) -> None:
        projects = self.world.projects
        if projects:
            project = projects[move.pick % len(projects)]
            self.world.add_event(project=project, at=self.second(move.at), grouped=False)

    def _twin_event(self, move: Move) -> None:
        """The same event id in two projects."""
        events, projects = self.world.events, self.world.projects
        if events and len(projects) > 1:
            event = events[-1 - move.pick % len(events)]
            other = next(project for project in projects if project is not event.project)
            self.world.add_event(project=other, event_id=event.event_id, at=self.second(move.at))

    def _issue(self, move: Move) -> None:
        self._new_issues(move, 1, self.most(move.times))

    def _issues(self, move: Move) -> None:
        self._new_issues(move, self.most(move.times), 1)

    def _new_issues(self, move: Move, issues: int, events: int) -> None:
        projects = self.world.projects
        for _ in range(issues if projects else 0):
            project = projects[move.pick % len(projects)]
            self.world.add_issue(project=project, at=self.second(move.at), events=events)

    def _release(self, move: Move) -> None:
        projects = self.world.projects
        if projects:
            project = projects[move.pick % len(projects)]
            self.world.add_release(f"release-{move.pick}", project, at=self.second(move.at))

    def _resolve(self, move: Move) -> None:
        issue = self.issue(move.pick)
        if issue:
            self.world.resolve(issue)

    def _archive(self, move: Move) -> None:
        issue = self.issue(move.pick)
        if issue:
            self.world.archive(issue)

    def _assign(self, move: Move) -> None:
        issue = self.issue(move.pick)
        people = [None, self.world.members[0], self.world.teams[0]]
        if issue:
            self.world.assign(issue, people[move.times % 3])

    def _merge(self, move: Move) -> None:
        child = self.issue(move.pick)
        others = [
            issue
            for issue in self.world.issues
            if child and issue is not child and issue.project is child.project and issue.timeline
        ]
        if child and others:
            self.world.merge(child, into=others[move.times % len(others)])

    def _delete_issue(self, move: Move) -> None:
        for _ in range(min(move.times, 10)):
            issue = self.issue(move.pick)
            if issue:
                self.world.delete_issue(issue)

    def _delete_event(self, move: Move) -> None:
        events: list[Event] = self.world.events
        for event in events[-1 - move.pick % len(events) :][: move.times] if events else ():
            self.world.delete_event(event)

    def _clock(self, move: Move) -> None:
        self.world.advance(seconds=(1, 2, 60, 3600, -1, -5, 600, 1)[move.pick])
