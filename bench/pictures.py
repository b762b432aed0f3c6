"""The two pictures: how fast events come under Sentry's limits, and how a load grows."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .bars import MB
from .results import Results

OURS, OTHER = "#362d59", "#e1567c"
ASKED: dict[str, Any] = {"color": "#8a8a8a", "linestyle": "--", "linewidth": 1.3}
GROWTH = ("growth-5000", "growth-20000", "growth-80000")

mpl.rcParams.update(
    {
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e6e6e6",
        "savefig.dpi": 150,
    }
)


def draw_saas(results: Results, file: Path) -> None:
    """Events that have come, by seconds since the start, for both ways of reading."""
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    axes = figure.subplots()
    for arm, name, color, right in (
        ("saas-ours", "this source", OURS, False),
        ("saas-pages-alone", "project pages alone", OTHER, True),
    ):
        figures = results[arm]
        total, seconds = figures["events"], figures["extraction_seconds"]
        come = [0, *accumulate(figures["arrivals"]), total]
        axes.plot([*range(len(come) - 1), seconds], come, color=color, linewidth=2.2)
        axes.annotate(
            f"{name}: {seconds:,.0f} s",
            (seconds, total),
            xytext=(-6 if right else 8, 8),
            textcoords="offset points",
            color=color,
            ha="right" if right else "left",
            fontweight="bold",
        )
    axes.set_title("Full events read under the rate limits of sentry.io", loc="left", pad=18)
    axes.set_xlabel("seconds since the start of extraction")
    axes.set_ylabel("events read")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(left=0)
    axes.set_ylim(0, results["saas-ours"]["events"] * 1.12)
    figure.savefig(file)


def draw_growth(results: Results, file: Path) -> None:
    """Seconds and peak memory of the script, by events loaded."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    figures = [results[arm] for arm in GROWTH]
    events = [one["events"] for one in figures]
    seconds = [one["process_seconds"] for one in figures]
    memory = [one["peak_memory"] / MB for one in figures]
    left.plot(
        [0, events[-1]],
        [0, seconds[1] / events[1] * events[-1]],
        **ASKED,
        label="seconds per event as at 20,000",
    )
    _line(left, events, seconds, "{:,.0f} s")
    left.set_title("Time, Python's start included", loc="left")
    left.set_ylabel("seconds")
    left.set_ylim(0, max(seconds) * 1.15)
    right.axhline(600, **ASKED, label="asked: below 600 MB")
    _line(right, events, memory, "{:,.0f} MB")
    right.set_title("Peak memory", loc="left")
    right.set_ylabel("MB")
    right.set_ylim(0, max(680, *(1.15 * value for value in memory)))
    for axes in (left, right):
        axes.legend(loc="lower right", frameon=False)
    figure.savefig(file)


def _line(axes: Axes, events: list[int], values: list[float], label: str) -> None:
    axes.plot(events, values, color=OURS, marker="o", linewidth=2.2)
    for count, value in zip(events, values, strict=True):
        axes.annotate(
            label.format(value),
            (count, value),
            xytext=(9, -13),
            textcoords="offset points",
            color=OURS,
            fontweight="bold",
        )
    axes.set_xlabel("full events loaded")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(0, events[-1] * 1.18)
