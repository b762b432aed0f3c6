"""Organizations, projects, teams, members, environments and releases in the shapes of the API."""

from collections.abc import Iterable

from .access import READ_SCOPES
from .call import Call
from .catalog import SECRET
from .dates import DAY, stamp
from .model import Environment, Member, Project, Release, Row, Team

AVATAR: Row = {"avatarType": "letter_avatar", "avatarUuid": None, "avatarUrl": None}
FEATURES = ["alert-filters", "custom-inbound-filters", "rate-limits", "releases", "servicehooks"]
LATER_FEATURES = (
    "hasFeedbacks",
    "hasFlags",
    "hasMinifiedStackTrace",
    "hasMonitors",
    "hasNewFeedbacks",
    "hasProfiles",
    "hasReplays",
    "hasInsightsHttp",
    "hasInsightsDb",
    "hasInsightsAssets",
    "hasInsightsAppStart",
    "hasInsightsScreenLoad",
    "hasInsightsVitals",
    "hasInsightsCaches",
    "hasInsightsQueues",
    "hasInsightsAgentMonitoring",
    "hasInsightsMCP",
    "hasLogs",
    "hasTraceMetrics",
)


def organization(call: Call) -> Row:
    """The organization as lists show it."""
    known, old = call.world.organization, call.switches.old_server
    row: Row = {
        "id": known.id,
        "slug": known.slug,
        "name": known.name,
        "status": {"id": "active", "name": "active"},
        "dateCreated": stamp(known.created),
        "isEarlyAdopter": False,
        "require2FA": False,
        "avatar": AVATAR,
    }
    if old:
        return row
    return row | {
        "links": {
            "organizationUrl": f"{call.site.url}/organizations/{known.slug}",
            "regionUrl": call.site.region_url,
        },
        "hasAuthProvider": False,
        "allowMemberInvite": True,
        "allowMemberProjectCreation": True,
        "allowSuperuserAccess": False,
        "features": FEATURES,
        "access": sorted(call.access.scopes),
        "onboardingTasks": [],
    }


def organization_detail(call: Call) -> Row:
    """The organization alone: with its settings, among them what nobody should copy."""
    return organization(call) | {
        "role": "member",
        "orgRole": "member",
        "isDefault": False,
        "defaultRole": "member",
        "openMembership": True,
        "dataScrubber": False,
        "sensitiveFields": [],
        "safeFields": [],
        "scrubIPAddresses": False,
        "storeCrashReports": 0,
        "relayPiiConfig": f'{{"rules": {{"remark": "{SECRET}-pii-rule"}}}}',
        "trustedRelays": [{"name": "edge", "publicKey": f"{SECRET}-relay-key"}],
        "pendingAccessRequests": 0,
    }


def _named(team: Team) -> Row:
    return {"id": team.id, "slug": team.slug, "name": team.name}


def _first_event(project: Project) -> str | None:
    return stamp(project.timeline[0][0]) if project.timeline else None


def _project(call: Call, project: Project) -> Row:
    return {
        "id": project.id,
        "slug": project.slug,
        "name": project.name,
        "platform": project.platform,
        "dateCreated": stamp(project.created),
        "isBookmarked": project.bookmarked,
        "isMember": call.access.is_member(project),
        "features": FEATURES,
        "firstEvent": _first_event(project),
        "firstTransactionEvent": False,
        "access": sorted(call.access.scopes),
        "hasAccess": True,
        "hasSessions": True,
        **dict.fromkeys(LATER_FEATURES, False),
        "hasMonitors": any(monitor.project is project for monitor in call.world.monitors),
        "hasReplays": any(replay.project is project for replay in call.world.replays),
    }


def _latest_release(call: Call, project: Project) -> Row | None:
    of_project = [release for release in call.world.releases.values() if project in release.projects]
    newest = max(of_project, key=lambda release: (release.created, release.id), default=None)
    return {"version": newest.version} if newest else None


