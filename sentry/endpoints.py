"""The catalogue: which tables there are, what a row of each is, and where Sentry serves it.

A table that is a plain listing is its entry here and nothing else. Columns are declared so that they exist,
with their type and description, also while no row has a value for them; fields that Sentry adds later arrive
all the same. Column names are dlt's snake case of Sentry's field names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from dlt.common.normalizers.naming.snake_case import NamingConvention
from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns

API_DOCS = "https://docs.sentry.io/api"

_SNAKE_CASE = NamingConvention()

ColumnType = Literal["text", "bigint", "double", "bool", "timestamp", "json"]


@dataclass(frozen=True)
class Column:
    """A declared column: name in the destination, dlt data type, what it says."""

    name: str
    type: ColumnType
    description: str


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Table and resource name.
        row: What one row is.
        key: The columns that make a row unique.
        scope: The token scope that reading it takes.
        docs: Sentry's page on the endpoint.
        columns: The declared columns.
        loading: How a second run loads it, in words.
        path: For plain listings: the path below ``/api/0/``, with ``{organization}``.
        params: Query parameters, each there because Sentry's default would leave rows out.
        paged: Whether the listing takes ``per_page``.
        dropped: Fields that are not loaded: secrets, and what depends on who looks or on the request.
        cursor: Sentry's field that the incremental cursor follows.
    """

    name: str
    row: str
    key: tuple[str, ...]
    scope: str
    docs: str
    columns: tuple[Column, ...]
    loading: str = "whole list, merged"
    path: str = ""
    params: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    paged: bool = True
    dropped: frozenset[str] = frozenset()
    cursor: str | None = None

    def column_hints(self) -> TTableSchemaColumns:
        """The declared columns as dlt hints.

        The cursor's column goes by Sentry's name for it, by which dlt's incremental declares it once more.
        """
        cursor = {_SNAKE_CASE.normalize_identifier(self.cursor): self.cursor} if self.cursor else {}
        return {
            (name := cursor.get(column.name, column.name)): TColumnSchema(
                name=name, data_type=column.type, description=column.description
            )
            for column in self.columns
        }


def text(name: str, description: str) -> Column:
    """A text column; ids are text, also where Sentry gives a number."""
    return Column(name, "text", description)


def bigint(name: str, description: str) -> Column:
    """A whole number."""
    return Column(name, "bigint", description)


def flag(name: str, description: str) -> Column:
    """True or false."""
    return Column(name, "bool", description)


def moment(name: str, description: str) -> Column:
    """A timestamp with zone, UTC."""
    return Column(name, "timestamp", description)


def document(name: str, description: str) -> Column:
    """JSON: a shape that varies."""
    return Column(name, "json", description)


OF_ORGANIZATION = (
    text("organization_id", "Id of the organization; joins to organizations.id"),
    text("organization_slug", "Slug of the organization when the row was read"),
)

OF_PROJECT = (
    text("project_id", "Id of the project; joins to projects.id"),
    text("project_slug", "Slug of the project when the row was read"),
)

ORGANIZATIONS = Table(
    name="organizations",
    row="an organization that the token can see",
    key=("id",),
    scope="org:read",
    docs=f"{API_DOCS}/organizations/list-your-organizations/",
    path="organizations/",
    dropped=frozenset({"access", "onboardingTasks", "extraOptions"}),
    columns=(
        text("id", "Id of the organization"),
        text("slug", "Name in addresses"),
        text("name", "Display name"),
        document("status", "Id and name of its status (active, pending deletion...)"),
        moment("date_created", "When it was made"),
        flag("is_early_adopter", "Whether it gets features early"),
        flag("require2_fa", "Whether members need two-factor authentication"),
        flag("has_auth_provider", "Whether single sign-on is set up"),
        flag("allow_member_invite", "Whether members may invite others"),
        flag("allow_member_project_creation", "Whether members may create projects"),
        flag("allow_superuser_access", "Whether Sentry's staff may be let in"),
        document("links", "Addresses of the organization and of its region"),
        document("avatar", "Its picture"),
        document("features", "Features switched on for it"),
    ),
)

