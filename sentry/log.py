"""Where this source writes what it does: below dlt's own logger, so that its handler and format serve."""

from __future__ import annotations

import logging

logger = logging.getLogger("dlt.sentry")
"""A level of its own shows just our requests: DEBUG for each of them, INFO for retries."""
