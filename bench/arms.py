"""What is measured: every arm alone is `python -m bench.arms NAME`, and prints its figures as a line of JSON."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any

from .figures import Figures
from .place import check, place
from .setup import Setup
from .stand_in import ROOT

SMALL = 50
"""A rehearsal has a fiftieth of the events."""

EVENTS_PER_ISSUE = 20
"""Issues grow with events."""

STOCK_SHARE = 20
"""Stock dlt reads the newest twentieth of the time, and needs a minute and 8 GB of memory for it."""

SECONDS_NEW = 51_840
"""A hundredth of 60 days, in which a hundredth of the events is added."""

EIGHT_AT_ONCE = MappingProxyType({"SOURCES__SENTRY__MAX_PARALLEL": "8"})
"""As many requests at once as the floor has connections."""

OUR_FILE = "sentry.duckdb"
"""Where the script loads to."""

PAGE, ISSUES_PAGE = 10, 100
"""Full events and issues on a page."""

Measure = Callable[[int], Figures]
"""Runs an arm; the number divides how much is read."""


@dataclass(frozen=True)
class Arm:
    """Something that is measured.

    Attributes:
        part: The part of the suite that it belongs to: a, b, c or d.
        what: What it is, for the report.
        measure: Runs it.
    """

    part: str
    what: str
    measure: Measure


# (a) The limits of sentry.io

SAAS = Setup(events=6_000, issues=300, saas=True)


def saas_ours(divisor: int) -> Figures:
    """Our extraction with default settings."""
    with place(SAAS.divided(divisor)) as here:
        here.give_shipped_settings()
        figures = here.run("-m", "bench.programs.extract", "--arrivals", *_mid_minute(divisor))
        return check(figures, here.server.ask("truth"), "events")


def saas_pages_alone(divisor: int) -> Figures:
    """A plain client that reads project pages one by one."""
    with place(SAAS.divided(divisor)) as here:
        figures = here.run("-m", "bench.programs.pages_alone", *_mid_minute(divisor))
        return check(figures, here.server.ask("truth"), "events")


def _mid_minute(divisor: int) -> list[str]:
    return ["--mid-minute"] if divisor == 1 else []


# (b) A server without limits

UNLIMITED = Setup(events=20_000, issues=20_000 // EVENTS_PER_ISSUE)


def extract_ours(divisor: int, latency: float) -> Figures:
    """Our extraction, eight requests at once."""
    with place(replace(UNLIMITED.divided(divisor), latency=latency)) as here:
        here.give_shipped_settings()
        figures = here.run("-m", "bench.programs.extract", settings=EIGHT_AT_ONCE)
        return check(figures, here.server.ask("truth"), "events")


def load_ours(divisor: int, latency: float) -> Figures:
    """The script, end to end, eight requests at once."""
    with place(replace(UNLIMITED.divided(divisor), latency=latency)) as here:
        here.give_shipped_settings()
        figures = here.run("-m", "bench.programs.load", settings=EIGHT_AT_ONCE) | here.rows(OUR_FILE)
        return check(figures, here.server.ask("truth"), "events", "tags")


def floor(divisor: int, latency: float) -> Figures:
    """The program without dlt, which is told how many events each project has."""
    with place(replace(UNLIMITED.divided(divisor), latency=latency)) as here:
        truth = here.server.ask("truth")
        figures = here.run("-m", "bench.programs.floor", json.dumps(truth["by_project"]))
        return check(figures | here.rows("floor.duckdb"), truth, "events", "tags")


def stock(divisor: int, latency: float) -> Figures:
    """Stock dlt, with the newest twentieth of the events."""
    with place(replace(UNLIMITED.divided(divisor), latency=latency)) as here:
        end = datetime.now(UTC)
        start = end - timedelta(days=UNLIMITED.days) / STOCK_SHARE
        moments = [moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (start, end)]
        figures = here.run("-m", "bench.programs.stock", *moments)
        return figures | here.rows("stock.duckdb")


# (c) Later runs

LATER = Setup(events=20_000, issues=20_000 // EVENTS_PER_ISSUE, projects=20, days=60, behind=SECONDS_NEW)


def later_runs(divisor: int) -> Figures:
    """A first load, one with nothing new, and one with a hundredth more events.

    The server's clock begins in the past: events that are in the future of our own clock would not be read.
    """
    with place(LATER.divided(divisor)) as here:
        here.give_shipped_settings()
        load = partial(here.run, "-m", "bench.programs.load")
        first, nothing_new = load(), load()
        here.server.ask(f"advance {SECONDS_NEW}")
        added = here.server.ask(f"add {LATER.events // 100 // divisor} {SECONDS_NEW}")
        some_new = load()
        check(here.rows(OUR_FILE), here.server.ask("truth"), "events", "tags")
        pages = sum(math.ceil(count / PAGE) for count in added["by_project"].values())
        return {
            "first": first,
            "nothing_new": nothing_new,
            "some_new": some_new,
            "new_events": sum(added["by_project"].values()),
            "pages": pages + math.ceil(added["issues"] / ISSUES_PAGE),
        }


# (d) Growth


def growth(divisor: int, events: int) -> Figures:
    """The script as a process, its start included, over 30 days of history."""
    setup = Setup(events=events, issues=events // EVENTS_PER_ISSUE, days=30)
    with place(setup.divided(divisor)) as here:
        here.give_shipped_settings()
        start = (datetime.now(UTC) - timedelta(days=setup.days + 1)).strftime("%Y-%m-%d")
        options = ["--resources", "projects", "issues", "events", "--start-date", start]
        figures = here.run(str(ROOT / "sentry_pipeline.py"), *options) | here.rows(OUR_FILE)
        return check(figures, here.server.ask("truth"), "events", "tags")


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "saas-ours": Arm("a", "ours, extraction, default settings", saas_ours),
        "saas-pages-alone": Arm("a", "project pages alone, one request at a time", saas_pages_alone),
        "extract-50ms": Arm("b", "ours, extraction, 50 ms", partial(extract_ours, latency=0.05)),
        "load-50ms": Arm("b", "ours, end to end, 50 ms", partial(load_ours, latency=0.05)),
        "floor-50ms": Arm("b", "the floor, 50 ms", partial(floor, latency=0.05)),
        "stock-50ms": Arm("b", "stock dlt, 50 ms", partial(stock, latency=0.05)),
        "extract-0ms": Arm("b", "ours, extraction, 0 ms", partial(extract_ours, latency=0.0)),
        "load-0ms": Arm("b", "ours, end to end, 0 ms", partial(load_ours, latency=0.0)),
        "floor-0ms": Arm("b", "the floor, 0 ms", partial(floor, latency=0.0)),
        "stock-0ms": Arm("b", "stock dlt, 0 ms", partial(stock, latency=0.0)),
        "later-runs": Arm("c", "a first load and two later runs", later_runs),
        "growth-5000": Arm("d", "the script, 5,000 events", partial(growth, events=5_000)),
        "growth-20000": Arm("d", "the script, 20,000 events", partial(growth, events=20_000)),
        "growth-80000": Arm("d", "the script, 80,000 events", partial(growth, events=80_000)),
    }
)


def main() -> None:
    """Run one arm."""
    parser = argparse.ArgumentParser(prog="bench.arms", description="Measure one arm of the benchmarks.")
    parser.add_argument("arm", choices=ARMS)
    parser.add_argument("--small", action="store_true", help=f"with a part of the events, one in {SMALL}")
    given = parser.parse_args()
    figures: dict[str, Any] = ARMS[given.arm].measure(SMALL if given.small else 1)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
