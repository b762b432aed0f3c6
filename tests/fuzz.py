"""Odd answers, many of them: ``python -m tests.fuzz --number 20000 --seed 1 --minutes 30``.

The stand-in's answers are changed on their way out. Each row gets fields of other types, null, huge numbers, odd
text, deep nesting, unknown fields; fields go, keys change their type or go, rows come twice, and rows made from
Sentry's published schema join them. Two loads follow. No load may fail, no row that was sent with its key may be
missing, rows without one must be in ``_sentry_rejected``, and the second load may double nothing.

An input is a row that was changed or made. The same seed makes the same inputs.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import random
import re
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sandbox import Sandbox, World
from sentry import failures_of
from sentry.endpoints import TABLES
from sentry.session import parsed_json
from sentry.table import Table, column_name
from tests.contract import Contract, find_contract
from tests.warehouse import Warehouse

Row = dict[str, Any]
Key = tuple[str | None, ...]

WORLD: dict[str, Any] = {"projects": 2, "issues": 12, "events": 60, "days": 14}

CHOSEN = [name for name in TABLES if name != "feedback"]
"""``feedback`` is read from the same address as ``issues``, so that nothing tells whose rows an answer holds."""

SERIES = ("usage_stats", "release_health", "project_stats")
"""Their answers hold no rows, but series."""

PARENTS = {"projects", "teams", "repositories", "issues", "releases", "monitors"}
"""What other tables are asked for by: a made row costs requests, and brings nothing below it."""

EVENT_TABLES = ("events", "issue_events")

ALSO_READ_BY = {"issue_events": ["issue_events", "events"]}
"""``events`` reads an issue's events where that is soonest."""

NEEDED = {
    "organization_id",
    "project_id",
    "issue_id",
    "release_version",
    "monitor_id",
    "team_id",
    "tag_key",
    "repository_id",
}
"""Columns that come from what a row hangs on, in the tables where it hangs on something."""

LONGEST_KEY = 1000
"""Characters; a longer one comes from a key that is nested deep, of which the deepest levels become JSON text."""

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)

MARK = "oddMark"
"""A field that each row gets, by which a rejected row is known again."""

# --------------------------------------------------------------------------------------------- odd values

TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "caf\u00e9 \U0001f4a5 \u202e",
    "null",
    "NaN",
    "true",
    "-1",
    "1e400",
    "0x10",
    "\u0663",
    "\u00b2",
    "2026-13-45T99:99:99Z",
    "2026-07-31",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-12:00",
    "1969-12-31T23:59:59.5Z",
    "99999-01-01T00:00:00Z",
    "[1, 2",
    "'; DROP TABLE issues; --",
    "x" * 900,
)

NUMBERS = (
    0,
    -1,
    1.5,
    -0.0,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63),
    2**64 - 1,
    -(2**63) - 1,
    10**30,
    1e308,
    1e-320,
    253402300800,
    -62135596801,
)

REFUSED_BY_STRICT_PARSERS = (math.nan, math.inf, -math.inf, "\ud800", "x\udc00y", 10**320)

NAMES = (
    "",
    " ",
    "_",
    "a.b",
    "a b",
    "a-b",
    "A_B",
    "aB",
    "\U0001f4a5",
    "\U0001f40d\U0001f4a5",
    "caf\u00e9",
    "1st",
    "select",
    "n" * 300,
    "\0",
    "_dlt_id",
    "_dlt_load_id",
    "_dlt_parent_id",
    "__proto__",
    "value",
    "organizationId",
    "projectId",
    "a__b",
)

DATES = (
    None,
    "",
    "yesterday",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1970-01-01T00:00:00Z",
    "2050-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
    "9999-12-31T23:59:59-12:00",
    1785499200,
    1785499200123.5,
    True,
    ["2026-07-31T00:00:00Z"],
    {"$date": 1},
)

SIMPLE: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [{}],
    [None],
    {"": 1},
    {"a b": {"c.d": [1]}},
    [1, "a", None, {"b": 2}],
)


