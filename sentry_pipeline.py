"""Loads Sentry into a destination of dlt, incrementally: python sentry_pipeline.py --help."""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn, cast

import dlt
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.destination import Destination
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.exceptions import DltException, MissingDependencyException
from dlt.common.runtime.collector import LogCollector
from dlt.common.runtime.signals import intercepted_signals, raise_if_signalled
from dlt.extract import DltSource

from sentry import (
    DEFAULT_TABLES,
    TABLES,
    SentryError,
    errors,
    history_left,
    repair,
    sentry_source,
    verify,
)
from sentry.access import check_access
from sentry.action_commands import ACTIONS, add_actions, perform
from sentry.audit import forgotten
from sentry.leftovers import finish_earlier_run
from sentry.one_line import cause_of, one_line
from sentry.planner import plan
from sentry.reports import Summary, access_text, columns, plan_text, verification_text
from sentry.settings import CHUNK_EVENTS
from sentry.single_run import alone
from sentry.tuning import file_format, prepare_dlt, run

DONE, FAILED, WRONG_USE = 0, 1, 2

WRONG_ACCESS = (
    errors.SentryConfigurationError,
    errors.SentryStateError,
    errors.SentryAuthenticationError,
    errors.SentryPermissionError,
    errors.SentryNotFoundError,
    errors.SentryConnectionError,
    errors.SentryResponseError,
    errors.SentryRedirectError,
    ConfigurationException,
    UnknownDestinationModule,
    MissingDependencyException,
)

LATE_DAYS = 30
"""Sentry takes events that happened up to 30 days ago; older ones it dates by their arrival."""


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and leave with status 2."""
        self.exit(WRONG_USE, f"{self.prog}: {message} (--help lists the options)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; None: those of the process.

    Returns:
        0 done, also with skipped tables; 1 a failed load or a gap; 2 wrong usage or no access.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    is_action = arguments[:1] != [] and arguments[0] in ACTIONS
    options = _action_options(arguments) if is_action else _options(arguments)
    logging.getLogger("dlt.sentry").setLevel(logging.DEBUG if options.verbose else logging.NOTSET)
    try:
        prepare_dlt()
        status = perform(options) if is_action else _perform(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (SentryError, DltException) as error:
        cause = cause_of(error)
        if isinstance(cause, KeyboardInterrupt):
            return _interrupted()
        if options.debug:
            traceback.print_exc()
        message = str(cause) if options.verbose else one_line(cause)
        print(f"sentry_pipeline.py: {message}", file=sys.stderr)
        return WRONG_USE if isinstance(cause, WRONG_ACCESS) else FAILED
    else:
        return status


def _interrupted() -> int:
    print(
        "Interrupted. Rows and progress are as before, or whole loads further; the next run goes on from there.",
        file=sys.stderr,
    )
    return FAILED


def _perform(options: argparse.Namespace) -> int:
    if options.list:
        print("\n".join(columns((table.name, table.row, table.loading) for table in TABLES.values())))
        return DONE
    if options.command == "check":
        print(access_text(check_access(**_settings(options, "organization", "base_url", "projects"))))
        return DONE
    if options.demo:
        return _demo(options)
    if options.destination:  # dlt warns at each run where the one named here is not the one used
        pipeline = dlt.pipeline("sentry", dataset_name="sentry_data", progress=_progress(options))
    else:
        pipeline = dlt.pipeline(
            "sentry", destination="duckdb", dataset_name="sentry_data", progress=_progress(options)
        )
    if options.command in ("verify", "repair"):
        return _audit(pipeline, options)
    if options.plan:
        return _plan(pipeline, options)
    settings = _settings(options, *SOURCE_SETTINGS)
    if options.sweep:
        settings["sweep_interval"] = 0
    if options.chunk_events is None and dlt.config.get("sources.sentry.chunk_events") is None:
        settings["chunk_events"] = CHUNK_EVENTS
    if options.full_refresh:
        settings["strict"] = True  # a table that cannot be read now must not be dropped
        _say_what_goes(pipeline, options)
    load(pipeline, options, settings)
    return _check_late_events(pipeline, options) if options.late_check else DONE


def load(pipeline: dlt.Pipeline, options: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Finish what an earlier run left, load the chosen tables in as many loads as it takes, print the summary.

    Args:
        pipeline: Where to.
        options: Which tables, and how they are written.
        settings: Arguments of ``sentry_source``; what is missing comes from dlt's configuration.

    Raises:
        PipelineStepFailed: Something went wrong; its cause says what. Loads before that one stay.
    """
    summary = Summary()
    target = _settings(options, "destination", "dataset_name")
    source = sentry_source(**settings).with_resources(*(options.resources or DEFAULT_TABLES))
    _warn_of_places(pipeline, options, _destination(pipeline, options))
    choices = {"write_disposition": options.write_disposition}
    with alone(pipeline), intercepted_signals():
        if finish_earlier_run(pipeline, **target):
            print("Loaded first what an earlier run had left behind.", file=sys.stderr)
        refresh: Any = "drop_resources" if options.full_refresh else None
        _run(pipeline, source, target, summary, refresh=refresh, **choices)
        while left := history_left(pipeline):
            raise_if_signalled()  # dlt ends a load that is about to be whole and forgets that it was to stop
            for table, rest in left.items():
                print(f"History of {table}: {rest}.", flush=True)
            _run(pipeline, source.with_resources(*left), target, summary, **choices)
        raise_if_signalled()
    print(summary.text(source.selected_resources))
    if summary.failed:
        more = f" And {others} more, see above." if (others := len(summary.failed) - 1) else ""
        raise SentryError(f"Could not be read: {summary.failed[0]}{more} The rest is loaded; run again.")


