"""Tokens, scopes, and which projects a token sees."""

import base64
import json

import pytest
import requests

from .client import Client
from .conftest import Start

ISSUES = "/organizations/acme/issues/"
RELEASES = "/organizations/acme/releases/"


def test_tokens_look_like_sentrys(shared: Client) -> None:
    server = shared.server
    assert server.token.startswith("sntryu_")
    assert len(server.token) == 7 + 64
    assert server.add_token(kind="integration").startswith("sntryi_")
    claims = json.loads(base64.b64decode(server.add_token(kind="org").split("_")[1]))
    assert (claims["org"], claims["url"], claims["region_url"]) == ("acme", server.url, server.url)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (None, "Authentication credentials were not provided."),
        ("Token abc", "Authentication credentials were not provided."),
        ("Bearer nobody", "Invalid token"),
        ("Bearer sntrys_nobody", "Invalid org token"),
    ],
)
def test_without_a_known_token_nothing_is_told(shared: Client, header: str | None, text: str) -> None:
    headers = {"Authorization": header} if header else {}
    answer = requests.get(f"{shared.server.url}/api/0/organizations/", headers=headers, timeout=10)
    assert (answer.status_code, answer.json()) == (401, {"detail": text})


def test_the_root_answers_without_a_token(shared: Client) -> None:
    answer = requests.get(f"{shared.server.url}/api/0/", timeout=10)
    assert answer.json() == {"version": "0", "auth": None, "user": None}


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/organizations/acme/", "org:read"),
        ("/organizations/acme/projects/", "org:read"),
        ("/organizations/acme/members/", "member:read"),
        (ISSUES, "event:read"),
        ("/projects/acme/backend/events/", "project:read"),
        (RELEASES, "project:releases"),
    ],
)
def test_each_endpoint_wants_its_scope(shared: Client, path: str, scope: str) -> None:
    able = Client(shared.server, shared.server.add_token(scopes=[scope]))
    assert able.get(path).status_code == 200
    unable = Client(shared.server, shared.server.add_token(scopes=["alerts:read"]))
    answer = unable.get(path)
    assert answer.status_code == 403
    assert answer.json() == {"detail": "You do not have permission to perform this action."}
    assert "insufficient_scope" in answer.headers["WWW-Authenticate"]


def test_a_write_scope_includes_reading(shared: Client) -> None:
    writer = Client(shared.server, shared.server.add_token(scopes=["event:write"]))
    assert writer.get(ISSUES).status_code == 200


def test_without_project_only_those_of_a_member_are_read(shared: Client) -> None:
    backend = shared.server.world.project("backend")
    client = Client(shared.server, shared.server.add_token(member_of=[backend.id]))
    assert {row["project"]["id"] for row in client.rows(ISSUES, query="")} == {backend.id}
    assert len({row["project"]["id"] for row in client.rows(ISSUES, query="", project="-1")}) == 3
    members = {row["slug"]: row["isMember"] for row in client.rows("/organizations/acme/projects/")}
    assert members == {"backend": True, "frontend": False, "mobile": False}


def test_the_default_token_is_no_member_of_the_last_project(shared: Client) -> None:
    slugs = {row["project"]["slug"] for row in shared.rows(ISSUES, query="")}
    assert slugs == {"backend", "frontend"}


def test_a_member_of_nothing_gets_an_empty_list_without_link(shared: Client) -> None:
    client = Client(shared.server, shared.server.add_token(member_of=[]))
    for path in (ISSUES, RELEASES):
        answer = client.get(path)
        assert (answer.status_code, answer.json(), "Link" in answer.headers) == (200, [], False)


def test_projects_are_chosen_by_id_or_slug(shared: Client) -> None:
    backend = shared.server.world.project("backend")
    for name in (backend.id, "backend"):
        assert {row["project"]["slug"] for row in shared.rows(ISSUES, query="", project=name)} == {"backend"}


def test_one_project_out_of_reach_refuses_the_whole_call(shared: Client) -> None:
    backend = shared.server.world.project("backend").id
    assert shared.get(ISSUES, [("project", backend), ("project", "999")]).status_code == 403


def test_an_integration_is_a_member_everywhere_and_lists_no_organization(shared: Client) -> None:
    bot = Client(shared.server, shared.server.add_token(kind="integration"))
    assert bot.get("/organizations/").json() == []
    assert len({row["project"]["id"] for row in bot.rows(ISSUES, query="")}) == 3


def test_an_organization_token_can_read_releases_only(shared: Client) -> None:
    token = shared.server.add_token(kind="org", scopes=["org:read", "event:read"])
    client = Client(shared.server, token)
    assert client.get("/organizations/acme/").status_code == 403
    assert client.get(ISSUES).status_code == 403
    assert client.get(RELEASES).json() == []
    assert len(client.rows(RELEASES, project="-1")) > 0


def test_a_new_token_works_at_once(start: Start) -> None:
    client = start()
    client.session.headers["Authorization"] = f"Bearer {client.server.add_token()}"
    assert client.get("/organizations/").status_code == 200
