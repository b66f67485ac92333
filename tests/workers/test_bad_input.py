"""Bad input through a real broker and a real worker: each reject with its bytes and position, its neighbours counted.

All cases are sent first, each between two good events of a source of its own; then each is looked for. So every case
has a test of its own, and the worker is started once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stream.letters import Letter
from stream.reasons import Reason
from stream.tail import high_watermarks
from stream.topics import EVENTS
from tests.workers.desk import PARTITIONS, Desk, event

pytestmark = pytest.mark.servers


def number(text: str) -> bytes:
    """An event with this text as its value, JSON or not."""
    return event(value=0).replace(b'"value":0', b'"value":' + text.encode())


def padded(n: int) -> bytes:
    """An event of n bytes."""
    return event(note="x" * (n - len(event(note=""))))


@dataclass
class Case:
    """One message. `rejects`: element -> (reason, bytes); `accepted`: how many of its events."""

    value: bytes | None
    rejects: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    accepted: int = 0
    key: bytes | None = None


def whole(reason: str, value: bytes | None) -> Case:
    return Case(value, {0: (reason, value or b"")})


# What rejects one element: alone as a message, and as the second of three in an array.
ELEMENTS: dict[str, tuple[str, bytes]] = {
    "no source": ("malformed", event(source=...)),
    "a blank in the source": ("malformed", event(source="a b")),
    "a source of 65 characters": ("malformed", event(source="x" * 65)),
    "half of a pair in the source": ("malformed", event().replace(b"desk", b"\\ud800")),
    "seq is a string": ("malformed", event(seq="1")),
    "seq with a fraction": ("malformed", event().replace(b'"seq":1', b'"seq":1.0')),
    "negative seq": ("bad-sequence", event(seq=-1)),
    "seq of 2^63": ("bad-sequence", event(seq=2**63)),
    "seq of 5000 digits": ("bad-sequence", event().replace(b'"seq":1', b'"seq":1' + b"0" * 4999)),
    "no city": ("malformed", event(city=...)),
    "city is null": ("malformed", event(city=None)),
    "unknown city": ("unknown-city", event(city="999999")),
    "a group is no city": ("unknown-city", event(city="province:330000")),
    "half of a pair in the city": ("unknown-city", event(city="?").replace(b"?", b"\\ud800")),
    "unknown indicator": ("unknown-indicator", event(indicator="dti.quantum")),
    "an industry where there is none": ("unknown-industry", event(industry="retail")),
    "unknown industry": ("unknown-industry", event(indicator="dti.payment", industry="mining")),
    "an industry is missing": ("unknown-industry", event(indicator="dti.payment")),
    "a source that may write nothing": ("not-allowed", event(source="sandbox-1")),
    "a source that may write something else": ("not-allowed", event(source="media-1")),
    "set on a flow": ("bad-op", event(op="set")),
    "unknown op": ("bad-op", event(op="increment")),
    "drop with a value": ("bad-op", event(op="drop")),
    "drop with a tiny value": ("bad-op", event(op="drop", value=5e-324)),
    "no value": ("malformed", event(value=...)),
    "value is a string": ("bad-value", event(value="12.5")),
    "value is null": ("bad-value", event(value=None)),
    "value is true": ("bad-value", event(value=True)),
    "too many decimals": ("too-precise", event(value=1.255)),
    "1e-400": ("too-precise", number("1.000000000001")),
    "10^400": ("overflow", number(f"1{'0' * 400}")),
    "1e400": ("overflow", number("-1e400")),
    "10^15 units": ("overflow", number("10000000000000.00")),
    "no offset": ("malformed", event(at="2023-02-01T08:00:12")),
    "no time": ("malformed", event(at="2023-02-01")),
    "29 February": ("malformed", event(at="2023-02-29T00:00:00Z")),
    "a leap second at noon": ("malformed", event(at="2016-12-31T12:00:60Z")),
    "year 0": ("bad-period", event(at="0000-06-01T00:00:00Z")),
    "year 9999": ("bad-period", event(at="9999-12-31T23:59:59Z")),
    "period of five quarters": ("bad-period", event(period="2021Q5")),
    "period is a number": ("malformed", event(period=2021)),
    "from the future": ("from-the-future", event(at="2099-12-31T08:00:00+08:00")),
    "an event of 64 KiB and a byte": ("too-large", padded(65_537)),
    "empty object": ("malformed", b"{}"),
}
MESSAGES: dict[str, Case] = {
    "tombstone": whole("malformed", None),
    "no bytes": whole("malformed", b""),
    "broken UTF-8": whole("malformed", event().replace(b"add", b"\xff\xfe")),
    "UTF-16": whole("malformed", event().decode().encode("utf-16")),
    "BOM": whole("malformed", b"\xef\xbb\xbf" + event()),
    "cut off": whole("malformed", event()[:-1]),
    "text behind": whole("malformed", event() + b" and more"),
    "two objects": whole("malformed", event() + event()),
    "NaN": whole("malformed", number("NaN")),
    "Infinity": whole("malformed", number("Infinity")),
    "-Infinity": whole("malformed", number("-Infinity")),
    "NaN in an array": whole("malformed", b"[" + event() + b"," + number("NaN") + b"]"),
    "a string": whole("malformed", b'"a text"'),
    "a number": whole("malformed", b"17"),
    "null": whole("malformed", b"null"),
    "an array without its end": whole("malformed", b"[" + event()),
    "nested 101 deep": whole("malformed", b"[" * 101 + b"]" * 101),
    "nested 100,000 deep": whole("malformed", b"[" * 100_000 + b"]" * 100_000),
    "an array of no events": Case(
        b'[1, "a",\n null ,[[]]]',
        {0: ("malformed", b"1"), 1: ("malformed", b'"a"'), 2: ("malformed", b"null"), 3: ("malformed", b"[[]]")},
    ),
    "10 MB of one object": whole("too-large", padded(10_000_000)),
    "10 MB that are no JSON": whole("malformed", b"{" + b"\x80" * 10_000_000),
    "10 MB of brackets": whole("malformed", b"[{" * 5_000_000),
    "17 MB": whole("too-large", b"[" + b",".join([event()] * 130_000) + b"]" + b" " * 1_000_000),
    "a catalogue that is none": Case(b'{"catalogue":7}', {0: ("malformed", b'{"catalogue":7}')}, key=b"catalogue"),
    "empty array": Case(b" [ ] "),
}  # fmt: skip
# What is taken although it looks odd. Each gets a source of its own, and counts once.
GOOD: dict[str, bytes] = {
    "unknown keys": event()[:-1] + b',"note":{"by":["hand",1,null]},"":0,"Seq":-1}',
    "a repeated key": b'{"op":"set","value":"later",' + event()[1:],
    "blanks": b"\r\n " + event().replace(b",", b" ,\t") + b"\n",
    "escapes": event().replace(b'"op"', b'"\\u006fp"').replace(b"dti.", b"d\\u0074i."),
    "a leap second": event(at="2016-12-31T23:59:60Z"),
    "a leap second here": event(at="2017-01-01T07:59:60+08:00"),
    "digits beyond microseconds": event(at="2023-02-01T08:00:12.123456789123+08:00"),
    "lower case": event(at="2023-02-01t08:00:12z"),
    "an exponent": number("125E-2"),
    "an event of 64 KiB": padded(65_536),
    "nested 100 deep": event().replace(b'"op"', b'"note":' + b"[" * 99 + b"]" * 99 + b',"op"'),
    "a source beyond ASCII": event(note="城市"),
    "the first moment of the supported years": event(at="1990-01-01T00:00:00+08:00"),
}


def cases() -> dict[str, Case]:
    """Everything above as messages, by name."""
    found = dict(MESSAGES)
    for name, (reason, raw) in ELEMENTS.items():
        found[name] = whole(reason, raw)
        mine = [event(source=f"array {name}".replace(" ", "-"), seq=i) for i in (1, 2)]
        array = b" [" + mine[0] + b",\n" + raw + b" ," + mine[1] + b"] "
        found[f"{name}, in an array"] = Case(array, {1: (reason, raw)}, accepted=2)
    for n, (name, value) in enumerate(GOOD.items()):
        found[name] = Case(value.replace(b'"desk"', b'"d%03d"' % n), accepted=1)
    return found


CASES = cases()
STAMP_MS = 1_700_000_000_000  # of the first case's record, then one more each


@dataclass
class Sent:
    """Where each case stands, and what was there after all of them had passed."""

    desk: Desk
    at: dict[str, tuple[int, int]]
    letters: dict[tuple[int, int, int], Letter]
    counts: Counter[str]


def neighbour(name: str, seq: int) -> bytes:
    return event(source=f"beside-{list(CASES).index(name)}", seq=seq, city="110000")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tmp_path_factory.mktemp("bad-input")) as desk:
        desk.start("ingest")
        desk.ready("ingest")
        yield desk
        desk.crew.check()
        assert desk.end("ingest") == 0


@pytest.fixture(scope="module")
def sent(desk: Desk) -> Sent:
    at = {}
    for number, (name, case) in enumerate(CASES.items()):
        partition = number % PARTITIONS
        desk.send([neighbour(name, 1)], partition=partition)
        at[name] = desk.send([case.value], partition=partition, key=case.key, timestamp_ms=STAMP_MS + number)[0]
        desk.send([neighbour(name, 2)], partition=partition)
    desk.passed()
    return Sent(desk, at, desk.letters(), desk.counts())


@pytest.mark.parametrize("name", CASES)
def test_a_case(sent: Sent, name: str):
    """Its letters with their bytes, reason and position, and no others; both neighbours in their source's window."""
    case, number, (partition, offset) = CASES[name], list(CASES).index(name), sent.at[name]
    found = {element: letter for (p, o, element), letter in sent.letters.items() if (p, o) == (partition, offset)}
    assert {element: letter.reason for element, letter in found.items()} == {e: r for e, (r, _) in case.rejects.items()}
    for element, (_, raw) in case.rejects.items():
        assert found[element].raw == raw
        assert found[element].detail
        assert found[element].timestamp_ms == STAMP_MS + number
    source = f"beside-{number}"
    assert sent.desk.window(source, partition) == "2:3"
    if ", in an array" in name:
        assert sent.desk.window(f"array {name.removesuffix(', in an array')}".replace(" ", "-"), partition) == "2:3"


