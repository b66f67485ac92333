"""Declared rankings: which rows, by which measure of which node, within what (docs/formats.md section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from index.catalogue_checks import CODE, CODE_RULE
from index.errors import DefinitionError
from index.grades import Grade
from index.measures.parameters import MEAN, NAMES, REQUIRED, check_from, read_parameter
from index.measures.table import MEASURES, PLAIN
from index.periods import Grain, Period
from index.ranking_rows import GRADES, NODES, check_rows, read_nodes
from index.tree import ROOT, Tree

ORDERS = ("falling", "rising")
MAX_DECIMALS = 12
_KEYS = frozenset((
    "name", "rows", "node", "nodes", "measure", "grains", "scope", "rank_decimals", "order", *NAMES,
))  # fmt: skip


class Declared(Struct, frozen=True):
    """What of a definition its rankings refer to. `nation`: its code, or None; `years`: the catalogue's first and
    last."""

    tree: Tree
    grains: tuple[Grain, ...]
    groups: tuple[str, ...]
    nation: str | None
    base_kind: str
    grades: tuple[Grade, ...]
    years: tuple[int, int]


class Ranking(Struct, frozen=True):
    """One declared ranking. `rows`: an entity kind, `nodes` or `grades`; `scope`: a kind (one table per entity of it)
    or None; `nodes`: names of the rows where they are nodes.

    From `over` on: parameters of the measure, as documented there; None or the default where it takes none. `since` is
    the parameter `from`.
    """

    name: str
    rows: str
    node: str
    measure: str
    grains: tuple[Grain, ...]
    scope: str | None
    rank_decimals: int | None
    order: str = ORDERS[0]
    nodes: tuple[str, ...] = ()
    over: str = "pop"
    since: Period | None = None
    first: int = 0
    threshold: float | None = None  # None: the mean
    other: str = ROOT
    size: str = "value"
    of: str = "value"

    @property
    def rising(self) -> bool:
        """Whether the least value ranks first."""
        return self.order == ORDERS[1]

    @property
    def of_entities(self) -> bool:
        """Whether the rows are entities."""
        return self.rows not in (NODES, GRADES)

    @property
    def plain(self) -> bool:
        """Whether it is kept row by row as values move; else it is computed anew for whole tables."""
        return self.of_entities and self.measure in PLAIN


def read_rankings(file: str, value: Any, declared: Declared) -> tuple[Ranking, ...]:
    """The `[[ranking]]` tables of a definition; DefinitionError names `file` and the key at fault."""
    if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
        raise DefinitionError(file, "ranking", "write each ranking as a table [[ranking]]")
    found: dict[str, Ranking] = {}
    for number, table in enumerate(value, start=1):
        label = table.get("name")
        key = f"ranking[{number}]" if not isinstance(label, str) else f"ranking {label}"
        try:
            ranking = _read(table, declared)
        except ValueError as error:
            field, _, reason = str(error).partition(": ")
            raise DefinitionError(file, f"{key}.{field}", reason) from error
        if ranking.name in found:
            raise DefinitionError(file, key, "stands twice; give each ranking a name of its own")
        found[ranking.name] = ranking
    return tuple(found.values())


def _read(table: Mapping[str, Any], declared: Declared) -> Ranking:
    """One ranking; ValueError `<key>: <reason>`."""
    unknown = table.keys() - _KEYS
    if unknown:
        raise ValueError(f"{min(unknown)}: unknown key; known are {', '.join(sorted(_KEYS))}")
    for key in ("name", "rows", "measure"):
        if not isinstance(table.get(key), str):
            raise ValueError(f"{key}: a text is needed")
    name, rows, measure = table["name"], table["rows"], table["measure"]
    node, decimals, order = table.get("node", ROOT), table.get("rank_decimals"), table.get("order", ORDERS[0])
    if not CODE.fullmatch(name):
        raise ValueError(f"name: {name!r}: a name {CODE_RULE}")
    known = (declared.base_kind, *declared.groups, NODES, GRADES)
    if rows not in known:
        raise ValueError(
            f"rows: {rows!r} is neither {declared.base_kind!r} nor among the groups of this definition, "
            f"nor {NODES!r} or {GRADES!r}"
        )
    if not isinstance(node, str) or node not in declared.tree.number_of:
        raise ValueError(f"node: {node!r} is no node of the tree")
    if measure not in MEASURES:
        raise ValueError(f"measure: {measure!r} is none; known are {', '.join(MEASURES)}")
    scope = _scope(rows, table.get("scope"), declared)
    if decimals is not None and (type(decimals) is not int or not 0 <= decimals <= MAX_DECIMALS):
        raise ValueError(f"rank_decimals: is {decimals!r}; a whole number from 0 to {MAX_DECIMALS} is needed")
    if order not in ORDERS:
        raise ValueError(f"order: is {order!r}; known are {', '.join(ORDERS)}")
    if rows == GRADES and not declared.grades:
        raise ValueError(f"rows: {GRADES!r}: this definition has no [[grade]]")
    nodes = read_nodes(rows, table, node, declared.tree)
    of_group = rows in declared.groups and rows != declared.base_kind
    check_rows(measure, rows, of_group, scope is not None, nodes or (node,), declared.nation, declared.tree)
    grains = _grains(table.get("grains"), declared.grains)
    parameters = _parameters(table, measure, grains, declared)
    return Ranking(name, rows, node, measure, grains, scope, decimals, order, nodes, **parameters)


def _scope(rows: str, scope: Any, declared: Declared) -> str | None:
    """The checked scope of these rows."""
    if rows == NODES:
        if scope is None:
            raise ValueError("scope: is missing; rows are nodes of each entity of a kind, so name that kind")
        if scope != declared.base_kind and scope not in declared.groups:
            raise ValueError(f"scope: {scope!r}: must be {declared.base_kind!r} or among the groups of this definition")
    elif scope is not None and (scope not in declared.groups or rows not in (declared.base_kind, GRADES)):
        raise ValueError(
            f"scope: {scope!r}: must be among the groups of this definition, with rows of kind {declared.base_kind!r}"
        )
    return None if scope is None else str(scope)


def _parameters(
    table: Mapping[str, Any], measure: str, grains: tuple[Grain, ...], declared: Declared
) -> dict[str, Any]:
    """Parameters of the measure, by their names in `Ranking`."""
    takes = MEASURES[measure].parameters
    for key in NAMES:
        if key in table and key not in takes:
            raise ValueError(f"{key}: {measure} takes none; it takes {', '.join(takes) or 'no parameter'}")
    found: dict[str, Any] = {}
    for key, parameter in takes.items():
        if key not in table and parameter.default is REQUIRED:
            raise ValueError(f"{key}: is missing; {measure} needs it")
        try:
            value = parameter.default
            if key in table:
                value = read_parameter(key, table[key], parameter, declared.tree, declared.years)
            if key == "from":
                check_from(value, grains)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
        found["since" if key == "from" else key] = None if value == MEAN else value
    if "other" in table and found.get("size", "node_share") != "node_share":
        raise ValueError("other: is read only with size = 'node_share'; leave it out")
    return found


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
