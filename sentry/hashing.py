"""What is done to personal values where they are not kept: a keyed hash in their place, or nothing."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import orjson

from .errors import SentryConfigurationError
from .masks import (
    REMOVED,
    Kind,
    Mask,
    fact,
    fields,
    is_empty,
    key_of,
    pairs,
    parameters,
    remarks,
    removed,
    tag_items,
    tags,
    without_credentials,
)
from .names import HARMLESS_FACTS, HARMLESS_HEADERS, is_environment, is_personal_tag, words

DIGEST_BYTES = 16

NO_KEY_TO_DROP = (
    "The values that tell the rows of this table apart are personal, so they cannot be dropped, but are hashed. "
    'With personal_data = "drop" the tables project_users, tag_values and issue_tag_values need personal_data_key '
    "in .dlt/secrets.toml under [sources.sentry]. Set it, or leave these tables out."
)


class Hasher:
    """Hashes values with a key, so that nobody without it can find out whose they are.

    See https://www.rfc-editor.org/rfc/rfc7693.

    Args:
        key: The key; None: there is none, so hashing is an error.
    """

    def __init__(self, key: str | None) -> None:
        self._keyed = hashlib.blake2b(key=key.encode(), digest_size=DIGEST_BYTES) if key else None

    def text(self, text: str) -> str:
        """The hash of a text as it stands, in hex.

        Raises:
            SentryConfigurationError: There is no key.
        """
        if self._keyed is None:
            raise SentryConfigurationError(NO_KEY_TO_DROP)
        keyed = self._keyed.copy()
        keyed.update(text.encode("utf-8", "surrogatepass"))
        return keyed.hexdigest()

    def exact(self, value: Any) -> str:
        """The hash of a value; blanks around it do not count, nor does the case where it is an e-mail address."""
        text = _plain(value).strip()
        return self.text(text.lower() if "@" in text else text)

    def folded(self, value: Any) -> str:
        """The hash of a name: neither blanks around it count nor its case."""
        return self.text(_plain(value).strip().lower())


class Hashing:
    """The masks that put hashes in place of values.

    Args:
        hasher: Makes the hashes.
    """

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher

    def masks(self) -> Mapping[Kind, Mask | None]:
        """The mask of each kind; None: values stay."""
        return {
            **dict.fromkeys(Kind, self._text),
            Kind.HARMLESS: None,
            Kind.CREDENTIAL: removed,
            Kind.NAME: self._name,
            Kind.EMAIL: self._name,
            Kind.IP: self._name,
            Kind.WHOLE: self._whole,
            Kind.BODY: self._whole,
            Kind.PARAMETERS: self._parameters,
            Kind.ADDRESS: lambda value, _: self._text(without_credentials(value), _),
            Kind.HEADERS: lambda value, _: pairs(value, self._header, self._text),
            Kind.FACTS: self._facts,
            Kind.EXTRA: self._extra,
            Kind.OWNER_ID: self._owner_id,
            Kind.TAGS: lambda value, _: tags(value, self._tag),
            Kind.TAG_VALUE: lambda value, siblings: self._tag(value, key_of(siblings)),
            Kind.USER_TAG: lambda value, _: self._tag(value, "user"),
            Kind.TOP_VALUES: self._top_values,
            Kind.SEARCH: self._search,
            Kind.REMARKS: lambda value, _: remarks(value, lambda original: self._whole(original, None)),
        }

    def _text(self, value: Any, _: Any) -> Any:
        return (
            self._hasher.exact(value) if type(value) is str and value else _leaves(value, self._hasher.exact)
        )

    def _name(self, value: Any, _: Any) -> Any:
        return _leaves(value, self._hasher.folded)

    def _whole(self, value: Any, _: Any) -> Any:
        if is_empty(value):
            return value
        return self._hasher.text(_canonical(value) if isinstance(value, (dict, list)) else _plain(value))

    def _parameters(self, value: Any, _: Any) -> Any:
        if isinstance(value, str):
            return self._text(parameters(value, None), None)
        return pairs(value, self._text, self._text)

    def _header(self, value: Any, name: str) -> Any:
        return value if name.lower() in HARMLESS_HEADERS else self._text(value, None)

    def _facts(self, value: Any, _: Any) -> Any:
        return fields(value, self._fact) if isinstance(value, dict) else self._text(value, None)

    def _fact(self, value: Any, name: str) -> Any:
        if _is_harmless_fact(value, name):
            return value
        kept = fact(value, name)
        return kept if kept is REMOVED else self._text(kept, None)

    def _extra(self, value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            return self._text(value, None)
        return {name: self._extra(part, None) for name, part in value.items() if not is_environment(name)}

    def _owner_id(self, value: Any, siblings: Any) -> Any:
        if is_team(value, siblings):
            return value
        if isinstance(value, str) and value.startswith("user:"):
            return f"user:{self._hasher.exact(value.removeprefix('user:'))}"
        return self._text(value, None)

    def _tag(self, value: Any, key: str) -> Any:
        if not is_personal_tag(key):
            return value
        return _leaves(value, lambda leaf: self._of_tag(key, leaf))

    def _of_tag(self, key: str, value: Any) -> str:
        """The same hash as that of the field that the tag repeats; ``id:7`` keeps its first half."""
        text, parts = _plain(value), words(key)
        of_user = _USER_TAG.fullmatch(text) if parts[-1] == "user" else None
        if of_user:
            kind, own = of_user.groups()
            return f"{kind}:{self._hasher.exact(own) if kind == 'id' else self._hasher.folded(own)}"
        return self._hasher.exact(text) if _FOLDED_WORDS.isdisjoint(parts) else self._hasher.folded(text)

    def _top_values(self, value: Any, siblings: Any) -> Any:
        key = key_of(siblings)
        return tag_items(value, key, self._tag) if is_personal_tag(key) else value

    def _search(self, value: Any, _: Any) -> Any:
        return _searched(value, self._of_tag, self._hasher.folded)


_USER_TAG = re.compile(r"(id|email|username|ip):(.+)", re.DOTALL)

_FOLDED_WORDS = frozenset(
    {"username", "name", "login", "email", "mail", "ip", "ipaddress", "firstname", "lastname", "fullname"}
)


def _plain(value: Any) -> str:
    """A value as text: numbers as they are written, and as JSON writes true and false."""
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, bool) else str(value)


def _leaves(value: Any, hashed: Callable[[Any], str]) -> Any:
    """The value with its leaves hashed; names of fields stay, and so does what is empty."""
    if value is None or value == "":
        return value
    if isinstance(value, dict):
        return {name: _leaves(part, hashed) for name, part in value.items()}
    if isinstance(value, list):
        return [_leaves(part, hashed) for part in value]
    return hashed(value)


def _canonical(value: Any) -> str:
    """The same text for equal content."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # whole numbers beyond 64 bits, halves of surrogate pairs
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def is_team(value: Any, siblings: Any) -> bool:
    """Whether an owner is a team: by the value itself (``team:7``), or by what stands beside it."""
    if isinstance(value, str) and value.lower().startswith(("team:", "#")):
        return True
    kinds = [siblings.get(name) for name in _OWNER_TYPES] if isinstance(siblings, dict) else []
    return any(isinstance(kind, str) and kind.lower() == "team" for kind in kinds)


