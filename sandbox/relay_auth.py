"""Who may send to which project: the key of a DSN, in the forms SDKs send it.

https://develop.sentry.dev/sdk/foundations/transport/authentication/
"""

import base64
import binascii
import re
from typing import NamedTuple

from starlette.requests import Request

from .errors import ApiError, refused
from .model import Project
from .world import World

NEWEST_PROTOCOL = 7

_KEY = re.compile(r"[0-9a-f]{32}")
_DSN = re.compile(r"https?://([^:@/]+)(?::[^@/]*)?@[^/]+/(?:.*/)?(\d+)/?")


class Dsn(NamedTuple):
    """What the relay needs of a DSN; its secret, if it is an old one, is not looked at."""

    key: str
    project_id: str


def request_key(request: Request) -> str | None:
    """The key in headers or query; None when it can only be in the envelope.

    Raises:
        ApiError: 401 for two forms at once and for what cannot be read, 400 for a newer protocol.
    """
    forms = _forms(request)
    if len(forms) > 1:
        raise refused(401, "multiple authorization payloads detected")
    if not forms:
        return None
    sent = forms[0]
    _check_version(sent.get("sentry_version", str(NEWEST_PROTOCOL)))
    if not sent.get("sentry_key"):
        raise refused(401, "bad x-sentry-auth header", "missing public key in authentication information")
    return sent["sentry_key"]


def read_dsn(value: object) -> Dsn | None:
    """The DSN in the header of an envelope.

    Raises:
        ApiError: 401, when it is none.
    """
    if value is None:
        return None
    match = _DSN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise refused(401, "bad envelope authentication header", "invalid DSN")
    return Dsn(match[1], match[2])


def permitted(world: World, project_id: str, key: str | None, dsn: Dsn | None) -> Project:
    """The project a request may send to.

    Raises:
        ApiError: 401 without a key; 400 for an id or key that is none, and for a DSN in the envelope that
            says something else; 403 for a key that is unknown, disabled, or another project's.
    """
    if key is None and dsn is None:
        raise refused(401, "missing authorization information")
    if not project_id.isdigit():
        raise refused(400, "bad project path parameter", f"`{project_id}` is no project id")
    public = key or (dsn.key if dsn else "")
    if not _KEY.fullmatch(public):
        raise refused(400, "bad sentry DSN public key", "invalid project key")
    if dsn and dsn.project_id != project_id:
        raise _mismatch("project id")
    if dsn and dsn.key != public:
        raise _mismatch("public key")
    project = world.all_projects.get(project_id)
    if project is None or not project.active or public != project.public_key:
        raise refused(403, "event submission rejected with_reason: ProjectId")
    return project


def _mismatch(what: str) -> ApiError:
    cause = f"{what} header mismatch between envelope and request"
    return refused(400, "invalid event envelope", cause)


def _forms(request: Request) -> list[dict[str, str]]:
    """What was sent for authentication, in each form."""
    authorization = request.headers.get("authorization", "")
    headers = (request.headers.get("x-sentry-auth", ""), authorization)
    forms = [_pairs(header[7:]) for header in headers if header[:7].lower() == "sentry "]
    if authorization[:6].lower() == "basic ":
        forms.append({"sentry_key": _basic_user(authorization[6:])})
    if "sentry_" in request.url.query:
        forms.append(dict(request.query_params))
    return forms


def _pairs(text: str) -> dict[str, str]:
    cut = (part.partition("=") for part in text.split(","))
    return {name.strip(): value.strip() for name, _, value in cut}


def _basic_user(packed: str) -> str:
    try:
        return base64.b64decode(packed, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _check_version(text: str) -> None:
    number = text.partition(".")[0]
    if not number.isdigit():
        raise refused(401, "bad x-sentry-auth header", "bad sentry_version")
    if int(number) > NEWEST_PROTOCOL:
        raise refused(400, f"unsupported protocol version ({number})")
