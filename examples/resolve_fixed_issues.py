"""Resolves issues that a release has fixed: no event since it came out, and none in it or a newer one.

    python examples/resolve_fixed_issues.py               # shows what it would do
    python examples/resolve_fixed_issues.py --apply       # does it

It asks the warehouse that sentry_pipeline.py loads (sentry.duckdb, dataset sentry_data), so load first. An issue
becomes resolved *in* that release: Sentry opens it again when an event of that release or of a newer one arrives.
"""

# ruff: noqa: T201 - it is a program that speaks to people

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dlt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where the folder sentry/ is

from sentry.destinations import sentry_issues

FIXED = """
WITH release AS (
    SELECT r.organization_id, r.version, p.project_id, coalesce(r.date_released, r.date_created) AS came_out
    FROM releases AS r,
        unnest(CAST(json_extract_string(r.projects, '$[*].id') AS VARCHAR[])) AS p (project_id)
),
seen AS (  -- the newest release that an event of the issue came from
    SELECT e.issue_id, max(r.came_out) AS newest_release
    FROM events AS e
    JOIN release AS r ON r.project_id = e.project_id AND r.version = e.release
    GROUP BY e.issue_id
)
SELECT i.id, i.short_id, i.title, i.last_seen, arg_min(r.version, r.came_out) AS version
FROM issues AS i
LEFT JOIN seen ON seen.issue_id = i.id
JOIN release AS r
    ON r.project_id = i.project_id
    AND r.came_out > i.last_seen
    AND r.came_out > coalesce(seen.newest_release, i.first_seen)
WHERE i.status = 'unresolved' AND NOT i.is_deleted AND i.merged_into IS NULL
GROUP BY i.id, i.short_id, i.title, i.last_seen
HAVING min(r.came_out) <= (SELECT max(date_created) FROM events) - to_days(CAST(%s AS INTEGER))
ORDER BY i.last_seen
"""
"""The first release after the last event, if it is out for long enough; the newest event tells how far we see."""


def fixed_issues(pipeline: dlt.Pipeline, days: int) -> list[dict[str, Any]]:
    """Unresolved issues without an event since a release that is out for so many days, by the data loaded."""
    with pipeline.sql_client() as client, client.execute_query(FIXED, days) as cursor:
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Find them, show them, write them back; 1 if Sentry refused one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--days", type=int, default=7, help="how long the release must be out (default %(default)s)"
    )
    parser.add_argument("--apply", action="store_true", help="do it; without it nothing is changed")
    parser.add_argument("--outcomes", metavar="FILE", help="append what became of each issue, as JSON lines")
    chosen = parser.parse_args(arguments)

    warehouse = dlt.pipeline("sentry", destination="duckdb", dataset_name="sentry_data")
    issues = fixed_issues(warehouse, chosen.days)
    for issue in issues:
        print(f"{issue['short_id']}  last seen {issue['last_seen']:%Y-%m-%d}, fixed in {issue['version']}")
    if not issues:
        print("No issue looks fixed.")
        return 0

    target = sentry_issues(dry_run=not chosen.apply, outcomes=chosen.outcomes)
    rows = [
        {"issue_id": one["id"], "status": "resolved", "status_details": {"inRelease": one["version"]}}
        for one in issues
    ]
    pipeline = dlt.pipeline("resolve_fixed_issues")
    if pipeline.has_pending_data:  # of a run that failed: its rows are old, these are made anew
        pipeline.abort_packages()
    pipeline.run(rows, destination=target, table_name="issue_updates")
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(target.totals.items())))
    for refused in target.refused:
        print(f"Issue {refused.issue_id}: {refused.reason}", file=sys.stderr)
    return 1 if target.refused else 0


if __name__ == "__main__":
    sys.exit(main())
