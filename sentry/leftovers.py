"""What a run that was killed leaves in dlt's working folder, and how the next one deals with it.

dlt resumes what it finds whole: packages extracted or normalised. Killed between two of its steps it leaves a
package twice, which it refuses from then on. Killed while a file is copied it cannot know whether that was done,
and copies it once more, so that its rows come twice. Killed in extraction it leaves a folder for good, killed
while it notes something a file that has not got its name yet.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import dlt
from dlt.common.schema.typing import DLT_NAME_PREFIX
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

    dlt would copy that file once more, into tables that it emptied when it began with the package. So it is made to
    begin once more: it empties the tables that merged rows pass through, and those that are replaced or refreshed,
    and copies all again. Rows that are appended have no such beginning: with them dlt goes on.
    """
    for load_id in pipeline.list_normalized_load_packages():
        package = pipeline.get_load_package_info(load_id)
        noted = Path(package.package_path) / PackageStorage.PENDING_TRANSITIONS_FOLDER
        started = [job for job in package.jobs["started_jobs"] if _may_come_again(package, job)]
        begun = [
            job
            for job in started
            if not _is_made_by_load(job) and not (noted / job.job_file_info.file_name()).exists()
        ]
        if begun:
            logger.info(
                "An earlier run was killed while it loaded; that package is loaded from its beginning."
            )
            done = [
                job
                for state in (PackageStorage.NEW_JOBS_FOLDER, PackageStorage.COMPLETED_JOBS_FOLDER)
                for job in package.jobs[state]
                if _may_come_again(package, job)
            ]
            _begin_again(package, [*done, *(job for job in started if job not in begun), *begun])


def _begin_again(package: LoadPackageInfo, jobs: Iterable[LoadJobInfo]) -> None:
    """Let dlt prepare its tables for a package, and do these jobs, as if it had done neither.

    Args:
        package: The package.
        jobs: The jobs; last come those by which it is known that this is to be done, as it may be killed itself.
    """
    folder = Path(package.package_path)
    prepared = folder / PackageStorage.APPLIED_SCHEMA_UPDATES_FILE_NAME
    to_prepare = folder / PackageStorage.SCHEMA_UPDATES_FILE_NAME
    if not to_prepare.exists():
        if not prepared.exists():  # dlt was between taking away the one and writing the other
            empty = folder / _NO_UPDATES
            empty.write_text("{}")
            empty.replace(prepared)
        prepared.replace(to_prepare)
    for job in jobs:
        name, place = job.job_file_info.file_name(), Path(job.file_path)
        (folder / PackageStorage.PENDING_TRANSITIONS_FOLDER / name).unlink(missing_ok=True)
        if _is_made_by_load(job):
            place.unlink()
        else:
            place.replace(folder / PackageStorage.NEW_JOBS_FOLDER / name)


def _may_come_again(package: LoadPackageInfo, job: LoadJobInfo) -> bool:
    """Whether a job leaves the same behind if it is done twice, from the beginning of the package."""
    tables, name = package.schema.tables, job.job_file_info.table_name
    if name.startswith(DLT_NAME_PREFIX):
        return False
    emptied = {*(package.dropped_tables or ()), *(package.truncated_tables or ())}
    is_appended = get_inherited_table_hint(tables, name, "write_disposition") == "append"
    return not is_appended or get_root_table(tables, name)["name"] in emptied


def _is_made_by_load(job: LoadJobInfo) -> bool:
    """Whether dlt makes it while it loads, once the files that it is about are copied."""
    return job.job_file_info.file_format in ("sql", "reference")


def _remove_nameless_files(*folders: Path) -> None:
    """Files that dlt had begun to write: it gives them their name when they are whole."""
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_file() and _NAMELESS.fullmatch(path.name):
                path.unlink()


_NO_UPDATES = "no_schema_updates.json"

_NAMELESS = re.compile("[0-9a-f]{16}")


def _folders(folder: Path) -> Iterator[Path]:
    yield from (path for path in (folder.iterdir() if folder.is_dir() else ()) if path.is_dir())
