"""How a program is run: in a folder and an environment of its own, with its peak memory and its seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

import psutil

from .figures import Figures, heard
from .stand_in import ROOT, StandIn

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""``ru_maxrss`` is in bytes on macOS, in units of 1,024 on Linux."""


class Peak:
    """The most memory that a process and its children had together, looked at four times a second.

    Attributes:
        bytes: What they share counts once.
    """

    def __init__(self, pid: int) -> None:
        """Watch until it ends."""
        self.bytes = 0
        threading.Thread(target=self._watch, args=(pid,), daemon=True).start()

    def _watch(self, pid: int) -> None:
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(pid)
            while True:
                self.bytes = max(self.bytes, sum(map(_share, [first, *first.children(recursive=True)])))
                time.sleep(0.25)


def _share(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # it has just ended; a zombie is denied
        return 0
    return int(getattr(memory, "pss", memory.uss))


def run_program(
    arguments: Sequence[str], server: StandIn, folder: Path, settings: Mapping[str, str] | None = None
) -> Figures:
    """Run Python with these arguments to its end.

    Args:
        arguments: What Python is to run.
        server: The server that it finds in its environment.
        folder: Where it works.
        settings: More of its environment; nothing else of ours goes along.

    Returns:
        What it told, and ``process_seconds``, ``cpu_seconds`` and ``peak_memory``.

    Raises:
        RuntimeError: It failed.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "DLT_DATA_DIR": str(folder / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        **server.access,
        **(settings or {}),
    }
    with TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own programs  # nosec B603
            [sys.executable, *arguments], cwd=folder, env=environment, stdout=output, stderr=output
        )
        peak = Peak(process.pid)
        _, status, usage = os.wait4(process.pid, 0)  # its own usage, not that of all our children
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}:\n{output.read()}")
    return {
        "process_seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory": max(usage.ru_maxrss * RSS_UNIT, peak.bytes),
        **heard(folder),
    }
