"""dti_industries.csv: the first ten provinces by share and by growth, of ten industries (200 rows).

The tables print two orders and no figures, so totals are made up from the orders: this checks no more than the
plumbing, which is the share of an industry in its province, its growth, both rankings, and the flag "both high" (within
the first ten of both). The names that the report prints in both of an industry's lists must be the flagged ones;
published_facts.csv holds no sentence that names them.

Each industry has its share in the last quarter out of 100 in every province, and the same growth in each year before.
"""

from __future__ import annotations

import pytest

from tests.published.names import industry as industry_of
from tests.published.play import Player, rows, text, world

TABLE = rows("dti_industries")
PROVINCES = sorted(entity.code for entity in world().entities if entity.kind == "province")
QUARTERS = {
    "dti-2022": ["2020Q1", "2021Q1", "2022Q1"],
    "dti-2023": [f"{year}Q{n}" for year in (2021, 2022) for n in (1, 2, 3, 4)] + ["2023Q1"],
}
FILLER = "transport"  # what no table ranks: the rest of each province
CASES = list(dict.fromkeys((row["report"], row["industry"]) for row in TABLE))


def printed_order(report: str, industry: str, measure: str) -> list[str]:
    """Codes of the ten provinces, from the first on."""
    found = [r for r in TABLE if (r["report"], r["industry"], r["measure"]) == (report, industry, measure)]
    assert [int(r["rank"]) for r in found] == list(range(1, 11))
    return [f"province:{r['province_code']}" for r in found]


def made_up(listed: list[str], top: float, step: float, others: float) -> dict[str, float]:
    """Falling figures for the listed provinces, and smaller ones, all different, for the rest."""
    rest = [code for code in PROVINCES if code not in listed]
    return {code: top - step * place for place, code in enumerate(listed)} | {
        code: others - 0.01 * place for place, code in enumerate(rest)
    }


@pytest.fixture(scope="module", params=QUARTERS)
def report(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def player(report: str) -> Player:
    industries = [industry for name, industry in CASES if name == report]
    names = [
        f"provinces-{industry_of(i, 'dti')}-{what}" for i in industries for what in ("share", "growth", "both-high")
    ]
    made = Player(text(f"{report}-industries", *names), world())
    last = QUARTERS[report][-1]
    city = {code: world().members[code][0] for code in PROVINCES}
    rest = dict.fromkeys(PROVINCES, 100.0)
    for industry in industries:
        shares = made_up(printed_order(report, industry, "share"), 9.0, 0.2, 5.0)
        growths = made_up(printed_order(report, industry, "growth"), 2.0, 0.05, 0.5)
        made.spread(
            industry_of(industry, "dti"),
            {
                (city[code], quarter): shares[code] * (1 + growths[code]) ** (int(quarter[:4]) - int(last[:4]))
                for code in PROVINCES
                for quarter in QUARTERS[report]
            },
        )
        rest = {code: rest[code] - shares[code] for code in PROVINCES}
    made.spread(FILLER, {(city[code], quarter): rest[code] for code in PROVINCES for quarter in QUARTERS[report]})
    return made


def test_shares_and_growths_rank_as_printed(player: Player, report: str) -> None:
    """Of each industry: both lists of ten, in their order, of 31 provinces."""
    last = QUARTERS[report][-1]
    for name, industry in CASES:
        if name != report:
            continue
        code = industry_of(industry, "dti")
        for measure in ("share", "growth"):
            table = player.table(f"provinces-{code}-{measure}", last)
            assert len(table) == 31
            ranks = {entity: row.rank for entity, row in table.items()}
            assert [ranks[p] for p in printed_order(report, industry, measure)] == list(range(1, 11)), industry
        shares = player.table(f"provinces-{code}-share", last)
        first = printed_order(report, industry, "share")[0]
        assert shares[first].value == pytest.approx(0.09, rel=1e-6)


def test_both_high_are_those_in_both_lists(player: Player, report: str) -> None:
    for name, industry in CASES:
        if name == report:
            both = set(printed_order(report, industry, "share")) & set(printed_order(report, industry, "growth"))
            table = player.table(f"provinces-{industry_of(industry, 'dti')}-both-high", QUARTERS[report][-1])
            assert {entity for entity, row in table.items() if row.value == 1.0} == both, industry
            assert {row.value for row in table.values()} <= {0.0, 1.0}
            assert len(table) == 31


def test_every_row_of_the_table_is_used() -> None:
    assert len(TABLE) == 200 == 2 * 10 * len(CASES)
