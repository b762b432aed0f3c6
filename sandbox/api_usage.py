"""Endpoints of series: usage of the organization, release health, and the counts of a project."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import usage
from .answers import Answer, json_answer
from .call import Call
from .dates import DAY, parse_period, requested_window, stamp
from .errors import bad_request
from .model import Project, Row
from .usage import HOUR, Sessions

OUTCOME_GROUPS = ("outcome", "category", "reason", "project")
OUTCOME_FIELDS = ("sum(quantity)", "sum(times_seen)")
TOO_MANY = (
    "Your interval and date range would create too many results. "
    "Use a larger interval, or a smaller date range."
)
TOO_OLD = "Invalid date range. Please try a more recent date range."
STATS = ("received", "rejected", "blacklisted", "generated")
RESOLUTIONS = {"10s": 10, "1h": HOUR, "1d": DAY}


@dataclass(frozen=True)
class Series:
    """The buckets of a series: when each begins; the last one may reach beyond now."""

    start: int
    end: int
    interval: int
    now: int

    @property
    def buckets(self) -> list[int]:
        """When each bucket begins."""
        return list(range(self.start, self.end, self.interval))

    @property
    def head(self) -> Row:
        """What every answer begins with: the rounded range, an end ahead of now cut to the next minute."""
        end = self.end if self.end <= self.now else self.now // 60 * 60 + 60
        return {"start": stamp(self.start), "end": stamp(end)}

    @property
    def intervals(self) -> list[str]:
        """The buckets as times."""
        return [stamp(at) for at in self.buckets]


def _series(call: Call) -> Series:
    """The range asked for, rounded outwards to whole intervals; a given end belongs to it.

    Raises:
        ApiError: 400 for odd intervals, too many points, and a start at the edge of the retention.
    """
    text = call.params.get("interval")
    interval = HOUR if text is None else parse_period(text)
    if interval is None or interval % HOUR or interval < HOUR:
        raise bad_request("The interval has to be a multiple of the minimum interval of one hour.")
    if interval > DAY:
        raise bad_request("The interval has to be less than one day.")
    if DAY % interval:
        raise bad_request("The interval should divide one day without a remainder.")
    now = call.world.seconds_now
    window = requested_window(call.params, call.world.now)
    asked_start, asked_end = window or (now - 14 * DAY, now)
    if asked_start <= call.world.horizon:
        raise bad_request(TOO_OLD)
    inclusive = call.params.get("statsPeriod") is None and window is not None
    start = min(asked_start, now) // interval * interval
    end = -(-(asked_end + inclusive) // interval) * interval
    if (end - start) // interval > call.switches.max_points:
        raise bad_request(TOO_MANY)
    return Series(start, max(end, start + interval), interval, now)


def _known(call: Call, name: str, allowed: tuple[str, ...], *, required: bool) -> list[str]:
    given = list(dict.fromkeys(call.params.all(name)))
    if required and not given:
        raise bad_request(f'At least one "{name}" is required.')
    for value in given:
        if value not in allowed:
            raise bad_request(f'Invalid {name}: "{value}"')
    return given


Key = tuple[tuple[str, object], ...]


def organization_stats(call: Call) -> Answer:
    """What the organization sent, by outcome.

    Grouped by project there are totals only: no series, no intervals.
    """
    call.organization()
    fields = _known(call, "field", OUTCOME_FIELDS, required=True)
    groups = _known(call, "groupBy", OUTCOME_GROUPS, required=False)
    if not call.params.all("category") and "category" not in groups:
        raise bad_request("Query must have category as groupby or filter")
    series = _series(call)
    found = _outcome_groups(call, groups, series)
    by_project = "project" in groups
    rows: list[Row] = []
    for key, counts in found.items():
        row: Row = {"by": dict(key), "totals": dict.fromkeys(fields, sum(counts))}
        if not by_project:
            row["series"] = dict.fromkeys(fields, counts)
        rows.append(row)
    intervals: Row = {} if by_project else {"intervals": series.intervals}
    return json_answer(series.head | intervals | {"groups": rows})


def _stats_projects(call: Call, *, by_project: bool) -> list[Project]:
    """Every project for totals of the organization; else those chosen.

    Raises:
        ApiError: 400 when none is.
    """
    given = call.params.all("project")
    if not by_project and given in ([], ["-1"]):
        return call.world.projects
    chosen = call.projects()
    if not chosen:
        raise bad_request("No projects available")
    return chosen


def _outcome_groups(call: Call, groups: list[str], series: Series) -> dict[Key, list[int]]:
    found: dict[Key, list[int]] = {}
    wanted = {name: set(call.params.all(name)) for name in ("category", "outcome", "reason")}
    for project in _stats_projects(call, by_project="project" in groups):
        for kind in usage.outcome_kinds(call.world, project):
            named: dict[str, object] = dict(zip(("category", "outcome", "reason"), kind, strict=True))
            if any(values and named[name] not in values for name, values in wanted.items()):
                continue
            named["project"] = int(project.id)
            counts = [
                usage.outcomes(call.world, project, kind, at, at + series.interval) for at in series.buckets
            ]
            if not any(counts):
                continue
            key = tuple((name, named[name]) for name in groups)
            known = found.setdefault(key, [0] * len(counts))
            found[key] = [a + b for a, b in zip(known, counts, strict=True)]
    return found


SESSION_GROUPS = ("project", "release", "environment", "session.status")
SESSION_FIELDS: dict[str, Callable[[Sessions], float | None]] = {
    "sum(session)": lambda found: found.sessions,
    "count_unique(user)": lambda found: found.users,
    "crash_free_rate(session)": lambda found: found.crash_free_sessions,
    "crash_free_rate(user)": lambda found: found.crash_free_users,
    "crash_rate(session)": lambda found: _rest(found.crash_free_sessions),
    "crash_rate(user)": lambda found: _rest(found.crash_free_users),
}
OF_STATUS: dict[str, Callable[[Sessions], Sessions]] = {
    "healthy": lambda found: Sessions(found.sessions - found.crashed),
    "abnormal": lambda _: Sessions(),
    "crashed": lambda found: Sessions(found.crashed, found.crashed),
    "errored": lambda _: Sessions(),
}


def _rest(share: float | None) -> float | None:
    return None if share is None else 1 - share


def release_health(call: Call) -> Answer:
    """Sessions by project, release and environment.

    No answer has more points than the limit: without `per_page` groups that would go beyond are left
    out without a word, those with the fewest sessions first; with it the call is refused.
    """
    call.organization()
    fields = _known(call, "field", (*SESSION_FIELDS, *_durations()), required=True)
    groups = _known(call, "groupBy", SESSION_GROUPS, required=False)
    series = _series(call)
    page = None if call.params.get("per_page") is None else call.page_request().limit
    most = max(1, call.switches.max_points // (len(series.buckets) + 1))
    if page is not None and page > most:
        raise bad_request(
            f"Requested intervals ({len(series.buckets)}) of timedelta with that range is too granular for a "
            f"per_page of {page} elements. Increase your interval, decrease your timeframe, or decrease "
            "your per_page parameter."
        )
    found = _session_groups(call, groups, series)
    ranked = sorted(found.items(), key=lambda item: -sum(one.sessions for one in item[1]))
    rows = [_session_row(call, fields, key, counts) for key, counts in ranked[: page or most]]
    body: Row = {"groups": rows, "intervals": series.intervals, "query": call.params.get("query") or ""}
    return json_answer(series.head | body)


def _durations() -> list[str]:
    return [f"{name}(session.duration)" for name in ("avg", "p50", "p75", "p90", "p95", "p99", "max")]


def _session_row(call: Call, fields: list[str], key: Key, counts: list[Sessions]) -> Row:
    row: Row = {"by": dict(key)}
    whole = sum(counts, Sessions())
    if call.params.get("includeTotals") != "0":
        row["totals"] = {name: _field(name, whole) for name in fields}
    if call.params.get("includeSeries") != "0":
        row["series"] = {name: [_field(name, one) for one in counts] for name in fields}
    return row


def _field(name: str, found: Sessions) -> float | None:
    shown = SESSION_FIELDS.get(name)
    return shown(found) if shown else None  # Durations are no longer recorded.


def _session_groups(call: Call, groups: list[str], series: Series) -> dict[Key, list[Sessions]]:
    found: dict[Key, list[Sessions]] = {}
    for named, counts in _session_series(call, series):
        for status, share in (OF_STATUS if "session.status" in groups else {"": _whole}).items():
            named["session.status"] = status
            key = tuple((name, named[name]) for name in groups)
            known = found.setdefault(key, [Sessions()] * len(counts))
            found[key] = [a + share(b) for a, b in zip(known, counts, strict=True)]
    return found


def _whole(found: Sessions) -> Sessions:
    return found


def _session_series(call: Call, series: Series) -> Iterator[tuple[dict[str, object], list[Sessions]]]:
    world, wanted = call.world, call.environments()
    for project in call.projects():
        for version in usage.session_releases(world, project):
            for environment in usage.session_environments(world, project, version):
                if wanted and environment not in wanted:
                    continue
                counts = [
                    usage.sessions(world, project, version, environment, at, at + series.interval)
                    for at in series.buckets
                ]
                if any(one.sessions for one in counts):
                    yield (
                        {
                            "project": int(project.id),
                            "release": version,
                            "environment": environment,
                        },
                        counts,
                    )


def project_stats(call: Call) -> Answer:
    """The events of a project as `[[unix seconds, count], ...]`, in one answer."""
    call.organization()
    project, stat = call.project(), call.params.get("stat") or "received"
    if stat not in STATS:
        raise bad_request(f"Invalid stat: {stat}")
    until = _moment(call, "until") or call.world.seconds_now
    since = _moment(call, "since") or until - DAY + 1
    if since > until:
        raise bad_request("start must be before end")
    text = call.params.get("resolution")
    if text is not None and text not in RESOLUTIONS:
        raise bad_request("Invalid resolution")
    step = RESOLUTIONS[text] if text else HOUR
    first = since // step * step
    return json_answer(
        [
            [at, usage.project_stat(call.world, project, stat, at, at + step)]
            for at in range(first, until + 1, step)
        ]
    )


def _moment(call: Call, name: str) -> int | None:
    text = call.params.get(name)
    if text is None:
        return None
    try:
        return int(float(text))
    except ValueError:
        raise bad_request(f"Invalid {name}: {text}") from None
