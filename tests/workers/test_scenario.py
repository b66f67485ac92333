"""The scenario dti-2023 against what the report states: every figure of it that is an index figure holds.

`FACTS` says how each is computed from the scenario's quarterly totals; `NOT_DERIVABLE` says why the others cannot be.
"""

import csv
from pathlib import Path

import numpy as np
import pytest

from index.catalogue import Catalogue
from index.definition import Definition
from tests.workers.scenario_view import LAST, YEAR_2022, View, yoy
from workers.scenario import load
from workers.scenario.totals import calibration
from workers.settings import REPOSITORY

PUBLISHED = Path(__file__).parents[1] / "data" / "dti-2023"
PRD, BTH, YRD = "珠三角", "京津冀", "长三角"
QUARTERS = calibration()["quarters"]


def published(name: str) -> list[dict[str, str]]:
    with (PUBLISHED / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = {row["id"]: row for row in published("published_facts.csv") if row["seed"] == "dti-2023"}


def layer_growth_rank(view: View, layer: str, q: int) -> int:
    rates = {name: yoy(view.of("全国", name))[q] for name in ("infrastructure", "platform", "application")}
    return 1 + sum(rate > rates[layer] for rate in rates.values())


def big_blocs(view: View) -> list[str]:
    return view.frame.kinds["agglomeration"]


# Year-on-year position 0 is 2022Q1, 4 is 2023Q1. Shares without a stated period are over the whole window.
FACTS = {
    "dti-2023-001": lambda v: len(v.frame.codes),
    "dti-2023-002": lambda v: len(v.industries),
    "dti-2023-003": lambda v: len(QUARTERS),
    "dti-2023-004": lambda v: yoy(v.of("全国", "platform"))[0],
    "dti-2023-005": lambda v: yoy(v.of("全国", "platform"))[4],
    "dti-2023-006": lambda v: layer_growth_rank(v, "platform", 0),
    "dti-2023-007": lambda v: layer_growth_rank(v, "platform", 4),
    "dti-2023-008": lambda v: yoy(v.of("全国", "application"))[4],
    "dti-2023-009": lambda v: v.of("全国")[6] / v.of("全国")[5] - 1,
    "dti-2023-010": lambda v: (v.of("全国")[7:9] / v.of("全国")[6:8] - 1).min(),
    "dti-2023-011": lambda v: v.rank("广东省", "province", YEAR_2022),
    "dti-2023-012": lambda v: v.rank("province:310000", "province", LAST),
    "dti-2023-013": lambda v: v.rank("安徽省", "province", LAST),
    "dti-2023-014": lambda v: v.rank("上海市", "city", LAST),
    "dti-2023-015": lambda v: v.rank("深圳市", "city", LAST),
    "dti-2023-016": lambda v: v.rank("上海市", "city", LAST, "infrastructure"),
    "dti-2023-017": lambda v: v.rank("北京市", "city", LAST, "platform"),
    "dti-2023-018": lambda v: v.rank("北京市", "city", LAST, "application"),
    "dti-2023-019": lambda v: v.mean_yoy_rank("西藏自治区", "province"),
    "dti-2023-020": lambda v: v.share(["一线城市"], "全国"),
    "dti-2023-021": lambda v: v.share(["五线城市"], "全国"),
    "dti-2023-022": lambda v: v.mean_yoy("五线城市"),
    "dti-2023-023": lambda v: v.mean_yoy("三线城市"),
    "dti-2023-024": lambda v: v.industry_rank("finance", "size"),
    "dti-2023-025": lambda v: v.industry_mean_yoy("finance"),
    "dti-2023-026": lambda v: v.industry_rank("finance", "growth"),
    "dti-2023-027": lambda v: v.industry_rank("manufacturing", "size"),
    "dti-2023-028": lambda v: v.industry_rank("manufacturing", "growth"),
    "dti-2023-029": lambda v: v.industry_rank("telecom", "size"),
    "dti-2023-030": lambda v: v.industry_rank("telecom", "growth"),
    "dti-2023-031": lambda v: sum(len(v.frame.groups[code]) for code in big_blocs(v)) / len(v.frame.codes),
    "dti-2023-032": lambda v: v.share(big_blocs(v), "全国"),
    "dti-2023-033": lambda v: v.share([YRD, BTH, PRD], "全国"),
    "dti-2023-034": lambda v: v.city_growth("呼包鄂榆"),
    "dti-2023-035": lambda v: v.city_growth("北部湾"),
    "dti-2023-036": lambda v: v.share(["深圳市", "广州市"], PRD),
    "dti-2023-037": lambda v: v.rank("东莞市", "city", LAST),
    "dti-2023-038": lambda v: v.rank("佛山市", "city", LAST),
    "dti-2023-039": lambda v: v.mean_city_rank(PRD, "agglomeration"),
    "dti-2023-040": lambda v: v.share(["110000"], BTH),
    "dti-2023-041": lambda v: v.share(["110000"], BTH),
    "dti-2023-042": lambda v: v.share(["310000"], YRD),
    "dti-2023-043": lambda v: v.share(["310000"], YRD),
    "dti-2023-044": lambda v: v.share(v.leaders(YRD, 10)[1:], YRD),
    # The report's 工业 is read as `manufacturing`.
    "dti-2023-045": lambda v: len({*v.industry_cities("manufacturing", 10)} & {*v.members(PRD)}),
    "dti-2023-046": lambda v: v.industry_cities("manufacturing", 10).index("深圳市") + 1,
    "dti-2023-047": lambda v: v.city_industries("深圳市")["manufacturing"],
    "dti-2023-048": lambda v: list(v.city_industries("深圳市")).index("manufacturing") + 1,
}
NOT_DERIVABLE = {"dti-2023-049": "the size of a survey of persons; no index figure"}

# "about 70 %", "nearly 80 %": how far a computed share may be from the printed one.
APPROXIMATELY = 0.02
COMPARE = {
    "gt": lambda value, printed: value > printed,
    "ge": lambda value, printed: value >= printed,
    "lt": lambda value, printed: value < printed,
    "le": lambda value, printed: value <= printed,
    "approx": lambda value, printed: abs(value - printed) <= APPROXIMATELY,
    "eq": lambda value, printed: round(value, 2) == printed,  # to the printed digit: whole percents, whole ranks
}


@pytest.fixture(scope="module")
def view() -> View:
    catalogue = Catalogue.load(REPOSITORY / "systems" / "catalogue")
    definition = Definition.load(REPOSITORY / "systems" / "dti-2023.toml", catalogue)
    return View(load(catalogue), definition, catalogue)


def test_every_published_fact_is_accounted_for():
    assert FACTS.keys() | NOT_DERIVABLE.keys() == ROWS.keys()
    assert not FACTS.keys() & NOT_DERIVABLE.keys()


@pytest.mark.parametrize("fact", FACTS)
def test_fact_holds(view: View, fact: str):
    row = ROWS[fact]
    value = float(FACTS[fact](view))
    assert COMPARE[row["qualifier"]](value, float(row["value"])), f"{row['statement']}: {value}, {row['value']} printed"


def test_shares_hold_in_every_quarter(view: View):
    for q in range(9):
        when = slice(q, q + 1)
        assert view.share(["一线城市"], "全国", when) > 1 / 3
        assert view.share(["五线城市"], "全国", when) > 1 / 4
        assert view.share([YRD, BTH, PRD], "全国", when) > 1 / 2
        assert view.share(big_blocs(view), "全国", when) == pytest.approx(0.8, abs=0.01)
        assert 0.7 <= view.share(["110000"], BTH, when) <= 0.8
        assert 0.5 <= view.share(["310000"], YRD, when) <= 0.6


def test_what_the_text_says_besides(view: View):
    assert view.mean_yoy_rank("三线城市", "tier", slowest=True) == 1
    assert view.rank("安徽省", "province", YEAR_2022) > 10, "it enters the first ten"
    assert view.rank("province:310000", "province", YEAR_2022) > 1, "Shanghai overtakes Guangdong"


def test_agglomerations_rank_as_printed_in_every_quarter(view: View):
    rows = published("dti_2023_agglomeration_rank.csv")
    for q in range(9):
        for row in rows:
            name = row["agglomeration"]
            assert view.rank(name, "agglomeration", slice(q, q + 1)) == int(row["share_rank"])
            assert len(view.members(name)) == int(row["city_count"])


def test_first_three_industries_of_each_agglomeration(view: View):
    code = {
        "金融": "finance",
        "文化体育娱乐": "culture",
        "工业": "manufacturing",
        "生活服务": "life",
        "电商": "ecommerce",
    }
    code |= {"行业工具": "tools", "通信": "telecom", "游戏": "games"}
    printed: dict[str, list[str]] = {}
    for row in published("dti_cluster_industries.csv"):
        if row["report"] == "dti-2023":
            printed.setdefault(row["agglomeration"], []).append(code[row["industry"]])
    assert len(printed) == 11
    for name, industries in printed.items():
        assert view.group_industries(name, 3) == industries, name


def test_nation_starts_at_100(view: View):
    assert view.of("全国")[0] == pytest.approx(100, rel=1e-12)


def test_layers_follow_the_calibration(view: View):
    """The calibration holds the weights a second time; should the definition's change, this says so."""
    given = calibration()
    assert view.of("全国") == pytest.approx(given["nation"]["path"], rel=1e-6)
    for layer in ("platform", "application"):
        assert view.of("全国", layer) == pytest.approx(given["layers"][layer]["path"], rel=1e-6)


def test_totals_leave_room_for_the_cell_limit(view: View):
    for amounts in view.amounts.values():
        assert amounts.min() > 0
        assert amounts.sum(axis=2).max() < view.catalogue.limits.cell / 10
        assert amounts.dtype == np.int64
