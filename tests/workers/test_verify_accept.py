"""Which events count, as `tidewatch verify` decides it: every reason, and the order of the checks, by hand-made
messages.
"""

import json
from typing import Any

import pytest

from tests.workers.test_verify_data import catalogue_record, event, us
from workers.verify.accept import Accepted, Judge, Snapshot
from workers.verify.catalogue import KEY, record_catalogue
from workers.verify.checks import Checks
from workers.verify.messages import Unreadable, elements
from workers.verify.periods import parse_period
from workers.verify.times import Calendar, YearZero, parse_instant
from workers.verify.windows import Window

NOW_MS = us("2023-01-01T00:00:00+08:00") // 1000


class Partition:
    """Partition 0 with the tiny catalogue, fed message by message."""

    def __init__(self, **changes: Any) -> None:
        record = catalogue_record(**changes)
        first = record_catalogue(KEY, record)
        assert first is not None
        self.out = Accepted()
        self.judge = Judge(0, Checks(first), self.out, [10**9])
        self.judge.record(0, NOW_MS, KEY, record)
        self.next = 1

    def send(self, message: Any, timestamp_ms: int = NOW_MS) -> dict[str, int]:
        """Feed one message (anything but bytes and None as JSON); what it changed in the counts."""
        before = dict(self.judge._counts)
        value = message if message is None or isinstance(message, bytes) else json.dumps(message).encode()
        self.judge.record(self.next, timestamp_ms, None, value)
        self.next += 1
        return {name: n - before.get(name, 0) for name, n in self.judge._counts.items() if n != before.get(name, 0)}

    def end(self) -> Snapshot:
        self.judge.finish()
        return self.judge.snapshots[10**9]


ACCEPTED = {"accepted": 1}


def rejected(reason: str) -> dict[str, int]:
    return {f"rejected:{reason}": 1}


MALFORMED: list[Any] = [
    None,
    b"",
    b"\xff{}",
    b"{",
    b"7",
    b'"text"',
    b"null",
    b"[1]",
    b"[[]]",
    b"{} {}",
    b'{"broken": "' + b"x" * 400,
    b'"' + b"x" * 400 + b'"',
    b"\xef\xbb\xbf{}",
    b'{"a": NaN}',
    b"[Infinity]",
    b'{"a": 01}',
    b'{"a": "\t"}',
    b"[" * 101 + b"]" * 101,
    event(1, source=...),
    event(1, source=7),
    event(1, source=""),
    event(1, source="x" * 65),
    event(1, source="a b"),
    event(1, source="a\x7f"),
    event(1, seq=...),
    event(1, seq=1.0),
    event(1, seq="1"),
    event(1, seq=True),
    event(1, seq=None),
    event(1, city=None),
    event(1, indicator=3),
    event(1, industry=3),
    event(1, op=...),
    event(1, value=...),
    event(1, at=...),
    event(1, at=1612310400),
    event(1, period=2021),
    event(1, at="2021-02-03T08:00:00"),
    event(1, at="2021-02-03"),
    event(1, at="2021-02-30T08:00:00Z"),
    event(1, at="2021-02-03T24:00:00Z"),
    event(1, at="2021-02-03T08:00:00+24:00"),
    event(1, at="2021-02-03T08:00:00+0800"),
    event(1, at="2021-02-03T08:00:00.Z"),
    event(1, at="2021-02-03T08:00:60Z"),
    event(1, at="２021-02-03T08:00:00Z"),
    event(1, at="0000-02-30T08:00:00Z"),
]


@pytest.mark.parametrize("message", MALFORMED, ids=lambda m: repr(m)[:60])
def test_malformed(message: Any) -> None:
    assert Partition().send(message) == rejected("malformed")


