"""Values by the slow oracle: levels, scores and nodes of one entity from a look-up of its amounts (formats.md, 4)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tests.index.oracle_amounts import Key
from tests.index.oracle_world import World

Look = Callable[[Key], int | None]
Value = tuple[float | None, str | None]  # value, reason
CAUSES = ["no-base", "no-denominator", "zero-denominator", "zero-value", "not-positive", "no-spread"]


def option(world: World, leaf: str, name: str) -> Any:
    default = {"normalise": world.normalise, "direction": "higher", "transform": "none"}
    by = leaf.split("/")[0] if world.whole(leaf) else leaf
    return world.options.get(by, {}).get(name, default.get(name))


def key_of(leaf: str) -> Key:
    indicator, _, industry = leaf.partition("/")
    return indicator, industry or None


def keys_of(world: World, leaf: str) -> list[Key]:
    """All amounts that its score is made of."""
    if option(world, leaf, "transform") == "entropy":
        return [(leaf, industry) for industry in world.industries[leaf]]
    denominator = option(world, leaf, "denominator")
    return [key_of(leaf)] + ([(denominator, None)] if denominator else [])


def plain(world: World, leaf: str) -> bool:
    changed = [option(world, leaf, name) for name in ("denominator", "floor", "cap")]
    words = [option(world, leaf, name) for name in ("normalise", "direction", "transform")]
    return words == ["base-share", "higher", "none"] and changed == [None] * 3


def relative(world: World, leaf: str) -> bool:
    how = option(world, leaf, "normalise")
    return how in ("z-score", "rank") or (how == "min-max" and option(world, leaf, "goalposts") is None)


def level(world: World, leaf: str, look: Look, key: Key | None = None) -> Value:
    """x of a leaf. `key`: another amount in place of its own."""
    if option(world, leaf, "transform") == "entropy":
        return entropy([look((leaf, industry)) for industry in world.industries[leaf]])
    found = look(key or key_of(leaf))
    if found is None:
        return None, "no-data"
    if plain(world, leaf):
        return float(found), None
    x = float(found) / 10.0**world.decimals
    denominator = option(world, leaf, "denominator")
    if denominator is not None:
        divisor = look((denominator, None))
        if divisor is None:
            return None, "no-denominator"
        if divisor == 0:
            return None, "zero-denominator"
        x = x / (float(divisor) / 10.0**world.decimals)
    floor, cap = option(world, leaf, "floor"), option(world, leaf, "cap")
    if floor is not None and x < floor:
        x = floor
    if cap is not None and x > cap:
        x = cap
    if option(world, leaf, "transform") == "log":
        return (math.log(x), None) if x > 0 else (None, "not-positive")
    return x, None


def entropy(parts: list[int | None]) -> Value:
    amounts = [p for p in parts if p is not None]
    if not amounts:
        return None, "no-data"
    if min(amounts) < 0:
        return None, "not-positive"
    if sum(amounts) == 0:
        return None, "zero-value"
    shares = [float(a) / float(sum(amounts)) for a in amounts if a > 0]
    return (0.0 - math.fsum(p * math.log(p) for p in shares)) / math.log(len(parts)), None


def base_level(world: World, leaf: str, look: Look) -> float | None:
    """B of a leaf from the amounts of all base entities in the base period."""
    if option(world, leaf, "normalise") != "base-share":
        return None
    return level(world, leaf, look, (key_of(leaf)[0], None) if world.whole(leaf) else None)[0]


def score(world: World, leaf: str, look: Look, base: float | None, others: list[float]) -> Value:
    """`others`: the levels of all base entities that have one in the period."""
    x, reason = level(world, leaf, look)
    if x is None:
        return None, reason
    t, reason = placed(world, leaf, x, base, others)
    return (None, reason) if t is None else (t * world.scale, None)


def placed(world: World, leaf: str, x: float, base: float | None, others: list[float]) -> Value:
    how, lower = option(world, leaf, "normalise"), option(world, leaf, "direction") == "lower"
    if how == "none":
        return x, None
    if how == "base-share":
        if lower and x == 0:
            return None, "zero-value"
        if not base:
            return None, "no-base"
        return (base / x if lower else x / base), None
    n = len(others)
    if how == "rank":
        if n == 0:
            return None, "no-spread"
        better = sum(other < x if lower else other > x for other in others)
        return (n - (1 + better) + 1) / n, None
    if how == "z-score":
        if n < 2 or min(others) == max(others):
            return None, "no-spread"
        m = math.fsum(others) / n
        s = math.sqrt(math.fsum((other - m) * (other - m) for other in others) / n)
        if s == 0:
            return None, "no-spread"
        return ((m - x) if lower else (x - m)) / s, None
    low_high = option(world, leaf, "goalposts") or ([min(others) + 0.0, max(others) + 0.0] if others else [0.0, 0.0])
    if option(world, leaf, "goalposts") and option(world, leaf, "transform") == "log":
        low_high = [math.log(g) for g in low_high]
    low, high = low_high
    if low == high:
        return None, "no-spread"
    return ((high - x) if lower else (x - low)) / (high - low), None


def leaves_below(world: World, node: str) -> list[str]:
    if node not in world.tree:
        return [node]
    return [leaf for child, _ in world.tree[node] for leaf in leaves_below(world, child)]


Answer = tuple[float | None, float, str | None]  # value, coverage, reason


def nodes(world: World, scores: dict[str, Value]) -> dict[str, Answer]:
    """All nodes from the scores of the leaves."""
    found: dict[str, Answer] = {}

    def causes(node: str) -> list[str | None]:
        """Reasons of the leaves below, and of nodes below that are not positive."""
        reasons: list[str | None] = []
        for child, _ in world.tree.get(node, []):
            if child not in world.tree or found[child][2] == "not-positive":
                reasons.append(found[child][2])
            reasons += causes(child)
        return reasons

    def visit(node: str) -> None:
        if node not in world.tree:
            value, reason = scores[node]
            found[node] = (value, 0.0 if value is None else 1.0, reason)
            return
        for child, _ in world.tree[node]:
            visit(child)
        parts = [(w, *found[child][:2]) for child, w in world.tree[node]]
        whole = all(found[leaf][0] is not None for leaf in leaves_below(world, node))
        coverage = 1.0 if whole else plain_sum([w * c for w, _, c in parts])
        there = [(w, v) for w, v, _ in parts if v is not None]
        how = world.aggregates.get(node, "arithmetic")
        if not there or (len(there) < len(parts) and not world.renormalise):
            why = causes(node)
            found[node] = (None, coverage, next((c for c in CAUSES if c in why), "no-data"))
        elif how == "geometric" and min(v for _, v in there) <= 0:
            found[node] = (None, coverage, "not-positive")
        elif coverage < world.min_coverage:
            found[node] = (None, coverage, "low-coverage")
        else:
            found[node] = (aggregate(how, there, len(there) < len(parts)), coverage, None)

    visit("index")
    return found


def aggregate(how: str, there: list[tuple[float, float]], some_missing: bool) -> float:
    if how == "sum":
        return plain_sum([v for _, v in there])
    weights = plain_sum([w for w, _ in there])
    if how == "geometric":
        value = 1.0
        for number, (w, v) in enumerate(there):
            value = math.pow(v, w) if number == 0 else value * math.pow(v, w)
        return math.pow(value, 1 / weights) if some_missing else value
    value = plain_sum([w * v for w, v in there])
    return value / weights if some_missing else value


def mean_of(world: World, members: list[dict[str, Answer]]) -> dict[str, Answer]:
    """A group under `group_rule = "mean"`, from its members that are not merged away."""
    if not members:
        return {}
    found: dict[str, Answer] = {}
    coverage = math.fsum(m["index"][1] for m in members) / len(members)
    for node in members[0]:
        there = [m[node][0] for m in members if m[node][0] is not None]
        value = math.fsum(there) / len(there) if there else None
        if node == "index" and value is not None and coverage < world.min_coverage:
            found[node] = (None, coverage, "low-coverage")
        else:
            found[node] = (value, coverage, None if there else "no-data")
    return found


def plain_sum(terms: list[float]) -> float:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
