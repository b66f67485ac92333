"""Times: the column way equals the one-by-one way, and that one equals the calendar of the standard library."""

from datetime import UTC, datetime, timedelta, timezone
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.times import UNREADABLE, YEAR_ZERO, parse_time, parse_times

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSETS = (*("Z", "+00:00", "+08:00", "-05:30", "+23:59", "-23:59") * 3, "z", "-00:00", "+24:00", "+08:60", "+0800", "")
ALIKE = ("", "0", "9", "-", ":", ".", "+", "/", "T", "Z", " ", "\n", "\x00", "٣", "０", "−", "😀", "é")


def us(*parts: int, **delta: float) -> int:
    """Microseconds since 1970 of a UTC date and time, by the standard library."""
    return (datetime(*parts, tzinfo=UTC) + timedelta(**delta) - EPOCH) // timedelta(microseconds=1)


def made_text(random: Random) -> str:
    """RFC 3339, nearly: every field in and a little out of its range, all separators, offsets and fractions."""
    pick = random.choice
    year = pick([0, 1, 1900, 1970, 2000, 2023, 2024, 9999, random.randrange(10_000)])
    month = pick([random.randint(1, 12)] * 9 + [0, 2, 13])
    day = pick([random.randint(1, 28)] * 6 + [0, 28, 29, 30, 31, 32])
    hour, minute = pick([random.randrange(24)] * 9 + [24, 99]), pick([random.randrange(60)] * 9 + [60, 99])
    second = pick([random.randrange(60)] * 6 + [59, 60, 61])
    if random.random() < 0.1:
        hour, minute, second = 23, 59, 60
    separator = pick(["T"] * 9 + ["t", " ", "  ", "_", ""])
    digits = "".join(pick("0123456789") for _ in range(pick([1, 2, 3, 3, 6, 6, 7, 9, 12])))
    fraction = pick(["", "", f".{digits}", f".{digits}", ".", f",{digits}"])
    return f"{year:04d}-{month:02d}-{day:02d}{separator}{hour:02d}:{minute:02d}:{second:02d}{fraction}{pick(OFFSETS)}"


def mutated(random: Random, text: str) -> str:
    """One character changed, put in or taken out: often by one that looks alike in another alphabet."""
    place = random.randrange(len(text))
    return text[:place] + random.choice(ALIKE) + text[place + random.randint(0, 1) :]


@given(st.integers(0, 2**32 - 1), st.integers(1, 400))
@settings(max_examples=25)
def test_a_column_is_read_as_its_texts_one_by_one(seed: int, n: int):
    random = Random(seed)
    column = [made_text(random) for _ in range(n)]
    column = [mutated(random, text) if random.random() < 0.2 else text for text in column]
    found = parse_times(column)
    assert found.dtype == np.int64
    differ = [(text, us) for text, us in zip(column, found.tolist(), strict=True) if us != parse_time(text)]
    assert not differ, f"{differ[0]}, one by one: {parse_time(differ[0][0])}"


@pytest.mark.parametrize("length", [20, 24, 25, 27, 29, 32])
def test_a_column_of_one_usual_length(length: int):
    """The whole column in one go, among it what only has the length of a time."""
    random = Random(length)
    column = [text for text in (made_text(random) for _ in range(8000)) if len(text) == length][:200]
    column += [mutated(random, column[i]) for i in range(50)]
    column = [text for text in column if len(text) == length]
    assert len(column) > 100
    assert parse_times(column).tolist() == [parse_time(text) for text in column]


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)), st.integers(-1439, 1439), st.integers(0, 6))
@settings(max_examples=100)
def test_a_real_time_is_what_the_standard_library_says(moment: datetime, offset_min: int, digits: int):
    zone = timezone(timedelta(minutes=offset_min))
    moment = moment.replace(microsecond=moment.microsecond // 10 ** (6 - digits) * 10 ** (6 - digits), tzinfo=zone)
    sign = "+" if offset_min >= 0 else "-"
    fraction = f".{moment.microsecond:06d}"[: digits + 1] if digits else ""
    offset = f"{sign}{abs(offset_min) // 60:02d}:{abs(offset_min) % 60:02d}"
    text = f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}{fraction}{offset}"
    wanted = (moment - EPOCH) // timedelta(microseconds=1)
    assert (parse_time(text), parse_times([text, text]).tolist()) == (wanted, [wanted, wanted])