def _run(
    pipeline: dlt.Pipeline, source: DltSource, target: dict[str, Any], summary: Summary, **choices: Any
) -> None:
    """One load, counted."""

    def count() -> None:
        summary.count(pipeline)

    info = run(pipeline, source, before_it_goes_on=count, **target, **choices)
    count()
    summary.place(info)


def _say_what_goes(pipeline: dlt.Pipeline, options: argparse.Namespace) -> None:
    """A new start reads all that Sentry still has: say what that is not."""
    known = None
    with suppress(DltException):  # the destination cannot be asked: no reason not to load into it
        pipeline.sync_destination(**_settings(options, "destination", "dataset_name"))
        known = forgotten(
            pipeline, options.resources or DEFAULT_TABLES, **_settings(options, "organization", "base_url")
        )
    if known is None:
        print(
            "--full-refresh: rows of which Sentry knows nothing any more go for good; how many cannot be told.",
            file=sys.stderr,
        )
    elif known[1]:
        rows = ", ".join(f"{count:,} rows of {table}" for table, count in known[1].items())
        print(
            f"--full-refresh: Sentry has forgotten what is older than {known[0]:%Y-%m-%d %H:%M} UTC, and what was "
            f"deleted; {rows} go for good.",
            file=sys.stderr,
        )


def _plan(pipeline: dlt.Pipeline, options: argparse.Namespace) -> int:
    """Say what a load would take."""
    pipeline.sync_destination(**_settings(options, "destination", "dataset_name"))
    tables = options.resources or DEFAULT_TABLES
    print(plan_text(plan(pipeline, tables, **_settings(options, *AUDIT_SETTINGS))))
    return DONE


def _audit(pipeline: dlt.Pipeline, options: argparse.Namespace) -> int:
    """Compare with Sentry, and with ``repair`` read again what is missing."""
    pipeline.sync_destination(**_settings(options, "destination", "dataset_name"))
    settings = {
        **_settings(options, "organization", "base_url", "projects"),
        "since": options.start_date,
        "until": options.end_date,
        "by_listing": options.by_listing,
    }
    with alone(pipeline), intercepted_signals():
        if options.command == "repair":
            done = repair(
                pipeline, loader_file_format=file_format(_destination(pipeline, options)), **settings
            )
            if done.before.missing:
                print(f"{done.brought:,} events were missing and have been loaded.")
            found = done.after
        else:
            found = verify(pipeline, **settings)
    print(verification_text(found))
    return FAILED if found.missing else DONE


def _check_late_events(pipeline: dlt.Pipeline, options: argparse.Namespace) -> int:
    """Bring the events of the last 30 days that reached Sentry after their time was read."""
    settings = _settings(options, "organization", "base_url", "projects")
    with alone(pipeline), intercepted_signals():
        done = repair(
            pipeline,
            days=LATE_DAYS,
            loader_file_format=file_format(_destination(pipeline, options)),
            **settings,
        )
    print(f"{done.brought:,} late events of the last {LATE_DAYS} days were loaded.")
    if not done.after.missing:
        return DONE
    print(verification_text(done.after))
    return FAILED