PROJECTS = Table(
    name="projects",
    row="an active project of the organization",
    key=("id",),
    scope="org:read",
    docs=f"{API_DOCS}/organizations/list-an-organizations-projects/",
    path="organizations/{organization}/projects/",
    dropped=frozenset(
        {"access", "isBookmarked", "options", "stats", "transactionStats", "sessionStats", "latestDeploys"}
    ),
    columns=(
        text("id", "Id of the project"),
        *OF_ORGANIZATION,
        text("slug", "Name in addresses; it can change, the id cannot"),
        text("name", "Display name"),
        text("platform", "Main platform, such as python or javascript-react"),
        moment("date_created", "When it was made"),
        moment("first_event", "When its first event came; null before"),
        flag("first_transaction_event", "Whether a transaction ever came"),
        flag("is_member", "Whether the token's user is in one of its teams"),
        flag("has_access", "Whether the token's user may read it"),
        flag("has_feedbacks", "Whether it has user feedback"),
        flag("has_flags", "Whether it reports feature flags"),
        flag("has_minified_stack_trace", "Whether stack traces came minified"),
        flag("has_monitors", "Whether it has cron monitors"),
        flag("has_profiles", "Whether it has profiles"),
        flag("has_replays", "Whether it has session replays"),
        flag("has_sessions", "Whether it reports release health"),
        flag("has_user_reports", "Whether it has crash-report feedback"),
        flag("has_new_feedbacks", "Whether it has feedback from the widget"),
        flag("has_logs", "Whether it sends logs"),
        flag("has_trace_metrics", "Whether it sends metrics"),
        flag("has_insights_http", "Whether it has data for the insights on outgoing requests"),
        flag("has_insights_db", "Whether it has data for the insights on database queries"),
        flag("has_insights_assets", "Whether it has data for the insights on assets of web pages"),
        flag("has_insights_app_start", "Whether it has data for the insights on app starts"),
        flag("has_insights_screen_load", "Whether it has data for the insights on screen loads"),
        flag("has_insights_vitals", "Whether it has data for the insights on web vitals"),
        flag("has_insights_caches", "Whether it has data for the insights on caches"),
        flag("has_insights_queues", "Whether it has data for the insights on queues"),
        flag("has_insights_agent_monitoring", "Whether it has data for the insights on AI agents"),
        flag("has_insights_mcp", "Whether it has data for the insights on MCP servers"),
        document("team", "One of its teams; older field, see teams"),
        document("teams", "Its teams: id, slug, name"),
        document("platforms", "All platforms that sent events"),
        document("environments", "Names of its environments"),
        document("features", "Features switched on for it"),
        document("latest_release", "Its newest release"),
    ),
)

TEAMS = Table(
    name="teams",
    row="a team of the organization",
    key=("id",),
    scope="org:read",
    docs=f"{API_DOCS}/teams/list-an-organizations-teams/",
    path="organizations/{organization}/teams/",
    params=MappingProxyType({"detailed": "0"}),
    dropped=frozenset({"access", "isMember", "isPending", "teamRole"}),
    columns=(
        text("id", "Id of the team"),
        *OF_ORGANIZATION,
        text("slug", "Name in addresses"),
        text("name", "Display name"),
        moment("date_created", "When it was made"),
        bigint("member_count", "How many members it has"),
        flag("has_access", "Whether the token's user may read its projects"),
        document("flags", "Switches such as idp:provisioned"),
        document("avatar", "Its picture"),
    ),
)

