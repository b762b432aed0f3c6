"""The destination as tests see it: load from a server, look at rows, compare with the server's truth."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import dlt
from dlt.common.pipeline import LoadInfo

from sandbox import Sandbox
from sentry import sentry_source

LISTINGS = ("organizations", "projects", "teams", "members", "environments")


class Warehouse:
    """A DuckDB file, a pipeline into it, and questions about its rows."""

    def __init__(self, folder: Path, name: str = "test") -> None:
        self.folder = folder
        self.name = name
        self.pipeline = self._pipeline()

    def _pipeline(self) -> dlt.Pipeline:
        return dlt.pipeline(
            self.name,
            destination=dlt.destinations.duckdb(str(self.folder / f"{self.name}.duckdb")),
            dataset_name="sentry_data",
            pipelines_dir=str(self.folder / "pipelines"),
        )

    def load(
        self, server: Sandbox, *tables: str, run: dict[str, Any] | None = None, **settings: Any
    ) -> LoadInfo:
        """Load some tables (none named: all) from a server; ``run`` goes to ``pipeline.run``."""
        source = sentry_source(
            **{"auth_token": server.token, "organization": "acme", "base_url": server.url, **settings}
        )
        chosen = source.with_resources(*tables) if tables else source
        return self.pipeline.run(chosen, loader_file_format="parquet", **(run or {}))

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query, by column name."""
        with self.pipeline.sql_client() as client, client.execute_query(sql) as cursor:
            names: list[str] = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def column(self, sql: str) -> list[Any]:
        """The first column of a query."""
        return [next(iter(row.values())) for row in self.rows(sql)]

    def tables(self) -> set[str]:
        """Names of the tables that are there, without dlt's own."""
        names = self.column(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'sentry_data'"
        )
        return {name for name in names if not name.startswith("_dlt")}

    def metrics(self) -> dict[str, dict[str, Any]]:
        """What the resources of the last run noted in the trace."""
        trace = self.pipeline.last_trace
        assert trace is not None
        assert trace.last_extract_info is not None
        return {
            name: resource.custom_metrics
            for steps in trace.last_extract_info.metrics.values()
            for step in steps
            for name, resource in step["resource_metrics"].items()
        }

    def assert_equals_truth(self, server: Sandbox) -> None:
        """Every row the server has is here, once, with its numbers; nothing else is here."""
        truth = truth_of(server)
        for table in LISTINGS:
            assert sorted(self.column(f"SELECT id FROM {table}")) == _sorted(truth[table], "id"), table
        assert sorted(self.column("SELECT version FROM releases")) == _sorted(truth["releases"], "version")
        assert_same(self.issues(), {row["id"]: _issue(row) for row in truth["issues"]})
        self.assert_events_equal_truth(server)

    def assert_events_equal_truth(self, server: Sandbox) -> None:
        """Every event is here, once, with its issue, its time and all its tags."""
        truth = truth_of(server)["events"]
        arrived = self.rows(
            "SELECT project_id, event_id, issue_id, date_created, release, environment, level FROM events"
        )
        assert_same(_events(arrived), _events(truth))
        assert len(arrived) == len(truth)
        tags = self.rows(
            "SELECT e.project_id, e.event_id, t.key, t.value "
            "FROM events e JOIN events__tags t ON t._dlt_parent_id = e._dlt_id"
        )
        assert Counter(
            (row["project_id"], row["event_id"], row["key"], row["value"]) for row in tags
        ) == Counter(
            (row["project_id"], row["event_id"], key, value) for row in truth for key, value in row["tags"]
        )

    def issues(self) -> dict[str, tuple[Any, ...]]:
        """Issues by id: project, count, users, first seen, last seen, status, short id."""
        rows = self.rows(
            "SELECT id, project_id, count, user_count, first_seen, last_seen, status, short_id FROM issues"
        )
        assert len({row["id"] for row in rows}) == len(rows)
        return {row["id"]: _issue(row) for row in rows}


def assert_same(arrived: dict[Any, Any], truth: dict[Any, Any]) -> None:
    """Two mappings are equal; if not, the message shows the first differences only."""
    keys = sorted(key for key in arrived.keys() | truth.keys() if arrived.get(key) != truth.get(key))
    shown = "\n".join(f"{key}: arrived {arrived.get(key)}, truth {truth.get(key)}" for key in keys[:5])
    assert not keys, f"{len(keys)} of {len(truth)} differ:\n{shown}"


def truth_of(server: Sandbox) -> dict[str, list[dict[str, Any]]]:
    """What a full reading of the server would see now, by table."""
    return cast("dict[str, list[dict[str, Any]]]", server.world.truth())


def moment(value: Any) -> datetime | None:
    """A moment as whole seconds, UTC: Sentry writes some of them with and some without a fraction."""
    if value is None:
        return None
    parsed = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return parsed.astimezone(UTC).replace(microsecond=0)


def _issue(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        row["project_id"],
        row["count"],
        row["user_count"],
        moment(row["first_seen"]),
        moment(row["last_seen"]),
        row["status"],
        row["short_id"],
    )


def _events(rows: list[dict[str, Any]]) -> dict[Any, Any]:
    return {
        (row["project_id"], row["event_id"]): (
            row["issue_id"],
            moment(row["date_created"]),
            row["release"],
            row["environment"],
            row["level"],
        )
        for row in rows
    }


def _sorted(rows: list[dict[str, Any]], key: str) -> list[str]:
    return sorted(str(row[key]) for row in rows)