def test_the_counts_balance_to_the_unit(sent: Sent):
    wanted = Counter({"accepted": sum(case.accepted + 2 for case in CASES.values())})
    for case in CASES.values():
        wanted.update(f"rejected:{reason}" for reason, _ in case.rejects.values())
    assert sent.counts == wanted
    assert len(sent.letters) == sum(n for name, n in wanted.items() if name.startswith("rejected:"))


def test_the_sums_hold_the_accepted_events_and_no_other(sent: Sent):
    """In hundredths; neighbours write to a city of their own."""
    assert sent.desk.cell("dti.ecommerce/all", "cells:2023-02:110000") == 125 * 2 * len(CASES)
    february = sum(b'"at":"2023-02' in value for value in GOOD.values())
    arrays = sum(", in an array" in name for name in CASES)
    assert sent.desk.cell("dti.ecommerce/all") == 125 * (february + 2 * arrays)
    # 2016-12-31T23:59:60Z is a second before eight o'clock on New Year's Day in China
    assert sent.desk.cell("dti.ecommerce@2017-01-01", "days:2017-01:330100") == 250


def test_the_headers_are_text(sent: Sent):
    """As any other consumer sees them."""
    partition, offset = sent.at["unknown city"]
    [letter] = [m for m in sent.desk._dead_letters() if (m.key() or b"").decode() == f"{EVENTS}/{partition}/{offset}/0"]
    headers = {name: value.decode() for name, value in letter.headers() or []}
    timestamp_ms = STAMP_MS + list(CASES).index("unknown city")
    assert headers == {
        **{"reason": "unknown-city", "topic": "indicator-events", "partition": str(partition), "offset": str(offset)},
        **{"index": "0", "timestamp": str(timestamp_ms), "detail": headers["detail"]},
    }
    assert "999999" in headers["detail"]
    assert letter.value() == event(city="999999")


