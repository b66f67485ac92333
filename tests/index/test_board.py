"""One system's life by hand-computed cases: growth, days, statuses, restarts, changes of definition, other entities."""

from __future__ import annotations

import json
from typing import Any

import pytest

from index.board import Board
from index.cells import CellStore, Partition
from index.changes import Changes
from index.definition import Definition
from index.diff import TableKey, delta_between
from index.errors import AmountOverflowError
from index.watermark import IDLE_US, system_watermark
from tests.index.oracle import Event, first_day, start_us
from tests.index.worlds import Engine, catalogue, toml, world

P0 = Partition(0)
DAY = 86_400_000_000
ONE_LEAF: dict[str, Any] = {
    "tree": {"index": [("pay", 1.0)]},
    "rankings": [{"name": "cities", "rows": "city", "measure": "value"}],
}


def at(day: str) -> int:
    year, month, number = day.split("-")
    return start_us(first_day(f"{year}-{month}")) + (int(number) - 1) * DAY


def pay(city: str, value: int, when: str, period: str | None = None, indicator: str = "pay") -> Event:
    return Event(0, "s", 0, city, indicator, "all", value, at(when), period)


def engine(watermark: str | None = None, **changes: Any) -> Engine:
    made = Engine(world(**(ONE_LEAF | changes)))
    made.set_watermark(at(watermark) if watermark else None)
    return made


def updates(made: Engine) -> dict[str, dict[str, Any]]:
    return {f"{u['entity']}/{u['period']}": u for u in made.board.diff().updates}


def test_growth_of_one_city_by_hand() -> None:
    """c1 is a quarter of the nation in the base quarter: 25; then 50, then 75; a year later 100."""
    e = engine("2022-06-01", mean_yoy_from="2022Q1")
    e.send(
        [
            pay("c1", 25, "2021-01-05"),
            pay("c2", 75, "2021-02-05"),
            pay("c1", 50, "2021-04-05"),
            pay("c1", 75, "2021-07-05"),
        ]
    )
    e.send([pay("c1", 100, "2022-01-05"), pay("c2", 150, "2022-01-05")])
    found = updates(e)
    told = {
        key: (u["value"], u["growth"]["pop"], u["growth"]["yoy"], u["growth"]["mean_yoy"]) for key, u in found.items()
    }
    assert told["c1/2021Q1"] == (25.0, None, None, None)
    assert told["c1/2021Q2"] == (50.0, 1.0, None, None)
    assert told["c1/2021Q3"] == (75.0, 0.5, None, None)
    assert told["c1/2022Q1"] == (100.0, None, 3.0, 3.0)
    assert told["c2/2022Q1"] == (150.0, None, 1.0, 1.0)
    assert told["prov:a/2022Q1"] == (250.0, None, 1.5, 1.5)
    assert told["c1/2021"] == (150.0, None, None, None)
    assert found["c1/2021Q2"]["why"] == {"yoy": "no-predecessor", "mean_yoy": "outside-span", "to_date": "closed"}
    assert found["c1/2022Q1"]["why"] == {"pop": "no-predecessor", "to_date": "closed"}


def test_the_mean_of_growths_follows_an_earlier_year() -> None:
    """yoy of 2022Q1 100 %, Q2 50 %, Q3 0 %: mean 50 %. A late event lowers the first to 70 %: 40 %, two quarters on."""
    e = engine("2022-12-01", mean_yoy_from="2022Q1")
    for month, before, after in (("01", 100, 200), ("04", 100, 150), ("07", 100, 100)):
        e.send([pay("c1", before, f"2021-{month}-05"), pay("c1", after, f"2022-{month}-05")])
    assert updates(e)["c1/2022Q3"]["growth"]["mean_yoy"] == 0.5
    e.send([pay("c1", -30, "2022-01-06")])
    changed = updates(e)
    assert changed["c1/2022Q3"]["growth"]["mean_yoy"] == pytest.approx(0.4)
    assert changed["c1/2022Q3"]["status"] == "final"
    assert changed["c1/2022Q1"]["status"] == "revised"


