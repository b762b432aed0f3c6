"""What is said when something is wrong: one line that tells what to do, word by word."""

from __future__ import annotations

import ast
import json
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.common.exceptions import DltException
from filelock import FileLock

import sentry_pipeline
from sandbox import Sandbox, World
from sandbox.access import READ_SCOPES
from sentry import TABLES, errors, repair, sentry_source, verify
from sentry.access import check_access
from sentry.actions import list_issues, submit_event, submit_events, update_issue, update_issues
from sentry.destinations import sentry_issues
from sentry.privacy import Privacy
from tests.conftest import ROOT, SMALL, Script, python
from tests.warehouse import Warehouse

TOKEN_CURE = (
    "Check the token: it may be mistyped, expired or revoked, belong to another server or region, or lack single "
    "sign-on. Make a new one at https://docs.sentry.io/account/auth-tokens/ if in doubt."
)
NOT_FOUND_CURE = (
    "It is not there, or not for this token, or this server or plan does not have it. Check the spelling of "
    "organization and project, and that base_url names the right region (https://us.sentry.io or "
    "https://de.sentry.io)."
)
NO_TOKEN = (
    "No Sentry token. Put it into .dlt/secrets.toml as [sources.sentry] auth_token, or set SENTRY_AUTH_TOKEN. A token "
    "with the scopes org:read project:read event:read member:read team:read is made in Sentry under Settings > Custom "
    "Integrations or User settings > Personal Tokens (https://docs.sentry.io/account/auth-tokens/)."
)
BAD_TOKEN = (
    "The Sentry token holds what no token does, such as a blank, a line break or a quote. Copy it again, as one line of "
    "plain text."
)
DSN_FORM = "A DSN reads https://<public key>@<host>/<project id>; Sentry shows it under Settings > Client Keys (DSN)."
TRY_AGAIN = "Check base_url, the network and the proxy settings, then run again."
NO_KEY = (
    'personal_data = "hash" needs a key. Put one into .dlt/secrets.toml as [sources.sentry] personal_data_key, 16 to '
    "64 characters that nobody can guess, and keep it: with another key all hashes change. This makes one: "
    'python -c "import secrets; print(secrets.token_hex(32))"'
)


@dataclass(frozen=True)
class Wrong:
    """Something that a user gets wrong on the command line.

    Attributes:
        said: The line, behind the program's name; {url}, {host}, {folder}, {process} stand for this run's.
        arguments: Of the script.
        status: The exit status.
        environment: What else is set; None: not set, though it usually is.
        failure: How the server fails, as ``Sandbox.fail_next`` takes it.
        files: Files in the working folder.
        token: What the token's kind and scopes are, as ``Sandbox.add_token`` takes it.
        by_parser: Whether the parser of the command line finds it, which adds where help is.
        program: What stands behind the name of the program.
    """

    said: str
    arguments: str = "--resources teams"
    status: int = 2
    environment: Mapping[str, str | None] = field(default_factory=dict)
    failure: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    token: Mapping[str, Any] = field(default_factory=dict)
    by_parser: bool = False
    program: str = ""


def usage(said: str, arguments: str) -> Wrong:
    return Wrong(said, arguments, by_parser=True)


def dsn_is(said: str, dsn: str) -> Wrong:
    return Wrong(
        f"The DSN {said}. {DSN_FORM}",
        "submit-event --event-json event.json",
        environment={"SENTRY_DSN": dsn},
        files={"event.json": b"{}"},
    )


def refused(
    status: int, said: str, detail: str = "Told so.", code: int = 2, where: str = "teams", **more: Any
) -> Wrong:
    failure = {
        "n": 99, "status": status, "body": json.dumps({"detail": detail}).encode(),
        "content_type": "application/json", "path_contains": where, **more,
    }  # fmt: skip
    return Wrong(said, status=code, failure=failure, environment={"SOURCES__SENTRY__STRICT": "true"})


