"""Messages for the decoder, made with a seed: events in every spelling that JSON has, and in many that it has not.

Structure-aware: most of a message is right, so that what is wrong is met deep inside, and its neighbours are events.
"""

from __future__ import annotations

import json
from random import Random

MESSAGE_BYTES, EVENT_BYTES = 4000, 700  # small limits, so that too large is cheap

EVENT = {
    "source": '"pay-east"',
    "seq": "184467",
    "city": '"330100"',
    "indicator": '"dti.payment"',
    "industry": '"retail"',
    "op": '"add"',
    "value": "1250.75",
    "at": '"2023-02-01T08:00:12+08:00"',
    "period": '"2023Q1"',
}
STRINGS = [
    '""',
    '"a b"',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    '"城市"',
    '"x\x7f"',
    '"{["',
    '"\\"}"',
    '"a\tb"',
]
STRINGS += (
    [f'"{"x" * n}"' for n in (64, 65)] + [f'"{"城" * n}"' for n in (64, 65)] + ['"\ud800"', '"\\x"', '"\\u12"', "'a'"]
)
OTHERS = ["null", "true", "false", "[]", "{}", "[[1],{}]", '{"a":{"b":[1,"}"]}}', "", "undefined", "tru"]
INTEGERS = ["0", "-0", "1", "-1", "9223372036854775807", "9223372036854775808", "18446744073709551616", "01", "+1"]
INTEGERS += ["9" * 19, "9" * 40, "-" + "9" * 41, "1" * 300, "7" * 310]
FLOATS = ["1.0", "-0.0", "1e3", "1E+2", "1e-2", "0.1", "2.5", "1e400", "-1e400", "1e-400", "1.7976931348623157e308"]
FLOATS += [
    "NaN",
    "Infinity",
    "-Infinity",
    "nan",
    "1.",
    ".5",
    "1e",
    "--1",
    "0x10",
    "1_000",
    "123456789.123456789",
    "5e-324",
]
FLOATS += ["9007199254740993", "0.30000000000000004", "100000000000000000000000.5", "1" * 30 + ".5", "4.35", "1.005e2"]
LONG = "8" * 5000  # more digits than Python converts by default
TEXTS = {name: [*STRINGS, *OTHERS, *INTEGERS[:2]] for name in EVENT}
TEXTS["seq"] = INTEGERS * 2 + FLOATS[:6] + OTHERS + STRINGS[:2]
TEXTS["value"] = (INTEGERS + FLOATS) * 2 + OTHERS + STRINGS[:2]
TEXTS["at"] += ['"2023-02-01T08:00:12"', '"2023-13-01T08:00:12Z"'] * 4
QUOTE = '"'
BLANKS = ["", "", "", " ", "\n", "\t \r\n", "\f", "\u00a0", "//", "\ufeff"]


def escaped(random: Random, text: str) -> str:
    """A plain string spelt with escapes: the same value in other bytes."""
    return "".join(f"\\u{ord(c):04x}" if c.isalnum() and random.random() < 0.2 else c for c in text)


def made_number(random: Random) -> str:
    """A number with more digits than a double has, or near its bounds: readers may round it differently."""
    digits = str(random.randrange(1, 10 ** random.randint(1, 25)))
    point = random.randrange(1, len(digits) + 1)
    text = random.choice(["", "", "-"]) + digits[:point] + ("." if point < len(digits) else "") + digits[point:]
    return text + random.choice(["", "", f"e{random.randint(-340, 330)}", f"E+{random.randrange(25)}"])


def made_event(random: Random, wrong: float) -> str:
    """One object; each field is changed with the chance `wrong`, and the way it is spelt as well."""
    fields: list[tuple[str, str]] = []
    for name, usual in EVENT.items():
        chance = random.random()
        text = random.choice(TEXTS[name]) if chance < wrong else usual
        if wrong / 2 < chance < wrong and name in ("seq", "value") and random.random() < 0.02:
            text = random.choice(["", "-"]) + LONG
        if name in ("industry", "period") and random.random() < 0.4:
            if random.random() < 0.5:
                continue
            text = "null"
        if chance < wrong / 10:
            continue
        if text == usual and name == "seq":
            text = str(random.randrange(10**6))
        if text == usual and name == "value" and random.random() < 0.5:
            text = made_number(random)
        fields.append((name, text))
    if random.random() < wrong:
        fields.append(
            (random.choice(["note", "", "seqs", "Source", "value "]), random.choice(OTHERS[:7] + STRINGS[:8]))
        )
    if random.random() < wrong:
        name = random.choice(list(EVENT))
        fields.insert(random.randrange(len(fields) + 1), (name, random.choice([EVENT[name], *TEXTS[name]])))  # a repeat
    if random.random() < 0.3:
        random.shuffle(fields)
    blank = "" if random.random() > wrong else random.choice(BLANKS)
    texts = []
    for name, text in fields:
        if random.random() < wrong / 4:
            name = escaped(random, name)
        if text[:1] == QUOTE and random.random() < wrong / 4:
            text = escaped(random, text)
        texts.append(f'{blank}"{name}"{blank}:{blank}{text}{blank}')
    return "{" + ",".join(texts) + "}"


def made_element(random: Random, wrong: float) -> str:
    """Mostly an event; else anything that an array can hold."""
    if random.random() > wrong:
        return made_event(random, wrong)
    if random.random() < 0.2:
        return made_event(random, 0)[:-1] + f',"note":"{"n" * EVENT_BYTES}"}}'
    return random.choice([*OTHERS, "7", '"text"', "NaN", "{}", '{"a":1}', json.dumps(made_event(random, 0))])


def made_text(random: Random) -> str:
    wrong = random.choice([0, 0, 0.02, 0.1, 0.3])
    sort = random.random()
    if sort < 0.5:
        return made_event(random, wrong)
    if sort < 0.95:
        elements = [made_element(random, wrong) for _ in range(random.choice([0, 1, 2, 3, 5, 12]))]
        blank = random.choice(BLANKS) if random.random() < wrong else ""
        return blank + "[" + f"{blank},{blank}".join(elements) + blank + "]" + blank
    depth = random.choice([1, 50, 99, 100, 101, 2000])
    inside = random.choice(["", "1", "{}", made_event(random, 0)])
    return random.choice(
        [
            "[" * depth + inside + "]" * depth,
            '{"a":' * depth + (inside or "1") + "}" * depth,
            "[" + made_event(random, 0)[:-1] + ',"a":' + "[" * depth + "]" * depth + "}]",
            random.choice([*OTHERS, "7", '"text"', " "]),
        ]
    )


def made_message(random: Random) -> bytes | None:
    """One Kafka message: JSON in nine of ten, and bytes that are none in the others."""
    value = made_text(random).encode("utf-8", "surrogatepass")
    chance = random.random()
    if chance > 0.15:
        return value
    place = random.randrange(len(value) + 1)
    return random.choice(
        [
            None,
            b"",
            value[:place],
            value + random.choice([b" ", b"\n", b"x", b"\x00", b",", b"{}", b"]"]),
            b"\xef\xbb\xbf" + value,
            value[:place]
            + random.choice([b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe5\x9f", b"\x00"])
            + value[place:],
            value[:place] + bytes([random.randrange(256)]) + value[place + 1 :],
            value[:place] + value[place + 1 :],
            value.decode("utf-8", "replace").encode("utf-16"),
            b" " * random.choice([10, EVENT_BYTES, MESSAGE_BYTES]) + value,
        ]
    )
