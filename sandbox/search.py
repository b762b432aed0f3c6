"""Issue search: the query language as far as sources need it, windows, and orders."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from .dates import Window, parse_moment, parse_period
from .errors import bad_request
from .event_records import has_tag
from .lists import Numbers, numbers
from .model import Entry, Issue, Project
from .world import World

DEFAULT_QUERY = "is:unresolved"

_TERM = re.compile(r'(?P<key>[a-zA-Z_.]+):(?P<value>"[^"]*"|\S*)|(?P<word>\S+)')
_INTEGER = re.compile(r"[+-]?\d+")
_COMPARED = re.compile(r"(>=|<=|>|<)?(.*)")
_STATUSES = {"unresolved", "resolved", "ignored"}
_SORTS = ("date", "new", "freq", "user", "trends", "recommended", "inbox")


class Hit(NamedTuple):
    """An issue found, with its numbers in the window and its place in the order."""

    issue: Issue
    numbers: Numbers
    score: int


@dataclass
class Query:
    """What an issue must be like."""

    text: str
    status: str | None = None
    category: str | None = None
    assigned: bool | None = None
    words: list[str] = field(default_factory=list)
    tags: list[tuple[str, str]] = field(default_factory=list)
    tests: list[Callable[[Issue, Numbers], bool]] = field(default_factory=list)

    @property
    def looks_at_events(self) -> bool:
        """Whether it asks for something that events have and issues have not."""
        return bool(self.tags)

    def accepts(self, issue: Issue, found: Numbers) -> bool:
        """Whether an issue with these numbers is wanted. Feedback is hidden unless asked for."""
        return (
            self.status in {None, issue.status}
            and issue.category == (self.category or "error")
            and self.assigned in {None, issue.assignee is not None}
            and all(word in issue.kind.title.lower() for word in self.words)
            and all(test(issue, found) for test in self.tests)
            and all(self._tagged(issue.timeline, key, value) for key, value in self.tags)
        )

    @staticmethod
    def _tagged(timeline: list[Entry], key: str, value: str) -> bool:
        return any(has_tag(entry[2], key, value) for entry in timeline)


def parse(text: str | None, now: float, projects: list[Project]) -> Query:
    """Read a query. None is the default, unresolved issues; the empty text is every issue.

    Raises:
        ApiError: 400 for booleans, terms that cannot be, and a project that is not selected.
    """
    text = DEFAULT_QUERY if text is None else text
    query = Query(text)
    if re.search(r"[()]|\b(OR|AND)\b", text):
        raise bad_request('Boolean statements containing "OR" or "AND" are not supported in this search')
    for match in _TERM.finditer(text):
        if match["word"]:
            query.words.append(match["word"].lower())
        else:
            _add_term(query, match["key"], match["value"].strip('"'), now, projects)
    return query


def _add_term(query: Query, key: str, value: str, now: float, projects: list[Project]) -> None:
    if key == "is":
        _add_is(query, value)
    elif key == "issue.category":
        query.category = value
    elif key in {"lastSeen", "firstSeen", "age", "timesSeen"}:
        query.tests.append(_comparison(key, value, now))
    elif key in {"issue", "short_id"}:
        query.tests.append(lambda issue, _: issue.short_id == value.upper())
    elif key in {"project", "project.name"}:
        if value not in {project.slug for project in projects}:
            raise bad_request(f"Invalid query. Project(s) {value} do not exist or are not actively selected.")
        query.tests.append(lambda issue, _: issue.project.slug == value)
    else:
        query.tags.append((key, value))


def _add_is(query: Query, value: str) -> None:
    value = "ignored" if value == "archived" else value
    if value in _STATUSES:
        query.status = value
    elif value in {"assigned", "unassigned"}:
        query.assigned = value == "assigned"
    else:
        raise bad_request(f'Invalid value for "is" search, valid values are {sorted(_STATUSES)}')


_OPERATIONS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "": lambda a, b: a == b,
}


def _comparison(key: str, text: str, now: float) -> Callable[[Issue, Numbers], bool]:
    match = _COMPARED.fullmatch(text)
    sign, value = (match[1] or "", match[2]) if match else ("", text)
    if key == "timesSeen":
        if not value.isdigit():
            raise bad_request(f"timesSeen: Invalid number: {value}")
        wanted = int(value)
        return lambda issue, _: _OPERATIONS[sign](issue.times_seen, wanted)
    if value[:1] in {"-", "+"}:
        length = parse_period(value[1:])
        if length is None:
            raise bad_request(f"Invalid date: {value}")
        # -24h means younger than a day, +24h older.
        younger = value[0] == "-"
        moment, sign = now - length, ">=" if younger else "<="
    else:
        moment = parse_moment(value)
    operation = _OPERATIONS[sign]
    if key == "lastSeen":
        return lambda _, found: operation(found.last[0], moment)
    return lambda issue, _: operation(issue.first_seen, moment)


def sort_name(text: str | None) -> str:
    """The order asked for.

    Raises:
        ApiError: 400, when there is no such order.
    """
    name = text or "date"
    if name not in _SORTS:
        raise bad_request(f"Invalid sort: {name}")
    return name


def _score(sort: str, issue: Issue, found: Numbers) -> int:
    if sort in {"date", "inbox"}:
        return found.last[0] * 1_000
    if sort == "new":
        return found.first[0] * 1_000
    if sort == "user":
        return found.users
    return found.events if sort == "freq" else found.events * 10 + int(issue.id) % 10


def find(
    world: World,
    projects: list[Project],
    query: Query,
    window: Window | None,
    *,
    sort: str = "date",
    environments: frozenset[str] = frozenset(),
) -> list[Hit]:
    """The issues with an event in the window, best score first, ties by the higher id.

    The list of the last call is given again while nothing has changed: real servers make it anew for
    each page, and the result is the same.
    """
    owners = tuple(project.id for project in projects)
    key = (world.version, world.horizon, owners, query.text, window, sort, environments)
    if world.last_search[0] != key:
        hits = _find(world, projects, query, window, sort, environments)
        world.last_search = (key, hits)
        return hits
    return cast("list[Hit]", world.last_search[1])


def _find(
    world: World,
    projects: list[Project],
    query: Query,
    window: Window | None,
    sort: str,
    environments: frozenset[str],
) -> list[Hit]:
    wanted = set(projects)
    hits = []
    for issue in world.issues:
        if issue.project not in wanted:
            continue
        found = numbers(world, issue, window, environments)
        if found is not None and query.accepts(issue, found):
            hits.append(Hit(issue, found, _score(sort, issue, found)))
    hits.sort(key=lambda hit: (hit.score, int(hit.issue.id)), reverse=True)
    return hits


def direct_hit(world: World, projects: list[Project], text: str, *, short_ids: bool) -> Issue | None:
    """The issue that a query names alone: by the id of one of its events, or by its short id."""
    text = text.strip()
    if re.fullmatch(r"[0-9a-fA-F]{32}", text):
        events = (project.by_id.get(text.lower()) for project in projects)
        issues = (event.issue for event in events if event and event.issue)
        return next((issue for issue in issues if not issue.hidden), None)
    if not short_ids:
        return None
    try:
        issue = world.issue(text.upper())
    except KeyError:
        return None
    return issue if issue.project in projects and issue.short_id == text.upper() else None


def by_ids(world: World, projects: list[Project], ids: list[str]) -> list[Issue]:
    """The issues asked for by `group`, whatever query and dates say; those without events kept are among them.

    What is unknown, deleted, merged away, about to be, or of a project that is not chosen is left out.

    Raises:
        ApiError: 400 for a text.
    """
    if not all(_INTEGER.fullmatch(text) for text in ids):
        raise bad_request("Group ids must be integers")
    known = (world.all_issues.get(str(number)) for number in dict.fromkeys(map(int, ids)))
    return [issue for issue in known if issue and not issue.hidden and issue.project in projects]