WRONG: dict[str, Wrong] = {
    # commands, tables, options
    "unknown command": usage("no command 'lod', did you mean 'load'?", "lod"),
    "unlike any command": usage(
        "no command 'xyz'; there are check, verify, repair, submit-event, update-issue, list-issues, list-events",
        "xyz",
    ),
    "unknown table": usage("no table 'isues', did you mean 'issues'?", "--resources isues"),
    "unlike any table": usage("no table 'xyzxyz'; --list names them", "--resources xyzxyz"),
    "unknown option": usage("unrecognized arguments: --nonsense", "--nonsense"),
    "no number": usage("argument --chunk-events: invalid int value: 'many'", "--chunk-events many"),
    "empty option": usage("--projects is empty: leave it out, or give it a value", "--projects ''"),
    "refresh of a part": usage(
        "--full-refresh drops the tables to load all again; it does not go with a part of it",
        "--full-refresh --end-date 2026-07-01",
    ),
    "verify with another option": usage(
        "verify compares the table events and does not take --resources, --sweep",
        "verify --sweep --resources teams",
    ),
    "check with another option": usage("check loads nothing and does not take --sweep", "check --sweep"),
    "listing without verify": usage("--by-listing goes with verify and repair", "--by-listing"),
    "late check with an end": usage(
        "--late-check goes with what is loaded up to now, not with --end-date",
        "--late-check --end-date 2026-07-01",
    ),
    "late check that appends": usage(
        "--late-check merges what it brings; it does not go with --write-disposition",
        "--late-check --write-disposition append",
    ),
    "late check without events": usage(
        "--late-check is about the table events, which --resources leaves out",
        "--late-check --resources teams",
    ),
    "demo with options": usage(
        "--demo loads its own data and takes no other options than --progress, -v and --debug",
        "--demo --resources teams",
    ),
    "no project named": Wrong(
        "the following arguments are required: PROJECT", "list-issues", by_parser=True, program=" list-issues"
    ),
    # settings
    "no token": Wrong(NO_TOKEN, environment={"SENTRY_AUTH_TOKEN": None}),
    "a token left to be filled in": Wrong(NO_TOKEN, environment={"SENTRY_AUTH_TOKEN": "sntryu_..."}),
    "a token of two lines": Wrong(BAD_TOKEN, environment={"SENTRY_AUTH_TOKEN": "sntryu_abc\ndef"}),
    "a token with a dash of a text program": Wrong(
        BAD_TOKEN, environment={"SENTRY_AUTH_TOKEN": "sntryu\u2013abc"}
    ),
    "no address": Wrong(
        "base_url 'https://' is not a Sentry address. Give a host name or a URL such as https://sentry.example.com.",
        "check --base-url https://",
    ),
    "an address with a password": Wrong(
        "base_url 'https://sentry.example.com' carries a user name or password. Take it out; the token goes into "
        "auth_token.",
        "check --base-url https://me:word@sentry.example.com",
    ),
    "plain http": Wrong(
        "base_url 'http://sentry.example.com' would send the token unencrypted. Use https, or set allow_insecure = true "
        "if that network is yours.",
        "check --base-url http://sentry.example.com",
    ),
    "no moment": Wrong(
        "start_date 'yesterday' is not a moment. Write it as 2026-01-31 or 2026-01-31T12:00:00Z.",
        "--start-date yesterday",
    ),
    "an end before the start": Wrong(
        "end_date 2026-07-01 00:00:00 UTC is not after start_date 2026-07-02 00:00:00 UTC. Give a later end or an "
        "earlier start.",
        "--start-date 2026-07-02 --end-date 2026-07-01",
    ),
    "a start in the future": Wrong(
        "start_date 2099-07-02T00:00:00 UTC lies in the future. Give an earlier one.",
        "--resources issues --start-date 2099-07-02",
    ),
    "no order": Wrong(
        "backfill_order is newest or oldest, not 'latest'.",
        environment={"SOURCES__SENTRY__BACKFILL_ORDER": "latest"},
    ),
    "a negative number": Wrong("chunk_events must be 0 or more, not -1.", "--chunk-events -1"),
    "no request at once": Wrong(
        "max_parallel must be 1 or more, not 0.", environment={"SOURCES__SENTRY__MAX_PARALLEL": "0"}
    ),
    "a bound of nothing": Wrong(
        "max_response_megabytes must be 1 or more, not 0.",
        environment={"SOURCES__SENTRY__MAX_RESPONSE_MEGABYTES": "0"},
    ),
    "a wrong type": Wrong(
        "The setting lookback is not of type int: 'an hour'. Look in .dlt/config.toml and the environment; a list is "
        'written as ["a", "b"].',
        environment={"SOURCES__SENTRY__LOOKBACK": "an hour"},
    ),
    "a text for a list": Wrong(
        "The setting projects is not of type list: 'backend'. Look in .dlt/config.toml and the environment; a list is "
        'written as ["a", "b"].',
        environment={"SOURCES__SENTRY__PROJECTS": "backend"},
    ),
    "a misspelt variable": Wrong(
        "There is no setting startdate (SOURCES__SENTRY__STARTDATE in the environment). Did you mean start_date?",
        "check",
        environment={"SOURCES__SENTRY__STARTDATE": "2026-07-01"},
    ),
    "another naming": Wrong(
        "This source needs dlt's naming convention snake_case, not direct. Take it out of the configuration "
        "(schema.naming), or load into a pipeline of its own.",
        environment={"SCHEMA__NAMING": "direct"},
    ),
    "no such policy": Wrong(
        "personal_data is keep, hash or drop, not 'hide'.",
        environment={"SOURCES__SENTRY__PERSONAL_DATA": "hide"},
    ),
    "hashes without a key": Wrong(NO_KEY, environment={"SOURCES__SENTRY__PERSONAL_DATA": "hash"}),
    "a short key": Wrong(
        "personal_data_key has 5 characters; it must have 16 to 64. This makes one: "
        'python -c "import secrets; print(secrets.token_hex(32))"',
        environment={"SOURCES__SENTRY__PERSONAL_DATA": "hash", "SOURCES__SENTRY__PERSONAL_DATA_KEY": "short"},
    ),
    # whom and what is asked for
    "another organization": Wrong(
        f"Sentry answered 404 on organizations/no-such/: The requested resource does not exist. {NOT_FOUND_CURE}",
        "--organization no-such",
    ),
    "another project": Wrong(
        "No project no-such in acme. This token sees: backend, frontend.",
        "--resources issues --projects no-such",
    ),
    "no organization told": Wrong(
        "The token does not tell its organization (tokens of internal integrations do not). Set organization in "
        ".dlt/config.toml under [sources.sentry], or SENTRY_ORG.",
        environment={"SENTRY_ORG": None},
        token={"kind": "integration"},
    ),
    "a wrong token": Wrong(
        f"Sentry answered 401 on organizations/acme/: Invalid token. {TOKEN_CURE}",
        environment={"SENTRY_AUTH_TOKEN": "sntryu_" + "f" * 64},
    ),
    "a token without the scope": Wrong(
        "Sentry answered 403 on organizations/acme/members/: You do not have permission to perform this action. The "
        "token lacks the scope member:read, or its user has no access there.",
        "--resources members",
        environment={"SOURCES__SENTRY__STRICT": "true"},
        token={"scopes": ["org:read", "project:read"]},
    ),
    "a token of an organization": Wrong(
        "Sentry answered 403 on organizations/acme/: You do not have permission to perform this action. Organization "
        "tokens (sntrys_...) carry only the scope org:ci and cannot read issues or events. Make a personal token or an "
        "internal integration instead: https://docs.sentry.io/account/auth-tokens/.",
        token={"kind": "org"},
    ),
    "a change without the scope": Wrong(
        "Sentry answered 403 on organizations/acme/issues/{issue}/: You do not have permission to perform this action. "
        "The token lacks the scope event:write, or its user has no access there.",
        "update-issue {issue} --status resolved",
    ),
    "an issue that is not there": Wrong(
        "Issue 999999 is not there, or not for this token. Nothing was changed.",
        "update-issue 999999 --status resolved",
    ),
    "events of no issue": Wrong(
        f"Sentry answered 404 on organizations/acme/issues/999999/events/: The requested resource does not exist. {NOT_FOUND_CURE}",
        "list-events 999999",
    ),
    "a search that is none": Wrong(
        "Sentry answered 400 on organizations/acme/issues/: Invalid value for \"is\" search, valid values are ['ignored', "
        "'resolved', 'unresolved'].",
        "list-issues backend --query 'is:nonsense'",
        status=1,
    ),
    # what servers and networks answer
    "400": refused(400, "Sentry answered 400 on organizations/acme/teams/: Told so.", code=1),
    "400, busy": refused(
        400,
        "Sentry answered 400 on organizations/acme/teams/: Query timeout. Its back-end is overloaded; try again later.",
        "Query timeout.",
        code=1,
    ),
    "401": refused(401, f"Sentry answered 401 on organizations/acme/teams/: Told so. {TOKEN_CURE}"),
    "403": refused(
        403,
        "Sentry answered 403 on organizations/acme/: Told so. The token lacks the scope org:read, or its user has no "
        "access there.",
        where="organizations/acme/",
    ),
    "403, a page": refused(
        403,
        "Sentry answered 403 on organizations/acme/. That page came from a proxy or an address filter before Sentry: ask "
        "for this machine's access.",
        where="organizations/acme/",
        body=b"<p>Forbidden</p>",
        content_type="text/html",
    ),
    "404": refused(404, f"Sentry answered 404 on organizations/acme/teams/: Told so. {NOT_FOUND_CURE}"),
    "410": refused(
        410,
        "Sentry answered 410 on organizations/acme/teams/: Told so. This server has switched the endpoint off: leave its "
        "table out, or look for a newer version of this source.",
        code=1,
    ),
    "429": refused(
        429,
        "Sentry answered 429 on organizations/acme/teams/: Told so. The limit was met again after every wait; run at "
        "another time or with fewer parallel jobs.",
        code=1,
    ),
    "500": refused(
        500,
        "Sentry answered 500 on organizations/acme/: Told so. The server is in trouble, or cannot answer this request; "
        "see its log, or try again later.",
        code=1,
        where="organizations/acme/",
    ),
    "no answer": refused(
        500,
        "{host} cannot be reached, or broke the connection (organizations/acme/). " + TRY_AGAIN,
        where="organizations/acme/",
        drop="before",
    ),
    "half an answer": refused(
        200,
        "{host} cut its answer short (organizations/acme/). " + TRY_AGAIN,
        where="organizations/acme/",
        drop="body",
    ),
    "a page of another server": refused(
        200,
        "The answer to organizations/acme/ is not an object (text/html, 9 bytes): it was cut short, or a proxy or another "
        "server answered. Check that base_url is a Sentry server.",
        where="organizations/acme/",
        body=b"<p>hi</p>",
        content_type="text/html",
    ),
    "another kind of server": refused(
        200,
        "{url} does not answer like a Sentry server. Check base_url.",
        where="organizations/acme/",
        body=b"{}",
    ),
    "a redirect": refused(
        302,
        "Sentry redirects organizations/acme/ to https://other.example.com. Redirects to another address are not "
        "followed, because the token would go there. If that address is right, set base_url to it.",
        where="organizations/acme/",
        headers={"Location": "https://other.example.com/api/0/"},
    ),
    "a redirect in a circle": refused(
        302,
        "Sentry redirects organizations/acme/ again and again. Check base_url and the proxy before Sentry.",
        where="organizations/acme/",
        headers={"Location": "/api/0/organizations/acme/"},
    ),
    "too large an answer": Wrong(
        "The answer to organizations/acme/ is larger than 1 MB, the most that is read of one answer. If that is right, "
        "set max_response_megabytes higher; else look at what stands before Sentry, whose answers are smaller.",
        environment={"SOURCES__SENTRY__MAX_RESPONSE_MEGABYTES": "1"},
        failure={"status": 200, "body": b" " * 1_000_001, "content_type": "application/json"},
    ),
    "no server": Wrong(
        "127.0.0.1:9 cannot be reached, or broke the connection (organizations/acme/). " + TRY_AGAIN,
        "--base-url http://127.0.0.1:9",
    ),
    "https that is none": Wrong(
        "{host} does not speak https. If it is a server of your own network, write http:// in base_url.",
        "--base-url https://{host}",
    ),
    "no certificates": Wrong(
        "The certificates to verify {host} with are not there. Check the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE "
        "names; verification cannot be switched off.",
        "--base-url https://{host}",
        environment={"REQUESTS_CA_BUNDLE": "nowhere.pem"},
    ),
    # what was loaded before
    "nothing to verify": Wrong(
        "Pipeline sentry has not loaded the table events yet. Load it first.", "verify"
    ),
    # actions
    "no file": Wrong(
        "event.json cannot be read: No such file or directory. Name a file with events, or - for what is piped in.",
        "submit-event --event-json event.json",
    ),
    "no JSON": Wrong(
        "event.json is no JSON in UTF-8: neither the whole nor each of its lines. Write an event, a list of them, or one "
        "a line.",
        "submit-event --event-json event.json",
        files={"event.json": b"{"},
    ),
    "no event": Wrong(
        "event.json holds no event: an event is a JSON object.",
        "submit-event --event-json event.json",
        files={"event.json": b"[1]"},
    ),
    "no DSN": Wrong(
        "No DSN to send events to. Put it into .dlt/secrets.toml as [destination.sentry_events] dsn, or set SENTRY_DSN. "
        + DSN_FORM,
        "submit-event --event-json event.json",
        files={"event.json": b"{}"},
    ),
    "a DSN without a scheme": dsn_is("does not begin with https:// or http://", "abc@sentry.example.com/1"),
    "a DSN without a host": dsn_is("names no host", "https://abc@/1"),
    "a DSN without a key": dsn_is("has no public key before its host", "https://sentry.example.com/1"),
    "a DSN with a strange key": dsn_is(
        "has a key with letters that no key has", "https://a%20b@sentry.example.com/1"
    ),
    "a DSN without a project": dsn_is(
        "does not end in the number of a project", "https://abc@sentry.example.com/shop"
    ),
    "a DSN with more": dsn_is(
        "goes on behind the number of its project", "https://abc@sentry.example.com/1?a=b"
    ),
    "a DSN with no port": dsn_is(
        "has a host or a port that is none", "https://abc@sentry.example.com:port/1"
    ),
    "a DSN with port 0": dsn_is("names a port that is none", "https://abc@sentry.example.com:0/1"),
    "a DSN with plain http": Wrong(
        "The DSN would send its key and all events unencrypted to sentry.example.com. Use https, or set allow_insecure = "
        "true if that network is yours.",
        "submit-event --dsn http://abc@sentry.example.com/1 --event-json event.json",
        files={"event.json": b"{}"},
    ),
    "a key that is refused": Wrong(
        "{host} does not take events: 403: event submission rejected with_reason: ProjectId. The key of the DSN is "
        "unknown, disabled, or another project's; the right one stands in Sentry under Settings > Projects > Client Keys "
        "(DSN). Up to there: 0 accepted, 1 refused, 0 unsure.",
        "submit-event --dsn {unknown_dsn} --event-json event.json",
        status=1,
        files={"event.json": b'{"message": "a"}'},
    ),
    "outcomes nowhere": Wrong(
        "The outcomes cannot be written to nowhere/told: No such file or directory. Name a file in a folder that exists.",
        "submit-event --dsn http://abc@127.0.0.1:9/1 --event-json event.json --outcomes nowhere/told",
        files={"event.json": b'{"message": "a"}'},
    ),
    "no change": Wrong(
        "Say what is to be changed: status, assigned_to, priority... Nothing was sent.", "update-issue 1"
    ),
    "no such status": Wrong(
        "status 'done' is none of resolved, unresolved, ignored, muted, resolvedInNextRelease. Nothing was sent.",
        "update-issue 1 --status done",
    ),
    "no period": Wrong(
        "--stats-period is 24h, 14d or empty, not '1y'.", "list-issues backend --stats-period 1y"
    ),
    # destinations
    "an unknown destination": Wrong(
        "There is no destination 'no-such'. See https://dlthub.com/docs/dlt-ecosystem/destinations/ for dlt's; one with "
        "a name of your own needs destination_type in .dlt/config.toml.",
        "--destination no-such",
    ),
    "a destination without credentials": Wrong(
        "Not configured: credentials of PostgresClientConfiguration. Put it into .dlt/secrets.toml as the page of the "
        "destination says (https://dlthub.com/docs/dlt-ecosystem/destinations/); -v shows where it was looked for.",
        "--destination postgres",
    ),
    "a destination without its driver": Wrong(
        'Not installed: what clickhouse destination needs. Install it: pip install "dlt[clickhouse]"',
        "--resources teams --destination clickhouse",
        environment={"DESTINATION__CLICKHOUSE__CREDENTIALS": "clickhouse://me:word@127.0.0.1:9/shop"},
    ),
    "a table that fails": Wrong(
        "Could not be read: teams: Sentry answered 500 on organizations/acme/teams/. The server is in trouble, or "
        "cannot answer this request; see its log, or try again later. The rest is loaded; run again.",
        "--resources teams environments",
        status=1,
        failure={"n": 5, "status": 500, "path_contains": "teams"},
    ),
}


