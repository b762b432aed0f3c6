"""Loads from a server of which each request may fail, compared with the truth: ``python -m tests.faults --runs 50``.

Seeds and settings are random; a failure prints what makes it happen again. The last line is JSON: runs, failures,
requests, and how many faults of each kind were survived.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sandbox import Faults, Sandbox, Switches, World
from sandbox.faults import HARMLESS, TRANSIENT
from sentry import DEFAULT_TABLES, TABLES, failures_of
from tests.conftest import SMALL
from tests.test_catalogue import TAG_KEYS, compare
from tests.warehouse import Warehouse

PROBABILITY = 0.05

REQUEST_TIMEOUT = 0.5
"""Seconds until a request without an answer is given up; a body may take five times as long."""

ENVIRONMENT = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__REQUEST_BACKOFF_FACTOR": "0",
    "RUNTIME__REQUEST_TIMEOUT": str(REQUEST_TIMEOUT),
}


@dataclass(frozen=True)
class Setting:
    """What a rehearsal depends on.

    Attributes:
        seed: Of the world and of the faults.
        probability: Of each request to fail.
        all_tables: Whether the whole catalogue is loaded, or the default tables.
        events: How many there are.
        ties: How many more there are in one second.
        limited: Whether the server tells limits.
        max_parallel: Requests at once.
    """

    seed: int
    probability: float = PROBABILITY
    all_tables: bool = False
    events: int = 100
    ties: int = 0
    limited: bool = True
    max_parallel: int = 8


def faults_of(setting: Setting) -> Faults:
    """The faults of a rehearsal: all kinds that a run has to survive."""
    return Faults(
        setting.probability, setting.seed, TRANSIENT + HARMLESS, pace=REQUEST_TIMEOUT / 5, seconds=8
    )


def server_of(setting: Setting, faults: Faults) -> Sandbox:
    """The server of a rehearsal, still to be started."""
    world = World.build(**{**SMALL, "seed": setting.seed, "events": setting.events})
    if setting.ties:
        world.add_events(setting.ties, at=world.now - timedelta(days=2), issue=world.issues[0])
    limits: dict[str, Any] = {} if setting.limited else {"rate_limits": None}
    return Sandbox(world=world, switches=Switches(faults=faults, **limits))


def rehearse(folder: Path, setting: Setting, faults: Faults | None = None) -> Counter[str]:
    """Load, let the server grow, load again; both times the destination must equal the truth.

    Args:
        folder: Where the destination is.
        setting: What it depends on.
        faults: Other faults than those of the setting.

    Returns:
        How many requests were answered, as ``requests``, and how many faults there were of each kind.
    """
    with server_of(setting, faults or faults_of(setting)) as server:
        warehouse = Warehouse(folder)
        for _ in range(2):
            grow(server)
            load_and_compare(server, warehouse, setting)
        return server.faults_injected + Counter(requests=len(server.requests))


def load_and_compare(server: Sandbox, warehouse: Warehouse, setting: Setting) -> None:
    """One load; the destination must equal the truth afterwards, and nothing may have been skipped."""
    tables = TABLES if setting.all_tables else DEFAULT_TABLES
    info = warehouse.load(server, *tables, tag_keys=TAG_KEYS, max_parallel=setting.max_parallel)
    assert not info.has_failed_jobs
    assert failures_of(warehouse.pipeline) == {}
    assert "_sentry_skipped" not in warehouse.tables()
    warehouse.assert_equals_truth(server)
    if setting.all_tables:
        compare(server, warehouse)


def grow(server: Sandbox) -> None:
    """New events, a new issue and a new release; then two hours, so that a clock behind by one hides none of it."""
    world = server.world
    world.add_events(5, at=world.now, issue=world.issues[0])
    world.add_issue(project=world.projects[-1], at=world.now, events=3)
    world.add_release(f"grown@{len(world.releases)}", world.projects[0], at=world.now)
    world.advance(seconds=7200)


def main() -> int:
    """Rehearse with random settings.

    Returns:
        0, or 1 after a failure.
    """
    options = _options()
    os.environ |= {**ENVIRONMENT, "RUNTIME__LOG_LEVEL": "CRITICAL"}
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    deadline = time.monotonic() + options.minutes * 60
    dice, total, failures, done = random.Random(options.seed), Counter[str](), 0, 0  # noqa: S311
    while done < options.runs and time.monotonic() < deadline:
        setting = _random(dice)
        try:
            total += _rehearse_somewhere(setting)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failures += 1
            print(f"{setting}\n{traceback.format_exc()}", flush=True)
        done += 1
    requests = total.pop("requests", 0)
    for kind, count in sorted(total.items()):
        print(f"{kind:20} {count:>7,}")
    print(
        f"{done} runs, {failures} failures, {requests:,} requests, {total.total():,} faults, seed {options.seed}"
    )
    print(
        json.dumps(
            {
                "runs": done,
                "failures": failures,
                "requests": requests,
                "faults": dict(sorted(total.items())),
                "seed": options.seed,
            }
        )
    )
    return 1 if failures else 0


def _rehearse_somewhere(setting: Setting) -> Counter[str]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DLT_DATA_DIR"] = folder
        return rehearse(Path(folder), setting)


def _random(dice: random.Random) -> Setting:
    return Setting(
        seed=dice.randrange(10**6),
        probability=dice.choice([0.02, 0.05, 0.05, 0.1]),
        all_tables=dice.random() < 0.3,
        events=dice.choice([20, 100, 300]),
        ties=dice.choice([0, 0, 12, 120]),
        limited=dice.random() < 0.7,
        max_parallel=dice.choice([1, 2, 8]),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