GOOD = {
    "1970-01-01T00:00:00Z": 0,
    "1969-12-31T23:59:59.999999Z": -1,
    "2023-02-01T08:00:12+08:00": us(2023, 2, 1, 0, 0, 12),
    "2023-02-01t08:00:12z": us(2023, 2, 1, 8, 0, 12),
    "2023-02-01 08:00:12Z": us(2023, 2, 1, 8, 0, 12),
    "2023-02-01T08:00:12.1Z": us(2023, 2, 1, 8, 0, 12, 100_000),
    "2023-02-01T08:00:12.123Z": us(2023, 2, 1, 8, 0, 12, 123_000),
    "2023-02-01T08:00:12.123456+08:00": us(2023, 2, 1, 0, 0, 12, 123_456),
    "2023-02-01T08:00:12.1234567Z": us(2023, 2, 1, 8, 0, 12, 123_456),  # cut off, never rounded
    "2023-02-01T08:00:12.99999999999999999999Z": us(2023, 2, 1, 8, 0, 12, 999_999),
    f"2023-02-01T08:00:12.{'0' * 5000}Z": us(2023, 2, 1, 8, 0, 12),
    "2024-02-29T00:00:00Z": us(2024, 2, 29),
    "2000-02-29T00:00:00Z": us(2000, 2, 29),
    "0001-01-01T00:00:00Z": us(1, 1, 1),
    "0001-01-01T00:00:00+23:59": us(1, 1, 1) - 1439 * 60_000_000,
    "9999-12-31T23:59:59.999999Z": us(9999, 12, 31, 23, 59, 59, 999_999),
    "9999-12-31T23:59:59-23:59": us(9999, 12, 31, 23, 59, 59) + 1439 * 60_000_000,  # the year 10000 in UTC
    "2023-02-01T00:00:00-00:00": us(2023, 2, 1),
    "2023-02-01T00:00:00+23:59": us(2023, 2, 1, minutes=-1439),
    # leap seconds: 23:59:60 UTC, wherever the clock hangs; read as the last microsecond before
    "2016-12-31T23:59:60Z": us(2016, 12, 31, 23, 59, 59, 999_999),
    "2017-01-01T07:59:60+08:00": us(2016, 12, 31, 23, 59, 59, 999_999),
    "2016-12-31T18:29:60.5-05:30": us(2016, 12, 31, 23, 59, 59, 999_999),
    "2023-05-05T23:59:60Z": us(2023, 5, 5, 23, 59, 59, 999_999),  # any day: which had one is no rule of ours
}
UNREADABLE_TEXTS = [
    "",
    "2023-02-01",
    "2023-02-01T08:00:12",  # no offset
    "2023-02-01T08:00Z",
    "2023-02-01T08:00:12.Z",
    "2023-02-01T08:00:12,5Z",
    "2023-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2023-00-01T00:00:00Z",
    "2023-13-01T00:00:00Z",
    "2023-01-00T00:00:00Z",
    "2023-04-31T00:00:00Z",
    "2023-01-01T24:00:00Z",
    "2023-01-01T00:60:00Z",
    "2023-01-01T00:00:61Z",
    "2023-01-01T00:00:60Z",
    "2017-01-01T23:59:60+08:00",
    "2023-01-01T00:00:00+24:00",
    "2023-01-01T00:00:00+00:60",
    "2023-01-01T00:00:00+0800",
    "2023-01-01T00:00:00+08",
    "2023-01-01T00:00:00 +08:00",
    "2023-01-01T00:00:00Z\n",
    " 2023-01-01T00:00:00Z",
    "2023-01-01T00:00:00Z ",
    "+2023-01-01T00:00:00Z",
    "12023-01-01T00:00:00Z",
    "23-01-01T00:00:00Z",
    "2023-1-1T00:00:00Z",
    "2023-01-01T00:00:00−08:00",
    "٢٠٢٣-01-01T00:00:00Z",
    "2023-01-01\x0000:00:00Z",
    "0000-02-30T00:00:00Z",  # no date of any year
    "0000-01-01T00:00:60Z",
]
YEAR_ZERO_TEXTS = ["0000-01-01T00:00:00Z", "0000-02-29T00:00:00Z", "0000-12-31T23:59:60Z", "0000-12-31T23:59:59-23:59"]


def outcomes() -> dict[str, int]:
    return GOOD | dict.fromkeys(UNREADABLE_TEXTS, int(UNREADABLE)) | dict.fromkeys(YEAR_ZERO_TEXTS, int(YEAR_ZERO))


@pytest.mark.parametrize(("text", "wanted"), outcomes().items(), ids=lambda value: repr(value)[:40])
def test_by_hand(text: str, wanted: int):
    assert parse_time(text) == wanted
    assert parse_times([text]).tolist() == [wanted]


def test_by_hand_in_one_column():
    """Texts of all lengths mixed, as a batch brings them, in an order that no grouping by length may change."""
    column = [*outcomes(), *reversed(outcomes())]
    assert parse_times(column).tolist() == [outcomes()[text] for text in column]


def test_no_text_is_no_time():
    assert parse_times([]).tolist() == []