def _warn_of_places(
    pipeline: dlt.Pipeline, options: argparse.Namespace, destination: Destination[Any, Any]
) -> None:
    """Say where rows go, where that may surprise."""
    begun_in = pipeline.get_local_state_val("initial_cwd")
    if not options.destination and not options.demo and Path(begun_in) != Path.cwd():
        print(
            f"Pipeline {pipeline.pipeline_name} began in {begun_in}: its DuckDB file is there unless you gave it a "
            "place. dlt keeps one state per pipeline name and user; DLT_DATA_DIR keeps several apart.",
            file=sys.stderr,
        )
    if destination.destination_type.endswith(".filesystem") and options.write_disposition is None:
        print(
            "Plain files only grow: rows that are read again are added again. Take the newest _dlt_load_id per "
            "key, or a table format that merges (README.md, another destination).",
            file=sys.stderr,
        )


AUDIT_SETTINGS = ("organization", "base_url", "projects", "start_date", "end_date")

SOURCE_SETTINGS = (*AUDIT_SETTINGS, "backfill_order", "chunk_events")

AUDIT_OPTIONS = {
    *AUDIT_SETTINGS,
    *["destination", "dataset_name", "by_listing", "progress", "verbose", "debug"],
}

CHECK_OPTIONS = {"organization", "base_url", "projects", "progress", "verbose", "debug"}

COMMANDS = ("load", "check", "verify", "repair")


def _action_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(prog="sentry_pipeline.py", description="Do something with Sentry.")
    add_actions(parser)
    return parser.parse_args(arguments)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog="sentry_pipeline.py",
        description="Load Sentry into a destination of dlt: the first run brings history, later ones what is new.",
        epilog="What is not said here comes from .dlt/config.toml, .dlt/secrets.toml, the environment, and "
        "sentry-cli's variables (SENTRY_AUTH_TOKEN, SENTRY_ORG, SENTRY_PROJECT, SENTRY_URL). "
        f"Actions, each with a --help of its own: {', '.join(ACTIONS)}.",
    )
    add = parser.add_argument
    add(
        "command",
        nargs="?",
        default="load",
        metavar="check | verify | repair",
        help="check: print who the token is, its scopes and which tables it can read; verify: compare the events "
        "of each project and day with Sentry's own counts (but the newest hour, which loads read again); "
        "repair: also load what is missing; none of them: load",
    )
    add("--resources", nargs="+", metavar="TABLE", help="the tables to load, or 'all'")
    add("--list", action="store_true", help="print the tables, one line each; needs no token")
    add("--projects", nargs="+", metavar="PROJECT", help="slugs or ids; else all that the token can read")
    add("--organization", metavar="SLUG", help="slug or id; else the only one that the token can see")
    add("--base-url", metavar="URL", help="the server; https://sentry.io if not given")
    add(
        "--start-date",
        metavar="MOMENT",
        help="history from there on, added where it is missing; else 90 days",
    )
    add("--end-date", metavar="MOMENT", help="load exactly up to there, and leave progress as it is")
    add("--destination", metavar="NAME", help="a destination of dlt, such as postgres, bigquery, snowflake")
    add("--dataset-name", metavar="NAME", help="the dataset (schema) to load into; sentry_data if not given")
    add(
        "--write-disposition",
        choices=("merge", "append", "replace"),
        help="merge on keys (default); append what is new, without look-back; or replace the tables",
    )
    add(
        "--full-refresh",
        action="store_true",
        help="drop the chosen tables and their progress, then load all that Sentry still has",
    )
    add(
        "--plan",
        action="store_true",
        help="load nothing, and say what loading would take: requests and minutes per table, by Sentry's counts",
    )
    add("--sweep", action="store_true", help="read all issues and releases again, due or not")
    add("--late-check", action="store_true", help="afterwards load late events of the last 30 days (repair)")
    add(
        "--by-listing",
        action="store_true",
        help="verify and repair compare the id of each event, not numbers",
    )
    add("--backfill-order", choices=("newest", "oldest"), help="which end of a long history comes first")
    add(
        "--chunk-events",
        type=int,
        metavar="N",
        help=f"events of a long history in one load; {CHUNK_EVENTS:,} if not given, 0: all in one",
    )
    add(
        "--progress",
        choices=("tqdm", "log", "enlighten", "alive_progress", "none"),
        help="how progress is shown; else a bar on a terminal and log lines elsewhere",
    )
    add("-v", "--verbose", action="store_true", help="log each request, and print errors in full")
    add("--debug", action="store_true", help="print tracebacks")
    add("--demo", action="store_true", help="load two weeks of a stand-in Sentry that runs on this machine")
    options = parser.parse_args(arguments)
    if options.command not in COMMANDS:
        near = difflib.get_close_matches(options.command, [*COMMANDS, *ACTIONS], n=1)
        parser.error(
            f"no command {options.command!r}"
            + (
                f", did you mean {near[0]!r}?"
                if near
                else f"; there are {', '.join([*COMMANDS[1:], *ACTIONS])}"
            )
        )
    _check_combinations(parser, options)
    if options.projects:
        options.projects = [name for text in options.projects for name in text.split(",") if name]
    if options.resources:
        options.resources = [name for text in options.resources for name in text.split(",") if name]
    _check_tables(parser, options)
    return options


