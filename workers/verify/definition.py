"""An index system as its TOML text says it (docs/formats.md section 7), without checks: the engine would not run a bad
one.

Nodes are listed with every child before its parent, so the root, `index`, comes last.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

from workers.verify.errors import VerifyError
from workers.verify.periods import Period, parse_period

ROOT = "index"


@dataclass(frozen=True, slots=True)
class Node:
    """A leaf has no children; its name is an indicator. `leaves`: those below it, of a leaf itself."""

    name: str
    children: tuple[str, ...]
    weights: tuple[float, ...]
    leaves: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """`rows`: an entity kind; `scope`: a group kind, or None; `rank_decimals`: None ranks the doubles as they are."""

    name: str
    rows: str
    node: str
    measure: str
    grains: tuple[str, ...]
    scope: str | None
    rank_decimals: int | None


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of one system. `grace_s` in seconds; `min_coverage` a fraction; `nation` an entity or None."""

    system: str
    version: int
    base: Period
    scale: float
    grains: tuple[str, ...]
    groups: tuple[str, ...]
    nation: str | None
    grace_s: int
    renormalise: bool
    min_coverage: float
    mean_yoy_from: Period | None
    nodes: tuple[Node, ...]
    rankings: tuple[Ranking, ...]

    @property
    def leaves(self) -> tuple[str, ...]:
        """The indicators that it needs, in tree order."""
        return self.nodes[-1].leaves


def parse_definition(text: str) -> Definition:
    """Read a definition. VerifyError when it cannot be read, or asks for what this recomputation does not know."""
    try:
        return _read(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise VerifyError(f"the definition on `control` cannot be read: {error!r}") from error


def _read(table: dict[str, Any]) -> Definition:
    for key, known in (("normalise", "base-share"), ("group_rule", "sum")):
        if table.get(key, known) != known:
            raise VerifyError(f"the definition says {key} = {table[key]!r}; this recomputation knows {known!r} only")
    grains = tuple(table["grains"])
    span = table.get("mean_yoy_from")
    return Definition(
        system=table["system"],
        version=table["version"],
        base=_period(table["base"]),
        scale=float(table.get("scale", 100)),
        grains=grains,
        groups=tuple(table.get("groups", ())),
        nation=table.get("nation"),
        grace_s=table.get("grace_s", 0),
        renormalise=table.get("renormalise", False),
        min_coverage=float(table.get("min_coverage", 0)),
        mean_yoy_from=None if span is None else _period(span),
        nodes=tuple(_nodes(table["tree"], ROOT)),
        rankings=tuple(
            Ranking(
                name=each["name"],
                rows=each["rows"],
                node=each.get("node", ROOT),
                measure=each["measure"],
                grains=tuple(each.get("grains", grains)),
                scope=each.get("scope"),
                rank_decimals=each.get("rank_decimals"),
            )
            for each in table.get("ranking", ())
        ),
    )


def _period(name: str) -> Period:
    period = parse_period(name)
    if period is None:
        raise VerifyError(f"the definition names {name!r}, which is no period")
    return period


def _nodes(tree: dict[str, Any], name: str) -> list[Node]:
    """The node and all below it, children first."""
    table = tree if name == ROOT else tree.get(name)
    if not isinstance(table, dict):
        return [Node(name, (), (), (name,))]
    children = tuple(table["children"])
    below: list[Node] = []
    leaves: list[str] = []
    for child in children:
        below += _nodes(tree, child)
        leaves += below[-1].leaves
    return [*below, Node(name, children, _weights(table), tuple(leaves))]


def _weights(table: dict[str, Any]) -> tuple[float, ...]:
    if "weights" in table:
        return tuple(float(weight) for weight in table["weights"])
    panel = table["panel"]  # experts x children
    total = sum(sum(expert) for expert in panel)
    return tuple(sum(scores) / total for scores in zip(*panel, strict=True))
