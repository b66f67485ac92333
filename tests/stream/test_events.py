"""Decoding: the fast ways and the exact way agree on every message, each reason by hand, bytes and neighbours kept."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.events import Columns, Event, decode, decode_plain, raw_elements
from stream.exact import decode_exactly
from stream.reasons import Reason, Reject
from tests.stream.made_messages import EVENT, EVENT_BYTES, LONG, MESSAGE_BYTES, made_event, made_message

HUGE = 1e39  # the exact way takes integers of over 40 digits for infinite: far beyond what any cell holds


def by_element(columns: Columns, values: list[bytes | None]) -> dict[tuple[int, int], tuple[Any, ...]]:
    """(message, element) -> its fields, or its reason and bytes.

    A source with characters that no identity may have is an event here, where it is spelt without escapes: the checks
    against the catalogue refuse it (`stream.validate`). It is told as what becomes of it.
    """
    out: dict[tuple[int, int], tuple[Any, ...]] = {}
    places = list(zip(columns.message.tolist(), columns.element.tolist(), strict=True))
    assert places == sorted(places), "events are in the order of the log"
    fields = (columns.source, columns.seq.tolist(), columns.city, columns.indicator, columns.industry, columns.op)
    fields += (map(plain, columns.value.tolist()), columns.at, columns.period)
    for place, event in zip(places, zip(*fields, strict=True), strict=True):
        refused = any(c <= " " or c == "\x7f" for c in event[0])
        out[place] = (Reason.MALFORMED, raw_elements(values[place[0]] or b"")[place[1]]) if refused else event
    out.update(((r.message, r.element), (r.reason, r.raw)) for r in columns.rejects)
    assert len(out) == len(columns) + len(columns.rejects), "an element has one outcome"
    return out


def plain(value: float) -> str:
    """A double told to the bit, those beyond every limit alike."""
    return f"{'-' if value < 0 else ''}beyond" if abs(value) > HUGE else value.hex()


def exactly(values: list[bytes | None]) -> dict[tuple[int, int], tuple[Any, ...]]:
    """The same, message by message, by the exact way alone."""
    out: dict[tuple[int, int], tuple[Any, ...]] = {}
    for i, value in enumerate(values):
        rejects: list[Reject] = []
        for place, e in decode_exactly(value, i, MESSAGE_BYTES, EVENT_BYTES, Event, rejects):
            out[i, place] = (e.source, e.seq, e.city, e.indicator, e.industry, e.op, plain(e.value), e.at, e.period)
        out.update(((r.message, r.element), (r.reason, r.raw)) for r in rejects)
    return out


@given(st.integers(0, 2**32 - 1), st.integers(1, 80))
@settings(max_examples=40)
def test_a_batch_is_decoded_as_its_messages_one_by_one(seed: int, n: int):
    random = Random(seed)
    values = [made_message(random) for _ in range(n)]
    wanted = exactly(values)
    found = by_element(decode(values, MESSAGE_BYTES, EVENT_BYTES), values)
    differ = {
        place: (found.get(place), wanted.get(place))
        for place in {*found, *wanted}
        if found.get(place) != wanted.get(place)
    }
    assert not differ, f"{values[min(differ)[0]]!r}: batch and one by one: {differ[min(differ)]}"


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_the_plain_way_decodes_all_or_nothing(seed: int):
    random = Random(seed)
    messages = [made_message(random) for _ in range(40)] + [made_event(random, 0).encode() for _ in range(3)]
    for batch in ([m] for m in messages):
        columns = decode_plain(batch, EVENT_BYTES)
        if columns is not None:
            assert by_element(columns, batch) == exactly(batch), batch
    events: list[bytes | None] = [event(seq=str(i), value=str(random.randrange(10**9) / 100)) for i in range(5)]
    columns = decode_plain(events, EVENT_BYTES)
    assert columns is not None, "what the scenario sends is plain"
    assert by_element(columns, events) == exactly(events)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_the_bytes_of_an_element_are_those_of_the_message(seed: int):
    """Whoever asks (the decoder for its rejects, the worker for later ones) gets the same part of the message."""
    random = Random(seed)
    for value in filter(None, (made_message(random) for _ in range(40))):
        columns = decode([value], MESSAGE_BYTES, EVENT_BYTES)
        rejects = {r.element: r.raw for r in columns.rejects}
        if not len(columns):
            continue  # perhaps rejected whole
        parts = raw_elements(value)
        assert len(parts) == len(columns) + len(rejects)
        assert [parts[i] for i in rejects] == list(rejects.values())
        place = 0
        for part in parts:
            place = value.index(part, place) + len(part)
            assert part == value or part == part.strip(b" \t\r\n")
        for i, seq in zip(columns.element.tolist(), columns.seq.tolist(), strict=True):
            assert json.loads(parts[i])["seq"] == seq


# --- each reason by hand ----------------------------------------------------------------------------------------------


def event(**changes: str | None) -> bytes:
    """The usual event as JSON; a change is a JSON text, None leaves the field out."""
    fields = {**EVENT, **changes}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items() if text is not None) + "}").encode()


def reason_of(value: bytes | None) -> str | None:
    """The reason of the message's only element, None where it is an event."""
    columns = decode([value], MESSAGE_BYTES, EVENT_BYTES)
    assert len(columns) + len(columns.rejects) == 1
    return columns.rejects[0].reason.code if columns.rejects else None


