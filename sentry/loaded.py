"""What the destination of a pipeline holds already, asked in SQL that dlt's destinations have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dlt
from dlt.common.schema import Schema
from dlt.destinations.sql_client import SqlClientBase
from sqlglot import exp

from .client import Row
from .settings import SOURCE
from .table import OF_ORGANIZATION, OF_PROJECT, Table, column_name

_ADDED = {
    *(column.name for column in (*OF_ORGANIZATION, *OF_PROJECT)),
    *("assigned_to_type", "assigned_to_id", "is_deleted", "deleted_at", "merged_into"),
}
"""Columns of issues that are not Sentry's; they go by the same name in the rows that are extracted."""

_ROWS_AT_ONCE = 1000


class Loaded:
    """A table of this source in the destination of a pipeline.

    Args:
        pipeline: The pipeline.
        table: The table.
        schema_name: dlt's name for the source, by which its schema goes too.
    """

    def __init__(self, pipeline: dlt.Pipeline, table: Table, schema_name: str = SOURCE) -> None:
        self._pipeline = pipeline
        self._table = table
        self._schema_name = schema_name

    @property
    def exists(self) -> bool:
        """Whether rows were ever loaded into it."""
        known = self._schema_name in self._pipeline.schemas
        return known and self._name in self._schema.data_table_names(seen_data_only=True)

    def values(self, names: Sequence[str], where: exp.Condition | None = None) -> Iterator[tuple[Any, ...]]:
        """Some columns of the rows; each key once, as the newest load left it, also where files only grow.

        Args:
            names: The columns.
            where: Which rows; built with ``is_at_least``, ``is_before`` and ``is_one_of``.

        Yields:
            The values of a row, in the order of the names.

        Raises:
            SqlClientNotAvailable: The destination does not speak SQL.
            DatabaseException: It does not answer.
        """
        chosen = [*names, *self._table.key, "_dlt_load_id"]
        newest: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for row in self._select(chosen, where):
            key = row[len(names) : -1]
            if key not in newest or row[-1] >= newest[key][-1]:
                newest[key] = row
        for row in newest.values():
            yield row[: len(names)]

    def rows(self, where: exp.Condition) -> Iterator[Row]:
        """Whole rows as Sentry would give them: its own field names, documents parsed, nothing of dlt's.

        Args:
            where: Which rows.
        """
        naming = self._schema.naming
        dlts_own = {naming.normalize_identifier(name) for name in ("_dlt_id", "_dlt_load_id", "_dlt_root_id")}
        columns = [column for column in self._schema.get_table_columns(self._name) if column not in dlts_own]
        for values in self.values(columns, where):
            yield {
                self._field_name(column): self._restored(column, value)
                for column, value in zip(columns, values, strict=True)
            }

    def counted_by_hour(self, where: exp.Condition) -> Iterator[tuple[str, datetime, int]]:
        """How many rows there are, by project and hour of the table's cursor; each key counts once."""
        assert self._table.cursor  # noqa: S101 - the caller chose a table with one
        hour = exp.TimestampTrunc(this=self._column(column_name(self._table.cursor)), unit=exp.var("HOUR"))
        project = self._column("project_id")
        key = self._column(self._table.key[-1])
        query = (
            exp.select(project, hour, exp.Count(this=exp.Distinct(expressions=[key])))
            .from_(self._relation())
            .where(where)
            .group_by(project.copy(), hour.copy())
        )
        for project_id, time, count in self._execute(query):
            yield str(project_id), as_moment(time), int(count)

    def count(self, where: exp.Condition) -> int:
        """How many rows there are; where files only grow, a row counts as often as it was read."""
        query = exp.select(exp.Count(this=exp.Star())).from_(self._relation()).where(where)
        return sum(int(row[0]) for row in self._execute(query))

    def is_at_least(self, name: str, moment: datetime) -> exp.Condition:
        """Rows with a column not before a moment."""
        return exp.GTE(this=self._column(name), expression=_moment(moment))

    def is_before(self, name: str, moment: datetime) -> exp.Condition:
        """Rows with a column before a moment."""
        return exp.LT(this=self._column(name), expression=_moment(moment))

    def is_true(self, name: str) -> exp.Condition:
        """Rows with a column that is true."""
        return exp.EQ(this=self._column(name), expression=exp.true())

    def is_given(self, name: str) -> exp.Condition:
        """Rows with a column that is not null."""
        return exp.not_(exp.Is(this=self._column(name), expression=exp.null()))

    def is_one_of(self, name: str, values: Iterable[str]) -> exp.Condition:
        """Rows with a column that has one of some texts."""
        texts = [exp.Literal.string(value) for value in values]
        return exp.In(this=self._column(name), expressions=texts)

    @property
    def _schema(self) -> Schema:
        return self._pipeline.schemas[self._schema_name]

    @property
    def _name(self) -> str:
        return self._schema.naming.normalize_tables_path(self._table.name)

    def _column(self, name: str) -> exp.Column:
        return exp.column(self._schema.naming.normalize_identifier(name), quoted=True)

    def _relation(self) -> exp.Table:
        return exp.table_(self._name, quoted=True)

    def _select(self, names: Sequence[str], where: exp.Condition | None) -> Iterator[tuple[Any, ...]]:
        query = exp.select(*(self._column(name) for name in names)).from_(self._relation())
        yield from self._execute(query if where is None else query.where(where))

    def _execute(self, query: exp.Select) -> Iterator[tuple[Any, ...]]:
        with self._pipeline.sql_client(self._schema_name) as client:
            sql = _in_dialect(query, client, self._name)
            if client.capabilities.sqlglot_dialect in (
                "postgres",
                "redshift",
            ):  # hours of UTC, not of the server
                client.execute_sql("SET TIME ZONE 'UTC'")
            with client.execute_query(sql) as cursor:
                while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                    yield from (tuple(row) for row in rows)

    def _field_name(self, column: str) -> str:
        """Sentry's name for a column, so that a user's own ``add_map`` meets the names it knows."""
        first, *others = column.split("_")
        camel = first + "".join(part.capitalize() for part in others)
        is_sentrys = column in self._table.column_types and column not in _ADDED
        return camel if is_sentrys and column_name(camel) == column else column

    def _restored(self, column: str, value: Any) -> Any:
        kind = self._schema.get_table_columns(self._name)[column].get("data_type")
        if kind == "json" and isinstance(value, str):
            return json.loads(value)
        return as_moment(value) if kind == "timestamp" and value is not None else value


def as_moment(value: Any) -> datetime:
    """A timestamp as destinations give it, with its zone: those without one are UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment(moment: datetime) -> exp.Expression:
    text = moment.astimezone(UTC).isoformat(sep=" ", timespec="seconds")
    return exp.cast(exp.Literal.string(text), "TIMESTAMPTZ")


def _in_dialect(query: exp.Select, client: SqlClientBase[Any], table: str) -> str:
    """The query in the destination's SQL, with its way of writing names, and the dataset before the table's."""
    query = query.copy()
    for column in query.find_all(exp.Column):
        column.set(
            "this", exp.to_identifier(client.capabilities.casefold_identifier(column.name), quoted=True)
        )
    path = [
        exp.to_identifier(part, quoted=True)
        for part in client.make_qualified_table_name_path(table, quote=False)
    ]
    for relation in query.find_all(exp.Table):
        relation.replace(exp.Table(**dict(zip(("this", "db", "catalog"), reversed(path), strict=False))))
    return query.sql(dialect=client.capabilities.sqlglot_dialect)
