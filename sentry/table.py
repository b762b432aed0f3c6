"""What an entry of the catalogue says of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Literal

from dlt.common.normalizers.naming.snake_case import NamingConvention
from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns

_SNAKE_CASE = NamingConvention()


@lru_cache(maxsize=10_000)
def column_name(field_name: str) -> str:
    """The name that a field of Sentry gets in the destination."""
    return str(_SNAKE_CASE.normalize_identifier(field_name))


ColumnType = Literal["text", "bigint", "double", "bool", "timestamp", "json"]


@dataclass(frozen=True)
class Column:
    """A declared column: name in the destination, dlt data type, what it says."""

    name: str
    type: ColumnType
    description: str


ParentKind = Literal[
    "project", "team", "repository", "dashboard", "release", "issue", "monitor", "project tag", "issue tag"
]
"""What a table's rows hang on, where it is read once for each of them."""


@dataclass(frozen=True, eq=False)
class Table:
    """One table.

    Attributes:
        name: Table and resource name.
        row: What one row is.
        key: The columns that make a row unique.
        scope: The token scope that reading it takes.
        docs: Sentry's page on the endpoint; empty where Sentry publishes none.
        columns: The declared columns.
        path: The path below ``/api/0/``; what it names in braces comes from the organization and the parents.
        parent: What it is read for, one by one; None: once for the organization.
        params: Query parameters, each there because Sentry's default would leave rows out.
        paged: Whether the listing takes ``per_page``.
        answer: A list of rows, one object that is the row, or an object with the rows under ``data``.
        default: Whether it is loaded when the user names no tables.
        loading: How a second run loads it, in words.
        dropped: Fields that are not loaded because they depend on who looks, or on the request.
        secrets: Fields, at any depth, that are not loaded because they are or hold secrets; with a question mark
            behind the name: an address that loses its query.
        only_declared: Only declared columns are loaded: the answer is known to hold secrets, under names that
            change.
        derived: Columns taken from a field within the row, by its path there, where the row has none.
        cursor: Sentry's field that the incremental cursor follows.
        unpublished: Why an endpoint is used that is not in Sentry's published contract.
        example: A query that the documentation shows, with the table names alone.
    """

    name: str
    row: str
    key: tuple[str, ...]
    scope: str
    docs: str
    columns: tuple[Column, ...]
    path: str
    parent: ParentKind | None = None
    params: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    paged: bool = True
    answer: Literal["list", "object", "data"] = "list"
    default: bool = False
    loading: str = "whole list, merged"
    dropped: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    only_declared: bool = False
    derived: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    cursor: str | None = None
    unpublished: str = ""
    example: str = ""

    @cached_property
    def column_types(self) -> Mapping[str, ColumnType]:
        """The declared columns with their types."""
        return {column.name: column.type for column in self.columns}

    @cached_property
    def type_of(self) -> Callable[[str], ColumnType | None]:
        """Tells the declared type of the column that a field of Sentry becomes; None where none is declared."""
        return lru_cache(maxsize=1_000)(lambda field_name: self.column_types.get(column_name(field_name)))

    def column_hints(self) -> TTableSchemaColumns:
        """The declared columns as dlt hints.

        The cursor's column goes by Sentry's name for it, by which dlt's incremental declares it once more.
        """
        cursor = {column_name(self.cursor): self.cursor} if self.cursor else {}
        return {
            (name := cursor.get(column.name, column.name)): TColumnSchema(
                name=name, data_type=column.type, description=column.description
            )
            for column in self.columns
        }


def text(name: str, description: str) -> Column:
    """A text column; ids are text, also where Sentry gives a number."""
    return Column(name, "text", description)


def bigint(name: str, description: str) -> Column:
    """A whole number."""
    return Column(name, "bigint", description)


def flag(name: str, description: str) -> Column:
    """True or false."""
    return Column(name, "bool", description)


def moment(name: str, description: str) -> Column:
    """A timestamp with zone, UTC."""
    return Column(name, "timestamp", description)


def document(name: str, description: str) -> Column:
    """JSON: a shape that varies."""
    return Column(name, "json", description)


OF_ORGANIZATION = (
    text("organization_id", "Id of the organization; joins to organizations.id"),
    text("organization_slug", "Slug of the organization when the row was read"),
)

OF_PROJECT = (
    text("project_id", "Id of the project; joins to projects.id"),
    text("project_slug", "Slug of the project when the row was read"),
)

OF_TEAM = (
    text("team_id", "Id of the team; joins to teams.id"),
    text("team_slug", "Slug of the team when the row was read"),
)

OF_RELEASE = (text("release_version", "Version of the release; joins to releases.version"),)

OF_ISSUE = (text("issue_id", "Id of the issue; joins to issues.id"),)