def test_every_reason_but_those_of_the_sequence_is_among_the_cases():
    assert {reason for case in CASES.values() for reason, _ in case.rejects.values()} == {
        reason.code for reason in Reason
    } - {"stale-sequence"}


# --- what depends on what came before ---------------------------------------------------------------------------------


def outcome(desk: Desk, *values: bytes, **how: Any) -> tuple[list[str], Counter[str]]:
    """Send, wait; (the reasons of the letters in order of position, what the counts moved by)."""
    before = desk.counts()
    at = desk.send(values, **how)
    desk.passed()
    letters = desk.letters()
    return [letters[key].reason for key in sorted(letters) if key[:2] in at], desk.counts() - before


def test_sequences(desk: Desk):
    seqs = [10_000, 10_000, 5904, 5905, 10_000 + 2**48 + 1, 10_000 + 2**48, 10_001, 5905]
    values = [event(source="sequences", seq=seq, value=i) for i, seq in enumerate(seqs)]
    # new, repeated, below the window, its lowest, beyond the jump, just within, now far below, below as well
    reasons, counts = outcome(desk, *values)
    assert reasons == ["stale-sequence", "bad-sequence", "stale-sequence", "stale-sequence"]
    assert counts == {"accepted": 3, "duplicate": 1, "rejected:stale-sequence": 3, "rejected:bad-sequence": 1}


