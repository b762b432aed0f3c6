"""How tables below a parent are read: one reading per project, team, repository..., several at a time.

A parent that cannot be read is skipped and counted; the table is skipped only if that is so for all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from queue import Empty, Full, Queue
from threading import Event
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote

from . import errors
from .client import Row
from .endpoints import DASHBOARDS, MONITORS, REPOSITORIES, TEAMS
from .limits import wanted_until
from .rows import table_rows
from .run import Run
from .selection import Refusals
from .settings import MOST_TAG_VALUES, PAGE_SIZE, PROJECTS_PER_REQUEST
from .table import ParentKind, Table

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Parent:
    """What rows hang on.

    Attributes:
        path: The values that the path of the table names; they are encoded where it is built.
        columns: What each row says of its parents: ids and slugs.
    """

    path: Mapping[str, str]
    columns: Row


def read_children(
    table: Table, run: Run, parents: Iterable[Parent], refusals: Refusals
) -> Iterator[tuple[Parent, list[Row]]]:
    """The rows of a table below some parents, page by page, several parents at a time.

    Args:
        table: Its entry in the catalogue.
        run: The extraction.
        parents: Below which.
        refusals: Counts the parents that cannot be read.

    Raises:
        SentryRequestError: A refusal that is not about access.
    """
    for parent, page in streamed(run, partial(_read, table, run), parents):
        if not isinstance(page, Ended):
            yield parent, table_rows(table, run, page, **parent.columns)
        elif isinstance(page.error, errors.SentryRequestError):
            refusals.note(" ".join(parent.path.values()), page.error)
            project_id = parent.columns.get("project_id")
            refusals.projects.update(run.project_ids if project_id is None else [str(project_id)])
        elif page.error is not None:
            raise page.error


def parents_of(kind: ParentKind, run: Run) -> Iterator[Parent]:
    """The parents of a kind that are simply listed: projects, teams, repositories, dashboards, monitors."""
    return _LISTED[kind](run)


def in_parallel(
    run: Run, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Callable[[], Result]]]:
    """Call a function for all items, a few at a time, and give the outcomes in order.

    Args:
        run: The extraction, whose threads do it.
        function: What to call, in other threads.
        items: For what.

    Yields:
        Each item with a call that returns its result or raises its error. Only a few results are kept at once.
    """
    under_way: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            under_way.append((item, run.pool.submit(function, item)))
            if len(under_way) >= 2 * run.max_parallel:
                first, future = under_way.popleft()
                yield first, future.result
        while under_way:
            first, future = under_way.popleft()
            yield first, future.result
    finally:
        for _, future in under_way:
            future.cancel()


@dataclass(frozen=True)
class Ended:
    """What comes behind the last rows of an item.

    Attributes:
        error: Why there are no more, if that is not because all are read.
    """

    error: Exception | None = None


def streamed(
    run: Run, read: Callable[[Item], Iterator[list[Row]]], items: Iterable[Item]
) -> Iterator[tuple[Item, list[Row] | Ended]]:
    """Read several items at a time, page by page, so that of large ones only a few pages are in memory.

    Args:
        run: The extraction.
        read: Reads an item, in a thread.
        items: What to read.

    Yields:
        Items with their pages, as they come, and each item with ``Ended`` at last.
    """
    for batch in streamed_in_batches(run, read, items):
        yield from batch


def streamed_in_batches(
    run: Run, read: Callable[[Item], Iterator[list[Row]]], items: Iterable[Item]
) -> Iterator[list[tuple[Item, list[Row] | Ended]]]:
    """As ``streamed``, but all that has come at once: dlt takes from one resource after the other.

    A page at a time, threads would wait for a resource that waits for a request of its own.
    """
    pages: Queue[tuple[Item, list[Row] | Ended]] = Queue(maxsize=2 * run.max_parallel)
    is_over = Event()

    def hand_over(item: Item, page: list[Row] | Ended) -> bool:
        while not is_over.is_set():
            with suppress(Full):
                pages.put((item, page), timeout=0.1)
                return True
        return False

    def work(item: Item) -> None:
        error = None
        try:
            with wanted_until(is_over):
                for page in read(item):
                    if not hand_over(item, page):
                        return
        except Exception as raised:  # noqa: BLE001 - raised again by who asked for it
            error = raised
        hand_over(item, Ended(error))

    workers = run.max_parallel + run.max_parallel // 2  # some parse while others' requests are under way
    # threads of their own: those of the run may wait for this generator to go on
    with ThreadPoolExecutor(workers, thread_name_prefix="sentry") as pool:
        try:
            rest, under_way = iter(items), 0
            while True:
                for item in islice(rest, workers - under_way):
                    pool.submit(work, item)
                    under_way += 1
                if not under_way:
                    return
                batch = _all_of(pages)
                under_way -= sum(isinstance(page, Ended) for _, page in batch)
                yield batch
        finally:
            is_over.set()
            run.client.governor.wake()


def _all_of(queue: Queue[Result]) -> list[Result]:
    """What is in a queue, at least one."""
    found = [queue.get()]
    with suppress(Empty):
        while len(found) < queue.maxsize:
            found.append(queue.get_nowait())
    return found


def path_of(table: Table, run: Run, values: Mapping[str, str]) -> str:
    """The table's path for a parent; below ``/issues/`` on servers that know no organization there."""
    path = table.path
    if "issue" in values and run.is_before_organization_issues:
        path = path.removeprefix("organizations/{organization}/")
    encoded = {name: quote(value, safe="") for name, value in values.items()}
    return path.format(organization=run.organization.slug, **encoded)


