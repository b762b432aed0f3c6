"""What is done to a value by its kind, and what of that is done in every mode: credentials never get through.

A mask takes a value and the object that it stands in, and gives what is loaded instead. Values are not changed in
place: answers of the server are shared between tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal

from .names import HARMLESS_HEADERS, is_credential, is_environment, words

Mode = Literal["keep", "hash", "drop"]

Mask = Callable[[Any, Any], Any]
"""Takes a value and the object that it stands in (or its name there); gives what is loaded, or ``REMOVED``."""

REMOVED: Final = object()
"""In place of a value: the field goes."""


class Kind(Enum):
    """What a field is, as the documentation calls it."""

    ID = "user id"
    EMAIL = "e-mail"
    NAME = "name"
    IP = "IP address"
    TEXT = "free text"
    WHOLE = "content"
    BODY = "request body"
    ADDRESS = "URL"
    PARAMETERS = "URL parameters"
    HEADERS = "HTTP headers"
    FACTS = "facts"
    EXTRA = "extra data"
    OWNER_ID = "id of a user or team"
    TAG_VALUE = "value of a tag"
    USER_TAG = "value of the tag user"
    TAGS = "tags"
    TOP_VALUES = "values of a tag"
    SEARCH = "search"
    REMARKS = "remarks"
    CREDENTIAL = "credential"
    HARMLESS = "not personal"


def is_empty(value: Any) -> bool:
    """Whether there is nothing in it to hide."""
    return value is None or value in ("", [], {})


def same(value: Any, _: Any) -> Any:
    """The mask that leaves all as it is."""
    return value


def removed(_value: Any, _: Any) -> Any:
    """The mask that removes all."""
    return REMOVED


# Forms: how masks get at values inside of others.


def fields(value: dict[str, Any], mask: Mask) -> dict[str, Any]:
    """An object with its fields masked, the same object where nothing had to be; the mask gets their names."""
    changed = [(name, masked) for name, part in value.items() if (masked := mask(part, name)) is not part]
    return with_masked(value, changed) if changed else value


def with_masked(value: dict[str, Any], changed: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object with some of its fields as they are masked."""
    found = dict(value)
    for name, masked in changed:
        if masked is REMOVED:
            del found[name]
        else:
            found[name] = masked
    return found


def pairs(value: Any, mask: Mask, otherwise: Mask) -> Any:
    """An object, or a list of names with values, without credentials and with the other values masked.

    Args:
        value: Headers, parameters or fields of a form, in one of the forms that SDKs give them.
        mask: Gets the names.
        otherwise: For what has neither form.
    """
    named = _named(value)
    if named is None:
        return otherwise(value, None)
    found = ((name, mask(part, name)) for name, part in named if not is_credential(name))
    kept = [(name, part) for name, part in found if part is not REMOVED]
    return dict(kept) if isinstance(value, dict) else [list(pair) for pair in kept]


def _named(value: Any) -> Iterator[tuple[str, Any]] | None:
    if isinstance(value, dict):
        return iter(value.items())
    if isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in value
    ):
        return ((name, part) for name, part in value)
    return None


def tags(value: Any, mask: Mask) -> Any:
    """Tags, in each of the forms that Sentry gives them; the mask gets the key. A tag's key stays without value."""
    if isinstance(value, dict):
        return fields(value, mask)
    if isinstance(value, list):
        return [tags(tag, mask) if isinstance(tag, list) else _tag(tag, mask) for tag in value]
    return value


def _tag(tag: Any, mask: Mask) -> Any:
    if not isinstance(tag, dict):
        return tag
    value = tag.get("value")
    masked = mask(value, key_of(tag))
    if masked is value:
        return tag
    rest = {name: part for name, part in tag.items() if name in ("key", "name")}
    return {**rest, "value": None if masked is REMOVED else masked}


def tag_items(value: Any, key: str, mask: Mask) -> Any:
    """The listed values of one tag, without what Sentry tells beside a value of the tag ``user``."""
    if not isinstance(value, list):
        return value
    return [_tag_item(item, key, mask) if isinstance(item, dict) else mask(item, key) for item in value]


def _tag_item(item: Mapping[str, Any], key: str, mask: Mask) -> Any:
    kept = {name: part for name, part in item.items() if name not in _ABOUT_USER}
    return fields(kept, lambda part, name: mask(part, key) if name in ("value", "name") else part)


_ABOUT_USER = frozenset(
    {"id", "identifier", "username", "email", "ipAddress", "ip_address", "avatarUrl", "tagValue", "query"}
)


def key_of(tag: Mapping[str, Any]) -> str:
    """The key of the tag whose value stands in an object."""
    found = tag.get("tag_key") or tag.get("key") or tag.get("attribute") or ""
    return found if isinstance(found, str) else ""


def remarks(value: Any, mask: Callable[[Any], Any], *, among: frozenset[str] | None = None) -> Any:
    """Sentry's remarks on an event (``_meta``), in which ``val`` is what the client had sent.

    Args:
        value: The remarks; they are nested as the event is.
        mask: What is done to each ``val``.
        among: Only below fields with these names.
    """
    if isinstance(value, list):
        return [remarks(part, mask, among=among) for part in value]
    if not isinstance(value, dict):
        return value

    def masked(part: Any, name: Any) -> Any:
        if name == "val" and among is None:
            return mask(part)
        return remarks(part, mask, among=None if among and name in among else among)

    return fields(value, masked)


