"""What the name of a field, tag, header or parameter says of its value: personal, a credential, an environment."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from urllib.parse import unquote_plus

_MOST_NAMES = 10_000
"""Names are looked at once each; there are far fewer of them than values."""

# fmt: off
PERSONAL_WORDS = frozenset({
    "account", "address", "apikey", "auth", "authorization", "city", "contact", "cookie", "customer",
    "email", "firstname", "fullname", "geo", "host", "hostname", "idfa", "imei", "ip", "ipaddress",
    "lastname", "login", "mail", "mobile", "nickname", "password", "person", "phone", "referer",
    "referrer", "secret", "serial", "session", "sid", "surname", "token", "transaction", "uri", "url",
    "user", "userid", "username", "users",
})
"""The values of a tag are personal if one of these is a word of its key..."""

PERSONAL_PAIRS = frozenset({
    ("first", "name"), ("last", "name"), ("full", "name"), ("display", "name"), ("server", "name"),
    ("device", "name"), ("device", "id"), ("e", "mail"), ("api", "key"),
})
"""...or these two, one after the other..."""

PERSONAL_KEYS = frozenset({("name",), ("device",)})
"""...or if it is just this."""

_CREDENTIAL_WORDS = frozenset({
    "accesstoken", "apikey", "assertion", "auth", "authenticate", "authentication", "authorization",
    "bearer", "clientsecret", "cookie", "cookie2", "cookies", "credential", "credentials", "csrf",
    "csrfmiddlewaretoken", "csrftoken", "idtoken", "jsessionid", "jwt", "otp", "pass", "passphrase",
    "passwd", "password", "phpsessid", "pwd", "refreshtoken", "samlrequest", "samlresponse", "secret",
    "secrets", "session", "sessionid", "sid", "sig", "signature", "token", "tokens", "totp", "xsrf",
})

_CREDENTIAL_NAMES = frozenset({("key",), ("code",), ("state",), ("x", "forwarded", "client", "cert")})

_ENVIRONMENT_NAMES = frozenset({
    "argv", "commandline", "env", "environ", "environmentvariables", "environs", "envs", "envvar",
    "envvars", "osenv", "osenviron", "processargv", "processcommand", "processcommandargs",
    "processcommandline", "processenv", "processenviron", "processenvironment", "sysargv",
})

HARMLESS_HEADERS = frozenset({
    "accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-encoding",
    "content-length", "content-type", "date", "dnt", "expect", "host", "pragma", "te",
    "transfer-encoding", "upgrade", "upgrade-insecure-requests", "vary",
})
"""Headers that stay in every mode."""

HARMLESS_FACTS = frozenset({
    "category", "duration", "http.method", "http.request.method", "http.response.status_code",
    "http.status_code", "http.version", "level", "method", "op", "protocol", "reason",
    "request_body_size", "response_body_size", "status", "status_code", "type",
})
"""What stays in every mode of the data of a breadcrumb or span."""
# fmt: on


@lru_cache(_MOST_NAMES)
def words(name: str) -> tuple[str, ...]:
    """The words of a name, in small letters: ``userId``, ``user.id`` and ``User-ID`` are user and id."""
    return tuple(re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()))


@lru_cache(_MOST_NAMES)
def is_personal_tag(key: str) -> bool:
    """Whether the values of a tag are personal, by its key."""
    parts = words(key)
    return (
        not PERSONAL_WORDS.isdisjoint(parts)
        or not PERSONAL_PAIRS.isdisjoint(pairwise(parts))
        or parts in PERSONAL_KEYS
    )


@lru_cache(_MOST_NAMES)
def is_credential(name: str) -> bool:
    """Whether a header or a parameter of that name carries a credential."""
    parts = words(unquote_plus(name).strip())
    return (
        not _CREDENTIAL_WORDS.isdisjoint(parts)
        or (len(parts) > 1 and parts[-1] == "key")
        or parts in _CREDENTIAL_NAMES
    )


@lru_cache(_MOST_NAMES)
def is_environment(name: str) -> bool:
    """Whether a field of that name is the environment or the command line of a program."""
    return "".join(words(name)) in _ENVIRONMENT_NAMES