class Oddities:
    """Makes odd values and rows.

    Args:
        chance: Where chance comes from.
        is_strict: Whether all of it is JSON as the standard has it.
    """

    def __init__(self, chance: random.Random, *, is_strict: bool) -> None:
        self._chance = chance
        self._texts = TEXTS if is_strict else (*TEXTS, *REFUSED_BY_STRICT_PARSERS)

    def value(self) -> Any:
        """Something that is not expected."""
        kind = self._chance.random()
        if kind < 0.35:
            return self._chance.choice(self._texts)
        if kind < 0.6:
            return self._chance.choice(NUMBERS)
        if kind < 0.95:
            return copy.deepcopy(self._chance.choice(SIMPLE))
        return nested(self._chance.choice((20, 200, 239, 260, 600)))

    def date(self) -> Any:
        """What may stand in place of a moment."""
        return self._chance.choice(DATES)

    def key(self, value: Any) -> Any:
        """Another form of a key: still one of its own, or none at all."""
        kind = self._chance.random()
        if kind < 0.5:
            return self._chance.choice((None, None, "", 0, False, [], {}))
        if isinstance(value, str) and value.isdecimal() and kind < 0.7:
            return int(value)
        return self._chance.choice(
            (
                f"{value}\0",
                [value],
                {"id": value},
                2**63 + abs(hash_of(value)),
                f"{value} \U0001f4a5",
                1.5,
                -1,
            )
        )

    def spoil(self, row: Row, kept: set[str]) -> None:
        """Change some fields of a row, at any depth, but for those at the top that are kept."""
        for _ in range(self._chance.randint(1, 4)):
            kind = self._chance.random()
            if kind < 0.25:
                name = self._chance.choice((*NAMES, *(other_spelling(name) for name in row)))
                if name not in row and not collides(name, kept):
                    row[name] = self.value()
                continue
            place, name = self._place(row, kept)
            if place is None:
                continue
            if kind < 0.4:
                del place[name]
            else:
                place[name] = self.value()

    def _place(self, row: Row, kept: set[str]) -> tuple[Any, Any]:
        """A container and one of its fields or positions."""
        place: Any = row
        choices: list[Any] = [name for name in row if name not in kept]
        while choices:
            name = self._chance.choice(choices)
            inner = place[name]
            if not isinstance(inner, (dict, list)) or not inner or self._chance.random() < 0.5:
                return place, name
            place, choices = inner, list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        return None, None

    def of_schema(self, schema: Row, depth: int = 0) -> Any:  # noqa: PLR0911 - a schema is of one of these kinds
        """A value that a published schema allows; now and then one that it does not."""
        if depth and self._chance.random() < 0.02:
            return self.value()
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            return self.of_schema(self._chance.choice(options), depth)
        if "enum" in schema:
            return self._chance.choice(schema["enum"])
        if schema.get("nullable") and self._chance.random() < 0.2:
            return None
        kind = schema.get("type")
        if depth > 6:
            return None
        if kind == "object" or "properties" in schema:
            return {
                name: self.of_schema(part, depth + 1) for name, part in schema.get("properties", {}).items()
            }
        if kind == "array":
            return [
                self.of_schema(schema.get("items", {}), depth + 1) for _ in range(self._chance.randint(0, 2))
            ]
        return {
            "string": self._text_of(schema),
            "integer": self._chance.randint(0, 10**6),
            "number": self._chance.random() * 100,
            "boolean": self._chance.random() < 0.5,
        }.get(str(kind), {})

    def _text_of(self, schema: Row) -> str:
        if schema.get("format") == "date-time":
            return f"2026-07-{self._chance.randint(10, 31)}T00:00:00Z"
        return self._chance.choice(("", "text", "caf\u00e9", str(self._chance.randint(0, 99))))


def nested(depth: int) -> Any:
    """Lists and objects in one another."""
    value: Any = "deep"
    for level in range(depth):
        value = [value] if level % 2 else {"in": value}
    return value


def other_spelling(name: str) -> str:
    """A name that becomes the same column."""
    if not name.strip():
        return "x"
    return column_name(name) if column_name(name) != name else name.upper()


def collides(name: str, kept: set[str]) -> bool:
    """Whether a name becomes the column of one of the kept ones."""
    return bool(name.strip()) and column_name(name) in {column_name(other) for other in kept}


def hash_of(value: Any) -> int:
    return random.Random(f"hash {value}").randint(1, 10**6)  # noqa: S311


# ------------------------------------------------------------------------------------------- odd answers


