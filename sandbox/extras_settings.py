"""Made-up settings in the shapes of the API: integrations, hooks, alerts, dashboards and the like.

Wherever the real API hands out something that must not travel on, the value contains `SECRET`.
"""

from typing import TYPE_CHECKING

from .catalog import SECRET
from .dates import DAY, stamp
from .model import Member, Project, Row

if TYPE_CHECKING:
    from .world import World


def of_project(world: "World", project: Project) -> None:
    """Settings of one project; only some have ownership rules."""
    extras, first = world.extras, project is world.projects[0]
    if first:
        extras.ownership[project.id] = _ownership(world)
    extras.hooks[project.id] = [_hook(world, number) for number in range(2 if first else 1)]
    extras.sources[project.id] = _symbol_sources(project) if first else []
    extras.debug_files[project.id] = [_debug_file(world, number) for number in range(3)]


def of_organization(world: "World") -> None:
    """Settings of the organization."""
    extras = world.extras
    extras.integrations += [_integration(world, *one) for one in INTEGRATIONS]
    extras.installations += [_installation(world, number) for number in range(2)]
    extras.detectors += _detectors(world)
    extras.workflows += _workflows(world)
    extras.dashboards += _dashboards(world)
    extras.saved_queries += [_saved_query(world, number) for number in range(3)]


def _person(world: "World") -> Member:
    return next(member for member in world.members if not member.pending)


def _ownership(world: "World") -> Row:
    member, now = _person(world), world.seconds_now
    return {
        "raw": f"path:shop/cart.py {member.email}\nurl:https://shop.example.com/checkout #platform",
        "fallthrough": True,
        "dateCreated": stamp(now - 80 * DAY),
        "lastUpdated": stamp(now - 3 * DAY),
        "isActive": True,
        "autoAssignment": "Auto Assign to Issue Owner",
        "codeownersAutoSync": True,
        "schema": {
            "$version": 1,
            "rules": [
                {
                    "matcher": {"type": "path", "pattern": "shop/cart.py"},
                    "owners": [{"type": "user", "id": member.user_id, "name": member.email}],
                },
                {
                    "matcher": {"type": "url", "pattern": "https://shop.example.com/checkout"},
                    "owners": [{"type": "team", "id": world.teams[0].id, "name": "platform"}],
                },
            ],
        },
    }


def _hook(world: "World", number: int) -> Row:
    return {
        "id": world.extras.hex(32),
        "url": f"https://hooks.example.com/sentry/{number}",
        "secret": f"{SECRET}-hook-{number}",
        "status": "active" if number == 0 else "disabled",
        "events": ["event.alert", "event.created"],
        "dateCreated": stamp(world.seconds_now - 60 * DAY),
    }


def _symbol_sources(project: Project) -> list[Row]:
    hidden: Row = {"hidden-secret": True}
    return [
        {
            "id": f"http-{project.id}",
            "name": "Own server",
            "type": "http",
            "url": "https://symbols.example.com/",
            "username": f"{SECRET}-symbol-user",
            "password": hidden,
            "layout": {"type": "native", "casing": "default"},
        },
        {
            "id": f"s3-{project.id}",
            "name": "Bucket",
            "type": "s3",
            "bucket": "acme-symbols",
            "region": "eu-central-1",
            "access_key": f"{SECRET}-access-key",
            "secret_key": hidden,
            "prefix": "symbols/",
            "layout": {"type": "symstore", "casing": "lowercase"},
            "filters": {"filetypes": ["pe", "pdb"], "path_patterns": ["*/release/*"]},
        },
    ]


def _debug_file(world: "World", number: int) -> Row:
    uuid = world.extras.uuid()
    return {
        "id": world.extras.next_id(),
        "uuid": uuid,
        "debugId": uuid,
        "codeId": None if number == 0 else world.extras.hex(40),
        "cpuName": ("any", "arm64", "x86_64")[number],
        "objectName": ("proguard-mapping", "libshop.so", "shop.pdb")[number],
        "symbolType": ("proguard", "elf", "pdb")[number],
        "headers": {"Content-Type": "application/octet-stream"},
        "size": 12_000_000_000 if number == 2 else 41_584,
        "sha1": world.extras.hex(40),
        "dateCreated": stamp(world.seconds_now - (number + 1) * 7 * DAY),
        "data": {"features": ["symtab"]} if number else {},
    }


INTEGRATIONS: tuple[tuple[str, str, str, Row], ...] = (
    ("github", "GitHub", "acme", {"sync": {"token": f"{SECRET}-integration"}}),
    ("slack", "Slack", "Acme chat", {"installationType": "born_as_bot", "hook": f"{SECRET}-slack-hook"}),
)


