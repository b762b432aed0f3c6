"""What a request to Explore asks about: the dataset, the projects, a window, and the events in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import cast

from . import explore_query
from .api_usage import TOO_OLD
from .call import Call
from .dates import Window, default_window, requested_window
from .errors import bad_request, internal_error, nothing_here
from .explore_columns import sort_rows, table
from .explore_query import Scope, Test
from .lists import bounds
from .model import Entry, Event, Project, Row
from .world import World

ERRORS = "errors"
DATASETS = (ERRORS, "logs", "profile_functions", "spans", "tracemetrics", "uptime_results")


@dataclass(frozen=True)
class Selection:
    """The events asked for, newest first, and the part of the window inside the retention."""

    window: Window
    events: list[Event]
    tables: dict[object, list[Row]] = field(default_factory=dict)

    def rows(self, names: Sequence[str], order: Sequence[tuple[str, bool]]) -> list[Row]:
        """A table of these columns in this order; it is worked out once for all its pages."""
        key = (tuple(names), tuple(order))
        if key not in self.tables:
            self.tables[key] = table(self.events, names)
            sort_rows(self.tables[key], order)
        return self.tables[key]


def open_explore(call: Call) -> str:
    """Check that there is Explore on this server; the dataset asked for.

    Raises:
        ApiError: 404 when Explore is switched off, 500 on an old server, which lacks Snuba, 400 for a
            dataset that there is not.
    """
    call.organization()
    if "explore" in call.switches.features_off:
        raise nothing_here()
    if call.switches.old_server:
        raise internal_error()
    dataset = call.params.get("dataset")
    if dataset not in DATASETS:
        raise bad_request(f"dataset must be one of: {', '.join(DATASETS)}")
    return dataset


def select(call: Call, dataset: str, projects: list[Project]) -> Selection:
    """The error events of the projects that meet environments, query and window; other datasets are empty.

    What the last call found is given again while nothing has changed, as for the next page of a table.

    Raises:
        ApiError: 400 for a window before the retention, a query that cannot be, and too much to look through.
    """
    if call.switches.no_multi_project and len(projects) > 1:
        raise bad_request("You cannot view events from multiple projects.")
    window, environments = _window(call), call.environments()
    if dataset != ERRORS:
        return Selection(window, [])
    text = call.params.get("query") or ""
    tests = explore_query.parse(text, Scope(call.world, projects))
    call.scan(projects, window)
    owners = tuple(project.id for project in projects)
    key = (call.world.version, owners, text, window, environments)
    if call.world.last_selection[0] != key:
        events = _found(call.world, projects, window, environments, tests)
        call.world.last_selection = (key, Selection(window, events))
    return cast("Selection", call.world.last_selection[1])


def _found(
    world: World, projects: list[Project], window: Window, environments: frozenset[str], tests: list[Test]
) -> list[Event]:
    entries: list[Entry] = []
    for project in projects:
        low, high = bounds(world, project, window)
        entries += project.timeline[low:high]
    entries.sort(key=itemgetter(0, 1), reverse=True)
    events = [entry[2] for entry in entries]
    if environments:
        events = [event for event in events if event.environment in environments]
    for test in tests:
        events = [event for event in events if test(event)]
    return events


def _window(call: Call) -> Window:
    """The window asked for, by default 90 days, cut to the retention."""
    asked = requested_window(call.params, call.world.now) or default_window(call.world.now)
    if asked.end <= call.world.horizon:
        raise bad_request(TOO_OLD)
    return Window(max(asked.start, call.world.horizon), asked.end)