@pytest.fixture(scope="module")
def one_server() -> Iterator[Sandbox]:
    """A server that no message changes."""
    with Sandbox(world=World.build(**{**SMALL, "now": datetime.now(UTC)})) as server:
        yield server


@pytest.fixture
def say(
    one_server: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Callable[[Wrong], tuple[int, str, str]]]:
    """Runs the command line within this process; gives the status, what was said, and what should have been."""
    monkeypatch.setattr(sentry_pipeline, "prepare_dlt", lambda: None)  # it is for a process of its own
    monkeypatch.setattr(logging, "raiseExceptions", False)  # dlt's log goes where stderr was before

    def run(wrong: Wrong) -> tuple[int, str, str]:
        project = one_server.world.projects[0]
        values = {
            "url": one_server.url,
            "host": one_server.url.removeprefix("http://"),
            "folder": str(tmp_path),
            "process": str(os.getpid()),
            "issue": one_server.world.issues[0].id,
            "unknown_dsn": one_server.dsn(project).replace(project.public_key, "f" * 32),
        }
        token = one_server.add_token(**wrong.token) if wrong.token else one_server.token
        access = {"SENTRY_AUTH_TOKEN": token, "SENTRY_URL": one_server.url, "SENTRY_ORG": "acme"}
        for name, value in {**access, **wrong.environment}.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        for name, content in wrong.files.items():
            (tmp_path / name).write_bytes(content)
        if wrong.failure:
            one_server.fail_next(**wrong.failure)
        arguments = [text.format(**values) for text in shlex.split(wrong.arguments)]
        try:
            status = sentry_pipeline.main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        expected = f"sentry_pipeline.py{wrong.program}: {wrong.said.format(**values) if '{' in wrong.said else wrong.said}"
        return status, capsys.readouterr().err, expected

    yield run
    one_server.clear_hooks()


