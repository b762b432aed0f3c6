"""Issues that the destination holds and a complete sweep no longer shows: deleted, merged, or only out of sight.

Absence from a list proves nothing, so each of them is asked for again. What the answer to its id says decides:
its own id (it is only out of sight), another id (it was merged into that one), 404 (it was deleted). Issues whose
last event is older than the server's memory are not asked for: servers forget them by deleting them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import dlt
from dlt.common.exceptions import DltException, PipelineStateNotAvailable

from . import errors
from .client import Row
from .endpoints import ISSUE_DETAILS, ISSUES
from .fanout import in_parallel, path_of
from .loaded import Loaded, as_moment
from .run import Run
from .selection import note_failure
from .settings import IDS_PER_REQUEST, MARKED_AGAIN_SECONDS
from .table import Table
from .windows import DAY, Window

_UNMARKED: Row = {"is_deleted": False, "deleted_at": None, "merged_into": None}

_ENDING = ("pending_deletion", "deletion_in_progress", "pending_merge")


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
        loaded = Loaded(dlt.current.pipeline(), table, dlt.current.source_schema().name)
        if loaded.exists:
            yield from _marked(loaded, run, swept, shown, project_ids)


@dataclass(frozen=True)
class Candidate:
    """An issue that the sweep should have shown; ``is_marked`` if it was found deleted lately."""

    project_id: str
    id: str
    is_marked: bool


def _marked(
    loaded: Loaded, run: Run, swept: Window, shown: Collection[str], project_ids: Collection[str]
) -> Iterator[list[Row]]:
    try:
        fates = _fates(run, _candidates(loaded, run, swept, shown, project_ids))
        merged = {issue_id: fate for issue_id, fate in fates.items() if fate["merged_into"]}
        for issue_id, into in _merged_before(loaded, merged):
            if issue_id not in shown:
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
) -> list[Candidate]:
    """Issues that should have been shown, project by project.

    An issue whose last event is about to age out may have done so in mid-sweep, hence a day of margin. One that
    was found deleted is asked for again for a while: a merge that takes long looks like a deletion.
    """
    since = datetime.fromtimestamp(swept.start + DAY, UTC)
    deleted_since = datetime.fromtimestamp(run.now - MARKED_AGAIN_SECONDS, UTC)
    names = ["id", "project_id", "is_deleted", "deleted_at", "merged_into"]
    found = []
    for row in loaded.values(names, loaded.is_at_least("last_seen", since)):
        issue_id, project_id, is_deleted, deleted_at, merged_into = row
        is_settled = merged_into or (is_deleted and (not deleted_at or as_moment(deleted_at) < deleted_since))
        if issue_id not in shown and project_id in project_ids and not is_settled:
            found.append(Candidate(str(project_id), str(issue_id), is_marked=bool(is_deleted)))
    return sorted(found, key=lambda candidate: (candidate.project_id, candidate.id))


def _fates(run: Run, candidates: list[Candidate]) -> dict[str, Row]:
    """What became of each candidate, where that is news: its marks, by id."""
    fates: dict[str, Row] = {}
    unlisted = candidates
    if not run.is_before_organization_issues:
        for first in range(0, len(candidates), IDS_PER_REQUEST):
            fates |= _listed(run, candidates[first : first + IDS_PER_REQUEST])
        unlisted = [candidate for candidate in candidates if candidate.id not in fates]
    refused: list[errors.SentryRequestError] = []
    for candidate, outcome in in_parallel(run, partial(_fate, run), unlisted):
        try:
            fates[candidate.id] = outcome()
        except errors.SentryPermissionError as refusal:
            refused.append(refusal)
        except errors.SentryRequestError as failure:
            note_failure(run, ISSUES.name, f"issue {candidate.id}, which is not listed any more", failure)
    if refused:
        run.warn_once(
            f"{len(refused)} issues are not listed any more and may not be asked for, so they stay as they are, "
            f"such as: {refused[0]}"
        )
    known = {candidate.id: candidate.is_marked for candidate in candidates}
    return {
        issue_id: fate
        for issue_id, fate in fates.items()
        if fate["merged_into"] or fate["is_deleted"] != known[issue_id]
    }


def _listed(run: Run, candidates: list[Candidate]) -> dict[str, Row]:
    """Those of some issues that the server gives when asked for them by id: they are there.

    While one is being deleted or merged it may be given too; then nothing is new about it.
    """
    params = {
        "group": [candidate.id for candidate in candidates],
        "project": sorted({candidate.project_id for candidate in candidates}),
    }
    marked = {candidate.id: candidate.is_marked for candidate in candidates}
    path = ISSUES.path.format(organization=run.organization.slug)
    try:
        rows = [row for page in run.client.pages(path, params, scope=ISSUES.scope) for row in page.rows]
    except (errors.SentryPermissionError, errors.SentryBadRequestError):
        return {}
    return {
        str(row["id"]): {**_UNMARKED, "is_deleted": marked[str(row["id"])]}
        if str(row.get("status")) in _ENDING
        else _UNMARKED
        for row in rows
        if str(row.get("id")) in marked
    }


def _fate(run: Run, candidate: Candidate) -> Row:
    path = path_of(ISSUE_DETAILS, run, {"issue": candidate.id})
    try:
        found = str(run.client.get(path, scope=ISSUES.scope).get("id"))
    except errors.SentryNotFoundError:
        return {**_UNMARKED, "is_deleted": True, "deleted_at": datetime.fromtimestamp(run.now, UTC)}
    return _UNMARKED if found == candidate.id else {**_UNMARKED, "merged_into": found}


def _merged_before(loaded: Loaded, merged: Mapping[str, Row]) -> Iterator[tuple[str, str]]:
    """Issues that were merged earlier into one that has now been merged itself, with that one's id."""
    ids = sorted(merged)
    for first in range(0, len(ids), IDS_PER_REQUEST):
        chosen = loaded.is_one_of("merged_into", ids[first : first + IDS_PER_REQUEST])
        yield from loaded.values(["id", "merged_into"], chosen)
