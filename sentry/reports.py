"""What the command line prints of what was done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence

import dlt
from dlt.common.pipeline import LoadInfo

from .access import Report
from .comparison import Day, Verification
from .failures import failures_of
from .planner import Plan


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

    def text(self, tables: Iterable[str]) -> str:
        """What to say of them, for the tables that were chosen."""
        chosen = set(tables)
        rows = columns(
            (name, f"{count:>9,} rows read")
            for name, count in sorted(self._rows.items())
            if name.partition("__")[0] in chosen
        )
        told = [*self._skipped, *(f"failed {part}" for part in self.failed)]
        if self._rows.get("_sentry_rejected"):
            told.append(f"{self._rows['_sentry_rejected']:,} rows without their key, in _sentry_rejected")
        if self._replaced:
            told.append(f"{self._replaced:,} values that databases cannot store, such as NUL, were replaced")
        requests, refused, waited = self._sent.values()
        limits = f" ({waited:.1f} s of them waiting for limits, {refused:,} requests refused by Sentry's)"
        told.append(
            f"{requests:,} requests, {time.monotonic() - self._started:.1f} s{limits * bool(waited or refused)}, "
            f"into {self._place}"
        )
        return "\n".join(["", *rows, *told])


def plan_text(planned: Plan) -> str:
    """What a load would take."""
    more = "" if planned.issues is None or planned.issues != planned.most_issues else " or more"
    rows = columns(
        (
            table.table,
            f"{table.requests:>9,}{' or more' if table.at_least else '':8} requests",
            f"{table.seconds / 60:6.1f} min",
            table.how,
        )
        for table in planned.tables
    )
    span = f"{planned.start:%Y-%m-%d %H:%M} to {planned.end:%Y-%m-%d %H:%M} UTC"
    found = f"{_number(planned.events)} events, {_number(planned.issues)}{more} issues"
    first = f"Still to be read, {span}, of {planned.projects} projects: {found}."
    last = f"About {planned.requests:,} requests, {planned.seconds / 60:.1f} minutes, by Sentry's limits."
    return "\n".join([first, "", *rows, "", last])


def verification_text(found: Verification) -> str:
    """Where a warehouse and Sentry differ."""
    header = ("project", "day", "in Sentry", "loaded", "missing", "only here")
    different = [_cells(day, header) for day in found.days if day.missing or day.surplus]
    told = columns([header, *different] if different else [])
    for project, days in found.unread.items():
        told.append(
            f"{project}: {days:.1f} days of that are not read yet, and so not compared; a load reads them."
        )
    total = sum(day.sentry for day in found.days)
    told.append(
        f"Compared {found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC by {found.how}: {total:,} events "
        f"in Sentry, {found.missing:,} of them missing here, {found.surplus:,} only here."
    )
    if found.missing:
        told.append("repair loads what is missing.")
    return "\n".join(told)


def _cells(day: Day, header: Sequence[str]) -> tuple[str, ...]:
    numbers = zip((day.sentry, day.loaded, day.missing, day.surplus), header[2:], strict=True)
    return (day.project, day.day.isoformat(), *(f"{number:>{len(name)},}" for number, name in numbers))


def access_text(report: Report) -> str:
    """Who a token is, and what it can read."""
    return "\n".join(
        [
            f"Server        {report.base_url}",
            f"Token of      {report.identity.name}",
            f"Scopes        {' '.join(report.identity.scopes) or 'the server does not tell'}",
            f"Organization  {report.organization}",
            f"Projects      {len(report.projects)}: {', '.join(report.projects) or 'none'}",
            "",
            *columns(
                (access.table, access.scope, access.problem or "can be read") for access in report.tables
            ),
        ]
    )


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with the cells of the rows below each other."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _number(count: int | None) -> str:
    return "an unknown number of" if count is None else f"{count:,}"
