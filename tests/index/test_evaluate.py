"""Values: by hand, bit for bit alone and together, and never NaN where there should be a number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.definition import Definition
from index.evaluate import evaluate
from index.growth import mean, over, ratio, share
from index.normalise import Base
from index.reasons import Reason
from tests.index.oracle import evaluate as slow_evaluate
from tests.index.worlds import catalogue, toml, world


def definition(**changes: object) -> Definition:
    return Definition.parse(toml(world(rankings=[], **changes)), catalogue())


def base(*amounts: float) -> Base:
    array = np.array(amounts, np.float64)
    return Base(array, array != 0)


def test_by_hand() -> None:
    """The nation has 400 and 50 in the base period; weights 0.5 and 0.5: (40/400 + 25/50) * 100 / 2 = 30."""
    d = definition(tree={"index": [("pay", 0.5), ("ai", 0.5)]}, min_coverage=0.0)
    found = evaluate(d, np.array([[40, 0], [25, 25]]), np.array([[True, False], [True, True]]), base(400, 50))
    assert found.values.tolist() == [[30.0, 50.0], [10.0, pytest.approx(math.nan, nan_ok=True)], [50.0, 50.0]]
    assert found.coverage.tolist() == [1.0, 0.5]
    assert found.why.tolist() == [[0, 0], [0, Reason.NO_DATA], [0, 0]]


def test_minus_zero_stays_minus_zero() -> None:
    """A negative base makes a score of -0.0; the renormalised sum must start with it, not with 0.0."""
    d = definition(tree={"index": [("pay", 0.5), ("ai", 0.5)]}, min_coverage=0.0)
    value = evaluate(d, np.array([[0], [0]]), np.array([[False], [True]]), base(1, -5)).values[0, 0]
    assert math.copysign(1.0, value) == -1.0


@pytest.mark.parametrize(
    ("renormalise", "min_coverage", "present", "reason"),
    [
        (True, 0.0, (0, 0), Reason.NO_DATA),
        (True, 0.0, (1, 0), Reason.NONE),
        (False, 0.0, (1, 0), Reason.NO_DATA),
        (True, 0.8, (1, 0), Reason.LOW_COVERAGE),
        (True, 0.7, (1, 0), Reason.NONE),
        (True, 0.0, (0, 1), Reason.NO_BASE),
        (False, 0.0, (1, 1), Reason.NO_BASE),
    ],
)
def test_reasons(renormalise: bool, min_coverage: float, present: tuple[int, int], reason: Reason) -> None:
    """The second leaf has no base."""
    d = definition(tree={"index": [("pay", 0.7), ("ai", 0.3)]}, renormalise=renormalise, min_coverage=min_coverage)
    found = evaluate(d, np.array([[4], [4]]), np.array(present, bool)[:, None], base(8, 0))
    assert Reason(int(found.why[0, 0])) is reason
    assert np.isnan(found.values[0, 0]) == (reason is not Reason.NONE)


AMOUNTS = st.one_of(st.none(), st.integers(-5, 5), st.integers(-(2**62), 2**62))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS), min_size=1, max_size=9),
    st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS),
    st.booleans(),
    st.sampled_from([0.0, 0.5, 0.7, 1.0]),
)
def test_any_columns_alone_and_together_give_the_oracles_bits(
    columns: list[tuple[int | None, ...]], totals: tuple[int | None, ...], renormalise: bool, min_coverage: float
) -> None:
    w = world(renormalise=renormalise, min_coverage=min_coverage)
    d = definition(renormalise=renormalise, min_coverage=min_coverage)
    amounts = np.array([[c[leaf] or 0 for c in columns] for leaf in range(4)])
    present = np.array([[c[leaf] is not None for c in columns] for leaf in range(4)])
    b = base(*(float(t or 0) for t in totals))
    together = evaluate(d, amounts, present, b)
    for i, column in enumerate(columns):
        alone = evaluate(d, amounts[:, i : i + 1], present[:, i : i + 1], b)
        assert alone.values[:, 0].tobytes() == together.values[:, i].tobytes()
        x = dict(zip(d.tree.leaves, column, strict=True))
        bases = dict(zip(d.tree.leaves, [None if t is None else float(t) for t in totals], strict=True))
        slow = slow_evaluate(w, lambda key, x=x: x[key[0]], bases, {})
        for number, node in enumerate(d.tree.names):
            value, coverage, reason = slow[node]
            assert together.values[number, i].tobytes() == np.float64(math.nan if value is None else value).tobytes()
            assert Reason(int(together.why[number, i])) == (
                Reason.NONE if reason is None else Reason[reason.upper().replace("-", "_")]
            )
            if number == 0:
                assert together.coverage[i] == coverage


def words(why: np.ndarray) -> list[str]:
    return [Reason(int(code)).word for code in why]


def test_growth_by_hand() -> None:
    """From 80 to 100 is a quarter more; the other cases are missing, each for its reason."""
    v, before = np.array([100.0, np.nan, 5.0, 5.0, -4.0]), np.array([80.0, 1.0, np.nan, 0.0, -2.0])
    growth = ratio(v, before)
    assert [g if g == g else None for g in growth.values.tolist()] == [0.25, None, None, None, 1.0]
    assert words(growth.why) == ["none", "no-value", "no-predecessor", "zero-predecessor", "none"]
    assert words(over(v, before, True).why) == ["open", "no-value", "open", "open", "open"]
    assert words(over(v, None, False).why) == ["no-predecessor", "no-value", *["no-predecessor"] * 3]


def test_mean_of_growths_by_hand() -> None:
    """(10 % + 20 % + 60 %) / 3 = 30 %."""
    a, b, c = np.array([0.125, 0.1]), np.array([0.25, np.nan]), np.array([0.75, 0.1])
    found = mean([a, b, c], False, (2,))
    assert found.values[0] == 0.375
    assert words(found.why) == ["none", "gap"]
    assert words(mean([a, None], False, (2,)).why) == ["gap", "gap"]
    assert words(mean([a, b], True, (2,)).why) == ["open", "open"]
    assert words(mean([], True, (2,)).why) == ["outside-span", "outside-span"]


def test_share_by_hand() -> None:
    found = share(np.array([1.0, np.nan, 1.0, 1.0]), np.array([4.0, 1.0, np.nan, 0.0]))
    assert found.values[0] == 0.25
    assert words(found.why) == ["none", "no-value", "no-parent", "zero-parent"]
