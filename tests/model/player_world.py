"""The model's little world in the product's terms: catalogue, events, definitions, and Redis read back as the model.

The log of the product begins with what the model leaves out: the catalogue's record, and a flow and a stock of another
city (so that all tables exist from the start). So offset 0 of the model is offset SHIFT, and `counts` and watermark
start at what these two made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from model_log import NOT_YET, Cells, Event, Meta, Mirror, NewCatalogue
from model_state import Entry
from model_state import Redis as ModelRedis
from redis.asyncio import Redis

from index.catalogue import Catalogue, Entity, Indicator, Industry, Limits
from state.keys import CHANGES, COUNTS, META, ROWS, SEQ, Partition, key
from stream.catalogue_log import KEY, record_of
from stream.messages import ControlVersion
from tests.state.partition import owner

P = Partition(0)
SHIFT = 2
BASE_EVENTS = 2
BEGIN_US = 1_654_077_600_000_000  # 2022-06-01T10:00:00Z
MINUTE_US = 60_000_000
CITY, OTHER, MONTH, QUARTER = "aa", "bb", "2022-06", "2022Q2"
FLOW, STOCK = "play.flow", "play.stock"


def catalogue(version: int) -> Catalogue:
    """Two cities, a flow and a stock; version 2 knows one more industry of the flow."""
    return Catalogue(
        name="played",
        version=version,
        timezone="Europe/Berlin",
        base_kind="city",
        years=(2020, 2024),
        limits=Limits(window=64),
        entities=(Entity(CITY, "city", CITY), Entity(OTHER, "city", OTHER), Entity("nation:x", "nation", "x")),
        members={"nation:x": (CITY, OTHER)},
        indicators=(Indicator(FLOW, FLOW, "", "flow", "", 0, "trade"), Indicator(STOCK, STOCK, "", "stock", "", 0)),
        industries=tuple(Industry("trade", code, code) for code in "ab"[:version]),
    ).checked("played")


def records(log: tuple) -> list[tuple[bytes, bytes]]:
    """Key and value of every record of the product's log."""
    first = {"source": "base", "city": OTHER, "value": 100, "at": _time(0)}
    flow = first | {"seq": 1, "indicator": FLOW, "industry": "a", "op": "add"}
    stock = first | {"seq": 2, "indicator": STOCK, "op": "set"}
    out = [(KEY, record_of(catalogue(1))), (OTHER.encode(), json.dumps([flow, stock]).encode())]
    for record in log:
        if isinstance(record, NewCatalogue):
            out.append((KEY, record_of(catalogue(record.version))))
        else:
            out.append((CITY.encode(), _event(record)))
    return out


def _event(event: Event) -> bytes:
    fields: dict[str, Any] = {"source": f"s{event.source}", "seq": event.seq, "city": CITY, "value": event.value}
    if event.stock:
        fields |= {"indicator": STOCK, "op": "set"}
    else:
        fields |= {"indicator": FLOW, "industry": "ab"[event.since - 1], "op": "add"}
    return json.dumps(fields | {"at": _time(event.at)}).encode()


def _time(minutes: int) -> str:
    return f"2022-06-01T10:{minutes:02d}:00Z"


async def begin(redis: Redis) -> None:
    """Redis as the first SHIFT records leave it."""
    first = await owner(redis, "base", P)
    cells = [f"cells:{MONTH}:{OTHER}", f"{FLOW}/a", 100, f"{STOCK}/all", f"100 {BEGIN_US} 2 base"]
    days = [f"days:{MONTH}:{OTHER}", f"{FLOW}@2022-06-01", 100]
    more: dict[str, Any] = {"catalogue_version": 1, "catalogue": catalogue(1).to_json(), "watermark_us": BEGIN_US}
    await first.flush(SHIFT, cells, days, windows=["base", "2:3"], counts={"accepted": BASE_EVENTS}, **more)


def control(system: str, version: int) -> ControlVersion:
    """The definition of that version: the first publishes the flow by month and quarter, the second with the stock."""
    leaves, grains = ([FLOW], ["month", "quarter"]) if version == 1 else ([FLOW, STOCK], ["month"])
    lines = [
        f'system = "{system}"', f"version = {version}", 'title = "played"', f"grains = {json.dumps(grains)}",
        'normalise = "none"', "scale = 1", "renormalise = true", "[tree]", f"children = {json.dumps(leaves)}",
        f"weights = {[1 / len(leaves)] * len(leaves)}",
    ]  # fmt: skip
    for leaf in leaves:
        lines += ["[[ranking]]", f'name = "{leaf[5:]}"', 'rows = "city"', 'measure = "value"', f'node = "{leaf}"']
    text = "\n".join(lines)
    return ControlVersion(system=system, version=version, definition=text, author="", reason="", at="")


