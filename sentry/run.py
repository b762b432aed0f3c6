"""What one extraction knows: the organization and where its data is, its projects, the end of its windows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, TypeVar, cast

import dlt
import requests
from dlt.common.exceptions import PipelineStateNotAvailable
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable

from . import errors
from .client import Row, SentryClient
from .config import Connection, region_base_url, server_identity
from .counts import EventCounter, Hours
from .endpoints import ISSUES, ORGANIZATIONS, PROJECTS
from .failures import Failures
from .limits import Tally
from .log import logger
from .privacy import Privacy
from .refusals import server_time
from .rejects import Rejects
from .settings import ALL_ACCESSIBLE, CLOCK_TOLERANCE_SECONDS, PROJECTS_PER_REQUEST
from .table import column_name
from .windows import Window, floor_seconds

Value = TypeVar("Value")


@dataclass(frozen=True)
class Project:
    """A project that this run reads: id and slug."""

    id: str
    slug: str


@dataclass(frozen=True)
class Organization:
    """The organization that this run reads.

    Attributes:
        id: Its id.
        slug: Its slug, for paths.
        detail: The server's answer about it.
    """

    id: str
    slug: str
    detail: Row = field(repr=False)

    @property
    def may_be_old_server(self) -> bool:
        """True where the answer has no ``links``: a self-hosted server of 2022 or before."""
        return not isinstance(self.detail.get("links"), dict)


class Run:
    """One extraction: made when its first table starts, shared by all its tables.

    Args:
        connection: Server, token, and what the user chose.
        tag_keys: The tag keys whose values are read.
        strict: Whether what cannot be read is an error.
        privacy: What of people reaches the destination; None: all.

    Attributes:
        client: Reads the organization's data, at its region's host.
        organization: The organization.
        now: The pinned end of all windows, seconds since 1970, by the server's clock.
        privacy: Takes out of rows what must not reach the destination.
        rejects: Rows that cannot be loaded.
        failures: What cannot be read although it should be.
        replaced: How many values no destination could have stored as they came.
        failed: By table and project, parts of a long history that failed in this load or in one before it by the
            same source: they wait until the rest is read.
        load_id: Id of the load that it is part of; None outside of a pipeline.

    Raises:
        SentryError: The organization cannot be told or read.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        tag_keys: Sequence[str] = (),
        strict: bool = False,
        privacy: Privacy | None = None,
    ) -> None:
        self.load_id: str | None = None
        self.tag_keys = tuple(tag_keys)
        self.strict = strict
        self.privacy = privacy or Privacy()
        self._connection = connection
        self._home = SentryClient(connection)
        self._tally_before = self._home.governor.tally
        slug = connection.organization or self._only_organization()
        response = self._home.response(f"organizations/{slug}/", scope=ORGANIZATIONS.scope)
        detail = response.json()
        if not detail.get("id") or not detail.get("slug"):
            raise errors.SentryConfigurationError(
                f"{connection.base_url} does not answer like a Sentry server. Check base_url."
            )
        self.organization = Organization(str(detail["id"]), str(detail["slug"]), detail)
        links = detail.get("links")
        region = region_base_url(
            connection.base_url, links.get("regionUrl") if isinstance(links, dict) else None
        )
        self.client = (
            self._home if region == self._home.base_url else SentryClient(connection, base_url=region)
        )
        self.now = _pinned_end(response)
        self._lock = threading.RLock()
        self._warned: set[str] = set()
        self._known: dict[Hashable, Any] = {}
        self.rejects = Rejects()
        self.failures = Failures(self._check_server, strict=strict)
        self.replaced = 0
        self.failed: dict[str, dict[str, list[Window]]] = {}
        self._counter = EventCounter(
            self.client, self.organization.slug, is_old=self.organization.may_be_old_server
        )

    @property
    def max_parallel(self) -> int:
        """How many requests may be under way at once."""
        return self._connection.max_parallel

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """The threads of this run, each with a session of its own."""
        return ThreadPoolExecutor(self.max_parallel, thread_name_prefix="sentry")

    def warn_once(self, message: str) -> None:
        """Log a warning, once in this run however many tables have cause for it."""
        with self._lock:
            if message not in self._warned:
                self._warned.add(message)
                logger.warning(message)

    def _check_server(self) -> None:
        self.client.get(f"organizations/{self.organization.slug}/", scope=ORGANIZATIONS.scope)

    def count_replaced(self, values: int) -> None:
        """Count values that no destination could have stored as they came."""
        with self._lock:
            self.replaced += values

    def once(self, name: Hashable, make: Callable[[], Value]) -> Value:
        """What ``make`` gave when it was first asked for under this name in this run."""
        with self._lock:
            if name not in self._known:
                self._known[name] = make()
            return cast("Value", self._known[name])

    def count(self, project_ids: Sequence[str], window: Window) -> Hours | None:
        """How many error events Sentry counts in some of this run's projects together, by hour.

        Returns:
            Numbers by the second in which the hour begins; None if this server does not count.
        """
        found: Hours = {}
        for selection in self._selections(project_ids):
            counted = self._count(selection, window)
            if counted is None:
                return None
            for hour, count in counted.items():
                found[hour] = found.get(hour, 0) + count
        return found

    def _count(self, selection: Sequence[str], window: Window) -> Hours | None:
        """Count for projects together, or one by one where that is refused; those without access count nothing."""
        ids = self.project_ids if selection == ALL_ACCESSIBLE else selection
        try:
            return self._counter.hours(selection, window)
        except (errors.SentryBadRequestError, errors.SentryPermissionError):
            if len(ids) == 1:
                return {}
        counts = [self._count([project_id], window) for project_id in ids]
        known = [count for count in counts if count is not None]
        return (
            {hour: sum(count.get(hour, 0) for count in known) for hour in set[int]().union(*known)}
            if known
            else None
        )

    def oldest_answered(self, first: int) -> int | None:
        """From when on the server answers for error events: ``first`` or the edge of its retention.

        Returns:
            Seconds since 1970; None if this server does not tell.
        """
        ids = self.project_ids
        return self._counter.oldest(ids[0], first, self.now) if ids else first

    def _selections(self, project_ids: Sequence[str]) -> list[Sequence[str]]:
        if self.all_projects and len(project_ids) > 1 and set(project_ids) == set(self.project_ids):
            return [ALL_ACCESSIBLE]
        starts = range(0, len(project_ids), PROJECTS_PER_REQUEST)
        return [project_ids[first : first + PROJECTS_PER_REQUEST] for first in starts]

    @property
    def tally(self) -> Tally:
        """Requests of this run so far, retries included, and what limits have done to them."""
        return self.client.governor.tally.since(self._tally_before)

    @property
    def projects(self) -> list[Project]:
        """The projects that this run reads, in the order of their slugs.

        Where the user chose none, those without access are left out: ``project=-1`` is silent about them, so
        they must not count as read.
        """
        open_rows = [row for row in self.project_rows if row.get("hasAccess", True) or not self.all_projects]
        return sorted(
            (Project(str(row["id"]), str(row["slug"])) for row in open_rows),
            key=lambda project: project.slug,
        )

    @property
    def project_ids(self) -> list[str]:
        """The ids of these projects."""
        return [project.id for project in self.projects]

    @property
    def all_projects(self) -> bool:
        """Whether the user chose no projects, so that all are read."""
        return self._connection.projects is None

    @property
    def project_rows(self) -> list[Row]:
        """The chosen projects as the server lists them, asked for once in a run.

        Raises:
            SentryConfigurationError: A chosen project is not there.
        """
        with self._lock:
            return self._project_rows

    @cached_property
    def _project_rows(self) -> list[Row]:
        path = PROJECTS.path.format(organization=self.organization.slug)
        found = {
            str(row["id"]): row
            for page in self.client.listing(path, scope=PROJECTS.scope)
            for row in self.rejects.with_key(PROJECTS, page, "id", "slug")
        }
        chosen = self._connection.projects
        if chosen is None:
            closed = sorted(str(row["slug"]) for row in found.values() if not row.get("hasAccess", True))
            if closed:
                logger.warning("Not open to the token's user, and so not read: %s.", ", ".join(closed))
            return list(found.values())
        names = {name for row in found.values() for name in (str(row["id"]), str(row["slug"]))}
        unknown = [name for name in chosen if name not in names]
        if unknown:
            raise errors.SentryConfigurationError(
                f"No project {', '.join(unknown)} in {self.organization.slug}. This token sees: "
                f"{', '.join(sorted(str(row['slug']) for row in found.values())) or 'none'}."
            )
        return [row for row in found.values() if {str(row["id"]), str(row["slug"])} & set(chosen)]

    @property
    def is_before_organization_issues(self) -> bool:
        """Whether the organization's issues cannot be listed: such a server fails when asked for one project's.

        Asked only where the organization's answer looks old, and without another try, because the failure is
        permanent there. Whatever else goes wrong is left to the reading itself.
        """
        with self._lock:
            return self._is_before_organization_issues

    @cached_property
    def _is_before_organization_issues(self) -> bool:
        if not self.organization.may_be_old_server:
            return False
        path = ISSUES.path.format(organization=self.organization.slug)
        for project in self.projects:
            params = {"project": project.id, "query": "", "limit": "1"}
            try:
                for _ in self.client.pages(path, params, scope=ISSUES.scope, retry=False):
                    return False
            except errors.SentryPermissionError:
                continue
            except errors.SentryRequestError as refusal:
                if refusal.status not in (400, 404, 500):
                    return False
                logger.info("Reading issues project by project, as this server is old: %s", refusal)
                return True
        return False

    def organization_rows(self) -> list[Row]:
        """The organizations that the token can see; its own one also where the list hides it.

        An integration's token gets an empty list, so the answer about the organization itself stands in,
        cut to the fields that the list would show: the long form holds secrets.
        """
        rows = {
            str(row["id"]): row
            for page in self._home.listing(ORGANIZATIONS.path)
            for row in self.rejects.with_key(ORGANIZATIONS, page, "id")
        }
        if self.organization.id not in rows:
            listed = {column.name for column in ORGANIZATIONS.columns}
            rows[self.organization.id] = {
                name: value for name, value in self.organization.detail.items() if column_name(name) in listed
            }
        return list(rows.values())

    def _only_organization(self) -> str:
        slugs = [str(row["slug"]) for page in self._home.listing(ORGANIZATIONS.path) for row in page]
        if len(slugs) == 1:
            return slugs[0]
        seen = (
            f"sees {len(slugs)} organizations: {', '.join(sorted(slugs))}"
            if slugs
            else "does not tell its organization (tokens of internal integrations do not)"
        )
        raise errors.SentryConfigurationError(
            f"The token {seen}. Set organization in .dlt/config.toml under [sources.sentry], or SENTRY_ORG."
        )


