"""Random histories keep the promises of the source; histories in which it once broke them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.histories import DAY, ENVIRONMENT, Choice, Histories, Moment, Move

NOW = Moment("now", 0)


@pytest.fixture(autouse=True)
def small_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def history(small_loads: None) -> Iterator[Histories]:
    """A history that a test tells step by step; each run is checked, and one more at the end."""
    story = Histories()
    yield story
    story.teardown()


@pytest.mark.parametrize("number", range(4))
def test_after_each_run_of_a_random_history_the_destination_holds_what_was_promised(number: int) -> None:
    run_state_machine_as_test(
        seed(number)(type("Histories", (Histories,), {})),
        settings=settings(
            max_examples=10,
            stateful_step_count=8,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# Histories that once failed: what hypothesis prints, without ``state.``


def test_a_sweep_of_one_project_leaves_the_others_due(history: Histories) -> None:
    history.begin(server="newest", page=100, retention=90, tied=0)
    history.run(Choice())
    for pick in range(3):
        history.change(Move("resolve", pick, NOW, 1))
    history.time_passes(DAY)
    history.run(Choice(projects=(0,)))
    history.time_passes(60)
    history.run(Choice())


def test_a_repair_of_the_newest_hour_leaves_the_rest_of_the_look_back_to_be_read(history: Histories) -> None:
    history.begin(server="newest", page=100, retention=90, tied=0)
    history.run(Choice(lookback=DAY))
    history.time_passes(2 * DAY)
    history.arrive(Move("events", 0, Moment("cursor", -600), 1))
    history.repair(by_listing=True)
    history.arrive(Move("events", 0, Moment("cursor", -7200), 1))
    history.run(Choice(lookback=DAY))


# More of them go here