# --- what Redis holds, as the model names it -----------------------------------------------------------------------


async def held(redis: Redis) -> tuple[str, ModelRedis]:
    """The owner's token as it is stored, and the rest in the model's terms (its token 0), read in one transaction."""
    names = sorted(await redis.smembers(key(P, ROWS)))
    pipe = redis.pipeline(transaction=True)
    for name in (META, SEQ, COUNTS):
        pipe.hgetall(key(P, name))
    pipe.xrange(key(P, CHANGES))
    pipe.xinfo_stream(key(P, CHANGES))
    for name in names:
        pipe.hgetall(key(P, name))
    meta, seq, counts, changes, stream, *rows = await pipe.execute()
    offset = int(meta["offset"]) - SHIFT
    mirror = Mirror(
        cells_of(dict(zip(names, rows, strict=True))),
        meta_of(meta.get("watermark"), {name: int(n) for name, n in counts.items()}, meta.get("catalogue")),
        windows_of(seq),
    )
    feed = tuple(_entry(name, fields) for name, fields in changes if int(name.partition("-")[0]) > SHIFT)
    last_id = int(stream["last-generated-id"].partition("-")[0]) - SHIFT
    return meta["epoch"], ModelRedis(0, offset, mirror, feed, last_id)


def cells_of(rows: dict[str, dict[str, str]]) -> Cells:
    """The model's three cells out of rows by key: field -> value."""
    flows = rows.get(f"cells:{MONTH}:{CITY}", {})
    stock = flows.get(f"{STOCK}/all")
    return Cells(
        sum(int(value) for field, value in flows.items() if field.startswith(f"{FLOW}/")),
        sum(map(int, rows.get(f"days:{MONTH}:{CITY}", {}).values())),
        () if stock is None else stock_of(*stock.split(" ")),
    )


def stock_of(amount: str, at_us: str, seq: str, source: str) -> tuple[int, int, int, int]:
    """(value, at, source, seq)."""
    return int(amount), minutes(int(at_us)), int(source[1:]), int(seq)


def minutes(at_us: int) -> int:
    """Event time as the model has it."""
    return (at_us - BEGIN_US) // MINUTE_US


def meta_of(watermark_us: Any, counts: dict[str, int], version: Any) -> Meta:
    """What travels with the cells; the first events are not counted."""
    watermark = minutes(int(watermark_us))
    rejected = sum(n for name, n in counts.items() if name.startswith("rejected:"))
    return Meta(
        watermark or NOT_YET,
        counts.get("accepted", 0) - BASE_EVENTS,
        counts.get("duplicate", 0),
        rejected,
        int(version or 1),
    )


def windows_of(seq: dict[str, str]) -> tuple:
    """The (source, seq) that are marked: `top:bits`, bits hexadecimal, bit i for top - i."""
    marked = []
    for source, text in seq.items():
        top, _, bits = text.partition(":")
        if source != "base":
            marked += [(int(source[1:]), int(top) - i) for i in range(64) if int(bits, 16) >> i & 1]
    return tuple(sorted(marked))


def _entry(name: str, fields: dict[str, str]) -> Entry:
    rows = {row[0]: [str(f) for f in row[1::2]] for row in json.loads(fields["rows"])}
    meta = meta_of(fields["watermark"], json.loads(fields["counts"]), fields["catalogue"])
    return Entry(int(fields["from"]) - SHIFT, int(name.partition("-")[0]) - SHIFT, _changed(rows), meta)


def _changed(rows: dict[str, list[str]]) -> tuple[bool, bool, bool]:
    """Which of the three cells an entry names. (Of a flow it names the industries that changed, not their sum.)"""
    fields: Iterable[str] = rows.get(f"cells:{MONTH}:{CITY}", ())
    flow = any(field.startswith(FLOW) for field in fields)
    return flow, bool(rows.get(f"days:{MONTH}:{CITY}")), any(field.startswith(STOCK) for field in fields)
