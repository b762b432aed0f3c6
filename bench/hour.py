"""`python -m bench.hour`: events arrive all the time, and a worker loads them run after run: rows, memory, lag.

Its last line is JSON: events that arrived in the destination per hour, seconds of the runs, memory early and late.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

from .figures import Figures
from .place import Place, check, place
from .setup import Setup
from .stand_in import ROOT

STEP = 5.0
"""Seconds between two arrivals of events at the server."""

AGE = 180
"""Events are up to so many seconds old when they arrive, and at least two minutes: all of them come late."""

OUR_FILE = "sentry.duckdb"


def main() -> int:
    """Run the command line.

    Returns:
        0 when the destination held every event at the end, once.
    """
    parser = argparse.ArgumentParser(prog="bench.hour", description="Steady load for a long time.")
    parser.add_argument("--minutes", type=float, default=60, help="how long events arrive")
    parser.add_argument("--per-hour", type=int, default=60_000, help="how many events arrive in an hour")
    parser.add_argument("--pause", type=float, default=20, help="seconds between two runs")
    given = parser.parse_args()
    with place(Setup(events=1_000, issues=200)) as here:
        here.give_shipped_settings()
        runs = _load_while_events_arrive(here, given.minutes, given.per_hour, given.pause)
        figures = here.rows(OUR_FILE)
        check(figures, here.server.ask("truth"), "events", "tags")
    _say(runs, figures, given.minutes)
    return 0


def _load_while_events_arrive(here: Place, minutes: float, per_hour: int, pause: float) -> list[Figures]:
    environment = {
        **os.environ,
        **here.server.access,
        "PYTHONPATH": str(ROOT),
        "DLT_DATA_DIR": str(here.folder / "dlt"),
    }
    worker = subprocess.Popen(  # noqa: S603 - our own program  # nosec B603
        [sys.executable, "-m", "bench.programs.steady", str(pause)],
        cwd=here.folder, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    runs: list[Figures] = []
    reader = threading.Thread(target=lambda: runs.extend(map(_told, worker.stdout or ())))
    reader.start()
    _let_events_arrive(here, minutes, per_hour)
    if worker.stdin:
        worker.stdin.close()
    reader.join()
    if worker.wait():
        raise RuntimeError(f"The worker ended with {worker.returncode} after {len(runs)} runs.")
    return runs


def _told(line: str) -> Figures:
    sys.stderr.write(line)
    figures: Figures = json.loads(line)
    return figures


def _let_events_arrive(here: Place, minutes: float, per_hour: int) -> None:
    started, arrived = time.monotonic(), 0
    while (passed := time.monotonic() - started) < minutes * 60:
        due = round(per_hour * passed / 3600)
        here.server.ask(f"add {due - arrived} {AGE}")
        arrived = due
        here.server.ask("clear")  # else the list of requests grows
        time.sleep(STEP)


def _say(runs: list[Figures], rows: Figures, minutes: float) -> None:
    part = max(1, len(runs) // 6)
    early, late = runs[part : 2 * part], runs[-part:]
    said: dict[str, Any] = {
        "minutes": minutes,
        "runs": len(runs),
        "events": rows["events"],
        "events_per_hour": round(rows["events"] / minutes * 60),
        "median_seconds_of_a_run": round(statistics.median(run["seconds"] for run in runs), 1),
        "memory_mb_early": round(statistics.median(run["memory"] for run in early or runs) / 1e6),
        "memory_mb_late": round(statistics.median(run["memory"] for run in late) / 1e6),
    }
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    sys.exit(main())
