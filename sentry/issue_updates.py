"""Rows become changes of issues in Sentry: equal changes share bulk calls, and what is so already is left alone.

https://docs.sentry.io/api/events/bulk-mutate-a-list-of-issues/ says what a change does. Before a change is sent its
issues are looked up, 100 in a request. That tells which are there (Sentry skips the others in silence, and versions
of December 2024 to February 2025 changed every issue when none was there), in which project, and which are so
already.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from dlt.common.configuration import with_config
from dlt.common.typing import TSecretStrValue

from . import errors
from .client import Row
from .config import Connection, connect
from .issue_calls import IssueCalls, chunks
from .issue_changes import PERSONAL, Change
from .issue_endings import NOT_THERE, IssueEndings, Wish, reason_of
from .issue_outcomes import Outcomes
from .issue_rows import InvalidRowError, IssueRow, check_columns, named_issue, read_row
from .log import logger
from .run import Run
from .settings import FAILURES_BEFORE_STOP, ISSUES_PER_CHANGE


def update_issues(  # noqa: PLR0913 - settings, all by name
    rows: Iterable[Mapping[str, Any]],
    *,
    auth_token: str | None = None,
    organization: str | None = None,
    base_url: str | None = None,
    allow_destructive: bool = False,
    dry_run: bool = False,
    allow_insecure: bool = False,
    outcomes: str | os.PathLike[str] | None = None,
) -> Outcomes:
    """Change issues in Sentry.

    A row names an issue (``issue_id`` or ``id``) and what it shall be like: ``status``, ``substatus``,
    ``status_details``, ``assigned_to``, ``priority``, ``has_seen``, ``is_bookmarked``, ``is_subscribed``,
    ``is_public``; null means not given, and an empty ``assigned_to`` nobody. Or how it shall end: ``merge_into``
    another issue, ``discard``, ``delete``. Rows about the same issue become one change, in which the later row wins
    field by field; endings come last, in the order of their rows.

    Args:
        rows: The rows.
        auth_token: As for ``sentry_source``, from the same configuration. It takes the scopes ``org:read`` and
            ``event:write``, to discard or delete ``event:admin``.
        organization: Slug or id.
        base_url: Host or URL of the server.
        allow_destructive: Carry out rows that merge, discard or delete.
        dry_run: Only look, and say what would be done.
        allow_insecure: Allow plain http to hosts other than this machine.
        outcomes: A file that the outcome of each row is appended to, as a line of JSON.

    Returns:
        What became of each row. A row that makes no sense, or that Sentry refuses, keeps no other from its effect.

    Raises:
        SentryConfigurationError: A column that is not known, or no usable connection; nothing was sent.
        SentryRequestError: The organization or the token is refused, or Sentry could not be reached for longer than
            the retries last; doing it again is harmless.
    """
    given = list(rows)
    check_columns(given)
    connection = connection_from(auth_token, organization, base_url, allow_insecure)
    told = Outcomes(outcomes)
    updates = IssueUpdates(connection, allow_destructive=allow_destructive, dry_run=dry_run)
    updates.apply(given, told)
    told.rows.sort(key=lambda one: one.row)
    return told


def connection_from(
    auth_token: str | None,
    organization: str | None,
    base_url: str | None,
    allow_insecure: bool,  # noqa: FBT001 - a setting among others
) -> Connection:
    """The connection to write with: what was given, the rest from where ``sentry_source`` finds it.

    Raises:
        SentryConfigurationError: No token, or a base URL that is none.
    """
    given = {"auth_token": auth_token, "organization": organization, "base_url": base_url}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if allow_insecure:
        chosen["allow_insecure"] = True
    return _connection(**chosen)


@with_config(sections=("sources", "sentry"))
def _connection(
    auth_token: TSecretStrValue | None = None,
    organization: str | None = None,
    base_url: str | None = None,
    *,
    allow_insecure: bool = False,
) -> Connection:
    connection = connect(auth_token, organization, base_url, None, allow_insecure=allow_insecure)
    return replace(connection, projects=None)  # which projects are read does not bound what is written


class IssueUpdates:
    """Applies rows to the issues of one organization; nothing is sent before there is something to ask.

    Args:
        connection: Server, token and organization.
        allow_destructive: Carry out rows that merge, discard or delete.
        dry_run: Only look, and say what would be done.
    """

    def __init__(
        self, connection: Connection, *, allow_destructive: bool = False, dry_run: bool = False
    ) -> None:
        self._connection = connection
        self._allow_destructive = allow_destructive
        self._dry_run = dry_run
        self._forbidden: str | None = None
        self._failed_in_a_row = 0
        self._proven: set[str] = set()

    @cached_property
    def _run(self) -> Run:
        return Run(self._connection)

    @cached_property
    def _calls(self) -> IssueCalls:
        return IssueCalls(self._run)

    def apply(self, rows: Sequence[Mapping[str, Any]], told: Outcomes) -> None:
        """Apply rows.

        Args:
            rows: The rows, of which ``check_columns`` has nothing to say.
            told: Where the outcomes go, each as soon as it is known.

        Raises:
            SentryRequestError: As ``update_issues``.
        """
        before = self._requests_sent
        self._forbidden = None
        self._failed_in_a_row = 0
        try:
            changes, endings = self._read(rows, told)
            self._update(changes, told)
            if endings:
                back_off = self._run.client.back_off
                IssueEndings(self._calls, back_off, told, dry_run=self._dry_run).apply(endings)
        finally:
            told.requests_sent += self._requests_sent - before
        refused = told.refused
        if refused:
            logger.warning(
                "%s of %s rows about issues were refused, such as that about issue %s: %s",
                len(refused),
                len(rows),
                refused[0].issue_id,
                refused[0].reason,
            )

    @property
    def _requests_sent(self) -> int:
        return self._run.tally.requests if "_run" in self.__dict__ else 0

    def _read(
        self, rows: Sequence[Mapping[str, Any]], told: Outcomes
    ) -> tuple[dict[str, Update], list[Wish]]:
        """The changes by issue, and the endings; what makes no sense is refused."""
        changes: dict[str, Update] = {}
        endings: dict[str, Wish] = {}
        for number, row in enumerate(rows):
            try:
                read = self._permitted(read_row(row), endings)
            except InvalidRowError as error:
                told.add([number], named_issue(row), "refused", str(error))
                continue
            if read.ending:
                endings[read.issue_id] = Wish(number, read.issue_id, read.ending, read.merge_into)
            elif not read.change.fields:
                told.add([number], read.issue_id, "unchanged", "the row says nothing of the issue")
            else:
                update = changes.setdefault(read.issue_id, Update(read.issue_id))
                update.change = update.change.then(read.change)
                update.wishes[number] = read.change
        return changes, list(endings.values())

    def _permitted(self, row: IssueRow, endings: Mapping[str, Wish]) -> IssueRow:
        if row.ending and not self._allow_destructive:
            raise InvalidRowError(f"{row.ending} needs allow_destructive=True")
        if row.issue_id in endings and endings[row.issue_id].is_same_as(row):
            return replace(row, ending=None, change=Change({}))  # said once more
        if row.issue_id in endings:
            raise InvalidRowError(f"an earlier row ends the issue: {endings[row.issue_id].ending}")
        return row

    def _update(self, updates: Mapping[str, Update], told: Outcomes) -> None:
        issues = self._calls.find(list(updates)) if updates else {}
        calls: dict[tuple[str, str], list[Update]] = {}
        for update in updates.values():
            update.issue = issues.get(update.issue_id, {})
            if not update.issue:
                told.add(update.rows, update.issue_id, "refused", NOT_THERE)
                continue
            update.change = update.change.lacking(update.issue, self._calls.now)
            if not update.change.fields:
                told.add(update.rows, update.issue_id, "unchanged")
            else:
                alone = update.change.is_of_one_project or self._calls.one_project
                calls.setdefault((update.change.key, update.project if alone else ""), []).append(update)
        for alike in calls.values():
            # sorted by project, so that a call names few of them: Sentry checks the change against each
            alike.sort(key=lambda update: update.project)
            for part in chunks(alike, 1 if self._calls.is_single_only else ISSUES_PER_CHANGE):
                self._apply(part, told)

    def _apply(self, updates: Sequence[Update], told: Outcomes) -> None:
        """Send the same change of some issues, in parts where Sentry does not take it for all of them."""
        reason = f"would send {updates[0].change.key}" if self._dry_run else self._forbidden
        if reason:
            for update in updates:
                told.add(update.rows, update.issue_id, "would apply" if self._dry_run else "refused", reason)
            return
        try:
            undone = self._send(updates)
        except errors.SentryRequestError as refusal:
            is_scope = isinstance(refusal, errors.SentryPermissionError) and self._calls.lacks_scope
            parts = [] if is_scope else _parts(updates, refusal) or self._rows(updates, refusal, told)
            for part in parts:
                self._apply(part, told)
            if not parts:
                self._refuse(updates, refusal, told)
            return
        self._failed_in_a_row = 0
        for update in updates:
            for number, wish in update.wishes.items():
                left = undone.get(update.issue_id, {})
                reason = next((left[name] for name in left if name == "" or name in wish.fields), None)
                told.add([number], update.issue_id, "refused" if reason else "applied", reason)

    def _refuse(self, updates: Sequence[Update], refusal: errors.SentryRequestError, told: Outcomes) -> None:
        """Note a refusal; after several calls in a row without any success it is not about these issues."""
        self._failed_in_a_row += _fails_on(refusal) or isinstance(refusal, errors.SentryPermissionError)
        is_everywhere = self._failed_in_a_row >= FAILURES_BEFORE_STOP
        if _fails_on(refusal):
            if is_everywhere or not self._answers(updates[0].issue_id):
                raise refusal
            reason = f"Sentry fails on it whenever it is sent: {refusal}"
        else:
            reason = reason_of(refusal)
        if isinstance(refusal, errors.SentryPermissionError) and (is_everywhere or self._calls.lacks_scope):
            self._forbidden = reason
        for update in updates:
            told.add(update.rows, update.issue_id, "refused", reason)

    def _rows(
        self, updates: Sequence[Update], refusal: errors.SentryRequestError, told: Outcomes
    ) -> list[list[Update]]:
        """The calls to try where several rows speak of the same issue: one of them may be good."""
        if not isinstance(refusal, errors.SentryBadRequestError) or all(
            len(one.wishes) < 2 for one in updates
        ):
            return []
        singles = []
        for update in updates:
            for number, wish in update.wishes.items():
                change = wish.lacking(update.issue, self._calls.now)
                if change.fields:
                    singles.append([Update(update.issue_id, change, {number: wish}, update.issue)])
                else:
                    told.add([number], update.issue_id, "unchanged")
        return singles

    def _answers(self, issue_id: str) -> bool:
        """Whether Sentry is well otherwise."""
        try:
            return self._calls.where_it_went(issue_id) is not None
        except errors.SentryRequestError:
            return False

    def _send(self, updates: Sequence[Update]) -> dict[str, dict[str, str]]:
        """Send one change; what Sentry has not done of it, by issue: why, by field, or under ``""`` for all."""
        change, ids = updates[0].change, [update.issue_id for update in updates]
        if len(updates) == 1:
            answer = self._calls.change_one(ids[0], change.fields)
            return _undone(change, ids, {ids[0]: answer.json()} if answer.status_code == 200 else {})
        answer = self._calls.change_many(ids, [update.project for update in updates], change.fields)
        if answer.status_code == 204:
            return {issue_id: {"": NOT_THERE} for issue_id in ids}
        unproven = set(PERSONAL) & change.fields.keys() - self._proven
        overlooked = change.fields.keys() - answer.json().keys() - {"statusDetails"}
        if not unproven and not overlooked and not any(change.is_doubtful_for(one.issue) for one in updates):
            return {}
        undone = _undone(change, ids, self._calls.find(ids))
        if not undone:
            self._proven |= unproven
        return undone


@dataclass
class Update:
    """What one issue shall be like.

    Attributes:
        issue_id: The issue.
        change: What it shall be like; after the look, what of it is not so yet.
        wishes: What each of the rows about it says, by their numbers.
        issue: The issue as it was found.
    """

    issue_id: str
    change: Change = field(default_factory=lambda: Change({}))
    wishes: dict[int, Change] = field(default_factory=dict)
    issue: Row = field(default_factory=dict)

    @property
    def rows(self) -> list[int]:
        """The rows that say so."""
        return list(self.wishes)

    @property
    def project(self) -> str:
        """The id of its project."""
        return str((self.issue.get("project") or {}).get("id", ""))


def _parts(updates: Sequence[Update], refusal: errors.SentryRequestError) -> list[list[Update]]:
    """The smaller calls to try after a failure; none where it holds for each issue, or there is just one."""
    is_divisible = isinstance(refusal, errors.SentryBadRequestError | errors.SentryPermissionError)
    if len(updates) == 1 or not (is_divisible or _fails_on(refusal) or refusal.status == 504):
        return []
    by_project: dict[str, list[Update]] = {}
    for update in updates:
        by_project.setdefault(update.project, []).append(update)
    if len(by_project) > 1:
        return list(by_project.values())
    if refusal.fields or isinstance(refusal, errors.SentryPermissionError):
        return []  # the body is wrong, or the access, for this project and so for all its issues
    half = len(updates) // 2
    return [list(updates[:half]), list(updates[half:])]


def _fails_on(refusal: errors.SentryRequestError) -> bool:
    """Whether Sentry failed on a change again and again, which may be about its issue: 500, or a busy back-end."""
    return refusal.status == 500 or isinstance(refusal, errors.SentryBackendBusyError)


def _undone(change: Change, issue_ids: Sequence[str], issues: Mapping[str, Row]) -> dict[str, dict[str, str]]:
    """What Sentry took but did not do, by issue and field, told by what the issues are like afterwards."""
    undone = {issue_id: {"": NOT_THERE} for issue_id in issue_ids if issue_id not in issues}
    for issue_id, issue in issues.items():
        if names := change.undone(issue):
            reason = f"Sentry took the change and left {', '.join(names)} as it was"
            undone[issue_id] = dict.fromkeys(names, reason)
    return undone