GOOD = {
    "plain": event(),
    "minimal": event(industry=None, period=None),
    "null": event(industry="null", period="null"),
    "unknown keys": event(note='{"by":["hand",1,null]}', values="8"),
    "repeated key, the last counts": event()[:-1] + b',"seq":7,"op":"set"}',
    "repeated key, first of another kind": b'{"seq":"x","value":[],' + event()[1:],
    "escapes": event(city='"\\u0033\\"\\\\"', source='"\\/b"'),
    "not ASCII": event(city='"城"', source='"城"'),
    "blanks": b" \t\r\n" + event().replace(b",", b" , ").replace(b":1", b" : 1") + b"\n",
    "integer value": event(value="12"),
    "negative zero": event(value="-0", seq="-0"),
    "exponent": event(value="125075E-2"),
    "beyond a double": event(value="1e400"),
    "10^400": event(value=f"1{'0' * 400}"),
    "a small one": event(value="1e-400"),
    "half of a pair in a city": event(city='"\\ud800"'),
    "a pair": event(city='"\\ud83d\\ude00"'),
    "seq at its bounds": event(seq="0"),
    "seq at its upper bound": event(seq="9223372036854775807"),
    "source at its bound": event(source=f'"{"城" * 64}"'),
    "a source beyond ASCII": event(source='"\\u0080\\u00a0"'),
    "an array of one": b"[" + event() + b"]",
    "an array of one, odd": b"\n[ " + event(note='"\\u0041"') + b"\t] ",
}
MALFORMED = {
    "a tombstone": None,
    "nothing": b"",
    "blanks": b" ",
    "a byte that no UTF-8 has": event().replace(b"add", b"\xff"),
    "overlong": event().replace(b"add", b"\xc0\xaf"),
    "a surrogate as bytes": event().replace(b"add", b"\xed\xa0\x80"),
    "UTF-16": event().decode().encode("utf-16"),
    "BOM": b"\xef\xbb\xbf" + event(),
    "cut off": event()[:-1],
    "text behind": event() + b"x",
    "two": event() + b"\n" + event(),
    "NaN": event(value="NaN"),
    "Infinity": event(value="Infinity"),
    "-Infinity": event(value="-Infinity"),
    "NaN in an unknown key": event(note="NaN"),
    "a number of the wrong form": event(value="01"),
    "a point at the end": event(value="1."),
    "plus": event(value="+1"),
    "a comma at the end": event()[:-1] + b",}",
    "single quotes": b"{'a':1}",
    "a control in a string": event(city='"a\tb"'),
    "an escape that is none": event(city='"\\x"'),
    "a number": b"7",
    "a string": b'"text"',
    "null": b"null",
    "true": b"true",
    "an array without its end": b"[" + event(),
    "an array with a comma at the end": b"[" + event() + b",]",
    "an event nested too deep": event(note="[" * 100 + "]" * 100),
    "nested too deep": b"[" * 101 + b"]" * 101,
    "far too deep": b"[" * 1900 + b"]" * 1900,
}
MALFORMED_ELEMENT = {
    "an array in the array": b"[[]]",
    "a number in the array": b"[1]",
    "no source": event(source=None),
    "source is a number": event(source="7"),
    "empty source": event(source='""'),
    "long source": event(source=f'"{"x" * 65}"'),
    "half of a pair in a source": event(source='"\\ud800"'),
    "a control in a source, escaped": event(source='"\\u0000"'),
    "no seq": event(seq=None),
    "seq is null": event(seq="null"),
    "seq is true": event(seq="true"),
    "seq is a string": event(seq='"1"'),
    "seq with a fraction": event(seq="1.0"),
    "seq with an exponent": event(seq="1e3"),
    "no city": event(city=None),
    "city is a number": event(city="330100"),
    "no indicator": event(indicator=None),
    "indicator is null": event(indicator="null"),
    "industry is a number": event(industry="1"),
    "op is null": event(op="null"),
    "no op": event(op=None),
    "no value": event(value=None),
    "no at": event(at=None),
    "at is a number": event(at="1675209612"),
    "period is a number": event(period="2023"),
    # of several, the first in the order of the fields
    "source before seq": event(source="1", seq="-1"),
    "city before value": event(city="1", value='"x"'),
}
BAD_SEQUENCE = {
    "negative": event(seq="-1"),
    "2^63": event(seq="9223372036854775808"),
    "500 digits": event(seq=LONG[:500]),
    "before the city": event(seq="-1", city="7"),
}
BAD_VALUE = {
    "a string": event(value='"12.5"'),
    "null": event(value="null"),
    "true": event(value="true"),
    "an array": event(value="[1]"),
    "before the time": event(value="false", at="7"),
}
TOO_LARGE = {
    "the message": event(note=f'"{"x" * MESSAGE_BYTES}"'),
    "the message, whatever it is": b"\xff" * (MESSAGE_BYTES + 1),
    "blanks count": b" " * MESSAGE_BYTES + event(),
    "the event": event(note=f'"{"x" * EVENT_BYTES}"'),
    "blanks of the event count": event() + b" " * EVENT_BYTES,
    "before all else": event(source="7", note=f'"{"x" * EVENT_BYTES}"'),
    "characters of several bytes": event(note=f'"{"城" * (EVENT_BYTES // 3)}"'),
    "a seq of 5000 digits": event(seq=LONG[:EVENT_BYTES]),
}
TOO_LARGE_ELEMENT = {
    "the element": b"[" + event(note=f'"{"x" * EVENT_BYTES}"') + b"]",
    "an element that is no object": b'["' + b"x" * EVENT_BYTES + b'"]',
}


