"""A retraction that leaves nothing behind, by hand: which cells, day cells and levels end, which stay with 0."""

from __future__ import annotations

import json
from typing import Any

from index.periods import Period
from tests.state.ledger import Event
from tests.workers.test_retraction import DAY_US, NOON_US, Reading, World, chosen, compare, staff, visits
from workers.retraction.plan import Plan
from workers.retraction.selection import Selection

PAY = Selection("pay")


def ops(plan: Plan) -> list[tuple[str, float, str | None, str]]:
    """Op, value, period and industry of what is sent."""
    sent = [each for message in plan.messages for each in json.loads(message.value)]
    return [(each["op"], each["value"], each.get("period"), each.get("industry", "all")) for each in sent]


def sale(value: int, seq: int, source: str = "pay", **changes: Any) -> Event:
    return Event(source, seq, "anna", "till.sales", "bread", 100 * value, NOON_US)._replace(**changes)


def test_what_only_the_source_wrote() -> None:
    world = World()
    world.send(0, [visits(7, 1), visits(2, 2, at_us=NOON_US - DAY_US), visits(4, 3, period="2022"), staff(9, 4)])
    plan = world.retract(PAY)
    assert [op for op in ops(plan) if op[0] == "drop"] == [
        ("drop", 0, "2022-06", "all"),  # the level
        ("drop", 0, None, "all"),
        ("drop", 0, None, "all"),
        ("drop", 0, "2022", "all"),
    ]
    assert world.ledgers[0].cells == world.ledgers[0].days == {}
    assert world.level("anna", "staff", "all", Period.parse("2022")) is None


def test_a_day_that_others_wrote_in_another_industry_stays() -> None:
    world = World()
    world.send(0, [sale(7, 1), sale(5, 2, "other", industry="tea"), sale(-5, 3, "other", industry="tea")])
    plan = world.retract(PAY)
    assert ops(plan) == [("add", -7.0, None, "bread"), ("drop", 0.0, "2022-06", "bread")]
    compare(world, plan, world.without(chosen(PAY)))
    assert world.ledgers[0].days == {("2022-06", "anna", "till.sales", "2022-06-30"): 0}


def test_a_month_that_others_wrote_on_another_day_stays_with_0() -> None:
    """The drop of the day takes the month along, and an `add` of 0 brings it back."""
    world = World()
    world.send(0, [visits(7, 1), visits(0, 2, "other", at_us=NOON_US - DAY_US)])
    plan = world.retract(PAY)
    assert ops(plan) == [("add", -7, None, "all"), ("drop", 0, None, "all"), ("add", 0, "2022-06", "all")]
    compare(world, plan, world.without(chosen(PAY)))


def test_what_an_earlier_version_left_at_0_ends() -> None:
    """Its retraction sent the sums only."""
    world = World()
    world.send(0, [visits(7, 1), visits(-7, 1, "pay/retract")])
    assert ops(world.retract(PAY)) == [("drop", 0, None, "all")]
    assert world.ledgers[0].cells == world.ledgers[0].days == {}


def test_drops_that_were_sent_wrongly_are_taken_back() -> None:
    """Of a sum of 0, and of a level."""
    world = World()
    world.send(0, [visits(0, 1, "other"), visits(0, 1, drop=True)])
    world.send(1, [staff(40, 1, "other"), staff(0, 2, at_us=NOON_US + 1, drop=True)])
    assert world.level("anna", "staff", "all", Period.parse("2022")) is None
    plan = world.retract(PAY)
    assert ops(plan) == [("set", 4.0, "2022-06", "all"), ("add", 0, None, "all")]
    compare(world, plan, world.without(chosen(PAY)))


def test_a_level_below_what_somebody_else_has_dropped() -> None:
    """The quarter has no level of its own, said later than all; what is set there must win over that."""
    world = World()
    gone = staff(0, 3, "other", period="2022Q2", at_us=NOON_US + DAY_US, drop=True)
    march = staff(30, 1, "other", at_us=NOON_US - 100 * DAY_US)
    may = staff(50, 2, "other", at_us=NOON_US - 40 * DAY_US)
    april = staff(20, 4, "zz", at_us=NOON_US - 50 * DAY_US, period="2022-06")
    world.send(0, [march, may, gone, april, staff(99, 1)])
    compare(world, world.retract(PAY), world.without(chosen(PAY)))
    assert world.level("anna", "staff", "all", Period.parse("2022Q2")) == 50


def test_others_add_up_to_0_between_the_reading_and_the_transaction() -> None:
    """The drop ends what is theirs now; it is brought back."""
    world = World()
    world.send(0, [visits(7, 1)])
    reading = Reading(world, PAY)
    plan = reading.plan()
    world.send(0, [visits(5, 1, "other"), visits(-5, 2, "other")])
    world.send_plan(plan, alone=False)
    assert world.ledgers[0].cells == {}
    reading.read_on()
    plan = reading.plan()
    assert ops(plan) == [("add", 0, None, "all")]
    world.send_plan(plan)
    reading.read_on()
    assert not reading.plan().rows
    compare(world, plan, world.without(chosen(PAY)))
    assert list(world.ledgers[0].cells.values()) == list(world.ledgers[0].days.values()) == [0]


def test_what_the_source_itself_sends_meanwhile_is_not_taken_back() -> None:
    world = World()
    world.send(0, [visits(7, 1)])
    reading = Reading(world, PAY)
    plan = reading.plan()
    world.send(0, [visits(3, 2), visits(-3, 3)])
    world.send_plan(plan, alone=False)
    reading.read_on()
    world.send_plan(reading.plan())
    assert list(world.ledgers[0].cells.values()) == [0]
    assert ops(world.retract(PAY)) == [("drop", 0, None, "all")]


def test_a_level_that_comes_meanwhile() -> None:
    """Earlier than the wrong one, so that the one that was set again covers it."""
    world = World()
    world.send(0, [staff(40, 1, "other", at_us=NOON_US - DAY_US), staff(99, 1)])
    reading = Reading(world, PAY)
    plan = reading.plan()
    world.send(0, [staff(50, 2, "other", at_us=NOON_US - 1)])
    world.send_plan(plan, alone=False)
    assert world.level("anna", "staff", "all", Period.parse("2022")) == 40
    reading.read_on()
    world.send_plan(reading.plan())
    assert world.level("anna", "staff", "all", Period.parse("2022")) == 50
