"""What an update of issues may say: every field read as Sentry's validators read it.

https://docs.sentry.io/api/events/bulk-mutate-an-organizations-issues/
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import orjson

from .access import Access
from .answers import json_answer
from .errors import ApiError, bad_request, refuse
from .extras import Commit
from .model import Assignee, Member, Project, Release, Row
from .world import World

LONGEST_WINDOW = 7 * 24 * 60
STATUSES = ("resolved", "unresolved", "ignored", "resolvedInNextRelease", "muted")
SUBSTATUSES: Mapping[str, tuple[str, ...]] = {
    "resolved": (),
    "unresolved": ("escalating", "ongoing", "regressed", "new"),
    "ignored": ("archived_until_escalating", "archived_until_condition_met", "archived_forever"),
}
CONDITIONS = ("ignoreDuration", "ignoreCount", "ignoreWindow", "ignoreUserCount", "ignoreUserWindow")
PRIORITIES = ("low", "medium", "high")
NEWER_FIELDS = {"substatus", "priority", "inbox"}
FLAGS = ("hasSeen", "isBookmarked", "isPublic", "isSubscribed", "merge", "inbox")

ReleaseKind = Literal["inNextRelease", "inUpcomingRelease", "inRelease"]
Problem: TypeAlias = list[str] | dict[str, "Problem"]

_TRUE = {"true", "t", "y", "yes", "on", "1"}
_FALSE = {"false", "f", "n", "no", "off", "0"}
_NULL = "This field may not be null."
_NO_RELEASE = "No release data present in the system to form a basis for 'Next Release'"


class InvalidError(Exception):
    """A field that cannot be read, with what the answer says of it."""

    def __init__(self, problem: Problem | str) -> None:
        super().__init__(problem)
        self.problem: Problem = [problem] if isinstance(problem, str) else problem


@dataclass
class Details:
    """The `statusDetails` of an update: a release or a commit it is resolved in, or conditions to ignore it."""

    kind: ReleaseKind | None = None
    release: Release | None = None
    commit: Commit | None = None
    conditions: dict[str, int] = field(default_factory=dict)


@dataclass
class Update:
    """An update that makes sense. `given` holds the fields sent, as the answer of a bulk update repeats them."""

    given: Row
    details: Details
    assignee: Assignee | None = None

    @property
    def status(self) -> str | None:
        """The status to set; `resolvedInNextRelease` and `muted` are ways to say two of the three."""
        sent = self.given.get("status")
        return (
            {"resolvedInNextRelease": "resolved", "muted": "ignored"}.get(str(sent), str(sent))
            if sent
            else None
        )

    @property
    def release_kind(self) -> ReleaseKind | None:
        """How a release decides what the issue is resolved in."""
        in_next = self.given.get("status") == "resolvedInNextRelease"
        return "inNextRelease" if in_next else self.details.kind


def read_object(body: bytes, content_type: str) -> Row:
    """The JSON object of a request; no body is an empty one.

    Raises:
        ApiError: 415 for another content type, 400 for what is no JSON or no object.
    """
    if not body:
        return {}
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise refuse(415, f'Unsupported media type "{content_type}" in request.')
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"JSON parse error - {error}") from None
    try:
        return _object(sent)
    except InvalidError as error:
        raise ApiError(json_answer(error.problem, status=400)) from None


def read_update(world: World, project: Project, access: Access, sent: Row, *, old: bool) -> Update:
    """Read an update of issues of one project; fields it does not know are ignored.

    Raises:
        ApiError: 400, with what is wrong by field.
    """
    reader = _Reader(world, project, access)
    known = {name: value for name, value in sent.items() if not (old and name in NEWER_FIELDS)}
    try:
        return reader.update(known)
    except InvalidError as error:
        raise ApiError(json_answer(error.problem, status=400)) from None


class _Reader:
    """Reads values by what a project knows."""

    def __init__(self, world: World, project: Project, access: Access) -> None:
        self._world = world
        self._project = project
        self._access = access

    def update(self, sent: Row) -> Update:
        """The whole body."""
        details, assignee = Details(), None
        given = _fields(
            sent,
            {
                "status": lambda value: _choice(value, STATUSES),
                "statusDetails": self._details,
                "substatus": lambda value: None if value is None else _choice(value, _all_substatuses()),
                "priority": lambda value: _choice(value, PRIORITIES),
                "assignedTo": self._actor,
                "discard": self._discard,
                **dict.fromkeys(FLAGS, _boolean),
                **_condition_readers(),
            },
        )
        if "discard" in given and len(given) > 1:
            raise InvalidError({"nonFieldErrors": ["Other attributes cannot be updated when discarding"]})
        # Conditions beside `statusDetails` are the older way to say the same.
        loose = {name: given.pop(name) for name in CONDITIONS if name in given}
        read = given.pop("statusDetails", None)
        if isinstance(read, Details):
            details = read
        else:
            details.conditions = {name: int(str(value)) for name, value in loose.items()}
        if "assignedTo" in given:
            sent_actor = given["assignedTo"]
            assignee = sent_actor if isinstance(sent_actor, Assignee) else None
        update = Update(given, details, assignee)
        _check_substatus(update)
        return update

    def _discard(self, value: object) -> bool:
        wanted = _boolean(value)
        if wanted and not self._access.allows("event:admin"):
            raise InvalidError("You do not have permission to discard events")
        return wanted

    def _details(self, value: object) -> Details:
        read = _fields(
            _object(value),
            {
                "inNextRelease": self._next,
                "inUpcomingRelease": self._next,
                "inRelease": lambda sent: self._release(_text(sent)),
                "inCommit": self._commit,
                **_condition_readers(),
            },
        )
        details = Details(
            conditions={name: int(str(read[name])) for name in CONDITIONS if read.get(name) is not None}
        )
        kinds: tuple[ReleaseKind, ...] = ("inNextRelease", "inUpcomingRelease", "inRelease")
        for kind in kinds:
            release = read.get(kind)
            if isinstance(release, Release):
                details.kind, details.release = kind, release
                return details
        commit = read.get("inCommit")
        details.commit = commit if isinstance(commit, Commit) else None
        return details

    def _next(self, value: object) -> Release:
        """The release before the next one. The server looks whether it is told, not what: `false` does it, too."""
        _boolean(value)
        return self._newest()

    def _newest(self) -> Release:
        found = newest_release(self._world, self._project)
        if found is None:
            raise InvalidError(_NO_RELEASE)
        return found

    def _release(self, version: str) -> Release:
        if version == "latest":
            return self._newest()
        found = self._world.releases.get(version)
        if found is None or self._project not in found.projects:
            raise InvalidError("Unable to find a release with the given version.")
        return found

    def _commit(self, value: object) -> Commit:
        sent = _fields(_object(value), {"commit": _text, "repository": _text})
        name = sent.get("repository")
        if not any(one.name == name and not one.deleted for one in self._world.extras.repositories):
            raise InvalidError({"repository": ["Unable to find the given repository."]})
        for commits in self._world.extras.commits.values():
            for commit in commits:
                if commit.sha == sent.get("commit") and commit.repository and commit.repository.name == name:
                    return commit
        raise InvalidError({"commit": ["Unable to find the given commit."]})

    def _actor(self, value: object) -> Assignee | None:
        """A user by id, name or e-mail, or a team by id; the empty text is nobody."""
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if text is None:
            raise InvalidError(_NULL)
        if not isinstance(text, str):
            raise InvalidError(
                "Could not parse actor. Format should be `type:id` where type is `team` or `user`."
            )
        if not text:
            return None
        kind, _, name = text.rpartition(":")
        if kind == "team":
            return self._team(name)
        members = [member for member in self._world.members if not member.pending]
        found = next((member for member in members if _is_called(member, name, by_id=kind == "user")), None)
        if found is None or kind not in {"", "user"}:
            raise InvalidError("User is not a member of this organization")
        return Assignee("user", found.user_id or found.id, found.name, found.email)

    def _team(self, name: str) -> Assignee:
        found = next((team for team in self._world.teams if team.id == name), None)
        if found is None:
            raise InvalidError("Team is not a member of this organization")
        return Assignee("team", found.id, found.name)


def newest_release(world: World, project: Project) -> Release | None:
    """The release of a project that was released, or else added, last."""
    known = [release for release in world.releases.values() if project in release.projects]
    return max(known, key=lambda one: (one.released or one.created, one.id), default=None)


def _is_called(member: Member, name: str, *, by_id: bool) -> bool:
    if by_id or name.isdigit():
        return member.user_id == name
    return name.lower() in {member.email.lower(), member.name.lower()}


def _all_substatuses() -> tuple[str, ...]:
    return tuple(name for names in SUBSTATUSES.values() for name in names)


def _check_substatus(update: Update) -> None:
    substatus = update.given.get("substatus")
    if substatus and update.status and substatus not in SUBSTATUSES[update.status]:
        raise InvalidError({"substatus": [f'"{substatus}" does not fit the status "{update.status}".']})


def _condition_readers() -> dict[str, Callable[[object], object]]:
    return {
        name: (lambda value: _integer(value, LONGEST_WINDOW)) if name.endswith("Window") else _integer
        for name in CONDITIONS
    }


def _fields(sent: Row, readers: Mapping[str, Callable[[object], object]]) -> Row:
    """The fields sent that are known, read; what is wrong with any of them is told at once."""
    read: Row = {}
    problems: dict[str, Problem] = {}
    for name in readers.keys() & sent.keys():
        try:
            read[name] = readers[name](sent[name])
        except InvalidError as error:
            problems[name] = error.problem
    if problems:
        raise InvalidError(problems)
    return read


def _object(value: object) -> Row:
    if not isinstance(value, dict):
        kind = "null" if value is None else type(value).__name__
        raise InvalidError({"nonFieldErrors": [f"Invalid data. Expected a dictionary, but got {kind}."]})
    return value


def _boolean(value: object) -> bool:
    if value is None:
        raise InvalidError(_NULL)
    if isinstance(value, bool):
        return value
    text = str(value).lower() if isinstance(value, str | int) else ""
    if text not in _TRUE | _FALSE:
        raise InvalidError("Must be a valid boolean.")
    return text in _TRUE


def _integer(value: object, most: int | None = None) -> int:
    if value is None:
        raise InvalidError(_NULL)
    try:
        number = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None:
        raise InvalidError("A valid integer is required.")
    if most is not None and number > most:
        raise InvalidError(f"Ensure this value is less than or equal to {most}.")
    return number


def _text(value: object) -> str:
    if value is None:
        raise InvalidError(_NULL)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidError("Not a valid string.")
    if not str(value).strip():
        raise InvalidError("This field may not be blank.")
    return str(value).strip()


def _choice(value: object, choices: tuple[str, ...]) -> str:
    if value is None:
        raise InvalidError(_NULL)
    if value not in choices:
        raise InvalidError(f'"{value}" is not a valid choice.')
    return str(value)
