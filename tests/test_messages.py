"""What the command line says when something is wrong: one line that tells what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock

from sandbox import Sandbox
from tests.conftest import ROOT, Script


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resources", "isues"], "no table 'isues', did you mean 'issues'?"),
        (["--write-disposition", "upsert"], "invalid choice: 'upsert'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--start-date", "yesterday"], "start_date 'yesterday' is not a moment"),
        (["--start-date", "2026-07-02", "--end-date", "2026-07-01"], "is not after start_date"),
        (["--start-date", "2027-07-02"], "lies in the future"),
        (["--base-url", "http://sentry.example.com"], "would send the token unencrypted"),
        (["--projects", "no-such"], "No project no-such in acme. This token sees: backend, frontend."),
        (["--organization", "no-such"], "Sentry answered 404 on organizations/no-such/"),
        (["--destination", "no-such"], "no-such"),
        (["--progress", "loud"], "invalid choice: 'loud'"),
        (["--projects", ""], "--projects is empty"),
        (["lod"], "no command 'lod', did you mean 'load'?"),
        (["--full-refresh", "--end-date", "2026-07-01"], "it does not go with a part of it"),
        (["--demo", "--resources", "issues"], "takes no other options"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line_and_status_2(
    script: Script, serve: Callable[..., Sandbox], arguments: list[str], message: str
) -> None:
    done = script(serve(), *arguments)
    lines = [line for line in done.stderr.splitlines() if "clock" not in line]
    assert done.returncode == 2, done.stderr
    assert message in lines[-1]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_run_at_the_same_time_is_kept_out(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    folder = tmp_path / "dlt" / "pipelines"
    folder.mkdir(parents=True)
    server = serve()
    with FileLock(folder / "sentry.lock"):
        done = script(server, "--resources", "teams")
    assert done.returncode == 1
    assert "Another run of pipeline sentry is under way." in done.stderr
    assert script(server, "--resources", "teams").returncode == 0


def test_a_run_from_another_folder_is_told_where_the_file_is(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    server = serve()
    script(server, "--resources", "teams")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    access = {"SENTRY_AUTH_TOKEN": server.token, "SENTRY_URL": server.url, "SENTRY_ORG": "acme"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "sentry_pipeline.py"), "--resources", "teams"],
        cwd=elsewhere, env={**os.environ, **access}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert f"Pipeline sentry began in {tmp_path}" in done.stderr


def test_a_file_that_is_open_elsewhere_is_said_in_one_line(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    with duckdb.connect(str(tmp_path / "sentry.duckdb")):
        done = script(serve(), "--resources", "teams")
    assert done.returncode == 1
    assert f"sentry.duckdb is open in another program (process {os.getpid()})" in done.stderr


def test_plain_files_that_only_grow_are_announced(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    bucket = {"DESTINATION__FILESYSTEM__BUCKET_URL": f"file://{tmp_path}/lake"}
    done = script(serve(), "--resources", "teams", "--destination", "filesystem", **bucket)
    assert done.returncode == 0, done.stderr
    assert "Plain files only grow" in done.stderr


def test_a_destination_without_credentials_is_said_in_one_line(
    script: Script, serve: Callable[..., Sandbox]
) -> None:
    done = script(serve(), "--resources", "teams", "--destination", "postgres")
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "Not configured:" in line
    assert len(line) < 400


def test_output_that_nobody_reads_on_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} {ROOT / 'sentry_pipeline.py'} --list | head -1"
    done = subprocess.run(
        command,
        shell=True,
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""


def test_no_token_wrong_token_and_no_server_are_one_line_and_status_2(
    script: Script, serve: Callable[..., Sandbox]
) -> None:
    server = serve()
    for done, message in (
        (script(None), "No Sentry token."),
        (
            script(server, SENTRY_AUTH_TOKEN="sntryu_" + "f" * 64),
            "Sentry answered 401 on organizations/acme/: Invalid token.",
        ),
        (script(server, "--base-url", "http://127.0.0.1:9"), "127.0.0.1:9 cannot be reached"),
    ):
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_debug_prints_the_traceback(script: Script) -> None:
    done = script(None, "--debug")
    assert done.returncode == 2
    assert "Traceback (most recent call last)" in done.stderr


def test_the_state_belongs_to_one_organization_and_server(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    first, other = serve(), serve(seed=2)
    assert script(first, "--resources", "teams").returncode == 0
    done = script(other, "--resources", "teams")
    assert done.returncode == 2
    assert "This pipeline has loaded organization" in done.stderr
    assert "pipeline_name and dataset_name of its own" in done.stderr
    cure = "dlt pipeline sentry drop --state-paths belongs_to"
    assert cure in done.stderr
    command = [str(Path(sys.executable).parent / "dlt"), "pipeline", "-y", *cure.split()[2:]]
    subprocess.run(command, cwd=tmp_path, env=os.environ, check=True, capture_output=True, timeout=60)
    assert script(other, "--resources", "teams").returncode == 0


def test_what_cannot_be_loaded_is_said_once(script: Script, serve: Callable[..., Sandbox]) -> None:
    server = serve()
    done = script(server, "--start-date", "2025-01-01", "--end-date", "2026-09-01")
    assert done.returncode == 0
    assert done.stderr.count("days wanted from 2025-01-01T00:00:00 UTC on cannot be loaded") == 1
    assert done.stderr.count("2026-09-01T00:00:00 UTC, is not reached yet") == 1


def test_a_setting_of_the_wrong_type_is_named(script: Script, serve: Callable[..., Sandbox]) -> None:
    for name, value, kind in (("LOOKBACK", "an hour", "int"), ("PROJECTS", "backend", "list")):
        done = script(serve(), "--resources", "teams", **{f"SOURCES__SENTRY__{name}": value})
        assert done.returncode == 2
        assert f"The setting {name.lower()} is not of type {kind}: '{value}'" in done.stderr
