"""What dlt, DuckDB and the process are told before a load, so that it is fast and its memory bounded.

Nothing of it changes a row, and what the user has set stays.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import Any

import dlt
from dlt.common.destination import Destination
from dlt.common.pipeline import LoadInfo
from dlt.extract import DltSource
from dlt.pipeline.exceptions import PipelineStepFailed

from .log import logger
from .single_run import end_forked_processes_with_their_parent

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


def prepare_dlt() -> None:
    """Set what the user has not set: sizes of dlt's files, its processes, memory of DuckDB and of this process.

    Call it once or more often, before the pipeline is made, in a program whose business is to load: its process
    keeps one pool of memory for all threads, and looks for garbage only in what comes after.
    """
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
    if hasattr(os, "register_at_fork"):
        # what a forked process frees in place of this one, such as a connection, ends it
        os.register_at_fork(before=gc.collect)
    gc.freeze()  # what is imported stays: looking for garbage in it again and again takes as long as parsing
    atexit.register(gc.unfreeze)
    end_forked_processes_with_their_parent()


def file_format(destination: Destination[Any, Any]) -> Any:
    """Parquet for DuckDB, many times faster for event bodies than inserts, and for files; else its own choice."""
    takes_it = _kinds(destination) & (DUCKDB_KINDS | {"filesystem"})
    return "parquet" if takes_it and find_spec("pyarrow") else None


def run(
    pipeline: dlt.Pipeline,
    source: DltSource,
    *,
    before_it_goes_on: Callable[[], object] | None = None,
    **choices: Any,
) -> LoadInfo:
    """One load, in the format that suits the destination.

    Where DuckDB cannot do with the memory that ``prepare_dlt`` allows it, the load goes on without that bound.

    Args:
        pipeline: The pipeline.
        source: What to load.
        before_it_goes_on: Called while dlt still has the trace of what was read.
        choices: As ``pipeline.run`` takes them; they go before.

    Returns:
        What dlt tells of the load.

    Raises:
        PipelineStepFailed: Something went wrong.
    """
    named = choices.get("destination")
    destination: Any = Destination.from_reference(named) if named else pipeline.destination
    if destination is not None:  # else dlt says so
        choices = {"loader_file_format": file_format(destination), **choices}
        if _kinds(destination) & DUCKDB_KINDS and dlt.config.get("load.workers") is None:
            # DuckDB takes one file after the other: more only wait, each with its memory
            dlt.config["load.workers"] = 2
    try:
        return pipeline.run(source, **choices)
    except PipelineStepFailed as failure:
        is_ours = os.environ.get(DUCKDB_VARIABLE) == json.dumps(DUCKDB_SETTINGS)
        if not (is_ours and any(words in str(failure) for words in OUT_OF_MEMORY)):
            raise
    if before_it_goes_on:
        before_it_goes_on()
    del os.environ[DUCKDB_VARIABLE]
    logger.warning(
        "DuckDB cannot load events as large as these within %s of memory: it now takes what it needs. Fewer "
        "chunk_events make loads smaller.",
        DUCKDB_SETTINGS["memory_limit"],
    )
    target = {name: choices[name] for name in ("destination", "dataset_name") if name in choices}
    return pipeline.run(**target)


def _kinds(destination: Destination[Any, Any]) -> set[str]:
    """What a destination may be known as: a name of the user's own hides its type."""
    return {destination.destination_name, destination.destination_type.rpartition(".")[2]}