def project(call: Call, project: Project) -> Row:
    """A project as the organization's list shows it."""
    names = [e.name for e in call.world.environments.values() if project.id in e.project_ids and e.name]
    return _project(call, project) | {
        "team": _named(project.team),
        "teams": [_named(team) for team in call.world.teams_of(project)],
        "platforms": [project.platform],
        "hasUserReports": bool(call.world.extras.reports[project.id]),
        "environments": names,
        "latestRelease": _latest_release(call, project),
        "latestDeploys": None,
    }


def inner_project(call: Call, project: Project) -> Row:
    """A project as it is shown inside teams and monitors."""
    return _project(call, project) | {
        "isInternal": False,
        "isPublic": False,
        "avatar": AVATAR,
        "color": f"#{int(project.id) * 7919 % 0xFFFFFF:06x}",
        "status": "active",
    }


def project_detail(call: Call, project: Project) -> Row:
    """A project alone: with its settings, `securityToken` and free-form `options` among them."""
    return inner_project(call, project) | {
        "team": _named(project.team),
        "teams": [_named(team) for team in call.world.teams_of(project)],
        "latestRelease": _latest_release(call, project),
        "options": {
            "sentry:token": f"{SECRET}-option",
            "sentry:resolve_age": 0,
            "mail:subject_prefix": "",
            "feedback:branding": True,
        },
        "digestsMinDelay": 300,
        "digestsMaxDelay": 1_800,
        "subjectPrefix": "",
        "allowedDomains": ["*"],
        "resolveAge": 0,
        "dataScrubber": True,
        "dataScrubberDefaults": True,
        "safeFields": [],
        "storeCrashReports": None,
        "sensitiveFields": [],
        "subjectTemplate": "$shortID - $title",
        "securityToken": f"{SECRET}-token",
        "securityTokenHeader": None,
        "verifySSL": False,
        "scrubIPAddresses": False,
        "scrapeJavaScript": True,
        "enableAutoReleaseCreation": True,
        "highlightTags": [],
        "highlightContext": {},
        "highlightPreset": {"tags": [], "context": {}},
        "groupingConfig": "newstyle:2023-01-11",
        "derivedGroupingEnhancements": "",
        "groupingEnhancements": "",
        "secondaryGroupingExpiry": 0,
        "secondaryGroupingConfig": None,
        "fingerprintingRules": "",
        "organization": organization(call),
        "platforms": [project.platform],
        "processingIssues": 0,
        "defaultEnvironment": "production",
        "relayPiiConfig": f'{{"rules": {{"remark": "{SECRET}-pii-rule"}}}}',
        "builtinSymbolSources": [],
        "dynamicSamplingBiases": [{"id": "boostEnvironments", "active": True}],
        "symbolSources": "[]",
        "isDynamicallySampled": False,
        "tempestFetchScreenshots": False,
        "autofixAutomationTuning": "off",
        "seerScannerAutomation": False,
        "seerNightshiftTweaks": None,
        "scmSourceContextEnabled": False,
        "debugFilesRole": None,
    }


def team(call: Call, team: Team, *, detailed: bool) -> Row:
    """A team; unless told otherwise Sentry puts all its projects in."""
    row: Row = {
        "id": team.id,
        "slug": team.slug,
        "name": team.name,
        "dateCreated": stamp(team.created),
        "isMember": False,
        "teamRole": None,
        "flags": {"idp:provisioned": False},
        "access": sorted(call.access.scopes & READ_SCOPES),
        "hasAccess": True,
        "isPending": False,
        "memberCount": sum(team.slug in member.teams for member in call.world.members),
        "avatar": AVATAR,
    }
    if detailed:
        own = [project for project in call.world.projects if team in call.world.teams_of(project)]
        row |= {"externalTeams": [], "projects": [inner_project(call, project) for project in own]}
    return row


