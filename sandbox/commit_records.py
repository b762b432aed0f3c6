"""Repositories, commits, deploys and files of releases in the shapes of the API."""

from .dates import stamp
from .extras import Commit, Deploy, ReleaseFile, Repository
from .model import Member, Release, Row
from .records import user


def repository(found: Repository) -> Row:
    """A repository."""
    return {
        "id": found.id,
        "name": found.name,
        "url": f"https://github.example.com/{found.name}",
        "provider": {"id": f"integrations:{found.provider}", "name": found.provider.title()},
        "status": found.status,
        "dateCreated": stamp(found.created),
        "integrationId": "24817",
        "externalSlug": found.name,
        "externalId": found.id,
    }


def author(who: Member | str | None) -> Row:
    """Who wrote something: a user, a name with an address, or nothing that is known."""
    if isinstance(who, Member):
        return user(who) or {}
    return {"name": who.partition("@")[0], "email": who} if who else {}


def commit(found: Commit) -> Row:
    """A commit; one without repository has no such field."""
    row: Row = {
        "id": found.sha,
        "message": found.message,
        "dateCreated": stamp(found.created),
        "pullRequest": _pull_request(found),
        "suspectCommitType": "",
        "author": author(found.author),
    }
    return row | {"repository": repository(found.repository)} if found.repository else row


def _pull_request(found: Commit) -> Row | None:
    if not (found.repository and found.author) or int(found.sha[:4], 16) % 4:
        return None
    number = str(int(found.sha[:4], 16))
    return {
        "id": number,
        "title": found.message,
        "message": None,
        "dateCreated": stamp(found.created - 3_600),
        "mergedAt": stamp(found.created),
        "status": "merged",
        "repository": repository(found.repository),
        "author": author(found.author),
        "externalUrl": f"https://github.example.com/{found.repository.name}/pull/{number}",
    }


def release_commit(found: Commit, release: Release) -> Row:
    """A commit as the list of a release shows it."""
    return commit(found) | {
        "releases": [
            {
                "version": release.version,
                "shortVersion": release.version,
                "ref": None,
                "url": None,
                "dateReleased": None if release.released is None else stamp(release.released),
                "dateCreated": stamp(release.created),
            }
        ]
    }


def commit_files(found: Commit, organization_id: str) -> list[Row]:
    """The files a commit changed."""
    return [
        {
            "id": number,
            "orgId": int(organization_id),
            "author": author(found.author),
            "commitMessage": found.message,
            "filename": name,
            "type": kind,
            "repoName": found.repository.name if found.repository else None,
        }
        for number, name, kind in found.files
    ]


def deploy(found: Deploy) -> Row:
    """A deploy."""
    return {
        "id": found.id,
        "environment": found.environment,
        "dateStarted": None if found.started is None else stamp(found.started),
        "dateFinished": stamp(found.finished),
        "name": found.name,
        "url": found.url,
    }


def release_file(found: ReleaseFile) -> Row:
    """An artifact of a release."""
    return {
        "id": found.id,
        "name": found.name,
        "dist": found.dist,
        "headers": {"Content-Type": "application/javascript"},
        "size": found.size,
        "sha1": found.sha1,
        "dateCreated": stamp(found.created),
    }
