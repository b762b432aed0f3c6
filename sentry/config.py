"""Where to connect and as whom: arguments and dlt configuration first, then sentry-cli's variables.

sentry-cli's variables are documented at https://docs.sentry.io/cli/configuration/.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit

import dlt
from dlt.common.time import ensure_pendulum_datetime

from .errors import SentryConfigurationError
from .setting_names import check_setting_names
from .settings import (
    API_PREFIX,
    DEFAULT_BASE_URL,
    HISTORY_DAYS,
    MAX_PARALLEL,
    MAX_RESPONSE_MEGABYTES,
    ORGANIZATION_TOKEN_PREFIX,
    SAAS_DOMAIN,
    TOKEN_PAGE,
    TOKEN_SCOPES,
)

_TOKEN = re.compile(r"""[^\s"'{}\[\],\\]+""")
"""What a token consists of: a list or a quoted text of a file of settings is none."""


@dataclass(frozen=True)
class Connection:
    """A server, a token, and what the user chose to read.

    Attributes:
        base_url: Scheme, host and path prefix, without ``/api/0`` and without a slash at the end.
        token: The bearer token; it stays out of ``repr``.
        organization: Slug or id, or None: the only one the token can see.
        projects: Slugs or ids, or None: all that the token can read.
        max_parallel: Requests under way at once, at the most.
        max_requests_per_second: Requests in a second, at the most; 0: as many as Sentry allows.
        max_response_megabytes: Of one answer, read at the most.
    """

    base_url: str
    token: str = field(repr=False)
    organization: str | None = None
    projects: tuple[str, ...] | None = None
    max_parallel: int = MAX_PARALLEL
    max_requests_per_second: float = 0.0
    max_response_megabytes: int = MAX_RESPONSE_MEGABYTES


def connect(  # noqa: PLR0913 - a user may say as much
    auth_token: str | None,
    organization: str | None,
    base_url: str | None,
    projects: Sequence[str] | None,
    *,
    allow_insecure: bool,
    max_parallel: int | None = None,
    max_requests_per_second: float | None = None,
    max_response_megabytes: int | None = None,
) -> Connection:
    """Put the connection together from what the user gave, sentry-cli's variables and the token's own claims.

    The bounds on requests and answers are looked up in dlt's configuration where they are not given, so that they
    hold for everything that is done with Sentry.

    Returns:
        The connection; nothing is sent.

    Raises:
        SentryConfigurationError: No token, a base URL that is none, plain http to a distant host, a bound that is
            none, or a setting that is misspelt.
    """
    check_setting_names()
    token = (auth_token or _environment("SENTRY_AUTH_TOKEN") or "").strip()
    if not token or token.startswith("<configure") or token.endswith("..."):  # a text left to be filled in
        raise SentryConfigurationError(
            "No Sentry token. Put it into .dlt/secrets.toml as [sources.sentry] auth_token, or set "
            f"SENTRY_AUTH_TOKEN. A token with the scopes {' '.join(TOKEN_SCOPES)} is made in Sentry under "
            f"Settings > Custom Integrations or User settings > Personal Tokens ({TOKEN_PAGE})."
        )
    if not (token.isascii() and token.isprintable() and _TOKEN.fullmatch(token)):
        raise SentryConfigurationError(
            "The Sentry token holds what no token does, such as a blank, a line break or a quote. Copy it again, "
            "as one line of plain text."
        )
    claims = organization_token_claims(token)
    chosen_url = base_url or _environment("SENTRY_URL") or claims.get("region_url") or claims.get("url")
    return Connection(
        base_url=normalize_base_url(str(chosen_url or DEFAULT_BASE_URL), allow_insecure=allow_insecure),
        token=token,
        organization=_text(organization) or _environment("SENTRY_ORG") or _text(claims.get("org")),
        projects=_project_names(projects),
        max_parallel=int(_bound("max_parallel", max_parallel, int, MAX_PARALLEL, at_least=1)),
        max_requests_per_second=_bound(
            "max_requests_per_second", max_requests_per_second, float, 0.0, at_least=0
        ),
        max_response_megabytes=int(
            _bound("max_response_megabytes", max_response_megabytes, int, MAX_RESPONSE_MEGABYTES, at_least=1)
        ),
    )


def _bound(name: str, given: float | None, kind: type[float], default: float, *, at_least: float) -> float:
    found = given if given is not None else dlt.config.get(f"sources.sentry.{name}", kind)
    value = default if found is None else found
    if not at_least <= value < math.inf:
        raise SentryConfigurationError(f"{name} must be {at_least} or more, not {value}.")
    return value


