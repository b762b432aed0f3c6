"""The command line: what a person types, sees and gets back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dlt
import duckdb
import pytest

import sentry_pipeline
from sandbox import Sandbox, Switches
from sentry import TABLES
from tests.conftest import ROOT, Script
from tests.test_odd_data import change, each


def rows(folder: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(folder / "sentry.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_two_plain_runs_load_everything_and_then_what_is_new(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    server = serve()
    first = script(server)
    assert first.returncode == 0, first.stderr
    assert re.search(r"^events +60 rows read$", first.stdout, re.MULTILINE)
    assert re.search(
        r"^[\d,]+ requests, [\d.]+ s, into duckdb sentry_data, .*sentry\.duckdb$", first.stdout, re.MULTILINE
    )
    server.world.advance(seconds=7200)
    issue = server.world.issues[0]
    server.world.add_event(project=issue.project, issue=issue)
    server.world.advance(seconds=5)
    second = script(server)
    assert second.returncode == 0
    assert re.search(r"^events +1 rows read$", second.stdout, re.MULTILINE)
    assert rows(tmp_path, "SELECT count(*), count(DISTINCT event_id) FROM sentry_data.events") == [(61, 61)]


def test_list_names_all_tables_without_a_token(script: Script) -> None:
    listed = script(None, "--list")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(TABLES)


def test_every_option_has_one_line_of_help(script: Script) -> None:
    helped = dict(
        re.findall(
            r"^  (?:-v, )?(--[a-z-]+|check)[^\n]*?(?:\n {20,}|  )(\S[^\n]*)",
            script(None, "--help").stdout,
            re.M,
        )
    )
    for option in (
        "--resources", "--list", "--projects", "--organization", "--base-url", "--start-date", "--end-date",
        "--destination", "--dataset-name", "--write-disposition", "--full-refresh", "--progress", "--verbose",
        "--debug", "--demo", "check",
    ):  # fmt: skip
        assert helped.get(option), option


def test_chosen_tables_and_projects_only(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    server = serve()
    project = server.world.projects[0]
    done = script(
        server, "--resources", "issues", "projects", "--projects", project.slug, "--dataset-name", "other"
    )
    assert done.returncode == 0, done.stderr
    tables = rows(tmp_path, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'other'")
    assert {str(name) for (name,) in tables if not str(name).startswith("_dlt")} == {"issues", "projects"}
    assert rows(tmp_path, "SELECT DISTINCT project_id FROM other.issues") == [(project.id,)]


def test_full_refresh_reads_all_again(script: Script, serve: Callable[..., Sandbox], tmp_path: Path) -> None:
    server = serve()
    script(server, "--resources", "events")
    server.world.advance(seconds=7200)
    server.clear_requests()
    assert script(server, "--resources", "events", "--full-refresh").returncode == 0
    starts = {dict(request.params).get("start") for request in server.requests if "/events/" in request.path}
    assert "2026-05-03T14:00:00" in starts
    assert rows(tmp_path, "SELECT count(*) FROM sentry_data.events") == [(60,)]


def test_a_range_with_an_end_leaves_progress_alone(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    server = serve()
    done = script(server, "--resources", "events", "--start-date", "2026-07-25", "--end-date", "2026-07-28")
    assert done.returncode == 0, done.stderr
    inside = rows(
        tmp_path,
        "SELECT min(date_created) >= '2026-07-25 00:00:00+00', max(date_created) < '2026-07-28 00:00:00+00' FROM sentry_data.events",
    )
    assert inside == [(True, True)]
    assert script(server, "--resources", "events").returncode == 0
    assert rows(tmp_path, "SELECT count(*) FROM sentry_data.events") == [(60,)]


def test_an_external_schedulers_interval_is_the_range(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    server = serve()
    interval = {
        "DLT_ALLOW_EXTERNAL_SCHEDULERS": "true",
        "DLT_INTERVAL_START": "2026-07-25T00:00:00Z",
        "DLT_INTERVAL_END": "2026-07-28T00:00:00Z",
    }
    assert script(server, "--resources", "events", "issues", **interval).returncode == 0
    asked = {
        (dict(request.params)["start"], dict(request.params)["end"])
        for request in server.requests
        if request.path.endswith("/issues/")
    }
    assert asked == {("2026-07-25T00:00:00", "2026-07-28T00:00:00")}
    (span,) = rows(
        tmp_path,
        "SELECT min(date_created) >= '2026-07-25 00:00:00+00', max(date_created) < '2026-07-28 00:00:00+00' FROM sentry_data.events",
    )
    assert span == (True, True)
    assert script(server, "--resources", "events").returncode == 0
    assert rows(tmp_path, "SELECT count(*) FROM sentry_data.events") == [(60,)]


def test_check_tells_who_the_token_is_and_what_it_can_read(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    server = serve()
    weak = server.add_token(scopes=["org:read", "event:read"])
    told = script(server, "check", SENTRY_AUTH_TOKEN=weak)
    assert told.returncode == 0, told.stderr
    assert "Scopes        event:read org:read" in told.stdout
    assert "Organization  acme" in told.stdout
    assert re.search(r"^issues +event:read +can be read$", told.stdout, re.MULTILINE)
    assert re.search(r"^members +member:read +.*lacks the scope member:read", told.stdout, re.MULTILINE)
    assert weak not in told.stdout + told.stderr
    assert not (tmp_path / "sentry.duckdb").exists()


NOT_ON_OLD_SERVERS = {
    "tags", "symbol_sources", "monitors", "monitor_checkins", "detectors", "workflows", "replays", "usage_stats",
    "release_health",
}  # fmt: skip


@pytest.mark.parametrize("old", [False, True])
def test_check_with_a_full_token_finds_what_can_be_read(
    script: Script, serve: Callable[..., Sandbox], old: bool
) -> None:
    server = serve(switches=Switches(old_server=old))
    told = script(server, "check", SENTRY_AUTH_TOKEN=server.add_token())
    readable = set(re.findall(r"^(\w+) .*can be read$", told.stdout, re.MULTILINE))
    assert readable == set(TABLES) - (NOT_ON_OLD_SERVERS if old else set()), told.stdout


def test_all_tables_of_an_old_server_load_but_those_it_does_not_have(
    script: Script, serve: Callable[..., Sandbox]
) -> None:
    server = serve(switches=Switches(old_server=True))
    done = script(server, "--resources", "all", SENTRY_AUTH_TOKEN=server.add_token())
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"^skipped (\w+):", done.stdout, re.MULTILINE)) == NOT_ON_OLD_SERVERS


def test_a_table_that_the_token_cannot_read_is_skipped_with_a_warning(
    script: Script, serve: Callable[..., Sandbox]
) -> None:
    server = serve()
    weak = server.add_token(scopes=["org:read", "event:read", "project:read"])
    done = script(server, "--resources", "members", "teams", SENTRY_AUTH_TOKEN=weak)
    assert done.returncode == 0
    assert "Skipped members: Sentry answered 403 on organizations/acme/members/" in done.stderr
    assert re.search(r"^skipped.*lacks the scope member:read", done.stdout, re.MULTILINE)
    strict = script(server, "--resources", "members", SENTRY_AUTH_TOKEN=weak, SOURCES__SENTRY__STRICT="true")
    assert strict.returncode == 2
    assert "lacks the scope member:read" in strict.stderr


def test_a_server_in_trouble_is_a_failed_load_with_status_1(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    server = serve()
    assert script(server, "--resources", "teams", "events").returncode == 0
    before = rows(tmp_path, "SELECT event_id FROM sentry_data.events ORDER BY 1")
    server.world.add_events(3, at=server.world.now)
    server.world.advance(seconds=60)
    server.fail_next(5, status=503, path_contains="/backend/events/")
    done = script(server, "--resources", "teams", "events")
    assert done.returncode == 1
    assert "Sentry answered 503 on projects/acme/backend/events/" in done.stderr
    assert rows(tmp_path, "SELECT event_id FROM sentry_data.events ORDER BY 1") == before
    assert script(server, "--resources", "teams", "events").returncode == 0
    assert len(rows(tmp_path, "SELECT event_id FROM sentry_data.events")) == len(before) + 3


def test_verbose_logs_each_request_and_never_the_token(script: Script, serve: Callable[..., Sandbox]) -> None:
    server = serve()
    done = script(server, "--resources", "issues", "-v")
    assert done.returncode == 0
    assert "GET organizations/acme/issues/ ?project=-1&query=&sort=new" in done.stderr
    assert "next page: false, rate limit: {'limit'" in done.stderr
    assert server.token not in done.stdout + done.stderr


def test_a_package_left_by_a_killed_run_is_loaded_before_the_new_one(
    script: Script, program: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    server = serve()
    left_over = program(
        server,
        "import sentry_pipeline as s, dlt\n"
        "p = dlt.pipeline('sentry', destination='duckdb', dataset_name='sentry_data')\n"
        "p.extract(s.sentry_source().with_resources('events'))\n",
    )
    assert left_over.returncode == 0, left_over.stderr
    server.world.advance(seconds=7200)
    server.world.add_events(2, at=server.world.now)
    server.world.advance(seconds=5)
    done = script(server, "--resources", "events")
    assert "Loaded first what an earlier run had left behind." in done.stderr
    assert rows(tmp_path, "SELECT count(*), count(DISTINCT event_id) FROM sentry_data.events") == [(62, 62)]


def test_settings_of_dlt_are_not_hidden_by_options_left_out(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    server = serve()
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text(
        f'[sources.sentry]\norganization = "acme"\nbase_url = "{server.url}"\nprojects = ["backend"]\n'
        "start_date = 2026-07-25\nsweep_interval = 12\n"
    )
    (tmp_path / ".dlt" / "secrets.toml").write_text(f'[sources.sentry]\nauth_token = "{server.token}"\n')
    done = script(None, "--resources", "events")
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path, "SELECT DISTINCT project_slug FROM sentry_data.events") == [("backend",)]
    assert rows(tmp_path, "SELECT min(date_created) >= '2026-07-25 00:00:00+00' FROM sentry_data.events") == [
        (True,)
    ]


def test_dlt_pipeline_shows_the_run(script: Script, serve: Callable[..., Sandbox], tmp_path: Path) -> None:
    assert script(serve(), "--resources", "issues", "events").returncode == 0
    dlt_command = Path(sys.executable).parent / "dlt"
    for command, shown in (("info", "sentry"), ("trace", "issues"), ("schema", "date_created")):
        told = subprocess.run(
            [dlt_command, "--non-interactive", "pipeline", "sentry", command],
            cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        assert shown in told.stdout


def test_dlt_init_lays_out_a_project_that_runs(serve: Callable[..., Sandbox], tmp_path: Path) -> None:
    repository, project = tmp_path / "repository", tmp_path / "project"
    (repository / "sources").mkdir(parents=True)
    project.mkdir()
    shutil.copytree(
        ROOT / "sentry", repository / "sources" / "sentry", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "sentry_pipeline.py", repository / "sources")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "sources"]):
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        subprocess.run(["git", *identity, *command], cwd=repository, check=True, timeout=60)
    dlt_command = Path(sys.executable).parent / "dlt"
    made = subprocess.run(
        [dlt_command, "--non-interactive", "init", "sentry", "duckdb", "--location", str(repository)],
        cwd=project, env=os.environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    assert 'auth_token = "' in (project / ".dlt" / "secrets.toml").read_text()
    assert (project / "requirements.txt").read_text().startswith("dlt[duckdb]")
    server = serve()
    access = {"SOURCES__SENTRY__AUTH_TOKEN": server.token, "SENTRY_URL": server.url, "SENTRY_ORG": "acme"}
    run = subprocess.run(
        [sys.executable, "sentry_pipeline.py"],
        cwd=project, env={**os.environ, **access}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert rows(project, "SELECT count(*) FROM sentry_data.events") == [(60,)]
    demo = subprocess.run(
        [sys.executable, "sentry_pipeline.py", "--demo"],
        cwd=project, env=os.environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert demo.returncode == 2
    assert "The demo needs the folder sandbox" in demo.stderr


@pytest.fixture
def in_process(serve: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    server = serve()
    monkeypatch.setenv("SENTRY_AUTH_TOKEN", server.token)
    monkeypatch.setenv("SENTRY_URL", server.url)
    monkeypatch.setenv("SENTRY_ORG", "acme")
    return server


def test_no_secret_is_in_state_trace_or_load_packages(in_process: Sandbox, tmp_path: Path) -> None:
    assert sentry_pipeline.main(["--progress", "none"]) == 0
    secret = in_process.token.encode()
    searched = 0
    for path in tmp_path.rglob("*"):
        if path.is_file():
            searched += 1
            assert secret not in path.read_bytes(), path
    assert searched > 10
    state = json.dumps(dlt.attach("sentry").state, default=str)
    assert in_process.token not in state


def test_a_load_that_needs_more_memory_than_the_script_allows_gets_it(
    serve: Callable[..., Sandbox], program: Script, tmp_path: Path
) -> None:
    server = serve(events=100)
    # DuckDB holds the bodies of one vector of rows at once: 10 MB, of which no two are the same
    change(server, "events", each(lambda _, row: row.update(message=row["eventID"] * 3_000)))
    done = program(
        server,
        "import sys, sentry_pipeline\n"
        "from sentry import tuning\n"
        "tuning.DUCKDB_SETTINGS = {'memory_limit': '8MB'}\n"
        "sys.exit(sentry_pipeline.main(['--resources', 'projects', 'events', '--progress', 'none']))\n",
    )
    assert done.returncode == 0, done.stderr
    assert "cannot load events as large as these within 8MB of memory" in done.stderr
    assert " 100 rows read" in done.stdout
    assert len(rows(tmp_path, "SELECT event_id FROM sentry_data.events")) == 100


def test_settings_that_nobody_reads_are_told_and_those_of_dlt_are_not(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text(
        '[sources.sentry]\nteam = "ours"\n[sources.sentry.extract]\nworkers = 2\n'
    )
    done = script(serve(), "--resources", "teams", SOURCES__SENTRY__DATA_WRITER__BUFFER_MAX_ITEMS="10")
    assert done.returncode == 0
    (warned,) = [line for line in done.stderr.splitlines() if "no setting" in line]
    assert warned.endswith(
        "There is no setting team ([sources.sentry] in .dlt/config.toml); it does nothing."
    )


def test_a_misspelt_setting_in_a_file_is_an_error(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "secrets.toml").write_text('[sources.sentry]\npersonal_date = "hash"\n')
    done = script(serve(), "--resources", "teams")
    assert done.returncode == 2
    assert done.stderr == (
        "sentry_pipeline.py: There is no setting personal_date ([sources.sentry] in .dlt/secrets.toml). Did you mean "
        "personal_data?\n"
    )


def test_values_of_tags_that_nobody_has_named_are_no_rows_and_the_run_says_why(
    script: Script, serve: Callable[..., Sandbox]
) -> None:
    done = script(serve(), "--resources", "tag_values", "issue_tag_values")
    assert done.returncode == 0
    assert done.stderr.count("tag_values has no rows without the setting tag_keys.") == 2


def test_the_plan_says_what_a_load_will_take_and_loads_nothing(
    serve: Callable[..., Sandbox], script: Script, tmp_path: Path
) -> None:
    server = serve(events=240)
    tables = ("--resources", "projects", "issues", "events")
    done = script(server, "--plan", *tables)
    assert done.returncode == 0, done.stderr
    assert "of 2 projects: 240 events, 12 issues." in done.stdout
    assert re.search(r"^events +30 +requests .*pages of issues; 24 of projects", done.stdout, re.MULTILINE)
    assert len(server.requests) <= 6
    assert rows(tmp_path, "SELECT table_name FROM duckdb_tables()") == []
    assert script(server, *tables).returncode == 0
    done = script(server, "--plan", *tables)
    assert re.search(
        r"^Still to be read, 2026-08-01 11:00 to 2026-08-01 12:00 UTC", done.stdout, re.MULTILINE
    )


def test_processes_end_with_a_killed_run_also_where_another_pipeline_had_its_turn_within_it(
    program: Script, serve: Callable[..., Sandbox]
) -> None:
    began = time.monotonic()
    done = program(
        serve(),
        "import dlt, os, signal, time\n"
        "from sentry.single_run import alone\n"
        "from sentry.tuning import prepare_dlt\n"
        "prepare_dlt()\n"
        "with alone(dlt.pipeline('outer')):\n"
        "    with alone(dlt.pipeline('inner')):\n"
        "        pass\n"
        "    if os.fork():\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    time.sleep(20)\n",
    )
    assert done.returncode == -9, done.stderr
    assert time.monotonic() - began < 15  # its output ends when the last process does that has it
