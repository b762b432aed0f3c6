"""Endpoints of tags, their values, and the customers that the `user` tag names."""

from .answers import Answer, json_answer
from .api_issues import find_issue
from .call import Call
from .dates import default_window, requested_window, stamp
from .errors import bad_request, internal_error, not_found
from .model import Issue, Row
from .paging import sequence_page
from .tags import (
    PROTECTED,
    TagKey,
    TagValue,
    end_user,
    end_users,
    tags_of,
    together,
)

DATASETS = ("discover", "events", "replays", "search_issues")
TOP_VALUES = 10


def _key_row(tag: TagKey) -> Row:
    return {"key": tag.key, "name": tag.name, "totalValues": tag.total}


def organization_tags(call: Call) -> Answer:
    """The tag keys of the projects chosen, most frequent first, in one answer without Link header."""
    if call.switches.old_server:  # It wants Snuba.
        raise internal_error()
    call.organization()
    dataset = call.params.get("dataset") or "discover"
    if dataset not in DATASETS:
        raise bad_request(f"Invalid dataset: {dataset}")
    window = requested_window(call.params, call.world.now) or default_window(call.world.now)
    environments = call.environments()
    if dataset in {"replays", "search_issues"}:
        return json_answer([])
    found = together(tags_of(call.world, project, window, environments) for project in call.projects())
    return json_answer(
        [_key_row(tag) for tag in sorted(found.values(), key=lambda tag: (-tag.total, tag.key))]
    )


def project_tags(call: Call) -> Answer:
    """The tag keys of a project, in one answer without Link header."""
    call.organization()
    found = tags_of(call.world, call.project())
    counted = call.params.get("includeValuesSeen") != "0"
    return json_answer(
        [
            {"key": tag.key, "name": tag.name}
            | ({"uniqueValues": len(tag.values)} if counted else {})
            | {"canDelete": tag.key not in PROTECTED}
            for tag in found.values()
        ]
    )


def _value_row(tag: TagKey, value: TagValue) -> Row:
    row: Row = {
        "key": tag.key,
        "name": value.value,
        "value": value.value,
        "count": value.count,
        "lastSeen": stamp(value.last),
        "firstSeen": stamp(value.first),
    }
    if tag.key == "user":
        kind, _, ident = value.value.partition(":")
        row["query"] = f'user.{kind}:"{ident}"'
    return row


def _user_row(tag: TagKey, value: TagValue) -> Row:
    """A value of the `user` tag in the list of an issue: a customer, without `key`."""
    row = _value_row(tag, value) | end_user(value.value).row()
    return {
        name: field for name, field in row.items() if name not in {"key", "hash", "dateCreated", "tagValue"}
    }


def _values_page(call: Call, tag: TagKey, values: list[TagValue], scores: list[int]) -> Answer:
    request = call.page_request()
    listed = call.gapped(values, request.limit)
    given = iter(scores)
    last = scores[0] if scores else 0
    spread = [last := next(given) if value else last for value in listed]
    shape = _user_row if tag.key == "user" and "issue" in call.names else _value_row
    return call.page(sequence_page(listed, spread, request), lambda value: shape(tag, value))


def tag_values(call: Call) -> Answer:
    """The values of one tag in a project, those seen last first; 404 for a tag no event carries."""
    call.organization()
    project = call.project()
    window = requested_window(call.params, call.world.now) or default_window(call.world.now)
    tag = tags_of(call.world, project).get(call.names["key"])
    if tag is None:
        raise not_found()
    text = (call.params.get("query") or "").lower()
    inside = tags_of(call.world, project, window).get(tag.key, TagKey(tag.key))
    values = [value for value in inside.newest_first() if text in value.value.lower()]
    return _values_page(call, tag, values, [value.last * 1_000 for value in values])


def project_users(call: Call) -> Answer:
    """The customers a project's events name."""
    call.organization()
    users = end_users(call.world, call.project())
    kind, _, text = (call.params.get("query") or "").partition(":")
    if kind and kind not in {"id", "email", "username", "ip"}:
        raise bad_request(f"Invalid query: {kind}")
    fields = {"id": "id", "email": "email", "username": "username", "ip": "ipAddress"}
    rows = [user.row() for user in users]
    return call.by_row([row for row in rows if not kind or row[fields[kind]] == text], lambda row: row)


def _issue_in_organization(call: Call) -> Issue:
    call.organization()
    return find_issue(call, short_ids=True)


def issue_tags(call: Call) -> Answer:
    """The tags of an issue with their most common values, in one answer without Link header."""
    return _issue_tags(call, _issue_in_organization(call))


def issue_tags_without_organization(call: Call) -> Answer:
    """The tags of an issue on the path without organization."""
    return _issue_tags(call, find_issue(call, short_ids=False))


def _tag_row(tag: TagKey, limit: int) -> Row:
    return _key_row(tag) | {
        "uniqueValues": len(tag.values),
        "topValues": [_value_row(tag, value) for value in tag.most_common(limit)],
    }


def _issue_tags(call: Call, issue: Issue) -> Answer:
    keys = [key for key in call.params.all("key") if key]
    text = call.params.get("limit") or str(TOP_VALUES - bool(keys))
    if not text.isdigit():
        raise internal_error()  # Nobody checks it on the real server either.
    found = tags_of(call.world, issue, None, frozenset(call.params.all("environment")))
    return json_answer([_tag_row(tag, int(text)) for key, tag in found.items() if not keys or key in keys])


def issue_tag(call: Call) -> Answer:
    """One tag of an issue."""
    return json_answer(_tag_row(_issue_tag(call, _issue_in_organization(call)), TOP_VALUES))


def issue_tag_without_organization(call: Call) -> Answer:
    """One tag of an issue on the path without organization."""
    return json_answer(_tag_row(_issue_tag(call, find_issue(call, short_ids=False)), TOP_VALUES))


def _issue_tag(call: Call, issue: Issue) -> TagKey:
    found = tags_of(call.world, issue, None, frozenset(call.params.all("environment")))
    if call.names["key"] not in found:
        raise not_found()
    return found[call.names["key"]]


def issue_tag_values(call: Call) -> Answer:
    """The values of one tag of an issue."""
    return _issue_tag_values(call, _issue_in_organization(call))


def issue_tag_values_without_organization(call: Call) -> Answer:
    """The values of one tag of an issue on the path without organization."""
    return _issue_tag_values(call, find_issue(call, short_ids=False))


def _issue_tag_values(call: Call, issue: Issue) -> Answer:
    tag = _issue_tag(call, issue)
    sort = call.params.get("sort") or "id"
    if sort not in {"id", "date", "age", "count"}:
        sort = "id"  # Taken for the default without a word.
    scores = {
        value.value: value.count
        if sort == "count"
        else 1_000 * (value.first if sort == "age" else value.last)
        for value in tag.values.values()
    }
    values = sorted(tag.values.values(), key=lambda value: (-scores[value.value], value.value))
    return _values_page(call, tag, values, [scores[value.value] for value in values])