def test_growth_to_date_by_hand() -> None:
    """Two complete days: 10 + 20 against 5 + 15 of the quarter before: + 50 %; the third day is not complete."""
    e = engine("2021-04-03")
    e.send([pay("c1", v, d) for v, d in ((5, "2021-01-01"), (15, "2021-01-02"), (99, "2021-03-31"))])
    e.send([pay("c1", v, d) for v, d in ((10, "2021-04-01"), (20, "2021-04-02"), (77, "2021-04-03"))])
    found = updates(e)["c1/2021Q2"]
    assert (found["growth"]["to_date"], found["days"], found["status"]) == (30.0 / 20.0 - 1.0, 2, "provisional")
    e.set_watermark(at("2021-04-04"))
    found = updates(e)["c1/2021Q2"]
    assert (found["growth"]["to_date"], found["days"]) == (pytest.approx(107 / 20 - 1), 3)
    e.set_watermark(at("2021-04-02"))  # Redis went back: fewer days are complete
    found = updates(e)["c1/2021Q2"]
    assert (found["growth"]["to_date"], found["days"]) == (10.0 / 5.0 - 1.0, 1)


def test_a_long_month_is_compared_with_all_days_of_a_short_one() -> None:
    """31 days of March against the 28 of February 2021: n' = 28."""
    e = engine("2021-04-01", grains=["month", "quarter"], grace_s=3600, mean_yoy_from=None)
    e.send([pay("c1", 10, "2021-02-28"), pay("c1", 30, "2021-03-28"), pay("c1", 500, "2021-03-31")])
    found = updates(e)["c1/2021-03"]
    assert (found["growth"]["to_date"], found["days"]) == (pytest.approx(2.0), 28)


def test_amounts_by_whole_periods_have_no_days() -> None:
    e = engine("2021-04-03")
    e.send(
        [pay("c1", 5, "2021-01-01"), pay("c2", 5, "2021-01-01"), pay("c1", 5, "2021-04-01"), pay("c2", 5, "2021-04-01")]
    )
    e.send([pay("c1", 1, "2021-04-01", "2021Q2")])
    found = updates(e)
    assert found["c1/2021Q2"]["why"]["to_date"] == found["prov:a/2021Q2"]["why"]["to_date"] == "no-days"
    assert found["c2/2021Q2"]["growth"]["to_date"] == 0.0


def test_days_may_move_where_amounts_do_not() -> None:
    """+5 on the first day and -5 on the second: the quarter's amount is what it was, its first day is not."""
    e = engine("2021-04-02")
    e.send([pay("c1", 10, "2021-01-01"), pay("c1", 10, "2021-04-01"), pay("c1", 10, "2021-04-02")])
    assert updates(e)["c1/2021Q2"]["growth"]["to_date"] == 0.0
    e.send([pay("c1", 5, "2021-04-01"), pay("c1", -5, "2021-04-02"), pay("c2", 3, "2021-04-01", "2021Q2")])
    assert updates(e)["c1/2021Q2"]["growth"]["to_date"] == 0.5


def test_statuses() -> None:
    e = engine("2021-01-31", grace_s=3600)
    key = "c1/2021Q1"
    e.send([pay("c1", 5, "2021-01-01")])
    assert updates(e)[key]["status"] == "provisional"
    e.set_watermark(at("2021-04-01") + 3600 * 10**6 - 1)
    assert key not in updates(e) or updates(e)[key]["status"] == "provisional"
    e.set_watermark(at("2021-04-01") + 3600 * 10**6)
    assert updates(e)[key]["status"] == "final"
    e.send(
        [pay("c1", 5, "2021-01-02"), pay("c2", 10, "2021-01-02")]
    )  # the nation doubles twice over: 5/5 becomes 10/20
    assert updates(e)[key]["status"] == "revised"
    e.send([pay("c1", -5, "2021-01-02"), pay("c2", -10, "2021-01-02")])
    again = updates(e)[key]
    assert (again["status"], again["value"]) == ("revised", 100.0)
    e.set_watermark(at("2021-03-01"))
    assert updates(e)[key]["status"] == "provisional"


