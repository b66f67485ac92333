"""Every measure by hand, on figures small enough to check with a pencil (`measures_hand`)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.index.measures_hand import table


def test_share_and_node_share() -> None:
    """2021Q1: the nation has pay 100 and ai 12, c1 12 of 112; of c1's 12, pay is 10."""
    assert table("2021Q1", "share")["c1"] == 12 / 112
    assert table("2021Q1", "share", rows="nodes", nodes=["pay", "ai"], scope_="city", scope="c1") == {
        "pay": 10 / 100, "ai": 2 / 12,
    }  # fmt: skip
    found = table("2021Q1", "node_share", node="pay")
    assert (found["c1"], found["c4"], found["c5"]) == (10 / 12, 1.0, "no-value")
    assert table("2021Q1", "node_share", node="pay", other="ai")["c4"] == "no-parent"


def test_growths_of_nodes() -> None:
    """c1 from 2021Q1 to 2022Q1: pay 10 to 40, ai 2 to 10."""
    nodes = {"rows": "nodes", "nodes": "children", "scope_": "city", "scope": "c1"}
    assert table("2022Q1", "yoy", **nodes) == {"ai": 4.0, "pay": 3.0}
    assert table("2021Q3", "pop", **nodes) == {"ai": 2.0, "pay": 0.5}
    assert table("2022Q1", "pop", **nodes) == {"ai": "no-predecessor", "pay": "no-predecessor"}
    assert table("2022Q1", "yoy", until="2022-02", **nodes) == {"ai": "open", "pay": "open"}
    assert table("2022Q1", "mean_yoy", head='mean_yoy_from = "2022Q1"', **nodes) == {"ai": 4.0, "pay": 3.0}
    assert table("2021Q1", "value", **nodes) == {"pay": 10.0, "ai": 2.0}


def test_spans() -> None:
    """pay of c1: 10 + 20 + 30; c2 20 + 20 + 10; a quarter later there is a gap."""
    keys = {"node": "pay", "from_": "2021Q1"}
    assert table("2021Q3", "span_sum", **keys) == {"c1": 60.0, "c2": 50.0, "c3": 70.0, "c4": 140.0, "c5": "gap"}
    assert table("2021Q3", "span_mean", **keys)["c1"] == 20.0
    assert table("2022Q1", "span_sum", **keys)["c1"] == "gap"
    assert table("2021Q1", "span_sum", node="pay", from_="2021Q2")["c1"] == "outside-span"


def test_compound_growth() -> None:
    """pay of c1 fourfold in a year: 300 %; from 20 to 30 in one quarter: 1.5^4 - 1 a year."""
    assert table("2022Q1", "compound", node="pay", from_="2021Q1")["c1"] == pytest.approx(3.0, rel=1e-15)
    found = table("2021Q3", "compound", node="pay", from_="2021Q2")
    assert (found["c1"], found["c5"]) == (pytest.approx(1.5**4 - 1, rel=1e-15), "no-value")
    assert table("2021Q2", "compound", node="pay", from_="2021Q2")["c1"] == "outside-span"
    assert table("2021Q3", "compound", until=None, node="pay", from_="2021Q2")["c1"] == "open"


def test_contributions() -> None:
    """pay 2021Q1 to Q2: the nation from 100 to 80, c1 + 10, c3 - 10, c4 - 20; in prov:a (60) c1 gives a sixth."""
    assert table("2021Q2", "contribution", node="pay") == {
        "c1": 0.1, "c2": 0.0, "c3": -0.1, "c4": -0.2, "c5": "no-value",
    }  # fmt: skip
    assert table("2021Q2", "contribution", node="pay", scope_="prov", scope="prov:a")["c1"] == 10 / 60
    assert table("2022Q1", "contribution", node="pay", over="yoy")["c2"] == 0.4
    assert table("2022Q1", "contribution", node="pay", over="pop")["c2"] == "no-predecessor"


