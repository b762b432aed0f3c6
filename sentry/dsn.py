"""Where events are sent to and with which key: a DSN, taken apart.

See https://develop.sentry.dev/sdk/foundations/transport/authentication/.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

import dlt
import requests
from requests.auth import AuthBase

from .config import normalize_base_url
from .errors import SentryConfigurationError

DSN_SETTING = "destination.sentry_events.dsn"
DSN_VARIABLE = "SENTRY_DSN"

CLIENT = "dlt-sentry/1.0"
"""What the relay is told of the sender; it shows it as the SDK of events that name none."""

_KEY = re.compile(r"[\w.-]+", re.ASCII)
_PROJECT = re.compile(r"[0-9]+")
_FORM = "A DSN reads https://<public key>@<host>/<project id>; Sentry shows it under Settings > Client Keys (DSN)."


@dataclass(frozen=True)
class Dsn:
    """A DSN; its keys stay out of ``repr``.

    Attributes:
        address: Scheme, host, port and path prefix, without a slash at the end.
        project_id: The project's number.
        public_key: Allows to send.
        secret_key: Only DSNs made before 2018 carry one.
    """

    address: str
    project_id: str
    public_key: str = field(repr=False)
    secret_key: str | None = field(default=None, repr=False)

    @property
    def envelope_url(self) -> str:
        """Where envelopes go."""
        return f"{self.address}/api/{self.project_id}/envelope/"

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.address).netloc

    def scrub(self, text: str) -> str:
        """A text without the keys: what a server says of a refusal may repeat them."""
        for key in (self.public_key, self.secret_key):
            text = text.replace(key, "[key]") if key else text
        return text


class HiddenText(str):
    """A text whose ``repr`` does not tell it: dlt shows a destination with all its settings."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[hidden]'"


class DsnAuth(AuthBase):
    """Sends the key in ``X-Sentry-Auth`` and nowhere else: a relay refuses two forms at once.

    Being an authentication of its own, it also keeps requests from adding one of the user's ``.netrc``.
    """

    def __init__(self, dsn: Dsn, version: int) -> None:
        parts = {"sentry_version": version, "sentry_client": CLIENT, "sentry_key": dsn.public_key}
        if dsn.secret_key:
            parts["sentry_secret"] = dsn.secret_key
        self._header = "Sentry " + ", ".join(f"{name}={value}" for name, value in parts.items())

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["X-Sentry-Auth"] = self._header
        return request


def find_dsn(given: str | None, *, allow_insecure: bool = False) -> Dsn:
    """The DSN to send to: the one given, else that of dlt's configuration, else ``SENTRY_DSN``.

    Raises:
        SentryConfigurationError: There is none, or it is not usable.
    """
    text = str(given or dlt.secrets.get(DSN_SETTING) or os.environ.get(DSN_VARIABLE) or "").strip()
    if not text or text.startswith("<configure"):  # a text left to be filled in
        raise SentryConfigurationError(
            "No DSN to send events to. Put it into .dlt/secrets.toml as [destination.sentry_events] dsn, or set "
            f"{DSN_VARIABLE}. {_FORM}"
        )
    return parse_dsn(text, allow_insecure=allow_insecure)


def parse_dsn(text: str, *, allow_insecure: bool = False) -> Dsn:
    """Take a DSN apart: ``{scheme}://{public_key}[:{secret_key}]@{host}[:{port}][/{path}]/{project_id}``.

    Args:
        text: The DSN; a path prefix, an IPv6 address and the secret key of old ones are understood.
        allow_insecure: Accept plain http for hosts other than loopback.

    Raises:
        SentryConfigurationError: It is none, or it would send its key unencrypted. No message holds a key.
    """
    parts = _split(text.strip())
    prefix, _, project_id = parts.path.rstrip("/").rpartition("/")
    keys = [parts.username or "", *([parts.password] if parts.password else [])]
    _check(parts.scheme in ("http", "https"), "does not begin with https:// or http://")
    _check(bool(parts.hostname), "names no host")
    _check(bool(parts.username), "has no public key before its host")
    _check(all(map(_KEY.fullmatch, keys)), "has a key with letters that no key has")
    _check(bool(_PROJECT.fullmatch(project_id)), "does not end in the number of a project")
    _check(not (parts.query or parts.fragment), "goes on behind the number of its project")
    netloc = parts.netloc.rpartition("@")[2].lower()
    try:
        normalize_base_url(f"{parts.scheme}://{netloc}", allow_insecure=allow_insecure)
    except SentryConfigurationError:
        raise SentryConfigurationError(
            f"The DSN would send its key and all events unencrypted to {netloc}. Use https, or set "
            "allow_insecure = true if that network is yours."
        ) from None
    return Dsn(f"{parts.scheme}://{netloc}{prefix}", project_id, parts.username or "", parts.password or None)


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _check(parts.port != 0, "names a port that is none")
    except ValueError:
        raise SentryConfigurationError(f"The DSN has a host or a port that is none. {_FORM}") from None
    return parts


def _check(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - the condition of a check, not a switch
    if not holds:
        raise SentryConfigurationError(f"The DSN {otherwise}. {_FORM}")
