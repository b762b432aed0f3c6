"""How the listings of an organization are asked for chosen projects.

Without ``project`` Sentry answers for the projects that the token's user is a member of, and nothing says so;
``project=-1`` means all that are accessible. One project without access refuses the whole request, and plans
and servers without the multi-project feature refuse several at once; then it is asked project by project.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial

from . import errors
from .client import Row
from .progress import Progress, by_window
from .run import Run
from .session import logger
from .settings import PROJECTS_PER_REQUEST
from .windows import Window

ALL_ACCESSIBLE = ("-1",)

Selection = tuple[str, ...]
"""Values of the ``project`` parameter."""


class Refusals:
    """Projects of a table that cannot be read: counted in one line, an error only if it is all of them."""

    def __init__(self) -> None:
        self._refused: dict[str, errors.SentryRequestError] = {}

    def note(self, project_id: str, refusal: errors.SentryRequestError) -> None:
        """Count a project without access; any other refusal is raised.

        Raises:
            SentryRequestError: The refusal, where it is not about access.
        """
        if not isinstance(refusal, errors.SentryPermissionError | errors.SentryNotFoundError):
            raise refusal
        self._refused[project_id] = refusal

    def conclude(self, projects: int) -> None:
        """Say how many of the projects were refused.

        Raises:
            SentryRequestError: All of them were.
        """
        if not self._refused:
            return
        first = next(iter(self._refused.values()))
        if len(self._refused) == projects:
            raise first
        logger.warning("%s of %s projects cannot be read: %s", len(self._refused), projects, first)


def read_projects(
    run: Run, progress: Progress, read: Callable[[Window, Selection], Iterator[list[Row]]]
) -> Iterator[list[Row]]:
    """What this run reads of all projects, with as few requests as the server allows; notes what was covered.

    Args:
        run: The extraction.
        progress: What was read before.
        read: Reads a window for one value of the ``project`` parameter.

    Raises:
        SentryRequestError: None of the projects can be read, or a refusal is not about access.
    """
    refusals = Refusals()
    for window, project_ids in by_window(progress.plan(run.project_ids)).items():
        for selection, ids in _selections(run, project_ids):
            covered = yield from _read_selection(selection, ids, partial(read, window), refusals)
            progress.cover(covered, window)
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
    except (errors.SentryPermissionError, errors.SentryBadRequestError) as refusal:
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
        except errors.SentryPermissionError as refusal:
            refusals.note(project_id, refusal)
        else:
            covered.append(project_id)
    return covered


def _selections(run: Run, project_ids: list[str]) -> Iterator[tuple[Selection, list[str]]]:
    if run.all_projects and set(project_ids) == set(run.project_ids):
        yield ALL_ACCESSIBLE, project_ids
        return
    for first in range(0, len(project_ids), PROJECTS_PER_REQUEST):
        chunk = project_ids[first : first + PROJECTS_PER_REQUEST]
        yield tuple(chunk), chunk
