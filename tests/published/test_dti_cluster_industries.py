"""dti_cluster_industries.csv: the first three industries of each of the 11 agglomerations, in two reports (66 rows).

The table prints an order and no figures; totals are made up from it, so this checks no more than the plumbing: industry
values of a group, and a ranking of nodes within a scope.
"""

from __future__ import annotations

import pytest

from tests.published.names import industry as industry_of
from tests.published.play import Player, code_of, ordered, rows, text, world

TABLE = rows("dti_cluster_industries")
LAST = {"dti-2022": "2022Q1", "dti-2023": "2023Q1"}
BASE = {"dti-2022": "2020Q1", "dti-2023": "2021Q1"}
SHARES = "industries-in-agglomeration"  # as the definitions declare it; beside it, the same by value
SIZES = {
    "name": "t-sizes", "rows": "nodes", "nodes": "industries", "scope": "agglomeration", "measure": "value",
    "grains": ["quarter"],
}  # fmt: skip


def printed(report: str) -> dict[str, list[str]]:
    """Industry codes by agglomeration code, from the first on."""
    found: dict[str, list[str]] = {}
    for row in TABLE:
        if row["report"] == report:
            found.setdefault(code_of(row["agglomeration"], "agglomeration"), []).append(
                industry_of(row["industry"], "dti")
            )
            assert len(found[code_of(row["agglomeration"], "agglomeration")]) == int(row["position"])
    return found


@pytest.mark.parametrize("report", LAST)
def test_first_three_industries(report: str) -> None:
    player = Player(text(f"{report}-industries", SHARES, SIZES), world())
    industries = [industry.code for industry in world().industries if industry.set == "dti"]
    lists = printed(report)
    assert len(lists) == 11
    for group, first in lists.items():
        made = ordered([*first, *(code for code in industries if code not in first)])
        cities = world().members[group][:3]
        for code, total in made.items():
            player.spread(code, {(c, period): total for c in cities for period in (BASE[report], LAST[report])})
    for group, first in lists.items():
        for ranking in (SHARES, "t-sizes"):
            table = player.table(ranking, LAST[report], group)
            assert list(table)[:3] == first, group
            assert [row.rank for row in table.values()][:4] == [1, 2, 3, 4]
        assert sum(row.value for row in player.table(SHARES, LAST[report], group).values()) == pytest.approx(1.0)


def test_every_row_of_the_table_is_used() -> None:
    assert len(TABLE) == 66 == sum(3 * len(printed(report)) for report in LAST)
