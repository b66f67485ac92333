"""Texts for the fields of events: right ones, ones at the edge of what is right, and wrong ones, all made with a seed.

Every function gives JSON text, not a value: how something is spelt is half of what is tried.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random

OTHERS = ["null", "true", "false", "[]", "{}", "[[1],{}]", '{"a":{"b":[1,"}"]}}', "", "undefined", "tru", "0", "-1"]
OTHERS += ["7.5", '""', '"x"', "NaN", "-Infinity", "Infinity", '"\\ud800"', "'x'", "[1,]", '{"a":}', "\\u0031"]
ODD_CHARACTERS = [
    "\x00", "\x1f", " ", "\x7f", "\x80", "\x85", "\xa0", "\u2028", "\u3000", "\ufeff", "\ufffe", "城", "😀",
]  # fmt: skip
ODD_CHARACTERS += [
    "\ud800", "\udfff", "\\", '"', "/", "'", "{", "[", "]", "}", ":", ",", "\t", "\n", "*", "!", "~", "²", "٣",
]  # fmt: skip
ESCAPES = [
    "\\u0000", "\\ud83d\\ude00", "\\ud800", "\\udc00\\ud800", "\\/", "\\b", "\\x41", "\\u12", "\\", "\\\\", '\\"',
]  # fmt: skip
INTEGERS = ["0", "-0", "1", "-1", "9223372036854775807", "9223372036854775808", "18446744073709551615", "01", "+1"]
INTEGERS += ["18446744073709551616", "9" * 19, "9" * 40, "9" * 41, "-" + "9" * 41, "1" * 308, "1" * 309, "1" * 310]
INTEGERS += ["9" * 5000, "-" + "8" * 4301, "1" + "0" * 400, "4503599627370497", "9007199254740993", "1_000", "0x10"]
FLOATS = ["1.0", "-0.0", "0e0", "-0e400", "1e3", "1E+2", "1e-2", "0.1", "2.5", "1e400", "-1e400", "1e-400", "1.", ".5"]
FLOATS += [
    "1.7976931348623157e308", "1.7976931348623159e308", "5e-324", "2e-324", "2.4703282292062328e-324", "1e", "--1",
]  # fmt: skip
FLOATS += [
    "9007199254740993.0", "0.30000000000000004", "100000000000000000000000.5", "1" * 30 + ".5", "1e+", "nan", "1.e1",
]  # fmt: skip
FLOATS += [
    "0." + "0" * 400 + "1e400", "1" + "0" * 400 + "e-400", "1e99999999999", "1e-99999999999",
    "0e99999999999999999999",
]  # fmt: skip
FLOATS += [
    "2.2250738585072011e-308", "9.5367431640625e-07", "1." + "0" * 800 + "1", "0.5" + "0" * 1000,
    "1e0000000000000003",
]  # fmt: skip
PERIODS = [
    "2021", "2021H1", "2021H2", "2021H3", "2021Q1", "2021Q4", "2021Q5", "2021Q0", "2021-01", "2021-12", "2021-13",
]  # fmt: skip
PERIODS += [
    "2021-00", "2021-1", "21", "", "2021h1", "2021Q", "02021", "2021 ", "１９９９", "1969", "3000", "0000", "9999-12",
]  # fmt: skip
PERIODS += ["-021", "2021-06-01", "2021M6", "2021Q1\n", "2022Q1", "2020", "2023-07", "2019", "2024", "+2021", "2021Q１"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def quoted(text: str, random: Random, chance: float = 0.0) -> str:
    """A JSON string; with `chance`, characters as escapes, and as many bytes as they have otherwise."""
    if not chance:
        return json.dumps(text, ensure_ascii=False)
    return '"' + "".join(_character(c, random, chance) for c in text) + '"'


def _character(c: str, random: Random, chance: float) -> str:
    if random.random() < chance:
        units = c.encode("utf-16-be", "surrogatepass")
        pairs = [units[i : i + 2].hex() for i in range(0, len(units), 2)]
        return "".join(f"\\u{pair.upper() if random.random() < 0.5 else pair}" for pair in pairs)
    return json.dumps(c, ensure_ascii=False)[1:-1]


def odd_string(usual: str, random: Random) -> str:
    """A string, or what is nearly one, that is not the usual one."""
    sort = random.randrange(8)
    place = random.randrange(len(usual) + 1)
    if sort == 0:
        return quoted(usual[:place] + random.choice(ODD_CHARACTERS) + usual[place:], random)
    if sort == 1:
        return f'"{usual[:place]}{random.choice(ESCAPES)}{usual[place:]}"'
    if sort == 2:
        return f'"{usual[:place]}{random.choice(ODD_CHARACTERS)}{usual[place:]}"'  # raw: controls, quotes
    if sort == 3:
        return f'"{random.choice("x城") * random.choice([0, 1, 63, 64, 65, 1000])}"'
    if sort == 4:
        return quoted(usual[:place] + usual[place + 1 :], random)
    if sort == 5:
        return quoted(usual.swapcase(), random)
    if sort == 6:
        return f'"{usual}'
    return random.choice(OTHERS)


def number_near(decimals: int, cell: int, random: Random) -> str:
    """A number around what an indicator with so many decimals just takes: bounds, digits too many, odd spellings."""
    sort = random.randrange(12)
    if sort < 4:
        units = random.randint(-(10**4), 10**4)
    elif sort < 6:
        units = random.choice([-1, 1]) * (cell + random.randint(-2, 2))
    elif sort < 8:
        units = random.randint(-cell, cell)
    elif sort == 8:
        return random.choice(INTEGERS + FLOATS)
    elif sort == 9:
        return made_number(random)
    else:
        units = random.randint(-(10**17), 10**17)
    more = random.choice([0] * 6 + [1, 2, 9, 20])
    scaled = f"{abs(units) * 10**more + (random.randrange(10**more) if more else 0):0{decimals + more + 1}d}"
    cut = len(scaled) - decimals - more
    text = scaled[:cut] + ("." + scaled[cut:] if scaled[cut:] else "")
    if random.random() < 0.2 and "." in text:
        text += "0" * random.choice([1, 3, 30])
    if random.random() < 0.15:
        exponent = random.randint(-6, 6)
        digits = scaled.lstrip("0") or "0"
        text = f"{digits}{random.choice('eE')}{exponent - decimals - more:+d}"
    return ("-" if units < 0 or random.random() < 0.03 else "") + text


def made_number(random: Random) -> str:
    """More digits than a double has, any exponent: readers may round it differently."""
    digits = str(random.randrange(1, 10 ** random.choice([1, 5, 17, 18, 25, 60])))
    point = random.randrange(1, len(digits) + 1)
    text = random.choice(["", "", "-"]) + digits[:point] + ("." if point < len(digits) else "") + digits[point:]
    return text + random.choice(["", "", f"e{random.randint(-345, 330)}", f"E+{random.randrange(25)}"])


def halfway(random: Random) -> str:
    """Exactly between two doubles, or a hair beside it: written out in all its digits."""
    low = random.getrandbits(53) | 1 << 52
    exponent = random.randint(-60, 20)
    top = 2 * low + 1  # in halves of the last place
    digits = str(top * 2**exponent) if exponent >= 0 else _binary_fraction(top, -exponent)
    return digits + (
        random.choice(["", "0", "1", "0" * 50 + "1"]) if "." in digits else random.choice(["", ".0", ".1"])
    )


def _binary_fraction(top: int, halvings: int) -> str:
    """top / 2^halvings in decimal, exactly."""
    scaled = str(top * 5**halvings).rjust(halvings + 1, "0")
    return f"{scaled[:-halvings]}.{scaled[-halvings:]}"


def made_time(first: int, last: int, random: Random) -> str:
    """An RFC 3339 time, right as a rule, in every layout; in the years first..last and around them."""
    year = random.choice([first, last, random.randint(first, last), random.randint(first, last)])
    month, day = random.randint(1, 12), random.choice([1, 28, random.randint(1, 28)])
    hour, minute, second = (
        random.choice([0, 23, random.randrange(24)]),
        random.choice([0, 59, 30]),
        random.randrange(60),
    )
    if random.random() < 0.08:  # around the turn of a day, a year, a clock
        moment = datetime(year, random.choice([1, 3, 10, 12]), random.choice([1, 29, 31]), tzinfo=UTC)
        moment += timedelta(seconds=random.choice([-1, 0, 1, 3600, -3600, 28800, 86399, -86400]))
        year, month, day, hour, minute, second = moment.timetuple()[:6]
    fraction = random.choice([""] * 8 + [".0", ".123", ".999999", ".1234567", ".000001", "." + "9" * 40, "."])
    zone = random.choice(
        ["Z", "Z", "+08:00", "+08:00", "-00:00", "+00:00", "z", "+23:59", "-23:59", "+05:45", "-12:00"]
    )
    clock = f"{hour:02d}:{minute:02d}:{second:02d}{fraction}{zone}"
    text = f"{year:04d}-{month:02d}-{day:02d}{random.choice('TTTTTTt ')}{clock}"
    sort = random.random()
    if sort < 0.85:
        return text
    if sort < 0.93:
        return random.choice(_TIMES)
    place = random.randrange(len(text))
    return text[:place] + random.choice("0123456789-+:.TtZz _\u0660\uff11a") + text[place + random.randrange(2) :]


_TIMES = ["2016-12-31T23:59:60Z", "2017-01-01T07:59:60+08:00", "2016-12-31T23:59:60.999Z", "2021-06-30T23:59:60-00:00"]
_TIMES += [
    "2021-06-30T12:00:60Z", "2021-06-30T23:59:61Z", "0000-01-01T00:00:00Z", "0000-02-29T00:00:00Z",
    "0000-02-30T00:00:00Z",
]  # fmt: skip
_TIMES += [
    "0000-12-31T23:59:60Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
    "2021-02-29T00:00:00Z",
]  # fmt: skip
_TIMES += [
    "2024-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2021-13-01T00:00:00Z",
    "2021-00-01T00:00:00Z",
]  # fmt: skip
_TIMES += [
    "2021-01-00T00:00:00Z", "2021-01-01T24:00:00Z", "2021-01-01T00:60:00Z", "2021-01-01T00:00:00+24:00",
    "2021-01-01T00:00:00+00:60",
]  # fmt: skip
_TIMES += [
    "2021-01-01T00:00:00", "2021-01-01", "20210101T000000Z", "2021-01-01T00:00:00+0800", "2021-01-01T00:00Z", "", "Z",
    "T",
]  # fmt: skip
_TIMES += [
    "2021-01-01T00:00:00.Z", "2021-01-01T00:00:00,5Z", "+2021-01-01T00:00:00Z", "2021-1-01T00:00:00Z",
    "2021-01-01T00:00:00ZZ",
]  # fmt: skip
_TIMES += [
    "2021-03-28T02:30:00+01:00", "2021-10-31T02:30:00+02:00", "2021-10-31T02:30:00+01:00",
    "1991-09-15T01:30:00+08:00",
]  # fmt: skip