def test_nothing_touched_nothing_published() -> None:
    e = engine("2021-04-03")
    assert not e.board.diff()
    e.send([pay("c1", 5, "2021-01-01")])
    assert e.board.diff()
    assert not e.board.diff()
    e.set_watermark(at("2021-04-03") + 1)
    assert not e.board.diff()


def test_a_touched_city_publishes_itself_and_its_groups_only() -> None:
    e = engine("2021-06-03")
    e.send([pay(c, 5, "2021-01-01") for c in e.world.cities] + [pay(c, 5, "2021-04-01") for c in e.world.cities])
    e.board.diff()
    e.send([pay("c2", 1, "2021-04-01")])
    diff = e.board.diff()
    assert {u["entity"] for u in diff.updates} == {"c2", "prov:a", "circle:x", "circle:y", "nation:n"}
    assert {u["period"] for u in diff.updates} == {"2021", "2021Q2"}
    assert [d["moved"]["entity"] for d in diff.deltas] == [["c2"], ["c2"]]
    assert diff.deltas[0]["shifted"] == [[1, 1, 1]]
    assert list(diff.dirty) == [TableKey("cities", "2021", None), TableKey("cities", "2021Q2", None)]
    assert diff.deltas[1] == {
        "ranking": "cities",
        "period": "2021Q2",
        "scope": None,
        "size": 5,
        "moved": {"entity": ["c2"], "was": [1], "rank": [1], "value": [24.0]},
        "shifted": [[1, 1, 1]],
    }


def test_a_moved_rank_makes_the_next_table_dirty_by_its_change() -> None:
    e = engine("2021-12-31")
    e.send(
        [pay("c1", 5, "2021-01-01"), pay("c2", 4, "2021-01-01"), pay("c1", 5, "2021-04-01"), pay("c2", 4, "2021-04-01")]
    )
    e.board.diff()
    e.send([pay("c2", 3, "2021-01-01")])
    diff = e.board.diff()
    assert TableKey("cities", "2021Q2", None) in diff.dirty
    assert e.board.table(TableKey("cities", "2021Q2", None))["rows"]["change"] == [1, -1]


def test_table_keys_have_the_path_of_their_message() -> None:
    assert TableKey("cities", "2021Q1", None).path == "cities/2021Q1"
    assert TableKey("in", "2021", "prov:a").path == "in/2021/prov:a"
    e = engine()
    with pytest.raises(KeyError):
        e.board.table(TableKey("none", "2021Q1", None))
    with pytest.raises(ValueError, match="is no period"):
        e.board.table(TableKey("cities", "2021Q9", None))
    assert e.board.table(TableKey("cities", "2021Q1", None))["rows"]["entity"] == []


def test_a_city_that_never_sent_is_left_out_of_all_tables_but_not_published() -> None:
    e = engine()
    e.send([pay("c1", 5, "2021-01-01")])
    assert {u["entity"] for u in e.board.diff().updates} == {"c1", "prov:a", "nation:n"}
    left_out = e.board.table(TableKey("cities", "2021Q1", None))["left_out"]
    assert left_out == {"entity": ["c2", "c3", "c4", "c5"], "reason": ["no-data"] * 4}


