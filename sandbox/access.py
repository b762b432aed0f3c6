"""Tokens, scopes and projects: who may read what."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

import orjson

from .errors import bad_request, forbidden, unauthorized
from .model import Project
from .params import Params
from .world import World

TokenKind = Literal["user", "integration", "org"]

READ_SCOPES = frozenset(
    {
        "org:read",
        "project:read",
        "event:read",
        "member:read",
        "team:read",
        "alerts:read",
        "project:releases",
        "org:integrations",
    }
)
ORG_TOKEN_SCOPES = frozenset({"org:ci"})  # Fixed by Sentry, whatever one asks for.
WIDER = {"read": ("write", "admin"), "write": ("admin",)}


@dataclass(frozen=True)
class Access:
    """What a token stands for.

    Attributes:
        kind: A person, the bot of an internal integration, or the organization itself.
        token: The token's text.
        scopes: What it may do.
        member_of: Ids of the projects its user is a member of; None: of all.
        user_id: Whose token it is; an integration has a bot, an organization token nobody: empty.
    """

    kind: TokenKind
    token: str
    scopes: frozenset[str]
    member_of: frozenset[str] | None
    user_id: str = ""

    @property
    def owner(self) -> str:
        """Whose rate limits it uses up: its user's, whatever the token; the organization's; or its address's."""
        if self.kind == "integration":
            return "organization"
        return f"user {self.user_id}" if self.user_id else "127.0.0.1"

    def allows(self, scope: str) -> bool:
        """Whether a scope is held; a write scope includes its read scope."""
        return _holds(self.scopes, scope)

    def require(self, any_of: frozenset[str]) -> None:
        """Refuse when none of these scopes is held."""
        if any_of and not any(self.allows(scope) for scope in any_of):
            raise forbidden(any_of)

    def is_member(self, project: Project) -> bool:
        """Whether its user is a member of a project; the organization itself is a member of none."""
        if self.kind == "org":
            return False
        return self.member_of is None or project.id in self.member_of


NOBODY = Access("user", "", frozenset(), frozenset())


def _holds(scopes: frozenset[str], scope: str) -> bool:
    area, _, right = scope.partition(":")
    return scope in scopes or any(f"{area}:{wider}" in scopes for wider in WIDER.get(right, ()))


class Desk:
    """Hands out tokens and knows them again."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._known: dict[str, Access] = {}

    def issue(
        self,
        kind: TokenKind,
        scopes: Iterable[str],
        member_of: Iterable[str] | None,
        claims: Mapping[str, object],
        user_id: str,
    ) -> str:
        """A new token of a user; `claims` go into an organization token, readable by whoever holds it."""
        secret = f"{self._random.getrandbits(256):064x}"
        held = frozenset(scopes)
        if kind == "org":
            packed = base64.b64encode(orjson.dumps(dict(claims))).decode()
            token, held = f"sntrys_{packed}_{secret[:43]}", ORG_TOKEN_SCOPES
        else:
            token = f"sntry{'u' if kind == 'user' else 'i'}_{secret}"
        if kind != "user":
            user_id = f"bot-{len(self._known)}" if kind == "integration" else ""
        everywhere = kind == "integration" or member_of is None
        members = None if everywhere else frozenset(str(project) for project in member_of or ())
        self._known[token] = Access(kind, token, held, members, user_id)
        return token

    def authenticate(self, headers: Mapping[str, str]) -> Access:
        """Who sends a request.

        Raises:
            ApiError: 401, when there is no token or it is not known.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthorized("Authentication credentials were not provided.")
        access = self._known.get(token.strip())
        if access is None:
            known = token.startswith("sntrys_")
            raise unauthorized("Invalid org token" if known else "Invalid token")
        return access

    def peek(self, headers: Mapping[str, str]) -> Access | None:
        """Who sends a request, or None, for what answers without a token too."""
        return self._known.get(headers.get("authorization", "").partition(" ")[2].strip())


def chosen_projects(world: World, access: Access, params: Params, *, old: bool = False) -> list[Project]:
    """The projects an organization endpoint works on.

    Without `project` those the token's user is a member of; with -1 every one; with ids or slugs
    exactly these, and one that is out of reach refuses the whole call.

    Raises:
        ApiError: 403 for a project out of reach, 400 for a text where a server wants numbers.
    """
    wanted = [value for value in params.all("project") + params.all("projectSlug") if value]
    if not wanted:
        return [project for project in world.projects if access.is_member(project)]
    if "-1" in wanted or "$all" in wanted:
        if old:  # Seen on 9.1.2: the value is taken for the id of a project out of reach.
            raise forbidden()
        return world.projects
    if old and not all(value.lstrip("-").isdigit() for value in wanted):
        raise bad_request("Invalid project parameter. Values must be numbers.")
    try:
        found = [world.project(value) for value in wanted]
    except KeyError:
        raise forbidden() from None
    return list(dict.fromkeys(found))
