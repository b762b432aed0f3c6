"""Many random histories, for as long as wanted: ``python -m tests.soak --histories 5000 --processes 2``.

Each process takes seeds of its own from the one printed; a failure prints its history, shrunk, and the seed.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
import warnings

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.histories import ENVIRONMENT, Histories

BATCH = 50
"""Histories between two looks at the clock."""


def main() -> int:
    """Run the histories.

    Returns:
        0, or 1 after a failure.
    """
    options = _options()
    print(f"seed {options.seed}, {options.histories} histories, at most {options.minutes} minutes")
    deadline = time.monotonic() + options.minutes * 60
    share = -(-options.histories // options.processes)
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.processes) as pool:
        shares = [
            (options.seed + 1_000_000 * number, share, deadline, options.steps)
            for number in range(options.processes)
        ]
        results = pool.starmap(soak, shares)
    done, failures = sum(result[0] for result in results), [text for result in results for text in result[1]]
    print("\n\n".join(failures))
    print(f"{done} histories, {len(failures)} failures, seed {options.seed}")
    return 1 if failures else 0


def soak(first_seed: int, histories: int, deadline: float, steps: int) -> tuple[int, list[str]]:
    """Run histories until they are done, the time is up, or one failed; returns how many, and the failure."""
    warnings.simplefilter("ignore")
    os.environ |= ENVIRONMENT
    gc.freeze()
    done = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DLT_DATA_DIR"] = folder
        while done < histories and time.monotonic() < deadline:
            number, batch = first_seed + done, min(BATCH, histories - done)
            try:
                machine = seed(number)(type("Histories", (Histories,), {}))
                run_state_machine_as_test(machine, settings=_settings(batch, steps))
            except BaseException:  # noqa: BLE001 - every failure is to be told
                return done, [f"seed {number}\n{traceback.format_exc()}"]
            done += batch
    return done, []


def _settings(histories: int, steps: int) -> settings:
    return settings(
        max_examples=histories,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=5000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
