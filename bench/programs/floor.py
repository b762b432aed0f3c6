"""The floor: what can be done without dlt, by eight threads that know all pages in advance.

Writes `events`, nested fields as JSON, and `events__tags`, one row per tag, into `floor.duckdb`.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import duckdb
import orjson
import pyarrow as pa  # type: ignore[import-untyped]
import requests

from ..figures import say

CONNECTIONS = 8
PAGE = 10
TEXTS = [
    "id",
    "groupID",
    "eventID",
    "projectID",
    "dist",
    "message",
    "title",
    "location",
    "type",
    "platform",
    "crashFile",
    "culprit",
]
DOCUMENTS = [
    "entries",
    "user",
    "contexts",
    "sdk",
    "context",
    "packages",
    "metadata",
    "errors",
    "occurrence",
    "_meta",
    "fingerprints",
    "groupingConfig",
]
TIMES = ["dateCreated", "dateReceived"]
EVENTS = pa.schema([*((name, pa.string()) for name in TEXTS + DOCUMENTS + TIMES), ("size", pa.int64())])
TAGS = pa.schema([(name, pa.string()) for name in ("eventID", "key", "value", "query")])

of_thread = threading.local()


def fetch(page: tuple[str, int]) -> tuple[pa.Table, pa.Table]:
    """The events of a page and their tags."""
    project, offset = page
    if not hasattr(of_thread, "session"):
        of_thread.session = requests.Session()
        of_thread.session.headers["Authorization"] = f"Bearer {os.environ['SENTRY_AUTH_TOKEN']}"
    url = f"{os.environ['SENTRY_URL']}/api/0/projects/{os.environ['SENTRY_ORG']}/{project}/events/"
    response = of_thread.session.get(url, params={"full": "true", "cursor": f"0:{offset}:0"})
    response.raise_for_status()
    events = orjson.loads(response.content)
    tags = [{**tag, "eventID": event["eventID"]} for event in events for tag in event.pop("tags")]
    for event in events:
        event.update({name: orjson.dumps(event[name]).decode() for name in DOCUMENTS})
    return pa.Table.from_pylist(events, EVENTS), pa.Table.from_pylist(tags, TAGS)


def load(events: Iterable[pa.Table], tags: Iterable[pa.Table]) -> None:
    """Write both tables."""
    connection = duckdb.connect("floor.duckdb")
    connection.execute("CREATE SCHEMA sentry_data")
    connection.execute("USE sentry_data")
    connection.register("fetched_events", pa.concat_tables(events))
    connection.register("fetched_tags", pa.concat_tables(tags))
    casts = ", ".join(
        [f"{name}::JSON AS {name}" for name in DOCUMENTS]
        + [f"{name}::TIMESTAMPTZ AS {name}" for name in TIMES]
    )
    connection.execute(f"CREATE TABLE events AS SELECT * REPLACE ({casts}) FROM fetched_events")  # noqa: S608
    connection.execute("CREATE TABLE events__tags AS SELECT * FROM fetched_tags")
    connection.close()


def main() -> None:
    """Read and load everything; the argument says how many events each project has."""
    counts: dict[str, int] = orjson.loads(sys.argv[1])
    pages = [(project, offset) for project, count in counts.items() for offset in range(0, count, PAGE)]
    started = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        fetched = list(pool.map(fetch, pages))
    extracted = time.perf_counter()
    load((events for events, _ in fetched), (tags for _, tags in fetched))
    say(extraction_seconds=extracted - started, seconds=time.perf_counter() - started)


if __name__ == "__main__":
    main()
