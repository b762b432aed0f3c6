"""Requests and answers held against Sentry's published OpenAPI file."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from openapi_schema_validator import OAS30Validator, oas30_format_checker

from sandbox import RecordedRequest

PROJECT_ROOT = Path(__file__).resolve().parent.parent
SHOWN_PROBLEMS = 20

Schema = dict[str, Any]


class Deviation(NamedTuple):
    """Where the real server is not as published.

    Attributes:
        path: The end of the path in the published file.
        problem: A pattern for the problem that is none.
        reason: What the real server does.
    """

    path: str
    problem: str
    reason: str


_ISSUES = "/organizations/{organization_id_or_slug}/issues/"
_RELEASES = "/organizations/{organization_id_or_slug}/releases/"
_PROJECTS = "/organizations/{organization_id_or_slug}/projects/"
_ISSUE_EVENTS = "/issues/{issue_id}/events/"
_RELEASE = f"{_RELEASES}{{version}}/"
_MONITORS = "/organizations/{organization_id_or_slug}/monitors/"
_CHECKINS = f"{_MONITORS}{{monitor_id_or_slug}}/checkins/"
_STATS = "/organizations/{organization_id_or_slug}/stats_v2/"
_NULL = "(is not of type|for not nullable)"
_PROJECT_EVENTS = "/projects/{organization_id_or_slug}/{project_id_or_slug}/events/"

DEVIATIONS = (
    Deviation(
        _ISSUES,
        r"^\*: '(inbox|owners|integrationIssues|sentryAppIssues|latestEventHasAttachments|sessionCount)' is a req",
        "these come only when `expand` names them, and `expand=sessions` fails",
    ),
    Deviation(
        _ISSUES,
        r"^\*: '(matchingEventId|matchingEventEnvironment)' is a required",
        "only a direct hit has them: a query that is an event id or a short id",
    ),
    Deviation(
        _ISSUES,
        r"^\*: '(stats|lifetime|filtered|count|userCount|firstSeen|lastSeen|isUnhandled)' is a required",
        "`collapse` takes them out; servers differ in whether they send `lifetime`",
    ),
    Deviation(_ISSUES, r"^parameter group ", "names single issues, whatever query and dates say"),
    Deviation(_RELEASES, r"^parameter (start|end|statsPeriod) ", "filter the date added, both ends included"),
    Deviation(_RELEASES, r"^parameter (status|sort) ", "`status=` shows archived releases too"),
    Deviation(
        "/organizations/{organization_id_or_slug}/environments/",
        r"^parameter project ",
        "without it only environments of projects that the caller is a member of",
    ),
    Deviation(_PROJECTS, r"^parameter all_projects ", "gives all of them in one answer"),
    Deviation(_PROJECT_EVENTS, r"^parameter per_page ", "the page size, up to 100"),
    Deviation(_PROJECT_EVENTS, r"^parameter query ", "searches the message"),
    Deviation(_PROJECT_EVENTS, r"^parameter (full|sample)='1' ", "`1` is true as well"),
    Deviation(_ISSUE_EVENTS, r"^parameter (full|sample)='1' ", "`1` is true as well"),
    Deviation(_PROJECT_EVENTS, r"^\*: 'event.type' is a required", "full events have `type` in its place"),
    Deviation(_ISSUE_EVENTS, r"^\*: 'event.type' is a required", "full events have `type` in its place"),
    Deviation("/", r"^parameter (per_page|cursor) ", "every list that is paged takes both"),
    Deviation("/repos/", r"^parameter status='' ", "empty gives active and deleted ones"),
    Deviation("/integrations/", r"^parameter includeConfig='0' ", "`0` is false as well"),
    Deviation(
        "/teams/{organization_id_or_slug}/{team_id_or_slug}/members/",
        rf"^\*/user: None {_NULL}",
        "who is invited has no user yet",
    ),
    Deviation(
        "/ownership/", rf"^(raw|dateCreated|lastUpdated): None {_NULL}", "null for a project without rules"
    ),
    Deviation("/user-feedback/", r"^parameter status ", "empty gives feedback about every issue"),
    Deviation(_RELEASE, r"^parameter (health|adoptionStages)='1' ", "`1` is true as well"),
    Deviation(_RELEASE, rf"^lastDeploy/name: None {_NULL}", "a deploy need not have a name"),
    Deviation(_RELEASES, rf"^\*/lastDeploy/name: None {_NULL}", "a deploy need not have a name"),
    Deviation(
        "/issues/{issue_id}/tags/{key}/values/",
        r"^\*: 'key' is a required",
        "values of the `user` tag are customers, without `key`",
    ),
    Deviation(_MONITORS, r"^parameter (sort|asc|query) ", "`sort=name` is the only stable order"),
    Deviation(
        _MONITORS, r"^\*/environments: \[.*is not of type 'object'", "a list, one entry per environment"
    ),
    Deviation(_MONITORS, rf"^\*/owner: None {_NULL}", "a monitor need not have an owner"),
    Deviation(_CHECKINS, r"^parameter (start|end|statsPeriod) ", "filter the date added, both ends included"),
    Deviation(_CHECKINS, rf"^\*/expectedTime: None {_NULL}", "the first check-in was not expected"),
    Deviation(
        "/replays/", rf"^data/\*/(clicks|releases): None {_NULL}", "an archived replay has nothing left"
    ),
    Deviation(
        "/dashboards/", rf"^\*/createdBy: None {_NULL}", "nobody made the dashboards that come with it"
    ),
    Deviation(
        _STATS,
        r"^(groups/\*: 'series'|answer: 'intervals') is a required",
        "totals only when grouped by project",
    ),
)


def find_contract() -> Path | None:
    """The published file: where SENTRY_OPENAPI says, else beside the project; None when there is none."""
    named = os.environ.get("SENTRY_OPENAPI")
    path = Path(named) if named else PROJECT_ROOT.parent / "shared" / "sentry-openapi.json"
    return path if path.is_file() else None


class Operation:
    """One published operation."""

    def __init__(self, template: str, method: str, published: Schema, shared: Sequence[Schema]) -> None:
        self.template = template
        self.method = method
        self._published = published
        self._shared = shared
        variables = re.sub(r"\\\{[^}]+\\\}", r"[^/]+", re.escape(template))
        self._pattern = re.compile(variables)
        self.literal_parts = sum("{" not in part for part in template.split("/"))

    def serves(self, method: str, path: str) -> bool:
        """Whether this operation is the one for a path."""
        return method == self.method and self._pattern.fullmatch(path) is not None

    @cached_property
    def parameters(self) -> dict[str, Schema]:
        """The published query parameters by name."""
        listed = [*self._shared, *self._published.get("parameters", [])]
        return {parameter["name"]: parameter for parameter in listed if parameter["in"] == "query"}

    @cached_property
    def example(self) -> Any:
        """The published example of a 200, if there is one."""
        content = self._published["responses"].get("200", {}).get("content", {}).get("application/json", {})
        named = list(content.get("examples", {}).values())
        return content.get("example", named[0].get("value") if named else None)

    @cached_property
    def answer(self) -> OAS30Validator | None:
        """A validator for the JSON of a 200."""
        content = self._published["responses"].get("200", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        return _validator(schema) if schema is not None else None


def _validator(schema: Schema) -> OAS30Validator:
    return OAS30Validator(schema, format_checker=oas30_format_checker)


class Contract:
    """The published API."""

    def __init__(self, path_to_openapi: str | Path) -> None:
        published = json.loads(Path(path_to_openapi).read_text())
        self._operations = [
            Operation(template, method.upper(), operation, item.get("parameters", []))
            for template, item in published["paths"].items()
            for method, operation in item.items()
            if method in {"get", "put", "post", "delete", "patch"}
        ]

    def operation(self, method: str, path: str) -> Operation | None:
        """The published operation of a path; literal parts win over variables."""
        found = [one for one in self._operations if one.serves(method, path)]
        return max(found, key=lambda one: one.literal_parts, default=None)

    def templates_ending(self, path: str) -> list[str]:
        """The published paths with this end."""
        return [one.template for one in self._operations if one.template.endswith(path)]

    def check(self, recorded: RecordedRequest) -> list[str]:
        """What is wrong with a request a stand-in recorded, and with its answer if the body was kept."""
        problems = self.check_request(recorded.method, recorded.path, recorded.params)
        if recorded.status == 200 and recorded.body is not None:
            problems += self.check_answer(recorded.method, recorded.path, json.loads(recorded.body))
        return problems

    def check_request(self, method: str, path: str, params: Sequence[tuple[str, str]]) -> list[str]:
        """What is wrong with a request: an unknown path, unknown or ill-typed parameters."""
        operation = self.operation(method, path)
        if operation is None:
            return [f"{method} {path} is not published"]
        problems = []
        for name, value in params:
            parameter = operation.parameters.get(name)
            if parameter is None:
                problems.append(f"parameter {name} is not published")
            elif not _fits(value, parameter["schema"]):
                problems.append(f"parameter {name}={value!r} is no {_type_name(parameter['schema'])}")
        given = {name for name, _ in params}
        missing = [n for n, p in operation.parameters.items() if p.get("required") and n not in given]
        problems += [f"parameter {name} is missing" for name in missing]
        return _unexplained(operation, problems)

    def check_answer(self, method: str, path: str, value: object) -> list[str]:
        """What is wrong with the JSON of a 200."""
        operation = self.operation(method, path)
        if operation is None:
            return [f"{method} {path} is not published"]
        if operation.answer is None:
            return []
        problems = (
            f"{_place(error)}: {_shortened(error.message)}" for error in operation.answer.iter_errors(value)
        )
        return _unexplained(operation, problems)[:SHOWN_PROBLEMS]


def _place(error: Any) -> str:
    return "/".join("*" if isinstance(part, int) else part for part in error.absolute_path) or "answer"


def _shortened(text: str, length: int = 200) -> str:
    return text if len(text) <= length else f"{text[: length // 2]} ... {text[-length // 2 :]}"


def _unexplained(operation: Operation, problems: Iterator[str] | Sequence[str]) -> list[str]:
    """The problems that no deviation explains, each once."""
    known = [re.compile(d.problem) for d in DEVIATIONS if operation.template.endswith(d.path)]
    return [p for p in dict.fromkeys(problems) if not any(pattern.search(p) for pattern in known)]


def _type_name(schema: Schema) -> str:
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " or ".join(_type_name(option) for option in options)
    if schema.get("type") == "array":
        return f"list of {_type_name(schema['items'])}"
    name = " ".join(str(part) for part in (schema.get("type"), schema.get("format")) if part)
    return f"{name} {schema['enum']}" if "enum" in schema else name


def _fits(text: str, schema: Schema) -> bool:
    """Whether a query text is a value of a schema; repeated parameters are checked one by one."""
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return any(_fits(text, option) for option in options)
    kind = schema.get("type")
    if kind == "array":
        return _fits(text, schema["items"])
    value: object = text
    if kind in {"integer", "number", "boolean"}:
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            return False
    if schema.get("format") == "date-time" and not re.search(r"(Z|[+-]\d\d:\d\d)$", text):
        value = f"{text}Z"  # Without a zone the server takes it for UTC.
    return bool(_validator(schema).is_valid(value))
