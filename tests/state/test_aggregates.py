"""One partition's cells in memory: any batching gives what plain dicts of integers give, event by event."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.catalogue import Catalogue, Entity, Indicator, Industry
from index.periods import Grain, Period
from state.aggregates import OVERFLOW, Aggregates
from state.errors import CorruptStateError
from state.flush import FlushBatch
from state.keys import Offset, Partition
from state.packing import NO_PERIOD, pack_period, unpack_period
from state.sequence import Verdict
from state.snapshot import Snapshot
from state.valid import Valid
from tests.shops import INDICATORS, LIMITS, SHOPS, shops
from tests.state.ledger import Event, Ledger, made_events

OUTCOMES = {
    int(Verdict.NEW): "accepted",
    int(Verdict.DUPLICATE): "duplicate",
    int(Verdict.STALE): "stale-sequence",
    int(Verdict.BAD): "bad-sequence",
    OVERFLOW: "overflow",
}


class Mirror:
    """`Aggregates` with what a flush would have written to Redis, so that it can be made anew from there."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.rows: dict[str, dict[str, str]] = {}
        self.windows: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.watermark_us: int | None = None
        self.offset = Offset(0)
        self.last_rows: list[list[str | int]] = []  # of the last flush
        self.restore(catalogue)

    def restore(self, catalogue: Catalogue) -> None:
        """What a worker does that takes the partition over."""
        self.catalogue = catalogue
        rows = {row: [text for pair in fields.items() for text in pair] for row, fields in self.rows.items()}
        snapshot = Snapshot(Partition(0), self.offset, self.watermark_us, 1, None, self.windows, self.counts, rows)
        self.aggregates = Aggregates(catalogue, snapshot)

    def take(self, events: Sequence[Event]) -> list[str]:
        """One batch: combined and flushed; the outcome of each event."""
        outcome, rows = self.aggregates.combine(valid(self.catalogue, events))
        self.last_rows = rows
        assert len({row[0] for row in rows}) == len(rows), "a row is named once in a flush"
        self.flushed(self.aggregates.flush_batch(Offset(self.offset + 1), rows))
        told = [OUTCOMES[int(verdict)] for verdict in outcome.verdict]
        assert (outcome.accepted, outcome.duplicates) == (told.count("accepted"), told.count("duplicate"))
        return told

    def flushed(self, batch: FlushBatch) -> None:
        """What Redis does with a flush."""
        assert batch.start == self.offset < batch.end
        self.offset, self.watermark_us, self.counts = batch.end, batch.watermark_us, json.loads(batch.counts)
        for row, *fields in json.loads(batch.rows):
            assert len(set(fields[::2])) * 2 == len(fields), "a field is named once in its row"
            held = self.rows.setdefault(row, {}) | dict(zip(fields[::2], map(str, fields[1::2]), strict=True))
            self.rows[row] = {field: text for field, text in held.items() if text}
            if not self.rows[row]:
                del self.rows[row]
        windows = json.loads(batch.windows)
        self.windows.update(zip(windows[::2], windows[1::2], strict=True))

    def holds(self, ledger: Ledger) -> None:
        """Everything is as the oracle says."""
        assert self.rows == ledger.rows()
        assert self.windows == ledger.windows()
        assert self.counts == dict(ledger.counts)
        assert self.watermark_us == ledger.watermark_us


def valid(catalogue: Catalogue, events: Sequence[Event]) -> Valid:
    """Columns of `events`, as the checks against the catalogue would hand them over."""
    sources = sorted({e.source for e in events})
    places = [catalogue.indicator_index[e.indicator] for e in events]
    industries = [catalogue.industry_index[i][e.industry] for i, e in zip(places, events, strict=True)]
    return Valid(
        sources=sources,
        source=np.array([sources.index(e.source) for e in events], dtype=np.int32),
        seq=np.array([e.seq for e in events], dtype=np.int64),
        city=np.array([catalogue.city_index[e.city] for e in events], dtype=np.int32),
        indicator=np.array(places, dtype=np.int32),
        industry=np.array(industries, dtype=np.int32),
        value=np.array([e.value for e in events], dtype=np.int64),
        at_us=np.array([e.at_us for e in events], dtype=np.int64),
        day=np.array([np.datetime64(e.date).astype(int) for e in events], dtype=np.int32),
        period=np.array(
            [NO_PERIOD if e.period is None else pack_period(Period.parse(e.period)) for e in events], dtype=np.int32
        ),
        drop=np.array([e.drop for e in events], dtype=np.bool_) if any(e.drop for e in events) else None,
    )