def test_contributions_of_nodes() -> None:
    """c1 from 12 to 22 in 2021Q2, all by pay; weights count where there are any: 0.75 * 10 of 0.75 * 10 + 0.25 * 2."""
    nodes = {"rows": "nodes", "nodes": ["pay", "ai"], "scope_": "city", "scope": "c1"}
    assert table("2021Q2", "node_contribution", **nodes) == {"pay": 10 / 12, "ai": 0.0}
    weighted = '[tree]\nchildren = ["pay", "ai"]\nweights = [0.75, 0.25]'
    assert table("2021Q2", "node_contribution", tree=weighted, **nodes) == {"pay": 7.5 / 8.0, "ai": 0.0}
    assert table("2021Q2", "node_contribution", node="pay")["c1"] == 10 / 12


def test_growth_multiple() -> None:
    """pay of the nation from 80 to 140 (75 %), c1 from 20 to 30 (50 %): two thirds of it."""
    found = table("2021Q3", "growth_multiple", node="pay")
    assert (found["c1"], found["c2"]) == (0.5 / 0.75, -0.5 / 0.75)
    assert table("2021Q1", "growth_multiple", node="pay")["c1"] == "no-predecessor"


def test_rise_and_times_in_first() -> None:
    """pay, 2021Q1: c4 c3 c2 c1; Q2: all 20; Q3: c4 80, c1 30, c3 20, c2 10."""
    assert table("2021Q2", "rise", node="pay") == {"c1": 3.0, "c2": 2.0, "c3": 1.0, "c4": 0.0, "c5": "no-value"}
    assert table("2021Q3", "rise", node="pay") == {"c1": -1.0, "c2": -3.0, "c3": -2.0, "c4": 0.0, "c5": "no-value"}
    assert table("2021Q3", "times_in_first", node="pay", from_="2021Q1", first=2) == {
        "c1": 2.0, "c2": 1.0, "c3": 2.0, "c4": 3.0, "c5": "no-value",
    }  # fmt: skip


def test_steadiness() -> None:
    """c1 in 2021Q3: pay + 50 %, ai + 200 %: mean 125 %, both 75 points away. c2: - 50 % and 0: 25 points."""
    found = table("2021Q3", "steadiness", order="rising", column="rank")
    assert found == {"c2": 1, "c1": 2, "c3": "gap", "c4": "gap", "c5": "no-value"}
    found = table("2021Q3", "steadiness", order="rising")
    assert (found["c1"], found["c2"]) == (0.75, 0.25)


def test_both_high() -> None:
    """pay in 2021Q3: the greatest are c4, c1; the fastest c4 (300 %), c1 (50 %), c3 (0), c2."""
    found = table("2021Q3", "both_high", node="pay", first=1)
    assert found == {"c4": 1.0, "c1": 0.0, "c2": 0.0, "c3": 0.0, "c5": "no-value"}
    assert table("2021Q3", "both_high", node="pay", first=2)["c1"] == 1.0
    assert table("2021Q3", "both_high", node="pay")["c2"] == 1.0  # of four rows all are within the first ten


def test_quadrants() -> None:
    """pay in 2021Q3: 30 10 20 80, mean 35; growths .5 -.5 0 3, mean .75: c4 both, the others neither.

    2022Q1 over the year: 40 60 10, mean 36.7; growths 3 2 -.75, mean 1.42: c1 and c2 both.
    In 2021Q2 all have 20, the mean: large; growths 1 0 -1/3 -.5, mean .042: c1 fast."""
    assert table("2021Q3", "quadrant", node="pay") == {"c4": 3.0, "c1": 0.0, "c2": 0.0, "c3": 0.0, "c5": "no-value"}
    found = table("2022Q1", "quadrant", node="pay", over="yoy")
    assert found == {"c1": 3.0, "c2": 3.0, "c4": 0.0, "c3": "no-value", "c5": "no-value"}
    found = table("2021Q2", "quadrant", node="pay")
    assert found == {"c1": 3.0, "c2": 1.0, "c3": 1.0, "c4": 1.0, "c5": "no-value"}


@pytest.mark.parametrize(
    ("measure", "keys", "a", "b"),
    [
        ("members_sum", {}, 60.0, 40.0),  # prov:a has 10 20 30, prov:b 40
        ("members_mean", {}, 20.0, 40.0),
        ("members_max", {}, 30.0, 40.0),
        ("lead", {}, 2.0, "no-spread"),  # 30 against 15
        ("lead_share", {}, 0.5, 1.0),
        ("first_share", {"first": 2}, 50 / 60, 1.0),
        ("members_above", {"threshold": "mean"}, 1.0, 0.0),
        ("members_above", {"threshold": 15}, 2.0, 1.0),
        ("max_to_mean", {}, 1.5, 1.0),
        ("variation", {}, (200 / 3) ** 0.5 / 20, 0.0),
        ("gini", {}, 2 * (10 + 40 + 90) / (3 * 60) - 4 / 3, 0.0),
    ],
)
def test_members(measure: str, keys: dict[str, Any], a: float, b: float | str) -> None:
    assert table("2021Q1", measure, rows="prov", node="pay", **keys) == {"prov:a": a, "prov:b": b}


