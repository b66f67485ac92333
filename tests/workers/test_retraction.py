"""What a retraction sends, against a slow oracle: plain dicts that never held the events, periods by definition.

Logs are random: repeats, late events, corrections, restatements, rejects, levels, two partitions. The oracle shares
nothing with the product but the messages.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.catalogue import Permission
from index.periods import Period
from tests.shops import INDICATORS, LIMITS, shops
from tests.state.ledger import EPOCH, Event, Ledger, made_events
from tests.state.test_aggregates import Mirror
from workers.retraction.changes import DONE
from workers.retraction.ledger import Ledger as Selected
from workers.retraction.plan import Plan, make_plan
from workers.retraction.selection import LONGEST, SUFFIX, Selection, chain, compensator
from workers.verify.accept import Judge
from workers.verify.catalogue import parse_catalogue
from workers.verify.checks import Checks

PARTITIONS = (0, 1)
NOW_MS = 1_700_000_000_000
US = timedelta(microseconds=1)


def message(e: Event) -> bytes:
    """As a source sends it."""
    value = Decimal(e.value).scaleb(-INDICATORS[e.indicator][1])
    fields = {
        "source": e.source,
        "seq": e.seq,
        "city": e.city,
        "indicator": e.indicator,
        "industry": e.industry,
        "op": "drop" if e.drop else "set" if INDICATORS[e.indicator][0] == "stock" else "add",
        "at": (EPOCH + e.at_us * US).isoformat(),
        "period": e.period,
    }
    return json.dumps(fields, ensure_ascii=False).encode()[:-1] + f', "value": {value:f}}}'.encode()


def events_in(value: bytes) -> list[Event]:
    """What the workers read in a message of a plan."""
    out = []
    for each in json.loads(value, parse_float=Decimal, parse_int=Decimal):
        moment = datetime.fromisoformat(each["at"])
        units = Decimal(each["value"]).scaleb(INDICATORS[each["indicator"]][1])
        assert units == int(units)
        out.append(
            Event(
                each["source"],
                int(each["seq"]),
                each["city"],
                each["indicator"],
                each.get("industry", "all"),
                int(units),
                (moment - EPOCH) // US,
                each.get("period"),
                each["op"] == "drop",
            )
        )
    return out


class World:
    """Two partitions: the log, what of it was accepted, and what the oracle holds after it."""

    def __init__(self, sources: Any = ()) -> None:
        self.catalogue = shops(sources=tuple(sources)) if sources else shops()
        self.log: dict[int, list[bytes]] = {p: [] for p in PARTITIONS}
        self.ledgers = {p: Ledger() for p in PARTITIONS}
        self.mirrors = {p: Mirror(self.catalogue) for p in PARTITIONS}
        self.accepted: list[tuple[int, Event]] = []

    def send(self, partition: int, events: list[Event]) -> list[str]:
        """The outcomes; the workers' own sums agree with the oracle's."""
        outcomes = []
        for e in events:
            self.log[partition].append(message(e))
            outcomes.append(self.ledgers[partition].take(e))
            if outcomes[-1] == "accepted":
                self.accepted.append((partition, e))
        assert self.mirrors[partition].take(events) == outcomes
        self.mirrors[partition].holds(self.ledgers[partition])
        return outcomes

    def plan(self, selection: Selection) -> Plan:
        """What the command would send now."""
        return Reading(self, selection).plan()

    def retract(self, selection: Selection) -> Plan:
        """Plan and send: every event must be accepted, and a second run finds nothing that can be done."""
        plan = self.plan(selection)
        marks = {p: ledger.watermark_us for p, ledger in self.ledgers.items()}
        self.send_plan(plan)
        assert {p: ledger.watermark_us for p, ledger in self.ledgers.items()} == marks, "time does not move"
        again = self.plan(selection)
        assert not again.messages
        assert not again.of(DONE)
        return plan

    def send_plan(self, plan: Plan, *, alone: bool = True) -> None:
        """All of it is accepted. `alone`: nothing came in between, so it leaves what the plan says."""
        for partition, _, value in plan.messages:
            assert len(value) <= LIMITS.message_bytes
            events = events_in(value)
            assert set(self.send(partition, events)) == {"accepted"}
        for partition, rows in plan.cells.items() if alone else ():
            held = self.ledgers[partition].rows()
            for row, name, text in rows:
                assert held.get(row, {}).get(name, "") == text

    def without(self, gone: Callable[[Event], bool], first: int | None = None) -> World:
        """The sums of a world that accepted the same events but these; no window is asked again. `first`: of what was
        accepted behind so many events, only compensating ones are gone.
        """
        other = World()
        for i, (p, e) in enumerate(self.accepted):
            if not gone(e) or (first is not None and i >= first and SUFFIX not in e.source):
                ledger = other.ledgers[p]
                ledger.limits = msgspec.structs.replace(LIMITS, cell=10**15)
                ledger.sources = {}
                assert ledger.take(e) == "accepted"
        return other

    def level(self, city: str, indicator: str, industry: str, period: Period) -> int | None:
        """docs/formats.md section 3: of all partitions, own cell and parts, the latest."""
        found = [
            level
            for ledger in self.ledgers.values()
            for (name, *where), level in ledger.levels.items()
            if where == [city, indicator, industry]
            and period in Period.parse(name).ancestors()
            and level[3] is not None
        ]
        return max(found)[3] if found else None


class Reading:
    """What the command does with the log, which it reads on behind what it has sent."""

    def __init__(self, world: World, selection: Selection) -> None:
        known = parse_catalogue(json.loads(msgspec.json.encode(world.catalogue)))
        self._world, self._selected = world, Selected(selection)
        self._judges = {p: Judge(p, Checks(known), self._selected.accepted, ()) for p in PARTITIONS}
        self._at = dict.fromkeys(PARTITIONS, 0)
        self._read()

    def _read(self) -> None:
        for p, values in self._world.log.items():
            for offset in range(self._at[p], len(values)):
                self._judges[p].record(offset, NOW_MS, None, values[offset])
            self._at[p] = len(values)
        self._selected.take()

    def read_on(self) -> None:
        self._selected.closed = True
        self._read()

    def plan(self) -> Plan:
        plan = make_plan(self._selected, self._judges, NOW_MS)
        assert make_plan(self._selected, self._judges, NOW_MS) == plan, "planning changes nothing"
        return plan


def chosen(selection: Selection) -> Callable[[Event], bool]:
    """By the words of the command."""
    mine = chain(selection.source)
    begin, end = selection.begin_us, selection.end_us

    def takes(e: Event) -> bool:
        return (
            e.source in mine
            and selection.indicator in (None, e.indicator)
            and (begin is None or e.at_us >= begin)
            and (end is None or e.at_us < end)
        )

    return takes


def compare(world: World, plan: Plan, right: World) -> None:
    """Cells, day cells and levels of all periods are those of `right`, there or not; but for what the plan refuses."""
    refused = {(row.city, row.indicator, row.industry, row.period) for row in plan.refused}
    for p in PARTITIONS:
        held, wanted = world.ledgers[p], right.ledgers[p]
        for period, *where in held.cells.keys() | wanted.cells.keys():
            if (*where, period) not in refused:
                key = (period, *where)
                assert held.cells.get(key) == wanted.cells.get(key), key
        if not refused:
            assert held.days == wanted.days
    for where in {(c, i, n) for ledger in world.ledgers.values() for _, c, i, n in ledger.levels}:
        named = {Period.parse(key[0]) for ledger in world.ledgers.values() for key in ledger.levels if key[1:] == where}
        for period in {each for own in named for each in own.ancestors()}:
            assert world.level(*where, period) == right.level(*where, period), (where, period)


def drawn(random: Random, accepted: list[tuple[int, Event]]) -> Selection:
    """Of a source; often all of it, often a part that cuts days in two."""
    times = sorted(random.choice(accepted)[1].at_us + random.choice([0, 1]) for _ in range(2)) if accepted else [0, 1]
    begin, end = random.choice([(None, None), (None, None), (times[0], None), (None, times[1]), (times[0], times[1])])
    return Selection("pay", random.choice([None, None, *INDICATORS]), begin, end)


SIZES = [100, LIMITS.cell // 10, LIMITS.cell - 1]


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, *SIZES]), st.sampled_from([0.0, 0.2]))
@settings(max_examples=60)
def test_everything_ends_as_if_the_events_had_never_been_sent(seed: int, size: int, drops: float):
    """With sums of 0 in plenty, and drops of everybody."""
    random, world = Random(seed), World()
    for p in PARTITIONS:
        world.send(p, made_events(random, random.choice([5, 30, 100]), size=size, drops=drops))
    selection = drawn(random, world.accepted)
    gone = chosen(selection)
    before = list(world.accepted)
    plan = world.retract(selection)
    right = world.without(gone)
    compare(world, plan, right)
    assert plan.events <= sum(gone(e) for _, e in before)
    if size <= SIZES[0]:
        assert not plan.refused


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 100]), st.sampled_from([0.0, 0.2]))
@settings(max_examples=25)
def test_overlapping_retractions_and_taking_them_back(seed: int, size: int, drops: float):
    """Parts of a source in any order, while it goes on sending; a retraction taken back, and done again."""
    random, world = Random(seed), World()
    first = 0
    for _ in range(3):
        for p in PARTITIONS:
            world.send(p, made_events(random, 20, size=size, first_seq=first, drops=drops))
        first += 1000
        selection = drawn(random, world.accepted)
        plan = world.retract(selection)
        compare(world, plan, world.without(chosen(selection)))
    whole = Selection("pay")
    compare(world, world.retract(whole), world.without(chosen(whole)))
    undo = Selection("pay/retract")
    compare(world, world.retract(undo), world.without(chosen(undo)))
    compare(world, world.retract(whole), world.without(chosen(whole)))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3]))
@settings(max_examples=40)
def test_what_others_send_between_the_reading_and_the_transaction(seed: int, drops: float):
    """Sums of 0, drops and levels of anybody, the source itself too: mended behind the transaction, again and again."""
    random, world = Random(seed), World()
    for p in PARTITIONS:
        world.send(p, made_events(random, 25, size=1, drops=drops))
    selection = drawn(random, world.accepted)
    first, reading, gone = len(world.accepted), Reading(world, selection), chosen(selection)
    plan = reading.plan()
    for between in 1000, 2000, None:
        if between is not None:
            for p in PARTITIONS:
                world.send(p, made_events(random, 15, size=1, drops=drops, first_seq=between))
        world.send_plan(plan, alone=between is None)
        reading.read_on()
        plan = reading.plan()
    assert not plan.messages
    compare(world, plan, world.without(gone, first))
    compare(world, world.retract(selection), world.without(gone))


NOON_US = 1_656_583_200_000_000  # 2022-06-30T12:00 in Berlin
DAY_US = 86_400_000_000


def visits(value: int, seq: int, source: str = "pay", **changes: Any) -> Event:
    return Event(source, seq, "anna", "till.visits", "all", value, NOON_US)._replace(**changes)


def staff(value: int, seq: int, source: str = "pay", **changes: Any) -> Event:
    return Event(source, seq, "anna", "staff", "all", value, NOON_US)._replace(**changes)


def test_a_flow_by_hand():
    """Accepted once each; what names its period leaves the days alone."""
    world = World()
    world.send(0, [visits(7, 1), visits(7, 1), visits(5, 2, "other"), visits(3, 2, period="2022Q2"), visits(10**6, 3)])
    plan = world.retract(Selection("pay"))
    [(partition, key, value)] = plan.messages
    assert (partition, key) == (0, "anna")
    assert json.loads(value) == [
        {
            **{"source": "pay/retract", "seq": 1, "city": "anna", "indicator": "till.visits", "op": "add"},
            **{"value": -7, "at": "2022-06-30T10:00:00Z"},
        },
        {
            **{"source": "pay/retract", "seq": 2, "city": "anna", "indicator": "till.visits", "op": "add"},
            **{"value": -3, "at": "2022-06-30T10:00:00Z", "period": "2022Q2"},
        },
        {
            **{"source": "pay/retract", "seq": 3, "city": "anna", "indicator": "till.visits", "op": "drop"},
            **{"value": 0, "at": "2022-06-30T10:00:00Z", "period": "2022Q2"},
        },
    ]
    assert [(r.period, r.events, r.now, r.after, r.outcome) for r in plan.rows] == [
        ("2022-06", 1, 12, 5, DONE),
        ("2022Q2", 1, 3, None, DONE),
    ]


def test_decimals_are_digits():
    world = World()
    event = Event("pay", 1, "anna", "till.sales", "bread", -125_075, NOON_US)
    fine = Event("pay", 2, "anna", "till.fine", "all", 1, NOON_US)
    world.send(0, [event, fine])
    [(_, _, value)] = world.retract(Selection("pay")).messages
    assert b'"value":1250.75,' in value
    assert b'"value":-0.000000001,' in value


def test_a_level_is_set_again_at_the_time_of_the_wrong_one():
    world = World()
    world.send(0, [staff(40, 1, "other", at_us=NOON_US - DAY_US), staff(99, 1), staff(98, 2, at_us=NOON_US - 1)])
    plan = world.retract(Selection("pay"))
    [(_, _, value)] = plan.messages
    [sent] = json.loads(value)
    assert (sent["op"], sent["value"], sent["at"], sent["period"]) == ("set", 4.0, "2022-06-30T10:00:00Z", "2022-06")
    # A late report behind the one that was set again: the same command puts it right.
    world.send(0, [staff(50, 2, "other", at_us=NOON_US - 1000)])
    compare(world, world.retract(Selection("pay")), world.without(chosen(Selection("pay"))))
    assert world.level("anna", "staff", "all", Period.parse("2022")) == 50


def test_a_level_that_nobody_else_has_named_is_dropped():
    """The quarter then has that of May."""
    world = World()
    world.send(0, [staff(40, 1, "other", at_us=NOON_US - 40 * DAY_US), staff(99, 1)])
    plan = world.retract(Selection("pay"))
    assert [(r.period, r.now, r.after, r.outcome) for r in plan.rows] == [
        ("2022-06", 99, None, DONE),
    ]
    assert world.level("anna", "staff", "all", Period.parse("2022-06")) is None
    for name in "2022Q2", "2022H1", "2022":
        assert world.level("anna", "staff", "all", Period.parse(name)) == 40


def test_a_level_moved_in_time_covers_no_level_of_a_longer_period():
    """The quarter's own level lies between the right one of June and the wrong one."""
    world = World()
    quarter = staff(60, 2, "other", at_us=NOON_US - DAY_US, period="2022Q2")
    world.send(0, [staff(40, 1, "other", at_us=NOON_US - 2 * DAY_US), quarter, staff(99, 1)])
    plan = world.retract(Selection("pay"))
    assert [(r.period, r.after) for r in plan.rows] == [("2022-06", 40), ("2022Q2", 60)]
    compare(world, plan, world.without(chosen(Selection("pay"))))