# --- properties -------------------------------------------------------------------------------------------------------

# Far below the bound of a cell; a tenth of it, so that sums decide; and so much that hardly two fit into one.
SIZES = [100, LIMITS.cell // 10, LIMITS.cell - 1]


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, *SIZES]), st.booleans(), st.sampled_from([0.0, 0.3]))
@settings(max_examples=80)
def test_any_batching_gives_what_the_oracle_gives(seed: int, size: int, restored: bool, drops: float):
    random, ledger, mirror = Random(seed), Ledger(), Mirror(shops())
    n, first_seq = random.choice([10, 60, 200]), random.choice([0, 10**6, 2**62])
    events = made_events(random, n, size=size, first_seq=first_seq, drops=drops)
    while events:
        n = random.choice([1, 2, 10, 100])
        batch, events = events[:n], events[n:]
        assert mirror.take(batch) == [ledger.take(e) for e in batch]
        mirror.holds(ledger)
        if restored and random.random() < 0.5:
            mirror.restore(shops())


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_the_order_of_sources_changes_no_sum(seed: int):
    """Addition commutes: what two sources send may interleave in any way, as long as no cell leaves its bound."""
    random = Random(seed)
    events = [e for e in made_events(random, 100, size=100) if INDICATORS[e.indicator][0] == "flow"]
    one = [e._replace(source=f"{e.source}-1", seq=i) for i, e in enumerate(events)]
    two = [e._replace(source=f"{e.source}-2", seq=i) for i, e in enumerate(events)]
    apart, mixed = Mirror(shops()), Mirror(shops())
    apart.take([*one, *two])
    mixed.take([e for pair in zip(two, one, strict=True) for e in pair])
    assert apart.rows == mixed.rows


# --- by hand ----------------------------------------------------------------------------------------------------------

NOON_US = 1_656_583_200_000_000  # 2022-06-30T12:00 in Berlin
SALE = Event("pay", 1, "anna", "till.sales", "bread", 1250, NOON_US)
VISIT = Event("pay", 1, "anna", "till.visits", "all", 7, NOON_US)
STAFF = Event("pay", 1, "anna", "staff", "all", 40, NOON_US)
DAY_US = 86_400_000_000


def test_a_flow_goes_to_its_month_and_its_day():
    mirror = Mirror(shops())
    mirror.take([SALE, SALE._replace(seq=2, industry="milk", value=-50), SALE._replace(seq=3, at_us=NOON_US - DAY_US)])
    assert mirror.rows == {
        "cells:2022-06:anna": {"till.sales/bread": "2500", "till.sales/milk": "-50"},
        "days:2022-06:anna": {"till.sales@2022-06-30": "1200", "till.sales@2022-06-29": "1250"},
    }


def test_a_restatement_has_no_day():
    mirror = Mirror(shops())
    mirror.take([SALE._replace(period="2022Q1"), VISIT._replace(seq=2, period="2022-06"), VISIT._replace(seq=3)])
    assert mirror.rows == {
        "cells:2022Q1:anna": {"till.sales/bread": "1250"},
        "cells:2022-06:anna": {"till.visits/all": "14"},
        "days:2022-06:anna": {"till.visits@2022-06-30": "7"},
    }
    assert mirror.watermark_us == NOON_US


def test_the_month_is_the_local_one():
    mirror = Mirror(shops())
    midnight_us = 1_656_626_400_000_000  # 2022-07-01T00:00 in Berlin, still June in UTC
    mirror.take([VISIT._replace(at_us=midnight_us), VISIT._replace(seq=2, at_us=midnight_us - 1)])
    assert set(mirror.rows) == {"cells:2022-07:anna", "days:2022-07:anna", "cells:2022-06:anna", "days:2022-06:anna"}


