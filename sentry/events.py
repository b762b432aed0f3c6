"""How a project's error events are read: full bodies, newest first, from the project's own listing.

See https://docs.sentry.io/api/events/list-a-projects-error-events/. The listing takes one request at a time
and 60 a minute on sentry.io, and answers 10 full or 100 simple events a page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import errors
from .client import Row
from .endpoints import EVENTS
from .listings import parse_time
from .progress import Progress
from .run import Project, Run
from .scans import Scan
from .settings import PAGE_SIZE


def read_events(run: Run, progress: Progress, project: Project, *, full: bool) -> Iterator[list[Row]]:
    """The events of one project in this run's windows, each once.

    Args:
        run: The extraction.
        progress: What the table has read so far.
        project: Whose events.
        full: With their bodies, or just the simple form.

    Raises:
        SentryRequestError: A page could not be had.
    """
    scan = _scan(run, project, full=full)
    for window in reversed(progress.missing(project.id)):
        for rows in scan.read(window):
            _check_project(rows, project)
            yield [run.label(_finish(row, project)) for row in rows]
        progress.cover([project.id], window)
    progress.finish()


def events_path(run: Run, project: Project) -> str:
    """The listing of a project's error events."""
    return f"projects/{run.organization.slug}/{project.slug}/events/"


def unknown_documents(rows: list[Row]) -> set[str]:
    """Nested fields that the catalogue does not know yet: without a hint dlt would make tables of them."""
    return {
        name
        for row in rows
        for name, value in row.items()
        if isinstance(value, (dict, list)) and name not in _NESTED_FIELDS
    }


_NESTED_FIELDS = frozenset(
    {
        "tags", "user", "entries", "contexts", "context", "packages", "sdk", "metadata", "errors", "occurrence",
        "_meta", "fingerprints", "groupingConfig", "measurements", "breakdowns",
    }
)  # fmt: skip


def _scan(run: Run, project: Project, *, full: bool) -> Scan:
    """Servers of 2025 and before read any ``full``, also ``full=false``, as true: the simple form leaves it out."""
    simple = {"per_page": str(PAGE_SIZE)}
    return Scan(
        client=run.client,
        path=events_path(run, project),
        scope=EVENTS.scope,
        key_of=lambda row: str(row["eventID"]),
        time_of=lambda row: parse_time(row.get("dateCreated")),
        other_time_of=lambda row: parse_time(row.get("dateReceived")),
        params={**simple, "full": "true"} if full else simple,
        cheap_params=simple,
    )


def _check_project(rows: list[Row], project: Project) -> None:
    """A slug that was given to another project since the listing would file its events under the wrong id."""
    strangers = {str(row["projectID"]) for row in rows if row.get("projectID")} - {project.id}
    if strangers:
        raise errors.SentryRequestError(
            f"The slug {project.slug} went from project {project.id} to {', '.join(sorted(strangers))} while "
            "events were read. Nothing was loaded; run again.",
            path=f"projects/{project.slug}/events/",
        )


def _finish(event: Row, project: Project) -> Row:
    tags = {tag.get("key"): tag.get("value") for tag in event.get("tags") or () if isinstance(tag, dict)}
    return {
        **event,
        "project_id": project.id,
        "project_slug": project.slug,
        "issue_id": event.get("groupID"),
        "release": _version(event.get("release")) or tags.get("release"),
        "environment": event.get("environment") or tags.get("environment"),
        "level": event.get("level") or tags.get("level"),
        "dateCreated": event.get("dateCreated") or event.get("dateReceived"),
    }


def _version(release: Any) -> Any:
    """A release is an object in some bodies, its version in others."""
    return release.get("version") if isinstance(release, dict) else release
