"""The README: every block in it does what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from sandbox import Sandbox
from sandbox.access import READ_SCOPES
from sentry import DEFAULT_TABLES, TABLES
from sentry.setting_names import SETTINGS
from sentry.settings import TOKEN_SCOPES
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    found = [text for name, text in BLOCKS if name == language]
    assert found, language
    return found


@pytest.fixture
def environment(serve: Callable[..., Sandbox], tmp_path: Path) -> dict[str, str]:
    """A folder as a user has it, and a server to read."""
    for name in ("sentry", "sentry_pipeline.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    server = serve()
    (tmp_path / "event.json").write_text('{"message": "It went wrong"}')
    return {
        **os.environ,
        "SENTRY_AUTH_TOKEN": server.add_token(scopes=(*READ_SCOPES, "event:write")),
        "SENTRY_URL": server.url,
        "SENTRY_ORG": "acme",
        "SENTRY_DSN": server.dsn(server.world.projects[0]),
        "ISSUE": server.world.issues[0].id,
        "MEMBER": next(member.user_id for member in server.world.members if member.user_id),
    }


def test_every_language_of_a_block_is_one_that_is_tested() -> None:
    assert {name for name, _ in BLOCKS} == {"sh", "python", "sql"}


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code: str, environment: dict[str, str], tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    if "delta" in code:
        assert DeltaTable(str(tmp_path / "lake" / "sentry_data" / "issues")).to_pyarrow_table().num_rows > 0
        return
    if "duckdb" not in code:  # rows back to Sentry
        assert re.search(r"'(refused|accepted)': \d", run.stdout)
        return
    with duckdb.connect(str(tmp_path / "sentry.duckdb"), read_only=True) as connection:
        (count,) = connection.execute("SELECT count(*) FROM sentry_data.issues").fetchall()
    assert count[0] > 0


def test_sql_blocks_answer(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lake,) = (code for code in blocks("python") if 'table_format="delta"' in code)
    files = lake.replace("table_format", "loader_file_format").replace("delta", "parquet")
    for load in (["sentry_pipeline.py"], ["-c", files]):
        command = [sys.executable, *load]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=120)
    monkeypatch.chdir(tmp_path)
    with duckdb.connect(str(tmp_path / "sentry.duckdb"), read_only=True) as connection:
        for statement in re.split(r";\s*$", "".join(blocks("sql")), flags=re.MULTILINE):
            if statement.strip():
                assert connection.execute(statement).fetchall(), statement


def test_shell_blocks_hold_only_commands_that_work(environment: dict[str, str], tmp_path: Path) -> None:
    for line in "".join(blocks("sh")).splitlines():
        known = line.replace("4505281", environment["ISSUE"]).replace(
            "user:1", f"user:{environment['MEMBER']}"
        )
        known = known.replace("$SENTRY_DSN", environment["SENTRY_DSN"])
        command = shlex.split(known.partition("  #")[0])
        if command[0] == "make":
            subprocess.run([*command, "--dry-run"], cwd=ROOT, check=True, capture_output=True, timeout=60)
        elif command[0] == "export":
            assert f'"{command[1].partition("=")[0]}"' in (ROOT / "sentry" / "config.py").read_text()
        elif command[0] == ".venv/bin/python" and "postgres" not in command:
            run = [sys.executable, *command[1:]]
            subprocess.run(run, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=120)
        else:  # needs the network or a server of its own; dlt init is tested with the script
            assert command[:2] in (
                ["dlt", "init"],
                [".venv/bin/pip", "install"],
                [".venv/bin/python", "sentry_pipeline.py"],
            )


def test_the_tables_and_scopes_listed_are_those_of_the_source() -> None:
    default = [name for name in re.findall(r"^\| `(\w+)` \| ", README, re.MULTILINE) if "__" not in name]
    assert set(default[: len(DEFAULT_TABLES)]) == set(DEFAULT_TABLES)
    named = " ".join(re.findall(r"^\* \*\*\w+\*\*: (.*(?:\n  .*)*)", README, re.MULTILINE))
    assert set(re.findall(r"[a-z_]+", named)) >= set(TABLES) - set(DEFAULT_TABLES)
    assert f"{len(TABLES)} tables" in README
    scopes = set(re.findall(r"^\| `(\w+:\w+)` \|", README, re.MULTILINE))
    assert scopes == {table.scope for table in TABLES.values()} | {"event:write"}
    assert set(TOKEN_SCOPES) == scopes - {"project:releases", "event:write"}


def test_the_settings_listed_are_those_of_the_source() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "sentry" / "README.md").read_text(), re.MULTILINE))
    configured = set(re.findall(r"^# (\w+) = ", (ROOT / ".dlt" / "config.toml").read_text(), re.MULTILINE))
    signature = re.findall(r"^    (\w+): .*= ", (ROOT / "sentry" / "__init__.py").read_text(), re.MULTILINE)
    assert tuple(signature) == SETTINGS
    assert described >= set(signature) - {"auth_token"}
    secrets = {"auth_token", "personal_data_key"}
    example = (ROOT / ".dlt" / "example.secrets.toml").read_text()
    assert all(f"{name} = " in example for name in secrets)
    assert configured <= set(signature)
    assert configured >= set(signature) - {*secrets, "end_date", "allow_insecure"}


def test_the_list_of_modules_is_whole() -> None:
    page = (ROOT / "sentry" / "README.md").read_text()
    modules = {path.name for path in (ROOT / "sentry").glob("*.py")}
    assert set(re.findall(r"`(\w+\.py)`", page)) == modules
