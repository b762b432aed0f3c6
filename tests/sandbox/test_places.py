"""Path prefixes, regions and silos."""

import pytest

from sandbox import Sandbox, Switches, World

from .client import Client, Links
from .conftest import SMALL, Start


def test_a_server_lives_below_a_path(start: Start) -> None:
    client = start(path_prefix="/sentry", link_host="")
    assert client.server.url.endswith("/sentry")
    answer = client.get("/organizations/acme/projects/", per_page=1)
    assert Links.of(answer)["next"][0].startswith(f"{client.server.url}/api/0/organizations/acme/projects/?")
    assert len(client.rows("/organizations/acme/projects/", per_page=1)) == 3
    assert "/sentry/" in client.server.dsn("backend")
    root = client.server.url.removesuffix("/sentry")
    assert client.get(f"{root}/api/0/organizations/").status_code == 404


@pytest.mark.parametrize("region", ["us", "de"])
def test_the_organization_names_its_region(start: Start, region: str) -> None:
    client = start(region=region)
    url = client.get("/organizations/acme/").json()["links"]["regionUrl"]
    assert url == client.server.region_urls[region] != client.server.url
    assert client.get(f"{url}/api/0/organizations/acme/projects/").status_code == 200


def test_the_other_region_does_not_know_the_organization(start: Start) -> None:
    client = start(region="de")
    answer = client.get(f"{client.server.region_urls['us']}/api/0/organizations/acme/")
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize(("region", "status"), [("us", 200), ("de", 404)])
def test_the_control_silo_sends_paths_without_organization_to_the_us(
    start: Start, region: str, status: int
) -> None:
    client = start(region=region)
    issue = client.server.world.issues[0]
    assert client.get(f"/issues/{issue.id}/").status_code == status
    assert client.get(f"/organizations/acme/issues/{issue.id}/").status_code == 200


def test_a_server_stops_and_its_port_is_free_again() -> None:
    world = World.build(**SMALL)
    with Sandbox(world=world) as server:
        Client(server).get("/organizations/")
        port = int(server.url.rsplit(":", 1)[1])
    with Sandbox(world=world, switches=Switches(), port=port) as again:
        assert Client(again).get("/organizations/").status_code == 200
