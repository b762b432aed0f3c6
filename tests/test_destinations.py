"""The core tables in every kind of destination that is promised: DuckDB, PostgreSQL, Delta, and plain files."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from deltalake import DeltaTable
from dlt.common.pipeline import LoadInfo

from sandbox import Sandbox
from sentry import TABLES, repair, sentry_source, verify
from tests.conftest import ROOT, Script
from tests.postgres import Postgres, PostgresUnavailableError, running
from tests.test_kills import LAUNCHER, MERGED
from tests.test_main_job import change_the_world
from tests.test_vanished import of_first_project
from tests.warehouse import Warehouse, truth_of

DAY = 86_400

COPIED_TO_DELTA = "dlt.destinations.impl.filesystem.filesystem:DeltaLoadFilesystemJob.run"

UNDISTURBED = "import sys, sentry_pipeline; sys.exit(sentry_pipeline.main(sys.argv[1:]))"

LITTLE = ("--resources", "issues", "events", "--progress", "none")

AS_DELTA = """
import sentry_pipeline

plain = sentry_pipeline.sentry_source

def as_delta(**settings):
    source = plain(**settings)
    for resource in source.resources.values():
        resource.apply_hints(table_format="delta")
    return source

sentry_pipeline.sentry_source = as_delta
"""
"""The hint of the README, for the script."""


class Other(Warehouse):
    """A destination that is no DuckDB file; the format of the files in between is dlt's choice."""

    table_format: Any = None
    file_format: Any = None

    def load(
        self, server: Sandbox, *tables: str, run: dict[str, Any] | None = None, **settings: Any
    ) -> LoadInfo:
        """Load some tables (none named: all) from a server."""
        source = sentry_source(
            **{"auth_token": server.token, "organization": "acme", "base_url": server.url, **settings}
        )
        source = source.with_resources(*tables) if tables else source
        formats = {"table_format": self.table_format, "loader_file_format": self.file_format}
        return self.pipeline.run(source, **formats, **(run or {}))


class PostgresWarehouse(Other):
    """A database of a PostgreSQL server."""

    def __init__(self, folder: Path, url: str, name: str = "test") -> None:
        self.url = url
        super().__init__(folder, name)

    def _pipeline(self) -> dlt.Pipeline:
        return dlt.pipeline(
            self.name,
            destination=dlt.destinations.postgres(self.url),
            dataset_name="sentry_data",
            pipelines_dir=str(self.folder / "pipelines"),
        )


