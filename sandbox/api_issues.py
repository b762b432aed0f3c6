"""Endpoints of issues."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson

from . import issue_records as records
from . import search
from .answers import Answer, json_answer
from .call import Call
from .dates import Window, default_window, requested_window
from .errors import bad_request, internal_error, not_found
from .lists import numbers
from .model import Issue, Project
from .paging import MAX_PAGE, PageRequest, read_cursor, sequence_page
from .search import Hit

MAX_HITS = 1_000
PERIODS = ("", "24h", "14d", "auto")
COUNT_LAG = 10

_LATE_COLUMNS: dict[str, object] = {
    "inbox": None,
    "owners": None,
    "integrationIssues": [],
    "sentryAppIssues": [],
    "latestEventHasAttachments": False,
    "pluginActions": [],
    "pluginIssues": [],
}
_COLLAPSED = {
    "stats": ("stats", "count", "userCount", "firstSeen", "lastSeen"),
    "lifetime": ("lifetime",),
    "filtered": ("filtered",),
    "unhandled": ("isUnhandled",),
}


@dataclass(frozen=True)
class Stream:
    """How one request wants its issues shown."""

    call: Call
    window: Window
    environments: frozenset[str]
    period: str
    looks_at_events: bool = False

    def row(self, issue: Issue) -> object:
        """An issue with the numbers of the window, beside those of its lifetime."""
        call, collapse = self.call, self.call.params.all("collapse")
        if "base" in collapse:
            return {"id": issue.id}
        counted = numbers(call.world, issue, self.window, self.environments)
        row = records.base(call, issue) | records.in_window(call, counted)
        row["filtered"] = None
        if self.period:
            row["stats"] = records.stats(call, issue, self.period, self.window)
        if self.looks_at_events:
            row["filtered"] = records.in_window(call, counted) | {"stats": row.get("stats", {})}
        if call.switches.lifetime:
            row["lifetime"] = records.lifetime(call, issue)
        for name in call.params.all("expand"):
            if name in _LATE_COLUMNS:
                row[name] = _LATE_COLUMNS[name]
        for name in collapse:
            for column in _COLLAPSED.get(name, ()):
                row.pop(column, None)
        return row

    def shown(self, issue: Issue) -> object:
        """The row, serialized; kept while nothing changes, as tests read the same lists often."""
        world, params = self.call.world, self.call.params
        key = (
            (world.version, world.seconds_now, world.retention_days, world.whole_seconds),
            (self.call.site, self.call.access.user_id),
            (self.window, self.environments, self.period, self.looks_at_events),
            (self.call.switches.lifetime, tuple(params.all("collapse")), tuple(params.all("expand"))),
        )
        if issue.row_cache[0] != key:
            issue.row_cache = (key, orjson.Fragment(orjson.dumps(self.row(issue))))
        return issue.row_cache[1]

    def direct(self, issue: Issue) -> Answer:
        """An issue that was named alone: no links, no window, and a header that says so."""
        row: dict[str, object] = {
            "matchingEventId": None,
            "matchingEventEnvironment": None,
            "sessionCount": 0,
        }
        text = (self.call.params.get("query") or "").strip()
        if text.lower() in issue.project.by_id:
            row["matchingEventId"] = text.lower()
        shown = self.row(issue)
        merged = {**shown, **row} if isinstance(shown, dict) else row
        return json_answer([merged], headers={"X-Sentry-Direct-Hit": "1"})


def organization_issues(call: Call) -> Answer:
    """The issues of the projects chosen that have an event in the window."""
    call.organization()
    chosen = call.projects()
    refuse_what_the_server_cannot(call, chosen)
    if not chosen:
        return json_answer([])
    window = requested_window(call.params, call.world.now) or default_window(call.world.now)
    stream = Stream(call, window, call.environments(), _period(call))
    if groups := call.params.all("group"):
        return _named(stream, search.by_ids(call.world, chosen, groups))
    text = call.params.get("query")
    short_ids = call.params.flag("shortIdLookup")
    if named := search.direct_hit(call.world, chosen, text or "", short_ids=short_ids):
        return stream.direct(named)
    query = search.parse(text, call.world.now.timestamp(), chosen)
    stream = Stream(call, window, stream.environments, stream.period, query.looks_at_events)
    sort = search.sort_name(call.params.get("sort"))
    call.scan(chosen, window)
    hits = search.find(call.world, chosen, query, window, sort=sort, environments=stream.environments)
    return _page(call, hits, lambda hit: stream.shown(hit.issue))


def _named(stream: Stream, issues: list[Issue]) -> Answer:
    """Issues asked for by their ids: all in one answer without Link, with the numbers of the last 90 days."""
    recent = replace(stream, window=default_window(stream.call.world.now))
    return json_answer([recent.row(issue) for issue in issues])


def refuse_what_the_server_cannot(call: Call, chosen: list[Project]) -> None:
    """Refuse several projects, and all of them on old servers, where the server cannot search them."""
    one_at_most = call.switches.no_multi_project or call.switches.old_server
    if len(chosen) > 1 and one_at_most:
        raise bad_request("You do not have the multi project stream feature enabled")
    if call.switches.old_server:  # It wants Snuba, which such a server does not have.
        raise internal_error()
    if "sessions" in call.params.all("expand"):  # Fails in practice, whatever the reference says.
        raise internal_error()


def _period(call: Call) -> str:
    period = call.params.get("groupStatsPeriod")
    if period is not None and period not in PERIODS:
        raise bad_request(f"Invalid groupStatsPeriod. Valid choices are {', '.join(map(repr, PERIODS))}")
    return "24h" if period is None else period


def _limit(call: Call) -> int:
    """The page size of issue lists: more than 100 are cut to 100 without a word."""
    text = call.params.get("limit")
    if text is None:
        return MAX_PAGE
    if not text.isdigit() or int(text) == 0:
        raise bad_request(f"Invalid limit: {text!r}")
    return min(MAX_PAGE, int(text))


def _page(call: Call, hits: list[Hit], shape: Callable[[Hit], object]) -> Answer:
    request = PageRequest(_limit(call), read_cursor(call.params, old=call.switches.old_server))
    listed = call.gapped(hits, request.limit)
    scores: list[int] = []
    for hit in listed:
        scores.append(hit.score if hit else scores[-1])
    headers = {"X-Hits": str(min(len(hits), MAX_HITS)), "X-Max-Hits": str(MAX_HITS)}
    return call.page(sequence_page(listed, scores, request), shape, headers)


def project_issues(call: Call) -> Answer:
    """The issues of one project: the deprecated list, blind to dates, with lifetime numbers."""
    call.organization()
    project, old = call.project(), call.switches.old_server
    if (call.params.get("statsPeriod") or "") not in {"", "24h", "14d"}:
        raise bad_request("Invalid stats_period. Valid choices are '', '24h', and '14d'")
    if old and call.params.get("sort") not in {None, "date", "new", "freq", "priority"}:
        raise internal_error()
    text, sort = call.params.get("query"), search.sort_name(call.params.get("sort"))
    if named := search.direct_hit(call.world, [project], text or "", short_ids=True):
        row = records.project_stream(call, named, named.times_seen)
        return json_answer([row], headers={"X-Sentry-Direct-Hit": "1"})
    query = search.parse(text, call.world.now.timestamp(), [project])
    hits = search.find(call.world, [project], query, None, sort=sort)
    return _page(call, hits, lambda hit: records.project_stream(call, hit.issue, _counted(call, hit.issue)))


def _counted(call: Call, issue: Issue) -> int:
    """The count as old servers show it: events of the last ten seconds are not in it yet."""
    if not call.switches.old_server:
        return issue.times_seen
    newest = call.world.seconds_now - COUNT_LAG
    return issue.times_seen - sum(entry[2].received > newest for entry in issue.timeline)


def find_issue(call: Call, *, short_ids: bool) -> Issue:
    """The issue in the path; an id that was merged away leads to its parent.

    Raises:
        ApiError: 404, when there is none, or it was deleted.
    """
    name = call.names["issue"]
    if not (short_ids or name.isdigit()):
        raise not_found()
    try:
        return call.world.issue(name)
    except KeyError:
        raise not_found() from None


def issue(call: Call) -> Answer:
    """One issue, by id or short id, below its organization."""
    call.not_on_old_servers()
    call.organization()
    return _detail(call, find_issue(call, short_ids=True))


def issue_without_organization(call: Call) -> Answer:
    """One issue, by id, on the path that old servers have and newer ones call deprecated."""
    return _detail(call, find_issue(call, short_ids=False))


def _detail(call: Call, found: Issue) -> Answer:
    row = records.detail(call, found)
    for name in call.params.all("expand"):
        if name in _LATE_COLUMNS:
            row[name] = _LATE_COLUMNS[name]
    for name, column in (
        ("release", "firstRelease"),
        ("release", "lastRelease"),
        ("tags", "tags"),
        ("stats", "stats"),
    ):
        if name in call.params.all("collapse"):
            row.pop(column, None)
    return Answer(orjson.dumps(row))