MEMBERS = Table(
    name="members",
    row="a membership or a pending invitation",
    key=("id",),
    scope="member:read",
    docs=f"{API_DOCS}/organizations/list-an-organizations-members/",
    path="organizations/{organization}/members/",
    paged=False,
    dropped=frozenset({"inviteLink", "invite_link"}),
    columns=(
        text("id", "Id of the membership, not of the user"),
        *OF_ORGANIZATION,
        text("user_id", "Id of the user; null while the invitation is pending"),
        text("email", "E-mail address"),
        text("name", "Display name, or the e-mail address"),
        text("org_role", "Role in the organization"),
        text("role", "Role, as older servers call it"),
        flag("pending", "Whether the invitation is not yet accepted"),
        flag("expired", "Whether the invitation has expired"),
        text("invite_status", "approved, requested_to_join, requested_to_be_invited"),
        text("inviter_name", "Who invited"),
        moment("date_created", "When the membership or invitation was made"),
        document("user", "The user's account; null while the invitation is pending"),
        document("flags", "Switches such as sso:linked"),
    ),
)

ENVIRONMENTS = Table(
    name="environments",
    row="an environment of the organization, hidden ones included",
    key=("id",),
    scope="org:read",
    docs=f"{API_DOCS}/environments/list-an-organizations-environments/",
    path="organizations/{organization}/environments/",
    params=MappingProxyType({"visibility": "all"}),
    paged=False,
    columns=(
        text("id", "Id of the environment"),
        *OF_ORGANIZATION,
        text("name", "Name, such as production; may be empty"),
    ),
)

RELEASES = Table(
    name="releases",
    row="a release of the organization, archived ones included",
    key=("organization_id", "version"),
    scope="project:read",
    docs=f"{API_DOCS}/releases/list-an-organizations-releases/",
    loading="incremental on dateCreated with look-back, all of them with each sweep; merged",
    cursor="dateCreated",
    columns=(
        *OF_ORGANIZATION,
        text("version", "Version, unique within the organization"),
        text("id", "Sentry's own id of the release"),
        text("short_version", "Version without its package name"),
        text("status", "open or archived"),
        text("ref", "Git reference it was built from"),
        text("url", "Address given for it"),
        text("user_agent", "What created it"),
        moment("date_created", "When Sentry first heard of it"),
        moment("date_started", "When its work started, if given"),
        moment("date_released", "When it went out, if given"),
        moment("first_event", "When its first event came"),
        moment("last_event", "When its newest event came"),
        bigint("new_groups", "Issues first seen in it"),
        bigint("commit_count", "Commits in it"),
        bigint("deploy_count", "Deploys of it"),
        document("version_info", "Version taken apart: package, version, build"),
        document("projects", "Projects it belongs to, with their own numbers"),
        document("authors", "Authors of its commits"),
        document("owner", "Who is responsible for it"),
        document("data", "Free-form data given with it"),
        document("last_commit", "Its newest commit"),
        document("last_deploy", "Its newest deploy"),
        document("current_project_meta", "Its neighbours in the project's list"),
        document("adoption_stages", "How far it is adopted, per project"),
    ),
)

ISSUES = Table(
    name="issues",
    row="an issue with its lifetime numbers",
    key=("id",),
    scope="event:read",
    docs=f"{API_DOCS}/events/list-an-organizations-issues/",
    loading="incremental on lastSeen with look-back, all of them with each sweep; merged",
    cursor="lastSeen",
    dropped=frozenset({"shareId", "stats", "lifetime", "filtered", "inbox", "derivedData"}),
    columns=(
        text("id", "Id of the issue"),
        *OF_ORGANIZATION,
        *OF_PROJECT,
        text("short_id", "Readable id, such as SHOP-1AB"),
        text("title", "Title"),
        text("culprit", "Function or path that is blamed"),
        text("permalink", "Address of its page"),
        text("logger", "Logger that reported it"),
        text("level", "fatal, error, warning, info, debug"),
        text("platform", "Platform of its events"),
        text("type", "Kind of its events, such as error or csp"),
        text("issue_type", "Finer kind, such as error or performance_n_plus_one_db_queries"),
        text("issue_category", "error, outage, metric..."),
        text("status", "resolved, unresolved, ignored (which is archived)..."),
        text("substatus", "new, ongoing, escalating, regressed, archived_...; null when resolved"),
        document("status_details", "By what it is resolved or until when it is ignored"),
        text("priority", "low, medium, high"),
        moment("priority_locked_at", "When a person set the priority"),
        bigint("count", "Events over its lifetime"),
        bigint("user_count", "Users it hit over its lifetime"),
        moment("first_seen", "First event over its lifetime"),
        moment("last_seen", "Newest event over its lifetime"),
        flag("is_unhandled", "Whether the error was not handled"),
        flag("is_public", "Whether it is shared by a public link"),
        flag("is_bookmarked", "Whether the token's user bookmarked it"),
        flag("is_subscribed", "Whether the token's user is subscribed to it"),
        flag("has_seen", "Whether the token's user has opened it"),
        bigint("num_comments", "Comments on it"),
        text("assigned_to_type", "user or team"),
        text("assigned_to_id", "Id of the user or team it is assigned to"),
        document("assigned_to", "Whom it is assigned to"),
        document("project", "Its project: id, slug, name, platform"),
        document("metadata", "Type, value, file and function, by kind of issue"),
        document("annotations", "Links that integrations added"),
        document("subscription_details", "Why the token's user is subscribed"),
        Column("seer_fixability_score", "double", "How well Sentry thinks it could be fixed automatically"),
        moment("seer_autofix_last_triggered", "When an automatic fix was last tried"),
        moment(
            "seer_explorer_autofix_last_triggered", "When an automatic fix was last tried from the explorer"
        ),
        flag("is_deleted", "True once it was found deleted in Sentry"),
        moment("deleted_at", "When that was found"),
        text("merged_into", "Id of the issue it was merged into"),
    ),
)

