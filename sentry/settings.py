"""The numbers and names this source rests on, each with its reason."""

from __future__ import annotations

SOURCE = "sentry"
"""The name of this source, and of its schema."""

DEFAULT_BASE_URL = "https://sentry.io"

SAAS_DOMAIN = "sentry.io"
"""``links.regionUrl`` is followed only from here to ``*.sentry.io``: no other host may get the token."""

API_PREFIX = "/api/0"

PAGE_SIZE = 100
"""Sentry's largest page: more is a 400 on most listings and silently 100 on issues."""

FULL_PAGE_SIZE = 10
"""Full event bodies in a page, whatever is asked for."""

READ_BYTES = 1 << 18
"""Of an answer, read or unpacked at once: a page of full events is some 240 KB."""

MAX_RESPONSE_MEGABYTES = 256
"""Of one answer, read at the most: an old server's page of 100 events of a megabyte each has 100."""

MEGABYTE = 1_000_000

TIMEOUTS_PER_ANSWER = 5
"""The head of an answer, and its body, may each take so many times dlt's ``request_timeout``, which itself starts
anew with each byte that comes. 300 s let a page of full events (240 KB) through lines of 1 KB a second; a bound on
each minute's bytes would let a server that keeps just above it hold a thread for days."""

MAX_REDIRECTS = 5
"""One leads to a renamed project."""

READ_AT_ONCE = 50_000
"""Events of a window that are read and checked together: their ids take some 20 MB."""

IDS_PER_SLICE = 500
"""Ids that are listed one page after the other, while other windows are listed beside them."""

MOST_PAGES_IN_VAIN = 100
"""Pages in a row that are empty, or the page before once more: Sentry has a few of them, but not so many."""

SLICE_PAGES = 5
"""Pages of a window that are read one after the other, while other windows are read beside it."""

HISTORY_DAYS = 90
"""Default depth of history: Sentry's longest retention of errors on the paid plans."""

FIRST_RELEASE = 1_199_145_600
"""2008-01-01: before any release that Sentry may know. Releases stay when the events of their time are gone."""

RECENT_RELEASE_SECONDS = 30 * 86_400
"""Releases younger than this still get files and sessions, which the list of releases does not show."""

LOOKBACK_SECONDS = 3600
"""Read again by each run: events are indexed late by seconds to minutes, an hour is ample for servers."""

TAIL_STEPS = 12
"""The look-back in steps of five minutes: it is read again from the first one on that holds other events."""

SWEEP_INTERVAL_HOURS = 24
"""Resolving or assigning an issue moves no cursor, so all issues are read again once a day."""

SWEEP_SLACK_SECONDS = 300
"""A daily schedule that starts a few seconds early still sweeps daily, not every other day."""

PROJECTS_PER_REQUEST = 50
"""Keeps the query string of a request that names projects below 2 KB; servers and proxies stop at 4 to 8."""

ALL_ACCESSIBLE = ("-1",)
"""The value of ``project`` that means all projects that the token can read, not only its user's own."""

MOST_TAG_VALUES = 1000
"""Where Sentry ends a list of tag values without saying so."""

MAX_PARALLEL = 8
"""Requests at once, if the user says nothing: a third of what sentry.io allows, as browsers share its limits."""

RATE_SLACK = 0.05
"""A moving window is so much longer than Sentry's fixed one: requests do not all take equally long to get there."""

RECOVERY_ANSWERS = 50
"""After so many answers without a refusal for too many at once, one more at once is tried."""

ASSUMED_LATENCY_SECONDS = 0.3
"""For estimates, as long as no answer of that kind has come."""

SHORTEST_RETENTION_SECONDS = 30 * 86_400
"""Sentry's shortest retention of errors: what is younger is there, and how far back it goes need not be asked."""

LONG_SLICE_PAGES = 100
"""The same where one request at a time is allowed: a cursor far down costs the server, a new window a request."""

LISTED_DAYS = 7
"""With the feature ``project-event-date-limit`` a project's list holds no older events."""

COUNTED_AT_ONCE = 90 * 86_400
"""90 days by the hour are 2,160 points; Sentry answers 10,000."""

CHUNK_EVENTS = 10_000
"""Events that one load of a long history brings: at 10 a request a quarter of an hour on sentry.io."""

CHUNK_DAYS = 30
"""A load of history spans at most so many days, however few events they hold."""

UNCOUNTED_CHUNK_DAYS = 7
"""The same where the server does not tell how many events there are."""

IDS_PER_REQUEST = 50
"""Issues asked for by id in one request; as for projects, the query string stays below 2 KB."""

MARKED_AGAIN_SECONDS = 7 * 86_400
"""Issues found deleted are asked for again for a week: a merge that takes long looks like a deletion."""

DAYS_THAT_FAIL = 3
"""After so many days of a window in a row that cannot be read, the rest is passed over as well, as one failure."""

DEEPEST_NESTING = 240
"""JSON deeper than this becomes text: orjson, with which dlt writes, stops at 254 levels."""

MOST_FAILURES = 50
"""What a run passes over at the most: each failure has cost all attempts, half a minute with dlt's settings."""

FAILURES_BEFORE_STOP = 5
"""Changes that fail one after the other, none between them succeeding: then it is not about their issues."""

ISSUES_PER_CHANGE = 100
"""Ids in one bulk call: what Sentry publishes as the most. With ids of ten digits the address stays below 2 KB."""

ROWS_PER_BATCH = 10_000
"""Rows that a load hands over at once: equal changes among them share calls."""

ENDING_ATTEMPTS = 4
"""How often a merge, discard or deletion is tried whose outcome was unknown, each time after a look."""

LONGEST_IGNORE_WINDOW_MINUTES = 10_080
"""A week, Sentry's longest window for conditions of ignored issues."""

SAME_SNOOZE_SECONDS = 3600
"""A snooze set within the last hour is taken for the same one: a load that is sent again does not prolong it."""

CHANGING_LOOKBACK_SECONDS = 86_400
"""Check-ins and replays change while they run: a day of them is read again."""

MAX_PASSES = 5
"""How often a listing that changes under the reader is read again before that becomes an error."""

SHORTEST_REACH_SECONDS = 60
"""A window that is too much for the server is halved, but not below a minute."""

SEAM_SHARE = 5
"""A scan narrows its window while the last second of a page holds at most a fifth of the page's rows."""

PAGES_PER_CHECK = 9
"""Nine full pages hold 90 events, which one simple page of 100 can check."""

CLOCK_TOLERANCE_SECONDS = 300
"""A clock further from Sentry's than this gets a warning."""

RELAY_MEGABYTES = 1
"""The most that is read of an answer to an event that was sent: it has some 100 bytes."""

MAX_RATE_LIMIT_WAIT = 120.0
"""Sentry's windows last up to 60 s; a reset further away is not believed."""

ORGANIZATION_TOKEN_PREFIX = "sntrys_"  # noqa: S105 - what such tokens begin with

TOKEN_SCOPES = ("org:read", "project:read", "event:read", "member:read", "team:read")
"""What a token needs for the default tables, in the order shown to users."""

TOKEN_PAGE = "https://docs.sentry.io/account/auth-tokens/"  # noqa: S105 - an address, not a token