OTHERS: list[tuple[str, Any]] = [
    ("too-large", b" " * 4001),
    ("too-large", event(1, note="x" * 400)),
    ("bad-sequence", event(-1)),
    ("bad-sequence", event(2**63)),
    ("bad-sequence", json.dumps(event(1)).replace('"seq": 1', '"seq": ' + "9" * 5000).encode()),
    ("bad-value", event(1, value=None)),
    ("bad-value", event(1, value="5")),
    ("bad-value", event(1, value=True)),
    ("unknown-city", event(1, city="d")),
    ("unknown-city", event(1, city="area:ab")),
    ("unknown-city", event(1, city="\ud800")),
    ("unknown-indicator", event(1, indicator="walk")),
    ("unknown-industry", event(1, indicator="pay")),
    ("unknown-industry", event(1, indicator="pay", industry="all")),
    ("unknown-industry", event(1, industry="food")),
    ("not-allowed", event(1, source="pay-west")),
    ("not-allowed", event(1, source="mute")),
    ("bad-op", event(1, op="set")),
    ("bad-op", event(1, op="ADD")),
    ("bad-op", event(1, op="drop", value=1)),
    ("bad-op", event(1, op="drop", value=10**400)),
    ("bad-op", event(1, indicator="cap")),
    ("overflow", event(1, value=10**6)),
    ("overflow", event(1, value=-(10**6))),
    ("overflow", json.dumps(event(1, value=...))[:-1].encode() + b', "value": 1e999}'),
    ("overflow", event(1, value=10**400)),
    ("too-precise", event(1, value=0.5)),
    ("too-precise", event(1, value=1e-320)),
    ("bad-period", event(1, at="0000-02-29T08:00:00Z")),
    ("bad-period", event(1, at="1989-12-31T15:59:59Z")),
    ("bad-period", event(1, at="2100-12-31T16:00:00Z")),
    ("bad-period", event(1, at="9999-12-31T23:59:59-23:59")),
    ("bad-period", event(1, period="1989")),
    ("bad-period", event(1, period="2021Q5")),
    ("bad-period", event(1, period="2021q1")),
    ("bad-period", event(1, period="2021-13")),
    ("bad-period", event(1, period="")),
    ("from-the-future", event(1, at="2023-01-02T00:00:00.000001+08:00")),
]


@pytest.mark.parametrize(("reason", "message"), OTHERS, ids=lambda m: repr(m)[:60])
def test_other_reasons(reason: str, message: Any) -> None:
    limits = {} if reason == "too-large" else {"event_bytes": 10_000, "message_bytes": 10_000}
    assert Partition(**limits).send(message) == rejected(reason)


GOOD: list[Any] = [
    event(0),
    event(2**63 - 1),
    event(1, industry=None),
    event(1, period=None),
    event(1, period="2021H1"),
    event(1, unknown={"deep": [1, {}]}),
    event(1, source="x" * 64),
    event(1, source="气象"),
    event(1, source="pay-east"),  # two lines match it
    event(1, indicator="pay", industry="food", value=0.29),
    event(1, indicator="cap", op="set", value=-3.1),
    event(1, value=-0.0),
    event(1, at="2021-02-03t08:00:00.123456789z"),
    event(1, at="2021-02-03 08:00:00-00:00"),
    event(1, at="2016-12-31T23:59:60Z"),
    event(1, at="2017-01-01T07:59:60.5+08:00"),
    event(1, at="2023-01-02T00:00:00+08:00"),
    b" \n" + json.dumps(event(1)).encode() + b"\r\n\t",
    json.dumps(event(1)).replace('"seq": 1', '"seq": -0').encode(),
    b'{"seq": "x", ' + json.dumps(event(1))[1:].encode(),
    b'{"\\u0073eq": 1, ' + json.dumps(event(1, seq=...))[1:].encode(),
    json.dumps(event(1, x="\ud800")).encode(),
]


@pytest.mark.parametrize("message", GOOD, ids=lambda m: repr(m)[:60])
def test_accepted(message: Any) -> None:
    assert Partition().send(message) == ACCEPTED


# Each event breaks two or more checks; the first in the order of formats.md names the reason.
ORDER: list[tuple[str, dict[str, Any]]] = [
    ("malformed", {"source": 1, "seq": -1}),
    ("bad-sequence", {"seq": -1, "city": 1}),
    ("malformed", {"city": "nowhere", "value": ...}),
    ("bad-value", {"value": "1", "at": 3}),
    ("malformed", {"at": 3, "city": "nowhere"}),
    ("unknown-city", {"city": "nowhere", "indicator": "walk"}),
    ("unknown-indicator", {"indicator": "walk", "industry": "food"}),
    ("unknown-industry", {"industry": "food", "source": "mute"}),
    ("not-allowed", {"source": "mute", "op": "set"}),
    ("bad-op", {"op": "set", "value": 1e300}),
    ("overflow", {"value": 1e300, "at": "?"}),
    ("too-precise", {"value": 0.1, "at": "?"}),
    ("malformed", {"at": "2021-02-30T00:00:00Z", "period": "?"}),
    ("bad-period", {"period": "?", "at": "2099-01-01T00:00:00Z"}),
]


