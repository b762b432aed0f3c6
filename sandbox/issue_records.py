"""Issues in the shapes of the API."""

from bisect import bisect_left

from .call import Call
from .dates import DAY, Window, stamp
from .lists import Numbers, numbers
from .model import Assignee, Entry, Issue, Member, Row
from .paint import metadata_of
from .records import user

HOUR = 3_600


def actor(who: Assignee | None) -> Row | None:
    """A user or a team an issue is assigned to."""
    if who is None:
        return None
    row: Row = {"type": who.type, "id": who.id, "name": who.name}
    return row | {"email": who.email} if who.email else row


def base(call: Call, issue: Issue) -> Row:
    """What every form of an issue holds."""
    kind, project, viewer = issue.kind, issue.project, call.access.user_id
    feedback = issue.category == "feedback"
    return {
        "id": issue.id,
        "shareId": issue.share_id,
        "shortId": issue.short_id,
        "title": kind.title,
        "culprit": kind.culprit,
        "permalink": f"{call.site.url}/organizations/{call.world.organization.slug}/issues/{issue.id}/",
        "logger": kind.logger,
        "level": issue.level,
        "status": issue.status,
        "statusDetails": issue.status_details,
        "substatus": issue.substatus,
        "isPublic": issue.share_id is not None,
        "platform": project.platform,
        "priority": issue.priority,
        "priorityLockedAt": None if issue.priority_locked_at is None else stamp(issue.priority_locked_at),
        "seerFixabilityScore": None,
        "seerAutofixLastTriggered": None,
        "seerExplorerAutofixLastTriggered": None,
        "project": {
            "id": project.id,
            "name": project.name,
            "slug": project.slug,
            "platform": project.platform,
        },
        "type": "generic" if feedback else kind.type,
        "issueType": "feedback" if feedback else "error",
        "issueCategory": issue.category,
        "metadata": metadata_of(kind),
        "numComments": len(call.world.extras.comments[issue.id]),
        "assignedTo": actor(issue.assignee),
        "isBookmarked": viewer in issue.bookmarked_by,
        "isSubscribed": viewer in issue.subscribers,
        "subscriptionDetails": {"reason": issue.subscribers[viewer]} if viewer in issue.subscribers else None,
        "hasSeen": viewer in issue.seen_by,
        "annotations": [],
        "isUnhandled": issue.level == "fatal",
        "derivedData": _derived(issue),
    }


def _derived(issue: Issue) -> Row:
    return {
        "blocker": "none",
        "progress": "not_started",
        "status": "open" if issue.status == "unresolved" else "closed",
        "viewCount": int(issue.id) % 40,
        "hasOpenFixPr": False,
        "isAssigned": issue.assignee is not None,
        "hasRootCause": False,
        "lastCompletedAutofixStep": "none",
        "lastProgressedAt": None,
    }


def time_of(call: Call, entry: Entry) -> str:
    """The time of an event, with its fraction when this server shows them."""
    return stamp(entry[0], 0 if call.world.whole_seconds else entry[2].millis)


def in_window(call: Call, found: Numbers | None) -> Row:
    """The four numbers of the events inside the window of the request."""
    if found is None:
        return {"count": "0", "userCount": 0, "firstSeen": None, "lastSeen": None}
    return {
        "count": str(found.events),
        "userCount": found.users,
        "firstSeen": time_of(call, found.first),
        "lastSeen": time_of(call, found.last),
    }


def _first_seen(call: Call, issue: Issue) -> str:
    first = issue.timeline[0] if issue.timeline else None
    return time_of(call, first) if first and first[0] == issue.first_seen else stamp(issue.first_seen)


def lifetime(call: Call, issue: Issue) -> Row:
    """The numbers of all time: count and first from the issue itself, users and last from the events kept.

    Without any event kept the last sighting, too, is the issue's own.
    """
    kept = numbers(call.world, issue, None)
    return {
        "count": str(issue.times_seen),
        "userCount": kept.users if kept else 0,
        "firstSeen": _first_seen(call, issue),
        "lastSeen": time_of(call, kept.last) if kept else stamp(issue.last_seen),
        "stats": None,
    }


def histogram(issue: Issue, start: int, step: int, buckets: int) -> object:
    """Events per bucket as `[[unix seconds, count], ...]`."""
    counts = [0] * buckets
    for entry in issue.timeline[bisect_left(issue.timeline, (start,)) :]:
        place = (entry[0] - start) // step
        if place < buckets:
            counts[place] += 1
    return [[start + step * at, count] for at, count in enumerate(counts)]