def pages_of(table: Table, run: Run, parent: Parent) -> Iterator[list[Row]]:
    """The rows of a table below one parent, page by page."""
    path, params = path_of(table, run, parent.path), params_of(table, run)
    if table.answer == "object":
        yield [run.client.get(path, params, scope=table.scope)]
        return
    if table.paged:
        params["per_page"] = str(PAGE_SIZE)
    for page in run.client.pages(path, params, scope=table.scope):
        yield page.rows


def params_of(table: Table, run: Run) -> dict[str, str | Sequence[str]]:
    """The table's parameters; ``project=-1`` becomes the chosen projects, and goes on servers before that."""
    params: dict[str, str | Sequence[str]] = dict(table.params)
    if "project" in params and run.is_before_organization_issues:
        del params["project"]
    elif "project" in params and not run.all_projects and len(run.project_ids) <= PROJECTS_PER_REQUEST:
        params["project"] = run.project_ids
    return params


def _read(table: Table, run: Run, parent: Parent) -> Iterator[list[Row]]:
    of_tag = bool(table.parent and table.parent.endswith(" tag"))
    count = 0
    try:
        for rows in pages_of(table, run, parent):
            count += len(rows)
            # an issue that was merged meanwhile: the answer is the other one's
            is_checked = table.answer == "object" and "issue" in parent.path
            yield [row for row in rows if not is_checked or str(row.get("id")) == parent.path["issue"]]
    except errors.SentryNotFoundError:
        if not of_tag:  # else the project or issue does not know the key
            raise
    if of_tag and count >= MOST_TAG_VALUES:
        run.warn_once(f"{table.name}: Sentry lists {count} values of a tag at the most; there may be more.")


def _projects(run: Run) -> Iterator[Parent]:
    for project in run.projects:
        yield Parent({"project": project.slug}, {"project_id": project.id, "project_slug": project.slug})


def _project_tags(run: Run) -> Iterator[Parent]:
    if not run.tag_keys:
        run.warn_once("tag_values has no rows without the setting tag_keys.")
    for project in _projects(run):
        for key in run.tag_keys:
            yield Parent({**project.path, "tag": key}, {**project.columns, "tag_key": key})


def _teams(run: Run) -> Iterator[Parent]:
    for row in _listed(TEAMS, run):
        yield Parent({"team": str(row["slug"])}, {"team_id": str(row["id"]), "team_slug": row["slug"]})


def _repositories(run: Run) -> Iterator[Parent]:
    for row in _listed(REPOSITORIES, run):
        yield Parent(
            {"repository": str(row["id"])},
            {"repository_id": str(row["id"]), "repository_name": row.get("name")},
        )


def _dashboards(run: Run) -> Iterator[Parent]:
    path = DASHBOARDS.path.removesuffix("{dashboard}/").format(organization=run.organization.slug)
    for page in run.client.listing(path, scope=DASHBOARDS.scope):
        for row in page:
            yield Parent({"dashboard": str(row["id"])}, {})


def _monitors(run: Run) -> Iterator[Parent]:
    for row in _listed(MONITORS, run):
        project = row.get("project") or {}
        columns: dict[str, Any] = {
            "monitor_id": str(row["id"]),
            "monitor_slug": row.get("slug"),
            "project_id": project.get("id"),
            "project_slug": project.get("slug"),
        }
        yield Parent({"monitor": str(row.get("slug") or row["id"])}, columns)


def _listed(table: Table, run: Run) -> list[Row]:
    """Rows of a listing that have an id: what lies below them can be asked for."""
    rows = (row for page in _read(table, run, Parent({}, {})) for row in page)
    return run.rejects.with_key(table, rows, "id")


_LISTED: Mapping[ParentKind, Callable[[Run], Iterator[Parent]]] = MappingProxyType(
    {
        "project": _projects,
        "project tag": _project_tags,
        "team": _teams,
        "repository": _repositories,
        "dashboard": _dashboards,
        "monitor": _monitors,
    }
)
