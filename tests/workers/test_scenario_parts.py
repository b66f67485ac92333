"""The pieces that the scenario dti-2022 is made of: margins of a fit, values from ranks and growths, refusals."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from tests.workers.scenario_engine import the_catalogue
from workers.scenario.fit import Part, fit
from workers.scenario.frame import Frame
from workers.scenario.industries import printed_ranks, province_parts
from workers.scenario.ranked import printed_tables, ranked_values
from workers.scenario.totals import calibration


@pytest.fixture(scope="module")
def frame() -> Frame:
    return Frame.of(the_catalogue())


@pytest.fixture
def calibrated() -> dict[str, Any]:
    return deepcopy(calibration("dti-2022"))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 0.6))
def test_a_fit_meets_its_margins_and_its_parts(seed: int, ratio: float) -> None:
    rng = default_rng(seed)
    rows, columns = rng.uniform(1, 3, 8), rng.uniform(1, 3, 5)
    columns *= rows.sum() / columns.sum()
    inside = np.array([1, 4, 6])
    part = Part(inside, np.array([0]), inside, np.arange(5), ratio * columns[0] / columns.sum() * 2)
    found = fit(rng.uniform(0.5, 2, (8, 5)), rows, columns, rounds=400, parts=[part])
    assert found.min() > 0
    assert found.sum(axis=1) == pytest.approx(rows, rel=1e-12)
    assert found.sum(axis=0) == pytest.approx(columns, rel=1e-6)
    assert found[inside, 0].sum() / found[inside].sum() == pytest.approx(part.ratio, rel=1e-6)


def test_values_are_the_nations_in_the_first_and_the_last_quarter(frame: Frame, calibrated: dict[str, Any]) -> None:
    values = ranked_values(calibrated, frame, default_rng(3))
    assert values.sum(axis=1)[[0, 8]] == pytest.approx([100, 299.2], rel=1e-12)
    assert values.min() > 0


@pytest.mark.parametrize("seed", range(5))
def test_printed_growths_hold_whatever_the_cities_of_no_table_do(
    frame: Frame, calibrated: dict[str, Any], seed: int
) -> None:
    values = ranked_values(calibrated, frame, default_rng(seed))
    for rows in printed_tables().values():
        cities = [frame.codes.index(row["city_code"]) for row in rows]
        v = values[:, cities]
        growth = (v[4] / v[0] + v[8] / v[4]) / 2 - 1
        assert growth == pytest.approx([float(row["yoy"]) for row in rows], abs=2e-4)
        ranks = [int(row["yoy_rank"]) for row in rows]
        assert (np.diff(growth[np.argsort(ranks)]) < 0).all()
        for when, column in ((v[8], "rank_now"), (v[4:8].sum(axis=0), "rank_prev_implied")):
            assert (np.diff(when[np.argsort([int(row[column]) for row in rows])]) < 0).all()


def test_a_year_that_contradicts_its_rank_is_refused(frame: Frame, calibrated: dict[str, Any]) -> None:
    calibrated["year"]["成都市"] = 1.0
    with pytest.raises(ValueError, match="成渝: `year` of a city contradicts"):
        ranked_values(calibrated, frame, default_rng(0))


def test_a_year_smaller_than_its_first_quarter_is_refused(frame: Frame, calibrated: dict[str, Any]) -> None:
    calibrated["tables"]["关中平原"]["year"] = 0.5
    with pytest.raises(ValueError, match="a quarter of a city is not positive"):
        ranked_values(calibrated, frame, default_rng(0))


def test_tables_that_leave_nothing_are_refused(frame: Frame, calibrated: dict[str, Any]) -> None:
    calibrated["nation"]["last"] = 200
    with pytest.raises(ValueError, match="the tables leave nothing"):
        ranked_values(calibrated, frame, default_rng(0))


def test_a_part_outside_the_ten_must_lie_below_them(frame: Frame, calibrated: dict[str, Any]) -> None:
    calibrated["industries"]["strong"]["province:110000"]["finance"] = 30
    with pytest.raises(ValueError, match="province:110000 finance: 30 is no less than the tenth"):
        province_parts(calibrated, frame, np.ones((9, len(frame.codes))))


def test_tables_that_take_everything_are_refused(frame: Frame, calibrated: dict[str, Any]) -> None:
    table = calibrated["industries"]["tables"]["healthcare"]
    table["ten"] = [90, *table["ten"][1:]]
    with pytest.raises(ValueError, match=r"province:460000: -?0\.\d+ is left for industries of no table"):
        province_parts(calibrated, frame, np.ones((9, len(frame.codes))))


def test_printed_ranks_are_ten_of_each_of_seven() -> None:
    for measure in ("share", "growth"):
        ranks = printed_ranks(measure)
        assert len(ranks) == 7
        assert all(sorted(found.values()) == list(range(1, 11)) for found in ranks.values())
