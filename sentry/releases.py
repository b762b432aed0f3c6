"""How releases are read: newest first by their date of creation, all of them again with each sweep.

Most of a release changes without its date of creation (last event, new issues, commits), so the look-back
alone would not show it. See https://docs.sentry.io/api/releases/list-an-organizations-releases/.
"""

from __future__ import annotations

from collections.abc import Iterator

from .client import Row
from .endpoints import RELEASES
from .listings import parse_time, unseen, without
from .progress import Progress
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
    seen: set[str] = set()

    def read(window: Window, selection: Selection) -> Iterator[list[Row]]:
        for rows in _scan(run, selection).read(window):
            yield [run.label(without(row, RELEASES.dropped)) for row in unseen(rows, "version", seen)]

    yield from read_projects(run, progress, read)
    progress.finish()


def releases_path(run: Run) -> str:
    """The listing of the organization's releases."""
    return f"organizations/{run.organization.slug}/releases/"


def _scan(run: Run, selection: Selection) -> Scan:
    """``status=`` present and empty brings archived releases as well; old servers order by date of release."""
    return Scan(
        client=run.client,
        path=releases_path(run),
        scope=RELEASES.scope,
        key_of=lambda row: str(row["version"]),
        time_of=lambda row: parse_time(row.get("dateCreated")),
        params={"project": selection, "status": "", "sort": "date", "per_page": str(PAGE_SIZE)},
        ordered=not run.organization.may_be_old_server,
    )