def normalize_base_url(text: str, *, allow_insecure: bool = False) -> str:
    """Bring a host name or URL into the form ``scheme://host[:port][/prefix]``.

    Args:
        text: ``sentry.io``, ``https://sentry.example.com/``, ``https://example.com/sentry/api/0/``...
        allow_insecure: Accept plain http for hosts other than loopback.

    Raises:
        SentryConfigurationError: It is no URL, or plain http to a distant host.
    """
    address = text.strip()
    if "://" not in address:
        address = f"{'http' if _is_loopback(_split('//' + address)) else 'https'}://{address}"
    parts = _split(address)
    if (
        parts is None
        or parts.scheme not in ("http", "https")
        or not _host(parts)
        or parts.query
        or parts.fragment
    ):
        raise SentryConfigurationError(
            f"base_url {_without_credentials(text)!r} is not a Sentry address. "
            "Give a host name or a URL such as https://sentry.example.com."
        )
    if parts.username or parts.password:
        raise SentryConfigurationError(
            f"base_url {_without_credentials(text)!r} carries a user name or password. "
            "Take it out; the token goes into auth_token."
        )
    if parts.scheme == "http" and not (allow_insecure or _is_loopback(parts)):
        raise SentryConfigurationError(
            f"base_url {text.strip()!r} would send the token unencrypted. "
            "Use https, or set allow_insecure = true if that network is yours."
        )
    prefix = parts.path.rstrip("/")
    for ending in (API_PREFIX, "/api"):
        prefix = prefix.removesuffix(ending)
    return f"{parts.scheme}://{parts.netloc.lower()}{prefix.rstrip('/')}"


def region_base_url(base_url: str, region_url: object) -> str:
    """Where an organization's data is: its region's host if that is Sentry's own, else the configured one.

    Args:
        base_url: The configured base URL.
        region_url: ``links.regionUrl`` of the organization, as the server gave it.
    """
    target = urlsplit(region_url) if isinstance(region_url, str) else None
    if (
        urlsplit(base_url).hostname == SAAS_DOMAIN
        and target is not None
        and target.scheme == "https"
        and (target.hostname or "").endswith(f".{SAAS_DOMAIN}")
        and target.port is None
        and not target.username
    ):
        return f"https://{target.hostname}"
    return base_url


def server_identity(base_url: str) -> str:
    """The server that a pipeline's state belongs to; all hosts of sentry.io are one server."""
    host = urlsplit(base_url).hostname or ""
    return f"https://{SAAS_DOMAIN}" if host == SAAS_DOMAIN or host.endswith(f".{SAAS_DOMAIN}") else base_url


def organization_token_claims(token: str) -> dict[str, Any]:
    """What a ``sntrys_`` token says of itself: ``org``, ``url``, ``region_url``. Empty for other tokens.

    See https://docs.sentry.io/account/auth-tokens/#organization-tokens.
    """
    if not token.startswith(ORGANIZATION_TOKEN_PREFIX):
        return {}
    payload = token.removeprefix(ORGANIZATION_TOKEN_PREFIX).rpartition("_")[0]
    try:
        claims = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_"))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _project_names(projects: Sequence[str] | None) -> tuple[str, ...] | None:
    if projects is None:
        projects = (_environment("SENTRY_PROJECT") or "").replace(",", " ").split()
    elif isinstance(projects, str):
        projects = projects.replace(",", " ").split()
    return tuple(dict.fromkeys(str(name).strip() for name in projects)) or None


def _environment(name: str) -> str | None:
    return _text(os.environ.get(name))


def _text(value: object) -> str | None:
    return str(value).strip() or None if value is not None else None


def _host(parts: SplitResult) -> str | None:
    try:
        return parts.hostname if parts.port is None or parts.port else None
    except ValueError:
        return None


def _split(address: str) -> SplitResult | None:
    try:
        return urlsplit(address)
    except ValueError:
        return None


def is_plain_and_local(url: str | None) -> bool:
    """Whether a URL is plain http to this machine: what is sent there must not take the way over a proxy."""
    parts = _split(url or "")
    return parts is not None and parts.scheme == "http" and _is_loopback(parts)


def _is_loopback(parts: SplitResult | None) -> bool:
    host = (_host(parts) if parts else None) or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _without_credentials(text: str) -> str:
    scheme, separator, rest = text.strip().rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def time_range(
    start_date: object, end_date: object, days: int = HISTORY_DAYS
) -> tuple[datetime | None, datetime | None]:
    """The range of time that a user asks for.

    Returns:
        Start and end, UTC; without an end both may be None, with one the start is ``days`` before it if not given.

    Raises:
        SentryConfigurationError: One of them is not a moment, or the end is not after the start.
    """
    start, end = _moment("start_date", start_date), _moment("end_date", end_date)
    if end is None:
        return start, None
    start = start or end - timedelta(days=days)
    if start >= end:
        raise SentryConfigurationError(
            f"end_date {end:%Y-%m-%d %H:%M:%S} UTC is not after start_date {start:%Y-%m-%d %H:%M:%S} UTC. Give a "
            "later end or an earlier start."
        )
    return start, end


def _moment(name: str, value: object) -> datetime | None:
    if value in (None, ""):
        return None
    try:
        moment: datetime = ensure_pendulum_datetime(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise SentryConfigurationError(
            f"{name} {value!r} is not a moment. Write it as 2026-01-31 or 2026-01-31T12:00:00Z."
        ) from None
    plain = datetime.fromisoformat(moment.isoformat())  # pendulum's own lose their zone in arithmetic
    return plain.astimezone(UTC) if plain.tzinfo else plain.replace(tzinfo=UTC)
