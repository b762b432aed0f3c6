"""Ours, end to end into DuckDB: the script itself, `sentry_pipeline.py`, with projects, issues and events."""

from __future__ import annotations

import sys
import time

import sentry_pipeline

from ..figures import say


def main() -> None:
    """Run it with the arguments given, and tell how long it took without Python's own start."""
    arguments = ["--resources", "projects", "issues", "events", "--progress", "none", *sys.argv[1:]]
    started = time.perf_counter()
    status = sentry_pipeline.main(arguments)
    say(seconds=time.perf_counter() - started)
    sys.exit(status)


if __name__ == "__main__":
    main()
