"""Which tables a revision says anew: those of older shape, and those that another definition means otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from index.definition import Definition
from stream.messages import RankingTable, decode_message, encode
from tests.index.measures_world import TREE_TOML, text
from tests.index.worlds import catalogue
from workers.revision import same_table, same_tables

TABLE: dict[str, Any] = {
    "ranking": "cities", "period": "2021Q1", "scope": None, "measure": "value", "node": "index",
    "rows": {"entity": ["c1"], "rank": [1], "value": [2.5], "change": [None], "change_year": [3]},
    "left_out": {"entity": [], "reason": []},
}  # fmt: skip


def test_a_table_from_before_change_year_is_read_and_said_anew() -> None:
    head = {"schema": 1, "system": "s", "revision": 7}
    now = decode_message(RankingTable, encode(head | TABLE), "here")
    older = {k: v for k, v in TABLE["rows"].items() if k != "change_year"}
    before = decode_message(RankingTable, encode(head | TABLE | {"rows": older}), "here")
    assert (now.rows.change_year, before.rows.change_year) == ([3], [])
    assert same_table(now, TABLE)
    assert not same_table(before, TABLE)


@pytest.mark.parametrize(
    ("ranking", "old", "new", "same"),
    [
        ({"measure": "value"}, "[0.7, 0.3]", "[0.6, 0.4]", True),  # values tell what they are worth
        ({"measure": "steadiness"}, "[0.7, 0.3]", "[0.6, 0.4]", False),
        ({"measure": "node_contribution", "node": "pay"}, "[0.7, 0.3]", "[0.6, 0.4]", False),
        ({"measure": "value"}, "at_least = 60", "at_least = 61", False),
        ({"measure": "value"}, 'nation = "nation:n"', "", False),
        ({"measure": "value"}, 'measure = "value"', 'measure = "value"\norder = "rising"', False),
    ],
)
def test_whether_deltas_go_on_from_an_older_definition(ranking: dict[str, Any], old: str, new: str, same: bool) -> None:
    shops = catalogue()
    before = text([{"name": "r", "rows": "city"} | ranking], tree=TREE_TOML)
    assert old in before
    definitions = [Definition.parse(one, shops) for one in (before, before.replace(old, new))]
    assert same_tables((definitions[0], shops), (definitions[1], shops)) is same
