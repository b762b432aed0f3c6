"""The query of Explore, as far as sources need it: free text and terms that events must meet."""

import re
from collections.abc import Callable
from typing import NamedTuple

from .dates import parse_moment
from .errors import ApiError, bad_request
from .event_records import matches
from .model import Event, Project
from .world import World

Test = Callable[[Event], bool]

_TERM = re.compile(
    r"(?P<negated>!)?(?P<key>[a-zA-Z_][\w.]*):(?P<sign>>=|<=|>|<)?"
    r'(?P<value>\[(?:"[^"]*"|[^\]"])*\](?!\S)|"(?:[^"\\]|\\.)*"(?!\S)|\S*)'
    r'|(?P<quoted>"[^"]*"(?!\S))|(?P<word>\S+)'
)
_ITEM = re.compile(r'"([^"]+)"|([^",\s][^",]*)')
_LIST = re.compile(r'\s*(?:"[^"]+"|[^",\s][^",]*)\s*(?:,\s*(?:"[^"]+"|[^",\s][^",]*)\s*)*')
_EVENT_ID = re.compile(r"[0-9a-f]{32}")

_TEXTS: dict[str, Callable[[Event], str]] = {
    "project": lambda event: event.project.slug,
    "project.name": lambda event: event.project.slug,
    "project.id": lambda event: event.project.id,
    "issue": lambda event: event.issue.short_id if event.issue else "",
    "issue.id": lambda event: event.issue.id if event.issue else "",
    "level": lambda event: event.level,
    "release": lambda event: event.release or "",
    "environment": lambda event: event.environment or "",
    "id": lambda event: event.event_id,
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


class Scope(NamedTuple):
    """What the names in a query are looked up in."""

    world: World
    projects: list[Project]


def parse(text: str, scope: Scope) -> list[Test]:
    """What an event must meet, all of it. Words that stand together are one text to be found in the message.

    Raises:
        ApiError: 400 for booleans, wildcards, keys other than those known here, and values that cannot be.
    """
    tests: list[Test] = []
    words: list[str] = []
    for match in _TERM.finditer(text):
        if match["key"]:
            tests += _free_text(words)
            words = []
            tests.append(_term(match, scope))
        else:
            words.append(match["quoted"].strip('"') if match["quoted"] else _word(match["word"]))
    return tests + _free_text(words)


def _invalid(text: str) -> ApiError:
    return bad_request(f"Invalid query: {text}")


def _word(word: str) -> str:
    if word in {"OR", "AND"} or re.search(r'[()*"]', word):
        raise _invalid(f"{word} is not supported by this stand-in")
    return word


def _free_text(words: list[str]) -> list[Test]:
    if not words:
        return []
    text = " ".join(words)
    return [lambda event: matches(event, text)]


def _term(match: re.Match[str], scope: Scope) -> Test:
    key, sign, value = match["key"], match["sign"] or "", match["value"]
    if key == "timestamp":
        return _timestamp(sign, value, negated=bool(match["negated"]))
    if key not in _TEXTS or sign:
        raise _invalid(f"{match[0]} is not supported by this stand-in")
    read, allowed = _TEXTS[key], {_checked(key, one, scope) for one in _values(key, value)}
    if match["negated"]:
        return lambda event: read(event) not in allowed
    return lambda event: read(event) in allowed


def _timestamp(sign: str, value: str, *, negated: bool) -> Test:
    if negated or not sign:
        raise _invalid("timestamp has to be compared by >, >=, < or <=")
    compare, moment = _COMPARISONS[sign], parse_moment(value.strip('"'))
    return lambda event: compare(event.at, moment)


def _values(key: str, value: str) -> list[str]:
    """The values of a term: one, or those of a list in brackets."""
    if value.startswith("[") and value.endswith("]"):
        if not _LIST.fullmatch(value[1:-1]):
            raise _invalid(f"No list after '{key}:'")
        return [quoted or _word(plain.strip()) for quoted, plain in _ITEM.findall(value[1:-1])]
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        return [re.sub(r"\\(.)", r"\1", value[1:-1])]
    if not value:
        raise _invalid(f"Empty string after '{key}:'")
    return [_word(value)]


def _checked(key: str, value: str, scope: Scope) -> str:
    """A value in the form events show.

    Raises:
        ApiError: 400 for a project that is not selected, an unknown issue, and ids that are none.
    """
    if key in {"project", "project.name"} and value not in {one.slug for one in scope.projects}:
        raise _invalid(f"Project(s) {value} do not exist or are not actively selected.")
    if key == "issue" and value == "unknown":  # Sentry's word for events without an issue
        return ""
    if key == "issue":
        value = value.upper()
        if value not in {one.short_id for one in scope.world.issues}:
            raise _invalid(f"Invalid value '{value}' for 'issue:' filter")
    if key == "id":
        value = value.lower().replace("-", "")
        if not _EVENT_ID.fullmatch(value):
            raise _invalid(f"{value} is no event id")
    if key in {"project.id", "issue.id"} and not value.isdigit():
        raise _invalid(f"Invalid number: {value}")
    return value
