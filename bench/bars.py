"""What is asked of the source, and whether the figures meet it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .figures import Figures
from .results import Results

ISSUE_EVENTS_PER_SECOND = 15
"""What sentry.io allows on the events of issues, the bucket that the plan rests on."""

MB = 1_000_000


@dataclass(frozen=True)
class Bar:
    """One thing asked.

    Attributes:
        part: The part of the suite: a, b, c or d.
        what: What is compared.
        measured: The figure, as it is shown.
        asked: What it should be, as it is shown.
        met: Whether it is so.
    """

    part: str
    what: str
    measured: str
    asked: str
    met: bool


def bars_of(part: str, results: Results) -> list[Bar]:
    """The bars of a part whose arms have all been measured."""
    return list({"a": _saas, "b": _unlimited, "c": _later, "d": _growth}[part](results))


def _saas(results: Results) -> Iterator[Bar]:
    ours, alone = results["saas-ours"], results["saas-pages-alone"]
    faster = alone["extraction_seconds"] / ours["extraction_seconds"]
    yield Bar("a", "times as fast as project pages alone", f"{faster:.1f} x", ">= 8 x", faster >= 8)
    refused = ours["refused"] / ours["requests"]
    yield Bar("a", "requests refused (429)", f"{refused:.1%}", "<= 1%", refused <= 0.01)
    used = budget_used(ours)
    yield Bar("a", "of the budget for events of issues used", f"{used:.0%}", ">= 85%", used >= 0.85)


def budget_used(ours: Figures) -> float:
    """Requests sent to the bucket that the plan rests on, by what it allows in the seconds of extraction."""
    sent: int = ours["requests_by_kind"].get("issue events", 0)
    return sent / (ISSUE_EVENTS_PER_SECOND * float(ours["extraction_seconds"]))


def _unlimited(results: Results) -> Iterator[Bar]:
    share = requests_per_second(results["extract-50ms"]) / requests_per_second(results["floor-50ms"])
    yield Bar(
        "b", "of the floor's requests per second, extraction, 50 ms", f"{share:.0%}", ">= 90%", share >= 0.9
    )
    for latency, asked in (("50ms", 0.45), ("0ms", 0.30)):
        ours = events_per_second(results[f"load-{latency}"])
        share = ours / events_per_second(results[f"floor-{latency}"])
        what = f"of the floor's events per second, end to end, {latency.replace('ms', ' ms')}"
        yield Bar("b", what, f"{share:.0%}", f">= {asked:.0%}", share >= asked)
    for latency in ("50ms", "0ms"):
        ours = events_per_second(results[f"load-{latency}"])
        faster = ours / events_per_second(results[f"stock-{latency}"])
        what = f"times the events per second of stock dlt, end to end, {latency.replace('ms', ' ms')}"
        yield Bar("b", what, f"{faster:.1f} x", ">= 10 x", faster >= 10)


def requests_per_second(figures: Figures) -> float:
    """In extraction."""
    return float(figures["requests"] / figures["extraction_seconds"])


def events_per_second(figures: Figures) -> float:
    """End to end, or in extraction where that is all there was."""
    return float(figures["events"] / figures.get("seconds", figures.get("extraction_seconds")))


def _later(results: Results) -> Iterator[Bar]:
    figures = results["later-runs"]
    idle, busy = figures["nothing_new"]["requests"], figures["some_new"]["requests"]
    most = 1.3 * figures["pages"] + 10
    yield Bar("c", "requests of a run with nothing new", f"{idle}", "<= 6", idle <= 6)
    what = f"requests of a run with 1 % new, on {figures['pages']} pages"
    yield Bar("c", what, f"{busy}", f"<= 1.3 x {figures['pages']} + 10 = {most:.0f}", busy <= most)


def _growth(results: Results) -> Iterator[Bar]:
    at_20, at_80 = (results[f"growth-{events}"] for events in (20_000, 80_000))
    slower = (at_80["process_seconds"] / at_80["events"]) / (at_20["process_seconds"] / at_20["events"])
    yield Bar(
        "d", "seconds per event, 80,000 by 20,000 events", f"{slower:.2f} x", "<= 1.20 x", slower <= 1.2
    )
    peak = at_80["peak_memory"] / MB
    yield Bar("d", "peak memory at 80,000 events", f"{peak:.0f} MB", "< 600 MB", peak < 600)
