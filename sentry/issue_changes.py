"""What an issue shall be like, held against what it is like.

https://docs.sentry.io/api/events/update-an-issue/ lists the fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .settings import SAME_SNOOZE_SECONDS

Values = Mapping[str, Any]

PERSONAL = ("hasSeen", "isBookmarked", "isSubscribed")
"""What belongs to the user behind the token: Sentry takes it from a token without one, and does nothing."""

RELEASE_KINDS = ("inNextRelease", "inUpcomingRelease", "inRelease", "inCommit")
"""Details of a resolution; Sentry takes them for issues of one project only."""

CONDITIONS = ("ignoreDuration", "ignoreCount", "ignoreWindow", "ignoreUserCount", "ignoreUserWindow")
"""Details of an ignored issue: until when it stays so."""

_STATUS_FIELDS = ("status", "substatus", "statusDetails")


@dataclass(frozen=True)
class Change:
    """What an issue shall be like, by Sentry's names of the fields."""

    fields: Values

    @property
    def key(self) -> str:
        """The same text for the same change."""
        return json.dumps(self.fields, sort_keys=True)

    @property
    def is_of_one_project(self) -> bool:
        """Whether Sentry takes it for issues of one project only: it names a release or a commit."""
        return any(kind in self.fields.get("statusDetails", {}) for kind in RELEASE_KINDS)

    def then(self, later: Change) -> Change:
        """Both as one: what the later one says wins, the status with all that belongs to it."""
        replaced = _STATUS_FIELDS if "status" in later.fields else ()
        kept = {name: value for name, value in self.fields.items() if name not in replaced}
        return Change({**kept, **later.fields})

    def lacking(self, issue: Values, now: float) -> Change:
        """What of it has to be sent, if anything; the rest is so already.

        A status is not sent again to an issue that has it, because that would forget the release which the issue
        was resolved in; nor is a share link made anew. What does no harm is, so that equal changes stay equal.

        Args:
            issue: The issue as Sentry shows it.
            now: Seconds since 1970, by the server's clock.
        """
        same = {name for name in self.fields if self._is_so(name, issue, now)}
        if same == set(self.fields):
            return Change({})
        settled = same & {*_STATUS_FIELDS, "isPublic"}
        return Change({name: value for name, value in self.fields.items() if name not in settled})

    def undone(self, issue: Values) -> list[str]:
        """Fields that Sentry has certainly left as they were, although it took the change."""
        return [
            name
            for name, value in self.fields.items()
            if name != "statusDetails" and not _may_be(name, value, issue)
        ]

    def is_doubtful_for(self, issue: Values) -> bool:
        """Whether Sentry may take it and not do it: it changes a substatus only together with the status."""
        return "substatus" in self.fields and self.fields["status"] == issue.get("status")

    def _is_so(self, name: str, issue: Values, now: float) -> bool:
        if name in _STATUS_FIELDS:
            return _has_status(self.fields, issue, now)
        if name == "assignedTo":
            return _is_assigned(str(self.fields[name]), issue.get(name)) is True
        return bool(issue.get(name) == self.fields[name])


def _has_status(wanted: Values, issue: Values, now: float) -> bool:
    """Whether an issue has this status, and the substatus and details that are asked for, if any are."""
    details, shown = wanted.get("statusDetails"), issue.get("statusDetails") or {}
    if issue.get("status") != wanted["status"]:
        return False
    if wanted.get("substatus") not in (None, issue.get("substatus")):
        return False
    if wanted["status"] == "ignored":  # without conditions: not until one of them is met
        return _is_snoozed(details or {}, shown, now)
    if not details:
        return True
    ((kind, value),) = details.items()
    return _is_commit(value, shown.get(kind)) if kind == "inCommit" else _is_release(value, shown.get(kind))


def _is_release(wanted: object, shown: object) -> bool:
    """Which release is the latest, or comes next, Sentry tells nobody: any that stands there will do."""
    return bool(shown if wanted in (True, "latest") else shown == wanted)


def _is_commit(wanted: Values, shown: object) -> bool:
    return bool(wanted["commit"] in (shown.values() if isinstance(shown, dict) else (shown,)))


def _is_snoozed(wanted: Values, shown: Values, now: float) -> bool:
    """Whether these conditions stand there already.

    Of a duration Sentry keeps the end alone. An end that this duration would have given within the last hour is
    taken for it, so that a load that is sent again does not prolong it.
    """
    if any(shown.get(name) != wanted.get(name) for name in CONDITIONS if name != "ignoreDuration"):
        return False
    minutes, until = wanted.get("ignoreDuration"), shown.get("ignoreUntil")
    if minutes is None or until is None:
        return minutes is None and until is None
    age = now - (datetime.fromisoformat(str(until)).timestamp() - 60 * minutes)
    return bool(-1 <= age <= SAME_SNOOZE_SECONDS)


def _is_assigned(wanted: str, shown: Any) -> bool | None:
    """Whether an issue is assigned like this; None where that cannot be told: user names are not shown.

    What is shown as ``name`` is chosen by the user, and not unique.
    """
    if not wanted or not shown:
        return not wanted and not shown
    kind, _, name = wanted.rpartition(":")
    if kind or name.isdigit():
        return bool((shown.get("type"), str(shown.get("id"))) == (kind or "user", name))
    if shown.get("type") != "user":
        return False
    return True if wanted.lower() == str(shown.get("email") or "").lower() else None


def _may_be(name: str, value: Any, issue: Values) -> bool:
    if name == "assignedTo":
        return _is_assigned(str(value), issue.get(name)) is not False
    return bool(issue.get(name) == value)
