"""Loads Sentry into a destination of dlt, incrementally: python sentry_pipeline.py --help."""

from __future__ import annotations

import argparse
import atexit
import ctypes
import difflib
import gc
import json
import logging
import os
import platform
import re
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn, cast

import dlt
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationException,
    ConfigValueCannotBeCoercedException,
)
from dlt.common.destination import Destination
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.exceptions import DltException, MissingDependencyException
from dlt.common.pipeline import LoadInfo
from dlt.common.runtime.collector import LogCollector
from dlt.common.runtime.signals import intercepted_signals, raise_if_signalled
from dlt.extract import DltSource
from dlt.pipeline.exceptions import PipelineStepFailed
from filelock import FileLock, Timeout

from sentry import (
    DEFAULT_TABLES,
    TABLES,
    SentryError,
    errors,
    failures_of,
    history_left,
    repair,
    sentry_source,
    verify,
)
from sentry.access import Report, check_access
from sentry.action_commands import ACTIONS, add_actions, perform
from sentry.audit import forgotten
from sentry.comparison import Day, Verification
from sentry.leftovers import finish_earlier_run
from sentry.planner import plan
from sentry.settings import CHUNK_EVENTS

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

DLT_SETTINGS = {
    "data_writer.buffer_max_items": 40,  # event bodies are large: small buffers and files bound the memory
    "data_writer.file_max_bytes": 32_000_000,
    "sources.data_writer.disable_compression": True,  # these files live for seconds; packing them takes longer
    "load.delete_completed_jobs": True,  # else the disk fills with what was loaded long ago
}
"""What dlt is told where the user has not."""

DUCKDB_CONFIG = "destination.duckdb.credentials.global_config"
"""Where dlt has DuckDB's own settings: a secret to dlt, so that config.toml must not hold it."""

DUCKDB_VARIABLE = DUCKDB_CONFIG.replace(".", "__").upper()

DUCKDB_SETTINGS = {"memory_limit": "170MB"}
"""What DuckDB is told where the user has not: it would take 80 % of the memory; beyond this it uses the disk."""

OUT_OF_MEMORY = ("Out of Memory Error", "failed to pin block")
"""What DuckDB says beyond its limit: in a statement, and at a commit."""

DUCKDB_KINDS = {"duckdb", "motherduck"}

ARENA_MAX, ARENAS = -8, 1
"""What glibc is told: one pool of memory for all threads (``man mallopt``)."""

LAST_WORK_SECONDS = 2
"""How long the processes of a killed run may be at work yet."""

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
        cause = _cause(error)
        if isinstance(cause, KeyboardInterrupt):
            return _interrupted()
        if options.debug:
            traceback.print_exc()
        message = str(cause) if options.verbose else _one_line(cause)
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
        _print_columns((table.name, table.row, table.loading) for table in TABLES.values())
        return DONE
    if options.command == "check":
        return _print_report(check_access(**_settings(options, "organization", "base_url", "projects")))
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
        return _print_plan(pipeline, options)
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
    destination = _destination(pipeline, options)
    _warn_of_places(pipeline, options, destination)
    choices = {
        "write_disposition": options.write_disposition,
        "loader_file_format": _file_format(destination),
    }
    if _kinds(destination) & DUCKDB_KINDS and dlt.config.get("load.workers") is None:
        # DuckDB takes one file after the other: more only wait, each with its memory
        dlt.config["load.workers"] = 2
    with _alone(pipeline), intercepted_signals():
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
    summary.print(source.selected_resources)
    if summary.failed:
        more = f" And {others} more, see above." if (others := len(summary.failed) - 1) else ""
        raise SentryError(f"Could not be read: {summary.failed[0]}{more} The rest is loaded; run again.")


def _run(
    pipeline: dlt.Pipeline, source: DltSource, target: dict[str, Any], summary: Summary, **choices: Any
) -> None:
    """One load; where DuckDB cannot do with the memory that this script allows it, once more without that bound."""
    try:
        info = pipeline.run(source, **target, **choices)
    except PipelineStepFailed as failure:
        is_ours = os.environ.get(DUCKDB_VARIABLE) == json.dumps(DUCKDB_SETTINGS)
        if not (is_ours and any(words in str(failure) for words in OUT_OF_MEMORY)):
            raise
        summary.count(pipeline)
        del os.environ[DUCKDB_VARIABLE]
        print(
            f"DuckDB cannot load events as large as these within {DUCKDB_SETTINGS['memory_limit']} of memory: it "
            "now takes what it needs. --chunk-events with a smaller number makes loads smaller.",
            file=sys.stderr,
        )
        info = pipeline.run(**target)
    summary.count(pipeline)
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


