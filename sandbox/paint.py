"""The content of made-up events: what lists show of them, and their bodies of 5 to 40 KB.

Everything follows from the seed of the event, so nothing is kept. Parts that many events share are
serialized once and put in as fragments.
"""

from functools import lru_cache

import orjson

from . import catalog
from .dice import pick, roll
from .model import Body, Event, Kind, Outline, Row, Stored

_NO_META: Row = dict.fromkeys(
    ("entries", "message", "user", "contexts", "sdk", "context", "packages", "tags")
)


def make_kind(seed: int) -> Kind:
    """What the events of a made-up issue have in common; one in eight is a message without exception."""
    failure = pick(seed, 1, catalog.FAILURES)
    function = f"{failure.function}_{roll(seed, 2, 10_000)}"
    if roll(seed, 3, 8) == 0:
        text = f"{pick(seed, 4, catalog.MESSAGES)} ({roll(seed, 2, 10_000)})"
        return Kind("default", text, failure.module, None, text, "", failure.module, "", logger="app.audit")
    return Kind(
        "error",
        f"{failure.exception}: {failure.value}",
        f"{failure.module} in {function}",
        failure.exception,
        failure.value,
        function,
        failure.module,
        failure.filename,
    )


def metadata_of(kind: Kind) -> Row:
    """The metadata of an issue and its events; the shape depends on the type."""
    if kind.exception is None:
        return {"title": kind.title}
    return {
        "type": kind.exception,
        "value": kind.value,
        "filename": kind.filename,
        "function": kind.function,
        "in_app_frame_mix": "mixed",
        "display_title_with_tree_label": False,
    }


_LONELY = Kind("error", "Error: not grouped", "", "Error", "not grouped", "main", "app", "app.py")


def outline_of(event: Event) -> Outline:
    """What lists show of an event."""
    if event.stored:
        return event.stored.outline
    kind = event.issue.kind if event.issue else _LONELY
    seed = event.seed
    return Outline(
        type=kind.type,
        title=kind.title,
        message=kind.title if kind.exception is None else f"{kind.value} #{seed % 1_000}",
        location=kind.filename or None,
        culprit=kind.culprit or None,
        metadata=metadata_of(kind),
        user=_user(event.user, seed),
        tags=_tags(event, seed),
        platform=event.project.platform,
    )


def _user(ident: str | None, seed: int) -> Row | None:
    if ident is None:
        return None
    number = ident.removeprefix("id:")
    code, city, region = pick(seed, 10, catalog.CITIES)
    return {
        "id": number,
        "email": f"user{number}@example.com",
        "username": f"user{number}",
        "ip_address": f"203.0.113.{1 + seed % 254}",
        "name": f"User {number}",
        "geo": {"country_code": code, "city": city, "region": region},
        "data": None,
    }


def named_tags(event: Event) -> list[tuple[str, str]]:
    """The tags that come from fields of the event."""
    named = (("environment", event.environment), ("level", event.level), ("release", event.release))
    tags = [(key, value) for key, value in named if value]
    if event.user is not None:
        tags.append(("user", event.user))
    return tags


def _tags(event: Event, seed: int) -> list[tuple[str, str]]:
    browser, version = pick(seed, 11, catalog.BROWSERS)
    system, _ = pick(seed, 12, catalog.SYSTEMS)
    tags = named_tags(event)
    tags += [
        ("browser", f"{browser} {version}"),
        ("browser.name", browser),
        ("os.name", system),
        ("server_name", f"web{roll(seed, 13, 9)}.example.net"),
        ("url", f"https://shop.example.com{pick(seed, 14, catalog.PATHS)}"),
    ]
    first = roll(seed, 15, len(catalog.EXTRA_TAGS))
    tags += [
        (key, pick(seed, 20 + at, values)) for at, (key, values) in enumerate(catalog.EXTRA_TAGS[first:])
    ]
    turn = roll(seed, 16, len(tags))  # The order of tags is not fixed in the real API either.
    return tags[turn:] + tags[:turn]