@pytest.mark.parametrize("name", WRONG)
def test_what_a_user_gets_wrong_is_said_in_one_line_word_by_word(
    name: str, say: Callable[[Wrong], tuple[int, str, str]]
) -> None:
    wrong = WRONG[name]
    status, said, expected = say(wrong)
    lines = [line for line in said.splitlines() if "clock" not in line]
    help_is = " (--help lists the options)" if wrong.by_parser else ""
    assert lines[-1:] == [expected + help_is]
    assert len(lines) == 1
    assert status == wrong.status


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "a NUL": ({"assigned_to": "a\0b"}, "assigned_to holds a NUL, which Sentry cannot store"),
    "twice": (
        {"assigned_to": "a", "assignedTo": "b"},
        "assigned_to is given twice, and differently",
    ),
    "an ending and more": ({"delete": True, "status": "resolved"}, "delete must stand alone in a row"),
    "into itself": ({"merge_into": "1"}, "merge_into names the issue itself"),
    "two ids": ({"id": "2"}, "issue_id and id differ"),
    "no number": ({"merge_into": "x"}, "merge_into 'x' is not the number of an issue"),
    "no boolean": ({"has_seen": "maybe"}, "has_seen 'maybe' is neither true nor false"),
    "no status": (
        {"status": "done"},
        "status 'done' is none of resolved, unresolved, ignored, muted, resolvedInNextRelease",
    ),
    "nobody": (
        {"assigned_to": "team:shop:1"},
        "assigned_to 'team:shop:1' is neither user:<id>, team:<id>, an id, an e-mail address, a user name, nor empty",
    ),
    "details that are no JSON": ({"status_details": "{"}, "status_details '{' is no JSON"),
    "details that are no object": ({"status_details": "[1]"}, "status_details [1] is no object"),
    "unknown details": (
        {"status_details": {"x": 1}},
        (
            "status_details.x is none of inNextRelease, inUpcomingRelease, inRelease, inCommit, ignoreDuration, ignoreCount, "
            "ignoreWindow, ignoreUserCount, ignoreUserWindow"
        ),
    ),
    "several releases": (
        {"status_details": {"inNextRelease": True, "inRelease": "1"}},
        "status_details has several of inNextRelease, inUpcomingRelease, inRelease, inCommit",
    ),
    "only true": (
        {"status_details": {"inNextRelease": False}},
        "status_details.inNextRelease can only be true",
    ),
    "no version": ({"status_details": {"inRelease": ""}}, "status_details.inRelease '' is no version"),
    "no commit": (
        {"status_details": {"inCommit": "abc"}},
        "status_details.inCommit needs a commit and a repository",
    ),
    "no count": (
        {"status_details": {"ignoreCount": 0}},
        "status_details.ignoreCount 0 is not a positive whole number",
    ),
    "too long a window": (
        {"status_details": {"ignoreWindow": 10_081}},
        "status_details.ignoreWindow 10081 is not a positive whole number of at most 10,080 minutes",
    ),
    "details alone": ({"status_details": {"ignoreCount": 1}}, "status_details needs a status"),
    "another substatus": (
        {"status": "resolved", "substatus": "archived_forever"},
        "substatus archived_forever does not fit the status resolved",
    ),
    "other details": (
        {"status": "resolved", "status_details": {"ignoreCount": 1}},
        "status_details.ignoreCount does not fit the status resolved",
    ),
    "another release": (
        {"status": "resolvedInNextRelease", "status_details": {"inRelease": "1"}},
        "status resolvedInNextRelease does not go with another release",
    ),
    "unknown columns": (
        {"color": "red"},
        (
            "Rows about issues cannot have the column color. These are allowed: issue_id, id, status, substatus, "
            "status_details, assigned_to, priority, has_seen, is_bookmarked, is_subscribed, is_public, merge_into, discard, "
            "delete"
        ),
    ),
}
"""What makes no sense about an issue, and what is said of it before ``. Nothing was sent.``"""


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_makes_no_sense_is_said_word_by_word(name: str, one_server: Sandbox) -> None:
    changes, message = CHANGES[name]
    with pytest.raises(errors.SentryConfigurationError) as error:
        update_issue("1", changes, auth_token=one_server.token, base_url=one_server.url)
    assert str(error.value) == f"{message}. Nothing was sent."


