"""How releases are read: newest first by their date of creation, all of them again with each sweep.

Most of a release changes without its date of creation (last event, new issues, commits), so the look-back
alone would not show it. See https://docs.sentry.io/api/releases/list-an-organizations-releases/.
"""

from __future__ import annotations

from collections.abc import Iterator

from .client import Row
from .endpoints import RELEASES
from .listings import parse_time, without
from .progress import Progress, by_window
from .run import Run
from .scans import Scan
from .selection import Selection, read_projects
from .settings import PAGE_SIZE
from .windows import Window


def read_releases(run: Run, progress: Progress) -> Iterator[list[Row]]:
    """The releases of this run's windows, each version once.

    Raises:
        SentryRequestError: A page could not be had.
    """
    sweeps = progress.sweeps
    wanted = {
        project.id: [progress.wanted] if sweeps else progress.missing(project.id) for project in run.projects
    }
    seen: set[str] = set()

    def read(selection: Selection, window: Window) -> Iterator[list[Row]]:
        for rows in _scan(run, selection).read(window):
            fresh = [row for row in rows if row["version"] not in seen]
            seen.update(row["version"] for row in fresh)
            yield [run.label(without(row, RELEASES.dropped)) for row in fresh]

    for window, project_ids in by_window(wanted).items():
        yield from read_projects(run, progress, window, project_ids, read)
    progress.finish(swept=sweeps)


def releases_path(run: Run) -> str:
    """The listing of the organization's releases."""
    return f"organizations/{run.organization.slug}/releases/"


def _scan(run: Run, selection: Selection) -> Scan:
    """``status=`` present and empty brings archived releases as well; old servers order by release date."""
    return Scan(
        client=run.client,
        path=releases_path(run),
        scope=RELEASES.scope,
        key_of=lambda row: str(row["version"]),
        time_of=lambda row: parse_time(row.get("dateCreated")),
        params={"project": selection, "status": "", "sort": "date", "per_page": str(PAGE_SIZE)},
        ordered=False,
    )
