"""What fails for good while the rest can be read: it is told, the rest is loaded, and the next run goes on there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox import Sandbox
from sentry import failures_of
from tests.conftest import NOW, Script
from tests.warehouse import Warehouse

FOR_GOOD = 10_000


def break_for_good(server: Sandbox, part_of_path: str, status: int = 500) -> None:
    server.fail_next(FOR_GOOD, status=status, path_contains=part_of_path)


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

    def poison(path: str, body: bytes) -> bytes:
        return b"<html>" if broken.event_id.encode() in body and "/projects/" in path else body

    server.rewrite(poison)
    usual = ("--resources", "events", "--chunk-events", "6", "--progress", "none")
    failed = script(server, *usual)
    assert failed.returncode == 1
    assert "failed events of project" in failed.stdout
    assert failed.stderr.splitlines()[-1].startswith(
        "sentry_pipeline.py: 1 parts could not be read; the rest is loaded. Run again. First of them: events of project"
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
