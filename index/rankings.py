"""Declared rankings: which rows, by which measure of which node, within what (docs/formats.md section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from index.catalogue_checks import CODE, CODE_RULE
from index.errors import DefinitionError
from index.periods import Grain
from index.tree import ROOT, Tree

MEASURES = ("value", "pop", "yoy", "mean_yoy", "to_date", "growth", "share")
# What was last published is read back from index-updates, which hold the to_date of the root only (formats.md, 6).
ROOT_ONLY = ("to_date", "growth")
MAX_DECIMALS = 12
_KEYS = frozenset((
    "name", "rows", "node", "measure", "grains", "scope", "rank_decimals",
))  # fmt: skip


class Ranking(Struct, frozen=True):
    """One declared ranking. `rows`: an entity kind; `scope`: a group kind (one table per group of it) or None."""

    name: str
    rows: str
    node: str
    measure: str
    grains: tuple[Grain, ...]
    scope: str | None
    rank_decimals: int | None


def read_rankings(
    file: str, value: Any, tree: Tree, grains: tuple[Grain, ...], groups: tuple[str, ...], nation: Any, base_kind: str
) -> tuple[Ranking, ...]:
    """The `[[ranking]]` tables of a definition; DefinitionError names `file` and the key at fault."""
    if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
        raise DefinitionError(file, "ranking", "write each ranking as a table [[ranking]]")
    found: dict[str, Ranking] = {}
    for number, table in enumerate(value, start=1):
        label = table.get("name")
        key = f"ranking[{number}]" if not isinstance(label, str) else f"ranking {label}"
        try:
            ranking = _read(table, tree, grains, groups, nation, base_kind)
        except ValueError as error:
            field, _, reason = str(error).partition(": ")
            raise DefinitionError(file, f"{key}.{field}", reason) from error
        if ranking.name in found:
            raise DefinitionError(file, key, "stands twice; give each ranking a name of its own")
        found[ranking.name] = ranking
    return tuple(found.values())


def _read(
    table: Mapping[str, Any],
    tree: Tree,
    grains: tuple[Grain, ...],
    groups: tuple[str, ...],
    nation: Any,
    base_kind: str,
) -> Ranking:
    """One ranking; ValueError `<key>: <reason>`."""
    unknown = table.keys() - _KEYS
    if unknown:
        raise ValueError(f"{min(unknown)}: unknown key; known are {', '.join(sorted(_KEYS))}")
    for key in ("name", "rows", "measure"):
        if not isinstance(table.get(key), str):
            raise ValueError(f"{key}: a text is needed")
    name, rows, measure = table["name"], table["rows"], table["measure"]
    node, scope, decimals = table.get("node", ROOT), table.get("scope"), table.get("rank_decimals")
    if not CODE.fullmatch(name):
        raise ValueError(f"name: {name!r}: a name {CODE_RULE}")
    if rows != base_kind and rows not in groups:
        raise ValueError(f"rows: {rows!r} is neither {base_kind!r} nor among the groups of this definition")
    if node not in tree.number_of:
        raise ValueError(f"node: {node!r} is no node of the tree")
    if measure not in MEASURES:
        raise ValueError(f"measure: {measure!r} is none; known are {', '.join(MEASURES)}")
    if measure in ROOT_ONLY and node != ROOT:
        raise ValueError(f"measure: {measure} is kept for the root only; leave out node, or rank by pop or yoy")
    if scope is not None and (scope not in groups or rows != base_kind):
        raise ValueError(
            f"scope: {scope!r}: must be among the groups of this definition, with rows of kind {base_kind!r}"
        )
    if measure == "share" and scope is None and nation is None:
        raise ValueError("measure: a share without scope divides by the nation; give `nation` at the top")
    if decimals is not None and (type(decimals) is not int or not 0 <= decimals <= MAX_DECIMALS):
        raise ValueError(f"rank_decimals: is {decimals!r}; a whole number from 0 to {MAX_DECIMALS} is needed")
    return Ranking(name, rows, node, measure, _grains(table.get("grains"), grains), scope, decimals)


def _grains(value: Any, grains: tuple[Grain, ...]) -> tuple[Grain, ...]:
    if value is None:
        return grains
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ValueError("grains: a list of grains is needed")
    try:
        chosen = tuple(Grain.parse(v) for v in value)
    except ValueError as error:
        raise ValueError(f"grains: {error}") from error
    for grain in chosen:
        if grain not in grains:
            raise ValueError(f"grains: {grain.label} is not among the grains of the system")
    if len(set(chosen)) != len(chosen):
        raise ValueError("grains: names a grain twice; remove one")
    return chosen
