"""One event as JSON text, with some of it changed: fields dropped, doubled, renamed, of other types, at the edge."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from random import Random

from index.catalogue import Catalogue, Indicator
from tests.fuzz.spellings import (
    ESCAPES,
    OTHERS,
    PERIODS,
    halfway,
    made_number,
    made_time,
    number_near,
    odd_string,
    quoted,
)

BLANKS = [" ", "\n", "\t \r\n", "\f", "\u00a0", "//", "\ufeff", "\x00", "\u2028", ","]
SOURCES = ["pay-east", "till-1", "hq-office", "mute", "城", "s" * 64, "a\u3000b", "\x80", "x*y", "é"]
PLACES = ("source", "seq", "city", "indicator", "industry", "op", "value", "at", "period")


def is_json(text: str) -> bool:
    """Whether it is JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return text not in ("NaN", "Infinity", "-Infinity")


class EventMaker:
    """Makes events that the catalogue takes, and others."""

    def __init__(self, random: Random, catalogue: Catalogue) -> None:
        self.random, self.catalogue = random, catalogue
        self.seqs: Counter[str] = Counter()
        self.sources = list(SOURCES)
        self.last = {
            "source": '"pay-east"',
            "city": quoted(catalogue.cities[0], random),
            "at": '"2021-03-03T08:00:00Z"',
        }
        self.last["indicator"] = quoted(catalogue.indicators[0].code, random)
        self.before_last = self.last  # where the events before this one were
        # Of the right form, and still not what this event should say.
        names = [each.code for each in catalogue.indicators]
        groups = [each.code for each in catalogue.entities]
        self.plausible: dict[str, Callable[[], str]] = {
            "source": lambda: quoted(random.choice(SOURCES), random),
            "city": lambda: quoted(random.choice([*groups, "nobody", ""]), random),
            "indicator": lambda: quoted(random.choice([*names, "till", ""]), random),
            "industry": lambda: quoted(random.choice(["all", "bread", "milk", "beer", ""]), random),
            "op": lambda: random.choice(['"add"', '"set"', '"drop"', '"Add"', '""', '"del"']),
            "value": lambda: random.choice([number_near(2, 10**6, random), halfway(random), made_number(random)]),
            "at": lambda: quoted(made_time(1969, 2031, random), random),
            "period": lambda: quoted(random.choice(PERIODS), random),
        }

    def event(self, wrong: float) -> str:
        """One object; each field is changed with the chance `wrong`, and so is the way it is spelt."""
        random, catalogue = self.random, self.catalogue
        source = random.choice(self.sources[:3] if random.random() < 0.9 else self.sources)
        indicator = random.choice(catalogue.indicators)
        if source.startswith("till-") and random.random() < 0.9:
            indicator = catalogue.indicators[random.randrange(2)]
        if source.endswith("-office") and random.random() < 0.9:
            indicator = catalogue.indicators[3]
        codes = catalogue.industry_codes[catalogue.indicator_index[indicator.code]]
        texts = {
            "source": quoted(source, random),
            "seq": str(self.seq(source)),
            "city": quoted(random.choice(catalogue.cities), random),
            "indicator": quoted(indicator.code, random),
            "industry": quoted(random.choice(codes), random),
            "op": '"add"' if indicator.kind == "flow" else '"set"',
            "value": self.value(indicator, wrong),
            "at": quoted(
                made_time(*catalogue.years, random) if random.random() < 0.3 + wrong else self.usual_time(), random
            ),
        }
        if random.random() < 0.2:
            texts["period"] = quoted(random.choice(PERIODS[:10] if random.random() > wrong else PERIODS), random)
        if not indicator.industries and random.random() < 0.7:
            del texts["industry"]
        sort = random.random()
        if sort < 0.1:  # nothing where something was, or a sum of 0 for it to end
            for name in ("source", "city", "indicator", "industry", "at", "period"):
                texts.pop(name, None)
            texts |= self.before_last if sort < 0.05 else self.last
            texts["seq"] = str(self.seq(json.loads(texts["source"])))
            texts["op"] = '"drop"'
            texts["value"] = random.choice(["0"] * 9 + ["0.0", "-0", "0e9", "1e-400", "1", "1e-300"])
        elif sort < 0.15:
            texts["value"] = "0"
        if texts["op"] != '"drop"':
            self.before_last = self.last
            self.last = {k: text for k, text in texts.items() if k not in ("seq", "op", "value")}
        fields = list(texts.items())
        return self.changed(fields, wrong) if wrong else "{" + ",".join(f'"{k}":{v}' for k, v in fields) + "}"

    def changed(self, fields: list[tuple[str, str]], wrong: float) -> str:
        """The object with some of it dropped, doubled, renamed, retyped, respelt or moved."""
        random = self.random
        out: list[tuple[str, str]] = []
        hit = random.sample(range(len(fields)), random.choice([0, 1, 1, 1, 1, 2, 4]))
        respelt = random.random() < 0.2
        for place, (name, text) in enumerate(fields):
            usual = text
            if place in hit:
                text = self.plausible[name]() if name in self.plausible and random.random() < 0.6 else self.other(text)
            elif respelt and text[:1] == '"':
                text = quoted(text[1:-1], random, 0.3)
            sort = random.random()
            if sort < wrong / 40:
                continue
            if sort < wrong / 20:
                name = random.choice([name.upper(), name + "s", "", name[:-1], f" {name}", random.choice(PLACES)])
            if random.random() < wrong / 20:
                out.append((name, random.choice([usual, self.other(usual)])))
            out.append((name, text))
        if random.random() < wrong:
            more = (
                random.choice(["note", "", "Source", "seq ", "0"]),
                random.choice([self.other("x"), f'"{random.choice(ESCAPES)}"', "[" * 5 + "]" * 5]),
            )
            out.insert(random.randrange(len(out) + 1), more)
        if random.random() < 0.3:
            random.shuffle(out)
        blank = random.choice(BLANKS[:3] if random.random() < 0.9 else BLANKS) if random.random() < wrong / 2 else ""
        parts = []
        for name, text in out:
            spelt = quoted(name, random, 0.4 if random.random() < wrong / 4 else 0.0)
            parts.append(f"{blank}{spelt}{blank}:{blank}{text}{blank}")
        return "{" + ",".join(parts) + ("" if random.random() < wrong / 60 else "}")

    def renew(self) -> None:
        """Other sources from here on: one whose number has leapt is stale, or ahead, for ever."""
        name = f"{self.random.getrandbits(32):x}"
        self.sources[:3] = f"pay-{name}", f"till-{name}", f"{name}-office"

    def other(self, text: str) -> str:
        """Something else in a value's place; mostly it is JSON, since else nothing of the message can be read."""
        random = self.random
        made = odd_string(text.strip('"'), random), random.choice(OTHERS), made_number(random), halfway(random)
        other = random.choice(made)
        if is_json(other) or random.random() < 0.2:
            return other
        return random.choice(["null", "true", '"x"', "{}", "[[]]", "7", '"\\ud800"', quoted(PERIODS[0], random)])

    def seq(self, source: str) -> int:
        """The next number of a source; sometimes an old one, a repeat, a leap."""
        random = self.random
        self.seqs[source] += random.choice([1] * 20 + [2, 70, 5000])
        now, sort = self.seqs[source], random.random()
        if sort < 0.9:
            return now
        if sort < 0.98:
            return max(0, now - random.choice([0, 1, 2, 15, 16, 17, 63, 64, 65, 4095, 4096, 5000]))
        return random.choice([now + 10**6, now + 10**6 + 1, 2**63 - 1, 2**62, 0, now + 10**7])

    def value(self, indicator: Indicator, wrong: float) -> str:
        """A number that the indicator takes, as a rule."""
        random = self.random
        if random.random() < wrong:
            return random.choice([number_near(indicator.decimals, self.catalogue.limits.cell, random), halfway(random)])
        units = random.randint(-(10**5), 10**5)
        if indicator.decimals and random.random() < 0.8:
            text = f"{abs(units):0{indicator.decimals + 1}d}"
            cut = len(text) - indicator.decimals
            return f"{'-' if units < 0 else ''}{text[:cut]}.{text[cut:]}"
        return str(units)

    def usual_time(self) -> str:
        random = self.random
        year = min(max(2021, self.catalogue.years[0]), self.catalogue.years[1])
        date = f"{year}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}"
        return f"{date}T{random.randrange(24):02d}:{random.randrange(60):02d}:00+08:00"