def _integration(world: "World", key: str, provider: str, name: str, config: Row) -> Row:
    return {
        "id": world.extras.next_id(),
        "name": name,
        "icon": None,
        "domainName": f"{key}.example.com/acme",
        "accountType": "Organization" if key == "github" else None,
        "scopes": ["read", "write"],
        "outOfDate": False,
        "status": "active",
        "provider": {
            "key": key,
            "slug": key,
            "name": provider,
            "canAdd": True,
            "canDisable": False,
            "features": ["commits"],
            "aspects": {},
        },
        "configOrganization": [{"name": "token", "type": "string", "default": f"{SECRET}-config-field"}],
        "configData": config,
        "externalId": world.extras.hex(8),
        "organizationId": int(world.organization.id),
        "organizationIntegrationStatus": "active",
        "gracePeriodEnd": None,
    }


def _installation(world: "World", number: int) -> Row:
    status = ("installed", "pending")[number]
    row: Row = {
        "app": {"uuid": world.extras.uuid(), "slug": f"tracker-app-{number}", "sentryAppId": 70 + number},
        "organization": {"slug": world.organization.slug},
        "uuid": world.extras.uuid(),
        "status": status,
    }
    # Exchanged for a token by the app: as good as one until then.
    return row | {"code": f"{SECRET}-install-code"} if status == "pending" else row


def _detectors(world: "World") -> list[Row]:
    made = [_detector(world, project, "error", "Error monitor") for project in world.projects]
    first = world.projects[0]
    made.append(_uptime(world, first))
    made.append(_metric(world, first))
    made += [
        _detector(world, monitor.project, "monitor_check_in_failure", monitor.name)
        | {"dataSources": [_source(world, "cron_monitor", {"id": monitor.id, "slug": monitor.slug})]}
        for monitor in world.monitors
    ]
    return [*made, _detector(world, None, "metric_issue", "All projects")]


def _detector(world: "World", project: Project | None, kind: str, name: str) -> Row:
    now = world.seconds_now
    return {
        "id": world.extras.next_id(),
        "projectId": project.id if project else None,
        "name": name,
        "description": None,
        "type": kind,
        "workflowIds": [],
        "owner": None,
        "createdBy": None,
        "dateCreated": stamp(now - 120 * DAY),
        "dateUpdated": stamp(now - world.extras.random.randrange(1, 100) * DAY),
        "dataSources": None,
        "conditionGroup": None,
        "config": {},
        "enabled": True,
        "latestGroup": None,
    }


def _source(world: "World", kind: str, query: Row) -> Row:
    return {
        "id": world.extras.next_id(),
        "organizationId": world.organization.id,
        "type": kind,
        "sourceId": world.extras.next_id(),
        "queryObj": query,
    }


def _conditions(world: "World", *comparisons: tuple[str, object, int]) -> Row:
    return {
        "id": world.extras.next_id(),
        "organizationId": world.organization.id,
        "logicType": "any",
        "conditions": [
            {"id": world.extras.next_id(), "type": kind, "comparison": value, "conditionResult": result}
            for kind, value, result in comparisons
        ],
        "actions": [],
    }


def _uptime(world: "World", project: Project) -> Row:
    query: Row = {
        "url": f"https://shop.example.com/health?key={SECRET}-uptime-url",
        "method": "POST",
        "body": f'{{"token": "{SECRET}-uptime-body"}}',
        "headers": [["authorization", f"Bearer {SECRET}-uptime-header"], ["x-probe", "1"]],
        "intervalSeconds": 60,
        "timeoutMs": 5_000,
        "traceSampling": False,
    }
    return _detector(world, project, "uptime_domain_failure", "Shop is up") | {
        "owner": {"type": "team", "id": world.teams[0].id, "name": world.teams[0].slug},
        "dataSources": [_source(world, "uptime_subscription", query)],
        "conditionGroup": _conditions(world, ("eq", "failure", 75), ("eq", "success", 0)),
        "config": {"mode": 1, "environment": "production", "downtimeThreshold": 3, "recoveryThreshold": 1},
    }


def _metric(world: "World", project: Project) -> Row:
    member = _person(world)
    query: Row = {
        "id": world.extras.next_id(),
        "status": 0,
        "subscription": "12/3456789",
        "snubaQuery": {
            "id": world.extras.next_id(),
            "dataset": "events",
            "query": "",
            "aggregate": "count()",
            "timeWindow": 900,
            "environment": None,
            "eventTypes": ["error"],
            "extrapolationMode": "unknown",
        },
    }
    return _detector(world, project, "metric_issue", "Many errors") | {
        "owner": {"type": "user", "id": member.user_id, "name": member.name, "email": member.email},
        "createdBy": member.user_id,
        "dataSources": [_source(world, "snuba_query_subscription", query)],
        "conditionGroup": _conditions(world, ("gt", 1_600, 75), ("lte", 1_600, 0)),
        "config": {"detectionType": "static", "comparisonDelta": None},
    }