@dataclass
class Sent:
    """What was sent, by table: rows with their key, rows without, and how many were odd.

    Attributes:
        keyed: An example of a row, by key.
        keyless: Rows without key, by their mark.
        inputs: Rows that were changed or made, each counted once.
    """

    keyed: dict[str, dict[Key, Row]] = field(default_factory=dict)
    keyless: dict[str, dict[str, Any]] = field(default_factory=dict)
    inputs: set[tuple[str, str]] = field(default_factory=set)


class Spoiler:
    """Rewrites answers, always in the same way for the same row.

    Args:
        seed: Makes the same oddities again.
        clones: Rows that join each row.
        is_strict: Whether answers are JSON as the standard has it.
        spoils_reading: Whether what the reading itself needs is changed as well: ids of parents, counts, series.
    """

    def __init__(self, seed: str, *, clones: int, is_strict: bool, spoils_reading: bool) -> None:
        self.sent = Sent()
        self.errors: list[Exception] = []
        self._seed, self._clones, self._is_strict = seed, clones, is_strict
        self._spoils_reading = spoils_reading
        self._lock = threading.Lock()
        self._patterns = [
            (
                re.compile("/api/0/" + re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(TABLES[name].path))),
                TABLES[name],
            )
            for name in CHOSEN
        ]
        found = find_contract()
        self._contract = Contract(found) if found else None
        self._schemas: dict[str, Row | None] = {}

    def rewrite(self, path: str, body: bytes) -> bytes:
        """The answer, spoiled."""
        try:
            return self._spoiled(path, body)
        except Exception as error:
            self.errors.append(error)  # the server would make a 500 of it
            raise

    def _spoiled(self, path: str, body: bytes) -> bytes:
        table = next((table for pattern, table in self._patterns if pattern.fullmatch(path)), None)
        if table is None or table.name in SERIES or table.name in ("organization_details",):
            return self._unlisted(path, body)
        answer = json.loads(body)
        with self._lock:
            if table.answer == "object":
                answer = self._object(table, path, answer)
                spoiled = [answer]
            else:
                rows = answer["data"] if table.answer == "data" else answer
                spoiled = [odd for row in rows for odd in self._row(table, path, row)]
                answer = {**answer, "data": spoiled} if table.answer == "data" else spoiled
        sent = json.dumps(answer).encode()
        self._record(table, path, parsed_json(sent))
        return sent

    def _unlisted(self, path: str, body: bytes) -> bytes:
        if not self._spoils_reading or path == "/api/0/organizations/acme/":
            return body
        chance = random.Random(f"{self._seed} {path} {len(body)}")  # noqa: S311
        if chance.random() < 0.5:
            return body
        answer = json.loads(body)
        if isinstance(answer, dict):
            Oddities(chance, is_strict=self._is_strict).spoil(answer, set())
        return json.dumps(answer).encode()

    def _oddities(self, table: Table, name: str) -> tuple[random.Random, Oddities]:
        group = "events" if table.name in EVENT_TABLES else table.name
        chance = random.Random(f"{self._seed} {group} {name}")  # noqa: S311
        return chance, Oddities(chance, is_strict=self._is_strict)

    def _object(self, table: Table, path: str, row: Row) -> Row:
        _, odd = self._oddities(table, path)
        odd.spoil(row, key_fields(table, row))
        self.sent.inputs.add((table.name, path))
        return row

    def _row(self, table: Table, path: str, row: Row) -> Iterator[Any]:
        """The row with oddities, and what joins it."""
        fields = key_fields(table, row)
        place = "" if table.name in EVENT_TABLES else path  # an event is the same in all lists
        name = " ".join([place, *(str(row.get(part)) for part in sorted(fields))])
        chance, odd = self._oddities(table, name)
        clones = 0 if table.name in PARENTS and chance.random() < 0.9 else self._clones
        if chance.random() < 0.02:
            yield chance.choice((None, 5, "row", [], [1], True))
        rows = [row] + [self._made(table, path, row, fields, number, odd) for number in range(clones)]
        for number, one in enumerate(rows):
            self.sent.inputs.add((table.name, f"{name} {number}"))
            yield from self._spoiled_row(table, one, fields, f"{name} {number}")

    def _spoiled_row(self, table: Table, row: Row, fields: set[str], mark: str) -> Iterator[Row]:
        """The row, and now and then another one with its key; its key is the same in all forms of the row."""
        chance, odd = self._oddities(table, f"{mark} key")
        is_parent = table.name in PARENTS
        if fields and (not is_parent or self._spoils_reading) and chance.random() < 0.06:
            changed = chance.choice(sorted(fields))
            row[changed] = odd.key(row.get(changed))
            if chance.random() < 0.3:
                del row[changed]
        for moment in sorted(dates_of(table) - fields):
            if chance.random() < 0.1 and moment in row:
                row[moment] = odd.date()
        chance, odd = self._oddities(table, mark)
        kept = (
            fields | dates_of(table) | {"projectID"}
        )  # another one says that the project's name was given away
        if not self._spoils_reading:
            kept |= needed_fields(table, row)
        odd.spoil(row, kept)
        row[MARK] = mark
        yield row
        if chance.random() < 0.05:
            twin = json.loads(json.dumps(row))
            odd.spoil(twin, kept | {MARK})
            yield twin

    def _made(self, table: Table, path: str, row: Row, fields: set[str], number: int, odd: Oddities) -> Row:
        """A row from the published schema, with a key of its own and the times of the row that it joins."""
        schema = self._schema(table, path)
        made: Row = json.loads(json.dumps(row))
        if schema is not None:
            fresh = odd.of_schema(schema)
            if isinstance(fresh, dict):
                keep = dates_of(table) | needed_fields(table, row)
                made |= {name: value for name, value in fresh.items() if name not in keep}
        for name in fields:
            made[name] = own_key(table, row.get(name), number)
        if table.name == "issues":
            made["lifetime"] = row.get("lifetime") or {}
        return made

    def _schema(self, table: Table, path: str) -> Row | None:
        """The published schema of a row; None where there is none."""
        if table.name not in self._schemas:
            operation = self._contract.operation("GET", path) if self._contract else None
            schema: Any = operation.answer.schema if operation and operation.answer else None
            if schema and table.answer == "data":
                schema = schema.get("properties", {}).get("data")
            self._schemas[table.name] = schema.get("items") if schema else None
        return self._schemas[table.name]

    def _record(self, table: Table, path: str, answer: Any) -> None:
        rows = [answer] if table.answer == "object" else answer["data"] if table.answer == "data" else answer
        with self._lock:
            for row in rows:
                key = key_of(table, row) if isinstance(row, dict) else None
                if key is None:
                    mark = json.dumps(row.get(MARK, "") if isinstance(row, dict) else row)
                    self.sent.keyless.setdefault(table.name, {})[mark] = row
                elif (
                    is_loadable(table, row, path)
                    and max(map(len, filter(None, key)), default=0) < LONGEST_KEY
                ):
                    self.sent.keyed.setdefault(table.name, {})[key] = row


