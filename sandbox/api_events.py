"""Endpoints of events."""

import sys
from collections.abc import Callable, Sequence

from . import event_records as records
from .answers import Answer, json_answer
from .api_issues import find_issue
from .call import Call
from .dates import DAY, Window, default_window, requested_window
from .dice import roll
from .errors import ApiError, bad_request, internal_error, not_found
from .lists import bounds
from .model import Event, Issue, Project
from .paging import PageRequest, keyset_page, row_page


def project_events(call: Call) -> Answer:
    """The error events of a project, newest first."""
    call.organization()
    project = call.project()
    if call.switches.old_server:
        return _old_project_events(call, project)
    window = None if call.switches.ignores_event_windows else _project_window(call)
    return _events(call, project, _listed(call, window), _project_filter(call))


def _listed(call: Call, window: Window | None) -> Window | None:
    """The part of a window that project events list; older events are left out without a word."""
    if call.switches.listed_days is None:
        return window
    start = call.world.seconds_now - call.switches.listed_days * DAY
    return Window(max(start, window.start), window.end) if window else Window(start, sys.maxsize)


def _project_window(call: Call) -> Window | None:
    try:
        return requested_window(call.params, call.world.now)
    except ApiError:
        raise bad_request("Invalid date range parameters provided") from None


Filter = Callable[[Event], bool]


def _project_filter(call: Call) -> Filter | None:
    text = call.params.get("query")
    return (lambda event: records.matches(event, text)) if text else None


def _events(call: Call, owner: Project | Issue, window: Window | None, wanted: Filter | None) -> Answer:
    """A page of events: simple ones, or full ones, of which a page holds only a few."""
    full = _flag(call, "full")
    request = call.page_request(call.switches.full_page_size if full else 100)
    call.scan([owner if isinstance(owner, Project) else owner.project], window)
    low, high = bounds(call.world, owner, window)
    if wanted or _flag(call, "sample") or call.switches.empty_pages:
        events = [entry[2] for entry in reversed(owner.timeline[low:high]) if not wanted or wanted(entry[2])]
        if _flag(call, "sample"):
            events.sort(key=lambda event: event.event_id)
        listed = call.gapped(events, request.limit)
        page = row_page(lambda offset, count: listed[offset : offset + count], request)
    else:
        page = row_page(lambda offset, count: _slice(owner, low, high - offset, count), request)
    return call.page(page, lambda event: (records.full if full else records.simple)(call, event))


def _flag(call: Call, name: str) -> bool:
    """Whether `full` or `sample` is on; until early 2025 any text was, also `false`."""
    if call.switches.ignores_event_windows:
        return bool(call.params.get(name))
    return call.params.flag(name)


def _slice(owner: Project | Issue, low: int, stop: int, count: int) -> Sequence[Event | None]:
    """Up to `count` events before place `stop`, newest first."""
    start = max(low, stop - count)
    return [entry[2] for entry in reversed(owner.timeline[start : max(start, stop)])]


def _old_project_events(call: Call, project: Project) -> Answer:
    """All events with their bodies, whatever dates are asked for, paged by the time in milliseconds."""
    low, high = bounds(call.world, project, _listed(call, None))
    events = [entry[2] for entry in reversed(project.timeline[low:high])]
    events.sort(key=_millis, reverse=True)
    page = keyset_page(
        call.gapped(events, 100), lambda event: _millis(event) if event else 0, call.page_request()
    )
    return call.page(page, lambda event: records.full(call, event))


def _millis(event: Event) -> int:
    return event.at * 1_000 + event.millis


def issue_events(call: Call) -> Answer:
    """The events of an issue, below its organization."""
    call.not_on_old_servers()
    call.organization()
    return _issue_events(call, find_issue(call, short_ids=True))


def issue_events_without_organization(call: Call) -> Answer:
    """The events of an issue on the path without organization."""
    found = find_issue(call, short_ids=False)
    return _old_issue_events(call, found) if call.switches.old_server else _issue_events(call, found)


def _issue_events(call: Call, issue: Issue) -> Answer:
    environments = frozenset(call.params.all("environment"))
    if environments - call.world.environments.keys():  # The other endpoints answer 404 here.
        return json_answer([])
    text = (call.params.get("query") or "").strip()
    named = issue.project.by_id.get(text.lower())
    if named is not None and named.issue is issue:
        return json_answer([records.simple(call, named)], headers={"X-Sentry-Direct-Hit": "1"})
    window = requested_window(call.params, call.world.now) or default_window(call.world.now)
    return _events(call, issue, window, _issue_filter(text, environments))


def _issue_filter(text: str, environments: frozenset[str]) -> Filter | None:
    if not text and not environments:
        return None
    terms = [term.partition(":") for term in text.split()]

    def wanted(event: Event) -> bool:
        return (not environments or event.environment in environments) and all(
            records.has_tag(event, key, value) if colon else records.matches(event, key)
            for key, colon, value in terms
        )

    return wanted


def _old_issue_events(call: Call, issue: Issue) -> Answer:
    """The events of an issue before Snuba: an order without unique tail.

    Events of one second come in another order for each page, so that a page's edge inside that second
    loses some and repeats others.
    """
    if bool(call.params.get("start")) != bool(call.params.get("end")):
        raise internal_error()
    low, high = bounds(call.world, issue, requested_window(call.params, call.world.now))
    request = call.page_request()
    turn = request.cursor.offset if request.cursor else 0
    events = [entry[2] for entry in issue.timeline[low:high]]
    events.sort(key=lambda event: (-event.at, roll(event.seed, turn, 1 << 30)))
    listed = call.gapped(events, request.limit)
    page = row_page(lambda offset, count: listed[offset : offset + count], _at_least_one(request))
    return call.page(page, lambda event: records.full(call, event))


def _at_least_one(request: PageRequest) -> PageRequest:
    return request if request.limit else PageRequest(1, request.cursor)


def event(call: Call) -> Answer:
    """One event with its body.

    The list goes on showing an event whose body is lost, and this answers 404 for it.
    """
    call.organization()
    project, name = call.project(), call.names["event"]
    found = project.by_id.get(name.lower().replace("-", ""))
    if found is None or found.at < call.world.horizon or records.body_is_lost(call, found):
        raise not_found("Event not found")
    return json_answer(records.detail(call, found))
