"""Stock dlt: the same endpoints with `rest_api` and dlt's defaults, end to end into DuckDB.

The arguments are the first and the last moment of the events to read.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import dlt
import requests
from dlt.sources.helpers.rest_client.paginators import HeaderLinkPaginator
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.typing import RESTAPIConfig

from ..figures import say


class EndingPaginator(HeaderLinkPaginator):
    """The stock one never ends here: Sentry links to a next page always, and says whether it has results."""

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        """Take the link only where there is something behind it."""
        super().update_state(response, data)
        if response.links["next"]["results"] == "false":
            self._has_next_page = False


def main() -> None:
    """Load, and tell how long it took."""
    start, end = sys.argv[1:]
    organization = f"organizations/{os.environ['SENTRY_ORG']}"
    events = f"projects/{os.environ['SENTRY_ORG']}/{{resources.projects.slug}}/events/"
    config: RESTAPIConfig = {
        "client": {
            "base_url": f"{os.environ['SENTRY_URL']}/api/0/",
            "auth": {"type": "bearer", "token": os.environ["SENTRY_AUTH_TOKEN"]},
            "paginator": EndingPaginator(),
        },
        "resources": [
            {"name": "projects", "endpoint": f"{organization}/projects/"},
            {
                "name": "issues",
                "endpoint": {"path": f"{organization}/issues/", "params": {"project": "-1", "query": ""}},
            },
            {
                "name": "events",
                "endpoint": {"path": events, "params": {"full": "true", "start": start, "end": end}},
            },
        ],
    }
    pipeline = dlt.pipeline("stock", destination="duckdb", dataset_name="sentry_data")
    started = time.perf_counter()
    pipeline.run(rest_api_source(config))
    say(seconds=time.perf_counter() - started)


if __name__ == "__main__":
    main()
