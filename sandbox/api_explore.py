"""The endpoint of Explore that gives a table of error events."""

import orjson

from .answers import Answer, json_answer
from .call import Call
from .errors import bad_request
from .explore import ERRORS, open_explore, select
from .explore_columns import order_of, type_of
from .model import Row

MAX_FIELDS = 20


def events(call: Call) -> Answer:
    """Rows of the fields asked for; with an aggregate among them, one row for each group of the others."""
    dataset = open_explore(call)
    names = _fields(call)
    projects = call.projects()
    if not projects:
        tips = {"query": "Need at least one valid project to query."}
        return json_answer({"data": [], "meta": {"tips": tips}})
    selection = select(call, dataset, projects)
    rows: list[Row] = []
    types = dict.fromkeys(names, "string")
    if dataset == ERRORS:
        types = {name: type_of(name) for name in names}
        order = order_of(call.params.all("sort"), names)
        rows = selection.rows(names, order)
    answer = call.by_row(rows, lambda row: row)
    meta = _meta(dataset, types)
    answer.body = b'{"data":' + answer.body + b',"meta":' + orjson.dumps(meta) + b"}"
    return answer


def _meta(dataset: str, types: dict[str, str]) -> Row:
    return {
        "fields": types,
        "units": dict.fromkeys(types),
        "isMetricsData": False,
        "isMetricsExtractedData": False,
        "tips": {},
        "datasetReason": "unchanged",
        "dataset": dataset,
        "dataScanned": "full",
    }


def _fields(call: Call) -> list[str]:
    names = [name for name in call.params.all("field") if name]
    if not names:
        raise bad_request("No columns selected")
    if len(names) > MAX_FIELDS:
        raise bad_request(
            f"You can view up to {MAX_FIELDS} fields at a time. Please delete some and try again."
        )
    return list(dict.fromkeys(names))
