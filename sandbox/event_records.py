"""Events in the shapes of the API: simple in lists, full on demand, alone with their neighbours."""

from bisect import bisect_left
from collections.abc import Callable

import orjson

from .call import Call
from .dates import stamp
from .dice import roll
from .model import Body, Event, Row, Serialized
from .paint import body_of, named_tags, outline_of
from .records import release as release_record

MOST_KEPT = 100_000  # Events with their bodies: some 25 KB each.


def group_id(event: Event) -> str | None:
    """The issue of an event, which changes when issues are merged."""
    return event.issue.id if event.issue else None


def body_is_lost(call: Call, event: Event) -> bool:
    """Whether the store of bodies has lost this one: the list goes on showing the event."""
    share = call.switches.missing_bodies
    return not event.has_body or (share > 0 and roll(event.seed, 90, 10_000) < share * 10_000)


def _tags(tags: list[tuple[str, str]]) -> list[Row]:
    return [
        {"query": _user_query(value), "key": key, "value": value}
        if key == "user"
        else {"key": key, "value": value}
        for key, value in tags
    ]


def _user_query(value: str) -> str:
    kind, _, ident = value.partition(":")
    return f'user.{kind}:"{ident}"'


def _created(call: Call, event: Event) -> str:
    return stamp(event.at, 0 if call.world.whole_seconds else event.millis)


def simple(call: Call, event: Event) -> orjson.Fragment:
    """An event as lists show it."""
    return _shown(call, event, _simple, call.world.simple_events)


def full(call: Call, event: Event) -> orjson.Fragment:
    """An event with its body, as lists show it on demand."""
    return _shown(call, event, _full, call.world.full_events)


def _shown(
    call: Call, event: Event, shape: Callable[[Call, Event], Row], kept: dict[Event, Serialized]
) -> orjson.Fragment:
    """An event in a shape, serialized, and kept as long as it would show the same; beyond so many none is kept."""
    old, whole_seconds = call.switches.old_server, call.world.whole_seconds
    state = (group_id(event), body_is_lost(call, event), old, whole_seconds)
    known = kept.get(event)
    if known and known[0] == state:
        return known[1]
    # What orjson hands out sits in a roomier buffer; a copy has the size of its text.
    shown = orjson.Fragment(bytes(memoryview(orjson.dumps(shape(call, event)))))
    if known or len(kept) < MOST_KEPT:
        kept[event] = (state, shown)
    return shown


def _simple(call: Call, event: Event) -> Row:
    lost = body_is_lost(call, event)
    outline = outline_of(event)
    return {
        "id": event.event_id,
        "event.type": outline.type,
        "groupID": group_id(event),
        "eventID": event.event_id,
        "projectID": event.project.id,
        "message": outline.message,
        "title": outline.title,
        "location": None if lost else outline.location,
        "culprit": outline.culprit,
        "user": outline.user,
        "tags": _tags(outline.tags),
        "platform": outline.platform,
        "dateCreated": _created(call, event),
        "crashFile": None,
        "metadata": {} if lost else outline.metadata,
    }


_NOTHING = Body(entries=[], contexts={}, context={}, packages={}, sdk=None, fingerprints=[], size=None)


def _full(call: Call, event: Event) -> Row:
    """An event with its body. It has `type` where the simple form has `event.type`."""
    outline = outline_of(event)
    lost = body_is_lost(call, event)
    body = _NOTHING if lost else body_of(event)
    old = call.switches.old_server
    return {
        # Before Snuba an event had a number of its own.
        "id": str(event.row) if old else event.event_id,
        "groupID": group_id(event),
        "eventID": event.event_id,
        "projectID": event.project.id,
        "size": body.size,
        "entries": body.entries,
        "dist": body.dist,
        "message": outline.message,
        "title": outline.title,
        "location": None if lost else outline.location,
        "user": outline.user,
        "contexts": body.contexts,
        "sdk": body.sdk,
        "context": body.context,
        "packages": body.packages,
        "type": outline.type,
        "metadata": {} if lost else outline.metadata,
        "tags": _tags(sorted(outline.tags)),
        "platform": outline.platform,
        "dateReceived": None if lost else stamp(event.received),
        "errors": body.errors,
        "occurrence": None,
        "_meta": body.meta,
        "crashFile": None,
        "culprit": outline.culprit,
        "dateCreated": _created(call, event),
        "fingerprints": body.fingerprints,
        "groupingConfig": {"id": "newstyle:2023-01-11", "enhancements": ""},
    }


def detail(call: Call, event: Event) -> Row:
    """An event alone: with its release as an object and the ids of its neighbours in the issue."""
    earlier, later = _neighbours(event)
    return _full(call, event) | {
        "release": _release(call, event),
        "userReport": None,
        "sdkUpdates": [],
        "resolvedWith": [],
        "nextEventID": later,
        "previousEventID": earlier,
    }


def _release(call: Call, event: Event) -> Row | None:
    if event.release is None:
        return None
    known = call.world.releases.get(event.release)
    if known is None or event.project not in known.projects:
        return {"version": event.release}
    return release_record(known, [event.project])


def _neighbours(event: Event) -> tuple[str | None, str | None]:
    timeline = event.issue.timeline if event.issue else []
    place = bisect_left(timeline, (event.at, event.event_id), key=lambda entry: entry[:2])
    earlier = timeline[place - 1][1] if place > 0 else None
    later = timeline[place + 1][1] if place + 1 < len(timeline) else None
    return earlier, later


def matches(event: Event, text: str) -> bool:
    """Whether the message or the title holds a text, which is all this list can search for."""
    outline = outline_of(event)
    return text.lower() in f"{outline.message} {outline.title}".lower()


def has_tag(event: Event, key: str, value: str) -> bool:
    """Whether an event carries a tag."""
    return (key, value) in named_tags(event) or (key, value) in outline_of(event).tags
