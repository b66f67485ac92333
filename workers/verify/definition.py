"""An index system as its TOML text says it (docs/formats.md section 7), without checks: the engine would not run a bad
one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workers.verify.catalogue import Catalogue
from workers.verify.errors import VerifyError
from workers.verify.periods import Period, parse_period
from workers.verify.tree import GEOMETRIC, LEAF, ROOT, Leaf, Node, read_leaf, read_tree

__all__ = ["ROOT", "Definition", "Grade", "Ranking", "parse_definition"]


@dataclass(frozen=True, slots=True)
class Grade:
    """From `at_least` up to the grade before; None: all the rest."""

    code: str
    at_least: float | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """`rows`: an entity kind, `nodes` or `grades`; `scope`: an entity kind, or None; `rank_decimals`: None ranks the
    doubles as they are; `nodes`: the rows, where they are nodes. The rest are the measure's parameters.
    """

    name: str
    rows: str
    nodes: tuple[str, ...]
    node: str
    measure: str
    grains: tuple[str, ...]
    scope: str | None
    rank_decimals: int | None
    rising: bool
    other: str
    over: str
    of: str
    size: str
    first: int
    threshold: float | None  # None: the mean
    start: Period | None  # `from`


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of one system. `grace_s` in seconds; `min_coverage` a fraction; `nation` an entity or None."""

    system: str
    version: int
    base: Period | None
    scale: float
    grains: tuple[str, ...]
    groups: tuple[str, ...]
    nation: str | None
    grace_s: int
    by_mean: bool  # group_rule
    keep: bool  # mergers
    renormalise: bool
    min_coverage: float
    mean_yoy_from: Period | None
    mean_yoy_by_year: bool  # mean_yoy_step
    nodes: tuple[Node, ...]
    leaves: dict[str, Leaf]
    grades: tuple[Grade, ...]
    rankings: tuple[Ranking, ...]

    @property
    def columns(self) -> frozenset[str]:
        """The columns of amounts that its values need (those of its bases apart)."""
        return frozenset(column for leaf in self.leaves.values() for column in leaf.columns)

    @property
    def relative(self) -> bool:
        """Whether some leaf is scored against the other entities of its period."""
        return any(leaf.relative for leaf in self.leaves.values())

    def inexact(self) -> frozenset[str]:
        """The nodes that a logarithm or a power goes into: those are compared within a tolerance."""
        found: set[str] = set()
        for node in self.nodes:
            of_leaf = node.rule == LEAF and self.leaves[node.name].inexact
            if of_leaf or node.rule == GEOMETRIC or not found.isdisjoint(node.children):
                found.add(node.name)
        return frozenset(found)


def parse_definition(text: str, catalogue: Catalogue) -> Definition:
    """Read a definition. VerifyError when it cannot be read."""
    try:
        return _read(tomllib.loads(text), catalogue)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, IndexError) as error:
        raise VerifyError(f"the definition on `control` cannot be read: {error!r}") from error


def _read(table: dict[str, Any], catalogue: Catalogue) -> Definition:
    nodes, made = read_tree(table, catalogue.industries)
    codes = {code: catalogue.industries[each.set] for code, each in catalogue.indicators.items() if each.set}
    industries = tuple(node.name for node in nodes if made.keys() & set(node.children))
    children = {node.name: node.children for node in nodes}
    return Definition(
        system=table["system"],
        version=table["version"],
        base=_period(table.get("base")),
        scale=float(table.get("scale", 100)),
        grains=tuple(table["grains"]),
        groups=tuple(table.get("groups", ())),
        nation=table.get("nation"),
        grace_s=table.get("grace_s", 0),
        by_mean=table.get("group_rule", "sum") == "mean",
        keep=table.get("mergers", "restate") == "keep",
        renormalise=table.get("renormalise", False),
        min_coverage=float(table.get("min_coverage", 0)),
        mean_yoy_from=_period(table.get("mean_yoy_from")),
        mean_yoy_by_year=table.get("mean_yoy_step", "period") == "year",
        nodes=nodes,
        leaves={
            node.name: read_leaf(node.name, made.get(node.name), table, codes) for node in nodes if node.rule == LEAF
        },
        grades=tuple(
            Grade(each["code"], float(each["at_least"]) if "at_least" in each else None)
            for each in table.get("grade", ())
        ),
        rankings=tuple(_rankings(table, industries, children)),
    )


def _rankings(
    table: dict[str, Any], industries: tuple[str, ...], children: dict[str, tuple[str, ...]]
) -> Iterator[Ranking]:
    for each in table.get("ranking", ()):
        node, threshold, nodes = each.get("node", ROOT), each.get("threshold"), each.get("nodes", ())
        if isinstance(nodes, str):
            nodes = {"industries": industries, "children": children[node]}[nodes]
        yield Ranking(
            name=each["name"],
            rows=each["rows"],
            nodes=tuple(nodes),
            node=node,
            measure=each["measure"],
            grains=tuple(each.get("grains", table["grains"])),
            scope=each.get("scope"),
            rank_decimals=each.get("rank_decimals"),
            rising=each.get("order", "falling") == "rising",
            other=each.get("other", ROOT),
            over=each.get("over", "pop"),
            of=each.get("of", "value"),
            size=each.get("size", "value"),
            first=each.get("first", 10),
            threshold=None if threshold is None or threshold == "mean" else float(threshold),
            start=_period(each.get("from")),
        )


def _period(name: str | None) -> Period | None:
    if name is None:
        return None
    period = parse_period(name)
    if period is None:
        raise VerifyError(f"the definition names {name!r}, which is no period")
    return period