def test_a_level_of_another_partition():
    world = World()
    world.send(0, [staff(99, 1)])
    world.send(1, [staff(40, 1, "other", at_us=NOON_US - DAY_US)])
    compare(world, world.retract(Selection("pay")), world.without(chosen(Selection("pay"))))
    assert world.level("anna", "staff", "all", Period.parse("2022-06")) == 40


def test_a_sum_beyond_an_event_is_sent_in_parts_and_in_an_order_that_fits():
    world = World()
    most = LIMITS.cell - 1
    world.send(0, [visits(most, 1), visits(-most, 2, "other"), visits(most, 3), visits(-most, 4, "other")])
    plan = world.retract(Selection("pay"))
    assert [row.outcome for row in plan.rows] == ["overflow"], "without them the sum was never allowed"
    assert not plan.messages
    world.send(0, [visits(most, 5, "other")])
    plan = world.retract(Selection("pay"))
    assert plan.compensating == 2
    compare(world, plan, world.without(chosen(Selection("pay"))))


def test_who_may_not_write_is_told():
    """As with dead letters that are replayed, the source is one as any other: a pattern of the catalogue may hold."""
    world = World([Permission("*", "till.sales"), Permission("pay", "till.visits")])
    world.send(0, [visits(7, 1), Event("pay", 2, "anna", "till.sales", "tea", 9, NOON_US)])
    plan = world.retract(Selection("pay"))
    assert [(row.indicator, row.outcome) for row in plan.rows] == [("till.sales", DONE), ("till.visits", "not-allowed")]
    assert plan.compensating == 2


@pytest.mark.parametrize("length", [1, LONGEST - 8, LONGEST - 7, LONGEST])
def test_sources_of_any_length(length: int):
    """The longest names cannot be lengthened: they are replaced, and a level wins by a microsecond."""
    source = "\U0001f30a" * length
    assert len(compensator(source)) <= LONGEST
    assert len(set(chain(source))) == len(chain(source))
    world = World()
    world.send(0, [staff(40, 1, "other", at_us=NOON_US - DAY_US), staff(99, 1, source), visits(7, 2, source)])
    plan = world.plan(Selection(source))
    for partition, _, value in plan.messages:
        assert set(world.send(partition, events_in(value))) == {"accepted"}
    assert not world.plan(Selection(source)).messages
    compare(world, plan, world.without(chosen(Selection(source))))
    assert world.level("anna", "staff", "all", Period.parse("2022")) == 40
