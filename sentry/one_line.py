"""What the command line says of an error: one line, with what to do."""

from __future__ import annotations

import re

from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    ConfigValueCannotBeCoercedException,
)
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.exceptions import MissingDependencyException

from .errors import SentryError


def cause_of(error: BaseException) -> BaseException:
    """What lies at the bottom of dlt's step failures; ours says more than the step's."""
    chain = [error]
    while (below := chain[-1].__cause__ or chain[-1].__context__) is not None and below not in chain:
        chain.append(below)
    clear = SentryError | ConfigurationException | MissingDependencyException | KeyboardInterrupt
    ours = [link for link in chain if isinstance(link, clear)]
    return ours[0] if ours else error


def one_line(error: BaseException) -> str:
    """The message without line breaks; dlt's longest ones cut to what to do."""
    text = " ".join(str(error).split())
    locked = re.search(r"Could not set lock on file \"([^\"]+)\".*?PID (\d+)", text)
    if locked:
        return f"{locked[1]} is open in another program (process {locked[2]}). Close it there and run again."
    if isinstance(error, ConfigValueCannotBeCoercedException):
        kind = getattr(error.hint, "__name__", str(error.hint))
        return (
            f"The setting {error.field_name} is not of type {kind}: {error.field_value!r}. Look in "
            '.dlt/config.toml and the environment; a list is written as ["a", "b"].'
        )
    if isinstance(error, ConfigFieldMissingException):
        return (
            f"Not configured: {', '.join(error.fields)} of {error.spec_name}. Put it into .dlt/secrets.toml as the "
            "page of the destination says (https://dlthub.com/docs/dlt-ecosystem/destinations/); -v shows where "
            "it was looked for."
        )
    if isinstance(error, UnknownDestinationModule):
        return (
            f"There is no destination {error.ref!r}. See https://dlthub.com/docs/dlt-ecosystem/destinations/ for "
            "dlt's; one with a name of your own needs destination_type in .dlt/config.toml."
        )
    if isinstance(error, MissingDependencyException):
        packages = " ".join(f'"{package}"' for package in error.dependencies)
        return f"Not installed: what {error.caller} needs. Install it: pip install {packages}"
    return text
