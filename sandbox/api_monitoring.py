"""Endpoints of cron monitors, detectors, workflows and session replays."""

from . import records
from .answers import Answer
from .call import Call
from .dates import default_window, requested_window, stamp
from .derived import kept_checkins
from .errors import bad_request, not_found
from .extras import CheckIn, Monitor, Replay
from .model import Project, Row
from .tags import end_user

STATUS_ORDER = ("error", "timeout", "missed", "in_progress", "ok", "active", "disabled")


def monitors(call: Call) -> Answer:
    """The cron monitors of the projects chosen.

    Those in trouble come first, so that a check-in between two pages moves rows; `sort=name` is stable.
    """
    call.organization()
    chosen, environments = set(call.projects()), call.environments()
    text, owners = (call.params.get("query") or "").lower(), call.params.all("owner")
    found = [
        monitor
        for monitor in call.world.monitors
        if monitor.project in chosen
        and (text in monitor.name.lower() or text in monitor.slug)
        and (not owners or _owner_name(monitor) in owners)
        and (not environments or any(one.environment in environments for one in monitor.checkins))
    ]
    if call.params.get("sort") == "name":
        found.sort(key=lambda monitor: monitor.name, reverse=call.params.get("asc") == "0")
    else:
        found.sort(key=lambda monitor: (STATUS_ORDER.index(monitor_state(monitor)), monitor.slug))
    return call.listing(found, lambda monitor: _monitor(call, monitor))


def _owner_name(monitor: Monitor) -> str:
    return f"user:{monitor.owner.user_id}" if monitor.owner else ""


def monitor_state(monitor: Monitor) -> str:
    """How a monitor is doing: by its last check-in, unless it is switched off."""
    if monitor.status == "disabled":
        return "disabled"
    return monitor.checkins[-1].status if monitor.checkins else "active"


def _monitor(call: Call, monitor: Monitor) -> Row:
    owner = monitor.owner
    return {
        "id": monitor.id,
        "name": monitor.name,
        "slug": monitor.slug,
        "status": monitor.status,
        "isMuted": False,
        "isUpserting": False,
        "config": monitor.config,
        "dateCreated": stamp(monitor.created),
        "project": records.inner_project(call, monitor.project),
        "environments": _monitor_environments(monitor),
        "owner": {"type": "user", "id": owner.user_id, "name": owner.name, "email": owner.email}
        if owner
        else None,
    }