EVENTS = Table(
    name="events",
    row="an error event with its full body; its tags are in events__tags",
    key=("project_id", "event_id"),
    scope="project:read",
    docs=f"{API_DOCS}/events/list-a-projects-error-events/",
    loading="incremental on dateCreated with look-back, per project; merged",
    cursor="dateCreated",
    columns=(
        *OF_PROJECT,
        *OF_ORGANIZATION,
        text("event_id", "Id of the event, unique within its project"),
        text("id", "The same id"),
        text("issue_id", "Id of its issue, null where it has none; joins to issues.id"),
        text("group_id", "The same id, as Sentry calls it"),
        text("title", "Title"),
        text("message", "Message"),
        text("culprit", "Function or path that is blamed"),
        text("location", "File it happened in"),
        text("platform", "Platform"),
        text("type", "Kind of event, such as error or csp"),
        text("event_type", "Kind of event, in the short form of the listing"),
        text("level", "fatal, error, warning, info, debug"),
        text("release", "Version of its release"),
        text("environment", "Environment it happened in"),
        text("dist", "Distribution of the release"),
        moment("date_created", "When it happened, by the client's clock (when received, if it did not say)"),
        moment("date_received", "When Sentry received it"),
        bigint("size", "Bytes of the event as stored"),
        text("crash_file", "Address of its crash report file"),
        document("user", "Whom it happened to: id, e-mail, user name, IP address, geography"),
        document("entries", "Exception with stack trace, breadcrumbs, request, threads, message"),
        document("contexts", "Device, operating system, runtime, trace..."),
        document("context", "Extra data given with it"),
        document("packages", "Packages installed where it happened"),
        document("sdk", "Name and version of the SDK"),
        document("metadata", "Type, value, file and function"),
        document("errors", "What went wrong when it was processed"),
        document("occurrence", "For events that are no errors: what was found"),
        document("_meta", "What was scrubbed or shortened"),
        document("fingerprints", "Hashes it was grouped by"),
        document("grouping_config", "Rules it was grouped by"),
        document("measurements", "Measurements of a transaction"),
        document("breakdowns", "Breakdowns of a transaction"),
        Column("start_timestamp", "double", "Start of a transaction, seconds since 1970"),
        Column("end_timestamp", "double", "End of a transaction, seconds since 1970"),
    ),
)

TABLES: Mapping[str, Table] = MappingProxyType(
    {
        table.name: table
        for table in (ORGANIZATIONS, PROJECTS, TEAMS, MEMBERS, ENVIRONMENTS, RELEASES, ISSUES, EVENTS)
    }
)
"""All tables by name, in the order in which they are listed and loaded."""
