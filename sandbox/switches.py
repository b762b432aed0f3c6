"""How the stand-in behaves: one switch for each thing in which real servers differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .faults import Faults


class Limit(NamedTuple):
    """A rate limit of one view: `limit` requests in a fixed window of `window` seconds."""

    limit: int
    window: int
    concurrent: int | None = None


GENEROUS: Mapping[str, Limit] = {"default": Limit(100_000, 1, 1_000)}

# Captured from sentry.io in 2026, or read in the code of the single views.
SAAS: Mapping[str, Limit] = {
    "default": Limit(40, 1, 25),
    "project-events": Limit(60, 60, 1),
    "organization-issues": Limit(10, 1, 25),
    "project-issues": Limit(5, 1, 25),
    "issue-detail": Limit(5, 1, 25),
    "event-detail": Limit(5, 1, 25),
    "issue-events": Limit(15, 1, 25),
    "project-users": Limit(5, 60, 25),
    "tags": Limit(10, 1, 10),
    "stats": Limit(20, 1, 25),
    "organization-events": Limit(50, 1, 50),
}


@dataclass(frozen=True)
class Switches:
    """What a server does; the defaults are a newest self-hosted server with limits that never bite.

    Attributes:
        old_server: A server before Snuba (9.1.2): organization issues refuse, issue paths without
            organization, project events always full and blind to dates, keyset cursors there, no
            `lifetime`, no `links`, 500 for bad paging, no rate headers, both forms of times.
        ignores_event_windows: Project events ignore `start`, `end` and `statsPeriod` (2020 to 2025).
        listed_days: Project events list only so many days up to now, whatever the dates say: 7 on servers
            with the feature project-event-date-limit (2019 to 2025). None: as far back as the retention.
        full_page_size: Rows on a page of full events; 100 on servers before August 2026.
        no_lifetime: Issues in lists carry no `lifetime`.
        no_multi_project: Organization issues answer 400 for more than one project.
        rate_limits: View name to limit; views not named share `default`. None: no limits, no headers.
        rate_limit_body: A 429 carries an object with `detail`, or a bare JSON string.
        rate_limit_content_type: The content type of a 429; some arrive as `text/html`.
        empty_pages: Each listing has a short page and an empty page with `results="true"` in its middle.
        repeat_cursor: From the second page on, `next` is the cursor that was asked for.
        brown_out: Paths that contain one of these answer 410 with the deprecation headers.
        missing_bodies: Share (0 to 1) of events listed whose body is lost: their detail answers 404.
        link_host: Scheme and host in Link URLs; they differ from the host called behind proxies.
        path_prefix: The server lives below this path, such as `/sentry`.
        region: "us" or "de": sentry.io with a control silo and two regions, each on a port of its own.
        latency: Seconds each request of the API takes, spent while it counts as concurrent.
        simple_dates: Times of events and issues are whole seconds. False: `:48Z` and `:48.734Z` mixed.
        features_off: Tables whose endpoints answer a bare 404, as when the plan or the server lacks them:
            "monitors", "replays", "detectors", "workflows", "service_hooks", "saved_queries", and so on.
            Explore is "explore" as a whole, and "events-timeseries" for its series alone. Without "discard"
            an update that discards answers 400.
        most_scanned: How many events of the projects asked for a window may hold. To one that holds more, each
            page of project events, issue events, the issues of the organization and Explore answers 400
            "Query timeout...", whatever the query leaves of them. None: any number. Issues and events named by
            their ids, lists that take no dates, and old servers, which lack Snuba, are left alone.
        max_points: How many points an answer of usage, release health or Explore may have.
        ingest_limit: The relay answers 429 after so many envelopes; None: never.
        bulk_ids_fall_back_to_search: A bulk update whose ids match nothing changes whatever its search finds
            (December 2024 to 3 February 2025).
        slow_endings: What the API is told to merge or delete is only begun; `World.finish_merge` and
            `World.delete_issue` do the work of the background tasks.
        faults: Which reading requests fail by chance. `Sandbox.inject` changes it.
    """

    old_server: bool = False
    ignores_event_windows: bool = False
    listed_days: int | None = None
    full_page_size: int = 10
    no_lifetime: bool = False
    no_multi_project: bool = False
    rate_limits: Mapping[str, Limit | tuple[int, int, int | None]] | None = field(
        default_factory=lambda: dict(GENEROUS)
    )
    rate_limit_body: Literal["object", "string"] = "object"
    rate_limit_content_type: str = "application/json"
    empty_pages: bool = False
    repeat_cursor: bool = False
    brown_out: frozenset[str] = frozenset()
    missing_bodies: float = 0.0
    link_host: str = "http://internal.sentry.invalid"
    path_prefix: str = ""
    region: Literal["us", "de"] | None = None
    latency: float = 0.0
    simple_dates: bool = True
    features_off: frozenset[str] = frozenset()
    most_scanned: int | None = None
    max_points: int = 10_000
    ingest_limit: int | None = None
    bulk_ids_fall_back_to_search: bool = False
    slow_endings: bool = False
    faults: Faults | None = None

    @classmethod
    def saas(cls) -> "Switches":
        """The limits of sentry.io; a client that ignores them soon meets a 429."""
        return cls(rate_limits=dict(SAAS))

    @property
    def limits(self) -> Mapping[str, Limit] | None:
        """The limits in force: a self-hosted server, and so every old one, has none."""
        if self.old_server or self.rate_limits is None:
            return None
        return {view: Limit(*limit) for view, limit in self.rate_limits.items()}

    @property
    def whole_seconds(self) -> bool:
        """Whether times carry no fraction; old servers always mix both forms."""
        return self.simple_dates and not self.old_server

    @property
    def lifetime(self) -> bool:
        """Whether issues in lists tell their lifetime numbers."""
        return not (self.no_lifetime or self.old_server)