def user(member: Member) -> Row | None:
    """The user behind a member; an invitation has none."""
    if member.user_id is None:
        return None
    return {
        "id": member.user_id,
        "name": member.name,
        "username": member.email,
        "email": member.email,
        "avatarUrl": f"https://avatars.example.com/{member.user_id}",
        "isActive": True,
        "isSuspended": False,
        "hasPasswordAuth": True,
        "isManaged": False,
        "dateJoined": stamp(member.created),
        "lastLogin": stamp(member.created + 20 * DAY),
        "has2fa": int(member.id) % 2 == 0,
        "lastActive": stamp(member.created + 21 * DAY),
        "isSuperuser": False,
        "isStaff": False,
        "experiments": {},
        "emails": [{"id": member.id, "email": member.email, "is_verified": True}],
        "avatar": AVATAR,
    }


def member(member: Member, *, old: bool) -> Row:
    """A member; the role was called `role` before it was `orgRole`."""
    flags = (
        "idp:provisioned",
        "idp:role-restricted",
        "sso:linked",
        "sso:invalid",
        "member-limit:restricted",
        "partnership:restricted",
    )
    return {
        "id": member.id,
        "email": member.email,
        "name": member.name if member.user_id else member.email,
        "user": user(member),
        "role" if old else "orgRole": member.role,
        "pending": member.pending,
        "expired": False,
        "flags": dict.fromkeys(flags, False),
        "dateCreated": stamp(member.created),
        "inviteStatus": "approved",
        "inviterName": "user1@example.com" if member.pending else None,
    }


def environment(environment: Environment) -> Row:
    """An environment of the organization."""
    return {"id": environment.id, "name": environment.name}


def project_environment(environment: Environment, project: Project) -> Row:
    """An environment of a project, under the id it has there."""
    return {
        "id": environment.project_ids[project.id],
        "name": environment.name,
        "isHidden": project.id in environment.hidden_in,
    }


SEMVER_PARTS = 3


def _version_info(version: str) -> Row | None:
    package, at, number = version.rpartition("@")
    parts = number.partition("+")[0].split(".")
    if not at or len(parts) != SEMVER_PARTS or not all(part.isdecimal() for part in parts):
        return None
    major, minor, patch = (int(part) for part in parts)
    build = number.partition("+")[2] or None
    return {
        "package": package,
        "version": {
            "raw": number,
            "major": major,
            "minor": minor,
            "patch": patch,
            "pre": None,
            "buildCode": build,
            "components": len(parts),
        },
        "description": number,
        "buildHash": None,
    }


def release(release: Release, projects: Iterable[Project]) -> Row:
    """A release; ids of releases and of their projects are numbers here, and text elsewhere."""
    new_groups = release.id % 5
    return {
        "id": release.id,
        "version": release.version,
        "status": release.status,
        "shortVersion": release.version,
        "versionInfo": _version_info(release.version),
        "ref": None,
        "url": None,
        "dateReleased": None if release.released is None else stamp(release.released),
        "dateCreated": stamp(release.created),
        "data": {},
        "newGroups": new_groups,
        "owner": None,
        "commitCount": release.commit_count,
        "lastCommit": None,
        "deployCount": 0,
        "lastDeploy": None,
        "authors": [_author(release)] if release.author else [],
        "projects": [
            {
                "id": int(owner.id),
                "slug": owner.slug,
                "name": owner.name,
                "newGroups": new_groups,
                "platform": owner.platform,
                "platforms": [owner.platform],
                "hasHealthData": False,
            }
            for owner in projects
        ],
        "firstEvent": None if release.first_event is None else stamp(release.first_event),
        "lastEvent": None if release.last_event is None else stamp(release.last_event),
        "currentProjectMeta": {},
        "userAgent": None,
    }


def _author(release: Release) -> Row | None:
    author = release.author
    if author is None or release.id % 3:
        return user(author) if author else None
    return {"name": author.name, "email": author.email}