def test_the_last_cell_gone_removes_keys_and_rows() -> None:
    e = engine()
    e.send([pay("c1", 5, "2021-01-01")])
    e.board.diff()
    e.board.apply(e.store.replace(P0, []))
    diff = e.board.diff()
    assert sorted(diff.removed) == sorted(f"{x}/{p}" for x in ("c1", "prov:a", "nation:n") for p in ("2021", "2021Q1"))
    assert [d["moved"]["rank"] for d in diff.deltas] == [[None], [None]]
    assert [d["size"] for d in diff.deltas] == [0, 0]
    assert e.board.table_keys() == []
    assert e.board.table(TableKey("cities", "2021Q1", None))["left_out"]["entity"] == []


def test_a_period_without_base_publishes_why() -> None:
    e = engine(base="2020Q4")
    e.send([pay("c1", 5, "2021-01-01")])
    update = updates(e)["c1/2021Q1"]
    assert (update["value"], update["coverage"], update["why"]["value"]) == (None, 0.0, "no-base")


def test_a_new_definition_removes_repeats_and_keeps() -> None:
    """Another tree, no groups, no years: what the new definition lacks is removed, the rest is said anew."""
    e = engine("2021-06-01", tree={"index": [("digital", 1.0)], "digital": [("pay", 1.0)]})
    e.send([pay("c1", 5, "2021-01-01"), pay("c4", 3, "2021-01-01")])
    published = e.board.diff().updates
    small = Board(
        Definition.parse(toml(world(**ONE_LEAF, kinds=[], nation=None, grains=["quarter"])), e.catalogue), e.catalogue
    )
    small.restore(published)
    small.apply(e.store.everything())
    small.watermark(at("2021-06-01"))
    diff = small.diff()
    assert sorted(diff.removed) == sorted(
        f"{u['entity']}/{u['period']}" for u in published if u["period"] == "2021" or ":" in u["entity"]
    )
    assert [(u["entity"], u["nodes"]) for u in diff.updates] == [("c1", {"pay": 62.5}), ("c4", {"pay": 37.5})]
    assert diff.deltas == []
    assert not small.diff()
    small.apply(e.store.apply(P0, [["cells:2021Q2:c1", "pay/all", 1], ["cells:2021Q2:c4", "pay/all", 1]]))
    small.diff()
    small.apply(e.store.apply(P0, [["cells:2021Q2:c1", "pay/all", 2]]))
    assert [u["entity"] for u in small.diff().updates] == ["c1"]


def test_what_was_repeated_once_is_not_repeated_again() -> None:
    """Restored nodes of another tree: each row is said anew once; later only what changes."""
    e = engine("2021-12-31", tree={"index": [("digital", 1.0)], "digital": [("pay", 1.0)]})
    e.send([pay("c1", 5, "2021-01-01"), pay("c1", 5, "2021-04-01"), pay("c4", 3, "2021-04-01")])
    published = e.board.diff().updates
    flat = Board(Definition.parse(toml(world(**ONE_LEAF)), e.catalogue), e.catalogue)
    flat.restore(published)
    flat.apply(e.store.everything())
    flat.watermark(at("2021-12-31"))
    assert len(flat.diff().updates) == len(published)
    flat.apply(e.store.apply(P0, [["cells:2021Q2:c1", "pay/all", 2]]))
    assert not any(u["entity"] == "c4" for u in flat.diff().updates)


def test_restore_reads_objects_as_well_as_dicts() -> None:
    class Message:
        def __init__(self, fields: dict[str, Any]) -> None:
            self.__dict__.update(fields)
            self.growth = type("Growth", (), fields["growth"])

    e = engine("2021-06-01")
    e.send([pay("c1", 5, "2021-01-01"), pay("c1", 7, "2021-04-01")])
    published = json.loads(json.dumps(e.board.diff().updates))
    for messages in (published, [Message(u) for u in published]):
        fresh = Board(e.definition, e.catalogue)
        fresh.restore(messages)
        fresh.apply(e.store.everything())
        fresh.watermark(at("2021-06-01"))
        assert not fresh.diff()


