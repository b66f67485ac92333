"""One chunk of the decoder's fuzz: two partitions' logs from a seed, through product and oracle, in two layouts."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from index.catalogue import Catalogue
from tests.fuzz.both_sides import Product, differences, judged, played
from tests.fuzz.made_catalogues import catalogue_of
from tests.fuzz.made_logs import Maker, Record

PARTITIONS = 2


@dataclass
class Outcome:
    """`found`: differences and exceptions in words, empty where all is well. `slowest_s`: of one message read alone."""

    messages: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: tuple[int, int] | None = None


def made_chunk(seed: str, messages: int) -> tuple[Catalogue, list[list[Record]]]:
    """The catalogue and the logs of a chunk."""
    random = Random(seed)
    catalogue = catalogue_of(random)
    return catalogue, [Maker(random, catalogue).log(p, messages // PARTITIONS) for p in range(PARTITIONS)]


def tried(
    catalogue: Catalogue,
    logs: list[list[Record]],
    seed: str,
    at: Callable[[Record], None] = lambda record: None,
    *,
    alone: bool = True,
) -> Outcome:
    """Play the logs: in random reads, and (`alone`) message by message, against the oracle. `at` hears each message
    before it is read alone. Never raises for what a log holds: an exception is found as well.
    """
    out = Outcome(sum(map(len, logs)))
    wanted = [judged(catalogue, log) for log in logs]
    for result in wanted:
        out.counts.update(result.counts)
    layouts: list[tuple[str, Random | None]] = [("batches", Random(f"{seed}/layout"))]
    if alone:
        layouts.append(("alone", None))

    def told(record: Record, seconds: float) -> None:
        if seconds > out.slowest_s:
            out.slowest_s, out.slowest = seconds, (record.partition, record.offset)
        at(record)

    for name, random in layouts:
        try:
            product: Product = played(catalogue, logs, random, told)
        except Exception as error:
            out.found.append(f"{name}: {type(error).__name__}: {error}")
            continue
        for p, result in enumerate(wanted):
            out.found += [f"{name}, partition {p}: {text}" for text in differences(product.result(p), result)]
    return out


def stored(catalogue: Catalogue, logs: list[list[Record]]) -> str:
    """A case as text, for a file that is kept."""

    def coded(value: bytes | None) -> str | None:
        return None if value is None else b64encode(value).decode()

    records = [[[r.partition, r.offset, r.timestamp_ms, coded(r.own_key), coded(r.value)] for r in log] for log in logs]
    return json.dumps({"catalogue": json.loads(catalogue.to_json()), "logs": records})


def restored(text: str) -> tuple[Catalogue, list[list[Record]]]:
    """Inverse of `stored`."""

    def plain(value: str | None) -> bytes | None:
        return None if value is None else b64decode(value)

    data = json.loads(text)
    logs = [[Record(p, o, ms, plain(k), plain(v)) for p, o, ms, k, v in log] for log in data["logs"]]
    return Catalogue.from_json(json.dumps(data["catalogue"])), logs
