"""How old is what was reached, and how a partition stands: by clocks that the test turns."""

from __future__ import annotations

from state.keys import Offset, Partition
from workers.lag import OUTSTANDING, Lag
from workers.standing import Standing


def test_nothing_is_behind_at_the_end():
    lag = Lag(100.0)
    lag.asked({0: 10, 1: 5}, 101.0)
    assert lag.seconds({0: 10, 1: 5}, 150.0) == 0
    assert lag.messages({0: 10, 1: 5}) == 0


def test_whoever_keeps_up_is_as_old_as_the_last_question():
    """Always some messages behind the end, and never far: the age stays between two questions."""
    lag = Lag(0.0)
    for second in range(1, 200):
        lag.asked({0: second * 1000}, float(second))
        age = lag.seconds({0: second * 1000 - 10}, second + 0.5)
        assert age <= 1.5
        assert lag.messages({0: second * 1000 - 10}) == 10


def test_whoever_stands_still_grows_older():
    lag = Lag(0.0)
    lag.asked({0: 10}, 1.0)
    assert lag.seconds({0: 10}, 2.0) == 0
    for second in range(2, 1000):
        lag.asked({0: 10 + second}, float(second))
        assert lag.seconds({0: 10}, float(second)) == second - 1
    # More were asked than are remembered: catching up in part may say too much, never too little.
    assert lag.seconds({0: 10 + 500}, 1000.0) >= 500
    assert lag.seconds({0: 10 + 999 - OUTSTANDING // 2}, 1000.0) <= OUTSTANDING
    assert lag.seconds({0: 1009}, 1000.0) == 0


def test_an_end_that_is_taken_back_is_no_age():
    """Behind the last message stood a marker only."""
    lag = Lag(0.0)
    lag.asked({0: 11}, 1.0)
    assert lag.seconds({0: 10}, 3.0) == 3
    lag.asked({0: 10}, 3.0)
    assert lag.seconds({0: 10}, 60.0) == 0


def test_a_partition_gets_on_by_a_flush_or_by_having_nothing_to_do():
    now = [1000.0]
    standing = Standing(Partition(3), Offset(10), None, {}, 1, wall=lambda: now[0])
    assert (standing.progress(), standing.messages(), standing.seconds(), standing.end) == (1000.0, None, None, None)
    now[0] = 1002.0
    standing.asked(10, 1002.0)
    assert (standing.progress(), standing.messages(), standing.seconds()) == (1002.0, 0, 0.0)
    now[0] = 1004.0
    standing.asked(14, 1004.0)
    now[0] = 1030.0
    standing.asked(14, 1030.0)
    assert (standing.progress(), standing.messages(), standing.seconds()) == (1002.0, 4, 28.0), "stuck"
    standing.moved(Offset(14), 5_000_000, {"accepted": 3, "rejected:malformed": 1})
    assert (standing.progress(), standing.messages(), standing.seconds()) == (1030.0, 0, 0.0)
    assert (standing.watermark_s(), standing.stored()) == (5.0, (3, 0, 1))
    now[0] = 1100.0
    assert standing.progress() == 1030.0, "time alone moves nothing"