def body_of(event: Event) -> Body:
    """The parts only a full event shows."""
    if event.stored:
        return event.stored.body
    seed = event.seed
    kind = event.issue.kind if event.issue else _LONELY
    errors: list[Row] = []
    if roll(seed, 30, 20) == 0:
        errors.append(
            {"type": "invalid_data", "message": "Discarded invalid value", "data": {"name": "extra.x"}}
        )
    frames = 4 + roll(seed, 31, 26) + (20 if roll(seed, 32, 10) == 0 else 0)
    crumbs = roll(seed, 33, 60)
    return Body(
        entries=_entries(event, kind, seed, frames, crumbs),
        contexts=_contexts(seed),
        context={"attempt": roll(seed, 34, 5), "queue": {"depth": roll(seed, 35, 900)}, "notes": ["made up"]},
        packages=_packages(),
        sdk={"name": f"sentry.{event.project.platform}", "version": "2.75.0"},
        fingerprints=[f"{roll(seed if not event.issue else int(event.issue.id), 36, 1 << 40):032x}"],
        errors=errors,
        dist=None if roll(seed, 37, 3) else str(roll(seed, 38, 90)),
        size=2_500 + 650 * frames + 190 * crumbs,
        meta=dict(_NO_META),
    )


def _entries(event: Event, kind: Kind, seed: int, frames: int, crumbs: int) -> list[Row]:
    entries: list[Row] = []
    if kind.exception is None:
        entries.append(
            {"type": "message", "data": {"formatted": kind.title, "message": kind.title, "params": []}}
        )
    else:
        entries.append({"type": "exception", "data": _exception(event, kind, seed, frames)})
    if roll(seed, 40, 8) == 0:
        entries.append({"type": "threads", "data": _threads(seed)})
    if crumbs:
        first = roll(seed, 41, 60)
        entries.append({"type": "breadcrumbs", "data": {"values": _breadcrumbs()[first : first + crumbs]}})
    if roll(seed, 42, 3):
        entries.append({"type": "request", "data": _request(seed)})
    return entries


def _exception(event: Event, kind: Kind, seed: int, frames: int) -> Row:
    pool = _frames()
    first = roll(seed, 43, len(pool) - frames)
    thrown = orjson.Fragment(orjson.dumps(_frame(kind.filename, kind.module, kind.function, 10 + seed % 900)))
    value: Row = {
        "type": kind.exception,
        "value": f"{kind.value} #{seed % 1_000}",
        "module": kind.module,
        "mechanism": {"type": "generic", "handled": event.level != "fatal"},
        "threadId": None,
        "rawStacktrace": None,
        "stacktrace": {
            "frames": [*pool[first : first + frames], thrown],
            "framesOmitted": None,
            "registers": None,
            "hasSystemFrames": True,
        },
    }
    return {"values": [value], "hasSystemFrames": True, "excOmitted": None}


def _frame(filename: str, module: str, function: str, line: int) -> Row:
    return {
        "filename": filename,
        "absPath": f"/srv/app/{filename}",
        "module": module,
        "package": None,
        "platform": None,
        "instructionAddr": None,
        "symbolAddr": None,
        "function": function,
        "rawFunction": None,
        "symbol": None,
        "context": [[line + at, f"    step_{at} = {function}(item, retries={at})"] for at in range(-3, 4)],
        "lineNo": line,
        "colNo": None,
        "inApp": line % 2 == 0,
        "trust": None,
        "errors": None,
        "lock": None,
        "vars": {"item": "{'sku': 'A-17'}", "retries": "3", "password": f"'{SECRET_IN_FRAME}'"},
    }


SECRET_IN_FRAME = f"{catalog.SECRET}-local-variable"


@lru_cache(maxsize=1)
def _frames() -> list[orjson.Fragment]:
    failures = catalog.FAILURES
    return [
        orjson.Fragment(orjson.dumps(_frame(f.filename, f.module, f"{f.function}_{at}", 11 + 7 * at)))
        for at in range(8)
        for f in failures
    ]


