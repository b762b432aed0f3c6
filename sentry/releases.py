"""How releases are read: newest first by their date of creation, all of them again with each sweep.

Most of a release changes without its date of creation (last event, new issues, commits), so the look-back
alone would not show it. See https://docs.sentry.io/api/releases/list-an-organizations-releases/.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import dlt
import orjson

from .client import Row
from .endpoints import RELEASES
from .fanout import Parent, read_children
from .progress import Progress
from .rows import table_rows, unseen
from .run import Run
from .scans import Scan
from .selection import Refusals, Selection, read_projects, read_selections
from .settings import FIRST_RELEASE, PAGE_SIZE, RECENT_RELEASE_SECONDS, SWEEP_SLACK_SECONDS
from .storable import storable
from .table import Table
from .windows import Window, floor_seconds, likely_time, parse_time


def read_releases(table: Table, run: Run, progress: Progress) -> Iterator[list[Row]]:
    """The releases of this run's windows, each version once.

    Raises:
        SentryRequestError: A page could not be had.
    """
    seen: set[str] = set()

    def read(window: Window, selection: Selection) -> Iterator[list[Row]]:
        for rows in _scan(run, selection).read(window):
            yield table_rows(table, run, unseen(rows, "version", seen))

    yield from read_projects(run, progress, progress.plan(run.project_ids), read)
    progress.finish()


def read_of_releases(
    table: Table, run: Run, *, sweep_interval: float, all_of_them: bool
) -> Iterator[list[Row]]:
    """The rows of a table below releases, for the releases that changed since this table was last read.

    The list of releases tells most of what changed: a fingerprint of its row is kept per release in the state.
    Files that are uploaded later, and health, do not show there, so releases of the last 30 days are read again
    with each sweep.

    Args:
        table: Its entry in the catalogue.
        run: The extraction.
        sweep_interval: Hours between two sweeps.
        all_of_them: Also for those that did not change.

    Raises:
        SentryRequestError: No release can be read, or a refusal is not about access.
    """
    state = dlt.current.resource_state()
    known: dict[str, str] = state.setdefault("releases", {})
    swept_at = state.get("swept_at")
    sweeps = swept_at is None or run.now - swept_at >= sweep_interval * 3600 - SWEEP_SLACK_SECONDS
    refusals, asked, listed = Refusals(run), 0, set[str]()
    for rows in _listed(run):
        prints = {str(row["version"]): _fingerprint(row) for row in rows}
        again = {str(row["version"]) for row in rows if all_of_them or (sweeps and _is_recent(row, run))}
        changed = [name for name, mark in prints.items() if name in again or known.get(name) != mark]
        listed |= prints.keys()
        parents = [Parent({"release": version}, {"release_version": version}) for version in changed]
        asked += len(parents)
        for _, children in read_children(table, run, parents, refusals):
            yield children
        known |= {version: prints[version] for version in changed if version not in refusals}
    refusals.conclude(asked)
    if sweeps:
        state["swept_at"] = run.now
    for version in known.keys() - listed:
        del known[version]


def _listed(run: Run) -> Iterator[list[Row]]:
    seen: set[str] = set()
    window = Window(FIRST_RELEASE, run.now)
    for rows in read_selections(run, lambda selection: _scan(run, selection).read(window)):
        yield unseen(rows, "version", seen)


def _is_recent(release: Row, run: Run) -> bool:
    created = parse_time(release.get("dateCreated"))
    return created is None or floor_seconds(created) >= run.now - RECENT_RELEASE_SECONDS


def _fingerprint(release: Row) -> str:
    written = orjson.dumps(storable(release)[0], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2s(written, digest_size=6).hexdigest()


def releases_path(run: Run) -> str:
    """The listing of the organization's releases."""
    return RELEASES.path.format(organization=run.organization.slug)


def _scan(run: Run, selection: Selection) -> Scan:
    """``status=`` present and empty brings archived releases as well; old servers order by date of release."""
    return Scan(
        client=run.client,
        path=releases_path(run),
        scope=RELEASES.scope,
        key_of=lambda row: str(row["version"]),
        usable=lambda rows: run.rejects.with_key(RELEASES, rows, "version"),
        time_of=lambda row: likely_time(row.get("dateCreated"), run.now),
        params={"project": selection, "status": "", "sort": "date", "per_page": str(PAGE_SIZE)},
        ordered=not run.organization.may_be_old_server,
    )
