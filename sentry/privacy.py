"""What of people and of secrets reaches the destination: the policy applied to rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

from .client import Row
from .errors import SentryConfigurationError
from .hashing import DROPPING, Hasher, Hashing, is_team
from .masks import KEEPING, REMOVED, Kind, Mask, Mode, fields, with_masked, without_environment
from .policy import POLICY, Fields, Shape
from .table import Table, column_name

SHORTEST_KEY = 16
"""Characters; a key that can be guessed makes hashes of e-mail addresses readable."""

LONGEST_KEY = 64
"""Bytes that BLAKE2b takes as a key."""


class Privacy:
    """Applies the policy to rows.

    Args:
        mode: ``keep``: only secrets go. ``hash``: personal values become keyed BLAKE2b hashes, the same person the
            same everywhere. ``drop``: they go too.
        key: The key of the hashes, 16 to 64 characters; needed to hash.

    Raises:
        SentryConfigurationError: There is no such mode, or the key is missing, too short or too long.
    """

    def __init__(self, mode: str = "keep", key: str | None = None) -> None:
        if mode not in get_args(Mode):
            raise SentryConfigurationError(f"personal_data is keep, hash or drop, not {mode!r}.")
        self.mode = mode
        self._hasher = Hasher(None if mode == "keep" else _checked(mode, key))
        hashing = Hashing(self._hasher).masks()
        self._masks = {"keep": KEEPING, "hash": hashing, "drop": DROPPING}[mode]
        self._masks_of_keys = KEEPING if mode == "keep" else hashing
        self._compiled: dict[str, Mask | None] = {}

    @property
    def mark(self) -> str:
        """By which two loads can be compared: the mode, and for hashes what tells their keys apart."""
        return self.mode if self.mode != "hash" else f"hash {self._hasher.text('')[:8]}"

    def __repr__(self) -> str:
        return f"Privacy({self.mode!r})"

    def applied(self, table: Table, row: Row) -> Row:
        """The row as it may be loaded.

        Args:
            table: Its table.
            row: With Sentry's names and those that this source adds; it stays as it is.

        Returns:
            The same row where nothing is personal, else another one.

        Raises:
            SentryConfigurationError: A personal value is part of the table's key, personal data are to be dropped,
                and there is no key to hash it with.
        """
        if table.name not in self._compiled:
            self._compiled[table.name] = self._compile(table)
        mask = self._compiled[table.name]
        if mask is None:
            return row
        masked: Row = mask(row, row)
        spelled = _spelled_otherwise(table, tuple(row))
        return with_masked(masked, self._masked_as(mask, row, spelled)) if spelled else masked

    def _masked_as(self, mask: Mask, row: Row, spelled: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
        for name, known in spelled.items():
            value = row[name]
            yield name, mask({**row, known: value}, row).get(known, REMOVED)

    def _compile(self, table: Table) -> Mask | None:
        root = _places(table)
        for name, node in root.children.items():
            node.is_key = column_name(name) in table.key
        return self._mask(root)

    def _mask(self, node: _Node) -> Mask | None:
        known = self._masks_of_keys if node.is_key else self._masks
        own = known[node.kind] if node.kind else None
        inside = _Inside(
            children={name: self._mask(child) for name, child in node.children.items()},
            types={name: self._mask(child) for name, child in node.types.items()},
            rest=self._mask(node.rest) if node.rest else None,
            leaf=own,
            first=without_environment if node.rest and node.rest.kind is Kind.EXTRA else None,
            may_be_team=node.may_be_team,
        )
        if not (node.children or node.types or node.rest):
            return own
        return inside.mask() if inside else None


def _checked(mode: str, key: str | None) -> str | None:
    """The key, if it is one; None where it is not needed.

    Raises:
        SentryConfigurationError: It is needed and missing, too short or too long.
    """
    if not key or key.startswith("<configure") or key.endswith("..."):  # a text left to be filled in
        if mode == "drop":
            return None
        raise SentryConfigurationError(
            'personal_data = "hash" needs a key. Put one into .dlt/secrets.toml as [sources.sentry] '
            f"personal_data_key, {SHORTEST_KEY} to {LONGEST_KEY} characters that nobody can guess, and keep it: "
            f"with another key all hashes change. This makes one: {_MAKES_KEY}"
        )
    if len(key) < SHORTEST_KEY or len(key.encode()) > LONGEST_KEY:
        raise SentryConfigurationError(
            f"personal_data_key has {len(key)} characters; it must have {SHORTEST_KEY} to {LONGEST_KEY}. "
            f"This makes one: {_MAKES_KEY}"
        )
    return key


_MAKES_KEY = 'python -c "import secrets; print(secrets.token_hex(32))"'


@lru_cache(10_000)
def _spelled_otherwise(table: Table, names: tuple[str, ...]) -> Mapping[str, str]:
    """Fields not named in the policy that become a column of it, or one beside it (``EMAIL`` and ``email_2``)."""
    named = _places(table).children
    known = {_letters(column_name(name)): name for name in named}
    columns = {column_name(name) for name in named}
    others = {name: column_name(name) for name in names if name not in named}
    return {
        name: known[letters]
        for name, column in others.items()
        if (letters := _letters(column)) in known and (column in columns or column not in table.column_types)
    }


def _places(table: Table) -> _Node:
    """The policy of a table, by places in a row."""
    root = _Node()
    root.add(POLICY.get(table.name, {}))
    return root


def _letters(column: str) -> str:
    """The letters that a column shares with one that means the same."""
    return re.sub(r"_\d+$|_", "", column)


class _Node:
    """A place in a row, while the policy of a table is compiled."""

    def __init__(self) -> None:
        self.kind: Kind | None = None
        self.children: dict[str, _Node] = {}
        self.types: dict[str, _Node] = {}
        self.rest: _Node | None = None
        self.may_be_team = False
        self.is_key = False

    def add(self, fields: Fields) -> None:
        """Take fields in, by their paths below this place."""
        for path, kind in fields.items():
            place = self._at(path)
            if isinstance(kind, Shape):
                place.may_be_team = kind.may_be_team
                place.add(kind.fields)
            else:
                place.kind = kind

    def _at(self, path: str) -> _Node:
        place = self
        for name, of_type in _STEP.findall(path):
            if name == "*":
                place.rest = place = place.rest or _Node()
                continue
            place = place.children.setdefault(name, _Node())
            if of_type:
                place = place.types.setdefault(of_type, _Node())
        return place


_STEP = re.compile(r"([^.\[\]]+)(?:\[([^\]]*)\])?")


@dataclass(frozen=True)
class _Inside:
    """What is done inside of an object, or of each object of a list.

    Attributes:
        children: Masks of fields by name.
        types: Masks of whole objects by their ``type``; ``*`` for the other ones.
        rest: The mask of all other fields.
        leaf: The mask of what is no object.
        first: What is done to the object before.
        may_be_team: Whether it stays if it is a team.
    """

    children: Mapping[str, Mask | None]
    types: Mapping[str, Mask | None]
    rest: Mask | None
    leaf: Mask | None
    first: Callable[[Row], Row] | None
    may_be_team: bool

    def __bool__(self) -> bool:
        masks_inside = (*self.children.values(), *self.types.values(), self.rest, self.leaf, self.first)
        return any(mask is not None for mask in masks_inside)

    def mask(self) -> Mask:
        """The mask of the whole."""
        within = self._all_fields if self.rest else self._some_fields
        active = [(name, mask) for name, mask in self.children.items() if mask]
        leaf = self.leaf or self.rest

        def masked(value: Any, siblings: Any) -> Any:
            if isinstance(value, dict):
                if self.may_be_team and is_team(None, value):
                    return value
                if self.types:
                    return self._by_type(value)
                return within(value, active)
            if isinstance(value, list):
                found = [masked(part, siblings) for part in value]
                return value if found == value else [part for part in found if part is not REMOVED]
            return leaf(value, siblings) if leaf and value is not None else value

        return masked

    def _by_type(self, value: Row) -> Any:
        named = value.get("type", "")
        mask = self.types.get(named if isinstance(named, str) else "", self.types.get("*"))
        return mask(value, value) if mask else value

    def _some_fields(self, value: Row, active: list[tuple[str, Mask]]) -> Row:
        changed = [
            (name, masked)
            for name, mask in active
            if (part := value.get(name)) is not None and (masked := mask(part, value)) is not part
        ]
        return with_masked(value, changed) if changed else value

    def _all_fields(self, value: Row, _: list[tuple[str, Mask]]) -> Row:
        def masked(part: Any, name: str) -> Any:
            mask = self.children.get(name, self.rest)
            return part if mask is None or part is None else mask(part, value)

        return fields(self.first(value) if self.first else value, masked)
