"""Endpoints that change issues: one of them, or all that are named, or all that a search finds."""

import re

from . import issue_records as records
from . import search
from .answers import Answer, json_answer
from .api_issues import find_issue, refuse_what_the_server_cannot
from .call import Call
from .errors import ApiError, bad_request
from .issue_bodies import Update, read_object, read_update
from .issue_changes import Change, delete
from .model import Issue, Project, Row

MOST_AT_ONCE = 1_000

_NUMBER = re.compile(r"\d+")


def _nothing() -> Answer:
    return Answer(b"", status=204)


def update_issue(call: Call) -> Answer:
    """Change one issue, by id or short id; an id that was merged away changes its parent."""
    call.not_on_old_servers()
    call.organization()
    return _update_one(call, find_issue(call, short_ids=True))


def update_issue_without_organization(call: Call) -> Answer:
    """Change one issue, by id, on the path that old servers have and newer ones call deprecated."""
    return _update_one(call, find_issue(call, short_ids=False))


def _update_one(call: Call, issue: Issue) -> Answer:
    sent = read_object(call.body, call.content_type)
    answer = _apply(call, [issue], [issue.project], sent)
    return answer if answer.status != 200 else json_answer(records.updated(call, issue))


def update_issues(call: Call) -> Answer:
    """Change the issues named by `id`, or all that the search finds; the answer tells what is different."""
    call.organization()
    return _update_many(call, _chosen(call))


def update_project_issues(call: Call) -> Answer:
    """Change issues of one project: the deprecated path, and the only one of old servers."""
    call.organization()
    return _update_many(call, [call.project()])


def _chosen(call: Call) -> list[Project]:
    projects = call.projects()
    refuse_what_the_server_cannot(call, projects)
    return projects


def _update_many(call: Call, projects: list[Project]) -> Answer:
    sent, ids = read_object(call.body, call.content_type), _ids(call)
    if len(ids) > MOST_AT_ONCE:
        raise bad_request(f"Cannot update more than {MOST_AT_ONCE} issues at once")
    issues = _named(call, projects, ids)
    if not ids or (not issues and call.switches.bulk_ids_fall_back_to_search):
        issues = _searched(call, projects)
    return _apply(call, issues, projects, sent) if issues else _nothing()


def _apply(call: Call, issues: list[Issue], projects: list[Project], sent: Row) -> Answer:
    """Change issues. The update has to make sense in every project chosen, also in those without an issue."""
    old = call.switches.old_server
    reads = [read_update(call.world, project, call.access, sent, old=old) for project in projects]
    update: Update = reads[-1]
    change = Change(call, issues, update)
    if not update.given.get("discard"):
        return json_answer(change.apply())
    if "discard" in call.switches.features_off:
        raise ApiError(json_answer({"detail": ["You do not have that feature enabled"]}, status=400))
    change.discard()
    return _nothing()


def delete_issue(call: Call) -> Answer:
    """Delete one issue; a real server does it later, but it is out of reach at once."""
    call.not_on_old_servers()
    call.organization()
    delete(call, find_issue(call, short_ids=True))
    return Answer(b"", status=202)


def delete_issue_without_organization(call: Call) -> Answer:
    """Delete one issue on the path without organization."""
    delete(call, find_issue(call, short_ids=False))
    return Answer(b"", status=202)


def delete_issues(call: Call) -> Answer:
    """Delete the issues named by `id`, or the first thousand that the search finds."""
    call.organization()
    return _delete_many(call, _chosen(call))


def delete_project_issues(call: Call) -> Answer:
    """Delete issues of one project."""
    call.organization()
    return _delete_many(call, [call.project()])


def _delete_many(call: Call, projects: list[Project]) -> Answer:
    ids = _ids(call)
    for issue in _named(call, projects, ids) if ids else _searched(call, projects):
        delete(call, issue)
    return _nothing()


def _ids(call: Call) -> list[str]:
    ids = call.params.all("id")
    if not all(_NUMBER.fullmatch(text) for text in ids):
        raise bad_request("Group ids must be integers")
    return ids


def _named(call: Call, projects: list[Project], ids: list[str]) -> list[Issue]:
    """The issues there are among those named. A merged id leads nowhere here, other than for a single issue."""
    found = search.by_ids(call.world, projects, ids)
    limited = call.params.get("status") if "project" in call.names else None
    return [issue for issue in found if limited in {None, "", issue.status}]


def _searched(call: Call, projects: list[Project]) -> list[Issue]:
    """What the search finds, best first, a thousand at most: no dates, page size or cursor narrow it down."""
    text, now = call.params.get("query"), call.world.now.timestamp()
    if "project" in call.names and call.params.get("status"):
        text = f"{text or ''} is:{call.params.get('status')}"
    query = search.parse(text, now, projects)
    sort = search.sort_name(call.params.get("sort"))
    chosen = call.environments()
    hits = search.find(call.world, projects, query, None, sort=sort, environments=chosen)
    return [hit.issue for hit in hits[:MOST_AT_ONCE]]
