"""The checks against a catalogue (docs/formats.md section 2, steps 3 to 12): every outcome is that of a slow oracle."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stream.validate
from state.aggregates import NO_PERIOD, unpack_period
from stream.events import Event, columns
from stream.reasons import MALFORMED_TIME, NO_REASON, Reason
from stream.validate import Checked, Validator
from tests.shops import GOODS, INDICATORS, LIMITS, SHOPS, shops

BERLIN = ZoneInfo("Europe/Berlin")
NOW_MS = int(datetime(2022, 6, 30, 12, tzinfo=UTC).timestamp() * 1000)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
USUAL = Event("pay", 1, "anna", "till.sales", "add", 12.5, "2022-06-30T12:00:00+02:00", "bread")


# --- the oracle: one event, check after check -------------------------------------------------------------------------


class Passed(NamedTuple):
    """What an event that passed says."""

    source: str
    city: str
    indicator: str
    industry: str
    units: int
    at_us: int
    day: date
    period: str | None
    drop: bool


def may_write(source: str, indicator: str) -> bool:
    """The four lines of sources.csv, spelt out."""
    lines = []
    if source.startswith("till-"):
        lines += ["till.sales", "till.visits"]
    if source.endswith("-office"):
        lines += ["staff"]
    if source == "mute":
        lines += [""]
    return not lines or indicator in lines


def instant(text: str) -> int | str:
    """Microseconds since 1970 of an RFC 3339 text, or the reason why not."""
    found = re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text, flags=re.ASCII
    )
    if found is None:
        return "malformed"
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    zone = found[8]
    ahead = timedelta() if zone in "Zz" else timedelta(hours=int(zone[1:3]), minutes=int(zone[4:]))
    if zone not in "Zz" and (int(zone[1:3]) > 23 or int(zone[4:]) > 59):
        return "malformed"
    try:
        moment = datetime(year or 2000, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return "malformed"
    moment -= -ahead if zone[0] == "-" else ahead
    us = int((found[7] or ".")[1:7].ljust(6, "0"))
    if second > 60 or (second == 60 and (moment.hour, moment.minute) != (23, 59)):
        return "malformed"
    if year == 0:
        return "bad-period"
    return (moment - EPOCH) // timedelta(microseconds=1) + (999_999 if second == 60 else us)


def judged(e: Event, timestamp_ms: int) -> Passed | str:
    """Steps 3 to 12, in their order."""
    if any(ord(c) < 0x21 or ord(c) == 0x7F for c in e.source):
        return "malformed"
    if e.city not in SHOPS:
        return "unknown-city"
    if e.indicator not in INDICATORS:
        return "unknown-indicator"
    kind, decimals, industries = INDICATORS[e.indicator]
    industry = "all" if e.industry is None else e.industry
    if industry not in (GOODS if industries else ("all",)):
        return "unknown-industry"
    if not may_write(e.source, e.indicator):
        return "not-allowed"
    if e.op != {"flow": "add", "stock": "set"}[kind] and (e.op, e.value) != ("drop", 0.0):
        return "bad-op"
    product = e.value * float(10**decimals)
    if abs(product) == float("inf") or abs(round(product)) >= LIMITS.cell:
        return "overflow"
    if float(round(product)) / float(10**decimals) != e.value:
        return "too-precise"
    at_us = instant(e.at)
    if isinstance(at_us, str):
        return at_us
    utc = EPOCH + timedelta(microseconds=at_us)
    local = utc.astimezone(BERLIN) if 2019 <= utc.year <= 2024 else utc  # the year 9999 is at datetime's end
    if not 2020 <= local.year <= 2023:
        return "bad-period"
    if e.period is not None:
        form = re.fullmatch(r"([0-9]{4})(H[12]|Q[1-4]|-0[1-9]|-1[0-2])?", e.period)
        if form is None or not 2020 <= int(form[1]) <= 2023:
            return "bad-period"
    if at_us > (timestamp_ms + LIMITS.future_s * 1000) * 1000:
        return "from-the-future"
    return Passed(
        e.source, e.city, e.indicator, industry, round(product), at_us, local.date(), e.period, e.op == "drop"
    )


# --- what the engine says, in the same words --------------------------------------------------------------------------


def told(checked: Checked, i: int) -> Passed | str:
    failed = int(checked.failed[i])
    if failed != NO_REASON:
        return "malformed" if failed == MALFORMED_TIME else Reason(failed).code
    v, catalogue = checked.valid, shops()
    indicator = catalogue.indicators[int(v.indicator[i])].code
    return Passed(
        v.sources[int(v.source[i])],
        catalogue.cities[int(v.city[i])],
        indicator,
        catalogue.industry_codes[int(v.indicator[i])][int(v.industry[i])],
        int(v.value[i]),
        int(v.at_us[i]),
        date(1970, 1, 1) + timedelta(days=int(v.day[i])),
        None if v.period[i] == NO_PERIOD else unpack_period(int(v.period[i])).name,
        v.drop is not None and bool(v.drop[i]),
    )


def check(validator: Validator, events: list[Event], timestamps_ms: list[int]) -> Checked:
    batch = columns(events, np.arange(len(events), dtype=np.int32), None)
    checked = validator.check(batch, np.array(timestamps_ms, dtype=np.int64))
    assert len(checked.failed) == len(checked.valid) == len(events)
    assert checked.valid.seq.tolist() == [e.seq for e in events]
    return checked


def one(**changes: Any) -> Passed | str:
    """The outcome of the usual event with `changes`, alone and between two usual ones; both ways must agree."""
    fields = {name: getattr(USUAL, name) for name in Event.__struct_fields__}
    event = Event(**(fields | changes))
    alone = told(check(Validator(shops()), [event], [NOW_MS]), 0)
    among = check(Validator(shops()), [USUAL, event, USUAL], [NOW_MS] * 3)
    assert alone == told(among, 1) == judged(event, NOW_MS)
    assert told(among, 0) == told(among, 2) == judged(USUAL, NOW_MS)
    return alone


# --- properties -------------------------------------------------------------------------------------------------------

SOURCES = [
    "pay",
    "till-1",
    "till-",
    "main-office",
    "till-office",
    "mute",
    "muted",
    "Till-1",
    "城",
    "a\u0080",
    "a b",
    "\x7f",
]
PERIODS = ["2022", "2022H2", "2022Q2", "2022-05", "2022-12", "2020", "2023"]
BAD_PERIODS = [
    "",
    "2022H0",
    "2022H3",
    "2022Q5",
    "2022-00",
    "2022-13",
    "2022-5",
    "2019",
    "2024Q1",
    "0000",
    "2022 ",
    "２０２２",
]
TIMES = [
    "2022-06-30T13:00:00.000000Z",
    "2022-06-30T13:00:00.000001Z",
    "2019-12-31T23:00:00Z",
    "2019-12-31T22:59:59.999999Z",
]
TIMES += ["2023-12-31T22:59:59Z", "2023-12-31T23:00:00Z", "2020-01-01T00:00:00+01:00", "2021-06-30T23:59:60Z"]
BAD_TIMES = [
    "",
    "2022-06-30",
    "2022-06-30T12:00:00",
    "2022-02-29T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "0000-13-01T00:00:00Z",
]
BAD_TIMES += ["9999-12-31T23:59:59Z", "2022-06-30T12:00:60Z", "2021-07-01T00:59:60+01:00", "1970-01-01T00:00:00Z"]
VALUES = [
    0.0,
    -0.0,
    0.1,
    0.07,
    4.35,
    1.005,
    9999.99,
    10_000.0,
    -10_000.0,
    999_999.0,
    1e6,
    999_999.5,
    0.5,
    1.5,
    2.5,
    1e-9,
]
VALUES += [
    999.999_999_999e-6,
    1e-3,
    1e15,
    1e300,
    float("inf"),
    float("-inf"),
    5e-324,
    1e-300,
    12.345,
    9_999.994_999_999,
]


def made(random: Random, wrong: float) -> Event:
    """An event with each field out of its range with the chance `wrong`: mostly none, sometimes several at once."""

    def field(good: list[Any], bad: list[Any]) -> Any:
        return random.choice(bad if random.random() < wrong else good)

    indicator = random.choice(list(INDICATORS))
    kind, decimals, industries = INDICATORS[indicator]
    units = random.randrange(-LIMITS.cell + 1, LIMITS.cell)
    moment = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(78_000_000))
    ops = ["add", "set"]
    return Event(
        source=field([s for s in SOURCES[:9] if may_write(s, indicator)], SOURCES),
        seq=random.randrange(2**63),
        city=field(list(SHOPS), ["", "Anna", "street:north", "330100", "bert"]),
        indicator=field([indicator], [*INDICATORS, "till", "", "till.sales/bread"]),
        op=field(ops[kind == "stock" :][:1], [*ops, "", "Add", "remove"]),
        value=field([units / 10**decimals], VALUES),
        at=field([f"{moment:%Y-%m-%dT%H:%M:%S}Z", random.choice(TIMES[:2])], [*TIMES, *BAD_TIMES]),
        industry=field(list(GOODS) if industries else [None, "all"], [None, "all", "", "bread", "mining"]),
        period=field([None, None, random.choice(PERIODS)], [*PERIODS, *BAD_PERIODS]),
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.1, 0.3]))
@settings(max_examples=25)
def test_every_outcome_is_the_oracles(seed: int, wrong: float):
    """One validator over several batches: what it remembers changes nothing."""
    random, validator = Random(seed), Validator(shops())
    for _ in range(3):
        events = [made(random, wrong) for _ in range(random.choice([1, 2, 60]))]
        stamps = [NOW_MS + random.choice([0, 0, 1, -1, -(10**10), 10**11]) for _ in events]
        checked = check(validator, events, stamps)
        for i, (event, stamp) in enumerate(zip(events, stamps, strict=True)):
            assert told(checked, i) == judged(event, stamp), event


def test_the_oracle_meets_every_reason():
    """The property above would prove little if its events were all good, or all bad."""
    random = Random(1)
    outcomes = [judged(made(random, 0.1), NOW_MS) for _ in range(3000)]
    reasons = {outcome for outcome in outcomes if isinstance(outcome, str)}
    assert reasons == {
        *("malformed", "unknown-city", "unknown-indicator", "unknown-industry", "not-allowed", "bad-op"),
        *("overflow", "too-precise", "bad-period", "from-the-future"),
    }
    assert sum(isinstance(outcome, Passed) for outcome in outcomes) > 1000


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    """Hostile sources cannot fill the memory; a batch that is still under way keeps the names that it was judged by."""
    monkeypatch.setattr(stream.validate, "REMEMBERED", 5)
    random, validator = Random(2), Validator(shops())
    earlier: list[tuple[Checked, list[Event]]] = []
    for round_ in range(12):
        events = [made(random, 0.1) for _ in range(8)]
        for event in events:
            event.source += str(round_)
        earlier.append((check(validator, events, [NOW_MS] * 8), events))
        assert len(validator._known) <= 5 + 8
        assert len(validator._periods) <= 5 + 8
    for checked, batch in earlier:
        assert [told(checked, i) for i in range(8)] == [judged(event, NOW_MS) for event in batch]


def test_no_event():
    assert len(check(Validator(shops()), [], []).valid) == 0


# --- by hand ----------------------------------------------------------------------------------------------------------

USUAL_US = (datetime(2022, 6, 30, 10, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def test_an_event_that_passes():
    passed = Passed("pay", "anna", "till.sales", "bread", 1250, USUAL_US, date(2022, 6, 30), None, False)
    assert one() == passed
    assert one(value=-0.07) == passed._replace(units=-7)
    assert one(period="2021Q4") == passed._replace(period="2021Q4")
    # the local date: two hours ahead of UTC in summer
    late = one(at="2022-06-29T23:30:00Z")
    assert isinstance(late, Passed)
    assert late.day == date(2022, 6, 30)


BY_HAND: list[tuple[str, dict[str, Any]]] = [
    ("malformed", {"source": "a b"}),
    ("malformed", {"source": "a\x7f"}),
    ("malformed", {"source": "\x1f"}),
    ("unknown-city", {"city": "street:north"}),
    ("unknown-city", {"city": ""}),
    ("unknown-indicator", {"indicator": "till"}),
    ("unknown-industry", {"industry": None}),
    ("unknown-industry", {"industry": "all"}),
    ("unknown-industry", {"industry": ""}),
    ("unknown-industry", {"indicator": "till.visits", "industry": ""}),
    ("unknown-industry", {"indicator": "till.visits", "industry": "bread"}),
    ("not-allowed", {"source": "mute"}),
    ("not-allowed", {"source": "till-1", "indicator": "till.fine", "industry": None}),
    ("not-allowed", {"source": "a-office"}),
    ("bad-op", {"op": "set"}),
    ("bad-op", {"op": ""}),
    ("bad-op", {"op": "drop", "value": 0.01}),
    ("bad-op", {"op": "drop", "value": float("inf")}),  # an overflow as well
    ("bad-op", {"op": "drop", "value": 5e-324, "at": "?"}),
    ("bad-op", {"op": "drop", "indicator": "staff", "industry": None, "value": -1.0}),
    ("bad-op", {"indicator": "staff", "industry": None}),
    ("overflow", {"value": 10_000.0}),
    ("overflow", {"value": float("-inf")}),
    ("overflow", {"value": 9999.996}),  # too precise as well, but it rounds to the bound
    ("overflow", {"indicator": "till.fine", "industry": None, "value": 0.001}),
    ("too-precise", {"value": 0.001}),
    ("too-precise", {"value": 5e-324}),
    ("too-precise", {"value": 0.1 + 0.2}),
    ("too-precise", {"indicator": "till.visits", "industry": None, "value": 0.5}),
    ("malformed", {"at": "2022-06-30T12:00:00"}),
    ("malformed", {"at": "2022-06-30T12:00:60Z"}),
    ("bad-period", {"at": "0000-06-30T12:00:00Z"}),
    ("bad-period", {"at": "9999-06-30T12:00:00Z"}),  # before it is from the future
    ("bad-period", {"at": "2019-12-31T22:59:59Z"}),
    ("bad-period", {"at": "2019-12-31T22:59:59Z", "period": "2022"}),
    ("bad-period", {"period": "2024"}),
    ("bad-period", {"period": "2022Q0"}),
    ("bad-period", {"period": ""}),
    ("from-the-future", {"at": "2022-06-30T13:00:00.000001Z"}),
    # of several faults the first check counts
    ("malformed", {"source": " ", "city": "?", "value": 1e300}),
    ("unknown-city", {"city": "?", "indicator": "?", "value": 1e300, "at": "?"}),
    ("unknown-indicator", {"indicator": "?", "industry": "?", "op": "?", "source": "mute"}),
    ("unknown-industry", {"industry": "?", "source": "mute", "op": "?"}),
    ("not-allowed", {"source": "mute", "op": "?", "value": 1e300}),
    ("bad-op", {"op": "?", "value": 1e300, "at": "?"}),
    ("overflow", {"value": 1e300, "at": "?", "period": "?"}),
    ("too-precise", {"value": 0.001, "at": "?", "period": "?"}),
    ("malformed", {"at": "?", "period": "?"}),
    ("bad-period", {"period": "?", "at": "2023-06-30T12:00:00Z"}),
]


@pytest.mark.parametrize(("reason", "changes"), BY_HAND, ids=str)
def test_by_hand(reason: str, changes: dict[str, Any]):
    assert one(**changes) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"at": "2022-06-30T13:00:00Z"},  # to the microsecond as far ahead as is believed
        {"at": "2019-12-31T23:00:00Z"},  # the first local instant of the supported years
        {"at": "2021-12-31T23:59:60Z"},
        {"value": 9999.99},
        {"value": -9999.99},
        {"value": -0.0},
        {"op": "drop", "value": 0.0},
        {"op": "drop", "value": -0.0, "indicator": "staff", "industry": None, "source": "pay"},
        {"value": 4.35},  # 434.99999999999994 hundredths before rounding
        {"source": "till-"},
        {"source": "till-office", "indicator": "staff", "industry": None, "op": "set", "value": 0.1},
        {"indicator": "till.visits", "industry": "all", "value": 7.0},
        {"indicator": "till.visits", "industry": None, "value": 7.0},
        {"indicator": "till.fine", "industry": None, "value": 0.000999999},
        {"period": "2020H1"},
        {"source": "\u0080"},
    ],
    ids=str,
)
def test_just_within(changes: dict[str, Any]):
    assert isinstance(one(**changes), Passed)


def test_a_timestamp_decides_and_no_clock():
    event = Event("pay", 1, "anna", "till.sales", "add", 1.0, "2023-12-31T22:59:59Z", "bread")
    stamps = [(instant(event.at) // 1000) - 3_600_000 + late for late in (-1, 0, 1)]
    checked = check(Validator(shops()), [event] * 3, stamps)
    assert [isinstance(told(checked, i), str) for i in range(3)] == [True, False, False]