def test_growths_of_members() -> None:
    """prov:a in 2021Q2: the sum stays at 60, the members grow by 100 %, 0 and - 33 %."""
    found = table("2021Q2", "members_mean", rows="prov", node="pay", of="pop")
    assert found == {"prov:a": pytest.approx(2 / 9, rel=1e-15), "prov:b": -0.5}
    assert table("2021Q2", "members_mean", rows="prov", of="pop", until=None)["prov:a"] == "open"
    assert table("2021Q2", "members_mean", rows="prov", until=None)["prov:a"] == pytest.approx(68 / 3)
    assert table("2021Q1", "members_max", rows="circle", of="pop")["circle:z"] == "no-value"


def test_growth_of_the_members_above() -> None:
    """Above 15 in prov:a: c2, c3; then all three: + 50 %. Above the mean, all at 20: none, so nothing grows."""
    keys = {"rows": "prov", "node": "pay"}
    assert table("2021Q2", "members_above_growth", threshold=15, **keys) == {"prov:a": 0.5, "prov:b": 0.0}
    assert table("2021Q3", "members_above_growth", threshold="mean", **keys)["prov:a"] == "zero-predecessor"
    assert table("2022Q1", "members_above_growth", threshold=15, **keys)["prov:a"] == "no-predecessor"
    assert table("2021Q2", "members_above_growth", until=None, threshold=15, **keys)["prov:a"] == "open"


def test_correlation() -> None:
    """2021Q1, prov:a: (10, 2) (20, 6) (30, 4): deviations -10 0 10 and -2 2 0: 20 / sqrt(200 * 8)."""
    found = table("2021Q1", "correlation", rows="prov", node="pay", other="ai")
    assert found == {"prov:a": 20 / (200 * 8) ** 0.5, "prov:b": "no-value"}
    assert table("2021Q2", "correlation", rows="prov", node="pay", other="ai")["prov:a"] == "no-spread"


def test_grades() -> None:
    """pay 2021Q1: 30 and 40 are top, 10 and 20 low. Q2: four times 20. Q3: 30, 80 top; 10, 20 low."""
    keys = {"rows": "grades", "node": "pay"}
    assert table("2021Q1", "grade_count", **keys) == {"top": 2.0, "low": 2.0}
    assert table("2021Q2", "grade_count", **keys) == {"top": 0.0, "low": 4.0}
    assert table("2021Q1", "grade_share", scope_="prov", scope="prov:a", **keys) == {"top": 1 / 3, "low": 2 / 3}
    assert table("2021Q3", "grade_mean", **keys) == {"top": 55.0, "low": 15.0}
    assert table("2021Q2", "grade_mean", **keys) == {"top": "no-value", "low": 20.0}
    assert table("2021Q2", "grade_growth", **keys) == {"top": -1.0, "low": 1.0}
    assert table("2021Q3", "grade_growth", **keys) == {"top": "zero-predecessor", "low": -0.5}
    assert table("2021Q1", "grade_growth", **keys) == {"top": "no-predecessor", "low": "no-predecessor"}
    assert table("2021Q1", "grade_count", node="ai", rows="grades") == {"top": 0.0, "low": 0.0}  # all below 10


def test_change_against_the_year_before() -> None:
    """pay, 2021Q1: c4 c3 c2 c1; 2022Q1: c2 60, c1 40, c4 10. No quarter lies just before."""
    assert table("2022Q1", "value", node="pay", column="change_year") == {
        "c2": 2, "c1": 2, "c4": -2, "c3": "no-data", "c5": "no-data",
    }  # fmt: skip
    assert table("2022Q1", "value", node="pay", column="change")["c2"] is None
    assert table("2022Q1", "value", node="pay", column="change_year", order="rising")["c4"] == 3