def level(mirror: Mirror) -> str:
    return mirror.rows["cells:2022-06:anna"]["staff/all"]


LEVELS = [
    STAFF._replace(value=10, at_us=NOON_US - 1),
    STAFF._replace(value=20, source="pay", seq=9),
    STAFF._replace(value=30, source="pay", seq=10),
    STAFF._replace(value=40, source="till", seq=1),
    STAFF._replace(value=50, source="till", seq=2),
    STAFF._replace(value=60, source="城", seq=0),  # by code point, so behind all ASCII
    STAFF._replace(value=70, source="Z", seq=0, at_us=NOON_US + 1),
]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("turn", range(len(LEVELS)))
def test_of_levels_the_latest_counts_then_the_source_then_the_number(turn: int, together: bool):
    order = [*LEVELS[turn:], *LEVELS[:turn]] if turn % 2 else [*LEVELS[turn::-1], *LEVELS[turn + 1 :]]
    mirror, taken = Mirror(shops()), []
    for event in order:
        if not together:
            mirror.take([event])
            mirror.restore(shops())
            best = max((*taken, event), key=lambda e: (e.at_us, e.source, e.seq))
            assert level(mirror) == f"{best.value} {best.at_us} {best.seq} {best.source}"
        taken.append(event)
    if together:
        mirror.take(order)
    assert level(mirror) == f"70 {NOON_US + 1} 0 Z"
    assert mirror.counts == {"accepted": len(LEVELS)}
    assert mirror.rows.keys() == {"cells:2022-06:anna"}, "a level has no day cell"


def test_a_level_that_is_not_the_latest_writes_nothing():
    mirror = Mirror(shops())
    mirror.take([STAFF])
    outcome, rows = mirror.aggregates.combine(valid(shops(), [STAFF._replace(seq=2, at_us=NOON_US - 1)]))
    assert (outcome.accepted, rows) == (1, [])


TOP = LIMITS.cell - 1


def test_an_overflow_is_refused_without_a_mark():
    """The number that was refused may come again, with what fits; so may the cell be filled to its bound exactly."""
    mirror = Mirror(shops())
    assert mirror.take([VISIT._replace(value=TOP), VISIT._replace(seq=2, value=1)]) == ["accepted", "overflow"]
    assert mirror.windows == {"pay": "1:1"}
    assert mirror.take([VISIT._replace(seq=2, value=0)]) == ["accepted"]
    assert mirror.take([VISIT._replace(seq=i, value=-TOP) for i in (3, 4, 5)]) == ["accepted", "accepted", "overflow"]
    assert mirror.rows["cells:2022-06:anna"]["till.visits/all"] == str(-TOP)


def test_of_two_that_overflow_together_the_first_counts():
    mirror = Mirror(shops())
    half = LIMITS.cell // 2
    events = [VISIT._replace(seq=i, value=half) for i in (1, 2, 2, 3)] + [VISIT._replace(seq=4, value=-1)]
    assert mirror.take(events) == ["accepted", "overflow", "overflow", "overflow", "accepted"]
    assert mirror.take([VISIT._replace(seq=2, value=half)]) == ["accepted"]
    assert mirror.rows["cells:2022-06:anna"]["till.visits/all"] == str(TOP)


def test_a_duplicate_stays_a_duplicate_where_it_would_overflow():
    mirror = Mirror(shops())
    full = VISIT._replace(value=TOP)
    assert mirror.take([full, full, full._replace(seq=2), full]) == ["accepted", "duplicate", "overflow", "duplicate"]


