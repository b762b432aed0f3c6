"""The endpoint of Explore that gives series: how many error events, or users, in each interval."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .answers import Answer, json_answer
from .api_usage import TOO_MANY
from .call import Call
from .dates import DAY, Window, parse_period
from .errors import bad_request
from .explore import ERRORS, open_explore, select
from .explore_columns import AGGREGATES, FIELDS, Group, groups_of, order_of, row_of, sort_rows
from .model import Event, Row

MAX_TOP_EVENTS = 10
AXES = ("count()", "count_unique(user)")
MINUTE, HOUR = 60, 3_600

# From so many seconds on, an interval of so many: what charts use when none fits.
DEFAULT_INTERVALS = (
    (60 * DAY, DAY),
    (30 * DAY, 4 * HOUR),
    (DAY + 1, HOUR),
    (HOUR + 1, 5 * MINUTE),
    (0, 15 * MINUTE),
)


@dataclass(frozen=True)
class Grid:
    """The buckets of a series: the first may begin before the window, the last end after it."""

    window: Window
    interval: int
    now: int

    @property
    def buckets(self) -> range:
        """When each bucket begins."""
        return range(self.bucket(self.window.start), self.window.end, self.interval)

    def bucket(self, at: int) -> int:
        """When the bucket of a second begins."""
        return at // self.interval * self.interval

    def values(self, events: Sequence[Event], axis: str) -> list[Row]:
        """The points of one series; where nothing happened they are zero."""
        found: dict[int, list[Event]] = {at: [] for at in self.buckets}
        for event in events:
            found[self.bucket(event.at)].append(event)
        return [self._point(at, AGGREGATES[axis].read(inside)) for at, inside in found.items()]

    def _point(self, at: int, value: object) -> Row:
        point: Row = {"timestamp": at * 1_000, "value": value, "incomplete": False}
        if at + self.interval > self.now:
            point |= {"incomplete": True, "incompleteReason": "NOT_ELAPSED"}
        return point

    def series(self, events: Sequence[Event], axis: str, **meta: object) -> Row:
        """One series, with its interval in milliseconds."""
        own: Row = {"valueType": "integer", "valueUnit": None, "interval": self.interval * 1_000}
        return {"values": self.values(events, axis), "yAxis": axis, "meta": own | meta}


def events_timeseries(call: Call) -> Answer:
    """How many events or users there were in each interval: of all events, or of each of the top groups."""
    dataset = open_explore(call)
    top = _top_events(call)
    projects = call.projects()
    if not projects:
        return json_answer({"timeSeries": []})
    selection = select(call, dataset, projects)
    grid = Grid(selection.window, _interval(call, selection.window), call.world.seconds_now)
    if len(grid.buckets) * max(1, top) > call.switches.max_points:
        raise bad_request(TOO_MANY)
    series: list[Row] = []
    if dataset == ERRORS:
        axes = _axes(call)
        series = [grid.series(selection.events, axis) for axis in axes]
        if top and (groups := _ranked(call, axes, selection.events)):
            series = _top_series(call, grid, axes, groups, top)
    window = selection.window
    meta = {"dataset": dataset, "start": window.start * 1_000, "end": window.end * 1_000}
    return json_answer({"meta": meta, "timeSeries": series})


def _top_events(call: Call) -> int:
    """How many groups are asked for, 0 for none.

    Raises:
        ApiError: 400 for a number out of range, and without `groupBy` or `sort`.
    """
    text = call.params.get("topEvents")
    if text is None:
        return 0
    if not re.fullmatch(r"[+-]?\d+", text):
        raise bad_request("topEvents must be an integer")
    if int(text) > MAX_TOP_EVENTS:
        raise bad_request(f"Can only get up to {MAX_TOP_EVENTS} top events")
    if int(text) < 1:
        raise bad_request("topEvents needs to be at least 1")
    for name in ("groupBy", "sort"):
        if not call.params.get(name):
            raise bad_request(f"{name} is a required parameter when doing topEvents")
    return int(text)


def _axes(call: Call) -> list[str]:
    axes = list(dict.fromkeys(call.params.all("yAxis"))) or ["count()"]
    for axis in axes:
        if axis not in AXES:
            raise bad_request(f"{axis} is not a function this stand-in knows")
    return axes


def _interval(call: Call, window: Window) -> int:
    """The interval asked for in seconds (`60`, `1h`); in place of one that is none, one for the window."""
    text = call.params.get("interval") or ""
    asked = parse_period(f"{text}s" if text.isdigit() else text)
    length = window.end - window.start
    return asked or next(interval for least, interval in DEFAULT_INTERVALS if length >= least)


def _ranked(call: Call, axes: list[str], events: Sequence[Event]) -> list[Group]:
    """The events by `groupBy`, in the order of `sort`."""
    columns = list(dict.fromkeys(call.params.all("groupBy")))
    for name in columns:
        if name not in FIELDS or name.startswith("timestamp"):
            raise bad_request(f"Cannot group by {name}")
    names = [*columns, *axes]
    order = order_of(call.params.all("sort"), names)
    groups = {values: (values, inside) for values, inside in groups_of(events, columns)}
    rows = [row_of(group, names) for group in groups.values()]
    sort_rows(rows, order)
    return [groups[tuple(row[name] for name in columns)] for row in rows]


def _top_series(call: Call, grid: Grid, axes: list[str], groups: list[Group], top: int) -> list[Row]:
    """The series of the first groups, and one of all the others unless `excludeOther` is on."""
    columns = list(dict.fromkeys(call.params.all("groupBy")))
    series = []
    for order, (values, inside) in enumerate(groups[:top]):
        named = [{"key": key, "value": value} for key, value in zip(columns, values, strict=True)]
        series += [
            grid.series(inside, axis, isOther=False, order=order) | {"groupBy": named} for axis in axes
        ]
    others = [event for _, inside in groups[top:] for event in inside]
    if others and call.params.get("excludeOther") != "1":
        series += [grid.series(others, axis, isOther=True, order=top) for axis in axes]
    return series
