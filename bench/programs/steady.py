"""The script again and again in one process, as a worker runs it, until its standard input ends.

It prints a line of JSON after each run: its seconds, and the memory of the process and its children then, in bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import threading
import time

import psutil

import sentry_pipeline

ARGUMENTS = ["--resources", "projects", "issues", "events", "--progress", "none"]


def main() -> None:
    """Run until told to stop, and once more then: what came last is loaded too."""
    is_over = threading.Event()
    threading.Thread(target=_wait_for_the_end, args=(is_over,), daemon=True).start()
    pause = float(sys.argv[1])
    last = False
    while not last:
        last = is_over.wait(pause)
        started = time.perf_counter()
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            status = sentry_pipeline.main(ARGUMENTS)
        if status:
            sys.exit(told.getvalue())
        memory = psutil.Process().memory_full_info()
        seconds = time.perf_counter() - started
        sys.stdout.write(json.dumps({"seconds": seconds, "memory": memory.pss}) + "\n")
        sys.stdout.flush()


def _wait_for_the_end(is_over: threading.Event) -> None:
    os.read(0, 1)  # sys.stdin would be locked meanwhile, and processes that dlt starts close it
    is_over.set()


if __name__ == "__main__":
    main()