# What goes in every mode.


def without_credentials(address: Any, _: Any = None) -> Any:
    """A URL without user name, password and the parameters that carry credentials."""
    if isinstance(address, list):
        return [without_credentials(part) for part in address]
    if not _may_hold_credentials(address):
        return address
    rest, _sharp, fragment = re.sub(r"(?<=//)[^/?#\s]*@", "", address).partition("#")
    base, _mark, query = rest.partition("?")
    query = without_credential_parameters(query)
    fragment = without_credentials(fragment) if "?" in fragment else without_credential_parameters(fragment)
    return base + (f"?{query}" if query else "") + (f"#{fragment}" if fragment else "")


def without_credential_parameters(query: str) -> str:
    """A query such as ``page=2&token=abc`` without the parameters that carry credentials."""
    parts = query.split("&")
    return "&".join(part for part in parts if "=" not in part or not is_credential(part.partition("=")[0]))


def without_environment(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object without environment and command line, at the top and one level below."""
    return {
        name: {inner: leaf for inner, leaf in part.items() if not is_environment(inner)}
        if isinstance(part, dict)
        else part
        for name, part in value.items()
        if not is_environment(name)
    }


def parameters(value: Any, _: Any) -> Any:
    """The query of a request without credentials."""
    return without_credential_parameters(value) if isinstance(value, str) else pairs(value, same, same)


def fact(value: Any, name: str) -> Any:
    """A field of the data of a breadcrumb or span, without credentials."""
    return _fact_mask(name)(value, name)


@lru_cache(10_000)
def _fact_mask(name: str) -> Mask:
    last = words(name)[-1]
    if last == "headers":
        return _headers
    if is_credential(name) or is_environment(name):
        return removed
    return _query if last in ("query", "string", "fragment") else _maybe_address


def _query(value: Any, _: Any) -> Any:
    return without_credential_parameters(value.lstrip("?#")) if isinstance(value, str) else value


def _maybe_address(value: Any, _: Any) -> Any:
    return without_credentials(value) if isinstance(value, str) else value


def _header(value: Any, name: str) -> Any:
    return value if name.lower() in HARMLESS_HEADERS else without_credentials(value)


def _headers(value: Any, _: Any) -> Any:
    return pairs(value, _header, same)


def _body(value: Any, _: Any) -> Any:
    """Of a form, fields that carry credentials go; JSON that came as text stays as it is."""
    if isinstance(value, str):
        return without_credential_parameters(value) if _FORM.match(value) else value
    return pairs(value, same, same)


_FORM = re.compile(r"[\w.%+\[\]-]+=[^\s{]*$")


def _facts(value: Any, _: Any) -> Any:
    """Most breadcrumbs hold nothing that goes, and an event has many of them: a quick look tells."""
    if not isinstance(value, dict):
        return value
    if _may_go(tuple(value)) or any(map(_may_hold_credentials, value.values())):
        return fields(value, fact)
    return value


@lru_cache(10_000)
def _may_go(names: tuple[str, ...]) -> bool:
    """Whether one of these fields is more than an address at the most."""
    return any(_fact_mask(name) is not _maybe_address for name in names)


def _may_hold_credentials(value: Any) -> bool:
    """Whether a text may be an address with credentials."""
    return isinstance(value, str) and ("=" in value or "@" in value)


def _extra(value: Any, _: Any) -> Any:
    return without_environment(value) if isinstance(value, dict) else value


def _tags(value: Any, _: Any) -> Any:
    """Tags without the credentials of addresses; hardly any has some."""
    if isinstance(value, list) and not any(map(_is_odd_tag, value)):
        return value
    return tags(value, _tag_value)


def _is_odd_tag(tag: Any) -> bool:
    """Whether it may be that something of a tag goes; its value tells that quickest."""
    return type(tag) is not dict or (_may_hold_credentials(tag.get("value")) and "url" in words(key_of(tag)))


def _tag_value(value: Any, key: str) -> Any:
    return without_credentials(value) if "url" in words(key) else value


def _remarks(value: Any, _: Any) -> Any:
    return remarks(value, lambda _original: REMOVED, among=_SECRET_PARTS)


_SECRET_PARTS = frozenset({"cookies", "headers", "env"})

KEEPING: Mapping[Kind, Mask | None] = MappingProxyType(
    {
        **dict.fromkeys(Kind),
        Kind.CREDENTIAL: removed,
        Kind.ADDRESS: without_credentials,
        Kind.PARAMETERS: parameters,
        Kind.HEADERS: _headers,
        Kind.BODY: _body,
        Kind.FACTS: _facts,
        Kind.EXTRA: _extra,
        Kind.TAGS: _tags,
        Kind.TAG_VALUE: lambda value, siblings: _tag_value(value, key_of(siblings)),
        Kind.REMARKS: _remarks,
    }
)
"""What is done to each kind where personal data are kept; None: nothing."""