def _check_combinations(parser: Parser, options: argparse.Namespace) -> None:
    """Refuse what would quietly do something else than it says."""
    given = {name for name, value in vars(options).items() if value is not None and value is not False} - {
        "command"
    }
    empty = [name for name in given if getattr(options, name) in ("", [""])]
    if empty:
        parser.error(f"--{empty[0].replace('_', '-')} is empty: leave it out, or give it a value")
    if options.full_refresh and given & {"end_date", "projects", "write_disposition"}:
        parser.error("--full-refresh drops the tables to load all again; it does not go with a part of it")
    if options.command in ("verify", "repair") and given - AUDIT_OPTIONS:
        others = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in given - AUDIT_OPTIONS))
        parser.error(f"{options.command} compares the table events and does not take {others}")
    if options.command == "check" and given - CHECK_OPTIONS:
        others = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in given - CHECK_OPTIONS))
        parser.error(f"check loads nothing and does not take {others}")
    if options.by_listing and options.command not in ("verify", "repair"):
        parser.error("--by-listing goes with verify and repair")
    if options.late_check and options.end_date:
        parser.error("--late-check goes with what is loaded up to now, not with --end-date")
    if options.late_check and options.write_disposition in ("append", "replace"):
        parser.error("--late-check merges what it brings; it does not go with --write-disposition")
    if options.late_check and "events" not in (options.resources or DEFAULT_TABLES):
        parser.error("--late-check is about the table events, which --resources leaves out")
    if options.demo and given - {"demo", "progress", "verbose", "debug"}:
        parser.error("--demo loads its own data and takes no other options than --progress, -v and --debug")


def _check_tables(parser: Parser, options: argparse.Namespace) -> None:
    if "all" in (options.resources or ()):
        options.resources = list(TABLES)
    for name in options.resources or ():
        if name not in TABLES:
            near = difflib.get_close_matches(name, TABLES, n=1)
            parser.error(
                f"no table {name!r}" + (f", did you mean {near[0]!r}?" if near else "; --list names them")
            )


def _settings(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Only what the user said: a given None would hide dlt's configuration."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _progress(options: argparse.Namespace) -> Any:
    chosen = options.progress or ("tqdm" if sys.stderr.isatty() and find_spec("tqdm") else "log")
    if chosen == "log":
        return LogCollector(log_period=10, logger=sys.stdout, dump_system_stats=False)
    return None if chosen == "none" else chosen


def _destination(pipeline: dlt.Pipeline, options: argparse.Namespace) -> Destination[Any, Any]:
    """Where the rows go.

    Raises:
        UnknownDestinationModule: No such destination.
    """
    target = Destination.from_reference(options.destination) if options.destination else pipeline.destination
    return cast("Destination[Any, Any]", target)


def _demo(options: argparse.Namespace) -> int:
    try:
        from sandbox.demo import Demo  # noqa: PLC0415 - only the demo needs it, users copy this file without it
    except ImportError as missing:
        raise errors.SentryConfigurationError(
            f"The demo needs the folder sandbox of the repository and its requirements-dev.txt: {missing}."
        ) from None
    with ExitStack() as stack:
        demo = stack.enter_context(Demo())
        pipeline = demo.pipeline(_progress(options))
        load(pipeline, options, demo.settings)
        return DONE if demo.report(pipeline) else FAILED


if __name__ == "__main__":
    sys.exit(main())