def _print_plan(pipeline: dlt.Pipeline, options: argparse.Namespace) -> int:
    """Say what a load would take."""
    pipeline.sync_destination(**_settings(options, "destination", "dataset_name"))
    planned = plan(pipeline, options.resources or DEFAULT_TABLES, **_settings(options, *AUDIT_SETTINGS))
    more = "" if planned.issues is None or planned.issues != planned.most_issues else " or more"
    print(
        f"Still to be read, {planned.start:%Y-%m-%d %H:%M} to {planned.end:%Y-%m-%d %H:%M} UTC, of "
        f"{planned.projects} projects: {_number(planned.events)} events, {_number(planned.issues)}{more} issues."
    )
    print()
    _print_columns(
        (
            table.table,
            f"{table.requests:>9,}{' or more' if table.at_least else '':8} requests",
            f"{table.seconds / 60:6.1f} min",
            table.how,
        )
        for table in planned.tables
    )
    print(f"\nAbout {planned.requests:,} requests, {planned.seconds / 60:.1f} minutes, by Sentry's limits.")
    return DONE


def _number(count: int | None) -> str:
    return "an unknown number of" if count is None else f"{count:,}"


def _audit(pipeline: dlt.Pipeline, options: argparse.Namespace) -> int:
    """Compare with Sentry, and with ``repair`` read again what is missing."""
    pipeline.sync_destination(**_settings(options, "destination", "dataset_name"))
    settings = {
        **_settings(options, "organization", "base_url", "projects"),
        "since": options.start_date,
        "until": options.end_date,
        "by_listing": options.by_listing,
    }
    with _alone(pipeline), intercepted_signals():
        if options.command == "repair":
            done = repair(
                pipeline, loader_file_format=_file_format(_destination(pipeline, options)), **settings
            )
            print(
                f"{done.brought:,} events were missing and have been loaded." if done.before.missing else ""
            )
            return _print_verification(done.after)
        return _print_verification(verify(pipeline, **settings))


def _check_late_events(pipeline: dlt.Pipeline, options: argparse.Namespace) -> int:
    """Bring the events of the last 30 days that reached Sentry after their time was read."""
    settings = _settings(options, "organization", "base_url", "projects")
    with _alone(pipeline), intercepted_signals():
        done = repair(
            pipeline,
            days=LATE_DAYS,
            loader_file_format=_file_format(_destination(pipeline, options)),
            **settings,
        )
    print(f"{done.brought:,} late events of the last {LATE_DAYS} days were loaded.")
    return _print_verification(done.after) if done.after.missing else DONE


def _print_verification(found: Verification) -> int:
    different = [day for day in found.days if day.missing or day.surplus]
    if different:
        header = ("project", "day", "in Sentry", "loaded", "missing", "only here")
        _print_columns(
            [
                header,
                *(
                    (
                        day.project,
                        day.day.isoformat(),
                        *(f"{n:>{len(name)},}" for n, name in zip(_numbers(day), header[2:], strict=True)),
                    )
                    for day in different
                ),
            ]
        )
    for project, days in found.unread.items():
        print(f"{project}: {days:.1f} days of that are not read yet, and so not compared; a load reads them.")
    total = sum(day.sentry for day in found.days)
    print(
        f"Compared {found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC by {found.how}: {total:,} events "
        f"in Sentry, {found.missing:,} of them missing here, {found.surplus:,} only here."
    )
    if found.missing:
        print("repair loads what is missing.")
    return FAILED if found.missing else DONE


def _numbers(day: Day) -> tuple[int, int, int, int]:
    return day.sentry, day.loaded, day.missing, day.surplus


def prepare_dlt() -> None:
    """Set what the user has not set."""
    for name, value in DLT_SETTINGS.items():
        if dlt.config.get(name) is None:
            dlt.config[name] = value
    if dlt.secrets.get(DUCKDB_CONFIG) is None:
        # in the environment, as credentials that the user gives as one text have no place for it
        os.environ[DUCKDB_VARIABLE] = json.dumps(DUCKDB_SETTINGS)
    if sys.platform == "linux" and dlt.config.get("normalize.workers") is None:
        dlt.config["normalize.workers"] = 2  # elsewhere a new process takes seconds to begin
    _prepare_process()


@cache
def _prepare_process() -> None:
    """Set what holds for the whole process: once, also where the script is run in it again and again."""
    if find_spec("pyarrow"):
        import pyarrow  # type: ignore[import-untyped]  # noqa: PLC0415 - not every destination needs it

        pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # its own one keeps what it has freed
    if platform.libc_ver()[0] == "glibc":
        # each thread has a pool of its own else, and none gives back what is freed: twice the memory
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(ARENA_MAX, ARENAS)
    gc.freeze()  # what is imported stays: looking for garbage in it again and again takes as long as parsing
    atexit.register(gc.unfreeze)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_end_with_parent)


_loads = {"process": 0}
"""The process that is loading now: those that dlt forks from it have to end with it."""


def _end_with_parent() -> None:
    """In a process just forked: end soon after the one that loads, else it would wait for work for ever."""
    parent = os.getppid()
    if parent != _loads["process"]:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(FAILED)

    threading.Thread(target=watch, daemon=True).start()


def _file_format(destination: Destination[Any, Any]) -> Any:
    """Parquet for DuckDB, many times faster for event bodies than inserts, and for files; else its own choice."""
    takes_it = _kinds(destination) & (DUCKDB_KINDS | {"filesystem"})
    return "parquet" if takes_it and find_spec("pyarrow") else None


