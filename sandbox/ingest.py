"""An event as an SDK sends it becomes an event of the world, in its issue."""

import hashlib
import re
from typing import TypeAlias

from .dates import parse_moment
from .errors import ApiError
from .intake import as_dict, as_list, as_text, breadcrumbs, exception_values, pairs, request_entry, top_frame
from .model import Body, Event, Issue, Kind, Outline, Project, Row, Stored
from .paint import metadata_of
from .world import World

Payload: TypeAlias = dict[str, object]

LEVELS = {"debug", "info", "warning", "error", "fatal"}
_AGENT = re.compile(r"(Firefox|Edg|Chrome|Safari)/([\d.]+)")


def accept_event(
    world: World, project: Project, payload: Payload, key: str, *, received: int | None = None
) -> Event:
    """File an event that was sent, now or at a moment given; one whose id is known changes nothing.

    Its id is the envelope's, whatever the document says: a real relay writes the one over the other.
    """
    if key in project.by_id:
        return project.by_id[key]
    kind = _kind(payload)
    received = world.seconds_now if received is None else received
    moment = _moment(payload.get("timestamp"), received)
    at = world.clamp(moment, received)
    level = as_text(payload.get("level")) or "error"
    level = level if level in LEVELS else "error"
    issue = _issue(world, project, payload, kind, at=at, level=level)
    event = world.add_event(
        project=project,
        issue=issue,
        at=at,
        event_id=key,
        release=as_text(payload.get("release")) or None,
        environment=as_text(payload.get("environment")) or None,
        level=level,
        received=received,
        stored=_stored(payload, project, kind, level),
    )
    event.user = _user_tag(_user(payload))
    event.millis = int(moment * 1_000) % 1_000 if at == int(moment) else 0
    issue.users_cache.clear()
    return event


def _moment(value: object, received: int) -> float:
    if isinstance(value, int | float):
        return float(value)
    try:
        return parse_moment(as_text(value)) if value else float(received)
    except ApiError:
        return float(received)


def _message(payload: Payload) -> str:
    entry = payload.get("logentry") or payload.get("message")
    if isinstance(entry, dict):
        return as_text(entry.get("formatted") or entry.get("message"))
    return as_text(entry)


def _thrown(payload: Payload) -> Payload | None:
    """The exception an issue is named after: the last one of a chain."""
    sent = payload.get("exception")
    values = as_list(sent.get("values")) if isinstance(sent, dict) else as_list(sent)
    return as_dict(values[-1]) if values else None


def _kind(payload: Payload) -> Kind:
    thrown, logger = _thrown(payload), as_text(payload.get("logger")) or None
    transaction = as_text(payload.get("transaction"))
    if thrown is None:
        message = _message(payload)
        title = message.splitlines()[0][:100] if message else "<unlabeled event>"
        return Kind("default", title, transaction or logger or "", None, title, "", "", "", logger=logger)
    name, value = as_text(thrown.get("type")) or "Error", as_text(thrown.get("value"))
    frame = top_frame(thrown)
    module, function = as_text(frame.get("module")), as_text(frame.get("function"))
    where = f"{module or as_text(frame.get('filename'))} in {function}" if function else ""
    first_line = value.splitlines()[0] if value else ""
    title = f"{name}: {first_line}" if first_line else name
    filename = as_text(frame.get("filename"))
    return Kind("error", title, transaction or where, name, value, function, module, filename, logger=logger)


def _default_parts(payload: Payload, kind: Kind) -> list[str]:
    if kind.exception is None:
        template = payload.get("logentry") or payload.get("message")
        text = as_text(template.get("message")) if isinstance(template, dict) else _message(payload)
        return ["message", text, kind.logger or ""]
    return ["exception", kind.exception, kind.module, kind.function]


