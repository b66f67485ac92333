"""How long an ingest worker is away when it is restarted over 10^6 cells: `python -m bench.restart`.

Row 7 of DESIGN section 8. The cells are written by the real flush, batch by batch; then, in each
round, a worker is started as a process, and one new event per partition waits in the log. Measured from the start of
the process, and from the first acquire (a new owner's token in Redis), to the flush of the last of these events.
"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import msgspec
import orjson
import redis as redis_sync
import typer
from confluent_kafka import Producer

from bench.common import (
    Bed,
    Positions,
    bed,
    emit,
    load,
    machine,
    median,
    note,
    notes,
    say_machine,
    spread,
    table,
    verdict,
    versions,
)
from index.catalogue import Catalogue
from index.periods import Grain, Period
from state.flush import FlushBatch, flush
from state.keys import META, Offset, Partition, Token, cells_row, key
from state.ownership import acquire
from stream.tail import high_watermarks
from stream.topics import EVENTS, client_options
from workers.connect import make_redis
from workers.output import told

BUDGET_S = 3.0
ROWS_A_FLUSH = 400
FIRST_MONTH = Period.parse("1990-01").ordinal
PATIENCE_S = 60.0


async def write_cells(place: Bed, catalogue: Catalogue, cells: int) -> tuple[int, dict[int, int]]:
    """About `cells` own cells, spread over all partitions; (how many, next offset of each partition).

    The log is given as many messages first, so that Redis never stands above its end.
    """
    partitions = place.settings.partitions
    fields = [f"{i.code}/{industry}" for i, codes in zip(catalogue.indicators, catalogue.industry_codes, strict=True)
              for industry in codes if i.kind == "flow"]  # fmt: skip
    pairs = [part for field in fields for part in (field, 123_456)]
    months = max(1, round(cells / (len(catalogue.cities) * len(fields))))
    encode, written = msgspec.json.Encoder().encode, 0
    ends = high_watermarks(place.kafka, [(EVENTS, p) for p in range(partitions)])
    client = make_redis(place.redis)
    try:
        for p in map(Partition, range(partitions)):
            token, rows, start = Token("bench"), [], 0
            await acquire(client, p, token)
            for month in range(months):
                name = Period(Grain.MONTH, FIRST_MONTH + month).name
                rows += [[cells_row(name, city), *pairs] for city in catalogue.cities[p::partitions]]
            written += len(rows) * len(fields)
            chunks = [rows[i : i + ROWS_A_FLUSH] for i in range(0, len(rows), ROWS_A_FLUSH)]
            if len(chunks) > ends[EVENTS, p]:
                raise ValueError(f"partition {p} has {ends[EVENTS, p]} messages, {len(chunks)} flushes need as many")
            for i, chunk in enumerate(chunks, 1):
                end = ends[EVENTS, p] if i == len(chunks) else i
                batch = FlushBatch(
                    Offset(start),
                    Offset(end),
                    0,
                    encode(chunk),
                    b"[]",
                    b'{"accepted":1}',
                    catalogue.version,
                    catalogue.to_json(),
                )
                await flush(client, p, token, batch)
                start = end
    finally:
        await client.aclose()
    return written, {p: ends[EVENTS, p] for p in range(partitions)}


def send(place: Bed, catalogue: Catalogue, seq: int, number: int) -> dict[int, int]:
    """`number` events to every partition; returns the ends."""
    producer = Producer(client_options(place.kafka))
    city = catalogue.cities[0].encode()
    indicator = next(i for i in catalogue.indicators if i.kind == "flow")
    event = {
        "source": "bench", "city": catalogue.cities[0], "indicator": indicator.code, "op": "add", "value": 1,
        "industry": catalogue.industry_codes[catalogue.indicator_index[indicator.code]][0],
        "at": "2020-01-01T00:00:00Z",
    }  # fmt: skip
    partitions = range(place.settings.partitions)
    for p in partitions:
        for i in range(number):
            producer.produce(EVENTS, orjson.dumps(event | {"seq": seq + i}), city, p)
    if producer.flush(30):
        raise OSError("Kafka does not take the events")
    ends = high_watermarks(place.kafka, [(EVENTS, p) for p in partitions])
    return {p: ends[EVENTS, p] for p in partitions}


def one_round(place: Bed, ends: dict[int, int], number: int) -> dict[str, float]:
    """Start a worker and wait for the flush of what waits in the log; seconds from its start and its first acquire."""
    at = Positions(place.redis, list(ends))
    name = f"restart-{number}"
    try:
        with redis_sync.Redis.from_url(place.redis, decode_responses=True) as client:
            before = {p: client.hget(key(p, META), "epoch") for p in ends}
            began, acquired = time.monotonic(), 0.0
            place.crew.start(name, "ingest", env={"TIDEWATCH_GROUP": name})
            while True:
                place.crew.check()
                if not acquired and any(client.hget(key(p, META), "epoch") != token for p, token in before.items()):
                    acquired = time.monotonic()
                _, offsets = at.look()
                if all(offsets[p] >= end for p, end in ends.items()):
                    break
                if time.monotonic() - began > PATIENCE_S:
                    raise ValueError(f"the worker stands at {offsets}, wanted {ends}")
                time.sleep(0.005)
            done = time.monotonic()
        place.crew.end(name)
        return {"start_s": done - began, "acquire_s": done - (acquired or began)}
    finally:
        at.close()


def measure(cells: int, rounds: int, partitions: int) -> dict[str, Any]:
    """Write, then `rounds` restarts."""
    with bed(partitions) as place:
        catalogue = Catalogue.load(place.settings.catalogue)
        need = cells // (ROWS_A_FLUSH * partitions * 8) + 64
        send(place, catalogue, 1, need)
        note(f"writing about {cells:,} cells")
        written, _ = asyncio.run(write_cells(place, catalogue, cells))
        note(f"{written:,} cells in Redis")
        found = []
        for number in range(rounds):
            ends = send(place, catalogue, 10**6 + number, 1)
            found.append(one_round(place, ends, number))
            note(f"round {number + 1}: {found[-1]['start_s']:.2f} s, first acquire {found[-1]['acquire_s']:.2f} s")
        return {
            "cells": written,
            "start_s": round(median([f["start_s"] for f in found]), 3),
            "acquire_s": round(median([f["acquire_s"] for f in found]), 3),
            "rounds": found,
        }


def main(
    cells: Annotated[int, typer.Option(min=1000)] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    partitions: Annotated[int, typer.Option(min=1, help="of indicator-events")] = 4,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")] = False,
) -> None:
    """Measure the restart of an ingest worker over many cells."""
    with told():
        before = load()
        result = measure(cells, rounds, partitions)
        about = machine() | {"load_before": before}
        result |= {"machine": about, "versions": versions()}
        shown = table(
            f"restart of an ingest worker over {result['cells']:,} cells, median",
            "until a new event is flushed", "seconds", "lowest .. highest", "budget",
        )  # fmt: skip
        for name, text in (("start_s", "from the start of its process"), ("acquire_s", "from its first acquire")):
            shown.add_row(text, f"{result[name]:.2f}", spread([f[name] for f in result["rounds"]], ".2f"),
                          f"< {BUDGET_S:.0f} s {verdict(result[name] < BUDGET_S)}"
                          if name == "start_s" else "")  # fmt: skip
        notes.print(shown)
        say_machine(about, result["versions"])
        if json:
            emit(result)


if __name__ == "__main__":
    typer.run(main)