@pytest.mark.parametrize("value", GOOD.values(), ids=GOOD)
def test_an_event(value: bytes):
    assert reason_of(value) is None


@pytest.mark.parametrize("value", (MALFORMED | MALFORMED_ELEMENT).values(), ids=MALFORMED | MALFORMED_ELEMENT)
def test_malformed(value: bytes | None):
    assert reason_of(value) == "malformed"


@pytest.mark.parametrize("value", BAD_SEQUENCE.values(), ids=BAD_SEQUENCE)
def test_bad_sequence(value: bytes):
    assert reason_of(value) == "bad-sequence"


@pytest.mark.parametrize("value", BAD_VALUE.values(), ids=BAD_VALUE)
def test_bad_value(value: bytes):
    assert reason_of(value) == "bad-value"


@pytest.mark.parametrize("value", (TOO_LARGE | TOO_LARGE_ELEMENT).values(), ids=TOO_LARGE | TOO_LARGE_ELEMENT)
def test_too_large(value: bytes):
    assert reason_of(value) == "too-large"


def test_the_limits_themselves_are_not_too_large():
    fill = EVENT_BYTES - len(event(note='""'))
    assert len(event(note=f'"{"x" * fill}"')) == EVENT_BYTES
    assert reason_of(event(note=f'"{"x" * fill}"')) is None
    assert reason_of(b"[  " + event(note=f'"{"x" * fill}"') + b"   ]") is None, (
        "blanks around an element are not its own"
    )
    assert reason_of(event(note=f'"{"x" * (fill + 1)}"')) == "too-large"
    many = b"[" + b",".join([event()] * (MESSAGE_BYTES // (len(event()) + 1))) + b"]"
    whole = many + b" " * (MESSAGE_BYTES - len(many))
    assert len(decode([whole], MESSAGE_BYTES, EVENT_BYTES)) > 10
    assert reason_of(whole + b" ") == "too-large"
    odd = whole.replace(b"pay", b"\\u0070ay", 1)[: -len(b"\\u0070") + 1]  # as long, and not plain
    assert len(odd) == MESSAGE_BYTES
    assert len(decode([odd], MESSAGE_BYTES, EVENT_BYTES)) > 10
    assert reason_of(odd + b" ") == "too-large"


def test_what_is_read():
    value = event(industry=None, value="12.5", at='"2023-02-01T08:00:12Z"')
    for form in (value, value.replace(b"pay", b"\\u0070ay"), b"[" + value + b"]"):
        assert by_element(decode([form], MESSAGE_BYTES, EVENT_BYTES), [form]) == {
            (0, 0): (
                *("pay-east", 184467, "330100", "dti.payment", None, "add"),
                *((12.5).hex(), "2023-02-01T08:00:12Z", "2023Q1"),
            )
        }


def test_an_empty_array_holds_no_event():
    for value in (b"[]", b" [ ] ", b"[\n]"):
        columns = decode([value], MESSAGE_BYTES, EVENT_BYTES)
        assert (len(columns), columns.rejects) == (0, [])
    assert decode_plain([b"[]"], EVENT_BYTES) is None


def test_no_message_no_event():
    columns = decode([], MESSAGE_BYTES, EVENT_BYTES)
    assert (len(columns), columns.rejects) == (0, [])


@pytest.mark.parametrize("bad", [*MALFORMED.values(), *BAD_SEQUENCE.values(), *TOO_LARGE.values()])
def test_other_messages_survive(bad: bytes | None):
    columns = decode([event(), bad, event(seq="5")], MESSAGE_BYTES, EVENT_BYTES)
    assert columns.message.tolist() == [0, 2]
    assert [(r.message, r.element, r.raw) for r in columns.rejects] == [(1, 0, bad or b"")]


ELEMENTS = [*MALFORMED_ELEMENT.values(), *BAD_SEQUENCE.values(), *BAD_VALUE.values(), TOO_LARGE["the event"]]


@pytest.mark.parametrize("bad", [*ELEMENTS, b"7", b"null", b"[]", b"{}", b'"\\ud800"'])
def test_neighbours_in_the_array_survive(bad: bytes):
    array = b"[" + event() + b", " + bad + b" ," + event(seq="5") + b"]"
    columns = decode([array], MESSAGE_BYTES, EVENT_BYTES)
    assert columns.element.tolist() == [0, 2]
    assert columns.seq.tolist() == [184467, 5]
    assert [(r.element, r.raw) for r in columns.rejects] == [(1, bad)]


def test_the_bytes_of_a_reject_are_exact():
    odd = b'{ "seq" : -1e0,\t"note":"\\u0041\xe5\x9f\x8e" }'
    array = b" [\n" + event() + b" ,\r\n" + odd + b"\t, 7 ,null]\n"
    columns = decode([event(), array, b" " + odd + b"\n", None], MESSAGE_BYTES, EVENT_BYTES)
    found = sorted((r.message, r.element, r.raw) for r in columns.rejects)
    assert found == [(1, 1, odd), (1, 2, b"7"), (1, 3, b"null"), (2, 0, b" " + odd + b"\n"), (3, 0, b"")]


def test_half_of_a_pair_is_kept_as_it_was_spelt():
    """Read by the exact way, and its bytes asked for again by the worker: JSON readers differ on it."""
    parts = [event(city='"\\ud800"'), event(seq="2", note='"\\udc00"')]
    array = b"[" + b", ".join(parts) + b"]"
    assert len(decode([array], MESSAGE_BYTES, EVENT_BYTES)) == 2
    assert raw_elements(array) == parts


def test_nesting_up_to_the_bound_is_read():
    assert reason_of(event(note="[" * 99 + "]" * 99)) is None
    assert reason_of(event(note=f'"{"[" * 200}"')) is None, "brackets within a string do not nest"
    assert reason_of(event(note=f'"\\"{"[" * 200}"')) is None


def test_a_hundred_thousand_digits_cost_nothing():
    """Python refuses to convert them, and converting is quadratic."""
    limit = 1 << 20
    columns = decode([event(value="8" * 100_000), event(seq="8" * 100_000)], limit, limit)
    assert columns.value.tolist() == [float("inf")]
    assert [r.reason for r in columns.rejects] == [Reason.BAD_SEQUENCE]
