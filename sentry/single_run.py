"""One run of a pipeline at a time, whose processes end with it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dlt
from filelock import FileLock, Timeout

from .errors import SentryError

LAST_WORK_SECONDS = 2
"""How long the processes of a killed run may be at work yet."""


@contextmanager
def alone(pipeline: dlt.Pipeline) -> Iterator[None]:
    """Keep a second run of the same pipeline out: dlt's working folder is made for one.

    Raises:
        SentryError: Another run is under way.
    """
    folder = Path(pipeline.pipelines_dir)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{pipeline.pipeline_name}.lock", timeout=LAST_WORK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise SentryError(
            f"Another run of pipeline {pipeline.pipeline_name} is under way. Start this one when it has ended, or "
            "set DLT_DATA_DIR to another folder for it."
        ) from None
    outer = _loads["process"]
    _loads["process"] = os.getpid()
    try:
        yield
    finally:
        _loads["process"] = outer
        lock.release()


_loads = {"process": 0}
"""The process that is loading now: those that dlt forks from it have to end with it."""

_forks = {"process": 0}
"""The process that forked last: in the one just forked its parent, though that may have been killed already."""


def end_forked_processes_with_their_parent() -> None:
    """Let each process that is forked while ``alone`` holds end with the one that holds it."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_note_parent, after_in_child=_end_with_parent)


def _note_parent() -> None:
    _forks["process"] = os.getpid()


def _end_with_parent() -> None:
    """In a process just forked: end soon after the one that loads, else it would wait for work for ever."""
    parent = _forks["process"]
    if parent != _loads["process"]:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