@pytest.mark.parametrize(("reason", "changes"), ORDER, ids=lambda m: repr(m)[:60])
def test_order_of_the_checks(reason: str, changes: dict[str, Any]) -> None:
    assert Partition().send(event(1, **changes)) == rejected(reason)


def test_future_comes_before_the_window_and_the_window_before_the_sum() -> None:
    partition = Partition()
    assert partition.send(event(100, value=999_999)) == ACCEPTED
    assert partition.send(event(100, at="2024-01-01T00:00:00Z")) == rejected("from-the-future")
    assert partition.send(event(100)) == {"duplicate": 1}
    assert partition.send(event(10)) == rejected("stale-sequence")
    assert partition.send(event(101)) == rejected("overflow")
    # no mark was left: its repair may use the number
    assert partition.send(event(101, value=-1)) == ACCEPTED


def test_one_bad_element_rejects_itself_only() -> None:
    counts = Partition().send([event(1), 7, event(2, note="x" * 400), event(2), event(2), event(3, city="d")])
    assert counts == {
        "accepted": 2,
        "duplicate": 1,
        "rejected:malformed": 1,
        "rejected:too-large": 1,
        "rejected:unknown-city": 1,
    }
    assert Partition().send([]) == {}


def test_element_size_is_its_text_in_bytes() -> None:
    text = json.dumps(event(1, note="气"), ensure_ascii=False)
    size = len(text.encode())
    partition = Partition(event_bytes=size)
    spaced = f"[ {text} ,\n{text.replace('气', '气x')}]".encode()
    assert partition.send(spaced) == {"accepted": 1, "rejected:too-large": 1}
    # one object: the whole message counts, blanks as well
    assert partition.send(f" {text}".encode()) == rejected("too-large")


def test_depth() -> None:
    def nested(depth: int) -> bytes:
        return b'{"x": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    assert elements(nested(100), 10**6, 10**6)
    with pytest.raises(Unreadable):
        elements(nested(101), 10**6, 10**6)
    flat = json.dumps([event(n) for n in range(300)]).encode()
    assert len(elements(flat, 10**6, 10**6)) == 300
    with pytest.raises(Unreadable):
        elements(flat[:-1] + b"," + nested(100) + b"]", 10**6, 10**6)
    # of a repeated key the last counts, but the first nests all the same
    with pytest.raises(Unreadable):
        elements(nested(101)[:-1] + b', "x": 1}', 10**6, 10**6)
    # brackets within strings are no nesting
    assert elements(json.dumps({"x": "[" * 500 + '\\"{'}).encode(), 10**6, 10**6)
    with pytest.raises(Unreadable):
        elements(b"[" * 200_000, 10**6, 10**6)


def test_window() -> None:
    window = Window(50, 8)
    assert window.judge(42, 8, 1000) == "stale-sequence"
    assert window.judge(43, 8, 1000) is None
    window.accept(43, 8)
    assert window.judge(43, 8, 1000) == "duplicate"
    assert window.judge(1051, 8, 1000) == "bad-sequence"
    assert window.judge(1050, 8, 1000) is None
    assert (window.top, window.bits()) == (50, 0b1000_0001)
    window.accept(52, 8)
    assert (window.top, window.bits()) == (52, 0b101)  # 43 has left it
    window.accept(1052, 8)
    assert (window.top, window.bits()) == (1052, 1)
    window.accept(1050, 2)
    assert window.bits() == 1


def test_first_number_is_free_and_partitions_are_apart() -> None:
    partition = Partition()
    assert partition.send(event(10**18)) == ACCEPTED
    assert partition.send(event(5, source="t")) == ACCEPTED
    assert partition.end().windows == {"s": (10**18, 1), "t": (5, 1)}


def test_day_cells_overflow_on_their_own() -> None:
    partition = Partition()
    pay = {"indicator": "pay", "value": 6000}  # 600,000 of 1,000,000 units
    assert partition.send(event(1, industry="food", **pay)) == ACCEPTED
    assert partition.send(event(2, industry="toys", **pay)) == rejected("overflow")
    assert partition.send(event(2, industry="toys", **pay, period="2021-02")) == ACCEPTED
    stock = {"indicator": "cap", "op": "set", "value": 99_999.9}
    assert [partition.send(event(n, **stock)) for n in (3, 4)] == [ACCEPTED, ACCEPTED]


