"""Asks PyPI's advisory service about every package of requirements.lock; a known vulnerability fails the build.

A service that cannot be reached, or that does not know a package, tells nothing about our code: that is said, and
the build goes on. Arguments go to pip-audit (``--ignore-vuln ID``, https://github.com/pypa/pip-audit).
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

COMMAND = (
    *(sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"),
    *("--disable-pip", "--require-hashes", "--requirement", "requirements.lock"),
)

NO_CONNECTION = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ProxyError", "SSLError", "HTTPError")
"""What pip-audit ends with when the service is away; all are exceptions of requests."""


def verdict(printed: str, complained: str) -> tuple[int, list[str]]:
    """What pip-audit's output means.

    Args:
        printed: Its standard output: a JSON document, unless it failed.
        complained: Its standard error.

    Returns:
        The exit status, and the lines to print.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(printed)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = next(reversed(complained.strip().splitlines()), "no output")
        if any(name in complained for name in NO_CONNECTION):
            return 0, [f"Not audited: the advisory service cannot be reached ({last[:200]})."]
        return 1, [complained.strip() or last]
    found = [
        f"{package['name']} {package['version']} has {hole['id']}; {_mended(hole['fix_versions'])}"
        for package in packages
        for hole in package.get("vulns", ())
    ]
    unknown = sum("skip_reason" in package for package in packages)
    if unknown:
        found.append(
            f"Not audited: {unknown} of {len(packages)} packages, which the advisory service does not know."
        )
    if unknown < len(packages):
        holes = len(found) - bool(unknown)
        found.append(f"Audited: {len(packages) - unknown} packages, {holes} known vulnerabilities.")
    return int(any(package.get("vulns") for package in packages)), found


def _mended(versions: list[str]) -> str:
    return f"mended in {', '.join(versions)}" if versions else "no version without it yet"


def main() -> int:
    """Run pip-audit and say what came out."""
    done = subprocess.run([*COMMAND, *sys.argv[1:]], check=False, capture_output=True, text=True)  # noqa: S603 - ours
    status, lines = verdict(done.stdout, done.stderr)
    print("\n".join(lines), file=sys.stderr)  # noqa: T201 - a program
    return status


if __name__ == "__main__":
    sys.exit(main())
