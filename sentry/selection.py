"""How the listings of an organization are asked for chosen projects.

Without ``project`` Sentry answers for the projects that the token's user is a member of, and nothing says so;
``project=-1`` means all that are accessible. One project without access refuses the whole request, and plans
and servers without the multi-project feature refuse several at once; then it is asked project by project.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial

import dlt

from . import errors
from .choices import cursor_of, disposition_of, exact_window
from .client import Row
from .failures import FAILED, may_be_about_one_thing
from .log import logger
from .progress import Progress, by_window
from .run import Run
from .settings import ALL_ACCESSIBLE, PROJECTS_PER_REQUEST
from .windows import Window

UNREADABLE = (errors.SentryPermissionError, errors.SentryNotFoundError, errors.SentryGoneError)
"""What the token, the plan or the server's version does not give; a 401 or a wrong organization is an error."""

Selection = tuple[str, ...]
"""Values of the ``project`` parameter."""


def note_failure(run: Run, table: str, what: str, failure: errors.SentryRequestError) -> None:
    """Pass over something of a table that fails for good; the metrics then say so.

    Args:
        run: The extraction.
        table: The table.
        what: What of it; the empty text: all of it.
        failure: Why it cannot be read.

    Raises:
        SentryRequestError: The failure, where it must not be passed over; so in an exact range, which no later run
            reads again.
    """
    cursor = cursor_of(dlt.current.resource())
    if cursor is not None and exact_window(cursor) is not None:
        raise failure
    run.failures.pass_over(f"{table} of {what}" if what else table, failure)
    dlt.current.resource_metrics().setdefault(FAILED, {})[what] = str(failure)


class Refusals:
    """Parents of a table that cannot be read: skipped and counted, an error only if it is all of them.

    Those without access are skipped with a warning; a parent that fails for good makes the run a failed one.

    Where the user wants strictness, or where the table is replaced and would lose their rows, none is skipped.

    Args:
        run: The extraction.
    """

    def __init__(self, run: Run) -> None:
        resource = dlt.current.resource()
        self._run = run
        self._table = resource.name
        disposition = disposition_of(resource)
        self._tolerates = not run.strict and disposition != "replace"
        self._merges = disposition == "merge"
        self._metrics = dlt.current.resource_metrics()
        self._refused: dict[str, errors.SentryRequestError] = {}
        self._skipped = 0
        self.projects: set[str] = set()
        """Ids of the projects that refused parents lie in."""

    def note(self, parent: str, refusal: errors.SentryRequestError) -> None:
        """Count a parent that cannot be read.

        Raises:
            SentryRequestError: The refusal, where it must not be skipped.
        """
        if isinstance(refusal, UNREADABLE) and self._tolerates:
            self._skipped += 1
        elif self._merges:
            note_failure(self._run, self._table, parent, refusal)
        else:  # what was read of it so far would be added once more by the next run
            raise refusal
        self._refused[parent] = refusal

    def __contains__(self, parent: str) -> bool:
        """Whether a parent was refused."""
        return parent in self._refused

    def conclude(self, parents: int) -> None:
        """Say how many of the parents were refused.

        Raises:
            SentryRequestError: All of them were.
        """
        if not self._refused:
            return
        first = next(iter(self._refused.values()))
        if len(self._refused) == parents:
            raise first
        if self._skipped:
            logger.warning("%s of %s cannot be read, such as: %s", self._skipped, parents, first)
            self._metrics.setdefault("skipped", {})[f"{self._skipped} of {parents}"] = str(first)


def read_projects(
    run: Run,
    progress: Progress,
    plan: Mapping[str, list[Window]],
    read: Callable[[Window, Selection], Iterator[list[Row]]],
) -> Iterator[list[Row]]:
    """What this run reads of all projects, with as few requests as the server allows; notes what was covered.

    Args:
        run: The extraction.
        progress: Where to note what was covered.
        plan: What to read of each project.
        read: Reads a window for one value of the ``project`` parameter.

    Raises:
        SentryRequestError: None of the projects can be read, or a refusal is not about access.
    """
    refusals = Refusals(run)
    for window, project_ids in by_window(plan).items():
        for selection, ids in selections(run, project_ids):
            covered = yield from _read_selection(selection, ids, partial(read, window), refusals)
            progress.cover(covered, window)
    refusals.conclude(len(run.project_ids))


def read_selections(run: Run, read: Callable[[Selection], Iterator[list[Row]]]) -> Iterator[list[Row]]:
    """What a reading without progress brings of all projects, with as few requests as the server allows.

    Raises:
        SentryRequestError: None of the projects can be read, or a refusal is not about access.
    """
    refusals = Refusals(run)
    for selection, ids in selections(run, run.project_ids):
        yield from _read_selection(selection, ids, read, refusals)
    refusals.conclude(len(run.project_ids))


def _read_selection(
    selection: Selection,
    ids: list[str],
    read: Callable[[Selection], Iterator[list[Row]]],
    refusals: Refusals,
) -> Generator[list[Row], None, list[str]]:
    """Read projects together, or one by one where the server refuses that; returns which could be read."""
    try:
        yield from read(selection)
    except errors.SentryRequestError as refusal:
        if not _may_be_about_a_project(refusal):
            raise
        if selection == (ids[0],):
            refusals.note(ids[0], refusal)
            return []
        logger.info("Asking project by project: %s", refusal)
    else:
        return ids
    covered = []
    for project_id in ids:
        try:
            yield from read((project_id,))
        except errors.SentryRequestError as refusal:
            if not _may_be_about_a_project(refusal):
                raise
            refusals.note(project_id, refusal)
        else:
            covered.append(project_id)
    return covered


def _may_be_about_a_project(refusal: errors.SentryRequestError) -> bool:
    """Whether the other projects may be read when they are asked for alone."""
    return isinstance(refusal, errors.SentryPermissionError) or may_be_about_one_thing(refusal)


def selections(run: Run, project_ids: list[str]) -> Iterator[tuple[Selection, list[str]]]:
    """Values of the ``project`` parameter that name all these projects, and which projects each names."""
    if run.all_projects and set(project_ids) == set(run.project_ids):
        yield ALL_ACCESSIBLE, project_ids
        return
    for first in range(0, len(project_ids), PROJECTS_PER_REQUEST):
        chunk = project_ids[first : first + PROJECTS_PER_REQUEST]
        yield tuple(chunk), chunk
