"""RESULTS.md: ratios first, then the figures behind them, each with its command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from pathlib import Path

from .arms import ARMS
from .bars import MB, Bar, bars_of, events_per_second, requests_per_second
from .figures import Figures
from .pictures import draw_growth, draw_saas
from .results import Results

PICTURES: dict[str, tuple[str, Callable[[Results, Path], None]]] = {
    "a": ("saas.png", draw_saas),
    "d": ("growth.png", draw_growth),
}

HEAD = """\
# Benchmarks

Measured by `make bench` against the stand-in Sentry of this repository, which runs as a process of its own on the
same machine; each arm is a process of its own, too, with a fresh server. Ratios hold on other machines, absolute
figures do not. One part alone: `python -m bench --only b`; one arm alone: the command beside its figures.
"""

INTRODUCTIONS = {
    "a": """\
## (a) Under the limits of sentry.io

The server counts as sentry.io does and refuses what is too much. 3 projects, 300 issues, 6,000 full events. The
other way is the obvious one: the pages of each project, 10 events each, one request at a time, 60 a minute; its
client waits as the headers say, so that none of its requests is refused. Timed is extraction, from the middle of
a minute (sentry.io counts by clock minutes; a start at their end would give the pages a second allowance at
once). The last few events of the pages wait for another minute, hence also the second in which 99% were there.
The budget used is what ours sent to the events of issues, the listing its plan rests on, by what that limit (15 a
second) allows in the seconds of extraction.
""",
    "b": """\
## (b) Without limits, as on a self-hosted server

3 projects, 1,000 issues, 20,000 full events at 10 a page; each request takes 50 ms or 0 ms besides its work. Ours
sends 8 requests at once (`max_parallel=8`) and also loads projects and issues. The floor is a program without dlt
(`bench/programs/floor.py`): 8 connections, all pages known in advance, straight into the same two tables, all of
it in memory. Stock dlt is its `rest_api` source on the same endpoints with dlt's defaults and a paginator that
ends; it reads the newest twentieth, as all of it would take many minutes and tens of GB. The floor's extraction
ends when all pages are parsed and in Arrow tables. End to end means into DuckDB, without Python's own start; ours
is the script with the settings it comes with. Ours and the floor have been checked to hold each event and each
tag of the server.
""",
    "c": """\
## (c) Later runs

20 projects, 1,000 issues, 20,000 full events over 60 days, no limits. After the first load a run with nothing
new, then, 14.4 hours later by the server's clock, one with 1 % more events, spread over all projects. Each run is
the script with projects, issues and events, timed without Python's own start.
""",
    "d": """\
## (d) Growth

The script as users run it, `sentry_pipeline.py --resources projects issues events --start-date ...`: 30 days of
history in chunks, full events, 20 to an issue, no limits, no latency. Seconds are those of the whole process.
""",
}


def write_report(results: Results, folder: Path) -> list[Bar]:
    """Write RESULTS.md and its pictures for all parts whose arms have all been measured.

    Returns:
        Their bars.
    """
    parts = [part for part in INTRODUCTIONS if all(arm in results for arm in arms_of(part))]
    bars = [bar for part in parts for bar in bars_of(part, results)]
    sections = [HEAD, *(f"* {origin}" for origin in results.origins), "", _table_of(bars)]
    for part in parts:
        sections += [INTRODUCTIONS[part], TABLES[part](results)]
        if part in PICTURES:
            name, draw = PICTURES[part]
            draw(results, folder / name)
            sections.append(f"![{ALT_TEXTS[part]}]({name})\n")
    (folder / "RESULTS.md").write_text("\n".join(sections))
    return bars


ALT_TEXTS = {
    "a": "Events read by seconds since the start, for this source and for project pages alone",
    "d": "Seconds and peak memory by number of events loaded",
}


def arms_of(part: str) -> list[str]:
    """The arms of a part."""
    return [name for name, arm in ARMS.items() if arm.part == part]


def _table_of(bars: Iterable[Bar]) -> str:
    rows = [
        (f"({bar.part})", bar.what, bar.measured, bar.asked, "met" if bar.met else "**not met**")
        for bar in bars
    ]
    return table(("", "Compared", "Measured", "Asked", ""), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first two are numbers, set to the right."""
    rule = ["---" if place < 2 else "---:" for place in range(len(head))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *rows))


def _saas(results: Results) -> str:
    head = ("Arm", "Command", "Seconds", "99% of events after", "Events/s", "Requests", "429")
    return table(
        head,
        (
            (
                ARMS[arm].what,
                command(arm),
                f"{results[arm]['extraction_seconds']:,.1f}",
                f"{_nearly_all_after(results[arm]):,} s",
                f"{events_per_second(results[arm]):,.1f}",
                _requests(results[arm]),
                f"{results[arm]['refused']:,}",
            )
            for arm in arms_of("a")
        ),
    )


def _nearly_all_after(figures: Figures) -> int:
    """The second in which 99% of the events were there."""
    come = accumulate(figures["arrivals"])
    return next(second for second, count in enumerate(come, 1) if count >= 0.99 * figures["events"])


def _requests(figures: Figures) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(figures["requests_by_kind"].items()))
    return f"{figures['requests']:,} ({kinds})"


def _unlimited(results: Results) -> str:
    head = (
        "Arm",
        "Command",
        "Events",
        "Extraction, s",
        "Requests",
        "Requests/s",
        "End to end, s",
        "Events/s",
        "CPU, s",
        "Peak memory",
    )
    return table(head, ((ARMS[arm].what, command(arm), *_throughput(results[arm])) for arm in arms_of("b")))


def _throughput(figures: Figures) -> list[str]:
    is_split = "extraction_seconds" in figures
    return [
        f"{figures['events']:,}",
        f"{figures['extraction_seconds']:,.1f}" if is_split else "",
        f"{figures['requests']:,}",
        f"{requests_per_second(figures):,.0f}" if is_split else "",
        f"{figures['seconds']:,.1f}" if "seconds" in figures else "",
        f"{events_per_second(figures):,.0f}",
        f"{figures['cpu_seconds']:,.1f}",
        _memory(figures),
    ]


def _memory(figures: Figures) -> str:
    return f"{figures['peak_memory'] / MB:,.0f} MB"


def _later(results: Results) -> str:
    figures = results["later-runs"]
    names = {
        "first": "first load",
        "nothing_new": "nothing new",
        "some_new": f"{figures['new_events']:,} new events",
    }
    return table(
        ("Run", "Command", "Seconds", "Requests"),
        (
            (what, command("later-runs"), f"{figures[name]['seconds']:,.1f}", _requests(figures[name]))
            for name, what in names.items()
        ),
    )


def _growth(results: Results) -> str:
    head = ("Arm", "Command", "Seconds", "Events/s", "Requests", "CPU, s", "Peak memory")
    return table(
        head,
        (
            (
                ARMS[arm].what,
                command(arm),
                f"{results[arm]['process_seconds']:,.1f}",
                f"{results[arm]['events'] / results[arm]['process_seconds']:,.0f}",
                f"{results[arm]['requests']:,}",
                f"{results[arm]['cpu_seconds']:,.1f}",
                _memory(results[arm]),
            )
            for arm in arms_of("d")
        ),
    )


TABLES: dict[str, Callable[[Results], str]] = {"a": _saas, "b": _unlimited, "c": _later, "d": _growth}


def command(arm: str) -> str:
    """How an arm is run alone."""
    return f"`python -m bench.arms {arm}`"
