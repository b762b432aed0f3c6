"""Sixty kinds of personal data and secrets, to be planted into a server's answers and searched for afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sentry.endpoints import TABLES

TOKEN = re.compile(rb"canary\d{4}x", re.IGNORECASE)


@dataclass
class Canaries:
    """Makes the canaries of a table: each is a text that stands nowhere else.

    Attributes:
        names: What each is, by its text.
        secret: Those that must not arrive in any mode.
    """

    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    secret: set[str] = field(default_factory=set)
    table: str = ""

    def personal(self, name: str, form: str = "{}") -> str:
        token = f"canary{len(self.names):04}x"
        self.names[token] = (self.table, name)
        return form.format(token)

    def credential(self, name: str, form: str = "{}") -> str:
        text = self.personal(name)
        self.secret.add(text)
        return form.format(text)


def account(c: Canaries, who: str) -> dict[str, Any]:
    return {
        "id": c.personal(f"{who}: id"),
        "name": c.personal(f"{who}: name"),
        "username": c.personal(f"{who}: user name"),
        "email": c.personal(f"{who}: e-mail", "{}@example.com"),
        "emails": [{"id": "1", "email": c.personal(f"{who}: further e-mail", "{}@example.com")}],
        "avatarUrl": c.personal(f"{who}: avatar", "https://gravatar.example.com/{}"),
        "avatar": {"avatarType": "upload", "avatarUuid": c.personal(f"{who}: avatar id")},
        "lastLogin": c.personal(f"{who}: last log-in"),
        "has2fa": c.personal(f"{who}: second factor"),
        "identities": [{"name": c.personal(f"{who}: identity")}],
    }


def owner(c: Canaries, who: str) -> dict[str, Any]:
    return {
        "type": "user",
        "id": c.personal(f"{who}: id"),
        "name": c.personal(f"{who}: name"),
        "email": c.personal(f"{who}: e-mail", "{}@example.com"),
    }


def customer(c: Canaries) -> dict[str, Any]:
    return {
        "id": c.personal("customer: id"),
        "email": c.personal("customer: e-mail", "{}@example.com"),
        "username": c.personal("customer: user name"),
        "name": c.personal("customer: name"),
        "ip_address": c.personal("customer: IP address"),
        "geo": {"city": c.personal("customer: city")},
        "data": {"phone": c.personal("customer: phone")},
    }


def commit(c: Canaries) -> dict[str, Any]:
    return {
        "message": c.personal("commit message", "fix it for {}"),
        "author": account(c, "author"),
        "pullRequest": {
            "title": c.personal("pull request: title"),
            "message": c.personal("pull request: message"),
            "author": account(c, "author of a pull request"),
        },
    }


def release(c: Canaries) -> dict[str, Any]:
    return {
        "authors": [account(c, "author of a release")],
        "owner": owner(c, "owner of a release"),
        "lastCommit": commit(c),
        "commits": [commit(c)],
        "data": {
            "note": c.personal("data of a release"),
            "env": {"HOME": c.credential("release: environment")},
        },
    }


def metadata(c: Canaries) -> dict[str, Any]:
    return {
        "value": c.personal("metadata: value"),
        "title": c.personal("metadata: title"),
        "contact_email": c.personal("metadata: contact", "{}@example.com"),
        "message": c.personal("metadata: message"),
        "uri": c.credential("metadata: token in an address", "https://shop.example.com/?token={}"),
    }


def issue(c: Canaries) -> dict[str, Any]:
    return {
        "title": c.personal("title"),
        "culprit": c.personal("culprit"),
        "metadata": metadata(c),
        "statusDetails": {"actor": account(c, "actor"), "inCommit": commit(c)},
        "assignedTo": owner(c, "assignee"),
    }


def issue_detail(c: Canaries) -> dict[str, Any]:
    return {
        **issue(c),
        "owners": [{"type": "suspectCommit", "owner": c.personal("suggested owner", "user:{}")}],
        "participants": [account(c, "participant")],
        "seenBy": [account(c, "viewer")],
        "activity": [
            {
                "id": "77",
                "type": "note",
                "user": account(c, "user of an activity"),
                "data": {
                    "text": c.personal("activity: text"),
                    "assignee": c.personal("activity: assignee"),
                    "assigneeType": "user",
                    "commit": commit(c),
                    "comment": c.personal("activity: other text"),
                    "assigneeEmail": c.personal("activity: e-mail", "{}@example.com"),
                },
                "dateCreated": "2026-07-30T00:00:00Z",
            }
        ],
        "integrationIssues": [
            {
                "key": "A-1",
                "title": c.personal("issue of a tracker: title"),
                "description": c.personal("issue of a tracker: text"),
            }
        ],
        "tags": [top_values(c)],
        "firstRelease": {"version": "1", **release(c)},
        "lastRelease": {"version": "2", **release(c)},
    }


def stacktrace(c: Canaries, where: str) -> dict[str, Any]:
    return {
        "frames": [
            {
                "filename": "shop/cart.py",
                "function": "pay",
                "vars": {
                    "card": c.personal(f"{where}: variable"),
                    c.personal(f"{where}: key in a variable"): 1,
                },
            }
        ]
    }


def headers(c: Canaries, where: str) -> list[list[str]]:
    return [
        ["Accept", "text/html"],
        ["Authorization", c.credential(f"{where}: Authorization", "Bearer {}")],
        ["proxy-authorization", c.credential(f"{where}: Proxy-Authorization", "Basic {}")],
        ["Cookie", c.credential(f"{where}: Cookie", "sid={}")],
        ["Set-Cookie", c.credential(f"{where}: Set-Cookie", "sid={}")],
        ["X-Api-Key", c.credential(f"{where}: X-Api-Key")],
        ["X-CSRF-Token", c.credential(f"{where}: X-CSRF-Token")],
        ["X-Gitlab-Token", c.credential(f"{where}: some token")],
        ["X-Hub-Signature-256", c.credential(f"{where}: signature")],
        ["Referer", c.credential(f"{where}: token in Referer", "https://shop.example.com/?access_token={}")],
        ["X-Forwarded-For", c.personal(f"{where}: X-Forwarded-For")],
        ["User-Agent", c.personal(f"{where}: User-Agent")],
    ]


def request(c: Canaries) -> dict[str, Any]:
    return {
        "method": "POST",
        "url": "https://"
        + c.credential("request: user name in URL", "{}:")
        + c.credential("request: password in URL", "{}@shop.example.com/u/")
        + c.personal("request: URL")
        + c.credential("request: token in URL", "?page=1&token={}")
        + c.credential("request: token in fragment", "#access_token={}"),
        "query": [
            ["q", c.personal("request: query")],
            ["api_key", c.credential("request: api_key")],
            ["password", c.credential("request: password")],
            ["sig", c.credential("request: sig")],
            ["code", c.credential("request: code")],
        ],
        "fragment": c.personal("request: fragment"),
        "headers": headers(c, "request"),
        "cookies": [["session", c.credential("request: cookie")]],
        "env": {"REMOTE_ADDR": c.credential("request: environment")},
        "data": {
            "comment": c.personal("request: body"),
            "password": c.credential("request: password in body"),
            c.personal("request: key of body"): 1,
        },
    }


def event(c: Canaries) -> dict[str, Any]:
    return {
        "title": c.personal("title"),
        "message": c.personal("message"),
        "culprit": c.personal("culprit"),
        "user": customer(c),
        "metadata": metadata(c),
        "tags": [
            {
                "key": "user",
                "value": c.personal("tag user", "id:{}"),
                "query": c.personal("tag query", 'user.id:"{}"'),
            },
            {"key": "customerEmail", "value": c.personal("tag of an e-mail", "{}@example.com")},
            {"key": "server_name", "value": c.personal("tag server_name")},
            {"key": "url", "value": c.credential("tag url: token", "https://shop.example.com/?id_token={}")},
        ],
        "entries": [
            {
                "type": "exception",
                "data": {
                    "values": [
                        {
                            "type": "ValueError",
                            "value": c.personal("exception: value"),
                            "mechanism": {
                                "type": "generic",
                                "description": c.personal("mechanism: description"),
                                "data": {"target": c.personal("mechanism: data")},
                            },
                            "stacktrace": stacktrace(c, "frame"),
                            "rawStacktrace": stacktrace(c, "raw frame"),
                        }
                    ]
                },
            },
            {"type": "threads", "data": {"values": [{"id": 1, "stacktrace": stacktrace(c, "thread")}]}},
            {"type": "stacktrace", "data": stacktrace(c, "stack trace")},
            {"type": "request", "data": request(c)},
            {
                "type": "message",
                "data": {"formatted": c.personal("log message"), "params": [c.personal("parameter")]},
            },
            {
                "type": "breadcrumbs",
                "data": {
                    "values": [
                        {
                            "type": "http",
                            "message": c.personal("breadcrumb: message"),
                            "data": {
                                "method": "GET",
                                "url": c.credential(
                                    "breadcrumb: token in URL", "https://example.com/?token={}"
                                ),
                                "from": c.personal("breadcrumb: data"),
                                "request_headers": dict(headers(c, "breadcrumb")),
                                "cookies": c.credential("breadcrumb: cookie"),
                            },
                        }
                    ]
                },
            },
            {"type": "csp", "data": {"document_uri": c.personal("csp: address", "https://example.com/{}")}},
            {
                "type": "spans",
                "data": [
                    {
                        "op": "db",
                        "description": c.personal("span: description"),
                        "data": {
                            "http.url": c.credential("span: token in URL", "https://example.com/?token={}")
                        },
                        "tags": {"user.id": c.personal("span: tag")},
                    }
                ],
            },
            {"type": "of_tomorrow", "data": {"note": c.personal("unknown entry")}},
        ],
        "contexts": {
            "device": {
                "family": "Desk",
                **{name: c.personal(f"device: {name}") for name in ("name", "id", "unique_id", "serial")},
            },
            "app": {"app_name": "Shop", "device_app_hash": c.personal("app: device")},
            "user": customer(c),
            "feedback": {
                "contact_email": c.personal("feedback context: e-mail", "{}@example.com"),
                "name": c.personal("feedback context: name"),
                "message": c.personal("feedback context: message"),
                "url": c.credential("feedback context: token in URL", "https://example.com/?token={}"),
            },
            "state": {"state": {"value": {"cart": c.personal("context: state")}}},
            "response": {
                "status_code": 500,
                "headers": headers(c, "response"),
                "cookies": {"sid": c.credential("response: cookie")},
                "data": c.personal("response: body"),
            },
            "trace": {
                "trace_id": "0" * 32,
                "description": c.personal("trace: description"),
                "data": {"http.url": c.personal("trace: URL")},
            },
            "process_env": {"HOME": c.credential("context: environment")},
            "node": {
                "env": {"HOME": c.credential("context: environment within")},
                "room": c.personal("context: own"),
            },
        },
        "context": {
            "order": {"note": c.personal("extra data")},
            "sys.argv": ["--password", c.credential("extra data: command line")],
            "os.environ": {"HOME": c.credential("extra data: environment")},
        },
        "errors": [
            {
                "type": "invalid_data",
                "data": {
                    "name": "user",
                    "value": c.personal("processing error: value"),
                    "url": c.personal("processing error: URL"),
                },
            }
        ],
        "_meta": {
            "user": {"email": {"": {"val": c.personal("remark: original value")}}},
            "entries": {"0": {"data": {"cookies": {"": {"val": c.credential("remark: cookie")}}}}},
        },
        "occurrence": {
            "id": "1",
            "issueTitle": c.personal("occurrence: title"),
            "subtitle": c.personal("occurrence: subtitle"),
            "culprit": c.personal("occurrence: culprit"),
            "evidenceData": {"value": c.personal("occurrence: evidence")},
            "evidenceDisplay": [{"name": "Value", "value": c.personal("occurrence: shown evidence")}],
        },
        "userReport": {
            "comments": c.personal("user report: comments"),
            "email": c.personal("user report: e-mail"),
        },
    }


def member(c: Canaries) -> dict[str, Any]:
    return {
        "email": c.personal("member: e-mail", "{}@example.com"),
        "name": c.personal("member: name"),
        "inviterName": c.personal("member: who invited"),
        "user": account(c, "member"),
        "externalUsers": [{"externalName": c.personal("member: name elsewhere", "@{}")}],
    }


def tag_value(c: Canaries) -> dict[str, Any]:
    return {
        "value": c.personal("tag value", "email:{}@example.com"),
        "name": c.personal("tag value: name"),
        "email": c.personal("tag value: e-mail", "{}@example.com"),
        "username": c.personal("tag value: user name"),
        "id": c.personal("tag value: user id"),
        "identifier": c.personal("tag value: user's own id"),
        "avatarUrl": c.personal("tag value: avatar", "https://gravatar.example.com/{}"),
        "ipAddress": c.personal("tag value: IP address"),
        "query": c.personal("tag value: query", 'user.email:"{}@example.com"'),
    }


def top_values(c: Canaries) -> dict[str, Any]:
    return {
        "key": "user.email",
        "topValues": [{"name": c.personal("top value: name"), "value": c.personal("top value"), "count": 1}],
    }


PLANTED: dict[str, Callable[[Canaries], dict[str, Any]]] = {
    "members": member,
    "users": member,
    "team_members": member,
    "repository_commits": commit,
    "tags": top_values,
    "projects": lambda c: {"latestRelease": {"version": "1", **release(c)}},
    "project_details": lambda c: {"latestRelease": {"version": "1", **release(c)}},
    "project_ownership": lambda c: {
        "raw": c.personal("ownership rules", "path:src/* {}@example.com"),
        "schema": {"rules": [{"owners": [owner(c, "owner of a path")]}]},
    },
    "tag_values": tag_value,
    "project_users": lambda c: {
        "hash": c.personal("end user: hash"),
        "id": c.personal("end user: id"),
        "identifier": c.personal("end user: identifier"),
        "tagValue": c.personal("end user: tag", "id:{}"),
        "username": c.personal("end user: user name"),
        "email": c.personal("end user: e-mail", "{}@example.com"),
        "name": c.personal("end user: name"),
        "ipAddress": c.personal("end user: IP address"),
        "avatarUrl": c.personal("end user: avatar", "https://gravatar.example.com/{}"),
    },
    "debug_files": lambda c: {"headers": dict(headers(c, "debug file"))},
    "user_feedback": lambda c: {
        "name": c.personal("feedback: name"),
        "email": c.personal("feedback: e-mail", "{}@example.com"),
        "comments": c.personal("feedback: comments"),
        "user": customer(c),
        "issue": issue(c),
    },
    "releases": release,
    "release_details": release,
    "release_commits": commit,
    "release_commit_files": lambda c: {
        "author": account(c, "author"),
        "commitMessage": c.personal("commit message"),
    },
    "release_files": lambda c: {"headers": dict(headers(c, "release file"))},
    "issues": issue,
    "issue_details": issue_detail,
    "events": event,
    "issue_events": event,
    "issue_hashes": lambda c: {"latestEvent": event(c)},
    "issue_comments": lambda c: {
        "user": account(c, "author of a comment"),
        "data": {"text": c.personal("comment")},
    },
    "issue_tags": top_values,
    "issue_tag_values": tag_value,
    "monitors": lambda c: {
        "owner": owner(c, "owner of a monitor"),
        "alertRule": {
            "targets": [{"targetType": "Member", "targetIdentifier": c.personal("target of an alert")}]
        },
    },
    "detectors": lambda c: {
        "owner": owner(c, "owner of a detector"),
        "createdBy": c.personal("creator of a detector"),
        "dataSources": [
            {"queryObj": {"query": c.personal("search of a detector", "user.email:{}@example.com")}}
        ],
    },
    "workflows": lambda c: {
        "owner": c.personal("owner of an alert", "user:{}"),
        "createdBy": c.personal("creator of an alert"),
        "triggers": {
            "conditions": [{"comparison": {"targetType": "Member", "targetIdentifier": c.personal("target")}}]
        },
        "actionFilters": [
            {
                "conditions": [
                    {
                        "comparison": {
                            "target_type": "Member",
                            "target_identifier": c.personal("assignee of a condition"),
                        }
                    },
                    {"comparison": {"attribute": "user.email", "value": c.personal("value of a condition")}},
                ]
            }
        ],
    },
    "replays": lambda c: {
        "user": {
            "id": c.personal("replay: user id"),
            "email": c.personal("replay: e-mail", "{}@example.com"),
            "ip": c.personal("replay: IP address"),
            "display_name": c.personal("replay: name"),
        },
        "urls": [
            c.personal("replay: page", "https://shop.example.com/{}"),
            c.credential("replay: token in an address", "https://shop.example.com/?auth_token={}"),
        ],
        "tags": {"user.email": [c.personal("replay: tag", "{}@example.com")]},
        "clicks": [{"text": c.personal("replay: click")}],
        "device": {"name": c.personal("replay: device")},
    },
    "dashboards": lambda c: {
        "createdBy": account(c, "creator of a dashboard"),
        "widgets": [
            {
                "queries": [{"conditions": c.personal("search of a widget", "!user.id:{} level:error")}],
                "exploreUrls": [c.personal("address of a widget", "https://sentry.example.com/?query={}")],
            }
        ],
        "filters": {"query": c.personal("filter of a dashboard", "user:{}")},
    },
    "saved_queries": lambda c: {
        "createdBy": account(c, "creator of a query"),
        "query": c.personal("saved search", "message:hello {}@example.com"),
        "conditions": [["user.email", "=", c.personal("condition of a saved search")]],
        "exploreQuery": {"query": c.personal("saved search of Explore", "{}@example.com")},
    },
}
"""What is planted into the first row of each answer of a table."""


class Planter:
    """Puts canaries into a server's answers.

    Attributes:
        canaries: What was planted.
    """

    def __init__(self) -> None:
        self.canaries = Canaries()
        self._rows: list[tuple[re.Pattern[str], str, dict[str, Any]]] = []
        for name, make in PLANTED.items():
            self.canaries.table = name
            self._rows.append((_pattern(TABLES[name].path), TABLES[name].answer, make(self.canaries)))

    def __call__(self, path: str, body: bytes) -> bytes:
        for pattern, answer, extra in self._rows:
            if pattern.fullmatch(path):
                parsed = json.loads(body)
                rows = parsed["data"] if answer == "data" else [parsed] if answer == "object" else parsed
                if rows:
                    _merge(rows[0], json.loads(json.dumps(extra)))
                return json.dumps(parsed).encode()
        return body


def _pattern(path: str) -> re.Pattern[str]:
    tag = "user"  # the key whose values are personal
    return re.compile("/api/0/" + re.sub(r"\{\w+\}", "[^/]+", path.replace("{tag}", tag)))


def _merge(row: dict[str, Any], extra: dict[str, Any]) -> None:
    for name, value in extra.items():
        if isinstance(value, dict) and isinstance(row.get(name), dict):
            _merge(row[name], value)
        elif isinstance(value, list) and isinstance(row.get(name), list) and name != "urls":
            row[name] = [*row[name], *value]
        else:
            row[name] = value
