"""Small programs in which exceptions really happen, are caught by `sentry-sdk` and go to a DSN.

Each one is a little job on bad input that it carries or makes from its seed: what it reports are the
failures it handles. `python -m sandbox.programs.csv_import --dsn DSN` runs one, `run_all` runs them all.
"""

import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PROGRAMS", "Program", "ProgramError", "run_all"]

AT_ONCE = 6
ENVIRONMENT = "production"
RELEASE = "shop@1.4.0"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Program:
    """A module that can be run with `python -m`, and what it does in one line."""

    module: str
    description: str

    @property
    def name(self) -> str:
        """The module's last name, `csv_import`: what `run_all` calls the program."""
        return self.module.rpartition(".")[2]


PROGRAMS = (
    Program("sandbox.programs.csv_import", "a delivery note with bad rows; a message with a fingerprint"),
    Program("sandbox.programs.order_totals", "orders that cannot be billed; chained exceptions"),
    Program("sandbox.programs.price_lookups", "suppliers asked at once; time-outs and exception groups"),
    Program("sandbox.programs.thumbnails", "damaged pictures in a thread pool; an unhandled exception"),
    Program("sandbox.programs.nightly_report", "a job that only logs; an exception of level fatal"),
    Program("sandbox.programs.ledger_retry", "payments on a locked ledger; retries as breadcrumbs"),
)


class ProgramError(RuntimeError):
    """A program did not end well or in time; the message holds what it wrote to stderr."""


def run_all(
    dsns: Mapping[str, str],
    *,
    release: str = RELEASE,
    environment: str = ENVIRONMENT,
    seeds: Sequence[int] = (1,),
    timeout: float = 60.0,
) -> int:
    """Run the programs named in `dsns`, each once per seed and each in a process of its own.

    Args:
        dsns: Program name (`csv_import`) -> the DSN its events go to.
        release: The release all events belong to.
        environment: The environment all events belong to.
        seeds: One run of each program per seed; the same seed brings the same exceptions.
        timeout: Seconds for everything together.

    Returns:
        How many events were sent, by all programs together.

    Raises:
        ValueError: `dsns` names a program that does not exist.
        ProgramError: A program ended with an error or was still running at the time-out.
    """
    modules = {program.name: program.module for program in PROGRAMS}
    if unknown := sorted(dsns.keys() - modules.keys()):
        raise ValueError(f"no such program: {', '.join(unknown)} (there are: {', '.join(modules)})")
    deadline = time.monotonic() + timeout
    shared = ["--release", release, "--environment", environment]
    runs = [
        (modules[name], ["--dsn", dsn, *shared, "--seed", str(seed)])
        for seed in seeds
        for name, dsn in dsns.items()
    ]
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        counts = [pool.submit(_run, module, arguments, deadline) for module, arguments in runs]
    return sum(count.result() for count in counts)


def _run(module: str, arguments: list[str], deadline: float) -> int:
    command = [sys.executable, "-m", module, *arguments]
    left = max(deadline - time.monotonic(), 0.0)
    try:
        done = subprocess.run(  # our own programs  # nosec B603
            command, cwd=ROOT, capture_output=True, text=True, timeout=left, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{module} was still running at the time-out") from error
    counted = re.search(r": (\d+) events sent$", done.stdout.strip())
    if done.returncode or not counted:
        raise ProgramError(f"{module} ended with status {done.returncode}:\n{done.stderr.strip()}")
    return int(counted[1])
