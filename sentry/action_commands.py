"""The actions on the command line: their options, and what they print, which is JSON."""

from __future__ import annotations

import argparse
import codecs
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from .actions import STATS_PERIODS, list_events, list_issues, submit_events, update_issue
from .errors import SentryConfigurationError
from .event_submission import PROTOCOL_VERSION, Outcomes, SubmissionError
from .session import parsed_json

DONE, FAILED = 0, 1


def add_actions(parser: argparse.ArgumentParser) -> None:
    """Give a parser one command per action."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (add_options, _) in ACTIONS.items():
        command = commands.add_parser(
            name, help=(add_options.__doc__ or "").rstrip("."), description=add_options.__doc__
        )
        add_options(command.add_argument)
        command.add_argument(
            "-v", "--verbose", action="store_true", help="log each request, print errors in full"
        )
        command.add_argument("--debug", action="store_true", help="print tracebacks")


def perform(options: argparse.Namespace) -> int:
    """Do what the options say.

    Returns:
        0, or 1 where Sentry did not take an event.

    Raises:
        SentryError: The settings are wrong, or Sentry refused.
    """
    return ACTIONS[options.action][1](options)


Add = Callable[..., Any]


def _submit_options(add: Add) -> None:
    """Send an event, or several, to the project of a DSN, and print the ids."""
    add("--dsn", help="the project's; else SENTRY_DSN")
    add(
        "--event-json",
        required=True,
        metavar="FILE",
        help="an event in Sentry's schema; a list of them, or one a line, sends several; - reads what is piped in",
    )
    add(
        "--sentry-version",
        type=int,
        default=PROTOCOL_VERSION,
        metavar="N",
        help="protocol version (default 7)",
    )
    add("--outcomes", metavar="FILE", help="append what became of each event, as JSON lines")


def _submit(options: argparse.Namespace) -> int:
    documents = _documents(options.event_json)
    try:
        done = submit_events(
            documents, dsn=options.dsn, version=options.sentry_version, outcomes=options.outcomes
        )
    except SubmissionError as error:
        _print_outcomes(error.outcomes)
        raise
    _print_outcomes(done)
    if len(documents) > 1:
        print(f"{len(documents):,} events: {done}", file=sys.stderr)  # noqa: T201
    return FAILED if done.refused else DONE


def _print_outcomes(outcomes: Outcomes) -> None:
    for outcome in outcomes.rows:
        if outcome.outcome == "accepted":
            _print({"id": outcome.event_id})
        else:
            _print({"id": outcome.event_id, "outcome": outcome.outcome, "reason": outcome.reason})


def _documents(name: str) -> list[Mapping[str, Any]]:
    try:
        text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise SentryConfigurationError(
            f"{name} cannot be read: {error.strerror}. Name a file with events, or - for what is piped in."
        ) from None
    text = text.removeprefix(codecs.BOM_UTF8)
    found = parsed_json(text)
    if found is None:
        found = [parsed_json(line) for line in text.split(b"\n") if line.strip()]
    documents = found if isinstance(found, list) else [found]
    if None in documents:
        raise SentryConfigurationError(
            f"{name} is no JSON in UTF-8: neither the whole nor each of its lines. Write an event, a list of them, "
            "or one a line."
        )
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise SentryConfigurationError(f"{name} holds no event: an event is a JSON object.")
    return documents


def _update_options(add: Add) -> None:
    """Change an issue: what is given is sent, nothing else; print the issue as it is then."""
    add("issue", metavar="ID", help="id of the issue")
    add("--status", help="resolved, unresolved, ignored (archived), resolvedInNextRelease")
    add("--substatus", help="with ignored: archived_until_escalating, archived_forever...")
    add(
        "--status-details",
        metavar="JSON",
        help='such as {"inRelease": "shop@1.2.0"} or {"ignoreDuration": 60}',
    )
    add("--assigned-to", metavar="WHOM", help="user:ID, team:ID, user name or e-mail address; empty: nobody")
    add("--priority", help="low, medium, high")
    for name in _FLAGS:
        add(f"--{name.replace('_', '-')}", action=argparse.BooleanOptionalAction, help=_FLAGS[name])
    _add_place(add)


_FLAGS = MappingProxyType(
    {
        "has_seen": "as seen by the token's user",
        "is_bookmarked": "as bookmarked by the token's user",
        "is_subscribed": "subscribe the token's user to it",
        "is_public": "share it by a public link",
    }
)

_CHANGES = ("status", "substatus", "status_details", "assigned_to", "priority", *_FLAGS)


def _update(options: argparse.Namespace) -> int:
    changes = {name: value for name in _CHANGES if (value := getattr(options, name)) is not None}
    _print(update_issue(options.issue, changes, **_place(options)))
    return DONE


def _issues_options(add: Add) -> None:
    """Print the issues of a project, one JSON object a line."""
    add("project", metavar="PROJECT", help="slug or id")
    add(
        "--query",
        metavar="Q",
        help="Sentry's search; without it Sentry implies is:unresolved, an empty one finds all",
    )
    add(
        "--stats-period",
        default="24h",
        metavar="P",
        help="period of stats: 24h (default), 14d, or empty for none",
    )
    add(
        "--short-id-lookup",
        action="store_true",
        help="a query such as SHOP-1AB finds the issue of that short id",
    )
    _add_place(add)


def _issues(options: argparse.Namespace) -> int:
    if options.stats_period not in STATS_PERIODS:
        raise SentryConfigurationError(f"--stats-period is 24h, 14d or empty, not {options.stats_period!r}.")
    _print_all(
        list_issues(
            options.project,
            options.query,
            options.stats_period,
            short_id_lookup=options.short_id_lookup,
            **_place(options),
        )
    )
    return DONE


def _events_options(add: Add) -> None:
    """Print all events of an issue with their full bodies, newest first, one JSON object a line."""
    add("issue", metavar="ISSUE_ID", help="id of the issue")
    _add_place(add)


def _events(options: argparse.Namespace) -> int:
    _print_all(list_events(options.issue, **_place(options)))
    return DONE


def _add_place(add: Add) -> None:
    add("--organization", metavar="SLUG", help="slug or id; else the only one that the token can see")
    add("--base-url", metavar="URL", help="the server; https://sentry.io if not given")


def _place(options: argparse.Namespace) -> dict[str, Any]:
    """Only what the user said: a given None would hide dlt's configuration."""
    given = {"organization": options.organization, "base_url": options.base_url}
    return {name: value for name, value in given.items() if value is not None}


def _print_all(rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        _print(row)


def _print(row: Mapping[str, Any]) -> None:
    try:
        line = orjson.dumps(row).decode()
    except TypeError:  # half a surrogate, a number beyond 64 bits: Sentry has them
        line = json.dumps(row)
    print(line, flush=True)  # noqa: T201 - this is what an action is for


ACTIONS: Mapping[str, tuple[Callable[[Add], None], Callable[[argparse.Namespace], int]]] = MappingProxyType(
    {
        "submit-event": (_submit_options, _submit),
        "update-issue": (_update_options, _update),
        "list-issues": (_issues_options, _issues),
        "list-events": (_events_options, _events),
    }
)
"""By name: what adds its options, and what does it."""
