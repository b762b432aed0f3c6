"""What a request to Explore asks about: the dataset, the projects, a window, and the events in it."""

from dataclasses import dataclass

from . import explore_query
from .api_usage import TOO_OLD
from .call import Call
from .dates import Window, default_window, requested_window
from .errors import bad_request, internal_error, nothing_here
from .explore_query import Scope
from .lists import bounds
from .model import Event, Project

ERRORS = "errors"
DATASETS = (ERRORS, "logs", "profile_functions", "spans", "tracemetrics", "uptime_results")


@dataclass(frozen=True)
class Selection:
    """The events asked for, newest first, and the part of the window inside the retention."""

    window: Window
    events: list[Event]


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

    Raises:
        ApiError: 400 for a window before the retention and a query that cannot be.
    """
    if call.switches.no_multi_project and len(projects) > 1:
        raise bad_request("You cannot view events from multiple projects.")
    window, environments = _window(call), call.environments()
    if dataset != ERRORS:
        return Selection(window, [])
    tests = explore_query.parse(call.params.get("query") or "", Scope(call.world, projects))
    entries = []
    for project in projects:
        low, high = bounds(call.world, project, window)
        entries += project.timeline[low:high]
    entries.sort(key=lambda entry: entry[:2], reverse=True)
    return Selection(
        window,
        [
            event
            for _, _, event in entries
            if (not environments or event.environment in environments) and all(test(event) for test in tests)
        ],
    )


def _window(call: Call) -> Window:
    """The window asked for, by default 90 days, cut to the retention."""
    asked = requested_window(call.params, call.world.now) or default_window(call.world.now)
    if asked.end <= call.world.horizon:
        raise bad_request(TOO_OLD)
    return Window(max(asked.start, call.world.horizon), asked.end)
