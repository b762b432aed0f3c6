"""The same by project pages alone: one request at a time, as the headers allow, so that none is refused.

With `--mid-minute` the clock starts in the middle of a minute.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import requests

from ..arrivals import Arrivals, wait_for_mid_minute
from ..figures import say

Row = dict[str, Any]


class Client:
    """Reads listings page by page and waits where a limit's room is used up."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {os.environ['SENTRY_AUTH_TOKEN']}"
        self._room_again = 0.0

    def pages(self, path: str, **params: str) -> Iterator[list[Row]]:
        """The pages of a listing."""
        more = True
        while more:
            time.sleep(max(0.0, self._room_again - time.time()))
            response = self._session.get(f"{os.environ['SENTRY_URL']}/api/0/{path}", params=params)
            response.raise_for_status()
            if response.headers["X-Sentry-Rate-Limit-Remaining"] == "0":
                self._room_again = float(response.headers["X-Sentry-Rate-Limit-Reset"])
            following = response.links["next"]
            more = following["results"] == "true"
            params = {**params, "cursor": following["cursor"]}
            yield response.json()


def main() -> None:
    """Read projects, issues and full events, and tell how long it took."""
    organization = os.environ["SENTRY_ORG"]
    client, arrivals = Client(), Arrivals()
    events: set[str] = set()
    if "--mid-minute" in sys.argv:
        wait_for_mid_minute()
    arrivals.start()
    started = time.perf_counter()
    projects = [row for page in client.pages(f"organizations/{organization}/projects/") for row in page]
    for _ in client.pages(f"organizations/{organization}/issues/", project="-1", query="", limit="100"):
        pass
    for project in projects:
        for page in client.pages(f"projects/{organization}/{project['slug']}/events/", full="true"):
            events.update(row["eventID"] for row in page)
            arrivals.note(len(page))
    say(
        extraction_seconds=time.perf_counter() - started,
        events=len(events),
        arrivals=arrivals.by_second,
    )


if __name__ == "__main__":
    main()