def test_delta_between_whole_tables() -> None:
    def table(rows: list[tuple[str, int, float]]) -> dict[str, Any]:
        columns = {name: [row[i] for row in rows] for i, name in enumerate(("entity", "rank", "value"))}
        return {"ranking": "r", "period": "2021", "scope": None, "rows": columns}

    before, after = (
        table([("a", 1, 3.0), ("b", 2, 2.0), ("c", 3, 1.0)]),
        table([("a", 1, 3.0), ("d", 2, 2.5), ("b", 3, 2.0)]),
    )
    delta = delta_between(before, after)
    assert delta is not None
    assert delta["moved"] == {
        "entity": ["b", "c", "d"], "was": [2, 3, None], "rank": [3, None, 2], "value": [2.0, None, 2.5],
    }  # fmt: skip
    assert (delta["size"], delta["shifted"]) == (3, [])
    assert delta_between(after, after) is None
    assert delta_between(None, table([])) is None


def many(first: int, n: int) -> Changes:
    """One cell just below 10^15 in each of n partitions."""
    store = CellStore(catalogue())
    for p in range(first, first + n):
        store.apply(Partition(p), [["cells:2021Q1:c1", "pay/all", 10**15 - 1]])
    return store.everything()


@pytest.mark.parametrize("batch", [1, 1000, 18_447])  # 18,447 such cells wrap to nearly 0
def test_sums_beyond_the_exact_range_stop(batch: int) -> None:
    """Of 9,224 such cells the sum passes 2^63: it must not wrap silently, neither in one batch nor bit by bit."""
    board, changes, added = engine().board, many(0, batch), []

    def pile_up() -> None:
        while len(added) * batch < 20_000:
            added.append(batch)
            board.apply(changes)

    with pytest.raises(AmountOverflowError, match="reached 2\\^62"):
        pile_up()
    assert sum(added[1:]) * (10**15 - 1) < 2**62  # it stopped in the first batch that passed the bound


def test_shops_instead_of_cities() -> None:
    """Entities are data: shops of chains, a time zone with summer time, another base kind; no line of code knows."""
    shops = catalogue(
        cities=["shop-1", "shop-2", "shop-3"],
        groups={"chain:x": ("chain", ["shop-1", "shop-2"]), "all:w": ("all", ["shop-1", "shop-2", "shop-3"])},
        base_kind="shop",
        timezone="America/New_York",
        indicators={"sales": ("flow", "")},
    )
    text = toml(
        world(
            tree={"index": [("sales", 1.0)]}, base="2021", kinds=["chain", "all"], nation="all:w", grains=["year"],
            mean_yoy_from=None,
            rankings=[{"name": "shops", "rows": "shop", "measure": "share", "scope": "chain"}],
        )
    )  # fmt: skip
    store, board = CellStore(shops), Board(Definition.parse(text, shops), shops)
    board.apply(store.apply(P0, [[f"cells:2021:shop-{i}", "sales/all", i * 10] for i in (1, 2, 3)]))
    diff = board.diff()
    assert [(u["entity"], u["kind"]) for u in diff.updates] == [
        ("shop-1", "shop"), ("shop-2", "shop"), ("shop-3", "shop"), ("chain:x", "chain"), ("all:w", "all"),
    ]  # fmt: skip
    table = board.table(TableKey("shops", "2021", "chain:x"))
    assert table["rows"]["entity"] == ["shop-2", "shop-1"]
    assert table["rows"]["value"] == [pytest.approx(2 / 3), pytest.approx(1 / 3)]


@pytest.mark.parametrize(
    ("partitions", "watermark"),
    [
        ([], None), ([None, None], None), ([5, None, 3], 3), ([IDLE_US, 0], 0), ([IDLE_US + 1, 0], IDLE_US + 1),
        ([-5, -10], -10),
    ],
)  # fmt: skip
def test_watermark_of_a_system(partitions: list[int | None], watermark: int | None) -> None:
    assert system_watermark(partitions) == watermark
