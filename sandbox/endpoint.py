"""What the server knows about one path of its API."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .answers import Answer
from .call import Call

Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Endpoint:
    """One path of the web API.

    Attributes:
        path: Below `/api/0`.
        handler: Makes the answer.
        scopes: Any of these will do; none: it answers without a token too.
        view: Whose rate limit it counts for.
        replacement: What to call instead, when the path is deprecated.
        in_organization: Whether the path names the organization, so that any silo can route it.
        feature: The table it serves, by which `Switches.features_off` takes it away.
        newer: Whether a server of version 9.1 does not have it.
        wants_user: Whether a token without a user is told to authenticate, whatever its scopes.
        method: The HTTP method it answers to.
    """

    path: str
    handler: Handler
    scopes: frozenset[str]
    view: str = "default"
    replacement: str | None = None
    in_organization: bool = True
    feature: str = ""
    newer: bool = False
    wants_user: bool = False
    method: Literal["GET", "PUT", "DELETE"] = "GET"
