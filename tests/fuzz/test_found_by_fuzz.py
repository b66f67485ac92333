"""What fuzzing found in the decoder and in the catalogue's records, each kept: product and oracle say the same of it.

A worker must not stop for it, and `verify` must judge it as the worker does.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest

from index.catalogue import Catalogue, Industry
from index.errors import CatalogueError
from stream.catalogue_log import catalogue_of, record_of
from tests.fuzz.both_sides import Result, differences, judged, played
from tests.fuzz.made_logs import Record
from tests.shops import LIMITS, shops
from workers.verify.catalogue import KEY, parse_catalogue, record_catalogue

NOW_MS = 1_660_000_000_000


def both(*records: Record, catalogue: Catalogue | None = None) -> Result:
    """What became of them, if both sides say so: in one read, and one by one."""
    known, log = catalogue or shops(), list(records)
    wanted = judged(known, log)
    for random in (None, Random(0)):
        assert differences(played(known, [log], random, lambda *_: None).result(0), wanted) == []
    return wanted


def sale(seq: int = 1, **changes: Any) -> bytes:
    fields = {"source": "pay", "seq": seq, "city": "anna", "indicator": "till.sales", "industry": "bread", "op": "add"}
    fields |= {"value": 12.5, "at": "2022-06-30T12:00:00Z"}
    return json.dumps(fields | changes).encode()


@pytest.mark.parametrize("stamp_ms", [2**63 - 1, 2**62, 9_223_372_036_854_776, 2**52, 2**52 + 1])
def test_a_record_from_beyond_all_years(stamp_ms: int) -> None:
    """Its time in microseconds does not fit 64 bits: the event of 2022 was taken for one from the future."""
    assert both(Record(0, 0, stamp_ms, None, sale())).counts == {"accepted": 1}


@pytest.mark.parametrize("stamp_ms", [-1, 0, -(2**63), -(2**62), -9_223_372_036_854_776])
def test_a_record_from_before_all_years(stamp_ms: int) -> None:
    """-1: a record without a time."""
    assert both(Record(0, 0, stamp_ms, None, sale())).counts == {"rejected:from-the-future": 1}


WHOLE = json.loads(shops(2).to_json())


def merger(code: str, into: str, month: str = "2021-01") -> dict[str, str]:
    return {"code": code, "into": into, "month": month}


def changed(**changes: Any) -> bytes:
    return json.dumps({"catalogue": {**WHOLE, **changes}}, separators=(",", ":")).encode()


def without(name: str) -> bytes:
    return json.dumps({"catalogue": {k: v for k, v in WHOLE.items() if k != name}}, separators=(",", ":")).encode()


NONE: dict[str, bytes] = {
    "nested deeper than any reader's stack": b'{"catalogue":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested deeper than 100": changed(more=json.loads("[" * 200 + "]" * 200)),
    "an unknown key": changed(more=1),
    "an unknown key beside it": record_of(shops(2))[:-1] + b',"more":1}',
    "bytes that are no UTF-8 beside it": record_of(shops(2))[:-1] + b',"more":"\xff"}',
    "half of a surrogate pair": changed(name="?").replace(b"?", b"\\ud800"),
    "no indicators": changed(indicators=[]),
    "a key is missing": without("members"),
    "a name that is a number": changed(name=7),
    "a version with a fraction": changed(version=2.0),
    "a version that is true": changed(version=True),
    "a version of 2^53": changed(version=2**53),
    "years the wrong way round": changed(years=[2023, 2020]),
    "three years": changed(years=[2020, 2021, 2023]),
    "no such time zone": changed(timezone="Europe/Nowhere"),
    "a time zone that is a path": changed(timezone="../../etc/passwd"),
    "a window wider than Redis's": changed(limits={**WHOLE["limits"], "window": 2**16 + 1}),
    "a jump below the window": changed(limits={**WHOLE["limits"], "jump": 15}),
    "a cell of more than 10^15": changed(limits={**WHOLE["limits"], "cell": 10**15 + 1}),
    "an entity twice": changed(entities=[*WHOLE["entities"], WHOLE["entities"][0]]),
    "a code with a blank": changed(entities=[*WHOLE["entities"], {"code": "a b", "kind": "shop", "name": ""}]),
    "a group whose code does not begin with its kind": changed(
        entities=[*WHOLE["entities"], {"code": "north", "kind": "street", "name": ""}]
    ),
    "members of nobody": changed(members={"street:west": ["anna"]}),
    "a member that is no shop": changed(members={"street:north": ["street:south"]}),
    "a member twice": changed(members={"street:north": ["anna", "anna"]}),
    "an industry called all": changed(industries=[*WHOLE["industries"], {"set": "goods", "code": "all", "name": ""}]),
    "an indicator of ten decimals": changed(indicators=[{**WHOLE["indicators"][0], "decimals": 10}]),
    "an indicator that is neither": changed(indicators=[{**WHOLE["indicators"][0], "kind": "rate"}]),
    "an indicator of unknown industries": changed(indicators=[{**WHOLE["indicators"][0], "industries": "services"}]),
    "a source that may write what is unknown": changed(sources=[{"source": "x", "indicator": "till.fun"}]),
    "a source that is empty": changed(sources=[{"source": "", "indicator": ""}]),
    "a merger with nobody": changed(mergers=[merger("anna", "emil")]),
    "a merger of the month 13": changed(mergers=[merger("anna", "dora", "2021-13")]),
    "a merger of a year": changed(mergers=[merger("anna", "dora", "2021")]),
    "a merger with itself": changed(mergers=[merger("anna", "anna")]),
    "mergers in a ring": changed(
        mergers=[merger("anna", "dora"), merger("dora", "anna")]
    ),
    "more industries than a cell's key holds": changed(
        industries=[{"set": "goods", "code": f"g{i}", "name": ""} for i in range(1024)]
    ),
    "more indicators than a cell's key holds": changed(
        indicators=[{**WHOLE["indicators"][1], "code": f"i{i}"} for i in range(4096)]
    ),
    "a key twice, and the first is of the wrong form": record_of(shops(2)).replace(
        b'"version":', b'"version":"x","version":'
    ),
}  # fmt: skip


@pytest.mark.parametrize("value", NONE.values(), ids=NONE)
def test_no_catalogue_is_a_message_like_any_other(value: bytes) -> None:
    """Neither side takes it for one; what nests too deep stopped the worker, and started it again, for ever."""
    assert catalogue_of(value) is None
    assert record_catalogue(KEY, value) is None
    limits = msgspec.structs.replace(LIMITS, message_bytes=2**20, event_bytes=2**20)
    result = both(
        Record(0, 0, NOW_MS, None, sale(1)),
        Record(0, 1, NOW_MS, KEY, value),
        Record(0, 2, NOW_MS, None, sale(2)),
        catalogue=shops(limits=limits),
    )
    assert result.counts == {"accepted": 2, "rejected:malformed": 1}
    assert result.rejects == {(1, 0): ("malformed", value, NOW_MS)}


YES: dict[str, bytes] = {
    "as it is written": record_of(shops(2)),
    "blanks behind": record_of(shops(2)) + b" \r\n\t",
    "a key twice": record_of(shops(2)).replace(b'"version":', b'"version":7,"version":'),
    "no limits": changed(limits={}),
    "what may be left out": json.dumps(
        {"catalogue": {k: v for k, v in WHOLE.items() if k not in ("sources", "mergers")}}, separators=(",", ":")
    ).encode(),
    "a chain of mergers": changed(
        mergers=[merger("anna", "dora"), merger("dora", "carl.x")]
    ),
}  # fmt: skip


@pytest.mark.parametrize("value", YES.values(), ids=YES)
def test_a_catalogue_all_the_same(value: bytes) -> None:
    mine, theirs = catalogue_of(value), record_catalogue(KEY, value)
    assert mine is not None
    assert theirs is not None
    limits = ("window", "jump", "cell", "future_s", "message_bytes", "event_bytes")
    assert [getattr(theirs, name) for name in limits] == [getattr(mine.limits, name) for name in limits]
    result = both(Record(0, 0, NOW_MS, KEY, value), Record(0, 1, NOW_MS, None, sale(1)))
    assert (result.counts, result.catalogue) == ({"accepted": 1}, 2)


def test_what_does_not_fit_a_cells_key_is_refused_by_name() -> None:
    """It was taken, and stopped each worker that met it."""
    with pytest.raises(CatalogueError, match="industry set goods: has 1024 industries; 1023 fit"):
        shops(industries=tuple(Industry("goods", f"g{i}", "") for i in range(1024)))
    base = shops().indicators[1]
    with pytest.raises(CatalogueError, match="there are 4096; 4095 fit"):
        shops(indicators=tuple(msgspec.structs.replace(base, code=f"i{i}") for i in range(4096)), sources=())


def test_a_pattern_of_many_stars_is_answered_at_once() -> None:
    """As a regular expression it took verify longer than the universe has existed."""
    sources = [{"source": "*a" * 30 + "b", "indicator": ""}, {"source": "a*b*c", "indicator": "till.sales"}]
    catalogue = parse_catalogue({**WHOLE, "sources": sources})
    assert catalogue.allows("a" * 64, "till.visits")
    assert not catalogue.allows("a" * 63 + "b", "till.visits")
    for source, allowed in {
        "abc": True,
        "axbxbxc": True,
        "a-b-c": True,
        "abbc ": False,
        "ab": False,
        "xabc": False,
    }.items():
        assert (catalogue.allows(source, "till.sales") and not catalogue.allows(source, "till.visits")) == allowed