NOT_AN_EVENT: dict[str, tuple[Any, str]] = {
    "no object": ("text", "A row is an object with columns, but this one is a value of type str."),
    "a transaction": (
        {"type": "transaction"},
        "Transactions are no error events and cannot be sent this way.",
    ),
    "too large": (
        {"event_id": "a" * 32, "timestamp": "2026-07-01T00:00:00Z", "message": "x" * 2_000_000},
        "The event has 2,000,129 bytes as JSON; Sentry takes at most 1,048,576.",
    ),
    "no id": ({"event_id": "x"}, "event_id is 'x', but must be a UUID: 32 hexadecimal digits."),
    "no level": (
        {"level": "loud"},
        "level is 'loud', but must be one of debug, info, warning, error, fatal.",
    ),
    "no JSON": (
        {"extra": {"text": "\ud800"}},
        "The row cannot be written as JSON: str is not valid UTF-8: surrogates not allowed.",
    ),
}
"""What cannot be an event, and why not."""


@pytest.mark.parametrize("name", NOT_AN_EVENT)
def test_what_cannot_be_an_event_is_said_word_by_word(name: str, one_server: Sandbox) -> None:
    row, message = NOT_AN_EVENT[name]
    with pytest.raises(errors.SentryError) as error:
        submit_event(row, one_server.dsn(one_server.world.projects[0]))
    assert str(error.value) == message