OWN: dict[str, tuple[str, ...]] = {
    "project_teams": ("id",),
    "release_commits": ("id",),
    "tag_values": ("value",),
    "issue_tag_values": ("value",),
    "events": ("eventID",),
    "issue_events": ("eventID",),
    "project_ownership": (),
    "sentry_app_installations": ("uuid",),
    "release_details": ("version",),
}
"""Sentry's names of the fields that tell rows of an answer apart, where they are not those of the key."""

COLUMN = {
    "project_teams": "team_id",
    "tag_values": "value",
    "issue_tag_values": "value",
    "events": "event_id",
    "issue_events": "event_id",
}
"""The column that holds it, where its name is another one."""


def own_fields(table: Table) -> tuple[str, ...]:
    return OWN.get(table.name, tuple(name for name in table.key if name not in NEEDED))


def key_fields(table: Table, row: Row) -> set[str]:
    """The fields of a row that make its key."""
    return {name for name in own_fields(table) if name in row}


def needed_fields(table: Table, row: Row) -> set[str]:
    """Fields that lead to other rows."""
    names = {"slug", "project", "projectID", "groupID", "lifetime", "hasAccess", "status", "provider"}
    return {name for name in names if name in row} if table.name in {*PARENTS, *EVENT_TABLES} else set()


def dates_of(table: Table) -> set[str]:
    return {"dateCreated", "dateReceived"} | ({table.cursor} if table.cursor else set())


