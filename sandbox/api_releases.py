"""Endpoints of one release: itself with its health, its commits, changed files, deploys and artifacts."""

from . import commit_records, usage
from .answers import Answer, json_answer
from .call import Call
from .dates import DAY, stamp
from .errors import bad_request, not_found
from .model import Project, Release, Row
from .records import release as release_row

FURTHEST_FILE = 20_000


def _release(call: Call) -> Release:
    """The release in the path, whose version may hold blanks, slashes and letters of every script."""
    call.organization()
    found = call.world.releases.get(call.names["version"])
    if found is None:
        raise not_found()
    return found


def listed(call: Call, found: Release) -> Row:
    """A release as lists show it, with its last commit and its last deploy."""
    deploys = call.world.extras.deploys[found.version]
    commits = call.world.extras.commits[found.version]
    newest = max(deploys, key=lambda one: (one.finished, one.id), default=None)
    return release_row(found, found.projects) | {
        "lastCommit": commit_records.release_commit(commits[0], found) if commits else None,
        "lastDeploy": commit_records.deploy(newest) if newest else None,
        "deployCount": len(deploys),
    }


def release(call: Call) -> Answer:
    """One release; `health=1` and `adoptionStages=1` add how it fares."""
    found = _release(call)
    row = listed(call, found)
    if call.params.flag("health"):
        shown = row["projects"] if isinstance(row["projects"], list) else []
        row["projects"] = [
            shape | {"healthData": _health(call, owner, found), "hasHealthData": True}
            for shape, owner in zip(shown, found.projects, strict=True)
        ]
    if call.params.flag("adoptionStages"):
        row["adoptionStages"] = {owner.slug: _adoption(found) for owner in found.projects}
    return json_answer(row)


def _adoption(found: Release) -> Row:
    stage = ("not_adopted", "low_adoption", "adopted", "replaced")[found.id % 4]
    adopted = stamp(found.created + DAY) if found.id % 4 > 1 else None
    return {
        "stage": stage,
        "adopted": adopted,
        "unadopted": stamp(found.created + 9 * DAY) if found.id % 4 == 3 else None,
    }


def _health(call: Call, owner: Project, found: Release) -> Row:
    now = call.world.seconds_now
    counted = usage.sessions(call.world, owner, found.version, None, now - DAY, now)
    return {
        "durationP50": None,
        "durationP90": None,
        "crashFreeUsers": usage.percent(counted.crash_free_users),
        "crashFreeSessions": usage.percent(counted.crash_free_sessions),
        "sessionsCrashed": counted.crashed,
        "sessionsErrored": counted.crashed,
        "totalUsers": counted.users,
        "totalUsers24h": counted.users,
        "totalProjectUsers24h": counted.users,
        "totalSessions": counted.sessions,
        "totalSessions24h": counted.sessions,
        "totalProjectSessions24h": counted.sessions,
        "adoption": 12.5 if counted.sessions else None,
        "sessionsAdoption": 12.5 if counted.sessions else None,
        "stats": {"24h": [[now // 3_600 * 3_600, counted.sessions]]},
        "hasHealthData": True,
    }


def commits(call: Call) -> Answer:
    """The commits of a release, newest first."""
    found = _release(call)
    return call.listing(
        call.world.extras.commits[found.version], lambda one: commit_records.release_commit(one, found)
    )


def commit_files(call: Call) -> Answer:
    """The files that the commits of a release changed, by name."""
    found = _release(call)
    rows = [
        row
        for one in call.world.extras.commits[found.version]
        for row in commit_records.commit_files(one, call.world.organization.id)
    ]
    rows.sort(key=lambda row: (str(row["filename"]), int(str(row["id"]))))
    return call.listing(rows, lambda row: row)


def deploys(call: Call) -> Answer:
    """The deploys of a release, those finished last first."""
    found = _release(call)
    rows = sorted(call.world.extras.deploys[found.version], key=lambda one: (-one.finished, one.id))
    return call.listing(rows, commit_records.deploy)


def files(call: Call) -> Answer:
    """The artifacts of a release by name; what lies too far behind is refused."""
    found = _release(call)
    request = call.page_request()
    if request.cursor and request.cursor.offset * request.cursor.value > FURTHEST_FILE:
        raise bad_request("Pagination offset too large")
    texts = [text.lower() for text in call.params.all("query") if text]
    rows = [
        one
        for one in call.world.extras.files[found.version]
        if not texts or any(text in one.name.lower() for text in texts)
    ]
    return call.listing(sorted(rows, key=lambda one: (one.name, one.id)), commit_records.release_file)
