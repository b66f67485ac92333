"""The short forms of `python -m tests.chaos.backpressure`: a Redis ten times slower, and twice the capacity."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.backpressure import Pressure, run_flood, run_slow

pytestmark = [pytest.mark.servers, pytest.mark.alone]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pressure]:
    """One for both: the second finds warm workers."""
    with Pressure(tmp_path_factory.mktemp("pressure")) as made:
        yield made


def test_a_redis_that_is_ten_times_slower_only_slows_things(trial: Pressure) -> None:
    found = run_slow(trial, backlog=40_000)
    print(found)
    assert not trial.failures, "\n".join(trial.failures)


def test_twice_the_capacity_grows_the_lag_and_no_memory(trial: Pressure) -> None:
    """Large messages, so that a few seconds are more than any queue may hold."""
    found = run_flood(trial, seconds=12.0, delay_s=0.05, pad=6_000, backlog=12_000, every_s=0.5)
    print(found)
    assert not trial.failures, "\n".join(trial.failures)
