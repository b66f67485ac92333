"""Small systems with rankings by any measure: their definitions, random declarations, and a board to play with."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from index.board import Board
from index.catalogue import Catalogue
from index.cells import CellStore
from index.definition import Definition
from tests.index.measures_facts import Facts
from tests.index.oracle import Event, first_day, months_of, name_of, start_us
from tests.index.worlds import CITIES, GROUPS, Engine, Ledger, catalogue, world

KINDS = ["prov", "circle", "nation"]
GRADES: list[tuple[str, float | None]] = [("high", 60.0), ("good", 20.0), ("base", None)]
TREE: dict[str, tuple[list[str], list[float], str]] = {
    "index": (["digital", "online", "ai"], [0.5, 0.3, 0.2], "arithmetic"),
    "digital": (["pay", "users"], [0.7, 0.3], "arithmetic"),
    "online": (["retail", "food"], [], "sum"),
    "retail": (["cloud/retail"], [1.0], "arithmetic"),
    "food": (["cloud/food"], [1.0], "arithmetic"),
}
HEAD = """
system = "test"
version = 1
title = "Test"
base = "2021Q1"
grains = ["quarter", "year"]
groups = ["prov", "circle", "nation"]
nation = "nation:n"
grace_s = 3600
renormalise = true
"""
TREE_TOML = """
[tree]
children = ["digital", "online", "ai"]
weights = [0.5, 0.3, 0.2]
[tree.digital]
children = ["pay", "users"]
weights = [0.7, 0.3]
[tree.online]
industries = "trade"
children = ["cloud"]
weights = [1.0]
[[grade]]
code = "high"
title = "High"
at_least = 60
[[grade]]
code = "good"
title = "Good"
at_least = 20
[[grade]]
code = "base"
title = "Base"
"""
NODES = ["index", "digital", "online", "ai", "pay", "retail", "food", "cloud/food"]
OVER = ["pop", "yoy"]
OVER3 = [*OVER, "mean_yoy"]
OF = ["value", "value", *OVER3]
FROM = [("2021Q1", "quarter"), ("2021Q4", "quarter"), ("2021", "year")]
TAKES: dict[str, list[str]] = {
    "value": [], "pop": [], "yoy": [], "mean_yoy": [], "share": [], "node_share": ["other"], "span_sum": ["from"],
    "span_mean": ["from"], "compound": ["from"], "contribution": ["over"], "node_contribution": ["over"],
    "growth_multiple": ["over3"], "rise": ["over"], "times_in_first": ["from", "first"], "steadiness": ["over"],
    "both_high": ["over3", "size", "maybe-first"], "quadrant": ["over3", "size"],
}  # fmt: skip
OF_MEMBERS: dict[str, list[str]] = {
    "members_sum": ["of"], "members_mean": ["of"], "members_max": ["of"], "lead": ["of"], "lead_share": ["of"],
    "first_share": ["of", "first"], "members_above": ["of", "threshold"],
    "members_above_growth": ["of", "threshold", "over"], "max_to_mean": ["of"], "variation": ["of"], "gini": ["of"],
    "correlation": ["other"],
}  # fmt: skip
OF_GRADES: dict[str, list[str]] = {"grade_count": [], "grade_share": [], "grade_mean": [], "grade_growth": ["over"]}


def declared(random: Random, n: int) -> list[dict[str, Any]]:
    """n rankings by different measures with random rows and parameters, as tables of a definition."""
    kinds = [*((m, TAKES) for m in TAKES), *((m, OF_MEMBERS) for m in OF_MEMBERS), *((m, OF_GRADES) for m in OF_GRADES)]
    found = []
    for number, (measure, takes) in enumerate(random.sample(kinds, min(n, len(kinds)))):
        r: dict[str, Any] = {"name": f"r{number}", "measure": measure}
        if takes is TAKES:
            r |= random.choice([
                {"rows": "city"}, {"rows": "prov"}, {"rows": "city", "scope": "circle"},
                {"rows": "nodes", "nodes": random.sample(NODES, 3), "scope": random.choice(["city", "prov", "nation"])},
                {"rows": "nodes", "nodes": "industries", "scope": random.choice(["prov", "circle"])},
                {"rows": "nodes", "nodes": "children", "scope": "city"},
            ])  # fmt: skip
            if measure == "steadiness" and r["rows"] == "nodes":
                r["nodes"] = random.sample(["index", "digital", "online"], 2)
        elif takes is OF_MEMBERS:
            r["rows"] = random.choice(KINDS)
        else:
            r |= random.choice([{"rows": "grades"}, {"rows": "grades", "scope": "circle"}])
        if r["rows"] != "nodes" and random.random() < 0.6:
            r["node"] = random.choice(["index", "digital", "online"] if measure == "steadiness" else NODES)
        r |= parameters(random, takes[measure])
        if random.random() < 0.4:
            r["rank_decimals"] = random.choice([0, 1, 3])
        if random.random() < 0.3:
            r["order"] = "rising"
        found.append(r)
    return found


def parameters(random: Random, takes: Sequence[str]) -> dict[str, Any]:
    r: dict[str, Any] = {}
    for key in takes:
        if key == "from":
            r["from"], only = random.choice(FROM)
            r["grains"] = [only]
        elif key == "first" or (key == "maybe-first" and random.random() < 0.7):
            r["first"] = random.choice([1, 2, 3, 10])
        elif key == "threshold":
            r["threshold"] = random.choice(["mean", 0, 20.5])
        elif key == "other":
            r["other"] = random.choice(NODES)
        elif key == "of":
            r["of"] = random.choice(OF)
        elif key == "size" and random.random() < 0.5:
            r |= {"size": "node_share", "other": random.choice(NODES)}
        elif key in ("over", "over3") and random.random() < 0.8:
            r["over"] = random.choice(OVER if key == "over" else OVER3)
    return r


def write(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(write, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def text(rankings: Sequence[dict[str, Any]], head: str = "", tree: str = TREE_TOML) -> str:
    """A definition; `head`: further lines at its top."""
    lines = [HEAD, head, tree]
    for ranking in rankings:
        lines.append("[[ranking]]")
        lines += [f"{key} = {write(value)}" for key, value in ranking.items()]
    return "\n".join(lines)


class Measured(Engine):
    """A board over such a definition; `facts` are for its oracle."""

    def __init__(self, rankings: list[dict[str, Any]], head: str = "", tree: str = TREE_TOML) -> None:
        self.world = world()
        self.catalogue: Catalogue = catalogue()
        self.definition = Definition.parse(text(rankings, head, tree), self.catalogue)
        self.ledger = Ledger(self.world.stocks)
        self.store = CellStore(self.catalogue)
        self.board = Board(self.definition, self.catalogue)
        self.published: dict[str, dict[str, Any]] = {}

    def facts(self, updates: dict[str, dict[str, Any]]) -> Facts:
        """What the published updates say."""
        d = self.definition
        facts = Facts(
            kinds={"city": CITIES} | {kind: sorted(g for g, (k, _) in GROUPS.items() if k == kind) for kind in KINDS},
            members={group: members for group, (_, members) in GROUPS.items()},
            tree=TREE,
            rankings=[],
            grains=["quarter", "year"],
            nation="nation:n",
            grades=GRADES,
            industries=["retail", "food"],
            mean_from=d.mean_yoy_from.name if d.mean_yoy_from else None,
            mean_step=d.mean_yoy_step,
        )
        for update in updates.values():
            entity, period = update["entity"], update["period"]
            facts.open[period] = update["status"] == "provisional"
            for node, value in ({"index": update["value"]} | update["nodes"]).items():
                if value is not None:
                    facts.v[entity, node, period] = value
            if "value" in update["why"]:
                facts.why[entity, period] = update["why"]["value"]
        return facts


def bulk(seed: int, size: int) -> list[Event]:
    """Events on few places of the quarters 2020Q3 to 2022Q3: growth of every kind, and a gap or two."""
    random = Random(seed)
    start = months_of("2020-07")[0]
    chosen = [name_of(start + 3 * i + random.choice([0, 0, 2]), 1) for i in range(9) if random.random() < 0.85]
    cities = random.sample(CITIES, random.choice([1, 2, 3, 5]))
    found = []
    for seq in range(size):
        indicator = random.choice(["pay", "pay", "cloud", "users", "ai"])
        industry = random.choice(["retail", "food"]) if indicator == "cloud" else "all"
        value = random.choice([1, 1, 2, 3, 5, 8, 30, -1])
        month = random.choice(chosen or ["2021-01"])
        at_us = start_us(first_day(month)) + random.randint(0, 2) * 86_400_000_000
        found.append(Event(0, "bulk", seq, random.choice(cities), indicator, industry, value, at_us, None))
    return found