def test_catalogue_takes_effect_at_its_offset() -> None:
    partition = Partition()
    assert partition.send(event(1, value=2000)) == ACCEPTED
    partition.judge.record(2, NOW_MS, KEY, catalogue_record(1, cell=10))  # not above the version in force
    assert partition.send(event(2, value=2000)) == ACCEPTED
    partition.judge.record(4, NOW_MS, KEY, catalogue_record(2, cell=10))
    assert partition.send(event(3, value=2000)) == rejected("overflow")
    assert partition.send(event(3, city="b", value=9)) == ACCEPTED
    partition.judge.record(6, NOW_MS, KEY, b'{"catalogue":{}}')  # no catalogue: a message like any other
    end = partition.end()
    assert end.counts == {"accepted": 3, "rejected:overflow": 1, "rejected:malformed": 1}
    assert end.catalogue is not None
    assert end.catalogue.version == 2


def test_cuts_lie_between_messages() -> None:
    record = record_catalogue(KEY, catalogue_record())
    assert record is not None
    judge = Judge(0, Checks(record), Accepted(), [0, 2, 5, 9])
    for offset, seq in ((1, 1), (3, 2), (5, 3)):  # 0, 2 and 4 are gaps
        judge.record(offset, NOW_MS, None, json.dumps([event(seq), event(seq)]).encode())
    judge.finish()
    assert {cut: each.counts.get("accepted", 0) for cut, each in judge.snapshots.items()} == {0: 0, 2: 1, 5: 2, 9: 3}
    assert not judge.snapshots[9].catalogue_met
    assert judge.snapshots[9].watermark == us("2021-02-03T08:00:00+08:00")


def test_rows_of_accepted_events() -> None:
    partition = Partition()
    partition.send([event(1), event(2, city="d"), event(3, value=-7, period="2021")])
    out = partition.out
    at = us("2021-02-03T08:00:00+08:00")
    assert out.cells == [(0, "2021-02", "a", "run", "all", True), (0, "2021", "a", "run", "all", True)]
    assert out.days == [(0, "2021-02", "a", "run", "2021-02-03")]
    assert list(out.rows) == [0, 0, 1, 0, 0, 1, at, 5, 0, 1, -1, 1, 2, 0, 3, at, -7, 0]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.9999999Z", -1),
        ("1970-01-01T08:00:01.5+08:00", 1_500_000),
        ("1972-06-30T23:59:60Z", us("1972-06-30T23:59:59+00:00") + 999_999),
        ("1972-06-30T23:59:60+08:00", None),
        ("1970-01-01T00:60:00Z", None),
        ("1970-01-01T00:00:00+00:60", None),
        ("1970-1-01T00:00:00Z", None),
        ("1970-01-01T00:00:00ZZ", None),
        ("1970-01-01T00:00:0٠Z", None),
    ],
)
def test_instants(text: str, at: int | None) -> None:
    assert parse_instant(text) == at
    calendar = Calendar("Asia/Shanghai")
    assert (calendar.instant(text), calendar.instant(text)) == (at, at)


def test_year_zero_and_local_days() -> None:
    with pytest.raises(YearZero):
        parse_instant("0000-01-01T00:00:00Z")
    calendar = Calendar("Asia/Shanghai")
    assert calendar.local_day(us("2021-12-31T15:59:59+00:00")) == (2021, "2021-12", "2021-12-31")
    assert calendar.local_day(us("2021-12-31T16:00:00+00:00")) == (2022, "2022-01", "2022-01-01")
    summer = Calendar("Asia/Shanghai")  # UTC+9 in the summer of 1990
    assert summer.local_day(us("1990-07-01T15:00:00+00:00"))[2] == "1990-07-02"


def test_periods() -> None:
    def names(name: str) -> tuple[str, str]:
        period = parse_period(name)
        assert period is not None
        return period.predecessor.name, period.year_ago.name

    assert names("2023Q1") == ("2022Q4", "2022Q1")
    assert names("2023H1") == ("2022H2", "2022H1")
    assert names("2023-01") == ("2022-12", "2022-01")
    assert names("2023") == ("2022", "2022")
    month = parse_period("2020-08")
    assert month is not None
    found = [month.within(grain) for grain in ("month", "quarter", "half", "year")]
    assert [each and each.name for each in found] == ["2020-08", "2020Q3", "2020H2", "2020"]
    half = parse_period("2020H2")
    assert half is not None
    assert half.within("quarter") is None
    assert len(half.days) == 184
