"""Windows against sets of seconds: the arithmetic that decides what is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sentry.windows import Window, floor_seconds, sentry_time, still_missing, subtract, union

windows = st.builds(
    lambda start, length: Window(start, start + length), st.integers(0, 60), st.integers(0, 20)
)


def seconds(parts: list[Window]) -> set[int]:
    return {second for part in parts for second in range(part.start, part.end)}


@given(st.lists(windows))
def test_a_union_holds_the_same_seconds_in_windows_that_neither_meet_nor_are_empty(
    parts: list[Window],
) -> None:
    merged = union(parts)
    assert seconds(merged) == seconds(parts)
    assert all(window.seconds for window in merged)
    assert all(left.end < right.start for left, right in pairwise(merged))


@given(windows, st.lists(windows))
def test_subtracting_leaves_exactly_what_is_not_covered(wanted: Window, covered: list[Window]) -> None:
    assert seconds(subtract(wanted, covered)) == seconds([wanted]) - seconds(covered)


@given(windows, st.lists(windows), st.integers(0, 30))
def test_a_run_reads_what_is_missing_and_the_last_covered_seconds_again(
    wanted: Window, covered: list[Window], lookback: int
) -> None:
    known = seconds([wanted]) & seconds(covered)
    again = {second for second in known if second >= max(known) + 1 - lookback} if known else set()
    read = seconds(still_missing(wanted, covered, lookback))
    assert read >= (seconds([wanted]) - known) | again
    assert read <= seconds([wanted])
    if known:
        oldest_again = max(max(known) + 1 - lookback, wanted.start)
        assert read <= (seconds([wanted]) - known) | set(range(oldest_again, max(known) + 1))


@given(windows, windows)
def test_an_intersection_holds_the_common_seconds(left: Window, right: Window) -> None:
    assert seconds([left.intersect(right)]) == seconds([left]) & seconds([right])


def test_times_are_sent_naive_in_utc_and_in_whole_seconds() -> None:
    noon = datetime(2026, 8, 1, 14, 0, 0, 500_000, tzinfo=timezone(timedelta(hours=2)))
    window = Window.between(noon, noon + timedelta(seconds=1))
    assert window.parameters() == {"start": "2026-08-01T12:00:00", "end": "2026-08-01T12:00:02"}


def test_a_moment_belongs_to_the_second_it_lies_in() -> None:
    moment = datetime(2026, 8, 1, 12, 0, 0, 999_999, tzinfo=UTC)
    assert sentry_time(floor_seconds(moment)) == "2026-08-01T12:00:00"
    assert sentry_time(floor_seconds(datetime(1, 1, 1, tzinfo=UTC))) == "0001-01-01T00:00:00"
    assert floor_seconds(datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)) == -1
