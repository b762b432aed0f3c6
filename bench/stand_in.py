"""The stand-in server as the arms see it: started for one arm, asked, stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from .setup import Setup

ROOT = Path(__file__).resolve().parent.parent


class StandIn:
    """A fresh server in a process of its own, so that it shares no interpreter with what is measured.

    Attributes:
        access: Where it is and how to get in, in sentry-cli's variables.
    """

    def __init__(self, setup: Setup) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module  # nosec B603
            [sys.executable, "-m", "bench.server", setup.to_json()],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._commands = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)
        known = self._heard()
        self.access = {
            "SENTRY_URL": known["url"],
            "SENTRY_AUTH_TOKEN": known["token"],
            "SENTRY_ORG": known["organization"],
        }

    def __enter__(self) -> StandIn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate("quit\n")

    def ask(self, command: str) -> Any:
        """Give a command of ``bench.server`` and return its answer."""
        self._commands.write(f"{command}\n")
        self._commands.flush()
        return self._heard()

    def _heard(self) -> Any:
        return json.loads(self._answers.readline())
