"""The policy: what is personal or secret in each table. ``docs/privacy.md`` is written from it.

``POLICY`` names the fields of a table with their kinds, or with a shape where Sentry repeats the same in several
tables: accounts, issues, events. What is done to a kind, ``masks.py`` and ``hashing.py`` say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .masks import Kind

ID, EMAIL, NAME, IP = Kind.ID, Kind.EMAIL, Kind.NAME, Kind.IP
TEXT, WHOLE, HARMLESS, CREDENTIAL = Kind.TEXT, Kind.WHOLE, Kind.HARMLESS, Kind.CREDENTIAL
ADDRESS, HEADERS, SEARCH = Kind.ADDRESS, Kind.HEADERS, Kind.SEARCH


@dataclass(frozen=True)
class Shape:
    """What Sentry repeats in several places.

    Attributes:
        name: How the documentation calls it.
        says: What it is.
        fields: Its fields, by path, with their kinds.
        may_be_team: Whether it may be a team, which is not personal and stays.
    """

    name: str
    says: str
    fields: Fields
    may_be_team: bool = False


Fields = Mapping[str, Kind | Shape]
"""Fields by path: ``user.email``; ``[]`` is each element of a list, ``[request]`` each that has this ``type``, and
``*`` whatever else the object holds."""

_ACCOUNT: Fields = {
    "id": ID,
    "name": NAME,
    "username": NAME,
    "email": EMAIL,
    "emails[].email": EMAIL,
    "emails[].*": TEXT,
    "avatarUrl": TEXT,
    "avatar.avatarType": HARMLESS,
    "avatar.*": TEXT,
    "type": HARMLESS,
    "isActive": HARMLESS,
    "isManaged": HARMLESS,
    "isStaff": HARMLESS,
    "isSuperuser": HARMLESS,
    "isSuspended": HARMLESS,
    "*": TEXT,
}

ACCOUNT = Shape(
    "account", "an account of Sentry: with its last log-in, identities and whatever else it says", _ACCOUNT
)

OWNER = Shape(
    "owner",
    "an account, or `user:ID`; a team stays as it is",
    {**_ACCOUNT, "": Kind.OWNER_ID},
    may_be_team=True,
)

CUSTOMER = Shape(
    "customer",
    "a user of your application: with geography and whatever else was set",
    {
        "id": ID,
        "email": EMAIL,
        "username": NAME,
        "name": NAME,
        "display_name": NAME,
        "ip_address": IP,
        "ipAddress": IP,
        "ip": IP,
        "*": TEXT,
    },
)

COMMIT = Shape(
    "commit",
    "a commit",
    {
        "message": TEXT,
        "author": ACCOUNT,
        "pullRequest.title": TEXT,
        "pullRequest.message": TEXT,
        "pullRequest.author": ACCOUNT,
    },
)

RELEASE = Shape(
    "release",
    "a release",
    {"authors[]": ACCOUNT, "owner": OWNER, "lastCommit": COMMIT, "commits[]": COMMIT, "data": Kind.EXTRA},
)

METADATA = Shape(
    "metadata",
    "what an issue or event is called by, such as the exception's message",
    {
        "type": HARMLESS,
        "filename": HARMLESS,
        "function": HARMLESS,
        "in_app_frame_mix": HARMLESS,
        "display_title_with_tree_label": HARMLESS,
        "directive": HARMLESS,
        "sdk": HARMLESS,
        "severity": HARMLESS,
        "severity_reason": HARMLESS,
        "initial_priority": HARMLESS,
        "name": NAME,
        "contact_email": EMAIL,
        "uri": ADDRESS,
        "*": TEXT,
    },
)

ISSUE = Shape(
    "issue",
    "an issue",
    {
        "title": TEXT,
        "culprit": TEXT,
        "metadata": METADATA,
        "statusDetails.actor": ACCOUNT,
        "statusDetails.inCommit": COMMIT,
        "assignedTo": OWNER,
        "owners[].owner": OWNER,
        "participants[]": OWNER,
        "seenBy[]": ACCOUNT,
        "activity[].user": ACCOUNT,
        "activity[].data.assignee": Kind.OWNER_ID,
        "activity[].data.assigneeEmail": EMAIL,
        "activity[].data.assigneeName": NAME,
        "activity[].data.assigneeType": HARMLESS,
        "activity[].data.commit": COMMIT,
        "activity[].data.version": HARMLESS,
        "activity[].data.current_release_version": HARMLESS,
        "activity[].data.priority": HARMLESS,
        "activity[].data.provider": HARMLESS,
        "activity[].data.*": TEXT,
        "tags[].topValues": Kind.TOP_VALUES,
        "integrationIssues[].title": TEXT,
        "integrationIssues[].description": TEXT,
        "firstRelease": RELEASE,
        "lastRelease": RELEASE,
    },
)

_FRAMES: Fields = {"frames[].vars": WHOLE}

_STACKS: Fields = {
    f"{stack}.{path}": kind for stack in ("stacktrace", "rawStacktrace") for path, kind in _FRAMES.items()
}

EXCEPTION = Shape(
    "exception",
    "an exception; its type, its frames, functions and file names stay",
    {"value": TEXT, "mechanism.description": TEXT, "mechanism.data": TEXT, **_STACKS},
)

REQUEST = Shape(
    "request",
    "the HTTP request during which it happened",
    {
        "cookies": CREDENTIAL,
        "env": CREDENTIAL,
        "headers": HEADERS,
        "url": ADDRESS,
        "query": Kind.PARAMETERS,
        "query_string": Kind.PARAMETERS,
        "fragment": ADDRESS,
        "data": Kind.BODY,
    },
)

CONTEXTS = Shape(
    "contexts",
    "what is known of the surroundings; contexts of your own are hashed or dropped",
    {
        **dict.fromkeys(
            (
                "os",
                "client_os",
                "runtime",
                "browser",
                "gpu",
                "culture",
                "monitor",
                "profile",
                "replay",
                "flags",
                "memory_info",
                "threadpool_info",
                "unity",
            ),
            HARMLESS,
        ),
        "device.name": NAME,
        "device.id": ID,
        "device.unique_id": ID,
        "device.device_unique_identifier": ID,
        "device.serial": ID,
        "app.device_app_hash": ID,
        "trace.description": TEXT,
        "trace.data": Kind.FACTS,
        "response.cookies": CREDENTIAL,
        "response.headers": HEADERS,
        "response.data": Kind.BODY,
        "feedback.contact_email": EMAIL,
        "feedback.name": NAME,
        "feedback.url": ADDRESS,
        "feedback.message": TEXT,
        "user": CUSTOMER,
        "*": Kind.EXTRA,
    },
)

EVENT = Shape(
    "event",
    "an event, in its full and its simple form",
    {
        "title": TEXT,
        "message": TEXT,
        "culprit": TEXT,
        "user": CUSTOMER,
        "metadata": METADATA,
        "tags[]": Kind.TAGS,
        "entries[exception].data.values[]": EXCEPTION,
        "entries[stacktrace].data": Shape("stack trace", "a stack trace", _FRAMES),
        "entries[threads].data.values[]": Shape("thread", "a thread", _STACKS),
        "entries[request].data": REQUEST,
        "entries[breadcrumbs].data.values[].message": TEXT,
        "entries[breadcrumbs].data.values[].data": Kind.FACTS,
        "entries[message].data": TEXT,
        "entries[csp].data.document_uri": ADDRESS,
        "entries[csp].data.referrer": ADDRESS,
        "entries[csp].data.blocked_uri": ADDRESS,
        "entries[csp].data.source_file": ADDRESS,
        "entries[csp].data.effective_directive": HARMLESS,
        "entries[csp].data.violated_directive": HARMLESS,
        "entries[csp].data.original_policy": HARMLESS,
        "entries[csp].data.disposition": HARMLESS,
        "entries[csp].data.*": TEXT,
        "entries[spans].data[].description": TEXT,
        "entries[spans].data[].data": Kind.FACTS,
        "entries[spans].data[].tags": Kind.TAGS,
        "entries[debugmeta]": HARMLESS,
        "entries[template]": HARMLESS,
        "entries[*].data": TEXT,
        "contexts": CONTEXTS,
        "context": Kind.EXTRA,
        "errors[].data.value": TEXT,
        "errors[].data.url": ADDRESS,
        "_meta": Kind.REMARKS,
        "occurrence.issueTitle": TEXT,
        "occurrence.subtitle": TEXT,
        "occurrence.culprit": TEXT,
        "occurrence.evidenceData": TEXT,
        "occurrence.evidenceDisplay[].value": TEXT,
        "userReport": CUSTOMER,
    },
)

MEMBER = Shape(
    "member",
    "a membership or an invitation",
    {
        "email": EMAIL,
        "name": NAME,
        "inviterName": NAME,
        "user_id": ID,
        "user": ACCOUNT,
        "externalUsers[].userId": ID,
        "externalUsers[].externalId": ID,
        "externalUsers[].externalName": NAME,
    },
)

TAG_VALUE = Shape(
    "tag value",
    "a value of a tag; of the tag user with what is known of the user",
    {
        "value": Kind.TAG_VALUE,
        "name": Kind.TAG_VALUE,
        "id": ID,
        "identifier": ID,
        "username": NAME,
        "email": EMAIL,
        "ipAddress": IP,
        "ip_address": IP,
        "avatarUrl": TEXT,
        "query": SEARCH,
        "extra": TEXT,
    },
)

POLICY: Mapping[str, Fields] = MappingProxyType(
    {
        "members": {"": MEMBER},
        "users": {"": MEMBER},
        "team_members": {"": MEMBER},
        "repository_commits": {"": COMMIT},
        "tags": {"topValues": Kind.TOP_VALUES},
        "projects": {"latestRelease": RELEASE},
        "project_details": {"latestRelease": RELEASE},
        "project_ownership": {"raw": TEXT, "schema.rules[].owners[]": OWNER},
        "tag_values": {"": TAG_VALUE},
        "project_users": {
            "hash": ID,
            "id": ID,
            "identifier": ID,
            "tagValue": Kind.USER_TAG,
            "username": NAME,
            "email": EMAIL,
            "name": NAME,
            "ipAddress": IP,
            "avatarUrl": TEXT,
        },
        "debug_files": {"headers": HEADERS},
        "user_feedback": {
            "name": NAME,
            "email": EMAIL,
            "comments": TEXT,
            "user": CUSTOMER,
            "issue": ISSUE,
        },
        "releases": {"": RELEASE},
        "release_details": {"": RELEASE},
        "release_commits": {"": COMMIT},
        "release_commit_files": {"author": ACCOUNT, "commitMessage": TEXT, "commit_message": TEXT},
        "release_files": {"headers": HEADERS},
        "issues": {"": ISSUE, "assigned_to_id": Kind.OWNER_ID},
        "feedback": {"": ISSUE, "assigned_to_id": Kind.OWNER_ID},
        "issue_details": {"": ISSUE, "assigned_to_id": Kind.OWNER_ID},
        "events": {"": EVENT},
        "issue_events": {"": EVENT},
        "issue_hashes": {"latestEvent": EVENT},
        "issue_comments": {"user": ACCOUNT, "data": TEXT},
        "issue_tags": {"topValues": Kind.TOP_VALUES},
        "issue_tag_values": {"": TAG_VALUE},
        "monitors": {
            "owner": OWNER,
            "alertRule.targets[].targetIdentifier": Kind.OWNER_ID,
        },
        "detectors": {"owner": OWNER, "createdBy": ID, "dataSources": SEARCH},
        "workflows": {
            "owner": OWNER,
            "createdBy": ID,
            **{
                f"{place}.conditions[].comparison.{path}": kind
                for place in ("triggers", "actionFilters[]")
                for path, kind in {
                    "targetIdentifier": Kind.OWNER_ID,
                    "target_identifier": Kind.OWNER_ID,
                    "value": Kind.TAG_VALUE,
                }.items()
            },
        },
        "replays": {
            "user": CUSTOMER,
            "urls[]": ADDRESS,
            "tags": Kind.TAGS,
            "clicks": TEXT,
            "device.name": NAME,
        },
        "dashboards": {
            "createdBy": ACCOUNT,
            "widgets[].queries[].conditions": SEARCH,
            "widgets[].exploreUrls": TEXT,
            "filters": SEARCH,
        },
        "saved_queries": {
            "createdBy": ACCOUNT,
            "query": SEARCH,
            "conditions": TEXT,
            "exploreQuery": SEARCH,
        },
    }
)
"""What is personal or secret in each table; a table that is not named holds nothing of that."""


@dataclass(frozen=True)
class Entry:
    """One line of the policy: what a field of a table is."""

    table: str
    path: str
    kind: Kind


def entries(table: str) -> list[Entry]:
    """The policy of a table, line by line, with what its shapes hold."""
    return [Entry(table, path, kind) for path, kind in _flat(POLICY.get(table, {}))]


def _flat(fields: Fields, prefix: str = "") -> Iterator[tuple[str, Kind]]:
    for path, kind in fields.items():
        whole = ".".join(filter(None, (prefix, path)))
        if isinstance(kind, Shape):
            yield from _flat(kind.fields, whole)
        else:
            yield whole, kind
