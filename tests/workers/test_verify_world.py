"""Random worlds for verify and the engine: a catalogue with industries, overlapping groups and mergers, definitions
that use all of the language, events. What a seed makes is the same everywhere.
"""

import json
import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from index.catalogue import Catalogue as EngineCatalogue
from index.definition import Definition as EngineDefinition
from index.errors import DefinitionError
from index.measures.table import MEASURES
from tests.workers.test_verify_data import LIMITS

CITIES = "abcdefg"
AREAS = {"area:n": "abc", "area:s": "cde", "area:g": "g", "all:X": CITIES}
TRADE = ("food", "toys", "tools")
# code, kind, decimals, industries
INDICATORS = [
    ("pay", "flow", 2, "trade"),
    ("use", "flow", 0, "trade"),
    ("run", "flow", 0, ""),
    ("cap", "stock", 1, ""),
    ("stk", "stock", 0, "trade"),
    ("folk", "stock", 0, ""),
]
GRAINS = [["quarter", "year"], ["month", "quarter"], ["month", "quarter", "half", "year"], ["half"], ["year"]]
SPANS = {
    "month": ("2021-01", "2022-01"),
    "quarter": ("2021Q1", "2022Q1"),
    "half": ("2021H1", "2022H1"),
    "year": ("2021", "2022"),
}
ZONES = ("Asia/Shanghai", "Asia/Shanghai", "America/Sao_Paulo", "Asia/Kathmandu")


def catalogue(rng: random.Random) -> dict[str, Any]:
    """Seven cities; in most worlds some are merged into others, one by way of a third."""
    entities = [{"code": code, "kind": "city", "name": code} for code in CITIES]
    entities += [{"code": code, "kind": code.partition(":")[0], "name": code} for code in AREAS]
    mergers = [
        {"code": "f", "into": "g", "month": rng.choice(["2021-01", "2021-06", "2022-04"])},
        {"code": "g", "into": "a", "month": rng.choice(["2021-07", "2021-02"])},
        {"code": "d", "into": "e", "month": "2020-01"},
    ]
    return {
        "name": "worlds",
        "version": 1,
        "timezone": rng.choice(ZONES),
        "base_kind": "city",
        "years": [1990, 2100],
        "limits": {**LIMITS, "window": 4096, "jump": 2**48, "cell": 10**15, "event_bytes": 1000},
        "entities": entities,
        "members": {code: list(cities) for code, cities in AREAS.items()},
        "indicators": [
            {"code": c, "name": c, "name_en": c, "kind": k, "unit": "", "decimals": d, "industries": i}
            for c, k, d, i in INDICATORS
        ],
        "industries": [{"set": "trade", "code": code, "name": code} for code in TRADE],
        "sources": [],
        "mergers": rng.sample(mergers, rng.choice([0, 1, 2, 3])),
    }


def definition(rng: random.Random, known: EngineCatalogue) -> str:
    """A definition that the engine takes: parts that it refuses are drawn again."""
    while True:
        text = _system(rng)
        try:
            parsed = EngineDefinition.parse(text, known)
        except DefinitionError:
            continue
        break
    nodes = [node.name for node in parsed.tree.nodes]
    taken, measures = 0, rng.sample([*MEASURES], len(MEASURES))
    for number in range(200):
        ranking = _ranking(
            rng, f"r{number}", measures[number % len(measures)], nodes, [grain.label for grain in parsed.grains]
        )
        try:
            EngineDefinition.parse(text + ranking, known)
        except DefinitionError:
            continue
        text, taken = text + ranking, taken + 1
        if taken == 16:
            break
    return text