def test_a_number_that_was_refused_may_come_again(desk: Desk):
    values = [
        event(source="again", seq=1, value="?"),
        event(source="again", seq=1),
        event(source="again", seq=1, value="?"),
    ]
    reasons, counts = outcome(desk, *values)
    assert reasons == ["bad-value", "bad-value"]
    assert counts == {"accepted": 1, "rejected:bad-value": 2}


def test_a_cell_that_would_overflow(desk: Desk):
    big = [event(source="full", seq=i, value=9_999_999_999_999.99, city="120000") for i in (1, 2)]
    less = event(source="full", seq=2, value=-0.99, city="120000")
    reasons, counts = outcome(desk, *big, less)
    assert reasons == ["overflow"]
    assert counts == {"accepted": 2, "rejected:overflow": 1}
    assert desk.cell("dti.ecommerce/all", "cells:2023-02:120000") == 10**15 - 1 - 99
    assert desk.redis.hget("{tw:0}:cells:2023-02:120000", "dti.ecommerce/all") == "999999999999900", "as plain digits"


def test_the_records_timestamp_decides_what_the_future_is(desk: Desk):
    """No clock: an event of 2023 in a record of 2022 is from the future, however late it is read."""
    then_ms = 1_640_995_200_000  # 2022-01-01T00:00:00Z
    near = [
        event(source="future", seq=i, at=at) for i, at in enumerate(["2022-01-02T00:00:00Z", "2022-01-02T00:00:01Z"])
    ]
    reasons, counts = outcome(desk, *near, event(source="future", seq=9), timestamp_ms=then_ms)
    assert reasons == ["from-the-future", "from-the-future"]
    assert counts == {"accepted": 1, "rejected:from-the-future": 2}


def test_duplicates_within_an_array_and_across_messages(desk: Desk):
    one, two = (event(source="twice", seq=i) for i in (1, 2))
    reasons, counts = outcome(desk, b"[" + one + b"," + two + b"," + one + b"]", two)
    assert (reasons, counts) == ([], {"accepted": 2, "duplicate": 2})


def test_an_array_of_a_hundred_thousand_events(desk: Desk):
    """12 MB in one message: one flush, and not an event less."""
    n = 100_000
    parts = [event(source="bulk", seq=i, value=0.01, city="130100") for i in range(n)]
    array = b"[" + b",".join(parts) + b"]"
    assert 10 << 20 < len(array) < 16 << 20
    assert outcome(desk, array) == ([], {"accepted": n})
    assert desk.cell("dti.ecommerce/all", "cells:2023-02:130100") == n
    assert desk.window("bulk") == f"{n - 1}:{(1 << 4096) - 1:x}"


# --- dead letters and files on the command line -----------------------------------------------------------------------


def test_dlq_list_and_show(sent: Sent):
    position = place(sent, "unknown city")
    listed, shown, table, text, odd = sent.desk.tidewatch_all(
        ("dlq", "list", "--json", "--limit", "0", "--reason", "unknown-city"),
        ("dlq", "show", position, "--json"),
        ("dlq", "list", "--limit", "0"),
        ("dlq", "show", position),
        ("dlq", "show", place(sent, "broken UTF-8")),
    )
    assert set(listed["reasons"]) == {"unknown-city"}
    assert listed["letters"] == len(listed["latest"]) == listed["reasons"]["unknown-city"] == 6
    assert shown in listed["latest"]
    assert shown["raw"].encode() == event(city="999999")
    assert (shown["reason"], shown["position"]) == ("unknown-city", position)
    assert position in table
    assert event(city="999999").decode() in text, "to be copied: as it is, and not wrapped"
    assert '"op":"\\xff\\xfe"' in odd