def _fingerprint(payload: Payload, kind: Kind) -> str:
    """What decides which issue an event falls into, as 32 hexadecimal digits."""
    parts: list[str] = []
    for part in as_list(payload.get("fingerprint")) or ["{{ default }}"]:
        is_default = as_text(part).replace(" ", "") == "{{default}}"
        parts += _default_parts(payload, kind) if is_default else [as_text(part)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _issue(world: World, project: Project, payload: Payload, kind: Kind, *, at: int, level: str) -> Issue:
    key = (project.id, _fingerprint(payload, kind))
    known = world.grouped.get(key)
    if known is not None:
        try:
            return world.issue(known)
        except KeyError:  # Deleted since: the next event starts a new issue.
            del world.grouped[key]
    issue = world.add_issue(project=project, kind=kind, at=at, events=0)
    issue.level = level
    world.grouped[key] = issue
    return issue


def _user(payload: Payload) -> Row | None:
    sent = payload.get("user")
    if not isinstance(sent, dict) or not sent:
        return None
    known = ("id", "email", "username", "ip_address", "name", "geo")
    user: Row = {name: sent.get(name) for name in known}
    for name in ("id", "email", "username"):
        user[name] = None if sent.get(name) is None else as_text(sent[name])
    rest = {name: value for name, value in sent.items() if name not in known and name != "data"}
    return user | {"data": as_dict(sent.get("data")) | rest or None}


def _user_tag(user: Row | None) -> str | None:
    if user is None:
        return None
    for field, name in (("id", "id"), ("username", "username"), ("email", "email"), ("ip_address", "ip")):
        if user.get(field):
            return f"{name}:{user[field]}"
    return None


def _tags(payload: Payload, level: str) -> list[tuple[str, str]]:
    named = [(name, as_text(payload.get(name))) for name in ("release", "environment", "dist", "logger")]
    named += [(name, as_text(payload.get(name))) for name in ("server_name", "transaction")]
    named += [("level", level), ("user", _user_tag(_user(payload)) or "")]
    named += _context_tags(as_dict(payload.get("contexts")))
    named += [("url", as_text(as_dict(payload.get("request")).get("url")))]
    agent = dict(pairs(as_dict(payload.get("request")).get("headers"))).get("User-Agent", "")
    if match := _AGENT.search(agent):
        named += [("browser", f"{match[1]} {match[2]}"), ("browser.name", match[1])]
    sent = dict(pairs(payload.get("tags")))
    return [(key, value) for key, value in (dict(named) | sent).items() if value]


def _context_tags(contexts: Payload) -> list[tuple[str, str]]:
    tags: list[tuple[str, str]] = []
    for name in ("browser", "os", "runtime"):
        context = as_dict(contexts.get(name))
        if label := as_text(context.get("name")):
            tags += [(name, f"{label} {as_text(context.get('version'))}".strip()), (f"{name}.name", label)]
    if family := as_text(as_dict(contexts.get("device")).get("family")):
        tags.append(("device.family", family))
    return tags


def _stored(payload: Payload, project: Project, kind: Kind, level: str) -> Stored:
    message = _message(payload)
    outline = Outline(
        type=kind.type,
        title=kind.title,
        message=message or kind.value,
        location=kind.filename or None,
        culprit=kind.culprit or None,
        metadata=metadata_of(kind),
        user=_user(payload),
        tags=_tags(payload, level),
        platform=as_text(payload.get("platform")) or project.platform,
    )
    sdk = as_dict(payload.get("sdk"))
    body = Body(
        entries=_entries(payload, message),
        contexts=as_dict(payload.get("contexts")),
        context=as_dict(payload.get("extra")),
        packages=as_dict(payload.get("modules")),
        sdk={"name": sdk.get("name"), "version": sdk.get("version")} if sdk else None,
        fingerprints=[_fingerprint(payload, kind)],
        dist=as_text(payload.get("dist")) or None,
        meta=as_dict(payload.get("_meta")),
    )
    return Stored(outline, body)


def _entries(payload: Payload, message: str) -> list[Row]:
    entries: list[Row] = []
    if values := exception_values(payload.get("exception")):
        data: Row = {"values": values, "hasSystemFrames": True, "excOmitted": None}
        entries.append({"type": "exception", "data": data})
    if message:
        entry = payload.get("logentry")
        sent = entry if isinstance(entry, dict) else {}
        data = {
            "formatted": message,
            "message": sent.get("message", message),
            "params": sent.get("params", []),
        }
        entries.append({"type": "message", "data": data})
    if crumbs := breadcrumbs(payload.get("breadcrumbs")):
        entries.append({"type": "breadcrumbs", "data": {"values": crumbs}})
    if request := as_dict(payload.get("request")):
        entries.append({"type": "request", "data": request_entry(request)})
    return entries
