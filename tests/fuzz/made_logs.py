"""Logs for the decoder, made with a seed: events in order, events again, and all that a source can get wrong.

Structure-aware first (`made_events.py`), then bytes (flips, splices, cuts, noise). A log is one partition's; about half
of what it holds counts, so that what is wrong has neighbours.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from index.catalogue import Catalogue
from tests.fuzz.made_catalogues import catalogue_record
from tests.fuzz.made_events import BLANKS, EventMaker, is_json
from tests.fuzz.spellings import OTHERS, quoted

NOW_MS = 1_700_000_000_000  # 2023-11-14


class Record(NamedTuple):
    """One message of a partition."""

    partition: int
    offset: int
    timestamp_ms: int
    own_key: bytes | None
    value: bytes | None

    def key(self) -> bytes | None:
        return self.own_key


class Maker(EventMaker):
    """Makes one partition's log under a catalogue."""

    def __init__(self, random: Random, catalogue: Catalogue) -> None:
        super().__init__(random, catalogue)
        self.before: list[bytes] = [b"{}"]  # messages to splice

    def log(self, partition: int, n: int) -> list[Record]:
        """`n` messages; offsets have gaps, as compaction, markers and aborted transactions leave them."""
        random, out, offset = self.random, [], 0
        wrong = random.choice([0.0, 0.02, 0.3, 0.6])
        stamp = NOW_MS
        for _ in range(n):
            offset += random.choice([1] * 30 + [2, 3, 100])
            stamp += random.choice([0, 1, 5])
            at = stamp
            if random.random() < wrong / 4:
                at = random.choice(
                    [-1, 0, -(2**62), 2**62, 2**63 - 1, -(2**63), 9_223_372_036_854_776, 10**15, stamp * 1000]
                )
            key: bytes | None = random.choice([None, b"330100", b""])
            value = self.message(wrong)
            if random.random() < 0.004 + wrong / 40:
                key, value = b"catalogue", catalogue_record(random, self.catalogue)
            out.append(Record(partition, offset, at, key, value))
            if value:
                self.before.append(value)
                del self.before[:-20]
        return out

    def message(self, wrong: float) -> bytes | None:
        """One message."""
        random = self.random
        sort = random.random()
        if sort >= wrong:
            text = (
                self.event(0.0)
                if random.random() < 0.8
                else self.array([self.event(0.0) for _ in range(random.randrange(9))], 0.0)
            )
            return text.encode()
        if sort < wrong * 0.5:
            return self.event(wrong).encode("utf-8", "surrogatepass")
        if sort < wrong * 0.75:
            elements = [self.element(wrong) for _ in range(random.choice([0, 1, 2, 3, 5, 12, 40]))]
            return self.array(elements, wrong).encode("utf-8", "surrogatepass")
        if sort < wrong * 0.8:
            return self.nested()
        return self.noise()

    def array(self, elements: list[str], wrong: float) -> str:
        """An array of element texts; blanks, and what is no blank, around them."""
        random = self.random
        blank = random.choice(BLANKS[:3] if random.random() < 0.7 else BLANKS) if random.random() < wrong else ""
        comma = f"{blank},{blank}" if random.random() > wrong / 20 else random.choice([",,", ";", ""])
        end = random.choice(["]", "]", "]", ",]", "]]", "", "}", "] "]) if random.random() < wrong / 4 else "]"
        return blank + "[" + blank + comma.join(elements) + blank + end + blank

    def element(self, wrong: float) -> str:
        """Mostly an event."""
        random = self.random
        if random.random() > wrong:
            return self.event(wrong / 4)
        if random.random() < 0.15:
            return self.event(0.0)[:-1] + f',"note":"{random.choice("n城") * random.choice([600, 900, 3000])}"}}'
        other = random.choice([*OTHERS, self.event(0.9), quoted(self.event(0.0), random)])
        return other if is_json(other) or random.random() < 0.1 else "null"

    def nested(self) -> bytes:
        """Brackets within brackets, around the bound of 100 and far beyond."""
        random = self.random
        depth = random.choice([1, 50, 98, 99, 100, 101, 102, 1000, 4000])
        inside = random.choice(["", "1", "{}", self.event(0.0), '"[[["'])
        deep = random.choice(["[" * depth + inside + "]" * depth, '{"a":' * depth + (inside or "1") + "}" * depth])
        text = random.choice(
            [
                deep,
                self.event(0.0)[:-1] + f',"a":{deep}}}',
                f"[{self.event(0.0)},{deep}]",
                deep[:-1],
                deep[: len(deep) // 2],
            ]
        )
        return text.encode()

    def noise(self) -> bytes | None:
        """Bytes: a message cut, spliced, flipped, recoded; or none."""
        random = self.random
        value = self.event(0.0).encode() if random.random() < 0.6 else random.choice(self.before)
        place = random.randrange(len(value) + 1)
        sort = random.randrange(14)
        if sort == 0:
            return random.choice(
                [None, b"", b" ", b"\x00", b"\xef\xbb\xbf", b"7", b'"x"', b"null", b"[", b"{", b'{"', b"[]", b"{}"]
            )
        if sort == 1:
            return value[:place]
        if sort == 2:
            return value + random.choice([b" ", b"\n", b"x", b"\x00", b",", b"{}", b"]", b"//", b"\xff", value])
        if sort == 3:
            return b"\xef\xbb\xbf" + value
        if sort == 4:
            bad = [
                b"\xff",
                b"\xc0\xaf",
                b"\xed\xa0\x80",
                b"\xe5\x9f",
                b"\x00",
                b"\xf4\x90\x80\x80",
                b"\xf8\x88\x80\x80\x80",
                b"\xc3",
            ]
            return value[:place] + random.choice(bad) + value[place:]
        if sort == 5:
            return bytes(b ^ (1 << random.randrange(8)) if random.random() < 0.01 else b for b in value)
        if sort == 6:
            return value[:place] + bytes([random.randrange(256)]) + value[place + 1 :]
        if sort == 7:
            return value[:place] + value[place + random.randint(1, 5) :]
        if sort == 8:
            other = random.choice(self.before)
            return value[:place] + other[random.randrange(len(other) + 1) :]
        if sort == 9:
            return random.randbytes(random.choice([1, 3, 30, 300]))
        if sort == 10:
            return value.decode("utf-8", "replace").encode(
                random.choice(["utf-16", "utf-16-be", "utf-32-le", "utf-7", "gb18030"])
            )
        if sort == 11:
            return b" " * random.choice([10, 600, 9000]) + value + b"\n" * random.choice([0, 5, 500])
        if sort == 12:
            return value.replace(
                random.choice([b",", b":", b'"', b"{", b"}", b"e"]),
                random.choice([b"", b",,", b" ", b"\\", b"{"]),
                random.choice([1, -1]),
            )
        return random.choice(
            [
                b"[" + b",".join([value] * random.choice([60, 200])) + b"]",
                b'{"x":"' + b"y" * 20_000 + b'"}',
                b"[" + b"0," * 3000 + b"0]",
            ]
        )