def _workflows(world: "World") -> list[Row]:
    mail: Row = {"targetType": "user", "targetDisplay": None, "targetIdentifier": _person(world).user_id}
    hook: Row = {
        "targetType": "specific",
        "targetDisplay": None,
        "targetIdentifier": f"https://hooks.example.com/{SECRET}-workflow-hook",
    }
    attached = [str(detector["id"]) for detector in world.extras.detectors[:2]]
    made = [
        _workflow(world, "Mail about new issues", "email", mail, attached),
        _workflow(world, "Call the hook", "webhook", hook, []),
    ]
    for detector in world.extras.detectors[:2]:
        detector["workflowIds"] = [made[0]["id"]]
    return made


def _workflow(world: "World", name: str, kind: str, config: Row, detectors: list[str]) -> Row:
    action: Row = {
        "id": world.extras.next_id(),
        "type": kind,
        "integrationId": None,
        "data": {"notes": f"{SECRET}-action-data"} if kind == "webhook" else {},
        "config": config,
        "status": "active",
    }
    matched = _conditions(world, ("event_frequency_count", {"value": 100, "interval": "1h"}, 1))
    return {
        "id": world.extras.next_id(),
        "name": name,
        "organizationId": world.organization.id,
        "createdBy": _person(world).user_id if kind == "email" else None,
        "dateCreated": stamp(world.seconds_now - 90 * DAY),
        "dateUpdated": stamp(world.seconds_now - 9 * DAY),
        "triggers": _conditions(world),
        "actionFilters": [matched | {"conditions": [], "actions": [action]}],
        "environment": None if detectors else "production",
        "config": {"frequency": 30},
        "detectorIds": detectors,
        "enabled": True,
        "lastTriggered": stamp(world.seconds_now - DAY) if detectors else None,
        "owner": f"team:{world.teams[0].id}" if detectors else None,
    }


def _dashboards(world: "World") -> list[Row]:
    """Own dashboards and, among them, one that Sentry put there, which nobody created."""
    return [
        _dashboard(world, "Shop", prebuilt=None, widgets=2),
        _dashboard(world, "Errors overview", prebuilt=1, widgets=1),
        _dashboard(world, "Empty", prebuilt=None, widgets=0),
    ]


def _dashboard(world: "World", title: str, *, prebuilt: int | None, widgets: int) -> Row:
    number = world.extras.next_id()
    return {
        "id": number,
        "title": title,
        "dateCreated": stamp(world.seconds_now - 50 * DAY),
        "createdBy": None if prebuilt else _person(world).id,
        "widgets": [_widget(world, number, at) for at in range(widgets)],
        "projects": [int(world.projects[0].id)] if widgets else [],
        "filters": {"release": ["backend@1.0.0"]} if widgets else {},
        "environment": ["production"] if widgets else [],
        "period": "7d",
        "permissions": {"isEditableByEveryone": True, "teamsWithEditAccess": []} if widgets else None,
        "prebuiltId": prebuilt,
    }


def _widget(world: "World", dashboard: str, at: int) -> Row:
    number, query = world.extras.next_id(), world.extras.next_id()
    return {
        "id": number,
        "title": f"Widget {at}",
        "description": None,
        "displayType": ("table", "line")[at],
        "thresholds": None,
        "interval": "5m",
        "dateCreated": stamp(world.seconds_now - 50 * DAY),
        "dashboardId": dashboard,
        "datasetSource": "user",
        "queries": [
            {
                "id": query,
                "name": "",
                "fields": ["count()", "title"],
                "aggregates": ["count()"],
                "columns": ["title"],
                "fieldAliases": ["", ""],
                "conditions": "level:error",
                "orderby": "-count()",
                "widgetId": number,
                "onDemand": [],
                "isHidden": False,
                "selectedAggregate": None,
                "linkedDashboards": [],
            }
        ],
        "limit": None,
        "widgetType": "error-events",
        "layout": {"x": 2 * at, "y": 0, "w": 2, "h": 2, "minH": 2},
        "exploreUrls": None,
        "changedReason": None,
        "axisRange": None,
        "legendType": "default",
    }


def _saved_query(world: "World", number: int) -> Row:
    return {
        "id": world.extras.next_id(),
        "name": f"Query {number}",
        "projects": [int(world.projects[0].id)] if number == 0 else [],
        "version": 2,
        "queryDataset": "error-events",
        "datasetSource": "user",
        "expired": False,
        "dateCreated": stamp(world.seconds_now - 70 * DAY),
        "dateUpdated": stamp(world.seconds_now - (number + 1) * DAY),
        "environment": [],
        "query": "level:error",
        "fields": ["title", "count()"],
        "widths": [],
        "range": "24h",
        "orderby": "-count",
        "yAxis": ["count()"],
        "createdBy": _person(world).id,
    }
