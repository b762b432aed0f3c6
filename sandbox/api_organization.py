"""Endpoints of an organization and its projects: settings, people, environments, releases."""

from .answers import Answer, json_answer
from .api_releases import listed
from .call import Call
from .dates import requested_window
from .errors import bad_request
from .model import Environment, Organization, Project, Release
from .paging import Page, keyset_page
from .records import (
    environment as environment_row,
)
from .records import (
    member as member_row,
)
from .records import (
    organization as organization_row,
)
from .records import (
    organization_detail,
    project_detail,
    project_environment,
)
from .records import (
    project as project_row,
)
from .records import (
    team as team_row,
)

VISIBILITIES = ("all", "hidden", "visible")


def index(call: Call) -> Answer:
    """The root: the version of the API and what the token may do; it answers without a token too."""
    access = call.access
    known = access.token != ""
    user = {"id": "9041", "email": "user1@example.com"} if known and access.kind == "user" else None
    auth = {"scopes": sorted(access.scopes)} if known else None
    return json_answer({"version": "0", "auth": auth, "user": user})


def organizations(call: Call) -> Answer:
    """The organizations a token's user belongs to; the bot of an integration belongs to none."""
    rows = [] if call.access.kind == "integration" else [call.world.organization]
    page: Page[Organization | None] = keyset_page(
        rows, lambda _: call.world.organization.created * 1_000, call.page_request()
    )
    return call.page(page, lambda _: organization_row(call))


def organization(call: Call) -> Answer:
    """One organization."""
    call.organization()
    return json_answer(organization_detail(call))


def projects(call: Call) -> Answer:
    """The projects of the organization, bookmarked ones first."""
    call.organization()
    text = (call.params.get("query") or "").lower()
    found = [
        project for project in call.world.projects if text in project.slug or text in project.name.lower()
    ]
    found.sort(key=lambda project: (not project.bookmarked, project.slug))
    if call.params.flag("all_projects"):
        return json_answer([project_row(call, project) for project in found])
    return call.listing(found, lambda project: project_row(call, project))


def project(call: Call) -> Answer:
    """One project."""
    call.organization()
    return json_answer(project_detail(call, call.project()))


def teams(call: Call) -> Answer:
    """The teams; each with all its projects unless `detailed=0`."""
    call.organization()
    text = (call.params.get("query") or "").lower()
    detailed = call.params.get("detailed") != "0"
    found = sorted((team for team in call.world.teams if text in team.slug), key=lambda team: team.slug)
    return call.listing(found, lambda team: team_row(call, team, detailed=detailed))


def members(call: Call) -> Answer:
    """The members and those invited."""
    call.organization()
    found = sorted(call.world.members, key=lambda member: int(member.id))
    return call.listing(found, lambda member: member_row(member, old=call.switches.old_server))


def _visibility(call: Call) -> str:
    wanted = call.params.get("visibility") or "visible"
    if wanted not in VISIBILITIES:
        raise bad_request(f"Invalid value for 'visibility', valid values are: {list(VISIBILITIES)}")
    return wanted


def environments(call: Call) -> Answer:
    """The environments of the organization's chosen projects, in one answer without Link header.

    One with the empty name is known to projects only. Old servers do not look at projects here.
    """
    call.organization()
    wanted = _visibility(call)
    chosen = set(call.world.all_projects) if call.switches.old_server else {one.id for one in call.projects()}
    found = [
        known
        for known in call.world.environments.values()
        if known.name and chosen & known.project_ids.keys() and _shown(known, wanted)
    ]
    return json_answer([environment_row(known) for known in sorted(found, key=lambda known: known.name)])


def _shown(environment: Environment, wanted: str) -> bool:
    owners = environment.project_ids.keys()
    if wanted == "all":
        return bool(owners)
    return any((owner in environment.hidden_in) == (wanted == "hidden") for owner in owners)


def project_environments(call: Call) -> Answer:
    """The environments of a project, in one answer without Link header."""
    call.organization()
    project, wanted = call.project(), _visibility(call)
    found = [
        known
        for known in call.world.environments.values()
        if project.id in known.project_ids and _shown_in(known, project, wanted)
    ]
    return json_answer([project_environment(known, project) for known in sorted(found, key=lambda e: e.name)])


def _shown_in(environment: Environment, project: Project, wanted: str) -> bool:
    return wanted == "all" or (project.id in environment.hidden_in) == (wanted == "hidden")


def releases(call: Call) -> Answer:
    """The releases of the projects chosen, newest first; without projects an empty list without links."""
    call.organization()
    chosen = call.projects()
    if not chosen:
        return json_answer([])
    environments, window = call.environments(), requested_window(call.params, call.world.now)
    status = call.params.get("status")
    wanted = {None: "open", "": None}.get(status, status)
    found = [
        release
        for release in call.world.releases.values()
        if wanted in {None, release.status}
        and not set(chosen).isdisjoint(release.projects)
        # The only window in the API that includes both of its ends.
        and (window is None or window.start <= release.created <= window.end)
        and _named(release, call.params.get("query") or "", old=call.switches.old_server)
        and (not environments or _seen_in(release, environments))
    ]
    found.sort(key=lambda release: _release_order(call, release), reverse=True)
    return call.listing(found, lambda release: listed(call, release))


def _named(release: Release, text: str, *, old: bool) -> bool:
    return release.version.startswith(text) if old else text.lower() in release.version.lower()


def _seen_in(release: Release, environments: frozenset[str]) -> bool:
    return any(
        entry[2].release == release.version and entry[2].environment in environments
        for owner in release.projects
        for entry in owner.timeline
    )


def _release_order(call: Call, release: Release) -> tuple[int, int]:
    by_release_date = call.switches.old_server and release.released is not None
    return (release.released or 0) if by_release_date else release.created, release.id