def _system(rng: random.Random) -> str:
    grains = rng.choice(GRAINS)
    lines = [
        'system = "t"\nversion = 1\ntitle = "t"\ngroups = ["area", "all"]\nnation = "all:X"',
        f'base = "{SPANS[rng.choice(grains)][0]}"',
        f"grains = {json.dumps(grains)}",
        f"scale = {rng.choice([1, 100, 0.3])}",
        f"grace_s = {rng.choice([0, 864_000, 8_640_000])}",
        f"normalise = {json.dumps(rng.choice(['base-share', 'base-share', 'none', 'min-max', 'z-score', 'rank']))}",
        f"group_rule = {json.dumps(rng.choice(['sum', 'sum', 'mean']))}",
        f"mergers = {json.dumps(rng.choice(['restate', 'keep']))}",
        f"renormalise = {json.dumps(rng.random() < 0.7)}",
        f"min_coverage = {rng.choice([0, 0.3, 0.5, 0.7, 1.0])}",
        f"mean_yoy_step = {json.dumps(rng.choice(['period', 'year']))}",
    ]
    lines += [f'mean_yoy_from = "{SPANS[rng.choice(grains)][1]}"'] if rng.random() < 0.8 else []
    leaves = ["run", "cap", "folk", "pay", "stk", "use", "pay/food", "stk/toys", "use/tools"]
    rng.shuffle(leaves)
    inner = {"one": leaves[:2], "two": leaves[2:5], "line": ["pay", "use"]}
    top = rng.sample([*inner, leaves[5]], rng.choice([1, 2, 3]))
    lines += ["[tree]", _children(rng, top)]
    for name in top:
        if name == "line":
            chosen = rng.sample(["pay", "use", "stk"], rng.choice([1, 2]))
            lines += ["[tree.line]", 'industries = "trade"', _children(rng, chosen, industries=True)]
            lines += ['only = ["toys", "food"]'] if rng.random() < 0.5 else []
        elif name in inner:
            lines += [f"[tree.{name}]", _children(rng, inner[name])]
    for name in [*leaves, "pay"]:
        if rng.random() < 0.35 and f'[indicator."{name}"]' not in lines:
            lines += [f'[indicator."{name}"]', *_options(rng)]
    lines += [f'[[grade]]\ncode = "{code}"\ntitle = "t"\nat_least = {v}' for code, v in (("high", 60), ("mid", 20))]
    lines += ['[[grade]]\ncode = "low"\ntitle = "t"'] if rng.random() < 0.5 else []
    return "\n".join([*lines, ""])


def _children(rng: random.Random, children: list[str], industries: bool = False) -> str:
    weights = {1: [[1.0]], 2: [[0.7, 0.3], [0.5, 0.5]], 3: [[0.5, 0.2, 0.3], [0.25, 0.25, 0.5]]}[len(children)]
    lines = [f"children = {json.dumps(children)}"]
    rule = "arithmetic" if industries else rng.choice(["arithmetic", "arithmetic", "geometric", "sum"])
    lines += [f'aggregate = "{rule}"'] if rule != "arithmetic" else []
    if rule != "sum":
        panel = [[rng.randrange(1, 6) for _ in children] for _ in range(3)]
        lines += [f"weights = {rng.choice(weights)}" if rng.random() < 0.5 else f"panel = {panel}"]
    return "\n".join(lines)


def _options(rng: random.Random) -> list[str]:
    lines = ['direction = "lower"'] if rng.random() < 0.4 else []
    lines += [f"denominator = {json.dumps(rng.choice(['folk', 'run', 'cap']))}"] if rng.random() < 0.4 else []
    lines += [f"transform = {json.dumps(rng.choice(['log', 'entropy']))}"] if rng.random() < 0.4 else []
    lines += [f"floor = {rng.choice([0.0, 0.5, 2])}"] if rng.random() < 0.2 else []
    lines += [f"cap = {rng.choice([3.0, 300.5])}"] if rng.random() < 0.2 else []
    if rng.random() < 0.5:
        lines += [f"normalise = {json.dumps(rng.choice(['base-share', 'none', 'min-max', 'z-score', 'rank']))}"]
    lines += [f"goalposts = {rng.choice([[1, 300], [0.5, 20.5]])}"] if rng.random() < 0.3 else []
    return lines


