"""Endpoints of a project's settings: teams, keys, ownership, filters, hooks, symbols, old feedback."""

from . import issue_records, records
from .answers import Answer, json_answer
from .call import Call
from .dates import stamp
from .derived import filters_of, key_ids, key_secret, ownership_of
from .errors import not_found
from .extras import UserReport
from .holdings import Holdings
from .model import Member, Project, Row, Team
from .paging import Page, keyset_page
from .tags import end_user


def users(call: Call) -> Answer:
    """The members in a team of the projects chosen, in one answer without Link header.

    The ids are those of the memberships, as in the list of members.
    """
    call.organization()
    chosen = call.projects()
    found = [member for member in call.world.members if not member.pending and _joined(call, member, chosen)]
    return json_answer(
        [
            records.member(member, old=call.switches.old_server)
            | {"projects": [project.slug for project in _joined(call, member, chosen)]}
            for member in sorted(found, key=lambda member: member.email)
        ]
    )


def _joined(call: Call, member: Member, projects: list[Project]) -> list[Project]:
    return [
        project
        for project in projects
        if any(team.slug in member.teams for team in call.world.teams_of(project))
    ]


def teams(call: Call) -> Answer:
    """The teams that own a project."""
    call.organization()
    found = sorted(call.world.teams_of(call.project()), key=lambda team: team.slug)
    return call.listing(found, lambda team: records.team(call, team, detailed=False))


def team_members(call: Call) -> Answer:
    """The members of a team, also those invited to it."""
    call.organization()
    team = _team(call)
    found = [member for member in call.world.members if team.slug in member.teams]
    found.sort(key=lambda member: int(member.id))
    return call.listing(found, lambda member: _team_member(call, member, team))


def _team(call: Call) -> Team:
    name = call.names["team"]
    for team in call.world.teams:
        if name in {team.slug, team.id}:
            return team
    raise not_found()


def _team_member(call: Call, member: Member, team: Team) -> Row:
    return records.member(member, old=call.switches.old_server) | {
        "role": member.role,
        "roleName": member.role.title(),
        "teamRole": "admin" if member.role in {"owner", "manager"} else None,
        "teamSlug": team.slug,
    }


def keys(call: Call) -> Answer:
    """The client keys of a project, with all that is needed to send events: `secret` and both DSNs."""
    call.organization()
    project, status = call.project(), call.params.get("status")
    wanted = {"active": True, "inactive": False}.get(status or "")
    rows = [_key(call, project, active=active) for active in (True, False)]
    return call.listing([row for row in rows if wanted in {None, row["isActive"]}], lambda row: row)


def _key(call: Call, project: Project, *, active: bool) -> Row:
    public, secret = key_ids(project)[active], key_secret(project, active=active)
    label = "Default" if active else "Retired"
    return {
        "id": public,
        "name": label,
        "label": label,
        "public": public,
        "secret": secret,
        "projectId": int(project.id),
        "isActive": active,
        "rateLimit": None if active else {"window": 3_600, "count": 100},
        "dsn": _dsn(call.site.region_url, project.id, public, secret),
        "browserSdkVersion": "8.x",
        "browserSdk": {"choices": [["latest", "latest"], ["8.x", "8.x"]]},
        "dateCreated": stamp(project.created),
        "dynamicSdkLoaderOptions": {
            "hasReplay": True,
            "hasPerformance": True,
            "hasDebug": False,
            "hasFeedback": False,
            "hasLogsAndMetrics": False,
        },
        "useCase": "user",
    }


