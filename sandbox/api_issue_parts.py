"""Endpoints of what hangs on one issue: comments, hashes, links to other trackers."""

from . import event_records
from .answers import Answer, json_answer
from .api_issues import find_issue
from .call import Call
from .dates import stamp
from .extras import Comment
from .hashes import latest_by_hash
from .model import Event, Issue, Row
from .paging import Page, keyset_page
from .records import user


def _in_organization(call: Call) -> Issue:
    call.organization()
    return find_issue(call, short_ids=True)


def comments(call: Call) -> Answer:
    """The comments on an issue, newest first."""
    return _comments(call, _in_organization(call))


def comments_without_organization(call: Call) -> Answer:
    """The comments on an issue on the path without organization."""
    return _comments(call, find_issue(call, short_ids=False))


def comment_row(comment: Comment) -> Row:
    """A comment: a note in the activity of its issue."""
    return {
        "id": comment.id,
        "user": user(comment.author),
        "type": "note",
        "data": {"text": comment.text},
        "dateCreated": stamp(comment.created),
    }


def _comments(call: Call, issue: Issue) -> Answer:
    found = sorted(call.world.extras.comments[issue.id], key=lambda one: one.created, reverse=True)
    request = call.page_request()
    page: Page[Comment | None] = keyset_page(
        call.gapped(found, request.limit), lambda one: one.created * 1_000 if one else 0, request
    )
    return call.page(page, comment_row)


def hashes(call: Call) -> Answer:
    """The hashes of an issue with the newest event of each, ten to a page; the event is a full one."""
    return _hashes(call, _in_organization(call))


def hashes_without_organization(call: Call) -> Answer:
    """The hashes of an issue on the path without organization."""
    return _hashes(call, find_issue(call, short_ids=False))


def _hashes(call: Call, issue: Issue) -> Answer:
    full = call.params.get("full") is None or call.params.flag("full")
    shape = event_records.full if full else event_records.simple

    def row(item: tuple[str, Event]) -> Row:
        return {
            "id": item[0],
            "latestEvent": shape(call, item[1]),
            "mergedBySeer": False,
            "seerMatchDistance": None,
        }

    found = list(latest_by_hash(call.world, issue).items())
    return call.by_row(found, row, size=100 if call.switches.old_server else call.switches.full_page_size)


def external_links(call: Call) -> Answer:
    """The issues of custom integrations that an issue is linked to, in one answer."""
    return json_answer(call.world.extras.links[_in_organization(call).id])


def external_links_without_organization(call: Call) -> Answer:
    """The links on the path without organization."""
    return json_answer(call.world.extras.links[find_issue(call, short_ids=False).id])
