"""`python -m bench`: measure everything, or some parts, and write RESULTS.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .arms import ARMS, SMALL
from .figures import Figures
from .report import INTRODUCTIONS, arms_of, write_report
from .results import FOLDER, Results
from .stand_in import ROOT


def main() -> int:
    """Run the command line.

    Returns:
        0 when all was measured, whether or not the bars are met; 1 when an arm failed.
    """
    parser = argparse.ArgumentParser(prog="bench", description="How fast the source is.")
    parser.add_argument(
        "--only", nargs="+", choices=INTRODUCTIONS, help="these parts; other results are kept"
    )
    parser.add_argument(
        "--small", action="store_true", help=f"a rehearsal: a {SMALL}th of the events, nothing kept"
    )
    given = parser.parse_args()
    arms = [arm for part in given.only or INTRODUCTIONS for arm in arms_of(part)]
    try:
        if given.small:
            rehearse(arms)
        else:
            measure(arms)
    except subprocess.CalledProcessError as failure:
        sys.stderr.write(f"{' '.join(failure.cmd[1:])} failed: see above.\n")
        return 1
    return 0


def rehearse(arms: list[str]) -> None:
    """Run arms with few events, and draw and write what comes of it into a folder that goes."""
    results = Results()
    for arm in arms:
        results.note(arm, run(arm, "--small"))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        write_report(results, Path(folder))


def measure(arms: list[str]) -> None:
    """Measure arms, keep the figures, write the report and say which bars are met."""
    results = Results.read(FOLDER)
    for arm in arms:
        results.note(arm, run(arm))
        results.write(FOLDER)
    for bar in write_report(results, FOLDER):
        sys.stdout.write(
            f"{'met' if bar.met else 'NOT MET':8} ({bar.part}) {bar.measured} {bar.what} ({bar.asked})\n"
        )


def run(arm: str, *options: str) -> Figures:
    """Run an arm as a process of its own, so that nothing of ours weighs on it.

    Raises:
        CalledProcessError: It failed.
    """
    sys.stderr.write(f"{arm}: {ARMS[arm].what}\n")
    started = time.perf_counter()
    command = [sys.executable, "-m", "bench.arms", arm, *options]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - ours  # nosec B603
    sys.stderr.write(f"{arm}: done in {time.perf_counter() - started:.0f} s\n")
    figures: Figures = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    sys.exit(main())