@lru_cache(maxsize=1)
def _breadcrumbs() -> list[orjson.Fragment]:
    return [
        orjson.Fragment(
            orjson.dumps(
                {
                    "type": "http" if at % 3 else "default",
                    "timestamp": f"2026-07-01T10:{at // 60:02d}:{at % 60:02d}.000000Z",
                    "level": "info",
                    "message": None if at % 3 else f"cart has {at} items",
                    "category": "httplib" if at % 3 else "app.cart",
                    "data": {
                        "method": "GET",
                        "status_code": 200,
                        "url": f"https://api.example.net/v2/items/{at}",
                    },
                    "event_id": None,
                }
            )
        )
        for at in range(120)
    ]


@lru_cache(maxsize=1)
def _packages() -> orjson.Fragment:
    names = [f"{name}-{suffix}" for name in catalog.PACKAGES for suffix in ("core", "extras", "types", "cli")]
    return orjson.Fragment(orjson.dumps({name: f"{1 + at % 7}.{at % 11}.0" for at, name in enumerate(names)}))


def _threads(seed: int) -> Row:
    pool = _frames()
    return {
        "values": [
            {
                "id": str(at),
                "name": f"worker-{at}",
                "current": at == 0,
                "crashed": at == 0,
                "stacktrace": {
                    "frames": pool[at * 3 : at * 3 + 3],
                    "framesOmitted": None,
                    "hasSystemFrames": True,
                },
                "rawStacktrace": None,
            }
            for at in range(1 + roll(seed, 44, 5))
        ]
    }


def _request(seed: int) -> Row:
    path = pick(seed, 14, catalog.PATHS)
    return {
        "apiTarget": None,
        "method": pick(seed, 45, ("GET", "POST")),
        "url": f"https://shop.example.com{path}",
        "query": [["page", str(roll(seed, 46, 40))], ["access_token", f"{catalog.SECRET}-query"]],
        "fragment": None,
        "data": {"sku": "A-17", "count": roll(seed, 47, 5)},
        "headers": [
            ["Accept", "text/html"],
            ["Authorization", f"Bearer {catalog.SECRET}-header"],
            ["Host", "shop.example.com"],
            ["User-Agent", "Mozilla/5.0 (example)"],
        ],
        "cookies": [["session", f"{catalog.SECRET}-cookie"]],
        "env": {"REMOTE_ADDR": f"203.0.113.{1 + seed % 254}", "SERVER_NAME": "shop.example.com"},
        "inferredContentType": "application/json",
    }


def _contexts(seed: int) -> Row:
    browser, browser_version = pick(seed, 11, catalog.BROWSERS)
    system, system_version = pick(seed, 12, catalog.SYSTEMS)
    runtime, runtime_version = pick(seed, 48, catalog.RUNTIMES)
    contexts: Row = {
        "browser": {"name": browser, "version": browser_version, "type": "browser"},
        "os": {"name": system, "version": system_version, "type": "os"},
        "runtime": {"name": runtime, "version": runtime_version, "type": "runtime"},
        "trace": {
            "trace_id": f"{seed:032x}",
            "span_id": f"{seed & 0xFFFFFFFFFFFFFFFF:016x}",
            "op": "http.server",
            "status": "internal_error",
            "type": "trace",
        },
    }
    if roll(seed, 49, 4) == 0:
        contexts["device"] = {"family": pick(seed, 50, catalog.DEVICES), "arch": "arm64", "type": "device"}
    if roll(seed, 51, 6) == 0:
        contexts["culture"] = {"locale": "en_US", "timezone": "Etc/UTC", "type": "culture"}
    return contexts


def spelled_out(event: Event, *, message: str | None, user: Row | None, tags: dict[str, str]) -> Stored:
    """Made-up content in which some parts are given by the caller."""
    outline, body = outline_of(event), body_of(event)
    if message is not None:
        outline.message = message
    if user is not None:
        outline.user = user
    outline.tags = [(key, value) for key, value in outline.tags if key not in tags] + list(tags.items())
    return Stored(outline, body)