def _dsn(base: str, project: str, public: str, secret: str) -> Row:
    scheme, _, rest = base.partition("://")
    api, query = f"{base}/api/{project}", f"?sentry_key={public}"
    return {
        "secret": f"{scheme}://{public}:{secret}@{rest}/{project}",
        "public": f"{scheme}://{public}@{rest}/{project}",
        "csp": f"{api}/csp-report/{query}",
        "security": f"{api}/security/{query}",
        "minidump": f"{api}/minidump/{query}",
        "playstation": f"{api}/playstation/{query}",
        "integration": f"{api}/integration/",
        "otlp_traces": f"{api}/integration/otlp/v1/traces",
        "otlp_logs": f"{api}/integration/otlp/v1/logs",
        "nel": f"{api}/nel/{query}",
        "unreal": f"{api}/unreal/{public}/",
        "crons": f"{api}/cron/___MONITOR_SLUG___/{public}/",
        "cdn": f"{base}/js-sdk-loader/{public}.min.js",
    }


def ownership(call: Call) -> Answer:
    """The ownership rules of a project; without any the dates are null."""
    call.organization()
    return json_answer(ownership_of(call.world.extras.ownership, call.project()))


def filters(call: Call) -> Answer:
    """The inbound filters of a project, in one answer; `active` is a flag or a list of browsers."""
    call.organization()
    return json_answer(filters_of(call.project()))


def hooks(call: Call) -> Answer:
    """The service hooks of a project, each with its secret."""
    call.organization()
    return call.listing(call.world.extras.hooks[call.project().id], lambda row: row)


def symbol_sources(call: Call) -> Answer:
    """The symbol sources of a project, in one answer; passwords are hidden, user names are not."""
    call.organization()
    found, wanted = call.world.extras.sources[call.project().id], call.params.get("id")
    if wanted is None:
        return json_answer(found)
    for row in found:
        if row["id"] == wanted:
            return json_answer(row)
    raise not_found(f"Unknown source id: {wanted}")


def debug_files(call: Call) -> Answer:
    """The debug information files of a project, newest first."""
    call.organization()
    text = (call.params.get("query") or "").lower()
    found = [
        row
        for row in call.world.extras.debug_files[call.project().id]
        if text in str(row["objectName"]).lower() or text in str(row["debugId"])
    ]
    return call.listing(found, lambda row: row)


def user_feedback(call: Call) -> Answer:
    """Feedback of the old dialog, newest first.

    Without `status` only what is about unresolved issues: the rest is taken away after the page was cut,
    so that pages come out short or empty with more behind them.
    """
    call.organization()
    project, status = call.project(), call.params.get("status")
    if status not in {None, "", "unresolved"}:
        return json_answer({"status": "Invalid status choice"}, status=400)
    if set(call.params.all("environment")) - call.world.environments.keys():
        return call.listing([], lambda row: row)
    reports = sorted(call.world.extras.reports[project.id], key=lambda one: one.created, reverse=True)
    page = keyset_page(reports, lambda one: one.created * 1_000, call.page_request())
    kept = [one if status == "" or is_unresolved(call.world, one) else None for one in page.rows]
    cut: Page[UserReport | None] = Page(kept, page.previous, page.next)
    return call.page(cut, lambda one: _report(call, one))


def is_unresolved(world: Holdings, report: UserReport) -> bool:
    """Whether feedback is about an issue that is open, or about none that is known."""
    if report.issue_id is None:
        return True
    try:
        return world.issue(report.issue_id).status == "unresolved"
    except KeyError:
        return True


def _report(call: Call, report: UserReport) -> Row:
    event = report.project.by_id.get(report.event_id)
    user: Row | None = None
    if event is not None and event.user:
        row = end_user(event.user).row()
        user = {name: row[name] for name in ("id", "username", "email", "name", "ipAddress", "avatarUrl")}
    return {
        "id": report.id,
        "eventID": report.event_id,
        "name": report.name,
        "email": report.email,
        "comments": report.comments,
        "dateCreated": stamp(report.created),
        "user": user,
        "event": {"id": event.event_id if event else None, "eventID": report.event_id},
        "issue": _issue(call, report),
    }


def _issue(call: Call, report: UserReport) -> Row | None:
    if report.issue_id is None:
        return None
    try:
        return issue_records.base(call, call.world.issue(report.issue_id))
    except KeyError:
        return None
