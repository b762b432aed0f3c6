"""What was measured, kept in `results.json`, so that one part can be measured again and the rest stays."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .figures import Figures

FOLDER = Path(__file__).resolve().parent
PACKAGES = ("dlt", "duckdb", "pyarrow", "orjson", "requests")


class Results:
    """Figures by arm, each with the machine and the day of its measurement.

    Args:
        known: What was measured before.
    """

    def __init__(self, known: Mapping[str, Any] | None = None) -> None:
        self._known = dict(known or {})

    @classmethod
    def read(cls, folder: Path) -> Results:
        """Those of the last time; none if there was none."""
        file = folder / "results.json"
        return cls(json.loads(file.read_text()) if file.exists() else {})

    def write(self, folder: Path) -> None:
        """Keep them, an arm a line."""
        lines = (f"{json.dumps(arm)}: {json.dumps(known)}" for arm, known in self._known.items())
        (folder / "results.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")

    def note(self, arm: str, figures: Figures) -> None:
        """Take new figures of an arm."""
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        self._known[arm] = {"figures": figures, "day": day, "machine": machine()}

    def __getitem__(self, arm: str) -> Figures:
        figures: Figures = self._known[arm]["figures"]
        return figures

    def __contains__(self, arm: object) -> bool:
        return arm in self._known

    @property
    def origins(self) -> list[str]:
        """The machines and days that the figures come from."""
        return sorted({f"{known['machine']}; measured {known['day']}" for known in self._known.values()})


def machine() -> str:
    """Cores, processor, system and versions; nothing that tells which machine it is."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    system = f"{os.cpu_count()} cores ({_processor()}), {platform.system()}"
    return f"{system}, Python {platform.python_version()}, {versions}"


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