def test_the_day_cell_has_a_bound_of_its_own():
    """All industries of a day come together in one day cell, although each cell is small."""
    mirror = Mirror(shops())
    parts = [SALE._replace(seq=i, industry=code, value=TOP // 2) for i, code in enumerate(("bread", "milk", "tea"))]
    assert mirror.take(parts) == ["accepted", "accepted", "overflow"]
    assert mirror.take([parts[2]._replace(period="2022-06")]) == ["accepted"], "a restatement has no day cell"
    assert mirror.take([parts[2]._replace(seq=3, at_us=NOON_US - DAY_US)]) == ["accepted"]


def test_a_level_may_stand_at_the_bound_and_adds_nothing_up():
    mirror = Mirror(shops())
    assert mirror.take([STAFF._replace(seq=i, value=TOP) for i in range(5)]) == ["accepted"] * 5


def test_the_widest_bound():
    """10^15 - 1 units to and fro, in all far beyond an int64: none is refused, and the last unit is right."""
    limits = {"limits": type(LIMITS)(cell=10**15)}
    catalogue, big = shops(**limits), 10**15 - 1
    mirror, ledger = Mirror(catalogue), Ledger(limits["limits"])
    events = [VISIT._replace(seq=i, value=big if i % 2 else -big) for i in range(10_001)]
    assert mirror.take(events) == [ledger.take(e) for e in events] == ["accepted"] * len(events)
    mirror.holds(ledger)
    assert mirror.rows["cells:2022-06:anna"]["till.visits/all"] == str(-big)


def test_an_empty_batch_moves_the_offset_only():
    mirror = Mirror(shops())
    assert mirror.take([]) == []
    assert (mirror.offset, mirror.rows, mirror.windows, mirror.counts) == (1, {}, {}, {})


def test_rejects_are_counted_by_reason():
    aggregates = Mirror(shops()).aggregates
    aggregates.reject("malformed")
    aggregates.reject("too-large", 2)
    aggregates.reject("malformed")
    assert json.loads(aggregates.flush_batch(Offset(1), []).counts) == {
        "rejected:malformed": 2,
        "rejected:too-large": 2,
    }


def test_a_window_is_written_when_it_moved():
    aggregates = Mirror(shops()).aggregates
    aggregates.combine(valid(shops(), [SALE]))
    assert json.loads(aggregates.flush_batch(Offset(1), []).windows) == ["pay", "1:1"]
    aggregates.combine(valid(shops(), [SALE]))
    assert json.loads(aggregates.flush_batch(Offset(2), []).windows) == []


# --- another catalogue over the same cells ----------------------------------------------------------------------------


def some_rows(mirror: Mirror) -> None:
    """Every indicator and two industries, in one row; and another shop."""
    events = []
    for code, (_, _, industries) in INDICATORS.items():
        for industry in ("bread", "milk") if industries else ("all",):
            for city in SHOPS[:2]:
                events.append(Event("pay", len(events), city, code, industry, 100 + len(events), NOON_US))
    assert set(mirror.take(events)) == {"accepted"}


def test_a_shop_that_is_gone_keeps_its_cells():
    """No event can touch them any more; they stay as they are, and the others go on from where they stood."""
    mirror = Mirror(shops())
    some_rows(mirror)
    before = {row: dict(fields) for row, fields in mirror.rows.items()}
    streets = {"street:north": ("bert:2",), "street:south": ("carl.x", "dora")}
    entities = (*(Entity(s, "shop", s) for s in SHOPS[1:]), *(Entity(s, "street", s) for s in streets))
    mirror.restore(shops(2, entities=entities, members=streets))
    mirror.take([VISIT._replace(city="bert:2", seq=1000, value=1)])
    changed = {row: fields for row, fields in mirror.rows.items() if fields != before[row]}
    assert changed.keys() == {"cells:2022-06:bert:2", "days:2022-06:bert:2"}
    for row, field in (("cells:2022-06:bert:2", "till.visits/all"), ("days:2022-06:bert:2", "till.visits@2022-06-30")):
        assert int(mirror.rows[row][field]) == int(before[row][field]) + 1


@pytest.mark.parametrize("gone", INDICATORS)
def test_an_indicator_that_is_gone_takes_no_other_with_it(gone: str):
    """Its field may stand anywhere in a row: the cells beside it are still added to."""
    mirror = Mirror(shops())
    some_rows(mirror)
    before = {row: dict(fields) for row, fields in mirror.rows.items()}
    kept = tuple(i for i in shops().indicators if i.code != gone)
    sources = tuple(p for p in shops().sources if p.indicator != gone)
    mirror.restore(shops(2, indicators=kept, sources=sources))
    for i, indicator in enumerate(kept):
        if indicator.kind == "flow":
            industry = "milk" if indicator.industries else "all"
            mirror.take([Event("pay", 1000 + i, "anna", indicator.code, industry, 1, NOON_US)])
            for row, field in (("cells", f"{indicator.code}/{industry}"), ("days", f"{indicator.code}@2022-06-30")):
                row = f"{row}:2022-06:anna"
                assert int(mirror.rows[row][field]) == int(before[row][field]) + 1, field


def test_an_industry_that_is_gone_takes_no_other_with_it():
    mirror = Mirror(shops())
    some_rows(mirror)
    before = dict(mirror.rows["cells:2022-06:anna"])
    mirror.restore(shops(2, industries=(Industry("goods", "tea", "tea"), Industry("goods", "milk", "milk"))))
    mirror.take([SALE._replace(seq=1000, industry="milk", value=1), VISIT._replace(seq=1001, value=1)])
    after = mirror.rows["cells:2022-06:anna"]
    assert int(after["till.sales/milk"]) == int(before["till.sales/milk"]) + 1
    assert int(after["till.visits/all"]) == int(before["till.visits/all"]) + 1
    assert after["till.sales/bread"] == before["till.sales/bread"]


def test_an_older_level_does_not_win_when_its_neighbour_is_gone():
    mirror = Mirror(shops())
    some_rows(mirror)
    mirror.restore(shops(2, indicators=tuple(i for i in shops().indicators if i.code != "till.sales"), sources=()))
    held = level(mirror)
    mirror.take([STAFF._replace(seq=1000, at_us=NOON_US - 1, value=1)])
    assert level(mirror) == held


def test_new_shops_and_indicators_move_the_numbers_of_the_others():
    """Positions in the catalogue are never stored: codes are."""
    mirror = Mirror(shops())
    some_rows(mirror)
    before = int(mirror.rows["cells:2022-06:bert:2"]["till.visits/all"])
    entities = (Entity("aaa", "shop", "a"), *shops().entities)
    indicators = (Indicator("first", "first", "", "stock", "", 0), *reversed(shops().indicators))
    mirror.restore(shops(2, entities=entities, indicators=indicators))
    mirror.take([VISIT._replace(city="bert:2", seq=1000, value=1)])
    assert int(mirror.rows["cells:2022-06:bert:2"]["till.visits/all"]) == before + 1


# --- what cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "field", "text"),
    [
        ("cells:2022-06:anna", "till.visits/all", "seven"),
        ("cells:2022-06:anna", "till.visits/all", "7.0"),
        ("cells:2022-06:anna", "staff/all", "7"),
        ("cells:2022-06:anna", "staff/all", "7 8 9"),
        ("cells:2022-13:anna", "till.visits/all", "7"),
        ("days:2022-06:anna", "till.visits@2022-06-31", "7"),
        ("days:2022-06:anna", "till.visits@yesterday", "7"),
        ("days:2022-06:anna", "till.visits@2022-06-30", ""),
        ("cells", "till.visits/all", "7"),
    ],
)
def test_what_cannot_be_read_is_named(row: str, field: str, text: str):
    mirror = Mirror(shops())
    mirror.rows = {row: {field: text}}
    with pytest.raises(CorruptStateError, match=row):
        mirror.restore(shops())


@pytest.mark.parametrize("name", ["1970", "2022", "2022H1", "2022Q4", "2022-12", "2999-12", "9999-12"])
def test_a_period_is_packed_and_unpacked(name: str):
    packed = pack_period(Period.parse(name))
    assert unpack_period(packed).name == name
    assert 0 <= packed < 1 << 19
    assert Period.parse(name).grain in Grain
