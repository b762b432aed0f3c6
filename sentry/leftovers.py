"""What a run that was killed leaves in dlt's working folder, and how the next one deals with it.

dlt resumes what it finds whole: packages extracted or normalised. Killed between two of its steps it leaves a
package twice, which it refuses from then on. Killed while a file is copied it cannot know whether that was done,
and copies it once more, so that its rows come twice. Killed in extraction it leaves a folder for good, killed
while it notes something a file that has not got its name yet.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
from dlt.common.schema.typing import DLT_NAME_PREFIX, TSchemaTables
from dlt.common.schema.utils import get_inherited_table_hint, get_root_table
from dlt.common.storages import LoadStorage, NormalizeStorage, PackageStorage
from dlt.common.storages.load_package import LoadJobInfo, LoadPackageInfo

from .log import logger


def finish_earlier_run(pipeline: dlt.Pipeline, **target: Any) -> bool:
    """Load what an earlier run had read but not loaded, and remove what it had only begun.

    No other run of this pipeline may be under way.

    Args:
        pipeline: The pipeline.
        target: For ``pipeline.run``: destination and dataset.

    Returns:
        Whether there was something to load.

    Raises:
        PipelineStepFailed: It could not be loaded; it stays for the next try.
    """
    folder = Path(pipeline.working_dir)
    extracts, loads = folder / "normalize", folder / "load"
    _drop_what_is_further(extracts / NormalizeStorage.EXTRACTED_FOLDER, loads)
    _file_what_is_loaded(loads)
    _settle_what_is_uncertain(pipeline)
    _remove_nameless_files(
        extracts, loads, loads / LoadStorage.NEW_PACKAGES_FOLDER, loads / LoadStorage.NORMALIZED_FOLDER
    )
    pending = bool(pipeline.has_pending_data)
    if pending:
        logger.info("Loading what an earlier run has left behind.")
        pipeline.run(**target)
    for extract in _folders(extracts):
        if extract.name != NormalizeStorage.EXTRACTED_FOLDER:
            shutil.rmtree(extract)
    return pending


def _drop_what_is_further(extracted: Path, loads: Path) -> None:
    """Extracted packages of which there is a normalised one: that one is whole, as it came there by a rename."""
    further = {
        package.name
        for name in (LoadStorage.NORMALIZED_FOLDER, LoadStorage.LOADED_FOLDER)
        for package in _folders(loads / name)
    }
    for package in _folders(extracted):
        if package.name in further:
            shutil.rmtree(package)


def _file_what_is_loaded(loads: Path) -> None:
    """Packages that bear dlt's mark of completion: their rows are in the destination."""
    for package in _folders(loads / LoadStorage.NORMALIZED_FOLDER):
        if (package / PackageStorage.PACKAGE_COMPLETED_FILE_NAME).exists():
            shutil.move(package, loads / LoadStorage.LOADED_FOLDER / package.name)


def _settle_what_is_uncertain(pipeline: dlt.Pipeline) -> None:
    """Packages with a file that was being copied: nobody knows whether its rows are there.

    Where all rows are merged into tables that stayed as they were, dlt takes its state back to before the package,
    and all is read again. Where tables were emptied or dropped first, the old state would say that their rows are
    there: the package is loaded from its beginning, which empties or drops them once more.
    """
    for load_id in pipeline.list_normalized_load_packages():
        package = pipeline.get_load_package_info(load_id)
        noted = Path(package.package_path) / PackageStorage.PENDING_TRANSITIONS_FOLDER
        begun = [
            job.job_file_info
            for job in package.jobs["started_jobs"]
            if job.job_file_info.file_format != "sql" and not (noted / job.job_file_info.file_name()).exists()
        ]
        if not begun:
            continue
        tables = package.schema.tables
        is_merge = all(
            _disposition(tables, job.job_file_info.table_name) == "merge" for job in _jobs(package)
        )
        if is_merge and not package.refresh:
            logger.info("An earlier run was killed while it loaded; what it was loading is read again.")
            pipeline.abort_packages()
            return
        _load_from_the_beginning(package)


def _load_from_the_beginning(package: LoadPackageInfo) -> None:
    """Let dlt prepare the tables again and copy every file again, but for those whose rows are appended.

    Killed in here it is done again, as files that were being copied are moved last.
    """
    logger.info("An earlier run was killed while it loaded; that package is loaded again from its beginning.")
    folder = Path(package.package_path)
    applied = folder / PackageStorage.APPLIED_SCHEMA_UPDATES_FILE_NAME
    if applied.exists():
        applied.replace(folder / PackageStorage.SCHEMA_UPDATES_FILE_NAME)
    emptied = {*(package.dropped_tables or ()), *(package.truncated_tables or ())}
    tables = package.schema.tables
    for state in (PackageStorage.NEW_JOBS_FOLDER, "completed_jobs", PackageStorage.STARTED_JOBS_FOLDER):
        for job in package.jobs[state]:
            table, name = job.job_file_info.table_name, job.job_file_info.file_name()
            root = get_root_table(tables, table)["name"]
            if _disposition(tables, table) == "append" and root not in emptied:
                continue
            place = Path(job.file_path)
            (folder / PackageStorage.PENDING_TRANSITIONS_FOLDER / name).unlink(missing_ok=True)
            if job.job_file_info.file_format == "sql":
                place.unlink()  # dlt writes it anew when the files before it are copied
            else:
                place.replace(folder / PackageStorage.NEW_JOBS_FOLDER / name)


def _remove_nameless_files(*folders: Path) -> None:
    """Files that dlt had begun to write: it gives them their name when they are whole."""
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_file() and _NAMELESS.fullmatch(path.name):
                path.unlink()


_NAMELESS = re.compile("[0-9a-f]{16}")


def _jobs(package: LoadPackageInfo) -> Iterator[LoadJobInfo]:
    for jobs in package.jobs.values():
        yield from jobs


def _disposition(tables: TSchemaTables, name: str) -> str:
    """How rows come into a table; dlt's own do no harm when they come twice."""
    if name.startswith(DLT_NAME_PREFIX):
        return "merge"
    return str(get_inherited_table_hint(tables, name, "write_disposition"))


def _folders(folder: Path) -> Iterator[Path]:
    yield from (path for path in (folder.iterdir() if folder.is_dir() else ()) if path.is_dir())
