"""What the destinations for rows back to Sentry have in common: rows arrive whole, and as they were given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import dlt
from dlt.common.exceptions import PipelineStateNotAvailable
from dlt.common.schema import Schema
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
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
            SentryConfigurationError: The load has nested tables; their rows would be sent as rows of their own.
        """
        nested = sorted(
            {str(table["name"]) for table in schema.data_tables() if table.get("parent")} & _loading()
        )
        if nested:
            raise SentryConfigurationError(
                "Rows go to Sentry whole, but lists in them are tables of their own here: "
                f"{', '.join(nested)}. Nothing was sent. Give the resource max_table_nesting=0, and let go of this "
                "load with pipeline.abort_packages()."
            )
        return super().client(schema, initial_config)


def _loading() -> set[str]:
    """The tables of the package that is being loaded."""
    try:
        load_id = dlt.current.load_package_state()["load_id"]
        package = dlt.current.pipeline().get_load_package_info(str(load_id))
    except (CurrentLoadPackageStateNotAvailable, PipelineStateNotAvailable):
        return set()
    return {job.job_file_info.table_name for jobs in package.jobs.values() for job in jobs}


def as_given(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The rows with what dlt has taken apart put together again.

    A value of another type than its column's first is in a column of its own, ``priority▶v_text``
    (https://dlthub.com/docs/general-usage/schema-evolution). An object is one column per field, ``user▶id``, where
    the resource asks for nested tables.
    """
    return [_nested(_folded(row)) for row in rows]


def _folded(row: Mapping[str, Any]) -> Row:
    folded = {name: value for name, value in row.items() if not _VARIANT.fullmatch(name)}
    for name, value in row.items():
        variant = _VARIANT.fullmatch(name)
        if variant and value is not None:
            folded[variant[1]] = value
    return folded


def _nested(row: Row) -> Row:
    whole: Row = {}
    for name, value in row.items():
        *path, last = name.split("▶")
        place = whole
        for part in path:
            below = place.setdefault(part, {})
            place = below if isinstance(below, dict) else place
        if not path or value is not None:
            place[last] = value
    return whole