class CurrentRun:
    """Gives all resources of a source the same ``Run`` within one load, and a new one in the next.

    Args:
        connection: Server, token, and what the user chose.
        tag_keys: The tag keys whose values are read.
        strict: Whether what cannot be read is an error.
        privacy: What of people reaches the destination; None: all.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        tag_keys: Sequence[str] = (),
        strict: bool = False,
        privacy: Privacy | None = None,
    ) -> None:
        self._make = partial(Run, connection, tag_keys=tag_keys, strict=strict, privacy=privacy)
        self._connection = connection
        self._lock = threading.Lock()
        self._load_id: str | None = None
        self._run: Run | None = None
        self._failed: dict[str, dict[str, list[Window]]] = {}

    def __call__(self) -> Run:
        """The run of the load that is being extracted.

        Raises:
            SentryStateError: The pipeline's state belongs to another organization or server.
            SentryError: The organization cannot be told or read.
        """
        with self._lock:
            load_id = _from_pipeline(lambda: str(dlt.current.load_package_state()["load_id"]))
            if self._run is None or load_id is None or load_id != self._load_id:
                self._run = self._make()
                self._run.load_id = load_id
                self._run.failed = self._failed
                _claim_state(self._run.organization, self._connection)
                _note_privacy(self._run)
                self._load_id = load_id
            return self._run


def _from_pipeline(value: Callable[[], Any]) -> Any:
    """A value that only a pipeline has; None where the source is iterated without one."""
    try:
        return value()
    except (CurrentLoadPackageStateNotAvailable, PipelineStateNotAvailable):
        return None


def _claim_state(organization: Organization, connection: Connection) -> None:
    """Tie the pipeline's state to this organization and server; cursors of another one would lose rows."""
    state = dlt.current.source_state()
    mine = {"organization_id": organization.id, "base_url": server_identity(connection.base_url)}
    theirs = state.setdefault("belongs_to", mine)
    if theirs != mine:
        name = _from_pipeline(lambda: dlt.current.pipeline().pipeline_name)
        raise errors.SentryStateError(
            f"This pipeline has loaded organization {theirs['organization_id']} of {theirs['base_url']}, and is "
            f"now asked for {organization.slug} ({organization.id}) of {mine['base_url']}. Give that one a "
            "pipeline_name and dataset_name of its own. If it is the same server under a new address, let the "
            f"pipeline forget the old one: dlt pipeline {name or 'NAME'} drop --state-paths belongs_to."
        )


def _note_privacy(run: Run) -> None:
    """Keep in the state what becomes of personal data, and say when that is not what it was."""
    state = dlt.current.source_state()
    mark = run.privacy.mark
    if state.setdefault("personal_data", mark) != mark:
        run.warn_once(
            "personal_data or its key is not what it was in the last load. Rows loaded before stay as they were, "
            "until they are read again; events are not. Only --full-refresh makes all of them alike."
        )
        state["personal_data"] = mark


def _pinned_end(response: requests.Response) -> int:
    """The end of all windows: now by Sentry's clock, or by ours where ours is behind.

    A moment that has not come yet must never count as read.
    """
    ours, theirs = datetime.now(UTC), server_time(response)
    if theirs is not None and abs((ours - theirs).total_seconds()) > CLOCK_TOLERANCE_SECONDS:
        logger.warning(
            "This machine's clock (%s) and Sentry's (%s) differ by %.0f s; windows end at the earlier one.",
            ours.strftime("%Y-%m-%d %H:%M:%S"),
            theirs.strftime("%Y-%m-%d %H:%M:%S"),
            abs((ours - theirs).total_seconds()),
        )
    return floor_seconds(min(ours, theirs or ours))
