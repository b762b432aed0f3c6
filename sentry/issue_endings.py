"""Rows that end an issue: merged into another, discarded, deleted. Nobody can undo them, so none is done blindly.

An ending is not repeated after a failure before a look has shown what became of it. Discarding and deleting name
one issue by its path, which no server takes for a search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import requests

from . import errors
from .client import Row
from .issue_calls import ADMIN, IssueCalls, chunks
from .issue_outcomes import Outcomes
from .issue_rows import Ending, IssueRow
from .settings import ENDING_ATTEMPTS, ISSUES_PER_CHANGE

Answer = TypeVar("Answer")

NOT_THERE = "not found, or no access to it"


@dataclass(frozen=True)
class Wish:
    """A row that ends an issue.

    Attributes:
        row: Its number.
        issue_id: The issue.
        ending: How.
        merge_into: The issue that it shall be merged into.
    """

    row: int
    issue_id: str
    ending: Ending
    merge_into: str

    def is_same_as(self, row: IssueRow) -> bool:
        """Whether a row wishes the same once more."""
        return (self.issue_id, self.ending, self.merge_into) == (row.issue_id, row.ending, row.merge_into)


class IssueEndings:
    """Carries endings out, in the order of their rows.

    Args:
        calls: How issues are asked for and changed.
        back_off: Seconds to wait before another try, by its number.
        told: Where the outcomes go.
        dry_run: Only say what would be done.
    """

    def __init__(
        self, calls: IssueCalls, back_off: Callable[[int], float], told: Outcomes, *, dry_run: bool
    ) -> None:
        self._calls = calls
        self._back_off = back_off
        self._told = told
        self._dry_run = dry_run

    def apply(self, wishes: Sequence[Wish]) -> None:
        """Carry out some endings.

        Raises:
            SentryRequestError: What became of one could not be found out.
        """
        for into, alike in groupby(wishes, key=lambda wish: wish.merge_into):
            if into:
                self._merge(list(alike), into)
            else:
                self._remove(list(alike))

    def _tell(self, wish: Wish, *outcome: Any) -> None:
        self._told.add([wish.row], wish.issue_id, *outcome)

    def _remove(self, wishes: Sequence[Wish]) -> None:
        found = self._calls.find([wish.issue_id for wish in wishes])
        for wish in wishes:
            if wish.issue_id not in found:
                self._tell(wish, "unchanged", "it is not there any more, or there is no access to it")
            elif self._dry_run:
                self._tell(wish, "would apply", f"would {wish.ending} it")
            else:
                self._remove_one(wish)

    def _remove_one(self, wish: Wish) -> None:
        def send() -> None:
            if wish.ending == "delete":
                self._calls.delete_one(wish.issue_id)
            else:
                self._calls.change_one(wish.issue_id, {"discard": True}, scope=ADMIN, repeatable=False)

        try:
            self._until_known(send, lambda: not self._calls.find([wish.issue_id]))
        except errors.SentryRequestError as refusal:
            self._tell(wish, "refused", reason_of(refusal))
        else:
            self._tell(wish, "applied")

    def _merge(self, wishes: Sequence[Wish], into: str) -> None:
        """Merge issues into one, or into where that one was merged itself."""
        if self._calls.is_single_only:
            for wish in wishes:
                self._tell(wish, "refused", "this old server merges issues only in its own pages")
            return
        found = self._calls.find([into, *(wish.issue_id for wish in wishes)])
        parent = into if into in found else self._calls.where_it_went(into)
        if parent is not None and parent not in found:
            found |= self._calls.find([parent])
        if parent is None or parent not in found:
            for wish in wishes:
                self._tell(wish, "refused", f"merge_into {into}: {NOT_THERE}")
            return
        ready = [wish for wish in wishes if self._is_mergeable(wish, found, parent)]
        if self._dry_run:
            for wish in ready:
                self._tell(wish, "would apply", f"would merge it with {parent}")
            return
        for part in chunks(ready, ISSUES_PER_CHANGE - 1):
            parent = self._merge_some(part, parent, str(found[parent]["project"]["id"]))
            found[parent] = found.get(parent) or self._calls.find([parent])[parent]

    def _is_mergeable(self, wish: Wish, found: dict[str, Row], parent: str) -> bool:
        if wish.issue_id == parent:
            reason = f"Sentry chose it as the parent: {wish.merge_into} was merged into it"
            self._tell(wish, "unchanged", reason)
        elif wish.issue_id not in found:
            went = self._calls.where_it_went(wish.issue_id)
            if went == parent:
                self._tell(wish, "unchanged", f"merged into {parent} before")
            else:
                self._tell(wish, "refused", f"merged into {went} before" if went else NOT_THERE)
        elif found[wish.issue_id]["project"]["id"] != found[parent]["project"]["id"]:
            self._tell(wish, "refused", "only issues of one project can be merged")
        else:
            return True
        return False

    def _merge_some(self, wishes: Sequence[Wish], parent: str, project: str) -> str:
        """Merge issues with a parent; the parent that Sentry chose, which is the issue with the most events."""
        ids = [parent, *(wish.issue_id for wish in wishes)]
        left = list(ids)

        def send() -> requests.Response:
            return self._calls.change_many(left, [project], {"merge": True}, repeatable=False)

        def is_done() -> bool:
            left[:] = self._calls.find(ids)
            return len(left) < 2

        try:
            answer = self._until_known(send, is_done)
        except errors.SentryRequestError as refusal:
            reason = reason_of(refusal)
            for wish in wishes:
                self._tell(wish, "refused", reason)
            return parent
        chosen, merged = _merged(answer, left, ids)
        for wish in wishes:
            if wish.issue_id not in merged:
                self._tell(wish, "refused", "Sentry did not merge it")
            elif chosen == wish.merge_into:
                self._tell(wish, "applied")
            else:
                self._tell(wish, "applied", f"Sentry chose {chosen} as the parent, as it has the most events")
        return chosen if chosen in ids else parent

    def _until_known(self, send: Callable[[], Answer], is_done: Callable[[], bool]) -> Answer | None:
        """Send, and look after a failure before sending again; None where the look says that it is done."""
        for attempt in range(ENDING_ATTEMPTS - 1):
            try:
                return send()
            except errors.SentryRequestError as error:
                if not error.retry:
                    raise
                time.sleep(self._back_off(attempt))
            if is_done():
                return None
        return send()


def reason_of(refusal: errors.SentryRequestError) -> str:
    """Why Sentry refuses a change: what is wrong by field, where it says so, else its answer in words.

    Raises:
        SentryRequestError: The refusal itself, where it is not about the issues: no answer, the server in trouble,
            the token not valid, a redirect.
    """
    if refusal.retry or refusal.status is None or not 400 <= refusal.status < 500 or refusal.status == 401:
        raise refusal
    return "; ".join(f"{name}: {said}" for name, said in refusal.fields.items()) or str(refusal)


def _merged(
    answer: requests.Response | None, left: Sequence[str], ids: Sequence[str]
) -> tuple[str, set[str]]:
    """The parent and all issues that are one now. Without an answer it is the one that is left."""
    if answer is None:
        return (left[0] if left else ids[0]), set(ids)
    told = answer.json().get("merge") if answer.status_code == 200 else None
    if not isinstance(told, dict):
        return ids[0], set()
    parent = str(told.get("parent"))
    gone = set(ids) - set(left)  # merged by a try whose answer was lost
    return parent, {parent, *map(str, told.get("children", ())), *gone}
