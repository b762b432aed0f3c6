"""What is installed: all of it is listed with a reason, locked with hashes, and looked after."""

from __future__ import annotations

import ast
import json
import re
import runpy
import sys
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
LOCK = (ROOT / "requirements.lock").read_text()

INSTALLED_AS = {
    "sentry_sdk": "sentry-sdk",
    "openapi_schema_validator": "openapi-schema-validator",
    "psycopg2": "dlt[postgres]",
    "deltalake": "dlt[deltalake]",
}
"""Packages whose import has another name than what is installed."""

OURS = {"sentry", "sentry_pipeline", "sandbox", "bench", "tests", "docs", "examples"}

verdict: Any = runpy.run_path(str(ROOT / ".ci" / "audit.py"))["verdict"]


def required(file: str) -> list[Requirement]:
    lines = (ROOT / file).read_text().splitlines()
    return [Requirement(line.partition("#")[0]) for line in lines if line and line[0] not in "#-"]


def with_extras(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return requirement.name + extras


def imported(*places: str) -> set[str]:
    """Packages that files import, also inside of functions, without Python's own and ours."""
    files = [
        file
        for place in places
        for file in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    ]
    names = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(str(node.module).partition(".")[0])
    return names - OURS - sys.stdlib_module_names


def test_the_readme_says_of_each_package_what_it_is_for_and_of_no_other() -> None:
    section = README.partition("## What it rests on")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)[1:]
    named = [name for row in rows for name in re.split(r", (?![^\[]*\])", row[0])]
    wanted = [
        with_extras(each) for file in ("requirements.txt", "requirements-dev.txt") for each in required(file)
    ]
    assert sorted(named) == sorted(wanted)
    assert all(cell.strip() for row in rows for cell in row)


@pytest.mark.parametrize(
    ("places", "files"),
    [
        (("sentry", "sentry_pipeline.py"), ("requirements.txt",)),
        (("sandbox", "bench", "tests", "docs", "examples"), ("requirements.txt", "requirements-dev.txt")),
    ],
    ids=["source", "development"],
)
def test_what_is_imported_is_required(places: tuple[str, ...], files: tuple[str, ...]) -> None:
    listed = {each.name for file in files for each in required(file)}
    listed |= {f"{each.name}[{extra}]" for file in files for each in required(file) for extra in each.extras}
    names = {INSTALLED_AS.get(name, name) for name in imported(*places)}
    assert names <= listed | {name.replace("-", "_") for name in listed}


def test_every_range_has_an_end_so_that_no_new_major_version_comes_by_surprise() -> None:
    endless = {
        each.name
        for file in ("requirements.txt", "requirements-dev.txt")
        for each in required(file)
        if not any(clause.operator in ("<", "==", "~=") for clause in each.specifier)
    }
    assert endless <= {
        "dlt",
        "pyarrow",
        "packaging",
    }  # dlt's extras; two that number releases by the calendar


def test_the_lock_holds_every_package_in_its_range_with_hashes() -> None:
    entries = re.findall(r"^([\w.-]+)==(\S+)(.*?)(?=^[\w.-]+==|\Z)", LOCK, re.MULTILINE | re.DOTALL)
    assert all("--hash=sha256:" in rest for _, _, rest in entries)
    locked: dict[str, list[str]] = {}
    for name, version, _ in entries:
        locked.setdefault(name, []).append(version)
    for file in ("requirements.txt", "requirements-dev.txt"):
        for each in required(file):
            assert locked.get(each.name.lower()), f"{each.name}: run make lock"
            assert all(each.specifier.contains(version) for version in locked[each.name.lower()]), each


def test_the_lock_names_no_index_and_no_path() -> None:
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links|/home|/root|/tmp", LOCK)


HOLE = {"id": "PYSEC-2026-1", "fix_versions": ["2.0"], "aliases": [], "description": "bad"}

AUDITS = {
    "clean": (
        [{"name": "a", "version": "1", "vulns": []}],
        0,
        "Audited: 1 packages, 0 known vulnerabilities.",
    ),
    "vulnerable": (
        [{"name": "a", "version": "1", "vulns": [HOLE]}, {"name": "b", "version": "1", "vulns": []}],
        1,
        "a 1 has PYSEC-2026-1; mended in 2.0\nAudited: 2 packages, 1 known vulnerabilities.",
    ),
    "unknown": (
        [{"name": "a", "skip_reason": "not found"}],
        0,
        "Not audited: 1 of 1 packages, which the advisory service does not know.",
    ),
}


@pytest.mark.parametrize(("packages", "status", "said"), AUDITS.values(), ids=AUDITS.keys())
def test_an_audit_fails_for_a_vulnerability_only(packages: list[Any], status: int, said: str) -> None:
    ended, lines = verdict(json.dumps({"dependencies": packages, "fixes": []}), "")
    assert (ended, "\n".join(lines)) == (status, said)


def test_an_audit_without_network_says_so_and_lets_the_build_go_on() -> None:
    status, lines = verdict("", "Traceback\nrequests.exceptions.ConnectionError: Failed to resolve")
    assert status == 0
    assert lines == [
        "Not audited: the advisory service cannot be reached (requests.exceptions.ConnectionError: Failed to resolve)."
    ]


def test_an_audit_that_fails_otherwise_fails() -> None:
    assert verdict("", "ERROR: requirements.lock: no such file") == (
        1,
        ["ERROR: requirements.lock: no such file"],
    )


def test_ci_installs_from_the_lock_only() -> None:
    run = (ROOT / ".ci" / "run").read_text()
    assert "export LOCKED=1" in run
    assert "pip install" not in run
