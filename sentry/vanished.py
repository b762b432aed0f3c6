"""Issues that the destination holds and a complete sweep no longer shows: deleted, merged, or only out of sight.

Absence from a list proves nothing, so each of them is asked for again. What the answer to its id says decides:
its own id (it is only out of sight), another id (it was merged into that one), 404 (it was deleted). Issues whose
last event is older than the server's memory are not asked for: servers forget them by deleting them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import dlt
from dlt.common.exceptions import DltException, PipelineStateNotAvailable

from . import errors
from .client import Row
from .endpoints import ISSUE_DETAILS, ISSUES
from .fanout import in_parallel, path_of
from .loaded import Loaded, as_moment
from .run import Run
from .settings import IDS_PER_REQUEST, MARKED_AGAIN_SECONDS
from .table import Table
from .windows import DAY, Window

_UNMARKED: Row = {"is_deleted": False, "deleted_at": None, "merged_into": None}


def read_vanished(
    table: Table, run: Run, swept: Window, shown: Collection[str], project_ids: Collection[str]
) -> Iterator[list[Row]]:
    """The rows of vanished issues as they were loaded, with ``is_deleted``, ``deleted_at`` or ``merged_into`` set.

    Rows are given whole, because a merge would empty the columns that it is not given.

    Args:
        table: ``issues`` or ``feedback``.
        run: The extraction.
        swept: What the sweep has read.
        shown: Ids of the issues that it has shown.
        project_ids: The projects that it has read whole.

    Raises:
        SentryRequestError: A refusal that is not about access.
    """
    with suppress(PipelineStateNotAvailable):
        loaded = Loaded(dlt.current.pipeline(), table)
        if loaded.exists:
            yield from _marked(loaded, run, swept, shown, project_ids)


def _marked(
    loaded: Loaded, run: Run, swept: Window, shown: Collection[str], project_ids: Collection[str]
) -> Iterator[list[Row]]:
    try:
        candidates = _candidates(loaded, run, swept, shown, project_ids)
        fates = _fates(run, candidates)
        merged = {issue_id: fate for issue_id, fate in fates.items() if fate.get("merged_into")}
        for issue_id, into in _merged_before(loaded, merged):
            fates.setdefault(issue_id, merged[into])
        ids = sorted(fates)
        for first in range(0, len(ids), IDS_PER_REQUEST):
            rows = loaded.rows(loaded.is_one_of("id", ids[first : first + IDS_PER_REQUEST]))
            yield [{**row, **fates[str(row["id"])]} for row in rows]
    except DltException as error:
        run.warn_once(
            "Issues that were deleted or merged in Sentry are not marked, because the destination cannot be asked "
            f"which ones it holds: {' '.join(str(error).split())[:300]}"
        )


def _candidates(
    loaded: Loaded, run: Run, swept: Window, shown: Collection[str], project_ids: Collection[str]
) -> list[tuple[str, str]]:
    """Ids of issues that should have been shown, with their projects' ids, in the order of these.

    An issue whose last event is about to age out may have done so in mid-sweep, hence a day of margin.
    """
    since = datetime.fromtimestamp(swept.start + DAY, UTC)
    deleted_since = datetime.fromtimestamp(run.now, UTC) - timedelta(seconds=MARKED_AGAIN_SECONDS)
    names = ["id", "project_id", "is_deleted", "deleted_at", "merged_into"]
    found = []
    for row in loaded.values(names, loaded.is_at_least("last_seen", since)):
        issue_id, project_id, is_deleted, deleted_at, merged_into = row
        is_settled = merged_into or (is_deleted and (not deleted_at or as_moment(deleted_at) < deleted_since))
        if issue_id not in shown and project_id in project_ids and not is_settled:
            found.append((str(project_id), str(issue_id)))
    return [(issue_id, project_id) for project_id, issue_id in sorted(found)]


def _fates(run: Run, candidates: list[tuple[str, str]]) -> dict[str, Row]:
    """What became of each candidate that is not there any more."""
    missing = [issue_id for issue_id, _ in candidates]
    if not run.is_before_organization_issues:
        missing = [
            issue_id
            for first in range(0, len(candidates), IDS_PER_REQUEST)
            for issue_id in _not_listed(run, candidates[first : first + IDS_PER_REQUEST])
        ]
    fates: dict[str, Row] = {}
    refused: list[errors.SentryRequestError] = []
    for issue_id, outcome in in_parallel(run, partial(_fate, run), missing):
        try:
            fates[issue_id] = outcome()
        except errors.SentryPermissionError as refusal:
            refused.append(refusal)
    if refused:
        run.warn_once(
            f"{len(refused)} issues are not listed any more and may not be asked for, so they stay as they are, "
            f"such as: {refused[0]}"
        )
    return {issue_id: fate for issue_id, fate in fates.items() if fate is not _UNMARKED}


def _not_listed(run: Run, candidates: list[tuple[str, str]]) -> list[str]:
    """Those of some issues that the server does not give when asked for them by id."""
    params = {
        "group": [issue_id for issue_id, _ in candidates],
        "project": sorted({project_id for _, project_id in candidates}),
    }
    path = ISSUES.path.format(organization=run.organization.slug)
    try:
        pages = run.client.pages(path, params, scope=ISSUES.scope)
        listed = {str(row.get("id")) for page in pages for row in page.rows}
    except (errors.SentryPermissionError, errors.SentryBadRequestError):
        listed = set()
    return [issue_id for issue_id, _ in candidates if issue_id not in listed]


def _fate(run: Run, issue_id: str) -> Row:
    path = path_of(ISSUE_DETAILS, run, {"issue": issue_id})
    try:
        found = str(run.client.get(path, scope=ISSUES.scope).get("id"))
    except errors.SentryNotFoundError:
        return {**_UNMARKED, "is_deleted": True, "deleted_at": datetime.fromtimestamp(run.now, UTC)}
    return _UNMARKED if found == issue_id else {**_UNMARKED, "merged_into": found}


def _merged_before(loaded: Loaded, merged: Mapping[str, Row]) -> Iterator[tuple[str, str]]:
    """Issues that were merged earlier into one that has now been merged itself, with that one's id."""
    ids = sorted(merged)
    for first in range(0, len(ids), IDS_PER_REQUEST):
        chosen = loaded.is_one_of("merged_into", ids[first : first + IDS_PER_REQUEST])
        yield from loaded.values(["id", "merged_into"], chosen)