def _kinds(destination: Destination[Any, Any]) -> set[str]:
    """What a destination may be known as: a name of the user's own hides its type."""
    return {destination.destination_name, destination.destination_type.rpartition(".")[2]}


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


@contextmanager
def _alone(pipeline: dlt.Pipeline) -> Iterator[None]:
    """Keep a second run of the same pipeline out: dlt's working folder is made for one.

    Raises:
        SentryError: Another run is under way.
    """
    folder = Path(pipeline.pipelines_dir)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / f"{pipeline.pipeline_name}.lock", timeout=LAST_WORK_SECONDS):
            _loads["process"] = os.getpid()
            yield
    except Timeout:
        raise SentryError(
            f"Another run of pipeline {pipeline.pipeline_name} is under way. Start this one when it has ended, or "
            "set DLT_DATA_DIR to another folder for it."
        ) from None
    finally:
        _loads["process"] = 0


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


def _print_report(report: Report) -> int:
    print(f"Server        {report.base_url}")
    print(f"Token of      {report.identity.name}")
    print(f"Scopes        {' '.join(report.identity.scopes) or 'the server does not tell'}")
    print(f"Organization  {report.organization}")
    print(f"Projects      {len(report.projects)}: {', '.join(report.projects) or 'none'}")
    print()
    _print_columns((access.table, access.scope, access.problem or "can be read") for access in report.tables)
    return DONE


class Summary:
    """What the loads of one run have brought."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._rows: Counter[str] = Counter()
        self._skipped: dict[str, None] = {}
        self._failed: dict[str, dict[str, str]] = {}
        self._replaced = 0
        self._sent = {"requests": 0, "rate_limited": 0, "seconds_waited": 0.0}
        self._place = ""

    @property
    def failed(self) -> list[str]:
        """What should be there and could not be read, a line each."""
        return [
            f"{name}{' of ' + what if what else ''}: {reason}"
            for name, parts in self._failed.items()
            for what, reason in parts.items()
        ]

    def place(self, info: LoadInfo) -> None:
        """Note where rows went."""
        self._place = (
            f"{info.destination_name} {info.dataset_name}, {info.destination_displayable_credentials}"
        )

    def count(self, pipeline: dlt.Pipeline) -> None:
        """Count what the last run of a pipeline has brought."""
        trace = pipeline.last_trace
        normalized, extracted = (
            (trace.last_normalize_info, trace.last_extract_info) if trace else (None, None)
        )
        self._rows.update(normalized.row_counts if normalized else {})
        metrics = [
            (name, resource.custom_metrics)
            for steps in (extracted.metrics.values() if extracted else ())
            for step in steps
            for name, resource in step["resource_metrics"].items()
        ]
        for name, noted in metrics:
            for project, reason in noted.get("skipped", {}).items():
                self._skipped[f"skipped {name}{' of project ' + project if project else ''}: {reason}"] = None
        for name, parts in failures_of(pipeline).items():
            self._failed.setdefault(name, {}).update(parts)
        self._replaced += max((noted.get("values_replaced_of_run", 0) for _, noted in metrics), default=0)
        for number in self._sent:
            self._sent[number] += max((noted.get(f"{number}_of_run", 0) for _, noted in metrics), default=0)

    def print(self, tables: Iterable[str]) -> None:
        """Print it, for the tables that were chosen."""
        chosen = set(tables)
        print()
        _print_columns(
            (name, f"{count:>9,} rows read")
            for name, count in sorted(self._rows.items())
            if name.partition("__")[0] in chosen
        )
        told = [*self._skipped, *(f"failed {part}" for part in self.failed)]
        if self._rows.get("_sentry_rejected"):
            told.append(f"{self._rows['_sentry_rejected']:,} rows without their key, in _sentry_rejected")
        if self._replaced:
            told.append(f"{self._replaced:,} values that databases cannot store, such as NUL, were replaced")
        print("\n".join(told), end="\n" * bool(told))
        requests, refused, waited = self._sent.values()
        limits = f" ({waited:.1f} s of them waiting for limits, {refused:,} requests refused by Sentry's)"
        print(
            f"{requests:,} requests, {time.monotonic() - self._started:.1f} s{limits * bool(waited or refused)}, "
            f"into {self._place}"
        )


def _print_columns(rows: Iterable[Sequence[str]]) -> None:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cause(error: BaseException) -> BaseException:
    """What lies at the bottom of dlt's step failures; ours says more than the step's."""
    chain = [error]
    while (below := chain[-1].__cause__ or chain[-1].__context__) is not None and below not in chain:
        chain.append(below)
    clear = SentryError | ConfigurationException | MissingDependencyException | KeyboardInterrupt
    ours = [link for link in chain if isinstance(link, clear)]
    return ours[0] if ours else error


def _one_line(error: BaseException) -> str:
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


if __name__ == "__main__":
    sys.exit(main())