def _too_long_a_wait(server: Sandbox) -> None:
    server.limit_ingest(seconds=1000)
    try:
        submit_events([{"message": "x"}], dsn=server.dsn(server.world.projects[0]))
    finally:
        server.unlimit_ingest()


def _one_event_refused(server: Sandbox) -> None:
    body = b'{"detail": "too bad"}'
    server.fail_next(1, status=400, body=body, content_type="application/json", path_contains="envelope")
    submit_event({"message": "x"}, server.dsn(server.world.projects[0]))


def _demo_without_its_folder(server: Sandbox) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "sandbox.demo", None)
        sentry_pipeline._demo(sentry_pipeline._options(["--demo"]))


def _nested_rows(server: Sandbox) -> None:
    rows = dlt.resource([{"issue_id": "1", "notes": [{"a": 1}]}], name="changes", max_table_nesting=2)
    dlt.pipeline("back", destination=sentry_issues(auth_token=server.token, base_url=server.url)).run(rows)


def _merged_away(server: Sandbox) -> None:
    token = server.add_token(scopes=(*READ_SCOPES, "event:write"))
    child, parent = server.world.issues[-2:]
    server.world.merge(child, into=parent)
    update_issue(child.id, {"status": "resolved"}, auth_token=token, base_url=server.url, organization="acme")


def _several_organizations(server: Sandbox) -> None:
    server.rewrite(
        lambda path, body: (
            b'[{"id": "1", "slug": "acme"}, {"id": "2", "slug": "other"}]'
            if path.endswith("/organizations/")
            else body
        )
    )
    try:
        check_access(server.token, base_url=server.url)
    finally:
        server.clear_hooks()


CALLS: dict[str, tuple[Callable[[Sandbox], object], type[Exception], str]] = {
    "no period": (
        lambda _: list(list_issues("backend", stats_period="1y")),
        errors.SentryConfigurationError,
        "stats_period is 24h, 14d or empty, not '1y'.",
    ),
    "merged away": (
        _merged_away,
        errors.SentryNotFoundError,
        "Issue {merged} was merged into {into}; change that one. Nothing was changed.",
    ),
    "several organizations": (
        _several_organizations,
        errors.SentryConfigurationError,
        (
            "The token sees 2 organizations: acme, other. Set organization in .dlt/config.toml under [sources.sentry], or "
            "SENTRY_ORG."
        ),
    ),
    "outcomes nowhere": (
        lambda server: update_issues([], auth_token=server.token, outcomes="nowhere/told"),
        errors.SentryConfigurationError,
        (
            "The file of outcomes nowhere/told cannot be written: No such file or directory. Nothing was sent. Name a file in "
            "a folder that exists."
        ),
    ),
    "people dropped from keys": (
        lambda _: Privacy("drop").applied(
            TABLES["project_users"], {"id": "1", "hash": "a", "email": "a@example.com"}
        ),
        errors.SentryConfigurationError,
        (
            "The values that tell the rows of this table apart are personal, so they cannot be dropped, but are hashed. With "
            'personal_data = "drop" the tables project_users, tag_values and issue_tag_values need personal_data_key in '
            ".dlt/secrets.toml under [sources.sentry]. Set it, or leave these tables out."
        ),
    ),
    "too long a wait": (
        _too_long_a_wait,
        errors.SentryRequestError,
        (
            "Sentry takes no events for the next 1000 s: a quota is used up, or it is overloaded. That is beyond a wait of "
            "120 s at most (max_wait, max_total_wait); send the rest later. Up to there: 0 accepted, 0 refused, 1 unsure."
        ),
    ),
    "one event refused": (
        _one_event_refused,
        errors.SentryRequestError,
        "Sentry did not take the event: 400: too bad.",
    ),
    "nested rows": (
        _nested_rows,
        DltException,
        (
            "Rows go to Sentry whole, but lists in them are tables of their own here: changes▶notes. Nothing was sent. Give "
            "the resource max_table_nesting=0, and let go of this load with pipeline.abort_packages()."
        ),
    ),
    "the demo without its folder": (
        _demo_without_its_folder,
        errors.SentryConfigurationError,
        (
            "The demo needs the folder sandbox of the repository and its requirements-dev.txt: import of sandbox.demo halted; "
            "None in sys.modules."
        ),
    ),
}
"""What only callers of the functions meet, and rare things."""


@pytest.mark.parametrize("name", CALLS)
def test_what_functions_refuse_is_said_word_by_word(name: str, one_server: Sandbox) -> None:
    call, kind, message = CALLS[name]
    issues = list(one_server.world.issues)
    with pytest.raises(kind) as error:
        call(one_server)
    merged, into = (issue.id for issue in issues[-2:])
    expected = message.replace("{merged}", merged).replace("{into}", into)
    assert expected in str(error.value) if kind is DltException else expected == str(error.value)


ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "not allowed to end": (
        {"delete": True},
        "delete needs allow_destructive=True",
    ),
    "no id": ({"issue_id": None, "status": "resolved"}, "issue_id is missing"),
}
"""Rows that ``update_issues`` refuses, and why; others stand in ``CHANGES``."""