def stats(call: Call, issue: Issue, period: str, window: Window) -> Row:
    """The `stats` of an issue in lists: they move with the clock."""
    now = call.world.seconds_now
    if period == "14d":
        return {"14d": histogram(issue, now // DAY * DAY - 13 * DAY, DAY, 14)}
    if period == "auto":
        step = max(HOUR, (window.end - window.start) // 60)
        return {"auto": histogram(issue, window.start, step, 60)}
    return {"24h": histogram(issue, now // HOUR * HOUR - 23 * HOUR, HOUR, 24)}


def project_stream(call: Call, issue: Issue, counted: int) -> Row:
    """An issue as the deprecated list of a project shows it: lifetime numbers in the main fields."""
    row = base(call, issue)
    last = issue.timeline[-1] if issue.timeline else None
    row |= {
        "count": str(counted),
        "userCount": lifetime(call, issue)["userCount"],
        "firstSeen": _first_seen(call, issue),
        "lastSeen": time_of(call, last) if last else stamp(issue.last_seen),
        "stats": stats(call, issue, "24h", Window(0, 0)),
    }
    for name in ("derivedData",) + (LATER if call.switches.old_server else ()):
        del row[name]
    return row


LATER = (
    "substatus",
    "priority",
    "priorityLockedAt",
    "seerFixabilityScore",
    "seerAutofixLastTriggered",
    "seerExplorerAutofixLastTriggered",
    "platform",
    "issueType",
    "issueCategory",
    "isUnhandled",
)


def updated(call: Call, issue: Issue) -> Row:
    """An issue as the answer to its own update shows it: whole, but without what only reading it adds."""
    kept = numbers(call.world, issue, None)
    row = base(call, issue) | {
        "count": str(issue.times_seen),
        "userCount": kept.users if kept else 0,
        "firstSeen": _first_seen(call, issue),
        "lastSeen": time_of(call, kept.last) if kept else stamp(issue.last_seen),
    }
    if call.switches.old_server:
        for name in ("derivedData", *LATER):
            del row[name]
    return row


def detail(call: Call, issue: Issue) -> Row:
    """An issue alone: lifetime numbers, and what lists do not show."""
    row, now = updated(call, issue), call.world.seconds_now
    row |= {
        "stats": {
            "24h": histogram(issue, now // HOUR * HOUR - 23 * HOUR, HOUR, 24),
            "30d": histogram(issue, now // DAY * DAY - 29 * DAY, DAY, 30),
        },
        "activity": activity(call, issue),
        "seenBy": _seen_by(call, issue),
        "participants": _participants(call, issue),
        "userReportCount": call.world.reports_of(issue),
        "pluginActions": [],
        "pluginIssues": [],
        "pluginContexts": [],
        "firstRelease": _release(issue, first=True),
        "lastRelease": _release(issue, first=False),
        "tags": [
            {"key": key, "name": key.title(), "totalValues": issue.times_seen} for key in ("level", "user")
        ],
    }
    return row


def _seen_by(call: Call, issue: Issue) -> list[Row]:
    """Who has seen it, last first."""
    latest = sorted(issue.seen_by.items(), key=lambda item: item[1], reverse=True)
    known = {member.user_id: member for member in call.world.members if not member.pending}
    return [(user(known[one]) or {}) | {"lastSeen": stamp(at)} for one, at in latest if one in known]


def _participants(call: Call, issue: Issue) -> list[Row]:
    """The members who are told of what happens to it."""
    taking_part = (member for member in call.world.members if member.user_id in issue.subscribers)
    return [(user(member) or {}) | {"type": "user"} for member in taking_part]


def activity(call: Call, issue: Issue) -> list[Row]:
    """Newest first, at most 100, and the first sighting at the end."""
    first: Row = {"type": "first_seen", "at": issue.first_seen, "data": {}}
    comments: list[Row] = [
        {"type": "note", "at": one.created, "data": {"text": one.text}}
        for one in call.world.extras.comments[issue.id]
    ]
    later = sorted([*comments, *issue.activity], key=lambda note: int(str(note["at"])))
    notes = [first, *later][::-1][:100]
    return [
        {
            "id": str(at),
            "type": note["type"],
            "user": _doer(note.get("by")),
            "data": note["data"],
            "dateCreated": stamp(int(str(note["at"]))),
        }
        for at, note in enumerate(notes)
    ]


def _doer(who: object) -> Row | None:
    """Who changed an issue; nobody when the server did, or a test."""
    return user(who) if isinstance(who, Member) else None


def _release(issue: Issue, *, first: bool) -> Row | None:
    entries = issue.timeline if first else reversed(issue.timeline)
    version = next((entry[2].release for entry in entries if entry[2].release), None)
    return {"version": version, "shortVersion": version} if version else None
