"""Ours, extraction alone: projects, issues and events, settings as they are shipped and in the environment.

With `--arrivals` events are noted as they come; with `--mid-minute` the clock starts in the middle of a minute.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import dlt

from sentry import sentry_source
from sentry.tuning import prepare_dlt

from ..arrivals import Arrivals, wait_for_mid_minute
from ..figures import say


def main() -> None:
    """Extract, and tell how long it took and how many events it brought."""
    prepare_dlt()
    pipeline = dlt.pipeline("sentry", destination="duckdb", dataset_name="sentry_data")
    source = sentry_source().with_resources("projects", "issues", "events")
    arrivals = Arrivals()

    def note(event: dict[str, Any]) -> dict[str, Any]:
        arrivals.note(1)
        return event

    if "--arrivals" in sys.argv:
        source.events.add_map(note)
    if "--mid-minute" in sys.argv:
        wait_for_mid_minute()
    arrivals.start()
    started = time.perf_counter()
    info = pipeline.extract(source)
    seconds = time.perf_counter() - started
    metrics = [step["table_metrics"] for steps in info.metrics.values() for step in steps]
    say(
        extraction_seconds=seconds,
        events=sum(tables["events"].items_count for tables in metrics if "events" in tables),
        arrivals=arrivals.by_second,
    )


if __name__ == "__main__":
    main()
