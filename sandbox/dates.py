"""Times in parameters and answers, read and written as Sentry does."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from .errors import bad_request
from .params import Params

DAY = 86_400
DEFAULT_WINDOW = 90 * DAY

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": DAY, "w": 7 * DAY}
_PERIOD = re.compile(r"(\d+)([smhdw])")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?|\d{4}-\d\d-\d\d")
_EPOCH = re.compile(r"\d+(\.\d+)?")


class Window(NamedTuple):
    """A half-open interval in whole unix seconds."""

    start: int
    end: int


@lru_cache(maxsize=65_536)
def stamp(at: int, millis: int = 0) -> str:
    """A time in Sentry's form: the fraction only when there is one."""
    text = datetime.fromtimestamp(at, UTC).isoformat()[:19]
    return f"{text}.{millis:03d}Z" if millis else f"{text}Z"


def http_date(now: datetime) -> str:
    """A time for the `Date` header."""
    return now.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


def seconds(moment: datetime | float | None, default: int) -> int:
    """Whole unix seconds of a moment given by a caller; naive means UTC."""
    if moment is None:
        return default
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(aware.timestamp())
    return int(moment)


def parse_moment(text: str) -> float:
    """Unix seconds of a date parameter: ISO with or without zone (naive is UTC), or unix seconds.

    Raises:
        ApiError: 400, when it is neither. An unencoded `+` of a zone arrives as a blank and ends here.
    """
    if _EPOCH.fullmatch(text):
        return float(text)
    if not _DATE.fullmatch(text):
        raise bad_request(f"{text} is not a valid ISO8601 date query")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(f"{text} is not a valid ISO8601 date query") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_period(text: str) -> int | None:
    """Seconds of a period such as `14d`, or None when it is none."""
    match = _PERIOD.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] if match else None


def requested_window(params: Params, now: datetime) -> Window | None:
    """The window that `statsPeriod`, or `start` with `end`, asks for; None when none is asked for.

    `statsPeriod` wins, and moves with the clock. Both ends are cut to whole seconds, as the columns
    they are compared with are.

    Raises:
        ApiError: 400, for half a window, one that ends before it starts, and unreadable values.
    """
    period = params.get("statsPeriod")
    if period is not None:
        length = parse_period(period)
        if length is None:
            raise bad_request(f"Invalid statsPeriod: {period!r}")
        end = now.timestamp()
        return Window(int(end - length), int(end))
    start_text, end_text = params.get("start"), params.get("end")
    if not start_text and not end_text:
        return None
    if not start_text or not end_text:
        raise bad_request("start and end are both required")
    start, end = parse_moment(start_text), parse_moment(end_text)
    if start >= end:
        raise bad_request("start must be before end")
    return Window(int(start), int(end))


def default_window(now: datetime) -> Window:
    """The window of issue lists when none is asked for: 90 days up to now."""
    end = int(now.timestamp())
    return Window(end - DEFAULT_WINDOW, end)