class PlainFiles(Other):
    """Parquet files in a folder, as they are."""

    file_format: Any = "parquet"

    @property
    def lake(self) -> Path:
        return self.folder / "lake" / "sentry_data"

    def _pipeline(self) -> dlt.Pipeline:
        return dlt.pipeline(
            self.name,
            destination=dlt.destinations.filesystem(str(self.folder / "lake")),
            dataset_name="sentry_data",
            pipelines_dir=str(self.folder / "pipelines"),
        )

    def tables(self) -> set[str]:
        return {place.name for place in self.lake.iterdir() if place.is_dir() and place.name[:4] != "_dlt"}

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with duckdb.connect() as connection:
            for name in self.tables():
                self.show(connection, name)
            cursor = connection.execute(sql)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def show(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        """Let a table be asked by its name: its newest rows, by the README's query."""
        rows = f"SELECT DISTINCT * FROM read_parquet('{self.lake / name}/*.parquet', union_by_name = true)"
        if name in TABLES:
            rows = newest_rows(self.lake, name, ", ".join(TABLES[name].key))
        connection.execute(f"CREATE VIEW {name} AS {rows}")


class DeltaLake(PlainFiles):
    """Delta tables in a folder, read by Delta's own library."""

    table_format = "delta"
    file_format: Any = None

    def show(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        connection.register(name, DeltaTable(str(self.lake / name)).to_pyarrow_table())


def newest_rows(lake: Path, table: str, key: str) -> str:
    """The README's query for the newest row of each issue, for another table and another folder."""
    blocks = re.findall(r"^```sql\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (query,) = re.findall(r"SELECT[^;]*read_parquet[^;]*", "".join(blocks))
    changed: str = query.replace("lake/sentry_data/issues", str(lake / table)).replace(
        "PARTITION BY id", f"PARTITION BY {key}"
    )
    assert changed.count(str(lake)) == changed.count(f"PARTITION BY {key}") == 1
    return changed


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of a process, and no longer."""
    try:
        with running() as server:
            yield server
    except PostgresUnavailableError as reason:
        pytest.skip(str(reason))


_numbers = itertools.count(1)


@pytest.fixture
def database(postgres: Postgres) -> str:
    """An empty database of that server."""
    return postgres.new_database(f"test_{next(_numbers)}")


KINDS: dict[str, Callable[[Path, pytest.FixtureRequest], Warehouse]] = {
    "duckdb": lambda folder, _: Warehouse(folder),
    "postgres": lambda folder, request: PostgresWarehouse(folder, request.getfixturevalue("database")),
    "delta": lambda folder, _: DeltaLake(folder),
    "files": lambda folder, _: PlainFiles(folder),
}


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    """An empty destination of the kind that the test asks for."""
    return KINDS[request.param](tmp_path, request)


def in_each(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", kinds, indirect=True)


@in_each("duckdb", "postgres", "delta", "files")
def test_first_and_later_runs_bring_all_that_the_server_has_once(
    serve: Callable[..., Sandbox], place: Warehouse
) -> None:
    server = serve()
    place.load(server)
    place.assert_equals_truth(server)
    change_the_world(server)
    place.load(server)
    place.assert_equals_truth(server)


@in_each("duckdb", "postgres", "delta")
def test_a_sweep_renews_every_row(serve: Callable[..., Sandbox], place: Warehouse) -> None:
    server = serve()
    place.load(server)
    for issue in server.world.issues[:3]:
        server.world.archive(issue)
    server.world.rename_project(server.world.projects[0], "renamed")
    server.world.advance(seconds=DAY + 3600)
    place.load(server)
    place.assert_equals_truth(server)
    assert "renamed" in place.column("SELECT slug FROM projects")
    assert "renamed" in place.column("SELECT project_slug FROM issues")


@in_each("duckdb", "postgres", "delta", "files")
def test_a_run_with_nothing_new_changes_nothing(serve: Callable[..., Sandbox], place: Warehouse) -> None:
    server = serve()
    place.load(server)
    server.world.advance(seconds=7200)
    place.load(server)
    place.assert_equals_truth(server)


@in_each("duckdb", "postgres", "delta", "files")
def test_an_organization_without_anything_is_loaded_and_grows(
    serve: Callable[..., Sandbox], place: Warehouse
) -> None:
    server = serve(projects=2, issues=0, events=0)
    place.load(server)
    server.world.add_issue(project=server.world.projects[0], at=server.world.now, events=3)
    server.world.advance(seconds=600)
    place.load(server)
    place.assert_equals_truth(server)


@in_each("duckdb", "postgres")
def test_deleted_and_merged_issues_are_marked(serve: Callable[..., Sandbox], place: Warehouse) -> None:
    server = serve()
    place.load(server, "issues")
    before = place.rows("SELECT * FROM issues ORDER BY id")
    child, parent, doomed = of_first_project(server)[:3]
    server.world.merge(child, into=parent)
    server.world.delete_issue(doomed)
    server.world.advance(seconds=DAY + 3600)
    place.load(server, "issues")
    marked = place.rows(
        "SELECT id, is_deleted, merged_into FROM issues WHERE is_deleted OR merged_into IS NOT NULL"
    )
    assert {row["id"]: (row["is_deleted"], row["merged_into"]) for row in marked} == {
        child.id: (False, parent.id),
        doomed.id: (True, None),
    }
    assert place.column("SELECT id FROM issues ORDER BY id") == [row["id"] for row in before]
    for issue in (child, doomed):  # such a row is read back from the destination and written anew
        (after,) = place.rows(f"SELECT * FROM issues WHERE id = '{issue.id}'")
        (was,) = (row for row in before if row["id"] == issue.id)
        differ = {name for name in was if was[name] != after[name]}
        assert differ <= {"is_deleted", "deleted_at", "merged_into", "_dlt_id", "_dlt_load_id"}


@in_each("duckdb", "postgres")
def test_verify_and_repair_ask_the_destination(serve: Callable[..., Sandbox], place: Warehouse) -> None:
    server = serve()
    access: dict[str, Any] = {"auth_token": server.token, "organization": "acme", "base_url": server.url}
    place.load(server, "issues", "events")
    assert verify(place.pipeline, **access).missing == 0
    issue = server.world.issues[0]
    server.world.add_event(project=issue.project, issue=issue, at=server.world.now - timedelta(days=5))
    assert verify(place.pipeline, **access).missing == 1
    done = repair(place.pipeline, **access)
    assert (done.brought, done.after.missing, done.after.surplus) == (1, 0, 0)
    place.assert_events_equal_truth(server)


def test_a_new_start_in_plain_files_is_as_new(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    server, place = serve(), {"DESTINATION__FILESYSTEM__BUCKET_URL": str(tmp_path / "lake")}
    usual = ("--destination", "filesystem", "--resources", "events", "--progress", "none")
    assert script(server, *usual, **place).returncode == 0
    done = script(server, *usual, "--full-refresh", **place)
    assert done.returncode == 0, done.stderr
    files = tmp_path / "lake" / "sentry_data" / "events"
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT count(*) FROM '{files}/*.parquet'").fetchall()
    assert found == [(len(truth_of(server)["events"]),)]


def test_plain_files_keep_every_reading_and_lose_none(serve: Callable[..., Sandbox], tmp_path: Path) -> None:
    server = serve()
    place = PlainFiles(tmp_path)
    place.load(server)
    first = {row["id"]: row["count"] for row in truth_of(server)["issues"]}
    change_the_world(server)
    place.load(server)
    bumped = server.world.issues[0].id
    every = place.rows(
        f"SELECT id, count FROM read_parquet('{place.lake}/issues/*.parquet', union_by_name = true) ORDER BY _dlt_load_id"
    )
    counts = [row["count"] for row in every if row["id"] == bumped]
    assert counts[0] == first[bumped] < counts[-1]
    assert {row["id"] for row in every} == {row["id"] for row in truth_of(server)["issues"]}
    place.assert_equals_truth(server)


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the script against a destination: ``program(server, kind, url)``; with ``dies`` it kills itself there."""
    for name in ("sentry", "sentry_pipeline.py"):
        (tmp_path / name).symlink_to(ROOT / name)

    def run(
        server: Sandbox, kind: str, url: str = "", dies: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        hints, destination = (AS_DELTA, "filesystem") if kind == "delta" else ("", kind)
        (tmp_path / "program.py").write_text(hints + (LAUNCHER if dies else UNDISTURBED))
        access = {
            "SENTRY_AUTH_TOKEN": server.token,
            "SENTRY_URL": server.url,
            "SENTRY_ORG": "acme",
            "DESTINATION__FILESYSTEM__BUCKET_URL": str(tmp_path / "lake"),
            "DESTINATION__POSTGRES__CREDENTIALS": url,
        }
        fate = [*dies, str(signal.SIGKILL.value)] if dies else []
        return subprocess.run(
            [sys.executable, "program.py", *fate, "--destination", destination, *LITTLE],
            cwd=tmp_path, env={**os.environ, **access}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


KILLS = {
    "postgres-before-the-merge": ("postgres", (MERGED, "1", "before", "events.")),
    "delta-after-the-merge": ("delta", (COPIED_TO_DELTA, "1", "after", "events.")),
}


@pytest.mark.parametrize(("kind", "moment"), KILLS.values(), ids=KILLS.keys())
def test_a_run_killed_while_it_loads_is_made_whole_by_the_next_one(
    serve: Callable[..., Sandbox],
    program: Callable[..., subprocess.CompletedProcess[str]],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    kind: str,
    moment: tuple[str, ...],
) -> None:
    server = serve()
    url = request.getfixturevalue("database") if kind == "postgres" else ""
    killed = program(server, kind, url, dies=moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    change_the_world(server)
    done = program(server, kind, url)
    assert done.returncode == 0, done.stderr
    place = PostgresWarehouse(tmp_path, url) if kind == "postgres" else DeltaLake(tmp_path)
    place.assert_events_equal_truth(server)
    assert place.issues().keys() == {row["id"] for row in truth_of(server)["issues"]}


def test_postgres_has_zones_documents_and_whole_numbers(
    serve: Callable[..., Sandbox], tmp_path: Path, database: str
) -> None:
    place = PostgresWarehouse(tmp_path, database)
    place.load(serve(), "issues", "events")
    types = {
        (row["table_name"], row["column_name"]): row["data_type"]
        for row in place.rows(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'sentry_data'"
        )
    }
    expected = {
        "timestamp": "timestamp with time zone",
        "json": "jsonb",
        "bigint": "bigint",
        "bool": "boolean",
        "text": "character varying",
        "double": "double precision",
    }
    for table in ("issues", "events"):
        declared = TABLES[table].column_types
        assert {name: types[table, name] for name in declared} == {
            name: expected[kind] for name, kind in declared.items()
        }
    answer = place.rows(
        "SELECT count(*) AS events FROM events WHERE jsonb_typeof(entries) = 'array' AND date_created < now()"
    )
    assert answer[0]["events"] > 0


def test_every_table_loads_into_postgres_under_its_own_name(
    serve: Callable[..., Sandbox], tmp_path: Path, database: str
) -> None:
    place = PostgresWarehouse(tmp_path, database)
    place.load(serve(), *TABLES)
    columns = place.rows(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'sentry_data'"
    )
    names = {(row["table_name"], row["column_name"]) for row in columns}
    declared = {(table.name, column) for table in TABLES.values() for column in table.column_types}
    assert not declared - names  # none was shortened to the 63 characters that PostgreSQL has for a name
    trace = place.pipeline.last_trace
    assert trace
    assert trace.last_normalize_info
    for table, count in trace.last_normalize_info.row_counts.items():
        if not table.startswith("_dlt"):
            assert place.column(f"SELECT count(*) FROM {table}") == [count], table


def test_postgres_ends_with_the_process_that_started_it_even_if_that_is_killed(postgres: Postgres) -> None:
    starter = (
        "import os; from tests.postgres import running; started = running(); "
        "print(started.__enter__().port, flush=True); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", starter], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    until = time.monotonic() + 30
    while is_open(int(killed.stdout)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not is_open(int(killed.stdout))
    assert is_open(postgres.port)


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
