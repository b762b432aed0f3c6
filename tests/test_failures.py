"""What fails for good while the rest can be read: it is told, the rest is loaded, and the next run goes on there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from sandbox import Sandbox, Switches
from sentry import failures_of
from tests.conftest import NOW, Script
from tests.warehouse import Warehouse

FOR_GOOD = 10_000


def break_for_good(server: Sandbox, part_of_path: str, status: int = 500) -> None:
    server.fail_next(FOR_GOOD, status=status, path_contains=part_of_path)


def poison(server: Sandbox, event: Any, times: int = FOR_GOOD) -> None:
    """Answers with the body of an event are no JSON any more."""
    left = [times]

    def rewrite(path: str, body: bytes) -> bytes:
        if event.event_id.encode() in body and not path.endswith("acme/events/") and left[0]:
            left[0] -= 1
            return b"<html>"
        return body

    server.rewrite(rewrite)


def test_a_parent_that_fails_for_good_is_passed_over_and_its_rows_come_when_it_works_again(
    serve: Callable[..., Sandbox], warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(issues=5)
    broken, *others = server.world.issues
    break_for_good(server, f"/issues/{broken.id}/hashes/")
    warehouse.load(server, "issue_hashes", "issues")
    assert set(warehouse.column("SELECT issue_id FROM issue_hashes")) == {issue.id for issue in others}
    assert "Sentry answered 500" in failures_of(warehouse.pipeline)["issue_hashes"][broken.id]
    assert f"issue_hashes of {broken.id} could not be read and is passed over" in caplog.text
    server.clear_hooks()
    warehouse.load(server, "issue_hashes", "issues")
    assert broken.id in set(warehouse.column("SELECT issue_id FROM issue_hashes"))
    assert failures_of(warehouse.pipeline) == {}


def test_a_table_that_fails_for_good_leaves_the_others_alone(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    break_for_good(server, "/monitors/")
    warehouse.load(server, "monitors", "issues", "teams")
    assert set(warehouse.column("SELECT id FROM issues")) == {issue.id for issue in server.world.issues}
    assert "Sentry answered 500" in failures_of(warehouse.pipeline)["monitors"][""]
    assert warehouse.column("SELECT table_name FROM _sentry_skipped") == ["monitors"]


def test_a_project_whose_events_fail_for_good_leaves_the_others_alone(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=6, days=1)
    broken, other = server.world.projects
    break_for_good(server, f"/{broken.slug}/events/")
    for issue in server.world.issues:
        if issue.project is broken:
            break_for_good(server, f"/issues/{issue.id}/events/")
    warehouse.load(server, "events", start_date="2026-07-31")
    assert set(warehouse.column("SELECT project_id FROM events")) == {other.id}
    assert all(broken.slug in what for what in failures_of(warehouse.pipeline)["events"])
    server.clear_hooks()
    warehouse.load(server, "events", start_date="2026-07-31")
    warehouse.assert_events_equal_truth(server)


def test_a_day_whose_events_fail_for_good_leaves_the_other_days_alone(
    serve: Callable[..., Sandbox], script: Script, tmp_path: Path
) -> None:
    server = serve(projects=1, issues=1, events=0)
    issue = server.world.issues[0]
    for age in range(1, 13):
        server.world.add_events(2, at=NOW - timedelta(days=age), issue=issue)
    broken = server.world.add_event(project=issue.project, issue=issue, at=NOW - timedelta(days=6, hours=1))

    poison(server, broken)
    usual = ("--resources", "events", "--chunk-events", "6", "--progress", "none")
    failed = script(server, *usual)
    assert failed.returncode == 1
    assert "failed events of project" in failed.stdout
    assert failed.stderr.splitlines()[-1].startswith(
        "sentry_pipeline.py: Could not be read: events of project"
    )
    days = set(Warehouse(tmp_path, "sentry").column("SELECT CAST(date_created AS DATE) FROM events"))
    assert len(days) >= 11
    server.clear_hooks()
    assert script(server, *usual).returncode == 0
    Warehouse(tmp_path, "sentry").assert_events_equal_truth(server)


def test_strict_ends_with_the_first_failure(serve: Callable[..., Sandbox], warehouse: Warehouse) -> None:
    server = serve()
    break_for_good(server, "/monitors/")
    with pytest.raises(Exception, match="Sentry answered 500 on organizations/acme/monitors/"):
        warehouse.load(server, "monitors", "issues", strict=True)
    assert "issues" not in warehouse.tables()


def test_a_server_that_goes_down_ends_the_run_and_leaves_everything_as_it_was(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "issues")
    before = warehouse.rows("SELECT * FROM issues ORDER BY id")
    server.world.advance(seconds=7200)
    server.world.add_issue(project=server.world.projects[0], at=server.world.now - timedelta(minutes=5))
    break_for_good(server, "/organizations/acme/", status=503)
    with pytest.raises(Exception, match="Sentry answered 503"):
        warehouse.load(server, "issues", "teams")
    assert warehouse.rows("SELECT * FROM issues ORDER BY id") == before


def test_what_is_appended_is_not_passed_over_as_it_would_come_twice(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=3)
    break_for_good(server, f"/issues/{server.world.issues[0].id}/hashes/")
    with pytest.raises(Exception, match="Sentry answered 500"):
        warehouse.load(server, "issue_hashes", run={"write_disposition": "append"})


def test_a_run_passes_over_fifty_failures_at_the_most(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=60)
    break_for_good(server, "/hashes/")
    with pytest.raises(Exception, match="Sentry answered 500"):
        warehouse.load(server, "issue_hashes")


def test_issues_whose_details_cannot_be_had_are_told_and_take_no_other_project_along(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(switches=Switches(no_lifetime=True))
    broken = server.world.issues[3]
    break_for_good(server, f"/issues/{broken.id}/")
    warehouse.load(server, "issues")
    others = {issue.id for issue in server.world.issues if issue.project is not broken.project}
    assert others <= set(warehouse.column("SELECT id FROM issues"))
    assert broken.project.id in failures_of(warehouse.pipeline)["issues"]
    server.clear_hooks()
    server.world.advance(seconds=3600)
    warehouse.load(server, "issues")
    assert set(warehouse.column("SELECT id FROM issues")) == {issue.id for issue in server.world.issues}


def test_a_window_that_is_read_in_halves_doubles_nothing_under_upsert(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1, events=120, days=10, issues=3, switches=Switches(rate_limits=None))
    poison(server, server.world.events[60])
    upsert = {"write_disposition": {"disposition": "merge", "strategy": "upsert"}}
    for healthy in (False, True):
        if healthy:
            server.clear_hooks()
        warehouse.load(server, "events", run=upsert)
        ids = warehouse.column("SELECT event_id FROM events")
        assert len(ids) == len(set(ids))
    warehouse.assert_events_equal_truth(server)


def test_a_project_that_fails_on_all_days_is_one_failure(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=4, events=300, days=60, switches=Switches(rate_limits=None))
    broken, other = server.world.projects
    break_for_good(server, f"/{broken.slug}/events/")
    for issue in server.world.issues:
        if issue.project is broken:
            break_for_good(server, f"/issues/{issue.id}/events/")
    warehouse.load(server, "events", "teams")
    assert set(warehouse.column("SELECT project_id FROM events")) == {other.id}
    assert len(failures_of(warehouse.pipeline)["events"]) == 1
    assert len(server.requests) < 400


def test_issues_without_access_do_not_keep_the_history_behind_them_from_coming(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1, issues=2, events=0)
    closed, other = server.world.issues
    for days in range(1, 6):
        server.world.add_event(project=closed.project, issue=closed, at=NOW - timedelta(days=days))
        server.world.add_event(project=other.project, issue=other, at=NOW - timedelta(days=days + 6))
    break_for_good(server, f"/issues/{closed.id}/events/", status=403)
    for _ in range(6):
        warehouse.load(server, "issue_events", chunk_events=5)
    assert set(warehouse.column("SELECT issue_id FROM issue_events")) == {other.id}
    server.clear_hooks()
    warehouse.load(server, "issue_events", chunk_events=5)
    assert len(warehouse.column("SELECT event_id FROM issue_events")) == len(server.world.events)


def test_a_vanished_issue_that_cannot_be_asked_for_leaves_the_marks_of_others_alone(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve()
    warehouse.load(server, "issues")
    broken, gone, *_ = server.world.issues
    server.world.delete_issue(broken)
    server.world.delete_issue(gone)
    break_for_good(server, f"/issues/{broken.id}/")
    warehouse.load(server, "issues", sweep_interval=0)
    assert warehouse.column("SELECT id FROM issues WHERE is_deleted") == [gone.id]
    assert broken.id in next(iter(failures_of(warehouse.pipeline)["issues"]))


def test_a_history_that_failed_comes_in_loads_of_the_usual_size_later(
    serve: Callable[..., Sandbox], script: Script, tmp_path: Path
) -> None:
    server = serve(projects=1, issues=1, events=0, switches=Switches(rate_limits=None))
    issue = server.world.issues[0]
    for age in range(1, 13):
        server.world.add_events(3, at=NOW - timedelta(days=age), issue=issue)
    for path in (f"/{issue.project.slug}/events/", f"/issues/{issue.id}/events/"):
        break_for_good(server, path)
    usual = ("--resources", "events", "--chunk-events", "6", "--progress", "none")
    assert script(server, *usual, RUNTIME__REQUEST_MAX_ATTEMPTS="1").returncode == 1
    server.clear_hooks()
    assert script(server, *usual).returncode == 0
    found = Warehouse(tmp_path, "sentry")
    found.assert_events_equal_truth(server)
    assert max(found.column("SELECT count(*) FROM events GROUP BY _dlt_load_id")) <= 6


def test_a_range_that_no_later_run_reads_fails_as_a_whole(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(issues=3)
    break_for_good(server, f"/issues/{server.world.issues[0].id}/hashes/")
    with pytest.raises(Exception, match="Sentry answered 500"):
        warehouse.load(server, "issue_hashes", start_date="2026-07-20", end_date="2026-07-31")


def test_an_issue_without_project_is_owed_whole_until_it_can_be_read(
    serve: Callable[..., Sandbox], warehouse: Warehouse
) -> None:
    server = serve(projects=1, issues=3)
    odd = server.world.issues[0]

    def without_project(path: str, body: bytes) -> bytes:
        if not path.endswith((f"/{odd.id}/", "/issues/")):
            return body
        rows = orjson.loads(body)
        for row in rows if isinstance(rows, list) else [rows]:
            row["project"] = None if row["id"] == odd.id else row["project"]
        return orjson.dumps(rows)

    server.rewrite(without_project)
    for _ in range(2):
        warehouse.load(server, "issue_events")
        assert odd.id in failures_of(warehouse.pipeline)["issue_events"]
        server.world.advance(seconds=7200)
    server.clear_hooks()
    warehouse.load(server, "issue_events")
    assert len(warehouse.column("SELECT event_id FROM issue_events")) == len(server.world.events)


def test_the_script_can_be_run_in_a_process_forked_from_one_that_has_run_it(
    serve: Callable[..., Sandbox], program: Script
) -> None:
    done = program(
        serve(),
        "import multiprocessing, sys, sentry_pipeline\n"
        "arguments = ['--resources', 'issues', '--progress', 'none']\n"
        "run = lambda: sys.exit(sentry_pipeline.main(arguments))\n"
        "assert sentry_pipeline.main(arguments) == 0\n"
        "worker = multiprocessing.get_context('fork').Process(target=run)\n"
        "worker.start(); worker.join(); sys.exit(worker.exitcode)\n",
    )
    assert done.returncode == 0, done.stderr