@pytest.mark.parametrize("name", ROWS)
def test_a_refused_row_is_told_word_by_word(name: str, one_server: Sandbox) -> None:
    row, message = ROWS[name]
    told = update_issues(
        [{"issue_id": one_server.world.issues[0].id, **row}],
        auth_token=one_server.token, base_url=one_server.url, organization="acme",
    )  # fmt: skip
    assert [one.reason for one in told.refused] == [message]


def test_a_row_behind_the_end_of_its_issue_is_told_word_by_word(one_server: Sandbox) -> None:
    token = one_server.add_token(scopes=(*READ_SCOPES, "event:write", "event:admin"))
    issue = one_server.world.issues[0].id
    told = update_issues(
        [{"issue_id": issue, "delete": True}, {"issue_id": issue, "status": "resolved"}],
        auth_token=token, base_url=one_server.url, organization="acme", allow_destructive=True, dry_run=True,
    )  # fmt: skip
    assert [one.reason for one in told.refused] == [AN_EARLIER_ROW]


AN_EARLIER_ROW = "an earlier row ends the issue: delete"

OTHER_ORGANIZATION = (
    "Pipeline test has loaded organization {id} of {url}, not acme ({other_id}) of {other}. Name that organization, or the "
    "other pipeline."
)
OTHER_POLICY = (
    "This pipeline loads with personal_data = 'keep', and repair would use 'drop', or another key. Set both in dlt's "
    "configuration, or give repair what sentry_source is given."
)
NO_HOUR = (
    "There is no full hour between 2026-07-01T00:10:00 and 2026-07-01T00:50:00 UTC that Sentry still answers for. Give "
    "another range, of an hour at least."
)
TABLE_GONE = (
    "The table events is not in dataset sentry_data any more, though pipeline test has loaded it. --full-refresh loads it "
    "anew."
)
NO_SQL = "sink cannot be asked in SQL what it holds, so it cannot be compared. Load into a destination that can, such as duckdb."


def test_what_cannot_be_compared_is_said_word_by_word(
    serve: Callable[..., Sandbox], warehouse: Warehouse, tmp_path: Path
) -> None:
    server, other = serve(), serve(seed=2)
    warehouse.load(server, "events")

    def refusal(of: Sandbox, pipeline: dlt.Pipeline = warehouse.pipeline, **range_: str) -> str:
        with pytest.raises(errors.SentryError) as error:
            verify(pipeline, auth_token=of.token, organization="acme", base_url=of.url, **range_)  # type: ignore[arg-type]
        return str(error.value)

    assert refusal(other) == OTHER_ORGANIZATION.format(
        id=server.world.organization.id, url=server.url, other_id=other.world.organization.id, other=other.url
    )
    assert refusal(server, since="2026-07-01T00:10:00Z", until="2026-07-01T00:50:00Z") == NO_HOUR
    with pytest.raises(errors.SentryConfigurationError) as other_policy:
        repair(
            warehouse.pipeline,
            server.token,
            "acme",
            server.url,
            personal_data="drop",
            personal_data_key="k" * 16,
        )
    assert str(other_policy.value) == OTHER_POLICY
    with warehouse.pipeline.sql_client() as sql:
        sql.execute_sql("DROP SCHEMA sentry_data CASCADE")
    assert refusal(server) == TABLE_GONE

    @dlt.destination(name="sink")
    def sink(items: Any, table: Any) -> None: ...

    blind = dlt.pipeline("blind", destination=sink, pipelines_dir=str(tmp_path / "pipelines"))
    source = sentry_source(auth_token=server.token, organization="acme", base_url=server.url)
    blind.run(source.with_resources("events"))
    assert refusal(server, blind) == NO_SQL


ANOTHER_RUN = (
    "Another run of pipeline sentry is under way. Start this one when it has ended, or set DLT_DATA_DIR to another folder "
    "for it."
)
OPEN_ELSEWHERE = (
    "{folder}/sentry.duckdb is open in another program (process {process}). Close it there and run again."
)
OTHER_STATE = (
    "This pipeline has loaded organization {id} of {url}, and is now asked for acme ({other_id}) of {other}. Give that one "
    "a pipeline_name and dataset_name of its own. If it is the same server under a new address, let the pipeline forget the "
    "old one: dlt pipeline sentry drop --state-paths belongs_to."
)


