"""One release: versions of every kind, commits, deploys, artifacts, and how it fares."""

from urllib.parse import quote, unquote

import pytest

from sandbox.catalog import ODD_VERSIONS

from .client import Client, Links
from .conftest import NOW, Start

RELEASES = "/organizations/acme/releases/"
T0 = int(NOW.timestamp())


@pytest.mark.parametrize("version", [*ODD_VERSIONS, "backend@1.0.0", "文/字 #1"])
@pytest.mark.parametrize("part", ["", "commits/", "commitfiles/", "deploys/", "files/"])
def test_versions_of_every_kind_are_found_when_encoded(start: Start, version: str, part: str) -> None:
    client = start()
    client.server.world.add_release(version, "backend")
    answer = client.get(f"{RELEASES}{quote(version, safe='')}/{part}")
    assert answer.status_code == 200
    if part == "":
        assert answer.json()["version"] == version
    else:
        assert unquote(Links.of(answer)["next"][0]).split("?")[0].endswith(f"/{version}/{part}")


def test_a_slash_in_a_version_is_recorded_as_it_was_sent(shared: Client) -> None:
    shared.get(f"{RELEASES}{quote(ODD_VERSIONS[1], safe='')}/")
    assert shared.server.requests[-1].path.endswith("/releases/feature%2Fsearch@2.0.0+exp.1/")


def test_an_unknown_version_is_not_found(shared: Client) -> None:
    assert shared.detail(f"{RELEASES}nothing/commits/", 404) == "The requested resource does not exist"


def test_a_release_counts_its_commits_and_deploys(start: Start) -> None:
    client = start()
    world = client.server.world
    release = world.add_release("new@1.0.0", "backend")
    world.add_commit(release, "One", files=("a.py", "b.py"))
    world.add_deploy(release, "staging", at=T0 - 9)
    world.add_deploy(release, "production", at=T0 - 5)
    row = client.get(f"{RELEASES}new@1.0.0/").json()
    assert (row["commitCount"], row["deployCount"]) == (1, 2)
    assert (row["lastDeploy"]["environment"], row["lastCommit"]["message"]) == ("production", "One")
    listed = client.rows(RELEASES, project="-1", query="new@")[0]
    assert (listed["commitCount"], listed["deployCount"]) == (1, 2)
    assert [one["filename"] for one in client.rows(f"{RELEASES}new@1.0.0/commitfiles/")] == ["a.py", "b.py"]


def test_health_and_adoption_come_when_asked_for(shared: Client) -> None:
    path = f"{RELEASES}{quote('backend@1.3.0', safe='')}/"
    plain, asked = shared.get(path).json(), shared.get(path, health="1", adoptionStages="1").json()
    assert "healthData" not in plain["projects"][0]
    assert "adoptionStages" not in plain
    assert set(asked["adoptionStages"]) == {"backend"}
    assert asked["projects"][0]["healthData"]["hasHealthData"]


def test_some_commits_have_no_repository_and_some_no_known_author(shared: Client) -> None:
    commits = [
        row
        for version in shared.server.world.releases
        for row in shared.rows(f"{RELEASES}{quote(version, safe='')}/commits/")
    ]
    assert {"repository" in row for row in commits} == {True, False}
    assert {"nobody" if not row["author"] else "id" in row["author"] for row in commits} == {
        "nobody",
        True,
        False,
    }


def test_deploys_come_last_finished_first(start: Start) -> None:
    client = start()
    for age in (50, 10, 30):
        client.server.world.add_deploy("backend@1.3.0", "preview", at=T0 - age)
    rows = client.rows(f"{RELEASES}backend@1.3.0/deploys/")
    dates = [row["dateFinished"] for row in rows]
    assert dates == sorted(dates, reverse=True)
    assert dates[0] == "2026-08-01T11:59:50Z"


def test_files_too_far_behind_are_refused(shared: Client) -> None:
    answer = shared.get(f"{RELEASES}backend@1.3.0/files/", cursor="100:201:0")
    assert (answer.status_code, answer.json()) == (400, {"detail": "Pagination offset too large"})
    assert shared.get(f"{RELEASES}backend@1.3.0/files/", cursor="100:200:0").status_code == 200