def test_dlq_replay_repairs_and_repeats_harmlessly(sent: Sent):
    """A city code is text although it looks like a number; the second replay of the same letters adds nothing."""
    desk, before = sent.desk, sent.desk.counts()
    for wanted in ({"accepted": 6}, {"accepted": 6, "duplicate": 6}):
        command = ("dlq", "replay", "--reason", "unknown-city", "--set", "city=140100", "--set", "value=3.5", "--json")
        assert desk.tidewatch(*command) == {"letters": 6, "sent": 6, "unreadable": []}
        catch_up(desk)
        assert desk.counts() - before == wanted
        assert desk.cell("dti.ecommerce/all", "cells:2023-02:140100") == 6 * 350


def test_dlq_replay_of_what_is_no_event(sent: Sent):
    before, position = ends(sent.desk), place(sent, "cut off")
    found, dry = sent.desk.tidewatch_all(
        ("dlq", "replay", "--position", position, "--json"),
        ("dlq", "replay", "--reason", "bad-op", "--set", "op=add", "--dry-run"),
    )
    assert found == {"letters": 1, "sent": 0, "unreadable": [position]}
    events = [json.loads(line) for line in dry.splitlines() if line.startswith("{")]
    assert len(events) == 8
    assert all(e["op"] == "add" and e["source"].startswith("dlq/") and isinstance(e["seq"], int) for e in events)
    assert ends(sent.desk) == before, "a dry run sends nothing"


def test_dlq_replay_through_a_program(sent: Sent, tmp_path: Path):
    """A letter's bytes on standard input, the repaired event on standard output."""
    program = tmp_path / "repair"
    program.write_text("#!/bin/sh\nsed -e 's/ and more$//' -e 's/330100/150100/'\n")
    program.chmod(0o755)
    before = sent.desk.counts()
    command = ("dlq", "replay", "--position", place(sent, "text behind"), "--repair", str(program), "--json")
    assert sent.desk.tidewatch(*command) == {"letters": 1, "sent": 1, "unreadable": []}
    catch_up(sent.desk)
    assert sent.desk.counts() - before == {"accepted": 1}
    assert sent.desk.cell("dti.ecommerce/all", "cells:2023-02:150100") == 125


def test_feed_file_counts_what_became_of_its_lines(desk: Desk, tmp_path: Path):
    """Accepted, repeated and rejected; arrays by element; an empty line is none; a file and standard input."""
    lines = [
        *(event(source="file", seq=i) for i in (1, 2, 2)),
        event(source="file", seq=3, city="?"),
        b"",
        b"[" + event(source="file", seq=4) + b"," + event(source="file", seq=5, value="?") + b",7]",
        b"[]",
        b"not JSON",
        b"\xff\xfe",
        event(source="file", seq=6, at="2023-02-01T08:00:12"),
        event(source="file", seq=7, note="x" * 70_000),
    ]
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(lines))
    wanted = {
        "messages": 10,
        "sent": 11,
        "accepted": 3,
        "duplicates": 1,
        "rejected": {"bad-value": 1, "malformed": 4, "too-large": 1, "unknown-city": 1},
        "complete": True,
        "alone": True,
    }
    found = desk.tidewatch("feed", "--file", str(path), "--json")
    assert found.pop("seconds") > 0
    assert found == wanted
    again = desk.tidewatch("feed", "--file", "-", "--json", given=path.read_bytes())
    again.pop("seconds")
    assert again == wanted | {"accepted": 0, "duplicates": 4}
    catch_up(desk)


def place(sent: Sent, name: str, element: int = 0) -> str:
    """Position of a case's letter, as the commands name it."""
    partition, offset = sent.at[name]
    return f"{EVENTS}/{partition}/{offset}/{element}"


def ends(desk: Desk) -> dict[int, int]:
    """Where the log ends."""
    found = high_watermarks(desk.servers.kafka, [(EVENTS, p) for p in range(PARTITIONS)])
    return {p: end for (_, p), end in found.items()}


def catch_up(desk: Desk) -> None:
    """Commands have sent as well: wait for theirs."""
    desk.sent = ends(desk)
    desk.passed()


# --- last, since every command above reads all letters ----------------------------------------------------------------


def test_twenty_thousand_bad_events_in_an_array(desk: Desk):
    """A letter for each, and the two good ones among them are found."""
    n = 20_000
    parts = [event(source="worse", seq=i, city="?") for i in range(n)]
    parts[0], parts[n // 2] = (event(source="worse", seq=i, city="130100") for i in (0, n // 2))
    reasons, counts = outcome(desk, b"[" + b",".join(parts) + b"]", partition=1)
    assert counts == {"accepted": 2, "rejected:unknown-city": n - 2}
    assert Counter(reasons) == {"unknown-city": n - 2}