def test_a_second_run_at_the_same_time_is_kept_out(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    folder = tmp_path / "dlt" / "pipelines"
    folder.mkdir(parents=True)
    server = serve()
    with FileLock(folder / "sentry.lock"):
        done = script(server, "--resources", "teams")
    assert done.returncode == 1
    assert done.stderr == f"sentry_pipeline.py: {ANOTHER_RUN}\n"
    assert script(server, "--resources", "teams").returncode == 0


def test_a_run_from_another_folder_is_told_where_the_file_is(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    server = serve()
    script(server, "--resources", "teams")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = python(elsewhere, server, str(ROOT / "sentry_pipeline.py"), "--resources", "teams")
    assert f"Pipeline sentry began in {tmp_path}" in done.stderr


def test_a_file_that_is_open_elsewhere_is_said_in_one_line(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    with duckdb.connect(str(tmp_path / "sentry.duckdb")):
        done = script(serve(), "--resources", "teams")
    assert done.returncode == 1
    said = OPEN_ELSEWHERE.format(folder=tmp_path, process=os.getpid())
    assert done.stderr.splitlines()[-1] == f"sentry_pipeline.py: {said}"


def test_plain_files_that_only_grow_are_announced(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    bucket = {"DESTINATION__FILESYSTEM__BUCKET_URL": f"file://{tmp_path}/lake"}
    done = script(serve(), "--resources", "teams", "--destination", "filesystem", **bucket)
    assert done.returncode == 0, done.stderr
    assert "Plain files only grow" in done.stderr


def test_output_that_nobody_reads_on_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} {ROOT / 'sentry_pipeline.py'} --list | head -1"
    done = subprocess.run(
        command,
        shell=True,
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""


def test_debug_prints_the_traceback(script: Script) -> None:
    done = script(None, "--debug")
    assert done.returncode == 2
    assert "Traceback (most recent call last)" in done.stderr


def test_the_state_belongs_to_one_organization_and_server(
    script: Script, serve: Callable[..., Sandbox], tmp_path: Path
) -> None:
    first, other = serve(), serve(seed=2)
    assert script(first, "--resources", "teams").returncode == 0
    done = script(other, "--resources", "teams")
    assert done.returncode == 2
    said = OTHER_STATE.format(
        id=first.world.organization.id, url=first.url, other_id=other.world.organization.id, other=other.url
    )
    assert done.stderr.splitlines()[-1] == f"sentry_pipeline.py: {said}"
    cure = "dlt pipeline sentry drop --state-paths belongs_to"
    assert cure in done.stderr
    command = [str(Path(sys.executable).parent / "dlt"), "pipeline", "-y", *cure.split()[2:]]
    subprocess.run(command, cwd=tmp_path, env=os.environ, check=True, capture_output=True, timeout=60)
    assert script(other, "--resources", "teams").returncode == 0


def test_what_cannot_be_loaded_is_said_once(script: Script, serve: Callable[..., Sandbox]) -> None:
    server = serve()
    done = script(server, "--start-date", "2025-01-01", "--end-date", "2026-09-01")
    assert done.returncode == 0
    assert done.stderr.count("days wanted from 2025-01-01T00:00:00 UTC on cannot be loaded") == 1
    assert done.stderr.count("2026-09-01T00:00:00 UTC, is not reached yet") == 1


def test_a_broken_file_of_settings_is_one_line_and_shows_no_secret(script: Script, tmp_path: Path) -> None:
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "secrets.toml").write_text("[sources.sentry]\nauth_token = sntryu_0123456789\n")
    done = script(None)
    assert done.returncode == 2
    assert "secrets.toml" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("Unexpected character: 's' at line 2 col 13")
    assert "sntryu" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


# The list is whole

ELSEWHERE = {
    "Sentry gave ": "only a server that does not page correctly; tests/test_client.py",
    "The rows of ": "only a server whose rows never stop moving; tests/test_moving_rows.py",
    "Sentry does not say which project": "only a server with other answers",
    "The slug ": "only a server on which slugs change hands meanwhile; tests/test_events.py",
    "An answer has not the shape": "only a server with other answers",
    "Sentry counted otherwise": "only a server that counts otherwise; it is caught, and counts as not telling",
    "The answer to .* is not a list of objects": "only a server with other answers; tests/test_client.py",
    ".* did not send its whole answer": "only a server that drips; tests/test_secrets.py",
    "The certificate of ": "needs a certificate of a strange authority; tests/test_secrets.py",
    "Stopped.": "between threads, told to nobody",
}
"""What no entry of the tables above has, by its beginning: why not, and where it is tested."""

BUILT_ELSEWHERE = {"hashing.py", "issue_rows.py"}
"""Where a message is put together apart from its error; the tables have its words all the same."""


def _pattern(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return re.escape(str(node.value))
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_pattern, node.values))
    return ".*"


def _messages_in_code() -> Iterator[tuple[str, str]]:
    """Where an error is made, and its message as a pattern; of parsers too."""
    for path in [*sorted((ROOT / "sentry").glob("*.py")), ROOT / "sentry_pipeline.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            is_ours = name in OURS or (name == "error" and ast.unparse(node.func) == "parser.error")
            message = _pattern(node.args[0])
            if is_ours and not (message == ".*" and path.name in BUILT_ELSEWHERE):
                yield f"{path.name}:{node.lineno}", message


OURS = {
    name for name in vars(errors) if name.startswith("Sentry")
} | {"InvalidRowError", "UnusableEventError", "StoppedError", "SubmissionError"}  # fmt: skip


def _messages_in_tables() -> list[str]:
    tables = [wrong.said for wrong in WRONG.values()]
    tables += [message for _, message in (*CHANGES.values(), *NOT_AN_EVENT.values(), *ROWS.values())]
    tables += [f"{message}. Nothing was sent." for _, message in CHANGES.values()]
    tables += [message for _, _, message in CALLS.values()]
    tables += [AN_EARLIER_ROW, OTHER_ORGANIZATION, OTHER_POLICY, NO_HOUR, TABLE_GONE, NO_SQL]
    return [*tables, ANOTHER_RUN, OPEN_ELSEWHERE, OTHER_STATE]


def test_every_error_in_the_code_is_in_a_table_above() -> None:
    messages, beginnings = _messages_in_tables(), list(ELSEWHERE)
    known = list(_messages_in_code())
    assert len(known) > 80
    missing = [
        f"{place} {pattern}"
        for place, pattern in known
        if not any(re.match(pattern, message, re.DOTALL) for message in messages)
        and not any(pattern.replace("\\", "").startswith(beginning) for beginning in beginnings)
    ]
    assert missing == []


def test_no_reason_for_an_exception_has_outlived_it() -> None:
    patterns = [pattern.replace("\\", "") for _, pattern in _messages_in_code()]
    assert [name for name in ELSEWHERE if not any(pattern.startswith(name) for pattern in patterns)] == []