def _ranking(rng: random.Random, name: str, measure: str, nodes: list[str], grains: list[str]) -> str:
    rows = rng.choice([rows for rows in ("city", "area", "nodes", "grades") if _fits(rows, MEASURES[measure].rows)])
    lines = [f'[[ranking]]\nname = "{name}"\nrows = "{rows}"\nmeasure = "{measure}"']
    if rows == "nodes":
        lines += [f'scope = "{rng.choice(["city", "area", "all"])}"']
        lines += [f"nodes = {json.dumps(rng.choice(['industries', 'children', rng.sample(nodes, 2)]))}"]
    else:
        lines += [f'node = "{rng.choice(["index", *nodes])}"'] if measure not in ("to_date", "growth") else []
        lines += [f'scope = "{rng.choice(["area", "all"])}"'] if rows != "area" and rng.random() < 0.5 else []
    takes = MEASURES[measure].parameters
    values = {
        "over": rng.choice(["pop", "yoy", "mean_yoy"]),
        "of": rng.choice(["value", "pop", "yoy", "mean_yoy"]),
        "first": rng.choice([1, 2, 3]),
        "threshold": rng.choice(["mean", 10, 60.5]),
        "other": rng.choice(nodes),
        "size": rng.choice(["value", "node_share"]),
    }
    if "from" in takes:
        grain = rng.choice(grains)
        lines += [f'grains = ["{grain}"]', f'from = "{SPANS[grain][0]}"']
    lines += [f"{key} = {json.dumps(value)}" for key, value in values.items() if key in takes and rng.random() < 0.9]
    lines += [f"rank_decimals = {rng.choice([0, 1, 2])}"] if rng.random() < 0.3 else []
    lines += ['order = "rising"'] if rng.random() < 0.3 else []
    return "\n".join([*lines, ""])


def _fits(rows: str, of: tuple[str, ...]) -> bool:
    return ({"nodes": "nodes", "grades": "grades"}.get(rows, "entities") in of) or (rows == "area" and "groups" in of)


def events(rng: random.Random) -> Iterator[dict[str, Any]]:
    """From a handful to some hundreds; amounts mostly positive, and in most worlds all of them."""
    span_days, named = rng.choice([200, 700, 900]), rng.choice([0, 0, 0.02])
    signs = rng.choice([[1], [1, 1, 0], [1, 0, 0, 0], [1, 1, 1, -1]])
    for seq in range(rng.choice([5, 300, 1000, 2500])):
        at = datetime(2020, 12, 25) + timedelta(days=rng.random() * span_days)
        code, kind, decimals, industries = rng.choice(INDICATORS)
        month = f"{at.year}-{at.month:02d}"
        periods = ["2021", "2021Q1", "2021H1", "2022-01", "2022Q4", "2024", "2024-03", month, month]
        yield {
            "source": rng.choice("st"),
            "seq": seq,
            "city": rng.choice(CITIES),
            "indicator": code,
            "industry": rng.choice(TRADE) if industries else None,
            "op": "add" if kind == "flow" else "set",
            "value": rng.choice(signs) * rng.choice([1, rng.randrange(10**4)]) / 10**decimals,
            "at": at.isoformat(timespec="seconds") + rng.choice(["Z", "+08:00"]),
            "period": rng.choice(periods) if rng.random() < named else None,
        }


def with_drops(rng: random.Random, sent: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The events; behind some of them their compensation and a drop, sometimes of the month alone, sometimes too late
    or to no effect.
    """
    for event in sent:
        yield event
        if rng.random() < 0.3:
            seq = 10_000 + 10 * int(event["seq"])
            if event["op"] == "add" and rng.random() < 0.8:
                yield event | {"value": -event["value"], "seq": seq}
            named = {"period": "2021-02"} if rng.random() < 0.1 else {}
            yield event | {"op": "drop", "value": 0, "seq": seq + 1} | named
            if rng.random() < 0.2:
                yield event | {"value": 0, "seq": seq + 2}


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_makes_the_same_world(seed: int) -> None:
    """And one with rankings in it: a draw that the engine always refused would leave none."""
    made = []
    for _ in range(2):
        rng = random.Random(seed)
        data = catalogue(rng)
        text = definition(rng, EngineCatalogue.from_json(json.dumps(data)))
        made.append((data, text, list(events(rng))))
    assert made[0] == made[1]
    assert text.count("[[ranking]]") >= 8
