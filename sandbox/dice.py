"""Choices that depend on a seed alone: the same seed and salt always give the same number."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")

_MASK = (1 << 64) - 1


def roll(seed: int, salt: int, sides: int) -> int:
    """A number from 0 to `sides` - 1."""
    mixed = ((seed ^ (salt * 0x9E3779B97F4A7C15)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 31)) * 0x94D049BB133111EB) & _MASK
    return (mixed >> 20) % sides


def pick(seed: int, salt: int, items: Sequence[Item]) -> Item:
    """One of several things."""
    return items[roll(seed, salt, len(items))]


def event_id(random: Random) -> str:
    """A client-made id: 32 lower-case hexadecimal digits, version 4."""
    text = f"{random.getrandbits(128):032x}"
    return f"{text[:12]}4{text[13:16]}a{text[17:]}"


_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def base32(number: int) -> str:
    """A number as short ids write it, such as 1AB."""
    digits = ""
    while number:
        number, rest = divmod(number, 32)
        digits = _BASE32[rest] + digits
    return digits or "0"
