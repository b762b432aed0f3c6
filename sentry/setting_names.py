"""Settings that are none: dlt reads what it is asked for; a misspelt ``personal_data`` would quietly do nothing."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers.toml import SettingsTomlProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from .errors import SentryConfigurationError
from .log import logger

SETTINGS = (
    "auth_token",
    "organization",
    "base_url",
    "projects",
    "start_date",
    "end_date",
    "event_bodies",
    "lookback",
    "sweep_interval",
    "chunk_events",
    "backfill_order",
    "tag_keys",
    "personal_data",
    "personal_data_key",
    "strict",
    "max_parallel",
    "max_requests_per_second",
    "max_response_megabytes",
    "allow_insecure",
)
"""The keys of ``[sources.sentry]``."""

_IN_ENVIRONMENT = "SOURCES__SENTRY__"

_ALIKE = 0.8
"""How alike two names are, from 0 to 1, if one is taken for the other misspelt."""


def check_setting_names() -> None:
    """Look for keys of ``[sources.sentry]`` that nobody will read.

    Sections below it are dlt's own, see https://dlthub.com/docs/general-usage/credentials/setup. A key that is like
    no setting may be the user's own, and is logged.

    Raises:
        SentryConfigurationError: One is nearly the name of a setting.
    """
    for name, place in _given():
        if name in SETTINGS:
            continue
        near = difflib.get_close_matches(name, SETTINGS, n=1, cutoff=_ALIKE)
        if near:
            raise SentryConfigurationError(f"There is no setting {name} ({place}). Did you mean {near[0]}?")
        logger.warning("There is no setting %s (%s); it does nothing.", name, place)


def _given() -> Iterator[tuple[str, str]]:
    """Names of settings, and where they stand."""
    for provider in Container()[PluggableRunContext].providers.providers:
        if isinstance(provider, SettingsTomlProvider):
            section, _ = provider.get_value("sentry", dict, "", "sources")
            for name, value in section.items() if isinstance(section, dict) else ():
                if not isinstance(value, dict):
                    yield name, f"[sources.sentry] in .dlt/{provider.name}"
    for variable in os.environ:
        name = variable.removeprefix(_IN_ENVIRONMENT).lower()
        if variable.startswith(_IN_ENVIRONMENT) and "__" not in name:
            yield name, f"{variable} in the environment"