def _monitor_environments(monitor: Monitor) -> list[Row]:
    """A list, whatever the published schema says; `lastCheckIn` moves with every check-in."""
    last = {checkin.environment: checkin for checkin in monitor.checkins}
    return [
        {
            "name": name,
            "status": checkin.status,
            "isMuted": False,
            "dateCreated": stamp(monitor.created),
            "lastCheckIn": stamp(checkin.added),
            "nextCheckIn": stamp(checkin.added // 3_600 * 3_600 + 3_600),
            "nextCheckInLatest": stamp(checkin.added // 3_600 * 3_600 + 3_900),
            "activeIncident": None,
        }
        for name, checkin in sorted(last.items())
    ]


def checkins(call: Call) -> Answer:
    """The check-ins of a monitor, newest first; both ends of the window belong to it."""
    call.organization()
    try:
        monitor = call.world.monitor(call.names["monitor"])
    except KeyError:
        raise not_found() from None
    window = requested_window(call.params, call.world.now) or default_window(call.world.now)
    environments = call.environments()
    found = [
        checkin
        for checkin in kept_checkins(call.world.seconds_now, monitor)
        if window.start <= checkin.added <= window.end
        and (not environments or checkin.environment in environments)
    ]
    return call.listing(found[::-1], lambda checkin: _checkin(call, monitor, checkin))


def _checkin(call: Call, monitor: Monitor, checkin: CheckIn) -> Row:
    row: Row = {
        "id": checkin.id,
        "environment": checkin.environment,
        "status": checkin.status,
        "duration": checkin.duration,
        "dateCreated": stamp(checkin.added),
        "dateAdded": stamp(checkin.added),
        "dateUpdated": stamp(checkin.updated),
        "dateInProgress": stamp(checkin.added) if checkin.status == "in_progress" else None,
        "dateClock": stamp(checkin.added // 60 * 60),
        "expectedTime": None if checkin.expected is None else stamp(checkin.expected),
        "monitorConfig": monitor.config,
    }
    return row | {"groups": []} if "groups" in call.params.all("expand") else row


def _by_id(rows: list[Row], call: Call) -> list[Row]:
    """Rows in the order asked for, and those asked for."""
    sort = call.params.get("sortBy") or "id"
    fields = {"id": "id", "name": "name", "type": "type", "dateCreated": "dateCreated"}
    name = fields.get(sort.removeprefix("-"))
    if name is None:
        raise bad_request(f"Invalid sort field: {sort}")
    wanted = set(call.params.all("id"))
    if not all(text.isdigit() for text in wanted):
        raise bad_request("Invalid ID format")
    text = (call.params.get("query") or "").lower()
    found = [row for row in rows if (not wanted or row["id"] in wanted) and text in str(row["name"]).lower()]
    found.sort(
        key=lambda row: int(str(row["id"])) if name == "id" else str(row[name]),
        reverse=sort.startswith("-"),
    )
    return found


def _reachable(project_id: object, chosen: list[Project]) -> bool:
    return project_id is None or any(project.id == project_id for project in chosen)


def detectors(call: Call) -> Answer:
    """The detectors of the projects chosen, and those for all projects; how many are told in X-Hits."""
    call.organization()
    chosen = call.projects()
    rows = [row for row in call.world.extras.detectors if _reachable(row["projectId"], chosen)]
    found = _by_id(rows, call)
    return call.listing(found, lambda row: row, _hits(len(found)))


def _hits(count: int) -> dict[str, str]:
    return {"X-Hits": str(count), "X-Max-Hits": "1000"}


def workflows(call: Call) -> Answer:
    """The workflows; with projects named those that watch none of them are left out."""
    call.organization()
    rows = call.world.extras.workflows
    named = [value for value in call.params.all("project") if value not in {"", "-1"}]
    if named:
        ids = {project.id for project in call.projects()}
        attached = {row["id"] for row in call.world.extras.detectors if row["projectId"] in ids}
        rows = [row for row in rows if attached & set(_texts(row["detectorIds"]))]
    found = _by_id(rows, call)
    return call.listing(found, lambda row: row, _hits(len(found)))


def _texts(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def replays(call: Call) -> Answer:
    """The replays that began in the window, newest first, inside an object.

    What came after the window's end is not in the row, and a replay that still runs grows.
    """
    call.organization()
    chosen = set(call.projects())
    window = requested_window(call.params, call.world.now) or default_window(call.world.now)
    environments = call.environments()
    found = [
        replay
        for replay in call.world.replays
        if replay.project in chosen
        and max(window.start, call.world.horizon) <= replay.started < window.end
        and (not environments or replay.environment in environments)
    ]
    found.sort(key=lambda replay: (-replay.started, replay.id))
    if (call.params.get("sort") or call.params.get("orderBy")) == "started_at":
        found.reverse()
    answer = call.by_row(found, lambda replay: _replay(replay, window.end))
    answer.body = b'{"data":' + answer.body + b"}"
    return answer


def _plain(at: int) -> str:
    """A time as replays show it: in UTC, without saying so."""
    return stamp(at).removesuffix("Z")


def _replay(replay: Replay, end: int) -> Row:
    if replay.archived:
        return _archived(replay)
    seen = [at for at in replay.segments if at < end]
    user = end_user(f"id:{replay.user}")
    return {
        "id": replay.id,
        "project_id": replay.project.id,
        "trace_ids": [replay.id[::-1]],
        "error_ids": replay.errors,
        "info_ids": [],
        "warning_ids": [],
        "environment": replay.environment,
        "tags": {"plan": ["team"], "shop.currency": ["EUR", "USD"]},
        "user": {
            "id": user.ident,
            "username": user.username,
            "email": user.email,
            "ip": user.ip,
            "display_name": user.username,
            "geo": {"city": "Perth", "country_code": "AU", "region": "Australia", "subdivision": None},
        },
        "sdk": {"name": "sentry.javascript.browser", "version": "9.1.0"},
        "os": {"name": "Linux", "version": None},
        "browser": {"name": "Firefox", "version": "140.0"},
        "device": {"name": None, "brand": None, "model": None, "family": None},
        "ota_updates": {"channel": None, "runtime_version": None, "update_id": None},
        "is_archived": False,
        "urls": [f"https://shop.example.com/cart?step={at}" for at in range(len(seen))],
        "clicks": [],
        "count_dead_clicks": 0,
        "count_rage_clicks": len(seen) // 4,
        "count_errors": len(replay.errors),
        "count_warnings": 0,
        "count_infos": 0,
        "count_segments": len(seen),
        "count_urls": len(seen),
        "duration": seen[-1] - replay.started,
        "started_at": _plain(replay.started),
        "finished_at": _plain(seen[-1]),
        "activity": min(10, len(seen)),
        "replay_type": "session",
        "platform": "javascript",
        "releases": [replay.release] if replay.release else [],
        "dist": None,
        "has_viewed": int(replay.id[:2], 16) % 2 == 0,
    }


NOTHING: dict[str, tuple[str, ...]] = {
    "sdk": ("name", "version"),
    "os": ("name", "version"),
    "browser": ("name", "version"),
    "device": ("name", "brand", "model", "family"),
}
GONE = (
    "environment",
    "urls",
    "activity",
    "count_dead_clicks",
    "count_rage_clicks",
    "count_errors",
    "count_segments",
    "count_urls",
    "count_warnings",
    "count_infos",
    "duration",
    "finished_at",
    "started_at",
    "dist",
    "platform",
    "releases",
    "clicks",
)


def _archived(replay: Replay) -> Row:
    """What is left of an archived replay: `tags` is a list here, and the user a placeholder."""
    row: Row = {
        "id": replay.id,
        "project_id": replay.project.id,
        "trace_ids": [],
        "error_ids": [],
        "tags": [],
        "user": {"id": "Archived Replay", "display_name": "Archived Replay"},
        "is_archived": True,
    }
    row |= {name: dict.fromkeys(parts) for name, parts in NOTHING.items()}
    return row | dict.fromkeys(GONE)