def own_key(table: Table, value: Any, number: int) -> Any:
    if table.name in EVENT_TABLES:
        return f"{number + 1:04x}{str(value)[4:]}"
    return f"{value}{number + 1:03}" if str(value).isdecimal() else f"{value} made {number + 1}"


def key_of(table: Table, row: Row) -> Key | None:
    """The key as the destination has to hold it; None where there is none."""
    if own_fields(table) == ("value",) and row.get("value") is None:
        row = {**row, "value": row.get("name")}
    parts = [key_text(row.get(name)) for name in own_fields(table)]
    if table.name == "projects" and not row.get("slug"):
        return None
    is_empty_allowed = COLUMN.get(table.name) == "value"
    if is_empty_allowed or not own_fields(table):
        return tuple(part or "" for part in parts)
    if table.name == "project_environments" and parts == [""]:
        return ("",)  # old servers have an environment of that name
    return tuple(parts) if all(parts) else None


def key_text(value: Any) -> str | None:
    """A value as a text column holds it."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, (bool, list, dict)):
        return json.dumps(value)
    if isinstance(value, (int, float)) and not -(2**63) <= value < 2**63:
        return f"{Decimal(value):e}"
    text = str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", "\ufffd")


def is_loadable(table: Table, row: Row, path: str) -> bool:
    """Whether a row has to be loaded that has a key; one of another issue than asked for has not."""
    if table.name == "issue_details":
        return str(row.get("id")) == path.split("/")[-2]
    if table.name == "issues":
        return isinstance(row.get("lifetime"), dict)
    return True


# ------------------------------------------------------------------------------------------------- rounds


@dataclass
class Tally:
    """What happened over all loads."""

    inputs: int = 0
    loads: int = 0
    rejected: int = 0
    variants: int = 0
    tables: set[str] = field(default_factory=set)
    not_read: Counter[str] = field(default_factory=Counter)
    by_table: Counter[str] = field(default_factory=Counter)

    def summary(self, seed: int) -> Row:
        """The figures, for JSON."""
        return {
            "seed": seed,
            "inputs": self.inputs,
            "loads": self.loads,
            "tables": len(self.tables),
            "rejected": self.rejected,
            "variants": self.variants,
            "not_read": dict(self.not_read),
            "inputs_by_table": dict(self.by_table.most_common()),
        }


class LostError(AssertionError):
    """Something that was sent is not where it belongs."""


@dataclass(frozen=True)
class Kind:
    """What a round is like.

    Attributes:
        clones: Rows that join each row.
        is_strict: Whether answers are JSON as the standard has it.
        spoils_reading: Whether what the reading itself needs is changed as well.
        tables: What is loaded.
    """

    clones: int = 0
    is_strict: bool = False
    spoils_reading: bool = False
    tables: tuple[str, ...] = tuple(CHOSEN)


def play(seed: str, folder: Path, tally: Tally, kind: Kind) -> None:
    """Two loads of the same spoiled answers, and what has to hold after each.

    Raises:
        LostError: A row is missing, or there twice, or not where rows without key go.
    """
    spoiler = Spoiler(seed, clones=kind.clones, is_strict=kind.is_strict, spoils_reading=kind.spoils_reading)
    warehouse = Warehouse(folder, "fuzz")
    with Sandbox(world=World.build(seed=1, now=NOW, **WORLD)) as server:
        server.rewrite(spoiler.rewrite)
        for number in range(2):
            warehouse.load(server, *kind.tables, tag_keys=["browser"], sweep_interval=0)
            tally.loads += 1
            if spoiler.errors:
                raise spoiler.errors[0]
            failures = failures_of(warehouse.pipeline)
            failed = set(failures) | skipped(warehouse)
            check(warehouse, spoiler.sent, kind.tables, failed, f"load {number + 1}")
            tally.not_read.update(failed)
            for name, reasons in failures.items():
                print(f"{seed} {name}: {str(reasons)[:300]}")
    tally.inputs += len(spoiler.sent.inputs)
    tally.by_table += Counter(name for name, _ in spoiler.sent.inputs)
    tally.tables |= set(spoiler.sent.keyed)
    tally.rejected += len(rejected(warehouse))
    tally.variants += sum(
        "__v_" in column
        for table in warehouse.pipeline.default_schema.tables.values()
        for column in table["columns"]
    )


def skipped(warehouse: Warehouse) -> set[str]:
    if "_sentry_skipped" not in warehouse.tables():
        return set()
    return set(warehouse.column("SELECT table_name FROM _sentry_skipped"))


def rejected(warehouse: Warehouse, name: str | None = None) -> list[str]:
    """The rejected rows of a table, or of all, as JSON."""
    if "_sentry_rejected" not in warehouse.tables():
        return []
    chosen = f" WHERE table_name = '{name}'" if name else ""
    return [str(row) for row in warehouse.column(f"SELECT row FROM _sentry_rejected{chosen}")]


def check(warehouse: Warehouse, sent: Sent, tables: Collection[str], failed: set[str], when: str) -> None:
    """Everything that was sent is where it belongs, once; but for tables that are reported as not read."""
    problems: list[str] = []
    for name, rows in sent.keyed.items():
        if name in failed or name not in tables:
            continue
        table = TABLES[name]
        columns = [COLUMN.get(name, column_name(part)) for part in own_fields(table)]
        if columns:
            asking = [other for other in ALSO_READ_BY.get(name, [name]) if other in tables]
            found = {
                tuple(row.values())
                for other in asking
                for row in warehouse.rows(f"SELECT {', '.join(columns)} FROM {other}")
            }
            missing = [key for key in rows if key not in found]
            problems += [f"{when}: {name} lacks {key}: {json.dumps(rows[key])[:600]}" for key in missing[:2]]
        whole = ", ".join(table.key)
        doubled = warehouse.rows(f"SELECT {whole}, count(*) FROM {name} GROUP BY {whole} HAVING count(*) > 1")
        problems += [f"{when}: {name} has twice: {row}" for row in doubled[:2]]
    for name, unwanted in sent.keyless.items():
        kept = "\n".join(rejected(warehouse, name))
        lost = [mark for mark in unwanted if mark not in kept]
        if name in tables and name not in failed and lost and not (TABLES[name].only_declared and kept):
            problems.append(
                f"{when}: not among the rejected rows of {name}: {json.dumps(unwanted[lost[0]])[:600]}"
            )
    if problems:
        raise LostError("\n".join(problems))


ENVIRONMENT = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__REQUEST_BACKOFF_FACTOR": "0",
    "RUNTIME__REQUEST_MAX_ATTEMPTS": "2",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
}


def main() -> int:
    """Play rounds until enough inputs are made or the time is up.

    Returns:
        0, or 1 after a failure.
    """
    options = _options()
    os.environ |= ENVIRONMENT
    for name in ("SENTRY_AUTH_TOKEN", "SENTRY_ORG", "SENTRY_PROJECT", "SENTRY_URL"):
        os.environ.pop(name, None)
    if find_contract() is None:
        print(
            "Sentry's published OpenAPI file is not here: rows are made from the stand-in's own answers only."
        )
    tally, deadline, number = Tally(), time.monotonic() + options.minutes * 60, options.first
    while tally.inputs < options.number and time.monotonic() < deadline:
        seed = f"{options.seed}.{number}"
        try:
            one_round(seed, number, tally, clones=options.clones)
        except Exception:  # noqa: BLE001 - every failure is to be told
            traceback.print_exc()
            print(
                f"failed in round {number} of seed {options.seed}: --seed {options.seed} --first {number} --number 1"
            )
            return 1
        number += 1
        print(f"round {number}: {tally.inputs:,} inputs", flush=True)
    print(json.dumps(tally.summary(options.seed)))
    return 0


def one_round(seed: str, number: int, tally: Tally, *, clones: int) -> None:
    """One world, loaded twice, into a warehouse of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DLT_DATA_DIR"] = folder
        kind = Kind(clones=clones, is_strict=number % 2 == 0, spoils_reading=number % 4 == 3)
        play(seed, Path(folder), tally, kind)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=20_000, help="inputs")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    parser.add_argument("--first", type=int, default=0, help="the round to begin with")
    parser.add_argument("--minutes", type=float, default=30, help="no new round is begun after so many")
    parser.add_argument("--clones", type=int, default=3, help="rows that join each row")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
