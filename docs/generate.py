"""Writes docs/tables.md from the catalogue: python docs/generate.py."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from sentry.endpoints import GROUPS  # noqa: E402 - found by the line above
from sentry.table import Table  # noqa: E402

PAGE = ROOT / "docs" / "tables.md"

INTRODUCTION = """# Tables

<!-- Written by docs/generate.py from sentry/endpoints.py: run `make docs` after a change there. -->

Names are those in the destination. Beside the columns listed, every table has dlt's `_dlt_load_id` (the load that
wrote the row) and `_dlt_id`, and fields that Sentry adds after this page was written. Ids are text, times are UTC,
JSON is what varies in shape. **Scope** is what the token needs. Tables marked *by default* are loaded when you name
none; the others by `--resources NAME ...` (or `--resources all`), or with `source.with_resources("NAME")`.

A table that the token, the plan or the server does not give is skipped with a warning; the table `_sentry_skipped`
says which (`table_name`), why (`reason`) and when last (`skipped_at`).

Nothing is removed when Sentry no longer lists it. The rows that the last full listing still saw:

```sql
SELECT slug FROM projects WHERE _dlt_load_id = (SELECT max(_dlt_load_id) FROM projects)
```
"""


def page() -> str:
    """The whole page."""
    return (
        "\n".join([INTRODUCTION, *_contents(), *(line for group in GROUPS for line in _group(group))]) + "\n"
    )


def _contents() -> Iterator[str]:
    for group, tables in GROUPS.items():
        links = ", ".join(f"[{table.name}](#{table.name})" for table in tables)
        yield f"* **{group}**: {links}"
    yield ""


def _group(group: str) -> Iterator[str]:
    yield f"## {group}\n"
    for table in GROUPS[group]:
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield f"### {table.name}\n"
    yield f"One row is {table.row}.\n"
    yield f"* Key: {', '.join(f'`{name}`' for name in table.key)}"
    yield f"* Loaded: {'by default; ' if table.default else ''}{table.loading}"
    yield f"* Scope: `{table.scope}`"
    if table.docs:
        yield f"* Endpoint: [{table.path}]({table.docs})"
    else:
        yield f"* Endpoint: `{table.path}`, which Sentry does not publish. {table.unpublished}."
    left_out = sorted(table.secrets)
    if left_out:
        yield f"* Never loaded, because secret: {', '.join(f'`{name}`' for name in left_out)}"
    if table.only_declared:
        yield "* Only the columns below are loaded: the answer holds secrets."
    yield "\n| Column | Type | What it says |\n|---|---|---|"
    for column in table.columns:
        yield f"| `{column.name}` | {column.type} | {column.description} |"
    yield f"\n```sql\n{table.example}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page())
