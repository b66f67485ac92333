"""Catalogues for the decoder's fuzz, and the records of newer ones: right, refused, and broken in one place."""

from __future__ import annotations

import json
from random import Random

import msgspec

from index.catalogue import Catalogue, Indicator, Limits
from stream.catalogue_log import record_of
from tests.shops import shops

LIMITS = Limits(window=64, jump=10**6, cell=10**9, future_s=86_400, message_bytes=9000, event_bytes=900)
DECIMALS = tuple(Indicator(f"n.{d}", "", "", "flow", "", d) for d in range(10))


def catalogue_of(random: Random, version: int = 1) -> Catalogue:
    """One of several: other zones, years, limits; ten indicators beside the shops' own, one for each decimals."""
    base = shops(version)
    cell = random.choice([10**9, 10**15, 10**6])
    limits = msgspec.structs.replace(LIMITS, cell=cell, window=random.choice([1, 16, 64, 4096]))
    if random.random() < 0.2:
        limits = msgspec.structs.replace(limits, message_bytes=300, event_bytes=random.choice([150, 400]))
    zone, years = random.choice(
        [("Asia/Shanghai", (1990, 2030)), ("Europe/Berlin", (2020, 2023)), ("America/Sao_Paulo", (2015, 2022)),
         ("UTC", (1970, 2030)), ("Pacific/Apia", (2011, 2022))]
    )  # fmt: skip
    return shops(version, timezone=zone, years=years, limits=limits, indicators=(*base.indicators, *DECIMALS))


def catalogue_record(random: Random, base: Catalogue) -> bytes:
    """A newer catalogue, an older one, one that may not follow, one that is none."""
    version = base.version + random.choice([0, 0, 1, 2, 3, 8])
    kept = base.entities if random.random() < 0.5 else tuple(e for e in base.entities if e.code != "dora")
    members = {g: tuple(m for m in codes if any(m == e.code for e in kept)) for g, codes in base.members.items()}
    limits = msgspec.structs.replace(
        base.limits, window=random.choice([1, 16, 70]), event_bytes=random.choice([200, 900])
    )
    newer = msgspec.structs.replace(base, version=version, entities=kept, members=members, limits=limits)
    if random.random() < 0.1:
        newer = msgspec.structs.replace(newer, timezone="Africa/Cairo")
    value = record_of(newer)
    if random.random() < 0.6:
        return value
    return _broken(random, value)


def _broken(random: Random, value: bytes) -> bytes:
    """A catalogue's record with one thing changed: a value, a type, a key, a byte."""
    sort = random.randrange(8)
    if sort == 0:
        place = random.randrange(len(value))
        return value[:place] + bytes([random.randrange(256)]) + value[place + 1 :]
    if sort == 1:
        place = random.randrange(13, len(value))
        return value[:place] + random.choice([b"", b" ", b"x", b"}", b"]"])
    if sort == 2:
        return value + random.choice([b" ", b"\n", b"x", b"{}", b"\x00"])
    if sort == 5:
        return value[:-1] + random.choice(
            [b',"x":1}', b',"x":"\xff"}', b',"x":NaN}', b',"catalogue":7}', b',"source":"\\ud800"}']
        )
    if sort == 6:  # a key that stands twice
        return value.replace(
            b'"version":',
            random.choice([b'"version":"x","version":', b'"version":7,"version":', b'"name":"\\ud83d","version":']),
        )
    if sort == 3:
        return random.choice(
            [
                b'{"catalogue":{}}',
                b'{"catalogue":7}',
                b'{"catalogue":null,"source":"x"}',
                b'{"catalogue":',
                b'{"catalogue":' + b"[" * 3000 + b"]" * 3000 + b"}",
            ]
        )
    data = msgspec.json.decode(value)
    _spoil(random, data["catalogue"])
    return b'{"catalogue":' + json.dumps(data["catalogue"], ensure_ascii=False).encode() + b"}"


def _spoil(random: Random, data: object) -> None:
    """Change one thing somewhere inside, in place."""
    while True:
        keys: list[object] = list(data) if isinstance(data, dict) else list(range(len(data)))  # type: ignore[arg-type]
        key = random.choice(keys) if keys else None
        inner = data[key] if keys else None  # type: ignore[index]
        if isinstance(inner, dict | list) and inner and random.random() < 0.8:
            data = inner
            continue
        break
    other = random.choice(
        [
            None,
            True,
            0,
            -1,
            1,
            1.0,
            2.5,
            2**53,
            2**62,
            2**70,
            "",
            "x",
            "all",
            "shop",
            "anna",
            "UTC",
            "*",
            [],
            {},
            [1, 2],
            "x" * 65,
            "\ud7ff",
        ]
    )
    if isinstance(data, dict):
        if random.random() < 0.2:
            data.pop(key, None)  # type: ignore[arg-type]
        elif random.random() < 0.2:
            data["more"] = other
        else:
            data[key] = other
    elif isinstance(data, list):
        if random.random() < 0.3 and keys:
            data.append(inner)
        elif random.random() < 0.3 and keys:
            data.pop()
        elif keys:
            data[key] = other  # type: ignore[call-overload]