_OWNER_TYPES = ("type", "assigned_to_type", "assigneeType", "targetType", "target_type")


def _is_harmless_fact(value: Any, name: str) -> bool:
    return name in HARMLESS_FACTS and not isinstance(value, (dict, list))


_TERM = re.compile(r'(?<![\w.-])!?([\w.-]+):(\[[^\]]*\]|"(?:[^"\\]|\\.)*"|[^\s()]+)')

_NO_ADDRESS = r"\s@\"'<>,;:()\[\]"

_EMAIL = re.compile(rf"(?<![^{_NO_ADDRESS}])[^{_NO_ADDRESS}]+@[^{_NO_ADDRESS}]+\.[^{_NO_ADDRESS}]+")


def _searched(value: Any, term: Callable[[str, str], str], email: Callable[[str], str]) -> Any:
    """A search with other values in its personal terms, or without these; and so for e-mail addresses anywhere.

    Args:
        value: A search as people write it, or an object with some in it.
        term: Gives the other value of a term by its key and its value; empty: the term goes.
        email: Gives what stands in place of an e-mail address.
    """
    if isinstance(value, dict):
        return {name: _searched(part, term, email) for name, part in value.items()}
    if isinstance(value, list):
        return [_searched(part, term, email) for part in value]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        key, found = match.groups()
        if not is_personal_tag(key):
            return match.group()
        instead = term(key, found.strip('"'))
        return match.group().removesuffix(found) + f'"{instead}"' if instead else ""

    return _EMAIL.sub(lambda match: email(match.group()), _TERM.sub(replaced, value)).strip()


def _dropped_facts(value: Any, _: Any) -> Any:
    return fields(value, _dropped_fact) if isinstance(value, dict) else REMOVED


def _dropped_fact(value: Any, name: str) -> Any:
    return value if _is_harmless_fact(value, name) else REMOVED


def _dropped_header(value: Any, name: str) -> Any:
    return value if name.lower() in HARMLESS_HEADERS else REMOVED


def _dropped_owner_id(value: Any, siblings: Any) -> Any:
    return value if is_team(value, siblings) else REMOVED


def _dropped_tag(value: Any, key: str) -> Any:
    return REMOVED if is_personal_tag(key) and not is_empty(value) else value


def _dropped_top_values(value: Any, siblings: Any) -> Any:
    return REMOVED if is_personal_tag(key_of(siblings)) else value


def _dropped_search(value: Any, _: Any) -> Any:
    return _searched(value, lambda _key, _value: "", lambda _address: "")


DROPPING: Mapping[Kind, Mask | None] = MappingProxyType(
    {
        **dict.fromkeys(Kind, removed),
        Kind.HARMLESS: None,
        Kind.HEADERS: lambda value, _: pairs(value, _dropped_header, removed),
        Kind.FACTS: _dropped_facts,
        Kind.OWNER_ID: _dropped_owner_id,
        Kind.TAGS: lambda value, _: tags(value, _dropped_tag),
        Kind.TAG_VALUE: lambda value, siblings: _dropped_tag(value, key_of(siblings)),
        Kind.TOP_VALUES: _dropped_top_values,
        Kind.SEARCH: _dropped_search,
        Kind.REMARKS: lambda value, _: remarks(value, lambda _original: REMOVED),
    }
)
"""What is done to each kind where personal data are dropped; None: nothing."""
