"""The calls about issues that are named by their ids: looking many up at once, changing them, deleting one.

https://docs.sentry.io/api/events/list-an-organizations-issues/ (``group`` names single issues, whatever query and
dates say), https://docs.sentry.io/api/events/bulk-mutate-a-list-of-issues/,
https://docs.sentry.io/api/events/update-an-issue/, https://docs.sentry.io/api/events/remove-an-issue/.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar

import requests

from . import errors
from .client import Row
from .refusals import server_time
from .run import Run
from .settings import ALL_ACCESSIBLE, ISSUES_PER_CHANGE, PROJECTS_PER_REQUEST

READ, WRITE, ADMIN = "event:read", "event:write", "event:admin"

FINDS_NOTHING = "no-issue-is-called-9b3f2c61d7e84a05"
"""A search that goes with bulk changes: versions of December 2024 to February 2025 change what a search finds
where none of the ids is there any more."""

_UNUSED_PARTS = ["stats", "lifetime", "filtered", "unhandled"]

_OUT_OF_REACH = (errors.SentryNotFoundError, errors.SentryPermissionError)

Item = TypeVar("Item")


def chunks(items: Sequence[Item], size: int = ISSUES_PER_CHANGE) -> Iterator[Sequence[Item]]:
    """The items, so many at a time."""
    yield from (items[first : first + size] for first in range(0, len(items), size))


class IssueCalls:
    """Looks issues up and changes them.

    Args:
        run: The organization.

    Attributes:
        now: The server's clock at the last answer, seconds since 1970.
        one_project: Whether this server takes only one project in a request.
    """

    def __init__(self, run: Run) -> None:
        self.now = time.time()
        self.one_project = False
        self._run = run
        self._path = f"organizations/{run.organization.slug}/issues/"

    @property
    def is_single_only(self) -> bool:
        """Whether issues are read and changed one by one: on servers that cannot list an organization's issues."""
        return self._run.is_before_organization_issues

    @cached_property
    def lacks_scope(self) -> bool:
        """Whether the token surely may not change any issue: the server tells its scopes, and that is not there."""
        try:
            index = self._run.client.get("/")
        except errors.SentryRequestError:
            return False
        scopes = (index.get("auth") or {}).get("scopes") or ()
        return bool(scopes) and not {WRITE, ADMIN} & set(scopes)

    def find(self, issue_ids: Sequence[str]) -> dict[str, Row]:
        """The issues that are there, by id; what was deleted or merged away, or is out of reach, is not.

        Raises:
            SentryRequestError: The token may not read issues, or no answer came.
        """
        if self.is_single_only:
            return dict(self._singly(issue_ids))
        if not self.one_project:
            try:
                return self._together(issue_ids, ALL_ACCESSIBLE[0])
            except errors.SentryBadRequestError:
                self.one_project = True  # a plan or a server without searches across projects
        found: dict[str, Row] = {}
        for project in self._run.projects:
            found |= self._together([one for one in issue_ids if one not in found], project.id)
        return found

    def where_it_went(self, issue_id: str) -> str | None:
        """The id of the issue that this one was merged into, or its own; None if it is not there."""
        with suppress(*_OUT_OF_REACH):
            answer = self._run.client.response(self._path_of(issue_id), scope=READ)
            return str(answer.json().get("id"))
        return None

    def change_one(
        self, issue_id: str, body: Mapping[str, Any], *, scope: str = WRITE, repeatable: bool = True
    ) -> requests.Response:
        """Change one issue; the answer is the whole issue. One that was merged away changes its parent."""
        path = self._path_of(issue_id)
        return self._run.client.send("PUT", path, json=dict(body), scope=scope, repeatable=repeatable)

    def change_many(
        self,
        issue_ids: Sequence[str],
        project_ids: Iterable[str],
        body: Mapping[str, Any],
        *,
        repeatable: bool = True,
    ) -> requests.Response:
        """Change many issues; the answer is what is different now. The one way for calls that name several.

        Without ids Sentry would change every issue that its default search finds.

        Args:
            issue_ids: The issues.
            project_ids: Their projects: ids are only found inside of these, and the change is checked against each.
            body: The change.
            repeatable: Whether doing it twice is the same as doing it once.

        Raises:
            ValueError: There are no ids, too many, or one that is no number; nothing was sent.
            SentryRequestError: As ``SentryClient.send``.
        """
        if not 0 < len(issue_ids) <= ISSUES_PER_CHANGE or not all(map(_is_id, issue_ids)):
            raise ValueError(f"A bulk change needs the ids of up to {ISSUES_PER_CHANGE} issues: {issue_ids}")
        projects = sorted(set(project_ids))
        if not 0 < len(projects) <= PROJECTS_PER_REQUEST or not all(map(_is_id, projects)):
            projects = list(ALL_ACCESSIBLE)
        params = {"id": list(issue_ids), "project": projects, "query": FINDS_NOTHING}
        return self._run.client.send(
            "PUT", self._path, params, json=dict(body), scope=WRITE, repeatable=repeatable
        )

    def delete_one(self, issue_id: str) -> None:
        """Delete one issue; Sentry does it later, but no list shows it from now on."""
        self._run.client.send("DELETE", self._path_of(issue_id), scope=ADMIN, repeatable=False)

    def _path_of(self, issue_id: str) -> str:
        if not _is_id(issue_id):
            raise ValueError(f"{issue_id!r} is not the id of an issue.")
        return f"issues/{issue_id}/" if self.is_single_only else f"{self._path}{issue_id}/"

    def _together(self, issue_ids: Sequence[str], project: str) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for ids in chunks(issue_ids):
            params = {"group": list(ids), "project": project, "collapse": _UNUSED_PARTS}
            answer = self._run.client.response(self._path, params, scope=READ, expected=list)
            self._read_clock(answer)
            found |= {str(row["id"]): row for row in answer.json()}
        return {issue_id: found[issue_id] for issue_id in issue_ids if issue_id in found}

    def _singly(self, issue_ids: Sequence[str]) -> Iterator[tuple[str, Row]]:
        for issue_id in issue_ids:
            with suppress(*_OUT_OF_REACH):
                answer = self._run.client.response(self._path_of(issue_id), scope=READ)
                self._read_clock(answer)
                if str(answer.json().get("id")) == issue_id:  # else it was merged into that one
                    yield issue_id, answer.json()

    def _read_clock(self, answer: requests.Response) -> None:
        moment = server_time(answer)
        self.now = moment.timestamp() if moment else time.time()


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit()
