"""Endpoints of what an organization has set up: repositories, integrations, dashboards, saved queries."""

from . import commit_records
from .answers import Answer, json_answer
from .call import Call
from .errors import not_found
from .extras import Repository
from .model import Member, Row
from .records import user as user_row


def repositories(call: Call) -> Answer:
    """The repositories by name: active ones, with `status=deleted` the others, with an empty one all."""
    call.organization()
    status, text = call.params.get("status"), (call.params.get("query") or "").lower()
    wanted = "active" if status is None else status
    found = [
        repository
        for repository in call.world.extras.repositories
        if text in repository.name.lower() and _has_status(repository, wanted)
    ]
    found.sort(key=lambda repository: repository.name)
    return call.listing(found, commit_records.repository)


def _has_status(repository: Repository, wanted: str) -> bool:
    return wanted == "" or (wanted == "deleted" if repository.deleted else wanted == "active")


def repository_commits(call: Call) -> Answer:
    """The commits of a repository, newest first."""
    call.organization()
    found = next((one for one in call.world.extras.repositories if one.id == call.names["repository"]), None)
    if found is None:
        raise not_found()
    commits = [
        commit
        for version in call.world.releases
        for commit in call.world.extras.commits[version]
        if commit.repository is found
    ]
    commits.sort(key=lambda commit: (-commit.created, commit.sha))
    return call.listing(commits, commit_records.commit)


def integrations(call: Call) -> Answer:
    """The integrations; with their configuration unless `includeConfig=0`."""
    call.organization()
    provider = call.params.get("providerKey") or call.params.get("provider_key")
    bare: Row = {"configOrganization": [], "configData": None}
    kept = bare if (call.params.get("includeConfig") or "").lower() in {"0", "false"} else {}
    found = [row for row in call.world.extras.integrations if provider in {None, _provider(row)}]
    return call.listing(found, lambda row: row | kept)


def _provider(row: Row) -> object:
    provider = row["provider"]
    return provider["key"] if isinstance(provider, dict) else None


def installations(call: Call) -> Answer:
    """The installed apps; one that is still pending shows the code it will be exchanged for."""
    call.organization()
    return call.listing(call.world.extras.installations, lambda row: row)


WITHOUT_WIDGETS = ("widgets", "period")


def dashboards(call: Call) -> Answer:
    """The dashboards without their widgets; those that Sentry put there are among them."""
    call.organization()
    return call.listing(call.world.extras.dashboards, lambda row: _listed_dashboard(call, row))


def _listed_dashboard(call: Call, row: Row) -> Row:
    widgets = row["widgets"] if isinstance(row["widgets"], list) else []
    shown = {name: value for name, value in row.items() if name not in WITHOUT_WIDGETS}
    return shown | {
        "createdBy": _user(call, row["createdBy"]),
        "widgetDisplay": [widget["displayType"] for widget in widgets],
        "widgetPreview": [{"displayType": widget["displayType"], "layout": ""} for widget in widgets],
        "lastVisited": None,
        "isFavorited": False,
    }


def dashboard(call: Call) -> Answer:
    """One dashboard with its widgets."""
    call.organization()
    for row in call.world.extras.dashboards:
        if row["id"] == call.names["dashboard"]:
            return json_answer(row | {"createdBy": _user(call, row["createdBy"]), "isFavorited": False})
    raise not_found()


def saved_queries(call: Call) -> Answer:
    """The saved queries."""
    call.organization()
    text = (call.params.get("query") or "").lower()
    found = [row for row in call.world.extras.saved_queries if text in str(row["name"]).lower()]
    return call.listing(found, lambda row: row | {"createdBy": _user(call, row["createdBy"])})


def _user(call: Call, member_id: object) -> Row | None:
    known: Member | None = next((one for one in call.world.members if one.id == member_id), None)
    return user_row(known) if known else None
