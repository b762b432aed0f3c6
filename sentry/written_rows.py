"""What the destinations for rows back to Sentry have in common: rows arrive whole, and as they were given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dlt.common.schema import Schema
from dlt.destinations.impl.destination.factory import destination

from .client import Row
from .errors import SentryConfigurationError

_VARIANT = re.compile(
    r"(.+?)(?:▶|__)v_(?:text|bigint|double|bool|timestamp|date|time|json|decimal|wei|binary)"
)


class RowDestination(destination):
    """A destination that takes each row whole: lists in it must not have become rows of tables of their own."""

    def client(self, schema: Schema, initial_config: Any = None) -> Any:
        """The client of a load; dlt asks for it before anything is sent.

        Raises:
            SentryConfigurationError: The schema has nested tables; their rows would be sent as rows of their own.
        """
        nested = sorted(str(table["name"]) for table in schema.data_tables() if table.get("parent"))
        if nested:
            raise SentryConfigurationError(
                "Rows go to Sentry whole, but lists in them are tables of their own here: "
                f"{', '.join(nested)}. Give the resource max_table_nesting=0, and use a pipeline of its own for "
                "rows back to Sentry."
            )
        return super().client(schema, initial_config)


def as_given(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The rows with values of another type than their column's first back in that column.

    dlt keeps such values in a column of their own, ``priority▶v_text``
    (https://dlthub.com/docs/general-usage/schema-evolution).
    """
    return [_folded(row) for row in rows]


def _folded(row: Mapping[str, Any]) -> Row:
    folded = {name: value for name, value in row.items() if not _VARIANT.fullmatch(name)}
    for name, value in row.items():
        variant = _VARIANT.fullmatch(name)
        if variant and value is not None:
            folded[variant[1]] = value
    return folded
