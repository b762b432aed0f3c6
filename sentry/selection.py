"""How the listings of an organization are asked for chosen projects.

Without ``project`` Sentry answers for the projects that the token's user is a member of, and nothing says so;
``project=-1`` means all that are accessible. One project without access refuses the whole request, and plans
and servers without the multi-project feature refuse several at once; then it is asked project by project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import errors
from .client import Row
from .progress import Progress
from .run import Run
from .session import logger
from .settings import PROJECTS_PER_REQUEST
from .windows import Window

ALL_ACCESSIBLE = ("-1",)

Selection = tuple[str, ...]
"""Values of the ``project`` parameter."""


def read_projects(
    run: Run,
    progress: Progress,
    window: Window,
    project_ids: list[str],
    read: Callable[[Selection, Window], Iterator[list[Row]]],
) -> Iterator[list[Row]]:
    """Read a window for some projects with as few requests as the server allows, and note what was covered.

    Args:
        run: The extraction.
        progress: Where to note it.
        window: What to read.
        project_ids: For which projects.
        read: Reads the window for one value of the ``project`` parameter.

    Raises:
        SentryPermissionError: None of the projects can be read.
    """
    refusals = Refusals()
    for selection, ids in _selections(run, project_ids):
        try:
            yield from read(selection, window)
        except (errors.SentryPermissionError, errors.SentryBadRequestError) as refusal:
            if selection == (ids[0],):
                refusals.note(refusal)
                continue
            logger.info("Asking project by project: %s", refusal)
            for project_id in ids:
                try:
                    yield from read((project_id,), window)
                except errors.SentryPermissionError as single:
                    refusals.note(single)
                else:
                    progress.cover([project_id], window)
        else:
            progress.cover(ids, window)
    refusals.conclude(len(project_ids))


class Refusals:
    """Projects that could not be read: counted in one line, an error only if it is all of them."""

    def __init__(self) -> None:
        self._refused: list[errors.SentryRequestError] = []

    def note(self, refusal: errors.SentryRequestError) -> None:
        """Count a project without access; any other refusal is raised.

        Raises:
            SentryRequestError: The refusal, where it is not about access.
        """
        if not isinstance(refusal, errors.SentryPermissionError | errors.SentryNotFoundError):
            raise refusal
        self._refused.append(refusal)

    def conclude(self, projects: int) -> None:
        """Say how many of the projects were refused.

        Raises:
            SentryRequestError: All of them were.
        """
        if self._refused and len(self._refused) == projects:
            raise self._refused[0]
        if self._refused:
            logger.warning(
                "%s of %s projects cannot be read: %s", len(self._refused), projects, self._refused[0]
            )


def _selections(run: Run, project_ids: list[str]) -> Iterator[tuple[Selection, list[str]]]:
    if run.all_projects and set(project_ids) == {project.id for project in run.projects}:
        yield ALL_ACCESSIBLE, project_ids
        return
    for first in range(0, len(project_ids), PROJECTS_PER_REQUEST):
        chunk = project_ids[first : first + PROJECTS_PER_REQUEST]
        yield tuple(chunk), chunk
